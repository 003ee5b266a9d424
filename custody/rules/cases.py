"""Cases and seals: what was packed under which seal.

The one who packs reads each cartridge's own code, closes the case and signs. From then on couriers hand on
case and seal, which stand for that reading; they never open a case.
"""

from __future__ import annotations

from dataclasses import dataclass

from custody.errors import Impossible
from custody.facts import Packed
from custody.rules.media import Medium, medium
from custody.rules.people import signer
from custody.rules.world import Event, Noun, World, replace


@dataclass(frozen=True, slots=True)
class Packing(Noun):
    """These media, in this case, under this seal, read by this person. The id is the event's."""

    case: str
    seal: str
    media: tuple[str, ...]
    site: str
    by: str


@dataclass(frozen=True, slots=True)
class UsedSeal(Noun):
    """A seal that has been closed. It closes once."""

    packing: str


def packed(world: World, event: Event) -> None:
    """A case is packed by someone who keeps the site, under a seal that never closed before."""
    fact: Packed = event.fact
    by = signer(world, event)
    case, seal = world.get(Medium, fact.case), world.get(Medium, fact.seal)
    if case.what != "case" or seal.what != "seal":
        raise Impossible("A packing names a case and a seal.")
    if world.find(UsedSeal, seal.id) is not None:
        raise Impossible(f"The seal {seal.id} has been closed before. Take another.")
    if not by.at(fact.site):
        raise Impossible(f"{by.id} does not keep the site {fact.site}.")
    for name in (*fact.media, case.id, seal.id):
        thing = world.get(Medium, name)
        if thing.site != fact.site or thing.consignment is not None:
            raise Impossible(f"{name} is not free at the site {fact.site}.")
    for name in fact.media:
        medium(world, name)
    if not fact.media:
        raise Impossible("A packed case holds something.")
    world.put(Packing(event.id, case.id, seal.id, fact.media, fact.site, by.id))
    world.put(UsedSeal(seal.id, event.id))
    for name in (*fact.media, case.id, seal.id):
        world.put(replace(world.get(Medium, name), packing=event.id))
