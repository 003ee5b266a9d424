"""The world as the ledger tells it: nouns by name, and the events that change them.

`evolve(world, event)` (in `custody.rules.history`) reads nouns and puts new ones; a noun is frozen, so
that what was is never changed behind anybody's back. The book's world (`custody.store.book`) has this
interface over its tables, the auditor's (`custody.audit.notebook`) over a file of its own, so that server and
auditor run the very same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

from custody.errors import Backwards, Impossible, NotFound
from custody.facts import Relaxation, Statement
from custody.strict import unbase64

DEMO_ORIGIN: Final = "demo.invalid"
"""A log of this name was made to be looked at: scaled time, one-time links, loopback only."""


@dataclass(frozen=True, slots=True)
class Noun:
    """Something that the ledger tells of. `id` is unique among its kind."""

    id: str


N = TypeVar("N", bound=Noun)


def replace(noun: N, **changes: Any) -> N:
    """The same noun with these members changed: `dataclasses.replace`, which the fold waited for most."""
    kind: Any = type(noun)
    places, members = _members(kind)
    values = list(members(noun))
    for name, value in changes.items():
        values[places[name]] = value
    return cast("N", kind(*values))


@cache
def _members(kind: type[Noun]) -> tuple[dict[str, int], Callable[[Noun], tuple[Any, ...]]]:
    names = [field.name for field in fields(kind)]
    return {name: place for place, name in enumerate(names)}, attrgetter(*names)


@dataclass(frozen=True, slots=True)
class Log(Noun):
    """What the whole log has once: its root of trust and its clock. The id is the origin."""

    genesis: str
    organisation: str
    server_key: str
    server_spki: str
    founder: str
    founder_key: str
    set_up: bool
    relaxed: tuple[Relaxation, ...]
    last: datetime

    @property
    def is_demo(self) -> bool:
        """Whether this log was made to be looked at."""
        return self.id == DEMO_ORIGIN


@dataclass(frozen=True, slots=True)
class Event:
    """A statement in its place: where it stands in the log, who signed, and when it was received."""

    seq: int
    id: str
    statement: Statement
    signers: tuple[str, ...]
    at: datetime

    @property
    def fact(self) -> Any:
        """What the statement states."""
        return self.statement.fact


class World:
    """Nouns in memory."""

    def __init__(self) -> None:
        self._nouns: dict[type[Noun], dict[str, Noun]] = {}
        self.roots: dict[int, bytes] = {}
        self.moment: datetime | None = None

    def find(self, kind: type[N], name: str) -> N | None:
        """The noun of this kind and name, if there is one."""
        return cast("N | None", self._nouns.get(kind, {}).get(name))

    def get(self, kind: type[N], name: str) -> N:
        """The noun of this kind and name; NotFound where there is none."""
        noun = self.find(kind, name)
        if noun is None:
            raise NotFound(f"There is no {kind.__name__.lower()} {name} here.")
        return noun

    def expect(self, kind: type[Noun], names: Iterable[str]) -> None:
        """These nouns will be asked for, one by one: a world over tables reads them in one go."""

    def put(self, noun: Noun) -> None:
        """This noun is now so."""
        self._nouns.setdefault(type(noun), {})[noun.id] = noun

    def all(self, kind: type[N]) -> Iterable[N]:
        """Every noun of a kind of which there are few: people, devices, sites, routes, data sets."""
        return cast("list[N]", list(self._nouns.get(kind, {}).values()))

    def next_number(self, kind: type[N]) -> int:
        """The number that the next of this kind takes: one more than there are."""
        return len(self._nouns.get(kind, {})) + 1

    def root_at(self, size: int) -> bytes | None:
        """The root of the log when it had this size, if a transaction ended there."""
        return self.roots.get(size)

    def note_at(self, size: int) -> str | None:  # noqa: ARG002 - a world over tables keeps them
        """The checkpoint of this size as the log signed it, where that is kept; an auditor keeps none."""
        return None

    @property
    def now(self) -> datetime:
        """The moment at which something is decided here: the clock's, or else the last entry's."""
        return self.moment or self.log.last

    @property
    def log(self) -> Log:
        """The log itself; Impossible before its genesis."""
        for log in self.all(Log):
            return log
        raise Impossible("Nothing can come before the genesis.")


def check_seen(world: World, event: Event, seen: str) -> None:
    """A statement by a device that saw another history, or a longer one, cannot be in this one.

    Either the device is broken or the log was rewritten; the statement stays on the device, and the refusal
    is how it comes to light.
    """
    size = seen_size(seen)
    if size > event.seq or world.root_at(size) != seen_root(seen):
        raise Backwards("The device that signed has seen another history of this log than this one.")


def seen_size(seen: str) -> int:
    """The size in a `"<size> <root>"`."""
    return int(seen.partition(" ")[0])


def seen_root(seen: str) -> bytes:
    """The root in a `"<size> <root>"`, 32 bytes."""
    return unbase64(seen.partition(" ")[2])
