"""Coming in: by invitation, once, and never by a door that nobody knows of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlmodel import SQLModel
from world import World

from custody.errors import Forbidden, NotFound
from custody.store import accounts
from web import signin

PASSWORD = "four unrelated words of mine"


def begin(
    office: Any, name: str, password: str = PASSWORD, token: str | None = None
) -> tuple[FlaskClient, Any]:
    client = office.stranger()
    link = token or accounts.invite_link(office.world.book, office.world.ids[name])
    csrf = office.token(client, f"/begin/{link}")
    form = {"csrf_token": csrf, "password": password, "again": password}
    return client, client.post(f"/begin/{link}", data=form)


def sign_in(office: Any, address: str, password: str, source: str = "192.0.2.1") -> tuple[FlaskClient, Any]:
    client = office.stranger()
    form = {"csrf_token": office.token(client, "/login"), "email": address, "password": password}
    return client, client.post("/login", data=form, environ_overrides={"REMOTE_ADDR": source})


def test_an_invitation_is_used_by_its_button_and_once(office: Any) -> None:
    token = accounts.invite_link(office.world.book, office.world.ids["ann"])
    for _ in range(3):  # a mail scanner follows the link as often as it likes
        assert office.stranger().get(f"/begin/{token}").status_code == 200
    client, answer = begin(office, "ann", token=token)
    assert answer.headers["Location"] == "/devices"
    assert client.get("/board").status_code == 200
    assert office.stranger().get(f"/begin/{token}").status_code == 404
    with pytest.raises(NotFound, match="has been used"):
        accounts.begin(office.world.book, token, "hash")


def test_a_newer_invitation_voids_the_older_and_both_expire(office: Any) -> None:
    book, ann = office.world.book, office.world.ids["ann"]
    older, newer = accounts.invite_link(book, ann), accounts.invite_link(book, ann)
    with pytest.raises(NotFound):
        accounts.open_link(book, older)
    office.world.at += accounts.INVITE_LASTS
    with pytest.raises(NotFound, match="expired"):
        accounts.open_link(book, newer)


def test_the_table_of_links_opens_nothing(office: Any) -> None:
    token = accounts.invite_link(office.world.book, office.world.ids["ann"])
    with office.world.book.read() as connection:
        rows = connection.execute(sa.select(SQLModel.metadata.tables["link"])).all()
    assert all(token not in map(str, row) for row in rows)
    assert office.stranger().get(f"/begin/{rows[0].digest}").status_code == 404


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "x" * 257])
def test_a_poor_password_is_refused_and_the_link_still_good(office: Any, password: str) -> None:
    token = accounts.invite_link(office.world.book, office.world.ids["ann"])
    _, answer = begin(office, "ann", password, token)
    assert answer.status_code == 422
    assert accounts.open_link(office.world.book, token).purpose == "invite"


def test_signing_in_and_out_and_what_a_new_password_ends(office: Any) -> None:
    first, _ = begin(office, "ann")
    second, answer = sign_in(office, "ann@home.test", PASSWORD)
    assert answer.headers["Location"] == "/"
    assert second.get("/board").status_code == 200
    begin(office, "ann", "another four words, quite new")
    for client in (first, second):
        assert client.get("/board").headers["Location"].startswith("/login")
    third, _ = sign_in(office, "ANN@home.test", "another four words, quite new")
    assert third.get("/board").status_code == 200
    office.post(third, "/logout")
    assert third.get("/board").status_code == 302
    assert sign_in(office, "ann@home.test", PASSWORD)[1].status_code == 200, "the old password is no password"


def test_every_failure_says_the_same(office: Any) -> None:
    begin(office, "ann")
    texts = set()
    for address, password in (
        ("ann@home.test", "not the password"),
        ("nobody@home.test", PASSWORD),
        ("ben@home.test", PASSWORD),  # has no password yet
        ("not an address", PASSWORD),
    ):
        client, answer = sign_in(office, address, password)
        assert client.get("/board").status_code == 302
        text = answer.get_data(as_text=True).replace(address, "")
        assert "Signing in failed" in text
        texts.add(text.split("<form")[1].split("</form>")[0].split("csrf_token")[0])
    assert len(texts) == 1


def test_ten_wrong_passwords_lock_this_account_from_this_address(office: Any) -> None:
    begin(office, "ann")
    for _ in range(accounts.WRONG_MOST - 1):
        accounts.note_wrong(office.world.book, "ann@home.test", "192.0.2.1")
    still, _ = sign_in(office, "ann@home.test", PASSWORD)
    assert still.get("/board").status_code == 200
    sign_in(office, "ann@home.test", "the tenth guess")
    locked, _ = sign_in(office, "ann@home.test", PASSWORD)
    assert locked.get("/board").status_code == 302, "even the right one, from there, for now"
    elsewhere, _ = sign_in(office, "ann@home.test", PASSWORD, "192.0.2.77")
    assert elsewhere.get("/board").status_code == 200, "nobody can lock Ann herself out"
    office.world.at += accounts.WRONG_WITHIN + timedelta(seconds=1)
    later, _ = sign_in(office, "ann@home.test", PASSWORD)
    assert later.get("/board").status_code == 200


def test_there_is_no_other_way_in(office: Any) -> None:
    for address in (
        "/register",
        "/reset",
        "/change",
        "/verify",
        "/us-signin",
        "/tf-setup",
        "/confirm",
        "/api",
    ):
        assert office.stranger().get(address).status_code == 404
        assert office.as_("ada").get(address).status_code == 404


def test_a_token_in_a_header_is_no_session(office: Any) -> None:
    with office.app.test_request_context():
        account = accounts.find(office.world.book, person="P-1")
        user = office.app.extensions["security"].datastore.find_user(fs_uniquifier=account.session)
        token = user.get_auth_token()
    for how in ({"headers": {"Authentication-Token": token}}, {"query_string": {"auth_token": token}}):
        assert office.stranger().get("/board", **how).status_code == 302


NOWHERE = (
    "https://evil.example/",
    "http://127.0.0.1/board",  # of this host, perhaps, and no path
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/\t/evil.example/",
    "\n//evil.example/",
    " //evil.example/",
    "javascript:alert(1)",
    "evil.example",
    "/\uff45vil",
    "",
)


def test_signing_in_leads_nowhere_else(office: Any) -> None:
    begin(office, "ann")
    form = {"email": "ann@home.test", "password": PASSWORD}
    for nowhere in NOWHERE:
        for asked, sent in ({"next": nowhere}, {}), ({}, {"next": nowhere}):
            client = office.stranger()
            form["csrf_token"] = office.token(client, "/login")
            answer = client.post("/login", query_string=asked, data={**form, **sent})
            assert (answer.status_code, answer.location) == (302, "/"), (nowhere, "the password is right")
            assert client.get("/board").status_code == 200
            assert client.get("/login", query_string={"next": nowhere}).location == "/"
    answer = office.stranger().get("/media?site=NORTH")
    assert answer.headers["Location"] == "/login?next=/media?site%3DNORTH"
    client = office.stranger()
    form["csrf_token"] = office.token(client, answer.headers["Location"])
    assert client.post("/login", data={**form, "next": "/media?site=NORTH"}).location == "/media?site=NORTH"


def test_links_without_a_password_exist_in_a_demo_alone(office: Any) -> None:
    book, ann = office.world.book, office.world.ids["ann"]
    with pytest.raises(Forbidden):
        accounts.demo_link(book, ann)
    token = accounts.invite_link(book, ann)
    table = SQLModel.metadata.tables["link"]
    with book.writing() as connection:  # somebody who can write to the database forges one
        connection.execute(sa.update(table).values(purpose="demo"))
    client = office.stranger()
    csrf = office.token(client, f"/begin/{token}")
    assert client.post(f"/begin/{token}", data={"csrf_token": csrf}).status_code == 403
    assert client.get("/board").status_code == 302


def test_in_a_demo_a_link_signs_in_once(tmp_path: Path, furnished: Any) -> None:
    office = furnished(World(tmp_path, origin="demo.invalid"), inbox=lambda: ())
    token = accounts.demo_link(office.world.book, office.world.ids["carl"])
    client = office.stranger()
    assert client.get(f"/begin/{token}").status_code == 200
    csrf = office.token(client, f"/begin/{token}")
    assert client.post(f"/begin/{token}", data={"csrf_token": csrf}).headers["Location"] == "/"
    assert b"Demo." in client.get("/board").data
    assert client.get("/inbox").status_code == 200
    assert office.stranger().get(f"/begin/{token}").status_code == 404
    office.world.book.engine.dispose()


def test_an_inbox_belongs_to_a_demo(template: World, furnished: Any, tmp_path: Path) -> None:
    office = furnished(template.copy(tmp_path), inbox=lambda: ())
    assert office.as_("ada").get("/inbox").status_code == 404
    office.world.book.engine.dispose()


def test_a_session_is_kept_from_scripts_and_from_plain_lines(
    template: World, furnished: Any, tmp_path: Path
) -> None:
    office = furnished(template.copy(tmp_path), secure_cookies=True, base_url="https://custody.test")
    answer = office.stranger().get("/login", base_url="https://custody.test")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-custody=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    office.world.book.engine.dispose()


def test_the_lock_out_counts_every_spelling_of_an_address_as_one(office: Any) -> None:
    """Full-width letters and other dots are the same address to whoever looks the account up."""
    begin(office, "ann")
    spellings = ("ann@home.test", "ann@ｈome.test", "ann@home。test", " ANN@home.test")  # noqa: RUF001 - on purpose
    for number in range(accounts.WRONG_MOST):
        sign_in(office, spellings[number % 4], "wrong")
    for spelling in spellings:
        _, answer = sign_in(office, spelling, PASSWORD)
        assert answer.status_code == 200, f"{spelling} signs in past the lock-out"
        assert answer.get_data(as_text=True).count('class="refusal"') == 1, "one sentence, not theirs besides"


def test_whoever_goes_on_trying_does_not_keep_the_lock_closed(office: Any) -> None:
    begin(office, "ann")
    for _ in range(accounts.WRONG_MOST):
        sign_in(office, "ann@home.test", "wrong")
    for _ in range(4):
        office.world.at += accounts.WRONG_WITHIN / 4
        sign_in(office, "ann@home.test", "wrong")
    _, answer = sign_in(office, "ann@home.test", PASSWORD)
    assert answer.status_code == 302


def test_a_head_request_uses_no_link_up(office: Any) -> None:
    """Mail scanners send HEAD, too; and it carries no token against forged requests."""
    token = accounts.invite_link(office.world.book, office.world.ids["ann"])
    form = {"password": PASSWORD, "again": PASSWORD}
    answer = office.stranger().open(f"/begin/{token}", method="HEAD", data=form)
    assert "Set-Cookie" not in answer.headers or "session" not in answer.headers["Set-Cookie"]
    assert accounts.open_link(office.world.book, token).purpose == "invite"


def test_signing_out_ends_what_was_copied_before(office: Any) -> None:
    client, _ = begin(office, "ann")
    copied = office.stranger()
    copied.set_cookie("custody", client.get_cookie("custody").value)
    assert copied.get("/board").status_code == 200
    office.post(client, "/logout")
    assert copied.get("/board").status_code == 302


def test_a_session_ends_however_much_it_is_used(office: Any) -> None:
    client = office.as_("ann")
    with client.session_transaction() as session:
        session["since"] -= signin.SIGNED_IN_FOR + 1
    answer = client.get("/board", follow_redirects=True)
    assert answer.status_code == 200
    assert "E-mail address" in answer.get_data(as_text=True), "the page on which they can sign in again"


def test_ones_own_link_signs_in_whoever_was_signed_in_before(office: Any) -> None:
    """In the same browser, the same person or another: and nobody else's sessions end for it."""
    others = office.as_("mona")
    for before in ("ann", "mona"):
        client = office.as_(before)
        token = accounts.invite_link(office.world.book, office.world.ids["ann"])
        form = {
            "csrf_token": office.token(client, f"/begin/{token}"),
            "password": PASSWORD,
            "again": PASSWORD,
        }
        assert client.post(f"/begin/{token}", data=form).status_code == 302
        assert "Ann" in client.get("/board").get_data(as_text=True)
    assert others.get("/board").status_code == 200


