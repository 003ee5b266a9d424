"""What people and the clock do about alarms: acknowledge, report a find, climb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlmodel import SQLModel

from custody.acts.telling import tell
from custody.errors import Away, Conflict, Forbidden, NoRoom, Untrusted
from custody.facts import Acknowledged, Cleared, Climbed, ClockJumped, Decided, Recipient, Sighted
from custody.rules.alarms import ACKNOWLEDGED_FOR, Alarm, Notice, notice_key
from custody.rules.consignments import Consignment, trip_of
from custody.rules.incidents import expect_alarms
from custody.rules.media import Medium
from custody.rules.overdue import overseers, owed
from custody.rules.people import require
from custody.store.book import Book, Page

log = structlog.get_logger("custody.alarms")
_alarm = SQLModel.metadata.tables["alarm"]
ALARMS_ON_A_PAGE: Final = 100
"""Alarms that climb in one transaction: a burst of a thousand is ten, and others may write between them."""


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
        page.record(Acknowledged(by, name, max(len(alarm.climbed) - 1, 0)))


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


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at the clock came to.

    `climbed` facts were recorded. `due` is when the next is, None where nothing is armed. `stuck` are the
    alarms that could not climb, each with what was in its way.
    """

    climbed: int
    due: datetime | None
    stuck: Mapping[str, Exception]


def climb(book: Book, *, how: str = "monitor") -> Sweep:
    """Records every rung that is owed by now.

    The alarms that owe something are found by an index on when they next do: the cost grows with what is
    due, not with what exists. Whatever is wrong with one of them, the others climb; overseers are told of the
    one that cannot. NoRoom, Away or Untrusted where the book itself cannot be written.
    """
    climbed, stuck = 0, dict[str, Exception]()
    while names := [name for name in _due(book) if name not in stuck]:
        before = climbed
        for start in range(0, len(names), ALARMS_ON_A_PAGE):
            climbed += _climb_some(book, names[start : start + ALARMS_ON_A_PAGE], stuck, how)
        if climbed == before:
            break
    for name, problem in stuck.items():
        log.error("an alarm cannot climb", alarm=name, exc_info=problem)
        _tell_stuck(book, name, how)
    with book.read() as connection:
        return Sweep(climbed, connection.scalar(sa.select(sa.func.min(_alarm.c.next_at))), stuck)


def clock_jumped(book: Book, ahead: timedelta, *, how: str = "monitor") -> None:
    """A server's clock was set: overseers are told, since alarms are told by it."""
    with book.page(how) as page:
        jumped = page.record(ClockJumped(int(ahead.total_seconds())))
        tell(page, jumped.event, "clock-jumped", overseers(page.world))


def _due(book: Book) -> list[str]:
    with book.read() as connection:
        return list(connection.scalars(_owing(book.now())))


def _owing(now: datetime) -> sa.Select[Any]:
    """The alarms that owe something by then.

    What a rung tells first goes before what another tells beyond that: seniors stand in the first part.
    """
    owing = sa.select(_alarm.c.id).where(_alarm.c.next_at <= now)
    return owing.order_by(_alarm.c.part, _alarm.c.next_at, _alarm.c.number)


def _climb_some(book: Book, names: Sequence[str], stuck: dict[str, Exception], how: str) -> int:
    """These alarms on a page; where the page as a whole is refused, each on one of its own."""
    try:
        with book.page(how) as page:
            expect_alarms(page.world, names)
            failed = dict[str, Exception]()
            count = sum(_climb_apart(page, name, failed) for name in names)
    except (NoRoom, Away, Untrusted):
        raise
    except Exception as problem:  # noqa: BLE001 - whatever one alarm meets silences no other
        if len(names) > 1:
            return sum(_climb_some(book, [name], stuck, how) for name in names)
        stuck[names[0]] = problem
        return 0
    stuck.update(failed)
    return count


def _climb_apart(page: Page, name: str, failed: dict[str, Exception]) -> int:
    """One alarm: whatever goes wrong in it is undone, and keeps no other from climbing."""
    try:
        with page.attempt():
            return _climb_one(page, name)
    except (sa.exc.DatabaseError, Untrusted):  # the transaction is lost, and all that is on the page
        raise
    except Exception as problem:  # noqa: BLE001 - whatever one alarm meets silences no other
        failed[name] = problem
        return 0


def _climb_one(page: Page, name: str) -> int:
    """Records what the alarm owes; of an audience that takes several facts one, and the rest by and by."""
    count = 0
    while page.room and (fact := owed(page.world, page.world.get(Alarm, name), page.now)) is not None:
        page.record(fact)
        count += 1
        if isinstance(fact, Climbed | Cleared) and fact.more:
            break
    return count


def _tell_stuck(book: Book, name: str, how: str) -> None:
    """Overseers are told, once; the board says it, and no sign of life is given, for as long as it lasts."""
    try:
        with book.page(how) as page:
            trip = page.world.get(Consignment, page.world.get(Alarm, name).consignment)
            people = overseers(page.world, trip.from_site, trip.to_site)
            source = f"E-{trip.manifest}"
            told = [Recipient(person, "email") for person in people]
            fresh = [r.person for r in told if page.world.find(Notice, notice_key(source, r)) is None]
            if fresh:
                tell(page, trip.manifest, "stuck", fresh)
    except (NoRoom, Away, Untrusted):
        raise
    except Exception as problem:
        log.exception("nobody can be told of an alarm that cannot climb", alarm=name, why=str(problem))
