"""The ladder where the model does not go: fresh approvals, empty rungs, early finds (G7, G9)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from world import World

from custody import orders
from custody.acts import alarms, consignments, people
from custody.errors import Conflict, Forbidden
from custody.rules.alarms import Notice
from custody.rules.notices import words


def test_a_fresh_approval_puts_nothing_off(box: World) -> None:
    """A manager approves afresh, before and after the reminder, and for later: the ladder climbs on."""
    name = box.request(1, minutes=30)
    box.approve(name)
    other = box.dispatch(1)
    box.wait(minutes=20)
    box.approve(name)
    with box.book.world() as world:
        fact, about = consignments.approval(world, name)
    later = replace(fact, pick_up_by=box.at + timedelta(hours=2))
    with pytest.raises(Conflict):
        box.sign("mona", later, about)
    box.wait(minutes=15)
    assert ("mona", "0.0") in box.told(name)
    for again in (fact, later):
        with pytest.raises(Conflict):
            box.sign("mona", again, about)
    box.wait(hours=3)
    assert ("hal", "3.0") in box.told(name)
    assert ("hal", "3.0") in box.told(other)


def test_one_who_keeps_and_manages_a_site_is_reminded_twice(box: World) -> None:
    """A small office: Max manages SOUTH and keeps it. He is told of the pick-up, and of the arrival."""
    grants = tuple(orders.Grant(role=role, site="SOUTH") for role in ("site-manager", "site-operator"))
    box.sign("ada", people.roles(box.ids["max"], grants))
    name = box.request(1, minutes=30)
    box.approve(name)
    box.wait(minutes=35)
    box.hand(name, "ann", "carl", site="NORTH")
    box.wait(hours=3)
    assert ("hal", "3.0") in box.told(name)


def test_the_last_rung_repeats_even_where_nobody_is_left_on_it(box: World) -> None:
    """Head and seniors have gone: everyone who was told hears it again, each half hour, and not only once."""
    name = box.dispatch(1)
    box.wait(minutes=60)
    for gone in ("hal", "dana", "sam"):
        box.force("ada", people.roles(box.ids[gone], ()))
    box.wait(hours=4)
    rungs = Counter(rung for _, rung in box.told(name))
    assert rungs["4.0"]
    assert rungs["4.1"]


def test_sixty_days_in_half_days(box: World) -> None:
    """Nobody answers. On each of 120 looks the head and both seniors are told anew."""
    name = box.dispatch(1)
    box.wait(hours=2)
    before = Counter(box.told(name))
    for _ in range(120):
        box.at += timedelta(hours=12)
        alarms.climb(box.book)
    after = Counter(who for who, _ in box.told(name)) - Counter(who for who, _ in before.elements())
    assert after == Counter(hal=120, dana=120, sam=120)


def test_an_acknowledgement_is_an_act_of_one_who_was_told(box: World) -> None:
    """Nothing that only looks acknowledges; who was not told cannot; after the end nobody can (G9)."""
    name = box.dispatch(1)
    box.wait(minutes=76)
    alarm = box.alarm(name).id
    box.audit()
    with box.book.world() as world:
        for notice in world.all(Notice):
            words(world, [notice], box.at, "https://custody.test")
    assert box.alarm(name).acknowledgements == ()
    for who in ("hal", "olga", "mallory", "ann"):
        with pytest.raises(Forbidden):
            alarms.acknowledge(box.book, box.ids[who], alarm)
    alarms.acknowledge(box.book, box.ids["carl"], alarm)
    assert [a.person for a in box.alarm(name).acknowledgements] == [box.ids["carl"]]
    assert box.alarm(name).next_at is not None
    box.hand(name, "carl", "ben")
    with pytest.raises(Conflict):
        alarms.acknowledge(box.book, box.ids["dana"], alarm)