def test_behind_a_proxy_each_client_counts_by_itself(template: World, furnished: Any, tmp_path: Path) -> None:
    """Else one stranger locks everybody out; and where no proxy is ours, the header is a stranger's word."""
    for proxies, locked in ((1, False), (0, True)):
        office = furnished(template.copy(tmp_path / str(proxies)), proxies=proxies)
        begin(office, "ann")
        for _ in range(accounts.WRONG_MOST):
            accounts.note_wrong(
                office.world.book, "ann@home.test", "198.51.100.9" if proxies else "127.0.0.1"
            )
        client = office.stranger()
        form = {"csrf_token": office.token(client, "/login"), "email": "ann@home.test", "password": PASSWORD}
        answer = client.post("/login", data=form, headers={"X-Forwarded-For": "203.0.113.4:5555"})
        assert (answer.status_code == 200) is locked
        office.world.book.engine.dispose()


def test_a_token_against_forged_requests_ends_with_the_session_it_was_made_in(office: Any) -> None:
    """Whoever planted the cookie of a page before knows its token; and so does who was signed in before."""
    client = office.stranger()
    before = office.token(client, "/login")
    link = accounts.invite_link(office.world.book, office.world.ids["ann"])
    form = {"csrf_token": before, "password": PASSWORD, "again": PASSWORD}
    assert client.post(f"/begin/{link}", data=form).status_code == 302
    began = office.token(client)
    client.post("/logout", data={"csrf_token": began})
    after = office.token(client, "/login")
    sign = {"email": "ann@home.test", "password": PASSWORD}
    for old in (before, began):
        assert client.post("/login", data={**sign, "csrf_token": old}).status_code == 400
    assert client.post("/login", data={**sign, "csrf_token": after}).status_code == 302
    for old in (before, began, after):
        assert client.post("/devices/x/revoke", data={"csrf_token": old}).status_code == 400
    assert len({before, began, after, office.token(client)}) == 4
    assert office.post(client, "/devices/x/revoke").status_code == 422, "the new one is taken"


def test_nothing_of_one_persons_session_is_left_for_the_next(office: Any) -> None:
    """The name and the address of somebody who is being invited, among it."""
    begin(office, "ann")
    client = office.as_("ada")
    with client.session_transaction() as session:
        session["invited"] = {"name": "Zoe", "address": "zoe@home.test"}
    form = {"csrf_token": office.token(client, "/begin/x"), "email": "ann@home.test", "password": PASSWORD}
    office.post(client, "/logout")
    with client.session_transaction() as session:
        assert set(session) <= {"fs_cc"}
        session["invited"] = {"name": "Zoe", "address": "zoe@home.test"}
    form["csrf_token"] = office.token(client, "/login")
    assert client.post("/login", data=form).status_code == 302
    with client.session_transaction() as session:
        assert "invited" not in session
