"""What is owed each day, whatever happens: a checkpoint is told, and the book is compared with itself.

A system that says nothing while all is well cannot be told from one that was silenced. So each day the
newest checkpoint goes to senior management, and who keeps it sees a history that is written anew; and each
night somebody looks whether the tables still are what the ledger says. The ledger itself remembers that it
was done: any number of processes do it once, and after a week of sleep it is done once and not seven times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from custody.errors import Impossible
from custody.facts import Difference, Pinned, Recipient, SelfAudited
from custody.rules.alarms import tell
from custody.rules.overdue import overseers
from custody.rules.people import new
from custody.rules.world import Event, Noun, World, seen_root, seen_size


@dataclass(frozen=True, slots=True)
class Pin(Noun):
    """How many entries the checkpoint had that was told on this day. The id is the day (UTC): 2026-03-02."""

    size: int


@dataclass(frozen=True, slots=True)
class SelfAudit(Noun):
    """What came of comparing the book with itself. The id is the day (UTC)."""

    at: datetime
    differences: int
    first: Difference | None


FROM: Final[dict[type[Noun], int]] = {SelfAudit: 2, Pin: 6}
"""The hour, UTC, from which on it is owed on each day."""


def day(moment: datetime) -> str:
    """The day of a moment, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def is_owed(world: World, kind: type[Noun], now: datetime) -> bool:
    """Whether this day's is owed by now, and was not done yet."""
    return now.astimezone(UTC).hour >= FROM[kind] and not is_done(world, kind, now)


def is_done(world: World, kind: type[Noun], now: datetime) -> bool:
    """Whether this day's was done."""
    return world.find(kind, day(now)) is not None


def pin(world: World, checkpoint: str) -> Pinned:
    """The fact that tells the seniors this checkpoint, `"<size> <root>"`."""
    return Pinned(checkpoint, _seniors(world))


def self_audit(world: World, differences: int, first: Difference | None) -> SelfAudited:
    """The fact that so many differences were found; where there are any it tells the seniors."""
    return SelfAudited(differences, first, _seniors(world) if differences else ())


def _seniors(world: World) -> tuple[Recipient, ...]:
    """While nobody is one, the founder, who is still setting the book up."""
    found = overseers(world) or [world.log.founder]
    return tuple(Recipient(person, "email") for person in dict.fromkeys(found))


def pinned(world: World, event: Event) -> None:
    """People are told a checkpoint, which is one of this very log. Once a day."""
    fact: Pinned = event.fact
    size = seen_size(fact.checkpoint)
    if size > event.seq or world.root_at(size) != seen_root(fact.checkpoint):
        raise Impossible(f"The checkpoint of {size:,} entries that is told is none of this log.")
    new(world, Pin(day(event.at), size))
    tell(world, f"E-{event.id}", event.id, fact.told, event.at, matter="pinned")


def self_audited(world: World, event: Event) -> None:
    """The book was compared with itself. Once a day."""
    fact: SelfAudited = event.fact
    if (fact.first is None) != (fact.differences == 0):
        raise Impossible("Where there are differences, the first of them is in something.")
    new(world, SelfAudit(day(event.at), event.at, fact.differences, fact.first))
    tell(world, f"E-{event.id}", event.id, fact.told, event.at, matter="self-audited")


def added(world: World, pin: Pin) -> int:
    """How many entries had come since the checkpoint that was told before this one."""
    return pin.size - max((p.size for p in world.all(Pin) if p.size < pin.size), default=0)
