"""What every view of this room needs: the book, the settings, whose eyes look, and how a form is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from flask import Response, current_app, render_template, request
from flask_security import current_user
from pydantic import BaseModel

from custody.store import queries
from custody.store.book import Book
from custody.store.queries import View
from custody.store.verdict import VerdictFile


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as a demo's inbox shows it."""

    at: datetime
    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the pages run with.

    `base_url` is where people sign in, without a slash at its end; `label_host` stands on printed labels,
    empty where none can be printed yet; `found_phone` is whom a finder calls. `proxies` is how many of ours
    stand in front and say truly where a request comes from. `inbox` gives a demo's letters,
    newest first. `incident_pdf` makes the report of an incident, by its number. `stop` ends this process, if
    its book cannot be trusted any more. `guard` is what the guard beside the pages finds, if there is one.
    """

    secret_key: str
    base_url: str
    secure_cookies: bool
    label_host: str
    found_phone: str
    proxies: int = 0
    inbox: Callable[[], Sequence[Letter]] | None = None
    incident_pdf: Callable[[Book, str], bytes] | None = None
    stop: Callable[[], None] | None = None
    guard: VerdictFile | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What an application was made with."""

    book: Book
    settings: WebSettings


def room() -> Room:
    """The book and the settings of this application."""
    return cast("Room", current_app.extensions["custody"])


def book() -> Book:
    """The book that this application shows."""
    return room().book


def settings() -> WebSettings:
    """What this application runs with."""
    return room().settings


def me() -> str:
    """The number of the signed-in person."""
    return str(current_user.person)


@contextlib.contextmanager
def look() -> Iterator[View]:
    """What the signed-in person may see now.

    Leave the block before calling an act: an act waits for the writer's turn, and who waits while holding a
    connection that the writer needs waits for ever.
    """
    with queries.view(book(), me()) as view:
        yield view


def show(template: str, view: View, **shown: Any) -> str:
    """A page for a signed-in person."""
    return render_template(template, view=view, **shown)


def page(template: str, **shown: Any) -> str:
    """A page that shows nothing beyond what stands here."""
    with look() as view:
        return show(template, view, **shown)


def reply(answer: BaseModel, status: int = 200) -> Response:
    """A JSON answer: exactly the fields that its model names."""
    return Response(answer.model_dump_json(), status, mimetype="application/json")


def filled(*names: str) -> dict[str, Any]:
    """These fields of the form that was sent, without those that were left blank."""
    return {name: value for name in names if (value := request.form.get(name, "").strip())}
