"""Who may come in where: every route, every method, everybody of the cast, and those who are nobody here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from custody.facts import Granted
from custody.rules.people import may
from web.doors import DOORS, PUBLIC, SIGNED_IN, TOKENS

ROUTES = Path(__file__).parent / "routes.txt"
CAST = ("ada", "ann", "mona", "mallory", "dana", "hal", "dora", "ivo", "olga")
BOOKKEEPING = ("account", "link", "wrong_password", "pulse")
"""Tables that signing in and being alive write to; no view of a signed-in person does by a GET."""


@pytest.fixture(scope="module")
def busy(template: Any, furnished: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A company in which there is one of everything: on the road, waiting, ringing, presumed missing."""
    world = template.copy(tmp_path_factory.mktemp("busy"))
    world.dispatch(3)
    world.request(2)
    world.wait(minutes=95)
    office = furnished(world)
    yield office
    world.check()
    world.book.engine.dispose()


def pairs(app: Flask) -> Iterator[tuple[Rule, str]]:
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield rule, method


def address(app: Flask, rule: Rule, world: Any) -> str:
    """The rule's address with things that exist; where no such thing exists, something of its form."""
    device = world.keys["ann"].public.id
    tape = next(iter(world.consignment("C-1").media))
    alarm = world.alarm("C-1").id
    given = {"filename": "style.css", "token": "x" * 43, "person": "P-3", "event": "0" * 64, "key": device}
    given |= {"letter": "M", "level": "0", "rest": "000.p/1"}
    names = {"consignments": "C-1", "signing": "C-1", "media": tape, "alarms": alarm, "incidents": "I-1"}
    given["name"] = names.get(rule.endpoint.partition(".")[0], tape)
    if rule.endpoint == "signing.decision":
        given["name"] = "I-1"
    with app.test_request_context():
        return app.url_for(rule.endpoint, **{name: given[name] for name in rule.arguments})


def test_every_route_has_its_door_and_every_door_its_route(busy: Any) -> None:
    endpoints = {rule.endpoint for rule in busy.app.url_map.iter_rules()}
    assert endpoints - set(DOORS) == {"security.verify", "security.static"}, "Flask-Security's, and off"
    assert set(DOORS) - endpoints == {"inbox.letters"}, "a demo's, and only there"
    for rule in DOORS.values():
        assert rule in (PUBLIC, SIGNED_IN) or isinstance(rule, tuple)


def test_the_list_of_routes_is_the_one_that_was_reviewed(busy: Any) -> None:
    lines = sorted(
        f"{method:6} {rule.rule} -> {rule.endpoint}: {_said(rule.endpoint)}"
        for rule, method in pairs(busy.app)
        if method not in ("HEAD", "OPTIONS")
    )
    assert "\n".join(lines) + "\n" == ROUTES.read_text("utf-8"), "a route is new or gone: review routes.txt"


def _said(endpoint: str) -> str:
    rule = DOORS.get(endpoint)
    opened = "nobody" if rule is None else rule if isinstance(rule, str) else " / ".join(rule)
    return opened + "".join(f" / token of a {reader}" for reader in TOKENS.get(endpoint, ()))


def test_a_route_that_nobody_listed_answers_nobody(template: Any, furnished: Any, tmp_path: Path) -> None:
    office = furnished(template.copy(tmp_path))
    office.app.add_url_rule("/forgotten", "forgotten", lambda: "everything about everybody")
    assert office.stranger().get("/forgotten").status_code == 404
    for name in CAST:
        assert office.as_(name).get("/forgotten").status_code == 404
    office.world.book.engine.dispose()


def test_a_stranger_gets_nothing_anywhere(busy: Any) -> None:
    for rule, method in pairs(busy.app):
        answer = busy.stranger().open(address(busy.app, rule, busy.world), method=method, buffered=True)
        door = DOORS.get(rule.endpoint)
        if door == PUBLIC:
            assert answer.status_code in (200, 302, 400, 404), (rule, method)
        elif method in ("GET", "HEAD") and door is not None:
            assert answer.status_code == 302, (rule, method)
            assert answer.headers["Location"].startswith("/login?next="), (rule, method)
        else:
            assert answer.status_code in (401, 404), (rule, method)
            assert b"C-1" not in answer.data


