"""Media, cases and seals: what is on the books, where it belongs, and what is on it.

A thing's identity is ours: an opaque id on a label. The volser is an attribute; the same one may stand on
two cartridges of two organisations, so it never identifies. A thing is at its site, or bound to one open
consignment, never to two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from custody.errors import Conflict, Impossible
from custody.facts import Described, Labelled, Registered
from custody.rules.people import Site, new
from custody.rules.world import Event, Noun, World, replace
from labels import volser

SIGHTED_FOR: Final = timedelta(hours=1)
"""Who reports one label again and again wakes nobody more often than this; each report is recorded."""
NUMBERED: Final[Mapping[str, str]] = {"case": "K", "seal": "S"}
"""What has a number that people can say, and its letter. C-1 is a consignment."""


@dataclass(frozen=True, slots=True)
class Medium(Noun):
    """A tape, a disk, a case or a seal (`what`). `consignment` is the open one that it is bound to.

    `packing` is the newest one since it came here of which it is a part. `sighted_at` is when a stranger
    reported it, of several reports within an hour the first. `short` is what people call a case or a seal.
    """

    what: str
    site: str
    volser: str | None
    form: str | None
    prints: int = 0
    consignment: str | None = None
    packing: str | None = None
    missing: bool = False
    sighted_at: datetime | None = None
    short: str | None = None

    @property
    def called(self) -> str:
        """What people call it: the volser, or the number of a case or a seal; else what it is."""
        return self.volser or self.short or self.what

    @property
    def spine(self) -> str:
        """What its own label says as a volser, as far as is known (`labels.volser`); empty where nothing."""
        return volser.spine(self.volser, self.form) if self.volser else ""

    def sighted(self, now: datetime) -> bool:
        """Whether a stranger has reported it within the hour."""
        return self.sighted_at is not None and now - self.sighted_at < SIGHTED_FOR


@dataclass(frozen=True, slots=True)
class Tally(Noun):
    """How many of a kind have a number. The id is the kind."""

    last: int


@dataclass(frozen=True, slots=True)
class DataSet(Noun):
    """A data set and the media it is on. How many people it is about is a range; None is unknown."""

    title: str
    media: tuple[str, ...]
    least: int | None
    most: int | None
    other_copies: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the loss of some media would expose.

    `least` and `most` are people: from the largest data set to the sum of all, since nobody may know
    how far the sets overlap. `least` is None where no set's number is known, `most` where one's is not, or
    where media have no data set on record (`undescribed`); unknown is never 0.
    """

    data_sets: tuple[DataSet, ...]
    undescribed: tuple[str, ...]
    least: int | None
    most: int | None


def registered(world: World, event: Event) -> None:
    """New things on the books."""
    fact: Registered = event.fact
    world.expect(Medium, [item.id for item in fact.items])
    for item in fact.items:
        world.get(Site, item.site)
        short = _next(world, item.what)
        new(world, Medium(item.id, item.what, item.site, item.volser, item.form, short=short))


def _next(world: World, what: str) -> str | None:
    """The number of the next case or seal: K-1, K-2, ... and S-1, S-2, ... in the order of registration."""
    if what not in NUMBERED:
        return None
    tally = world.find(Tally, what) or Tally(what, 0)
    world.put(replace(tally, last=tally.last + 1))
    return f"{NUMBERED[what]}-{tally.last + 1}"


def described(world: World, event: Event) -> None:
    """What a data set is about, and which media it is on, as known from now on."""
    fact: Described = event.fact
    if (fact.people_least is None) != (fact.people_most is None):
        raise Impossible("A number of people is known from least to most, or it is unknown.")
    if (
        fact.people_least is not None
        and fact.people_most is not None
        and fact.people_least > fact.people_most
    ):
        raise Impossible("The least number of people is above the most.")
    for name in fact.media:
        medium(world, name)
    world.put(
        DataSet(fact.data_set, fact.title, fact.media, fact.people_least, fact.people_most, fact.other_copies)
    )


def labelled(world: World, event: Event) -> None:
    """Labels were printed; each print is counted."""
    fact: Labelled = event.fact
    for name in fact.items:
        thing = world.get(Medium, name)
        world.put(replace(thing, prints=thing.prints + 1))


def check_reprint(world: World, names: Iterable[str], reason: str | None) -> None:
    """Conflict where an identity was printed before and no reason is given: two stickers, one identity."""
    again = [name for name in names if world.get(Medium, name).prints]
    if again and not reason:
        raise Conflict(f"{again[0]} has been printed before. A second label of one identity needs a reason.")


def medium(world: World, name: str) -> Medium:
    """The tape or disk of this id; NotFound, or Impossible where the id is a case's or a seal's."""
    found = world.get(Medium, name)
    if found.what != "medium":
        raise Impossible(f"{name} is a {found.what}, not a medium.")
    return found


def exposure(world: World, media: Iterable[str]) -> Exposure:
    """What losing these media would expose. A set counts when one of its media is among them."""
    lost = set(media)
    sets = tuple(sorted((s for s in world.all(DataSet) if lost & set(s.media)), key=lambda found: found.id))
    undescribed = tuple(sorted(lost.difference(*(s.media for s in sets))))
    least = [s.least for s in sets if s.least is not None]
    most = [s.most for s in sets if s.most is not None]
    known = not undescribed and len(most) == len(sets)
    return Exposure(sets, undescribed, max(least, default=None), sum(most) if known else None)
