"""The outbox: notices that no relay has accepted yet, and who is sending which.

A notice is put here by the transaction that made it (`Page`), and leaves by the one that records its
acceptance. In between it is taken up under a *lease*, which the process that sends it renews: of one that
dies while it sends the lease runs out after a while, and another takes the notice up, under the same
Message-ID.

Times here are the machine's, which may be set wrong for a moment. So what was put off by a clock that was far
ahead is due, and a lease that lies further ahead than a lease can is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.rules.notices import ALERT_OF_A_SENIOR, is_digest
from custody.store.book import Book
from custody.store.tables import Moment

LEASE: Final = timedelta(seconds=30)
APART: Final = timedelta(minutes=1)
"""So far the clocks of two machines may be apart: what lies further ahead was written by a wrong one."""
REFUSED_MOST: Final = timedelta(days=1)
"""A mailbox that refuses is tried again after so long at most: attempts never end."""
LOOKED_AT: Final = 200
"""Notices among which it is chosen what is taken up."""
TOGETHER_ABOVE: Final = 20
"""More matters than this for one person at once come as one message that lists them."""
LISTED_MOST: Final = 100

_outbox = SQLModel.metadata.tables["outbox"]
_Row = sa.Row[Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Notices that go to one person in one message. Of two parcels the one of lower `priority` goes first."""

    message: str
    person: str
    channel: str
    notices: tuple[str, ...]
    attempts: int
    priority: int

    @property
    def goes_first(self) -> bool:
        """Whether it is an alert to a senior manager."""
        return self.priority == ALERT_OF_A_SENIOR


def take(book: Book, most: int, others: int, besides: Collection[str] = ()) -> list[Parcel]:
    """Takes up at most so many parcels that are due, seniors first, and leases them to the caller.

    At most `others` of them are no alerts of seniors. `besides` are messages that stay as they are.
    """
    now = book.clock()
    due = sa.or_(_outbox.c.not_before <= now, _outbox.c.set_at > now + APART * book.pace)
    free = sa.or_(
        _outbox.c.lease.is_(None),
        _outbox.c.lease < now,
        _outbox.c.lease > now + (LEASE + APART) * book.pace,
    )
    query = (
        sa.select(_outbox)
        .where(due, free, sa.or_(_outbox.c.message.is_(None), _outbox.c.message.not_in(besides)))
        .order_by(_outbox.c.priority, _outbox.c.not_before, _outbox.c.person, _outbox.c.notice)
        .limit(LOOKED_AT)
    )
    if not others:
        query = query.where(_outbox.c.priority == ALERT_OF_A_SENIOR)
    with book.writing() as connection:
        rows = connection.execute(query).all()
        last = rows[-1].message if rows else None
        if last is not None:
            # the limit may have cut through a list that was begun, and its id stands for all of it
            rows = [row for row in rows if row.message != last]
            rows += connection.execute(sa.select(_outbox).where(_outbox.c.message == last)).all()
        parcels = _chosen(
            [p for group in _by_person(rows) for p in _parcels(group, book.origin)], most, others
        )
        for parcel in parcels:
            connection.execute(
                _those(parcel.notices).values(
                    lease=now + LEASE * book.pace, message=parcel.message, attempts=parcel.attempts
                )
            )
    return parcels


def renew(book: Book, notices: Sequence[str]) -> None:
    """These are still being sent by the caller."""
    with book.writing() as connection:
        connection.execute(_those(notices).values(lease=book.clock() + LEASE * book.pace))


def give_back(connection: sa.Connection, notices: Sequence[str], now: datetime, pause: timedelta) -> None:
    """These were not accepted: nobody is sending them, and they are due again after the pause."""
    connection.execute(_those(notices).values(lease=None, set_at=now, not_before=now + pause))


