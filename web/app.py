"""The pages in a browser: one room of the house, with two kinds of view in it.

A view that changes something reads a form and calls one act of `custody.acts`. A view that shows something
asks `custody.store.queries`, which knows what each person may see. `doors` says who may come in where, and
what is not in its table is not there. Everything that counts is signed in the browser (`static/keys.js`) and
only recorded here: a session alone can acknowledge and ask, and never approve, hand over or close.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import Blueprint, Flask, request
from flask_bootstrap import Bootstrap5
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from custody.errors import Unreadable
from custody.store.book import Book
from web import (
    alarms,
    answers,
    audit,
    board,
    consignments,
    devices,
    doors,
    events,
    found,
    inbox,
    incidents,
    log,
    media,
    people,
    signin,
    signing,
    words,
)
from web.limits import limiter
from web.room import Letter, Room, WebSettings

__all__ = ["Letter", "WebSettings", "create_app"]

SESSION_LASTS = timedelta(hours=12)
UPLOAD_MOST = 4 * 1024 * 1024
"""Bytes of one request: a library's listing and its inventory are well below a tenth of it."""
PHOTOGRAPH_MOST = 16 * 1024 * 1024
"""Bytes of a photograph sent in: a telephone's of 50 million pixels has about twelve."""


def create_app(book: Book, settings: WebSettings, beside: Sequence[Blueprint] = ()) -> Flask:
    """The application over a book that is open already. It reads no environment and starts nothing.

    `beside` are rooms that this one does not know, the courier's side among them; they stand behind the same
    doors.
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="__Host-custody" if settings.secure_cookies else "custody",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_LASTS,
        MAX_CONTENT_LENGTH=UPLOAD_MOST,
        BOOTSTRAP_SERVE_LOCAL=True,
        RATELIMIT_STORAGE_URI="memory://",
        WTF_CSRF_TIME_LIMIT=None,  # a page may lie open all night; its token ends with the session
        WTF_CSRF_SSL_STRICT=settings.secure_cookies,
    )
    app.extensions["custody"] = Room(book, settings)
    if settings.proxies:  # else all strangers are one, and lock out everybody together
        proxied = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)
        app.wsgi_app = proxied  # type: ignore[method-assign]  # as Flask's documentation does it
    answers.prepare(app)
    doors.hang(app)
    app.before_request(_allow_photographs)
    CSRFProtect(app)
    app.before_request(_refuse_nul)
    Bootstrap5(app)
    limiter.init_app(app)
    signin.prepare(app)
    words.teach(app)
    for part in (
        alarms,
        audit,
        board,
        consignments,
        devices,
        events,
        found,
        incidents,
        log,
        media,
        people,
        signing,
    ):
        app.register_blueprint(part.blueprint)
    if book.is_demo and settings.inbox is not None:
        app.register_blueprint(inbox.blueprint)
    for room in beside:
        limiter.limit("30/minute", methods=["POST"])(room)
        app.register_blueprint(room)
    return app


def _allow_photographs() -> None:
    """Before the token is looked for in the form, and after the door: a stranger sends nothing so large."""
    if request.endpoint == "scanner.photograph":
        request.max_content_length = PHOTOGRAPH_MOST


def _refuse_nul() -> None:
    """No text has one, PostgreSQL holds none, and no page shall break on it."""
    texts = [request.path, *(text for name, found in request.values.lists() for text in (name, *found))]
    if any("\0" in text for text in texts):
        raise Unreadable("What was sent holds the character NUL, which is in no text.")
