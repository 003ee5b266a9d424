"""Four people, four browsers, one trip: what counts is signed in Chromium, with keys that stay there."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from keyboards import typed
from playwright.sync_api import Browser, Page, Route
from werkzeug.serving import make_server
from world import World

from custody import orders
from custody.acts import alarms, people, pulses
from custody.rules.media import Medium
from custody.rules.people import Device
from custody.store import accounts
from labels import identity
from labels.sheet import STOCKS, Label, sheet

PASSWORD = "four unrelated words of mine"


class Street:
    """The company's pages at an address of this machine, and people who open them in their own browsers."""

    def __init__(self, office: Any, browser: Browser) -> None:
        self.office, self.world, self.browser = office, office.world, browser
        self.server = make_server("127.0.0.1", 0, office.app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.problems: list[str] = []
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def profile(self, **options: Any) -> Page:
        """A browser of its own. What its console complains of, the test complains of."""
        context = self.browser.new_context(**{"viewport": {"width": 390, "height": 844}, **options})
        context.clock.set_fixed_time(self.world.at)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if _complains(said.text) else None)
        return page

    def comes(self, name: str, *, key: bool = True) -> Page:
        """Somebody opens their one-time link, which carries an older device's key, and chooses a password."""
        page = self.profile()
        page.goto(self.link(name, key=key))
        page.wait_for_selector("#begin[data-ready]")
        assert "#" not in page.url, "the key is still in the address"
        self.chooses_password(page)
        return page

    def chooses_password(self, page: Page) -> None:
        page.fill("input[name=password]", PASSWORD)
        page.fill("input[name=again]", PASSWORD)
        page.click("text=Set it and sign in")
        page.wait_for_selector("#this-browser[data-ready]")

    def link(self, name: str, *, key: bool = True) -> str:
        token = accounts.invite_link(self.world.book, self.world.ids[name])
        secret = base64.urlsafe_b64encode(self.world.keys[name].pkcs8()).decode().rstrip("=")
        return f"{self.url}/begin/{token}" + (f"#k={secret}" if key else "")

    def sets_up(self, page: Page) -> None:
        with page.expect_navigation():
            page.click("[data-create]")
        page.wait_for_selector("#this-browser[data-ready]")

    def signs(self, page: Page) -> str:
        """Reads what is to be signed, signs it, and gives the event's id."""
        page.wait_for_selector("#statement:not([hidden])")
        page.click("[data-sign]")
        page.wait_for_selector("#done:not([hidden])")
        return str(page.get_attribute("#done", "data-event"))

    def wait(self, **duration: float) -> None:
        """Time passes for the company and on everybody's device."""
        self.world.at += timedelta(**duration)
        alarms.climb(self.world.book)
        for context in self.browser.contexts:
            context.clock.set_fixed_time(self.world.at)

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def _complains(text: str) -> bool:
    return "Content Security Policy" in text or "TrustedHTML" in text


@pytest.fixture
def street(office: Any, browser: Browser) -> Iterator[Street]:
    street = Street(office, browser)
    yield street
    street.close()
    assert street.problems == []


def test_a_whole_trip_is_signed_in_four_browsers(street: Street) -> None:
    world = street.world
    pages = {name: street.comes(name) for name in ("mona", "ann", "carl", "ben")}
    for page in pages.values():
        street.sets_up(page)
        assert "is set up" in page.inner_text("#this-browser")
    street.wait(hours=25)
    name = world.request(7)
    pulses.pulse(world.book, "monitor")

    mona = pages["mona"]
    mona.goto(f"{street.url}/consignments/{name}")
    mona.click("text=Approve it")
    mona.wait_for_selector("#statement:not([hidden])")
    assert "7 media, route N-S, carried by FLEET" in mona.inner_text("#statement")
    street.signs(mona)
    assert world.consignment(name).state == "approved"

    takes(street, pages["carl"], name, "Pick it up")
    assert world.consignment(name).state == "approved", "one signature moves nothing"
    gives(street, pages["ann"], name)
    assert world.consignment(name).holder == world.ids["carl"]

    takes(street, pages["ben"], name, "Receive it")
    gives(street, pages["carl"], name)
    assert world.consignment(name).state == "arrived"
    assert world.alarm(name).ended_at is not None
    assert world.told(name) == []


def takes(street: Street, page: Page, name: str, button: str) -> None:
    page.goto(f"{street.url}/consignments/{name}")
    page.click(f"text={button}")
    page.wait_for_selector("#signing[data-ready]")
    media = street.world.consignment(name).media
    page.click("text=Go on: read what I sign")  # nothing is ticked yet, and nothing is taken for granted
    page.wait_for_selector("#refusal:not([hidden])")
    assert "each is ticked by itself" in page.inner_text("#refusal")
    for number, medium in enumerate(media[:-1]):
        address = f"https://LABELS.TEST/M/{medium}"
        spine = street.world.get(Medium, medium).spine
        page.fill(
            "[data-scan]", (address, address.upper(), typed(address, "French"), f"*{spine}*")[number % 4]
        )
        page.press("[data-scan]", "Enter")
        assert "is read" in page.inner_text("[data-scanned]")
    page.locator("tr").last.locator(".choice.read input").check()
    page.click("text=Go on: read what I sign")
    page.wait_for_selector("#statement:not([hidden])")
    assert "every line was read" in page.inner_text("#statement")
    street.signs(page)
    assert "waits for the signature" in page.inner_text("#done")


