"""What is owed each day, whatever happens: a checkpoint is told, and the book is compared with itself.

A system that says nothing while all is well cannot be told from one that was silenced. So each day the
newest checkpoint goes to senior management, and who keeps it sees a history that is written anew; and each
night somebody looks whether the tables still are what the ledger says.

The ledger remembers that a checkpoint was told: any number of processes do it once, and after a week of sleep
it is done once and not seven times. Whether the tables were looked at is not asked of them: `custody.guard`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from custody.errors import Impossible
from custody.facts import Difference, Pinned, Recipient, SelfAudited
from custody.rules.alarms import tell
from custody.rules.overdue import overseers
from custody.rules.people import Person, new
from custody.rules.world import Event, Noun, World, seen_root, seen_size


@dataclass(frozen=True, slots=True)
class Pin(Noun):
    """How many entries the checkpoint had that was told on this day. The id is the day (UTC): 2026-03-02."""

    size: int


@dataclass(frozen=True, slots=True)
class SelfAudit(Noun):
    """What came of comparing the book with its ledger. The id is the event's, which no planted row has."""

    at: datetime
    differences: int
    first: Difference | None


TOLD_FROM: Final = 6
"""The hour, UTC, from which on the day's checkpoint is owed."""
COMPARED_FROM: Final = 2
"""The same of the night's comparison."""


def day(moment: datetime) -> str:
    """The day of a moment, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def is_owed(world: World, now: datetime) -> bool:
    """Whether this day's checkpoint is owed by now, and was not told yet."""
    return now.astimezone(UTC).hour >= TOLD_FROM and world.find(Pin, day(now)) is None


def night(now: datetime) -> datetime:
    """Since when the newest comparison is owed that is owed by now."""
    today = now.astimezone(UTC).replace(hour=COMPARED_FROM, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def pin(world: World, checkpoint: str) -> Pinned:
    """The fact that tells the seniors this checkpoint, `"<size> <root>"`."""
    return Pinned(checkpoint, _recipients(seniors(world)))


def self_audit(differences: int, first: Difference | None, people: Iterable[Person]) -> SelfAudited:
    """The fact that so many differences were found, of which these people are told."""
    return SelfAudited(differences, first, _recipients(people))


def seniors(world: World) -> list[Person]:
    """Whom it is told: the seniors and the head; while nobody is one, the founder, who sets the book up."""
    found = overseers(world) or [world.log.founder]
    return [world.get(Person, name) for name in dict.fromkeys(found)]


def _recipients(people: Iterable[Person]) -> tuple[Recipient, ...]:
    return tuple(Recipient(person.id, "email") for person in people)


def pinned(world: World, event: Event) -> None:
    """People are told a checkpoint, which is one of this very log. Once a day."""
    fact: Pinned = event.fact
    size = seen_size(fact.checkpoint)
    if size > event.seq or world.root_at(size) != seen_root(fact.checkpoint):
        raise Impossible(f"The checkpoint of {size:,} entries that is told is none of this log.")
    new(world, Pin(day(event.at), size))
    tell(world, f"E-{event.id}", event.id, fact.told, event.at, matter="pinned")


def self_audited(world: World, event: Event) -> None:
    """The book was compared with its ledger. As often as somebody did: what is in the tables forbids none."""
    fact: SelfAudited = event.fact
    if (fact.first is None) != (fact.differences == 0):
        raise Impossible("Where there are differences, the first of them is in something.")
    world.put(SelfAudit(event.id, event.at, fact.differences, fact.first))
    tell(world, f"E-{event.id}", event.id, fact.told, event.at, matter="self-audited")


def added(world: World, pin: Pin) -> int:
    """How many entries had come since the checkpoint that was told before this one."""
    return pin.size - max((p.size for p in world.all(Pin) if p.size < pin.size), default=0)
