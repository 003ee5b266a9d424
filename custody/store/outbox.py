"""The outbox: notices that no relay has accepted yet, and who is sending which.

A notice is put here by the transaction that made it (`Page`), and leaves by the one that records its
acceptance. In between it is taken up under a *lease*: a process that dies while it sends loses the lease
after a while, and another takes the notice up, under the same Message-ID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.store.book import Book

LEASE: Final = timedelta(seconds=30)
TAKEN_AT_ONCE: Final = 200
TOGETHER_ABOVE: Final = 20
"""More matters than this for one person at once come as one message that lists them."""
LISTED_MOST: Final = 100

_outbox = SQLModel.metadata.tables["outbox"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Notices that go to one person in one message."""

    message: str
    person: str
    channel: str
    notices: tuple[str, ...]
    attempts: int


def take(book: Book, now: datetime) -> list[Parcel]:
    """Takes up what is due, seniors first, and leases it to the caller until `now` and LEASE."""
    free = sa.or_(_outbox.c.lease.is_(None), _outbox.c.lease < now)
    due = (
        sa.select(_outbox)
        .where(_outbox.c.not_before <= now, free)
        .order_by(_outbox.c.priority, _outbox.c.not_before, _outbox.c.person, _outbox.c.notice)
        .limit(TAKEN_AT_ONCE)
    )
    with book.writing() as connection:
        rows = connection.execute(due).all()
        last = rows[-1].message if rows else None
        if last is not None:
            # the limit may have cut through a list that was begun, and its id stands for all of it
            rows = [row for row in rows if row.message != last]
            rows += connection.execute(sa.select(_outbox).where(_outbox.c.message == last)).all()
        parcels = [parcel for group in _by_person(rows) for parcel in _parcels(group, book.origin)]
        for parcel in parcels:
            connection.execute(
                sa.update(_outbox)
                .where(_outbox.c.notice.in_(parcel.notices))
                .values(lease=now + LEASE * book.pace, message=parcel.message, attempts=parcel.attempts)
            )
    return parcels


def give_back(connection: sa.Connection, notices: Sequence[str], not_before: datetime) -> None:
    """These were not accepted: nobody is sending them, and they are due again then."""
    connection.execute(
        sa.update(_outbox).where(_outbox.c.notice.in_(notices)).values(lease=None, not_before=not_before)
    )


def next_due(connection: sa.Connection) -> datetime | None:
    """When the next notice is due, None where the outbox is empty."""
    earliest: datetime | None = connection.scalar(
        sa.select(sa.func.min(_outbox.c.not_before)).where(_outbox.c.lease.is_(None))
    )
    return earliest


def _by_person(rows: Iterable[sa.Row[tuple[object, ...]]]) -> list[list[sa.Row[tuple[object, ...]]]]:
    """By person and channel; and what is told beside the ladder never hides an alarm in its list."""
    groups: dict[tuple[str, str, bool], list[sa.Row[tuple[object, ...]]]] = {}
    for row in rows:
        groups.setdefault((row.person, row.channel, row.notice.startswith("E-")), []).append(row)
    return list(groups.values())


def _parcels(rows: list[sa.Row[tuple[object, ...]]], origin: str) -> list[Parcel]:
    """Messages that were begun before stay as they were; the rest go together where they are many."""
    begun = [row for row in rows if row.message is not None]
    fresh = [row for row in rows if row.message is None]
    size = LISTED_MOST if len(fresh) > TOGETHER_ABOVE else 1
    parts = [fresh[start : start + size] for start in range(0, len(fresh), size)]
    parts += [list(part) for _, part in groupby(sorted(begun, key=_message), key=_message)]
    return [_parcel(part, origin) for part in parts]


def _message(row: sa.Row[tuple[object, ...]]) -> str:
    return str(row.message)


def _parcel(rows: list[sa.Row[tuple[object, ...]]], origin: str) -> Parcel:
    keys = tuple(str(row.notice) for row in rows)
    name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
    message = rows[0].message or f"<{name}@{origin.partition('/')[0]}>"
    return Parcel(
        message=str(message),
        person=str(rows[0].person),
        channel=str(rows[0].channel),
        notices=keys,
        attempts=max(int(row.attempts) for row in rows) + 1,
    )
