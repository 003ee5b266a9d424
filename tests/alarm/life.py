"""One life of a monitor process, and the points at which it can be made to end.

    process = multiprocessing.get_context("forkserver").Process(target=live, args=(Life(...),))

The process opens the real book, runs the real `Monitor` against a real relay, and at its point it gets what
`kill -9` sends. The points are put around the product's functions from here: the product knows of none.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import smtplib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from rounds import ENDS_WITHIN, go_round, watch

from custody.acts import alarms, notices, pulses
from custody.channels.email import Email, Relay
from custody.monitor import Monitor
from custody.rules.notices import Channel, Message
from custody.store import home, outbox
from custody.store.book import Book, Page


@dataclass(frozen=True)
class Life:
    """What a process is born with. `point` names where it dies, at the `number`th time it comes there."""

    folder: Path
    at: datetime
    port: int
    point: str | None = None
    number: int = 1
    mistake: str | None = None


class OneRound(threading.Event):
    """Stops a monitor after a round, where it would sleep, when all that this began has ended."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self._monitor = monitor

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - the clock stands still in a life
        assert self._monitor.deliveries.settle(ENDS_WITHIN)
        self.set()
        return True


@dataclass
class Interrupted:
    """A channel at whose every message another monitor goes round, from first to last."""

    real: Channel
    other: Monitor

    def send(self, message: Message) -> str:
        go_round(self.other)
        return self.real.send(message)

    def close(self) -> None:
        self.real.close()


def live(life: Life) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    book = home.open_book(life.folder, lambda: life.at, secrets.token_bytes)
    relay = Relay("127.0.0.1", life.port, "alarms@test.example", tls="none")
    monitor = watch(book, Email(relay, book.clock))
    if life.mistake is not None:
        MISTAKES[life.mistake]()
    if life.point is not None:
        POINTS[life.point](book, _Fuse(life.number))
    monitor.run(OneRound(monitor))


class _Fuse:
    """Ends this process at the n-th call."""

    def __init__(self, number: int) -> None:
        self._left = number

    def burn(self, *_: object) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _before(holder: Any, name: str) -> Callable[[Book, _Fuse], None]:
    def put(_: Book, fuse: _Fuse) -> None:
        real = getattr(holder, name)

        def wrapped(*values: Any, **named: Any) -> Any:
            fuse.burn()
            return real(*values, **named)

        setattr(holder, name, wrapped)

    return put


def _after(holder: Any, name: str) -> Callable[[Book, _Fuse], None]:
    def put(_: Book, fuse: _Fuse) -> None:
        real = getattr(holder, name)

        def wrapped(*values: Any, **named: Any) -> Any:
            result = real(*values, **named)
            fuse.burn()
            return result

        setattr(holder, name, wrapped)

    return put


def _in_close(book: Book, fuse: _Fuse) -> None:
    """At the n-th statement that a page writes when it closes."""
    real = Page.close

    def close(page: Page, how: Any) -> None:
        sa.event.listen(book.engine, "before_cursor_execute", fuse.burn)
        real(page, how)
        sa.event.remove(book.engine, "before_cursor_execute", fuse.burn)

    Page.close = close  # type: ignore[method-assign]  # this process is here to be broken


def _around_commit(put: Callable[[Any, str], Callable[[Book, _Fuse], None]]) -> Callable[[Book, _Fuse], None]:
    return lambda book, fuse: put(book.engine.dialect, "do_commit")(book, fuse)


def _anywhere(_: Book, fuse: _Fuse) -> None:
    """At the n-th call or return of any function, Python's or C's."""
    threading.setprofile(fuse.burn)
    sys.setprofile(fuse.burn)


POINTS: dict[str, Callable[[Book, _Fuse], None]] = {
    "before take": _before(outbox, "take"),
    "after take": _after(outbox, "take"),
    "before send": _before(notices, "send"),
    "before an answer is read": _before(smtplib.SMTP, "getreply"),
    "after the 250, before the mark": _before(notices, "mark"),
    "after the mark": _after(notices, "mark"),
    "while a page closes": _in_close,
    "before COMMIT": _around_commit(_before),
    "after COMMIT": _around_commit(_after),
    "between two facts": _after(Page, "record"),
    "between two alarms": _after(alarms, "_climb_one"),
    "before the pulse": _before(pulses, "pulse"),
    "anywhere": _anywhere,
}
"""Where a life can end."""


def _mark_first() -> None:
    real = notices.send

    def send(book: Book, channels: Any, parcel: Any, site: str) -> Any:
        notices.mark(book, parcel, notices.Sent("accepted", "250 surely"))
        return real(book, channels, parcel, site)

    notices.send = send


MISTAKES: dict[str, Callable[[], None]] = {"mark first": _mark_first}
"""Mutants of the product. A test that does not see them proves nothing."""
