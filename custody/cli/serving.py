"""Serving the pages, with the monitor and the guard beside them, each as a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import structlog

from custody.cli import parts
from custody.cli.listening import check_certificate, listen
from custody.cli.signals import stopping
from custody.monitor import Monitor
from custody.settings import Settings
from custody.store.verdict import VerdictFile

log = structlog.get_logger("custody.serve")
PATIENCE = 30.0
"""Seconds that parts have for an orderly end, the pages twenty of them for what was asked."""
RESTART_AFTER = 1.0
"""Seconds until a part that has ended is started again."""
PUBLISH_EVERY = 10.0
"""Seconds between two rounds of asking the witnesses."""


@click.command()
@parts.book_option
@click.option("--parent", type=int, hidden=True, help="Ends when this process is not its parent any more.")
def monitor(folder: Path, parent: int | None) -> None:
    """Watch a book: record what is overdue, send what must be told. Any number may run."""
    settings = Settings()
    book = parts.open_book(folder)
    stop = stopping(parent)
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
@click.option(
    "--socket", "shared", type=int, hidden=True, help="The pages alone, on this socket of the parent's."
)
@click.option("--parent", type=int, hidden=True, help="Ends when this process is not its parent any more.")
def serve(folder: Path, without_monitor: bool, shared: int | None, parent: int | None) -> None:
    """Serve the pages, and keep the monitor and the guard running beside them."""
    settings = Settings()
    if shared is not None:
        from custody.cli import pages  # noqa: PLC0415 - half of the memory, which only this process needs

        guard = None if without_monitor else VerdictFile(folder)
        pages.serve(folder, settings, guard, socket.socket(fileno=shared), stopping(parent))
        return
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError("CUSTODY_LISTEN is an address and a port, such as 127.0.0.1:8080.")
    check_certificate(settings)
    listening = listen(host, int(port), encrypted=settings.tls_certificate is not None)
    book = parts.open_book(folder)
    if book.is_demo:
        raise click.UsageError("A demo's book is served by `custody demo` alone: it accepts one-time links.")
    ending = stopping(None)

    def part(name: str, *words: str, shared: tuple[int, ...] = ()) -> Supervisor:
        here = ["--book", str(folder), "--parent", str(os.getpid())]
        return Supervisor(name, [sys.executable, "-m", "custody", *words, *here], ending, shared)

    alone = ["--without-monitor"] if without_monitor else []
    kept = [part("pages", "serve", "--socket", str(listening.fileno()), *alone, shared=(listening.fileno(),))]
    if not without_monitor:
        parts.channels(settings, parts.clock)  # a setting that is refused is said here, and not by a child
        parts.heartbeat(settings)
        kept += [part("monitor", "monitor"), part("guard", "fsck", "--nightly")]
    if book.trust.urls:
        kept.append(part("publisher", "log", "publish", "--every", str(PUBLISH_EVERY)))
    book.engine.dispose()
    for each in kept:
        each.start()
    ending.wait()
    for each in kept:
        each.end()
    until = time.monotonic() + PATIENCE
    for each in kept:
        each.join(max(0, until - time.monotonic()))


class Supervisor(threading.Thread):
    """Keeps a child process running until `ending` is set. `shared` are descriptors that it inherits."""

    def __init__(
        self, part: str, command: list[str], ending: threading.Event, shared: tuple[int, ...] = ()
    ) -> None:
        super().__init__(daemon=True, name=f"supervisor of the {part}")
        self._part = part
        self._command = command
        self._ending = ending
        self._shared = shared
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Starts the child, waits for its end, and starts it again."""
        while not self._ending.is_set():
            try:
                self._child = subprocess.Popen(self._command, pass_fds=self._shared)  # noqa: S603 - our own
                code = self._child.wait()
                if not self._ending.wait(RESTART_AFTER):  # else all of it is being stopped
                    log.error("a part ended and is started again", part=self._part, code=code)
            except Exception as problem:  # no memory, no process, no log: none of it may end the watching
                with contextlib.suppress(Exception):
                    log.exception("a part could not be started", part=self._part, why=str(problem))
                self._ending.wait(RESTART_AFTER)

    def end(self) -> None:
        """Asks the child to end."""
        if self._child is not None:
            self._child.terminate()