def next_due(connection: sa.Connection) -> datetime | None:
    """When the next notice is due, None where the outbox is empty."""
    earliest: datetime | None = connection.scalar(
        sa.select(sa.func.min(_outbox.c.not_before)).where(_outbox.c.lease.is_(None))
    )
    return earliest


# --------------------------------------------------------------------------- a mailbox that takes nothing


def refusing_since(connection: sa.Connection, person: str, channel: str) -> datetime | None:
    """Since when this person's mailbox refuses something that waits; None where it does not."""
    since: datetime | None = connection.scalar(
        sa.select(sa.func.min(_outbox.c.refused_at)).where(*_mailbox(person, channel))
    )
    return since


def refused(connection: sa.Connection, parcel: Parcel, now: datetime, pause: timedelta) -> None:
    """The mailbox refused this: all that was tried for it waits for the pause, and would fare no better."""
    give_back(connection, parcel.notices, now, pause)
    first = sa.func.coalesce(_outbox.c.refused_at, sa.literal(now, Moment()))
    connection.execute(_those(parcel.notices).values(refused_at=first))
    tried = (_outbox.c.attempts > 0, _outbox.c.lease.is_(None))
    connection.execute(
        sa.update(_outbox)
        .where(*_mailbox(parcel.person, parcel.channel), *tried)
        .values(set_at=now, not_before=now + pause)
    )


def taken_again(connection: sa.Connection, person: str, channel: str, now: datetime) -> None:
    """The mailbox took a message: all that waits for it is due now."""
    connection.execute(
        sa.update(_outbox).where(*_mailbox(person, channel)).values(set_at=now, not_before=now)
    )


def _mailbox(person: str, channel: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_outbox.c.person == person, _outbox.c.channel == channel)


def _those(notices: Sequence[str]) -> sa.Update:
    return sa.update(_outbox).where(_outbox.c.notice.in_(notices))


# ------------------------------------------------------------------------------------------------ parcels


def _by_person(rows: Iterable[_Row]) -> list[list[_Row]]:
    """By person and channel; and what is told beside the ladder never hides an alarm in its list."""
    groups: dict[tuple[str, str, bool, int], list[_Row]] = {}
    for row in rows:
        digest = row.priority if is_digest(row.priority) else 0
        groups.setdefault((row.person, row.channel, row.notice.startswith("E-"), digest), []).append(row)
    return list(groups.values())


def _parcels(rows: list[_Row], origin: str) -> list[Parcel]:
    """Messages that were begun before stay as they were; the rest go together where they are many.

    What comes as a digest goes together, however little it is.
    """
    begun = [row for row in rows if row.message is not None]
    fresh = [row for row in rows if row.message is None]
    together = len(fresh) > TOGETHER_ABOVE or any(is_digest(row.priority) for row in fresh)
    size = LISTED_MOST if together else 1
    parts = [fresh[start : start + size] for start in range(0, len(fresh), size)]
    parts += [list(part) for _, part in groupby(sorted(begun, key=_message), key=_message)]
    return [_parcel(part, origin) for part in parts]


def _chosen(parcels: list[Parcel], most: int, others: int) -> list[Parcel]:
    """The first of them, by priority, with no more of one kind than may be."""
    first = [parcel for parcel in parcels if parcel.goes_first]
    rest = sorted((parcel for parcel in parcels if not parcel.goes_first), key=_priority)
    return [*first, *rest[:others]][:most]


def _message(row: _Row) -> str:
    return str(row.message)


def _priority(parcel: Parcel) -> int:
    return parcel.priority


def _parcel(rows: list[_Row], origin: str) -> Parcel:
    keys = tuple(str(row.notice) for row in rows)
    name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
    message = rows[0].message or f"<{name}@{origin.partition('/')[0]}>"
    return Parcel(
        message=str(message),
        person=str(rows[0].person),
        channel=str(rows[0].channel),
        notices=keys,
        attempts=max(int(row.attempts) for row in rows) + 1,
        priority=min(int(row.priority) for row in rows),
    )