def test_a_photograph_ticks_lines_and_overrules_nobody(street: Street) -> None:
    """Ben has seen that a case is cracked. The labels can be read all the same."""
    world = street.world
    page = street.comes("ben")
    street.sets_up(page)
    name = world.dispatch(3)
    media = world.consignment(name).media
    page.goto(f"{street.url}/sign/taking/{name}")
    page.wait_for_selector("#signing[data-ready]")
    page.locator("tr").nth(1).locator(".choice.damaged input").check()
    picture = {"name": "load.png", "mimeType": "image/png", "buffer": labels_of(media)}
    page.set_input_files("[data-photograph]", [picture])
    page.wait_for_selector("[data-scanned]:has-text('lines read')")
    said = page.inner_text("[data-scanned]")
    assert "3 of 3 lines read in the photograph, 0 still open" in said
    assert "line 2 stays as you ticked it" in said
    ticked = page.eval_on_selector_all("tr input:checked", "all => all.map(one => one.value)")
    assert ticked == ["read", "damaged", "read"]


def labels_of(names: tuple[str, ...]) -> bytes:
    labels = [Label(name, identity.url("LABELS.TEST", "M", name)) for name in names]
    (page,) = pypdfium2.PdfDocument(sheet(labels, STOCKS["L7160"]))
    out = io.BytesIO()
    page.render(scale=200 / 72, grayscale=True).to_pil().save(out, "PNG")
    return out.getvalue()


def gives(street: Street, page: Page, name: str) -> None:
    page.goto(f"{street.url}/board")
    page.click(f"text=Hand {name} over")
    street.signs(page)
    assert "Signed and recorded" in page.inner_text("#done")


def test_a_link_brings_the_older_key_which_confirms_and_is_forgotten(street: Street) -> None:
    sent: list[str] = []
    page = street.profile()
    page.on("request", lambda request: sent.append(f"{request.url} {request.headers} {request.post_data}"))
    link = street.link("ada")
    secret = link.partition("#k=")[2]
    page.goto(link)
    page.wait_for_selector("#begin[data-ready]")
    assert page.url == link.partition("#")[0], "the address has forgotten the key"
    assert page.evaluate("history.length") <= 2
    assert "brought the key along" in page.inner_text("#brought")
    street.chooses_password(page)
    assert "brought the key that confirms it along" in page.inner_text("#this-browser")
    assert stored(page) == ["older P-1"]
    street.sets_up(page)
    assert "is set up" in page.inner_text("#this-browser")
    assert stored(page) == ["own P-1"], "the older key is forgotten"
    assert page.evaluate(RECORDS, "extractable") == [False]
    assert secret[:40] not in " ".join(sent), "the key was sent to the server"
    with street.world.book.world() as world:
        mine = [d for d in world.all(Device) if d.person == "P-1"]
    assert [d.confirmed_by for d in mine] == ["P-1", "P-1"]


def test_a_browser_asks_to_be_confirmed_for_a_role_that_came_later(street: Street) -> None:
    ann, max_ = street.comes("ann"), street.comes("max")
    for page in (ann, max_):
        street.sets_up(page)
    assert ann.is_hidden("[data-create]")
    world = street.world
    roles = (
        orders.Grant(role="site-operator", site="NORTH"),
        orders.Grant(role="site-operator", site="SOUTH"),
    )
    world.sign("ada", people.roles(world.ids["ann"], roles))
    ann.reload()
    ann.wait_for_selector("#this-browser[data-ready]")
    assert "for the roles that it does not speak for" in ann.inner_text("[data-create]")
    street.sets_up(ann)
    assert "Waiting to be confirmed" in ann.inner_text("main")
    max_.goto(f"{street.url}/devices")
    max_.click("text=Compare and confirm")
    street.signs(max_)
    ann.reload()
    ann.wait_for_selector("#this-browser[data-ready]")
    assert "It speaks for: site operator at NORTH, site operator at SOUTH." in ann.inner_text("main")
    assert ann.is_hidden("[data-create]")


def test_a_fresh_browser_waits_for_the_site_manager(street: Street) -> None:
    ann, mona = street.comes("ann", key=False), street.comes("mona")
    street.sets_up(mona)
    street.sets_up(ann)
    assert "waits to be confirmed" in ann.inner_text("#this-browser")
    shown = ann.inner_text("section:has-text('Waiting to be confirmed') .device code")
    mona.goto(f"{street.url}/devices")
    mona.click("text=Compare and confirm")
    mona.wait_for_selector("#statement:not([hidden])")
    assert mona.inner_text(".fingerprint") == shown
    assert "Ann (P-2)" in mona.inner_text("#statement")
    street.signs(mona)
    ann.reload()
    ann.wait_for_selector("#this-browser[data-ready]")
    assert "is set up" in ann.inner_text("#this-browser")


