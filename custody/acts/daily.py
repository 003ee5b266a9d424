"""What the clock does each day: it tells the seniors a checkpoint, and compares the book with its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from custody.errors import Away, Conflict, NoRoom, Untrusted
from custody.ledger.note import Checkpoint
from custody.rules import daily
from custody.rules.daily import SelfAudit
from custody.rules.people import Person
from custody.store import home
from custody.store.book import Book, newest_note
from custody.store.fsck import Examined, Ledger, Tell, addressed, examine
from custody.store.rows import Wrong

log = structlog.get_logger("custody.daily")
GIVEN_UP: Final = timedelta(hours=4)
"""After so much of the night a comparison that cannot be made is told as one that found a difference."""


def tell_checkpoint(book: Book, *, how: str = "monitor") -> bool:
    """Tells the seniors the newest checkpoint where this day's mail is owed; whether it was."""
    with book.world() as world:  # asked every second, and owed once a day: nobody is kept from writing
        if not daily.is_owed(world, book.now()):
            return False
    with book.page(how) as page:
        if not daily.is_owed(page.world, page.now):
            return False
        page.record(daily.pin(page.world, Checkpoint.of(newest_note(page.connection)).seen))
        return True


def compare(book: Book, tell: Tell = lambda _done, _of: None) -> Examined:
    """Compares the book with its ledger. It takes long for a large book, and keeps nobody from writing.

    Away, Conflict or NoRoom where it could not be made: do it again. Later than GIVEN_UP that is a
    difference, as is whatever else ends it early: a table can be spoilt past reading.
    """
    began = book.clock()
    found: list[Wrong] = []
    try:
        found += _unguarded(book)
        examined = examine(book, tell)
    except Exception as problem:
        if isinstance(problem, (Away, Conflict, NoRoom)) and began - daily.night(began) < GIVEN_UP:
            raise  # it is done again when the database, the helpers or the disk are back
        log.exception("the book cannot be compared with itself")
        words = f"The book could not be read to its end: {problem!r}"
        return Examined([*found, Wrong("book", words)], None)
    return Examined([*found, *examined.wrong], examined.ledger)


def _unguarded(book: Book) -> list[Wrong]:
    """Whoever took away a trigger or gave the servers' role a right may have used it already."""
    try:
        with book.read() as connection:
            home.check(book.database, connection)
    except Untrusted as problem:
        return [Wrong("book", str(problem))]
    return []


def within_reach(book: Book, ledger: Ledger | None) -> list[Person]:
    """The seniors whose address can be read, by the ledger: the tables may say that there are none.

    Where there is no ledger that can be followed, by the tables.
    """
    if ledger is not None:
        return addressed(book, daily.seniors(ledger.world))
    with book.world() as world:
        people = daily.seniors(world)
    return addressed(book, people)


def said_today(book: Book, ledger: Ledger | None, found: Sequence[Wrong]) -> bool:
    """Whether the newest comparison of which the ledger tells is of this day, and found as much."""
    *_, newest = [None, *ledger.world.all(SelfAudit)] if ledger is not None else [None]
    first = found[0].place if found else None
    return (
        newest is not None
        and daily.day(newest.at) == daily.day(book.now())
        and (newest.differences, newest.first) == (len(found), first)
    )


def tell_found(book: Book, found: Sequence[Wrong], people: Sequence[Person], *, how: str = "monitor") -> int:
    """Records what was found, or that nothing was; how many of these people are told of it."""
    first = found[0].place if found else None
    with book.page(how) as page:
        told = [person for person in people if page.world.find(Person, person.id) is not None]
        page.record(daily.self_audit(len(found), first, told if found else ()))
    return len(told)
