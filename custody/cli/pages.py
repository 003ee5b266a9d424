"""The pages of a book as a server runs them: the web's, and the courier's beside them."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from pathlib import Path

from flask import Flask

from custody import files
from custody.acts import documents
from custody.cli import parts
from custody.cli.server import Server
from custody.settings import Settings
from custody.store import accounts
from custody.store.book import Book
from custody.store.verdict import VerdictFile
from scanner_app import photographs
from web.app import PHOTOGRAPH_MOST, WebSettings, create_app
from web.room import look

SESSION_KEY = 64
"""Hexadecimal digits of the key that signs session cookies."""


def serve(
    folder: Path,
    settings: Settings,
    guard: VerdictFile | None,
    listening: socket.socket,
    stop: threading.Event,
) -> None:
    """Serves the book's pages on this socket until `stop` is set; `guard` has what the guard found."""

    def make_app() -> Flask:
        return pages(parts.open_book(folder), web_settings(settings, folder, guard))

    Server(make_app, settings, PHOTOGRAPH_MOST).run(listening, stop)


def pages(book: Book, settings: WebSettings) -> Flask:
    """All the pages: the web's, and the courier's beside them."""
    return create_app(book, settings, [photographs.blueprint(look)])


def web_settings(settings: Settings, folder: Path, guard: VerdictFile | None = None) -> WebSettings:
    """What the pages run with. The key of the session cookies is made once and kept with the others."""
    return WebSettings(
        secret_key=_session_key(folder / "keys" / "sessions"),
        base_url=settings.base_url,
        secure_cookies=settings.base_url.startswith("https://"),
        label_host=settings.label_host,
        found_phone=settings.found_phone,
        proxies=settings.proxies,
        incident_pdf=_incident_pdf,
        stop=_stop,
        guard=guard,
    )


def _stop() -> None:
    """Ends this process. The next one opens the book anew, and does not begin where that is refused."""
    os.kill(os.getpid(), signal.SIGTERM)


def _incident_pdf(book: Book, name: str) -> bytes:
    with book.read() as connection:
        known = accounts.names(connection)
    return documents.incident_pdf(book, name, known.get)


def _session_key(path: Path) -> str:
    """One that is empty or cut short, as a full disk may leave it, is no key, and is made anew."""
    key = files.read(path).decode("ascii", "replace").strip() if path.exists() else ""
    if len(key) < SESSION_KEY:
        key = secrets.token_hex(SESSION_KEY // 2)
        with files.whole(path, 0o600) as out:
            out.write(key.encode())
    return key