def test_a_demos_link_makes_this_browser_the_persons(
    browser: Browser, furnished: Any, tmp_path: Path
) -> None:
    street = Street(furnished(World(tmp_path, origin="demo.invalid")), browser)
    try:
        name = street.world.request(1)
        page = street.profile()
        page.clock.set_fixed_time("2031-01-01")  # a story's clock is not the visitor's
        token = accounts.demo_link(street.world.book, street.world.ids["mona"])
        page.goto(f"{street.url}/begin/{token}#{street.link('mona').partition('#')[2]}")
        page.wait_for_selector("#begin[data-ready]")
        page.click("text=Sign in as Mona")
        page.wait_for_selector("#board")
        page.goto(f"{street.url}/sign/approval/{name}")
        street.signs(page)
        assert street.world.consignment(name).state == "approved"
    finally:
        street.close()
        street.world.book.engine.dispose()


def test_the_page_refuses_to_sign_what_it_did_not_ask_for(street: Street) -> None:
    """A server that has gone over to the enemy sends other bytes than the form came to."""
    page = street.comes("ann")
    lies = [
        lambda text: text.replace('"person":"P-2"', '"person":"P-9"'),
        lambda text: text.replace("test.example/log", "evil.example/log"),
        lambda text: text.replace('"person":"P-2"', '"person":"P-2","more":1'),
        lambda text: text.replace("enrolled/v1", "set-up-closed/v1"),
    ]
    for lie in lies:
        page.goto(f"{street.url}/devices")
        page.wait_for_selector("#this-browser[data-ready]")
        tamper(page, lie)
        page.click("[data-create]")
        page.wait_for_selector("[data-say].refusal")
        assert "Do not" in page.inner_text("[data-say]")
    with street.world.book.world() as world:
        assert len([d for d in world.all(Device) if d.person == "P-2"]) == 1, "nothing was signed"


def test_the_page_refuses_a_manifest_that_is_not_the_one_named(street: Street) -> None:
    page = street.comes("mona")
    street.sets_up(page)
    name = street.world.request(2)
    tamper(page, lambda text: text, lambda text: text.replace('"carrier":"FLEET"', '"carrier":"OTHER"'))
    page.goto(f"{street.url}/sign/approval/{name}")
    page.wait_for_selector("#refusal:not([hidden])")
    assert "is not what the statement names" in page.inner_text("#refusal")
    assert page.is_hidden("[data-sign]")


def test_the_board_says_when_it_is_old(street: Street) -> None:
    page = street.comes("ann")
    page.clock.install(time=street.world.at)
    page.goto(f"{street.url}/board")
    page.route("**/board/now", lambda route: route.abort())
    page.clock.fast_forward(11_000)
    page.wait_for_selector("#stale:not([hidden])")
    assert "Do not rely on it" in page.inner_text("#stale")
    page.unroute("**/board/now")
    page.clock.fast_forward(11_000)
    page.wait_for_selector("#stale", state="hidden")
    name = street.world.dispatch(1)
    page.clock.fast_forward(11_000)
    page.wait_for_selector(f"text={name}")


def test_a_form_that_is_refused_keeps_what_was_typed(street: Street) -> None:
    page = street.comes("ada")
    page.goto(f"{street.url}/places")
    page.fill("input[name=site]", "EAST")
    page.fill("input[name=zone]", "Asia/Nowhere")
    page.click("text=Open the site")
    page.wait_for_selector(".refusal:not([hidden])")
    assert page.input_value("input[name=site]") == "EAST"
    page.fill("input[name=zone]", "Asia/Tokyo")
    page.click("text=Open the site")
    page.wait_for_selector("text=The site EAST is open.")


def tamper(page: Page, *lies: Callable[[str], str]) -> None:
    """From now on the answers of /sign/prepare lie: about the payload, and about the evidence."""
    of_payload, of_evidence = (*lies, lambda text: text)[:2]

    def lie(route: Route) -> None:
        answer = route.fetch()
        value = answer.json()
        value["payload"] = recoded(value["payload"], of_payload)
        value["evidence"] = {k: recoded(v, of_evidence) for k, v in value["evidence"].items()}
        route.fulfill(response=answer, body=json.dumps(value))

    page.unroute_all()
    page.route("**/sign/prepare", lie)


def recoded(text: str, lie: Callable[[str], str]) -> str:
    return base64.b64encode(lie(base64.b64decode(text).decode()).encode()).decode()


RECORDS = """(pick) => new Promise((done) => {
  const request = indexedDB.open("custody");
  request.onsuccess = () => {
    const all = request.result.transaction("keys").objectStore("keys").getAll();
    all.onsuccess = () => {
      request.result.close();
      done(all.result.map((r) => pick === "name" ? r.name : r.key.extractable));
    };
  };
})"""


def stored(page: Page) -> list[str]:
    """The names of the keys that this browser keeps."""
    return list(page.evaluate(RECORDS, "name"))
