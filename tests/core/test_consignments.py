"""Routes, requests and approvals: what is refused, and what a refusal leaves as it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from world import START, World

from custody import orders
from custody.acts import alarms, consignments
from custody.errors import Conflict, Impossible, NotFound, Unreadable
from custody.facts import Approved, Packed, Requested, Rung, Sighted, Statement, Subject, Withdrawn
from custody.rules import world as rules
from custody.rules.alarms import Alarm, check_ladder
from custody.rules.consignments import PICK_UP_GRACE, Consignment, Route, requested
from custody.rules.media import SIGHTED_FOR, Medium
from custody.rules.people import Organisation, Person
from custody.rules.world import Event

ALERT, LAST = Rung(0, ("head",)), Rung(60, ("head",), repeat=30)

# --------------------------------------------------------------------------------------------- the route


@pytest.mark.parametrize(
    ("ladder", "why"),
    [
        ((LAST, ALERT), "Each rung of a ladder comes later than the one before."),
        ((ALERT, ALERT, LAST), "Each rung of a ladder comes later than the one before."),
        ((replace(ALERT, after=-5), LAST), "A ladder has a rung at the due time itself."),
        ((replace(ALERT, after=5), LAST), "A ladder has a rung at the due time itself."),
        ((replace(ALERT, who=()), LAST), "Each rung of a ladder tells somebody."),
        ((ALERT, replace(LAST, repeat=0)), "a ladder never ends by itself"),
        ((replace(ALERT, repeat=5), LAST), "a ladder never ends by itself"),
        ((ALERT,), "a ladder never ends by itself"),
    ],
)
def test_a_ladder_that_goes_down_has_no_alert_or_ends(ladder: tuple[Rung, ...], why: str) -> None:
    with pytest.raises(Impossible, match=re.escape(why)):
        check_ladder(ladder)
    check_ladder((ALERT, LAST))
    check_ladder((replace(ALERT, repeat=5),))


def a_route(**change: Any) -> Any:
    order = orders.SetRoute(route="N-S", origin_site="NORTH", destination="SOUTH", transit=90)
    return replace(consignments.route(order), **change)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"destination": "NORTH"}, "A route leads from one site to another."),
        ({"origin_site": "WEST"}, "There is no site WEST here."),
        ({"destination": "WEST"}, "There is no site WEST here."),
        ({"ladder": (ALERT,)}, "a ladder never ends by itself"),
    ],
)
def test_a_route_that_cannot_be(shared: World, change: dict[str, Any], why: str) -> None:
    before = shared.get(Route, "N-S")
    with shared.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        shared.force("dana", a_route(**change))
    assert shared.get(Route, "N-S") == before


def test_senior_managers_alone_set_a_route(box: World) -> None:
    for name in ("mona", "hal", "ada", "carl"):
        why = f"{box.ids[name]} is not a senior manager, who alone set a route's time and ladder."
        with box.unmoved(), pytest.raises(Impossible, match=why):
            box.force(name, a_route())
    box.sign("sam", a_route())
    assert box.get(Route, "N-S").transit == 90


def test_what_was_approved_keeps_the_time_that_its_route_had(box: World) -> None:
    name = box.request(1)
    box.approve(name)
    box.set_route(transit=600)
    box.hand(name, "ann", "carl", "NORTH")
    assert box.consignment(name).due == box.at + timedelta(minutes=60)


# ------------------------------------------------------------------------------------------- the request


def wanted(world: World, media: tuple[str, ...], packing: str | None = None) -> Requested:
    """A request as the web would record it."""
    with world.book.world() as held:
        name = f"C-{held.next_number(Consignment)}"
    until = world.at + timedelta(hours=1)
    return Requested(world.ids["ann"], name, "N-S", "FLEET", until, media, packing)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"consignment": "C-99"}, "not C-99."),
        ({"route": "S-N"}, "There is no route S-N here."),
        ({"carrier": "EVIL"}, "There is no organisation EVIL here."),
        ({"by": "P-99"}, "There is no person P-99 here."),
        ({"packing": "ab" * 32}, f"There is no packing {'ab' * 32} here."),
        ({"media": ("0" * 16,)}, "There is no medium 0000000000000000 here."),
    ],
)
def test_a_request_that_cannot_be(shared: World, change: dict[str, Any], why: str) -> None:
    right = wanted(shared, shared.register(2))
    with shared.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        shared.state(replace(right, **change))
    assert [shared.get(Medium, name).consignment for name in right.media] == [None, None]
    shared.state(right)


@pytest.mark.parametrize(
    ("media", "why"),
    [
        (lambda world: world.register(1, "SOUTH"), "is not free at the site NORTH"),
        (lambda world: world.register(1, what="case"), "is a case, not a medium"),
        (lambda world: world.register(1, what="seal"), "is a seal, not a medium"),
    ],
)
def test_a_manifest_names_media_that_are_free_where_the_route_begins(
    shared: World, media: Callable[[World], tuple[str, ...]], why: str
) -> None:
    right = wanted(shared, shared.register(2))
    wrong = replace(right, media=(*right.media, *media(shared)))
    with shared.unmoved(), pytest.raises(Impossible, match=why):
        shared.state(wrong)
    assert [shared.get(Medium, name).consignment for name in wrong.media] == [None] * 3


def test_no_medium_is_bound_twice(shared: World) -> None:
    name = shared.request(2)
    media = shared.consignment(name).media
    again = wanted(shared, media)
    with shared.unmoved(), pytest.raises(Impossible, match=f"{media[0]} is not free at the site NORTH"):
        shared.state(again)
    assert [shared.get(Medium, each).consignment for each in media] == [name, name]


def test_a_packed_manifest_is_what_was_packed_in_its_order(shared: World) -> None:
    packing, other = shared.pack(3), shared.register(1)
    for media in (packing.media[::-1], packing.media[:2], (*packing.media, *other)):
        with shared.unmoved(), pytest.raises(Impossible, match="is not what was packed, in the order"):
            shared.state(wanted(shared, media, packing.id))
    right = wanted(shared, packing.media, packing.id)
    shared.state(right)
    for thing in (*packing.media, packing.case, packing.seal):
        assert shared.get(Medium, thing).consignment == right.consignment


def test_a_case_that_was_packed_anew_travels_as_it_was_packed_last(shared: World) -> None:
    """The older packing says what is in it no more; and what lay in it is free to be packed elsewhere."""
    first = shared.pack()
    (seal,), media = shared.register(1, what="seal"), shared.register(1)
    second = shared.sign("ann", Packed("NORTH", first.case, seal, media))
    with shared.unmoved(), pytest.raises(Impossible, match="was packed anew since"):
        shared.state(wanted(shared, first.media, first.id))
    shared.state(wanted(shared, media, second))
    assert shared.get(Medium, first.case).consignment is not None


def test_an_empty_manifest_does_not_read_and_would_be_refused_all_the_same(shared: World) -> None:
    fact = wanted(shared, ())
    with shared.unmoved(), pytest.raises(Unreadable, match="each once"):
        shared.state(fact)
    world = rules.World()
    for noun in (shared.get(Route, "N-S"), shared.get(Organisation, "FLEET"), shared.get(Person, fact.by)):
        world.put(noun)
    statement = Statement("x", START, Subject("event", shared.genesis), replace(fact, consignment="C-1"))
    with pytest.raises(Impossible, match="A manifest names at least one medium"):
        requested(world, Event(1, "ab" * 32, statement, (), START))
    assert list(world.all(Consignment)) == []


def test_a_request_that_was_withdrawn_frees_what_it_bound(shared: World) -> None:
    packing = shared.pack()
    right = wanted(shared, packing.media, packing.id)
    shared.state(right)
    name, things = right.consignment, (*packing.media, packing.case, packing.seal)
    with shared.unmoved(), pytest.raises(NotFound):
        consignments.withdraw(shared.book, shared.ids["ann"], "C-99")
    consignments.withdraw(shared.book, shared.ids["mona"], name)
    assert (shared.consignment(name).state, shared.consignment(name).open) == ("withdrawn", False)
    freed = [shared.get(Medium, each) for each in things]
    assert [(each.site, each.consignment) for each in freed] == [("NORTH", None)] * 4
    shared.state(wanted(shared, packing.media, packing.id))


@pytest.mark.parametrize("step", ["withdrawn", "approved", "travelling", "arrived"])
def test_only_a_request_is_withdrawn(shared: World, step: str) -> None:
    name = shared.request(1)
    if step == "withdrawn":
        consignments.withdraw(shared.book, shared.ids["ann"], name)
    else:
        shared.approve(name)
    if step in ("travelling", "arrived"):
        shared.hand(name, "ann", "carl", "NORTH")
    if step == "arrived":
        shared.hand(name, "carl", "ben")
    assert shared.consignment(name).state == step
    shared.at += timedelta(minutes=1)
    with shared.unmoved(), pytest.raises(Impossible, match=f"{name} is {step}: it is not withdrawn any more"):
        shared.state(Withdrawn(shared.ids["ann"], name))


def test_a_request_of_which_something_was_found_can_be_withdrawn(shared: World) -> None:
    """Nothing of it has left, so the find rings no alarm that only an arrival could end."""
    name = shared.request(1)
    alarms.sight(shared.book, shared.consignment(name).media[0], "in the canteen")
    assert shared.consignment(name).alarms == ()
    consignments.withdraw(shared.book, shared.ids["ann"], name)
    assert shared.consignment(name).state == "withdrawn"


# ------------------------------------------------------------------------------------------ the approval


def approval(world: World, name: str) -> tuple[Approved, str]:
    with world.book.world() as held:
        return consignments.approval(held, name)


@pytest.mark.parametrize("by", ["ben", "ada", "max", "carl", "olga", "dora"])
def test_who_is_no_manager_over_the_sending_site_approves_nothing(shared: World, by: str) -> None:
    name = shared.request(1)
    why = f"{shared.ids[by]} is neither a manager of NORTH nor a senior manager nor the head"
    fact, about = approval(shared, name)
    with shared.unmoved(), pytest.raises(Impossible, match=why):
        shared.force(by, fact, about)
    assert (shared.consignment(name).state, shared.consignment(name).alarms) == ("requested", ())


@pytest.mark.parametrize("by", ["mona", "dana", "hal"])
def test_a_manager_of_the_site_a_senior_manager_or_the_head_approves(shared: World, by: str) -> None:
    name = shared.request(1)
    event = shared.approve(name, by)
    consignment = shared.consignment(name)
    assert (consignment.state, consignment.approver, consignment.head) == ("approved", shared.ids[by], event)
    assert consignment.chain == (shared.ids["ann"], shared.ids[by])
    assert consignment.due == consignment.pick_up_by + PICK_UP_GRACE
    assert (shared.alarm(name).cause, shared.alarm(name).due) == ("not-picked-up", consignment.due)


def test_who_requested_does_not_approve(shared: World) -> None:
    request = replace(wanted(shared, shared.register(1)), by=shared.ids["mona"])
    shared.state(request)
    fact, about = approval(shared, request.consignment)
    with shared.unmoved(), pytest.raises(Impossible, match="Who requested a consignment does not approve it"):
        shared.force("mona", fact, about)
    shared.approve(request.consignment, "dana")


def test_an_approval_of_another_manifest_approves_nothing(shared: World) -> None:
    name, other = shared.request(1), shared.request(1)
    fact, _ = approval(shared, name)
    for about in (shared.consignment(other).manifest, shared.genesis):
        with shared.unmoved(), pytest.raises(Impossible, match="The approval is of another manifest"):
            shared.force("mona", fact, about)
    assert [shared.consignment(each).state for each in (name, other)] == ["requested"] * 2


@pytest.mark.parametrize("step", ["travelling", "arrived"])
def test_what_has_left_is_not_approved_any_more(shared: World, step: str) -> None:
    name = shared.request(1)
    fact, about = approval(shared, name)
    shared.approve(name)
    shared.hand(name, "ann", "carl", "NORTH")
    if step == "arrived":
        shared.hand(name, "carl", "ben")
    held = shared.consignment(name)
    with shared.unmoved(), pytest.raises(Impossible, match=f"{name} has been picked up already"):
        shared.force("dana", fact, about)
    assert shared.consignment(name) == held


def test_what_was_withdrawn_is_not_approved(shared: World) -> None:
    name = shared.request(1)
    fact, about = approval(shared, name)
    consignments.withdraw(shared.book, shared.ids["ann"], name)
    with shared.unmoved(), pytest.raises(Impossible):
        shared.force("mona", fact, about)
    assert shared.consignment(name).state == "withdrawn"


def test_an_approval_has_a_ladder_that_does_not_end(shared: World) -> None:
    name = shared.request(1)
    fact, about = approval(shared, name)
    with shared.unmoved(), pytest.raises(Impossible, match="a ladder never ends by itself"):
        shared.force("mona", replace(fact, ladder=(ALERT,)), about)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"transit": 61}, "The approval must have the route's own ladder, and no longer transit"),
        ({"ladder": (ALERT, LAST)}, "The approval must have the route's own ladder, and no longer transit"),
        ({"pick_up_by": START}, "The approval has the pick-up time that was requested"),
    ],
)
def test_an_approval_that_departs_from_the_request_or_the_route(
    shared: World, change: dict[str, Any], why: str
) -> None:
    name = shared.request(1)
    fact, about = approval(shared, name)
    with shared.unmoved(), pytest.raises(Conflict, match=why):
        shared.sign("mona", replace(fact, **change), about)
    assert shared.consignment(name).state == "requested"
    shared.sign("mona", replace(fact, transit=30), about)
    assert shared.consignment(name).transit == 30


def test_an_approval_after_the_pick_up_time_comes_too_late(shared: World) -> None:
    name = shared.request(1, minutes=30)
    shared.at += timedelta(minutes=30)
    with shared.unmoved(), pytest.raises(Conflict, match="The pick-up time has passed"):
        shared.approve(name)


def test_a_fresh_approval_arms_a_new_alarm_while_the_old_one_is_still(shared: World) -> None:
    name = shared.request(1)
    shared.approve(name)
    first = shared.alarm(name)
    shared.at += timedelta(minutes=1)
    second = shared.approve(name, "dana")
    consignment = shared.consignment(name)
    assert (consignment.head, len(consignment.approvals)) == (second, 2)
    assert len(consignment.alarms) == 2
    assert (shared.get(Alarm, first.id).ended_at, shared.get(Alarm, first.id).next_at) == (shared.at, None)
    assert shared.alarm(name).ended_at is None


def test_a_fresh_approval_does_not_put_off_an_alarm_that_rings(shared: World) -> None:
    name = shared.request(1, minutes=30)
    shared.approve(name)
    fact, about = approval(shared, name)
    shared.at += timedelta(hours=1)
    alarms.climb(shared.book)
    ringing = shared.alarm(name)
    assert ringing.rings
    shared.force("dana", replace(fact, pick_up_by=shared.at + timedelta(hours=9)), about)
    assert shared.alarm(name) == ringing
    assert shared.consignment(name).alarms == (ringing.id,)


# ----------------------------------------------------------------------------------------------- a find


def test_a_find_of_something_that_lies_where_it_belongs_is_only_recorded(shared: World) -> None:
    (item,) = shared.register(1)
    thing = shared.get(Medium, item)
    with shared.book.world() as world:
        number = world.next_number(Alarm)
    alarms.sight(shared.book, item, "on its shelf")
    assert shared.get(Medium, item) == replace(thing, sighted_at=shared.at)
    with shared.book.world() as world:
        assert world.next_number(Alarm) == number


def test_of_several_finds_within_a_day_the_first_is_the_one_that_counts(shared: World) -> None:
    (item,) = shared.register(1)
    first = shared.at
    shared.state(Sighted(item, "ab" * 32))
    shared.at += SIGHTED_FOR - timedelta(milliseconds=1)
    shared.state(Sighted(item, "cd" * 32))
    assert shared.get(Medium, item).sighted_at == first
    shared.at += timedelta(milliseconds=1)
    shared.state(Sighted(item, "ef" * 32))
    assert shared.get(Medium, item).sighted_at == shared.at


def test_a_find_of_something_that_nobody_knows_is_refused(shared: World) -> None:
    with shared.unmoved(), pytest.raises(NotFound):
        alarms.sight(shared.book, "0" * 16, "in the river")
    with shared.unmoved(), pytest.raises(Impossible, match="There is no medium 0000000000000000 here"):
        shared.state(Sighted("0" * 16, "ab" * 32))


def test_finds_of_one_trip_are_one_alarm_until_it_ends(shared: World) -> None:
    name = shared.dispatch(2)
    for item in shared.consignment(name).media:
        alarms.sight(shared.book, item, "in the river")
    causes = [shared.get(Alarm, each).cause for each in shared.consignment(name).alarms]
    assert causes == ["overdue", "not-picked-up", "sighted"]
    found = shared.alarm(name, 2)
    assert (found.due, found.ladder[found.rung].after, found.ended_at) == (shared.at, 0, None)
    shared.hand(name, "carl", "ben")
    assert shared.alarm(name, 2).ended_at == shared.at
