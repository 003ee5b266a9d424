"""What people and the clock do about alarms: acknowledge, report a find, climb."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlmodel import SQLModel

from custody.acts.telling import tell
from custody.errors import Conflict, Forbidden, Impossible
from custody.facts import Acknowledged, Decided, Sighted
from custody.rules.alarms import ACKNOWLEDGED_FOR, Alarm
from custody.rules.consignments import trip_of
from custody.rules.incidents import expect_alarms
from custody.rules.media import Medium
from custody.rules.overdue import overseers, owed
from custody.rules.people import require
from custody.store.book import Book, Page

log = structlog.get_logger("custody.alarms")
_alarm = SQLModel.metadata.tables["alarm"]
ALARMS_ON_A_PAGE: Final = 100
"""Alarms that climb in one transaction: a burst of a thousand is ten, and others may write between them."""
FACTS_OF_AN_ALARM: Final = 16
"""What one alarm can owe at most, after the longest sleep: its rungs, an incident, the newest repeat."""


def acknowledge(book: Book, by: str, name: str, *, how: str = "web") -> None:
    """The signed-in person knows. It spares them the repeats for an hour, and ends nothing."""
    with book.page(how) as page:
        require(page.world, by, "acknowledge an alarm")
        alarm = page.world.get(Alarm, name)
        if by not in alarm.told:
            raise Forbidden("Only somebody who was told can acknowledge this alarm.")
        if alarm.ended_at is not None:
            raise Conflict("This alarm has ended already.")
        if any(a.person == by and page.now - a.at < ACKNOWLEDGED_FOR / 2 for a in alarm.acknowledgements):
            raise Conflict("You have acknowledged this already: the repeats are spared you for an hour.")
        rung = alarm.rung if alarm.repeat else max(alarm.rung - 1, 0)
        page.record(Acknowledged(by, name, rung))


def sight(book: Book, item: str, report: str, *, how: str = "web") -> None:
    """A stranger scanned a label and says where the thing is. For one on its way, that is an alarm.

    Of anything else the seniors and the managers of its site are told, once an hour.
    """
    with book.page(how) as page:
        thing = page.world.get(Medium, item)
        found = page.record(Sighted(item, page.private(report)))
        if trip_of(page.world, thing) is None and not thing.sighted(page.now):
            tell(page, found.event, "found", overseers(page.world, thing.site))


def decision(page: Page, incident: str, owner: str, what: str, reason: str) -> Decided:
    """A decision for its maker to sign; the reason goes where it can be erased."""
    return Decided(incident, owner, what, page.private(reason))  # type: ignore[arg-type]  # an order has judged it


def climb(book: Book, *, how: str = "monitor") -> tuple[int, datetime | None]:
    """Records every rung that is owed by now: how many facts that took, and when the next is due, if any.

    The alarms that owe something are found by an index on when they next do: the cost grows with what is
    due, not with what exists.
    """
    climbed = 0
    try:
        while count := _climb_some(book, how):
            climbed += count
    except Impossible:
        climbed += _climb_one_by_one(book, how)
    with book.read() as connection:
        return climbed, connection.scalar(sa.select(sa.func.min(_alarm.c.next_at)))


def _climb_some(book: Book, how: str) -> int:
    with book.page(how) as page:
        count = 0
        names = page.connection.scalars(_due(page.now).limit(ALARMS_ON_A_PAGE)).all()
        expect_alarms(page.world, names)
        for name in names:
            count += _climb_one(page, name)
            if page.room < FACTS_OF_AN_ALARM:
                break
        return count


def _climb_one_by_one(book: Book, how: str) -> int:
    """After a refusal: each alarm on a page of its own, so that one that cannot climb stops no other."""
    with book.read() as connection:
        names = connection.scalars(_due(book.now())).all()
    count = 0
    for name in names:
        try:
            with book.page(how) as page:
                count += _climb_one(page, name)
        except Impossible as problem:
            log.exception("an alarm cannot climb", alarm=name, why=str(problem))
    return count


def _due(now: datetime) -> sa.Select[Any]:
    """The alarms that owe something, the oldest first."""
    due = sa.select(_alarm.c.id).where(_alarm.c.next_at <= now)
    return due.order_by(_alarm.c.next_at, _alarm.c.number)


def _climb_one(page: Page, name: str) -> int:
    count = 0
    while (fact := owed(page.world, page.world.get(Alarm, name), page.now)) is not None:
        page.record(fact)
        count += 1
    return count
