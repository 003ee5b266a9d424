"""Cases and seals: what is packed is free, at the packer's own site, and under a seal that closes once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from world import START, World, new_key

from custody.acts import people
from custody.errors import Impossible, Unreadable
from custody.facts import Grant, Packed, Statement, Subject
from custody.rules import world as rules
from custody.rules.cases import Packing, UsedSeal, packed
from custody.rules.media import Medium
from custody.rules.people import Device, Person, Site
from custody.rules.world import Event


def unpacked(world: World) -> Packed:
    """A case, a seal and two media that lie side by side at NORTH."""
    (case,), (seal,) = world.register(1, what="case"), world.register(1, what="seal")
    return Packed("NORTH", case, seal, world.register(2))


def test_what_was_packed_under_which_seal_stands_in_the_order_of_packing(shared: World) -> None:
    fact = unpacked(shared)
    fact = replace(fact, media=fact.media[::-1])
    event = shared.sign("ann", fact)
    wanted = Packing(event, fact.case, fact.seal, fact.media, "NORTH", shared.ids["ann"])
    assert shared.get(Packing, event) == wanted
    assert shared.get(UsedSeal, fact.seal).packing == event
    assert [shared.get(Medium, name).consignment for name in fact.media] == [None, None]


def test_the_sites_manager_packs_too(shared: World) -> None:
    event = shared.sign("mona", unpacked(shared))
    assert shared.get(Packing, event).by == shared.ids["mona"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _, fact: replace(fact, case=fact.seal), "A packing names a case and a seal."),
        (lambda _, fact: replace(fact, seal=fact.case), "A packing names a case and a seal."),
        (lambda _, fact: replace(fact, case=fact.media[0]), "A packing names a case and a seal."),
        (lambda _, fact: replace(fact, case="0" * 16), "There is no medium 0000000000000000 here."),
        (lambda _, fact: replace(fact, seal="0" * 16), "There is no medium 0000000000000000 here."),
        (lambda _, fact: replace(fact, media=("0" * 16,)), "There is no medium 0000000000000000 here."),
        (lambda _, fact: replace(fact, media=(fact.case,)), "is a case, not a medium"),
        (lambda _, fact: replace(fact, media=(*fact.media, fact.seal)), "is a seal, not a medium"),
        (lambda _, fact: replace(fact, site="SOUTH"), "does not keep the site SOUTH"),
        (
            lambda world, fact: replace(fact, media=world.register(1, "SOUTH")),
            "is not free at the site NORTH",
        ),
        (
            lambda world, fact: replace(fact, case=world.register(1, "SOUTH", "case")[0]),
            "is not free at the site NORTH",
        ),
        (
            lambda world, fact: replace(fact, media=world.consignment(world.request(1)).media),
            "is not free at the site NORTH",
        ),
    ],
)
def test_a_packing_that_cannot_be(shared: World, change: Callable[[World, Packed], Packed], why: str) -> None:
    fact = unpacked(shared)
    wrong = change(shared, fact)
    with shared.unmoved(), pytest.raises(Impossible, match=why):
        shared.force("ann", wrong)
    shared.sign("ann", fact)


@pytest.mark.parametrize("by", ["ben", "max", "carl", "dana", "ada", "olga"])
def test_who_does_not_keep_the_site_packs_nothing_there(shared: World, by: str) -> None:
    fact = unpacked(shared)
    with shared.unmoved(), pytest.raises(Impossible, match=f"{shared.ids[by]} does not keep the site NORTH"):
        shared.force(by, fact)


def test_a_seal_closes_once(shared: World) -> None:
    first = shared.pack()
    fact = replace(unpacked(shared), seal=first.seal)
    with shared.unmoved(), pytest.raises(Impossible, match=f"The seal {first.seal} has been closed before"):
        shared.force("ann", fact)
    assert shared.get(UsedSeal, first.seal).packing == first.id


def test_a_device_that_was_revoked_packs_nothing(box: World) -> None:
    fact = unpacked(box)
    people.revoke(box.book, box.ids["ivo"], box.keys["ann"].public.id, "stolen")
    with box.unmoved(), pytest.raises(Impossible, match="by an enrolled device that still counts"):
        box.force("ann", fact)


def test_an_empty_case_is_read_by_nobody_and_would_be_refused_all_the_same(shared: World) -> None:
    """The statement does not read; the rule stands for itself, should the format ever allow it."""
    fact = replace(unpacked(shared), media=())
    with shared.unmoved(), pytest.raises(Unreadable, match="each once"):
        shared.force("ann", fact)
    key, world = new_key().public, rules.World()
    world.put(Site("NORTH", "UTC"))
    world.put(shared.get(Person, shared.ids["ann"]))
    world.put(
        Device(
            key.id,
            key.spki,
            shared.ids["ann"],
            "P-1",
            START,
            set_up=False,
            grants=(Grant("site-operator", "NORTH"),),
        )
    )
    for name in (fact.case, fact.seal):
        world.put(shared.get(Medium, name))
    statement = Statement("x", START, Subject("event", shared.genesis), fact)
    with pytest.raises(Impossible, match="A packed case holds something"):
        packed(world, Event(1, "ab" * 32, statement, (key.id,), START))
    assert world.find(UsedSeal, fact.seal) is None
