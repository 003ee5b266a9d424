"""Signs of life, for the board: when a part of the system last finished its round."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.store import outbox
from custody.store.book import Book
from custody.store.queries import View, unclimbed

SILENT_MOST: Final = timedelta(seconds=90)
"""A monitor goes round every second. After so long without a sign nobody would be told of a loss."""
WITNESS_LATE: Final = timedelta(minutes=5)
"""So long a witness may take: it is asked every few seconds."""

_pulse, _notice, _outbox, _alarm = (
    SQLModel.metadata.tables[name] for name in ("pulse", "notice", "outbox", "alarm")
)


def unheard(book: Book, before: datetime) -> datetime | None:
    """For when the oldest alert was, due before then, that has reached nobody whom its rung told; or None.

    Reminders, all-clears and what is told beside the ladder are no alerts. One mailbox that takes nothing
    is no alert that nobody has.
    """
    same_rung = sa.alias(_notice)
    heard = sa.exists().where(
        same_rung.c.about == _notice.c.about,
        same_rung.c.scheduled == _notice.c.scheduled,
        same_rung.c.accepted_at.is_not(None),
    )
    waiting = (
        sa.select(sa.func.min(_notice.c.scheduled))
        .join(_outbox, _outbox.c.notice == _notice.c.id)
        .join(_alarm, _alarm.c.id == _notice.c.about)
        .where(
            _notice.c.scheduled < before,
            _notice.c.scheduled >= _alarm.c.due,
            _notice.c.id.not_like("%/clear/%"),
            ~heard,
        )
    )
    with book.read() as connection:
        oldest: datetime | None = connection.scalar(waiting)
        return oldest


def stuck(book: Book) -> list[str]:
    """The alarms that owe something and do not climb: nobody is told by them."""
    with book.read() as connection:
        return unclimbed(connection, book)


def absent(view: View) -> dict[str, datetime]:
    """The witnesses that have been behind for longer than a moment, and since when."""
    late = view.now - WITNESS_LATE
    return {name: since for name, since in view.waiting_for().items() if since < late}


def pulse(book: Book, name: str) -> datetime | None:
    """Writes down that this part is alive now, and gives when the next notice is due, if any waits."""
    with book.writing() as connection:
        changed = connection.execute(sa.update(_pulse).where(_pulse.c.name == name).values(at=book.clock()))
        if not changed.rowcount:
            connection.execute(sa.insert(_pulse).values(name=name, at=book.clock()))
        return outbox.next_due(connection)
