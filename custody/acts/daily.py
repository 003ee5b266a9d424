"""What the clock does each day: it tells the seniors a checkpoint, and compares the book with itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import structlog

from custody.errors import Away, Conflict, NoRoom, Untrusted
from custody.ledger.note import Checkpoint
from custody.rules import daily
from custody.rules.daily import Pin, SelfAudit
from custody.store import home
from custody.store.book import Book, newest_note
from custody.store.fsck import Tell, Wrong, fsck

log = structlog.get_logger("custody.daily")
GIVEN_UP: Final = 6
"""The hour, UTC, from which on a comparison that cannot be made is told as one that found a difference."""


def tell_checkpoint(book: Book, *, how: str = "monitor") -> bool:
    """Tells the seniors the newest checkpoint where this day's mail is owed; whether it was."""
    with book.world() as world:  # asked every second, and owed once a day: nobody is kept from writing
        if not daily.is_owed(world, Pin, book.now()):
            return False
    with book.page(how) as page:
        if not daily.is_owed(page.world, Pin, page.now):
            return False
        page.record(daily.pin(page.world, Checkpoint.of(newest_note(page.connection)).seen))
        return True


def self_audit(
    book: Book, tell: Tell = lambda _done, _of: None, *, how: str = "monitor"
) -> list[Wrong] | None:
    """Compares the book with itself where this night's comparison is owed; differences are told the seniors.

    Gives them; None where nothing was owed. It takes long for a large book, and keeps nobody from writing
    meanwhile. Away, Conflict or NoRoom where it could not be made: do it again. From GIVEN_UP on that is told
    the seniors, too; where not even this can be recorded, the board says how long nobody has looked.
    """
    began = book.now()
    with book.world() as world:
        if not daily.is_owed(world, SelfAudit, began):
            return None
    found = _compare(book, began, tell)
    with book.page(how) as page:
        if found:
            log.error("the book differs from its ledger", differences=len(found), first=found[0].words)
        if not daily.is_done(page.world, SelfAudit, page.now):  # by another process, which began earlier
            first = found[0].place if found else None
            page.record(daily.self_audit(page.world, len(found), first))
    return found


def _unguarded(book: Book) -> Iterator[Wrong]:
    """Whoever took away a trigger or gave the servers' role a right may have used it already."""
    try:
        with book.read() as connection:
            home.check(book.database, connection)
    except Untrusted as problem:
        yield Wrong("book", str(problem))


def _compare(book: Book, began: datetime, tell: Tell) -> list[Wrong]:
    """Whatever the book itself ends early is a difference, too: a table can be spoilt past reading."""
    found: list[Wrong] = []
    try:
        found += _unguarded(book)
        return [*found, *fsck(book, tell)]
    except Exception as problem:
        if isinstance(problem, (Away, Conflict, NoRoom)) and began.hour < GIVEN_UP:
            raise  # it is done again when the database, the helpers or the disk are back
        log.exception("the book cannot be compared with itself")
        return [*found, Wrong("book", f"The book could not be read to its end: {problem!r}")]
