"""The pages over a company in a box, and a way to come in as one of its people."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, sync_playwright
from world import World

from custody.cli.pages import pages
from custody.ledger.envelope import pae
from custody.ledger.keys import SigningKey
from custody.store import accounts
from custody.strict import base64text, unbase64
from web.app import WebSettings
from web.limits import limiter

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)


@dataclass
class Office:
    """A company, its pages, and `as_("ann")`: a browser in which Ann is signed in."""

    world: World
    app: Flask

    def stranger(self) -> FlaskClient:
        return self.app.test_client()

    def as_(self, name: str) -> FlaskClient:
        account = accounts.find(self.world.book, person=self.world.ids[name])
        assert account is not None
        client = self.app.test_client()
        with client.session_transaction() as session:
            session["_user_id"] = account.session
            session["_fresh"] = True
            session["since"] = time.time()
        return client

    def token(self, client: FlaskClient, address: str = "/devices") -> str:
        """The token against forged requests that a page of this session carries."""
        text = client.get(address).get_data(as_text=True)
        found = re.search(r'<meta name="csrf" content="([^"]+)"', text)
        assert found, text
        return found[1]

    def post(self, client: FlaskClient, to: str, /, *, scripted: bool = False, **form: Any) -> Any:
        """Sends a form as a page of this session would."""
        headers = {"X-Custody-Script": "1"} if scripted else {}
        return client.post(to, data={"csrf_token": self.token(client), **form}, headers=headers)

    def send(self, client: FlaskClient, address: str, value: Any) -> Any:
        """Sends JSON as a page's script would."""
        headers = {"X-Custody-Script": "1", "X-CSRFToken": self.token(client)}
        return client.post(address, json=value, headers=headers)

    def prepare(self, client: FlaskClient, /, **form: Any) -> str:
        """The payload, in base64, that a form comes to."""
        answer = self.post(client, "/sign/prepare", scripted=True, **form)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.get_json()["payload"])

    def sign(self, name: str, payload: str, by: str | SigningKey | None = None) -> Any:
        """Signs a payload with a person's key (of `by`, if another's), and sends it in their session."""
        key = by if isinstance(by, SigningKey) else self.world.keys[by or name]
        signature = base64text(key.sign(pae(unbase64(payload))))
        order = {"payload": payload, "key": key.public.id, "signature": signature}
        return self.send(self.as_(name), "/sign", order)


def open_office(world: World, **more: Any) -> Office:
    for name, person in world.ids.items():
        if accounts.find(world.book, person=person) is None:
            accounts.add(world.book, person, name.capitalize(), f"{name}@home.test")
    given = {
        "secret_key": "k" * 40,
        "base_url": "http://127.0.0.1",
        "secure_cookies": False,
        "label_host": "LABELS.TEST",
        "found_phone": "+852 5555 0100",
    }
    app = pages(world.book, WebSettings(**{**given, **more}))
    limiter.enabled = False  # one address tests everything here; the limits have a test of their own
    return Office(world, app)


@pytest.fixture(scope="session")
def furnished() -> Callable[..., Office]:
    """Opens the office of a company, with other settings if wished."""
    return open_office


@pytest.fixture
def office(box: World) -> Office:
    return open_office(box)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Without one these tests are skipped, but never where CI counts on them."""
    if CHROMIUM is None and os.environ.get("CI") != "true":
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    assert CHROMIUM is not None, "CI tests with a browser"
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield chromium
        chromium.close()
