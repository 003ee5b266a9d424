"""The pages over a company in a box, and a way to come in as one of its people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from world import World

from custody.ledger.envelope import pae
from custody.store import accounts
from custody.strict import base64text, unbase64
from web.app import WebSettings, create_app


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
        return client

    def token(self, client: FlaskClient, address: str = "/devices") -> str:
        """The token against forged requests that a page of this session carries."""
        text = client.get(address).get_data(as_text=True)
        found = re.search(r'<meta name="csrf" content="([^"]+)"', text)
        assert found, text
        return found[1]

    def post(self, client: FlaskClient, address: str, *, scripted: bool = False, **form: Any) -> Any:
        """Sends a form as a page of this session would."""
        headers = {"X-Custody-Script": "1"} if scripted else {}
        return client.post(address, data={"csrf_token": self.token(client), **form}, headers=headers)


    def send(self, client: FlaskClient, address: str, value: Any) -> Any:
        """Sends JSON as a page's script would."""
        headers = {"X-Custody-Script": "1", "X-CSRFToken": self.token(client)}
        return client.post(address, json=value, headers=headers)

    def prepare(self, client: FlaskClient, **form: Any) -> str:
        """The payload, in base64, that a form comes to."""
        answer = self.post(client, "/sign/prepare", scripted=True, **form)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.get_json()["payload"])

    def sign(self, name: str, payload: str, by: str | None = None) -> Any:
        """Signs a payload with a person's key (of `by`, if another's), and sends it in their session."""
        key = self.world.keys[by or name]
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
    app = create_app(world.book, WebSettings(**{**given, **more}))
    app.config["RATELIMIT_ENABLED"] = False
    return Office(world, app)


@pytest.fixture(scope="session")
def furnished() -> Callable[..., Office]:
    """Opens the office of a company, with other settings if wished."""
    return open_office


@pytest.fixture
def office(box: World) -> Iterator[Office]:
    yield open_office(box)
