"""Four people, four browsers, one trip: everything that counts is signed in Chromium, with keys that stay there."""

from __future__ import annotations

import base64
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server
from world import START

from custody.acts import pulses
from custody.store import accounts

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)
PASSWORD = "four unrelated words of mine"
if CHROMIUM is None and os.environ.get("CI") != "true":
    pytest.skip(
        "no chromium, chromium-browser or google-chrome on this machine", allow_module_level=True
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "CI tests with a browser"
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield chromium
        chromium.close()


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
        context.clock.set_fixed_time(START + timedelta(hours=60))
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if _complains(said.text) else None)
        return page

    def comes(self, name: str, *, key: bool = True) -> Page:
        """Somebody opens their one-time link, which carries their older device's key, and chooses a password."""
        page = self.profile()
        page.goto(self.link(name, key=key))
        page.wait_for_selector("#begin[data-ready]")
        assert page.url.endswith(page.url.split("#")[0]), "the key is still in the address"
        page.fill("input[name=password]", PASSWORD)
        page.fill("input[name=again]", PASSWORD)
        page.click("text=Set it and sign in")
        page.wait_for_selector("#this-browser[data-ready]")
        return page

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
    world.wait(hours=25)
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
    for medium in media[:-1]:
        page.fill("[data-scan]", f"HTTPS://LABELS.TEST/M/{medium}")
        page.press("[data-scan]", "Enter")
        assert "is read" in page.inner_text("[data-scanned]")
    page.locator("tr").last.locator(".choice.read input").check()
    page.click("text=Go on: read what I sign")
    page.wait_for_selector("#statement:not([hidden])")
    assert "every line was read" in page.inner_text("#statement")
    street.signs(page)
    assert "waits for the signature" in page.inner_text("#done")


def gives(street: Street, page: Page, name: str) -> None:
    page.goto(f"{street.url}/board")
    page.click(f"text=Hand {name} over")
    street.signs(page)
    assert "Signed and recorded" in page.inner_text("#done")
