"""Serving the pages, with the monitor and the guard beside them as processes of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import structlog
from flask import Flask

from custody import files
from custody.acts import documents
from custody.cli import parts
from custody.cli.server import Server, check_listening
from custody.monitor import Monitor
from custody.settings import Settings
from custody.store import accounts
from custody.store.book import Book
from custody.store.verdict import VerdictFile
from scanner_app import photographs
from web.app import WebSettings, create_app
from web.room import look

log = structlog.get_logger("custody.serve")
RESTART_AFTER = 1.0
"""Seconds until a part that has ended is started again."""
PUBLISH_EVERY = 10.0
"""Seconds between two rounds of asking the witnesses."""
SESSION_KEY = 64
"""Hexadecimal digits of the key that signs session cookies."""


@click.command()
@parts.book_option
@click.option("--parent", type=int, hidden=True, help="Ends when this process is not its parent any more.")
def monitor(folder: Path, parent: int | None) -> None:
    """Watch a book: record what is overdue, send what must be told. Any number may run."""
    settings = Settings()
    book = parts.open_book(folder)
    stop = parts.stopping(parent)
    channels, beat = parts.channels(settings, parts.clock), parts.heartbeat(settings)
    pin, guard = parts.pin(settings, folder), VerdictFile(folder)
    watch = Monitor(book, channels, settings.base_url, beat, pin, parts.clock, guard)
    log.info("watching", book=str(folder), log=book.origin)
    watch.run(stop)


@click.command()
@parts.book_option
@click.option(
    "--without-monitor",
    is_flag=True,
    help="It runs elsewhere (custody monitor), and so does custody fsck --nightly.",
)
def serve(folder: Path, without_monitor: bool) -> None:
    """Serve the pages, and keep the monitor and the guard running beside them."""
    settings = Settings()
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError("CUSTODY_LISTEN is an address and a port, such as 127.0.0.1:8080.")
    check_listening(host, int(port), encrypted=settings.tls_certificate is not None)
    book = parts.open_book(folder)
    if book.is_demo:
        raise click.UsageError("A demo's book is served by `custody demo` alone: it accepts one-time links.")
    guard = None if without_monitor else VerdictFile(folder)
    server = Server(lambda: pages(parts.open_book(folder), web_settings(settings, folder, guard)), settings)
    if not without_monitor:
        parts.channels(settings, parts.clock)  # a setting that is refused is said here, and not by a child
        parts.heartbeat(settings)
        command = [sys.executable, "-m", "custody", "monitor", "--book", str(folder)]
        Supervisor("monitor", [*command, "--parent", str(os.getpid())]).start()
        command = [sys.executable, "-m", "custody", "fsck", "--nightly", "--book", str(folder)]
        Supervisor("guard", [*command, "--parent", str(os.getpid())]).start()
    if book.trust.urls:
        command = [sys.executable, "-m", "custody", "log", "publish", "--book", str(folder)]
        command += ["--every", str(PUBLISH_EVERY), "--parent", str(os.getpid())]
        Supervisor("publisher", command).start()
    book.engine.dispose()  # SQLite's connections must not cross a fork: the worker opens its own
    server.run()


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
    """Ends this worker. The next one opens the book anew, and does not begin where that is refused."""
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


class Supervisor(threading.Thread):
    """Keeps a child process running for as long as this process does."""

    def __init__(self, part: str, command: list[str]) -> None:
        super().__init__(daemon=True, name=f"supervisor of the {part}")
        self._part = part
        self._command = command

    def run(self) -> None:
        """Starts the child, waits for its end, and starts it again."""
        while True:
            try:
                code = subprocess.Popen(self._command).wait()  # noqa: S603 - our own command
                time.sleep(RESTART_AFTER)  # where all of it is being stopped, this is the end
                log.error("a part ended and is started again", part=self._part, code=code)
            except Exception as problem:  # no memory, no process, no log: none of it may end the watching
                with contextlib.suppress(Exception):
                    log.exception("a part could not be started", part=self._part, why=str(problem))
                time.sleep(RESTART_AFTER)
