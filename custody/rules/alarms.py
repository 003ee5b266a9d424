"""Alarms: armed when a consignment is approved, ringing when it is late, ended by evidence alone.

An alarm is not raised by anybody. It is armed in the same transaction that lets media leave, with the
ladder frozen onto it, and from then on only the passing of time moves it: at `next_at` it owes a rung. It
ends when the receiving site's own signed receipt says that everything came; nobody can put it off, and an
acknowledgement only spares one person the repeats, for an hour.

A rung's scheduled time is the due time and the rung's minutes, whatever happened in between: a monitor that
was down for an hour does not make the ladder an hour longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from custody.errors import Impossible
from custody.facts import (
    Acknowledged,
    Attempted,
    Cause,
    Cleared,
    Climbed,
    Informed,
    Ladder,
    Matter,
    Recipient,
    Rung,
)
from custody.rules.people import Person, new
from custody.rules.world import Event, Noun, World, replace

ACKNOWLEDGED_FOR: Final = timedelta(minutes=60)
DEADLINES: Final[tuple[Cause, ...]] = ("not-picked-up", "overdue")
"""Causes that wait for something to be done in time; the others have happened, and ring at once."""
Beside = Literal[Matter, "pinned", "self-audited"]
"""What is told beside the ladder; the last two by the clock (`custody.rules.daily`)."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Someone said that they know, when told on this rung."""

    person: str
    rung: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Alarm(Noun):
    """One reason to worry about one consignment.

    `rung` is the next to climb, `repeat` how often that one was climbed already, `part` how many facts have
    told some of its people (or of those whom the all-clear tells), and another is to follow. `next_at` is
    when; None once it has ended. `told` is everyone who was ever to be told.
    """

    consignment: str
    cause: Cause
    due: datetime
    armed_at: datetime
    ladder: Ladder
    rung: int
    repeat: int
    next_at: datetime | None
    told: tuple[str, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()
    ended_at: datetime | None = None
    part: int = 0

    @property
    def climbed(self) -> Ladder:
        """The rungs on which somebody was to be told so far, the one among them that repeats or is begun."""
        return self.ladder[: self.rung + bool(self.repeat or self.part)]

    @property
    def rings(self) -> bool:
        """Whether somebody above a reminder was to be told, and it has not ended."""
        return self.ended_at is None and any(rung.after >= 0 for rung in self.climbed)

    def owes_an_alert(self, now: datetime) -> bool:
        """Whether its first alert is due by now: from there on it rings, swept or not."""
        return self.ended_at is None and self.scheduled(at_once(self.ladder)) <= now

    def scheduled(self, rung: int) -> datetime:
        """When this rung is due for the first time."""
        return self.due + timedelta(minutes=self.ladder[rung].after)

    def acknowledged(self, person: str, now: datetime) -> bool:
        """Whether this person's acknowledgement still spares them the repeats."""
        return any(a.person == person and now - a.at < ACKNOWLEDGED_FOR for a in self.acknowledgements)


@dataclass(frozen=True, slots=True)
class Notice(Noun):
    """What one person is to be told on one channel. The id is the notice's key.

    `about` is an alarm; or, where there is a `matter`, the event that the person is informed of.
    """

    about: str
    person: str
    channel: str
    scheduled: datetime
    matter: Beside | None = None
    outcome: str | None = None
    attempts: int = 0
    message: str | None = None
    accepted_at: datetime | None = None

    @property
    def is_alert(self) -> bool:
        """Of an alarm, or of something that silences alarms; all else comes after."""
        return self.matter in (None, "stuck", "clock-jumped", "self-audited")


def notice_key(source: str, recipient: Recipient) -> str:
    """The id of the notice that tells this recipient of `source`: an alarm's rung, or an event."""
    return f"{source}/{recipient.person}/{recipient.channel}"


def tell(
    world: World,
    source: str,
    about: str,
    told: tuple[Recipient, ...],
    at: datetime,
    *,
    matter: Beside | None = None,
) -> None:
    """A notice for each recipient. Its key holds what it is for, so that a second one cannot be."""
    keys = {recipient: notice_key(source, recipient) for recipient in told}
    world.expect(Notice, keys.values())
    for recipient in told:
        key = keys[recipient]
        world.get(Person, recipient.person)
        new(world, Notice(key, about, recipient.person, recipient.channel, at, matter))


def arm(
    world: World, consignment: str, cause: Cause, ladder: Ladder, *, due: datetime, now: datetime
) -> Alarm:
    """A new alarm that will climb this ladder from its due time."""
    first = 0 if cause in DEADLINES else at_once(ladder)
    next_at = due + timedelta(minutes=ladder[first].after)
    alarm = Alarm(f"A-{world.next_number(Alarm)}", consignment, cause, due, now, ladder, first, 0, next_at)
    world.put(alarm)
    return alarm


def at_once(ladder: Ladder) -> int:
    """The first rung that is an alert: what has happened already needs no reminder before it."""
    return next(index for index, rung in enumerate(ladder) if rung.after >= 0)


def end(world: World, alarm: Alarm, now: datetime) -> None:
    """Evidence came. One that rang still owes the all-clear; one that has ended stays as it is."""
    if alarm.ended_at is None:
        world.put(replace(alarm, next_at=now if alarm.rings else None, ended_at=now, part=0))


def check_ladder(ladder: Ladder) -> None:
    """Impossible where a ladder goes down, has no alert at the due time, or ends."""
    afters = [rung.after for rung in ladder]
    if afters != sorted(set(afters)):
        raise Impossible("Each rung of a ladder comes later than the one before.")
    if 0 not in afters:
        raise Impossible("A ladder has a rung at the due time itself.")
    if not all(rung.who for rung in ladder):
        raise Impossible("Each rung of a ladder tells somebody.")
    if any(rung.repeat for rung in ladder[:-1]) or not ladder[-1].repeat:
        raise Impossible(
            "The last rung of a ladder repeats, and only that one: a ladder never ends by itself."
        )


def climbed(world: World, event: Event) -> None:
    """The alarm climbs: in order, never early, no rung twice, and nobody twice on one rung."""
    fact: Climbed = event.fact
    alarm = world.get(Alarm, fact.alarm)
    if alarm.next_at is None or alarm.ended_at is not None:
        raise Impossible(f"{alarm.id} has ended: it climbs no more.")
    if (fact.consignment, fact.cause, fact.rung) != (alarm.consignment, alarm.cause, alarm.rung):
        raise Impossible(f"{alarm.id} is on rung {alarm.rung} for {alarm.consignment} ({alarm.cause}).")
    rung = alarm.ladder[fact.rung]
    skipped = fact.repeat - alarm.repeat
    if skipped < 0 or (skipped and not rung.repeat):
        raise Impossible(f"{alarm.id} has climbed to this rung already.")
    if skipped and alarm.part:
        raise Impossible(f"Others are to be told first on the rung that {alarm.id} has begun.")
    _check_part(fact)
    if fact.scheduled != alarm.next_at + timedelta(minutes=skipped * rung.repeat):
        raise Impossible(f"Rung {fact.rung} of {alarm.id} is scheduled at another time.")
    if fact.scheduled > event.at:
        raise Impossible(f"Rung {fact.rung} of {alarm.id} is not due yet.")
    tell(world, f"{alarm.id}/{fact.rung}.{fact.repeat}", alarm.id, fact.told, fact.scheduled)
    told = dict.fromkeys((*alarm.told, *(recipient.person for recipient in fact.told)))
    world.put(replace(_above(alarm, fact, rung), told=tuple(told)))


def _check_part(fact: Climbed | Cleared) -> None:
    if fact.more and not fact.told:
        raise Impossible(f"A fact about {fact.alarm} that others are to follow tells somebody.")


def _above(alarm: Alarm, fact: Climbed, rung: Rung) -> Alarm:
    if fact.more:
        return replace(alarm, repeat=fact.repeat, next_at=fact.scheduled, part=alarm.part + 1)
    if rung.repeat:
        again = fact.scheduled + timedelta(minutes=rung.repeat)
        return replace(alarm, repeat=fact.repeat + 1, next_at=again, part=0)
    # a rung on which there is nobody passes upward at once; a reminder has nothing to pass
    waits = fact.told or alarm.part or rung.after < 0
    upward = alarm.scheduled(fact.rung + 1) if waits else fact.scheduled
    return replace(alarm, rung=fact.rung + 1, repeat=0, next_at=upward, part=0)


def cleared(world: World, event: Event) -> None:
    """The all-clear, once to each."""
    fact: Cleared = event.fact
    alarm = world.get(Alarm, fact.alarm)
    if alarm.ended_at is None or alarm.next_at is None:
        raise Impossible(f"{alarm.id} owes no all-clear.")
    _check_part(fact)
    tell(world, f"{alarm.id}/clear", alarm.id, fact.told, alarm.ended_at)
    world.put(replace(alarm, part=alarm.part + 1) if fact.more else replace(alarm, next_at=None, part=0))


def informed(world: World, event: Event) -> None:
    """People are told of an event beside the ladder."""
    fact: Informed = event.fact
    tell(world, f"E-{fact.event}", fact.event, fact.told, event.at, matter=fact.matter)


def clock_jumped(world: World, event: Event) -> None:
    """A server's clock was set. People are told of it (`informed`), and nothing else follows."""


def attempted(world: World, event: Event) -> None:
    """A message carried these notices, or failed to. Once accepted, a notice stays accepted."""
    fact: Attempted = event.fact
    world.expect(Notice, fact.notices)
    for key in fact.notices:
        notice = world.get(Notice, key)
        if notice.accepted_at is None:
            accepted = fact.at if fact.outcome == "accepted" else None
            world.put(
                replace(
                    notice,
                    outcome=fact.outcome,
                    attempts=notice.attempts + 1,
                    message=fact.message,
                    accepted_at=accepted,
                )
            )


def acknowledged(world: World, event: Event) -> None:
    """Someone who was told says so. Whether that spares them anything is for `custody.rules.overdue`."""
    fact: Acknowledged = event.fact
    alarm = world.get(Alarm, fact.alarm)
    if fact.by not in alarm.told:
        raise Impossible(f"{fact.by} was not told of {alarm.id}.")
    known = Acknowledgement(fact.by, fact.rung, event.at)
    world.put(replace(alarm, acknowledgements=(*alarm.acknowledgements, known)))