@pytest.mark.parametrize("name", CAST)
def test_each_role_meets_its_doors_and_no_other(busy: Any, name: str) -> None:
    client = busy.as_(name)
    for rule, method in pairs(busy.app):
        if rule.endpoint in ("security.logout", "static", "bootstrap.static"):
            continue
        answer = client.open(address(busy.app, rule, busy.world), method=method, buffered=True)
        door = DOORS.get(rule.endpoint)
        assert answer.status_code < 500, (rule, method, answer.data)
        if door is None:
            assert answer.status_code == 404, (rule, method)
        elif isinstance(door, tuple):
            with busy.world.book.world() as world:
                allowed = any(may(world, busy.world.ids[name], act) for act in door)
            assert (b" may not " in answer.data) == (not allowed and method != "HEAD"), (rule, method)
            assert allowed or answer.status_code == 403, (rule, method)


@pytest.mark.parametrize("name", ["ada", "ann", "mallory", "dana", "hal"])
def test_looking_changes_nothing(busy: Any, name: str) -> None:
    client = busy.as_(name)
    before = dump(busy.world)
    for rule in busy.app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            client.get(address(busy.app, rule, busy.world), buffered=True)
    assert dump(busy.world) ^ before == set()


def test_nothing_is_changed_without_the_pages_token(busy: Any) -> None:
    before = dump(busy.world)
    for name in ("ada", "mona", "hal"):
        client = busy.as_(name)
        for rule in busy.app.url_map.iter_rules():
            if "POST" not in (rule.methods or ()) or rule.endpoint == "security.verify":
                continue
            where = address(busy.app, rule, busy.world)
            empty = {"payload": "", "key": "", "signature": ""}
            for sent in ({"data": {"report": "somewhere"}}, {"json": empty}):
                answer = client.post(where, **sent)
                assert answer.status_code in (400, 403), (rule, answer.status_code)
    assert dump(busy.world) ^ before == set()


def dump(world: Any) -> set[str]:
    """Every row of the book, but for the bookkeeping of accounts and pulses."""
    with sqlite3.connect(world.folder / "book.db") as connection:
        lines = [*connection.iterdump()]
    connection.close()
    skipped = tuple(f'INSERT INTO "{name}"' for name in BOOKKEEPING)
    return {line[:400] for line in lines if not line.startswith(skipped)}


def test_the_comparison_sees_a_change(box: Any) -> None:
    before = dump(box)
    box.request(1)
    assert dump(box) != before


def test_when_the_contract_ends_the_sessions_end(office: Any) -> None:
    carl, ann = office.as_("carl"), office.as_("ann")
    assert carl.get("/board").status_code == 200
    office.world.at += timedelta(days=400)
    assert carl.get("/board").headers["Location"].startswith("/login")
    assert carl.get("/devices").status_code == 302, "the session itself has gone"
    assert ann.get("/board").status_code == 200


def test_who_has_no_role_any_more_is_signed_out(office: Any) -> None:
    ivo = office.as_("ivo")
    assert ivo.get("/board").status_code == 200
    office.world.sign("ada", Granted(office.world.ids["ivo"], ()))
    assert ivo.get("/board").status_code == 302


def test_an_act_asks_again_behind_its_door(office: Any) -> None:
    """Max is a site manager, and so the door of approvals is open to him; but he is not NORTH's."""
    name = office.world.request(1)
    payload = office.prepare(office.as_("max"), what="approval", consignment=name)
    answer = office.sign("max", payload)
    assert answer.status_code == 403
    assert "at NORTH" in answer.get_json()["refusal"]
    assert office.world.consignment(name).state == "requested"


@pytest.mark.on("sqlite", "postgresql")
@pytest.mark.parametrize("name", ["nobody", "ada", "mona", "dana"])
def test_a_nul_breaks_no_page(busy: Any, name: str) -> None:
    """PostgreSQL refuses it in any text, which was an error of ours and no page of theirs."""
    client = busy.stranger() if name == "nobody" else busy.as_(name)
    token = busy.token(client, "/login" if name == "nobody" else "/devices")
    for rule, method in pairs(busy.app):
        if rule.endpoint not in DOORS or method in ("HEAD", "OPTIONS") or rule.endpoint == "security.logout":
            continue
        at = address(busy.app, rule, busy.world)
        kept_out = name == "nobody" and DOORS.get(rule.endpoint) != PUBLIC
        wanted = (302, 401) if kept_out else (403, 422)
        for sent in ({"query_string": {"words\0": "x"}}, {"query_string": {"site": "\0"}}):
            answer = client.open(at, method=method, headers={"X-CSRFToken": token}, **sent)
            assert answer.status_code in wanted, (rule, method, answer.data)
        if method == "POST":
            form = {"csrf_token": token, "email": "a\0@home.test", "words": "\0"}
            assert client.post(at, data=form).status_code in wanted, rule
    for path in ("/media/%00", "/people/%00", "/consignments/C-1%00", "/begin/%00", "/M/%00", "/%00"):
        assert client.get(path).status_code in (302, 403, 404, 422), path
