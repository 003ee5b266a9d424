"""The life of hand-offs: recorded, waiting, disputed; late, partial and seconded receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from custody import orders
from custody.acts import consignments, people, signing
from custody.errors import Backwards, Conflict, Forbidden, Impossible, Refusal
from custody.facts import Handed, Packed, Seconded, Statement, Subject
from custody.ledger.envelope import event_id
from custody.ledger.note import Checkpoint
from custody.rules import world as rules
from custody.rules.alarms import Alarm
from custody.rules.consignments import Consignment
from custody.rules.handoffs import HandOff
from custody.rules.history import evolve
from custody.rules.media import Medium
from custody.rules.world import Event
from custody.store.nouns import SHELVES


def changed(payload: bytes, **members: Any) -> bytes:
    """The same statement with other members."""
    statement = Statement.read(payload)
    return replace(statement, fact=replace(statement.fact, **members)).payload()


def bring(world: World, payload: bytes, giver: str, taker: str) -> str:
    """Both have signed out there; one of them brings it in."""
    return signing.submit(world.book, payload, world.both(payload, giver, taker)).event


def status(world: World, event: str) -> tuple[str, str]:
    hand_off = world.get(HandOff, event)
    return hand_off.status, "; ".join(hand_off.why)


def approved(world: World, count: int = 3) -> str:
    name = world.request(count, minutes=600)
    world.approve(name)
    return name


def ring_causes(world: World, name: str) -> dict[str, bool]:
    """The causes of a consignment's alarms, and whether each still goes on.

    Left out is the watch over the pick-up, which gives way to the next when that comes in time.
    """
    alarms = [world.get(Alarm, alarm) for alarm in world.consignment(name).alarms]
    return {a.cause: a.ended_at is None for a in alarms if a.cause != "not-picked-up" or a.ended_at is None}


# --------------------------------------------------------------------------------------- the usual trip


def test_from_hand_to_hand(box: World) -> None:
    name = approved(box)
    first = box.hand(name, "ann", "carl", "NORTH")
    assert status(box, first) == ("recorded", "")
    assert (box.consignment(name).state, box.consignment(name).holder) == ("travelling", box.ids["carl"])
    second = box.hand(name, "carl", "cora", "ROADSIDE")
    assert box.consignment(name).holder == box.ids["cora"]
    last = box.hand(name, "cora", "ben")
    consignment = box.consignment(name)
    assert (consignment.state, consignment.holder, consignment.flags) == ("arrived", None, ())
    assert [box.get(HandOff, event).status for event in (first, second, last)] == ["recorded"] * 3
    assert ring_causes(box, name) == {"overdue": False}
    for medium in consignment.media:
        assert (box.get(Medium, medium).site, box.get(Medium, medium).consignment) == ("SOUTH", None)


def test_nothing_leaves_before_it_is_approved(box: World) -> None:
    name = box.request(2)
    with pytest.raises(Conflict, match="has not been approved"):
        box.hand_off(name, "ann", "carl", "NORTH")


def test_the_taker_signs_first(box: World) -> None:
    name = approved(box)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    (giver, taker) = (box.keys["ann"], box.keys["carl"])
    signed = box.both(payload, "ann", "carl")
    with pytest.raises(Conflict, match="who takes, takes first"):
        signing.sign(box.book, box.ids["ann"], payload, giver.public.id, signed[giver.public.id])
    draft = signing.sign(box.book, box.ids["carl"], payload, taker.public.id, signed[taker.public.id])
    assert (draft.seq, draft.waits_for) == (None, box.ids["ann"])
    assert box.consignment(name).state == "approved"
    done = signing.sign(box.book, box.ids["ann"], payload, giver.public.id, signed[giver.public.id])
    assert done.seq is not None
    assert signing.drafts(box.book, box.ids["ann"]) == []


def test_a_draft_is_withdrawn_by_the_one_who_signed_it_and_by_nobody_else(box: World) -> None:
    name = approved(box)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    key = box.keys["carl"].public.id
    draft = signing.sign(box.book, box.ids["carl"], payload, key, box.both(payload, "ann", "carl")[key])
    for other in ("ann", "mallory"):
        with pytest.raises(Refusal):
            signing.withdraw(box.book, box.ids[other], draft.event)
    signing.withdraw(box.book, box.ids["carl"], draft.event)
    assert signing.drafts(box.book, box.ids["ann"]) == []


# ------------------------------------------------------------------------------------- in whatever order


class Fold:
    """The rules alone, as the auditor runs them: statements put one after another onto a copy of a world."""

    def __init__(self, world: World) -> None:
        report = world.audit()
        self._base, self._size, self.at = report.world, report.size, world.at
        self.reset()

    def reset(self) -> None:
        self.world = rules.World()
        for kind in SHELVES:
            for noun in self._base.all(kind):
                self.world.put(noun)
        sizes = range(self._size + 1)
        self.world.roots = {size: root for size in sizes if (root := self._base.root_at(size)) is not None}
        self.seq = self._size

    def add(self, payload: bytes) -> None:
        statement = Statement.read(payload)
        signers = (statement.fact.giver.key, statement.fact.taker.key)  # type: ignore[attr-defined]
        self.at += timedelta(minutes=1)
        evolve(self.world, Event(self.seq, event_id(payload), statement, signers, self.at))
        self.seq += 2


def chain(world: World, name: str, people: Sequence[str], **last: Any) -> list[bytes]:
    """Hand-offs from one to the next, none of them brought in yet: NORTH, the road, and at last SOUTH."""
    payloads: list[bytes] = []
    for number, (giver, taker) in enumerate(pairwise(people)):
        is_last = number == len(people) - 2
        site = "NORTH" if number == 0 else "SOUTH" if is_last else "ROADSIDE"
        payload = world.hand_off(name, giver, taker, site, **(last if is_last else {}))
        if payloads:
            payload = changed(payload, previous=event_id(payloads[-1]))
        payloads.append(payload)
    return payloads


def outcome(world: rules.World, name: str, payloads: list[bytes]) -> dict[str, Any]:
    """What the world tells of a trip, apart from times, flags and the order of names."""
    consignment = world.get(Consignment, name)
    return {
        "state": consignment.state,
        "head": consignment.head,
        "holder": consignment.holder,
        "picked up": consignment.picked_up_at is not None,
        "chain": set(consignment.chain),
        "hand-offs": [(h.status, h.why) for h in (world.get(HandOff, event_id(p)) for p in payloads)],
        "goes on": {a.cause for a in (world.get(Alarm, x) for x in consignment.alarms) if a.ended_at is None},
        "media": [(world.get(Medium, m).site, world.get(Medium, m).consignment) for m in consignment.media],
    }


TRIP = ("ann", "carl", "cora", "mallory", "ben")


@pytest.mark.parametrize("last", [{}, {"missing": (2,)}], ids=["complete", "one missing"])
def test_a_chain_ends_the_same_in_whatever_order_it_comes(loose: World, last: dict[str, Any]) -> None:
    name = approved(loose)
    payloads = chain(loose, name, TRIP, **last)
    fold = Fold(loose)
    for payload in payloads:
        fold.add(payload)
    wanted = outcome(fold.world, name, payloads)
    assert wanted["state"] == ("received" if last else "arrived")
    differing = {}
    for order in permutations(range(4)):
        fold.reset()
        for number in order:
            fold.add(payloads[number])
        told = outcome(fold.world, name, payloads)
        if told != wanted:
            differing[order] = {key: value for key, value in told.items() if value != wanted[key]}
    assert not differing, "\n".join(f"{order}: {parts}" for order, parts in differing.items())


def test_a_chain_that_has_not_arrived_yet_ends_the_same_in_whatever_order_it_comes(loose: World) -> None:
    name = approved(loose)
    payloads = chain(loose, name, ("ann", "carl", "cora", "mallory", "carl"))
    payloads = [changed(p, site="NORTH" if i == 0 else "ROADSIDE") for i, p in enumerate(payloads)]
    for number in range(1, 4):
        payloads[number] = changed(payloads[number], previous=event_id(payloads[number - 1]))
    fold = Fold(loose)
    for payload in payloads:
        fold.add(payload)
    wanted = outcome(fold.world, name, payloads)
    assert (wanted["state"], wanted["holder"]) == ("travelling", loose.ids["carl"])
    for order in permutations(range(4)):
        fold.reset()
        for number in order:
            fold.add(payloads[number])
        assert outcome(fold.world, name, payloads) == wanted, order


@settings(max_examples=8)
@given(order=st.permutations(range(3)), repeats=st.lists(st.integers(0, 2), max_size=2))
def test_the_book_tells_what_the_fold_tells(
    tmp_path_factory: pytest.TempPathFactory, template: World, order: list[int], repeats: list[int]
) -> None:
    """Through the drafts' back door and with repeats, and audited whole at the end."""
    box = template.copy(tmp_path_factory.mktemp("order"))
    name = approved(box)
    payloads = chain(box, name, ("ann", "carl", "cora", "ben"))
    hands = list(zip(("ann", "carl", "cora"), ("carl", "cora", "ben"), strict=True))
    fold = Fold(box)
    for number in order:
        fold.add(payloads[number])
    for number in (*order, *repeats):
        bring(box, payloads[number], *hands[number])
    with box.book.world() as world:
        assert outcome(world, name, payloads) == outcome(fold.world, name, payloads)
    box.check()
    box.book.engine.dispose()


def test_one_that_comes_before_its_predecessor_waits_and_is_woken(box: World) -> None:
    name = approved(box)
    first, second, third = chain(box, name, ("ann", "carl", "cora", "mallory"))
    third = changed(third, site="ROADSIDE")
    waiting = bring(box, third, "cora", "mallory")
    assert status(box, waiting) == ("waiting", "")
    assert box.consignment(name).state == "approved"
    middle = bring(box, second, "carl", "cora")
    assert status(box, middle)[0] == "waiting"
    bring(box, first, "ann", "carl")
    assert [status(box, event) for event in (middle, waiting)] == [("recorded", "")] * 2
    assert (box.consignment(name).state, box.consignment(name).holder) == ("travelling", box.ids["mallory"])


def test_a_waiting_one_of_somebody_who_never_held_it_is_disputed_when_it_wakes(box: World) -> None:
    name = approved(box)
    first = box.hand_off(name, "ann", "carl", "NORTH")
    second = changed(box.hand_off(name, "mallory", "cora", "ROADSIDE"), previous=event_id(first))
    waiting = bring(box, second, "mallory", "cora")
    assert status(box, waiting)[0] == "waiting"
    bring(box, first, "ann", "carl")
    assert status(box, waiting)[0] == "disputed"
    assert "the giver did not hold custody" in status(box, waiting)[1]
    assert box.consignment(name).holder == box.ids["carl"]
    assert ring_causes(box, name)["disputed"]


def test_a_receipt_counts_though_its_predecessor_was_lost_with_a_phone(box: World) -> None:
    name = approved(box)
    first, middle, last = chain(box, name, ("ann", "carl", "cora", "ben"))
    bring(box, first, "ann", "carl")
    receipt = bring(box, last, "cora", "ben")
    assert status(box, receipt)[0] == "waiting"
    assert box.consignment(name).state == "arrived"
    assert "received before its predecessor came" in box.consignment(name).flags
    late = bring(box, middle, "carl", "cora")
    assert [status(box, event)[0] for event in (late, receipt)] == ["recorded", "recorded"]
    assert "a hand-off came after the receipt" in box.consignment(name).flags


def test_two_legs_come_after_the_receipt_in_their_own_order(box: World) -> None:
    """Ben's phone syncs before Carl's and Cora's do: nothing about it is wrong, it is only late."""
    name = approved(box)
    payloads = chain(box, name, TRIP)
    bring(box, payloads[0], "ann", "carl")
    receipt = bring(box, payloads[3], "mallory", "ben")
    assert box.consignment(name).state == "arrived"
    second = bring(box, payloads[1], "carl", "cora")
    third = bring(box, payloads[2], "cora", "mallory")
    assert [status(box, event) for event in (second, third, receipt)] == [("recorded", "")] * 3
    assert "disputed" not in ring_causes(box, name)


# -------------------------------------------------------------------------------------------- disputes


def test_two_that_name_the_same_one_before_them(box: World) -> None:
    name = approved(box)
    one = box.hand_off(name, "ann", "carl", "NORTH")
    other = box.hand_off(name, "ann", "cora", "NORTH")
    events = bring(box, one, "ann", "carl"), bring(box, other, "ann", "cora")
    for event in events:
        assert status(box, event) == ("disputed", "another hand-off names the same one before it")
    assert ring_causes(box, name)["disputed"]
    assert "disputed" in box.consignment(name).flags


def test_a_third_rival_is_a_rival_and_nothing_else(box: World) -> None:
    """It names an approval that nobody has replaced, and is not told that it did."""
    name = approved(box)
    takers = ("carl", "cora", "mallory")
    written = [box.hand_off(name, "ann", taker, "NORTH") for taker in takers]
    events = [bring(box, payload, "ann", taker) for payload, taker in zip(written, takers, strict=True)]
    for event in events:
        assert status(box, event) == ("disputed", "another hand-off names the same one before it")


def test_what_waits_for_one_that_is_disputed_waits_no_longer(box: World) -> None:
    """The first never comes; the second, which waits for it, gets a rival; the third waits for the second."""
    name = approved(box)
    lost = box.hand_off(name, "ann", "carl", "NORTH")
    second = changed(box.hand_off(name, "carl", "cora", "ROADSIDE"), previous=event_id(lost))
    third = changed(box.hand_off(name, "cora", "mallory", "ROADSIDE"), previous=event_id(second))
    rival = changed(box.hand_off(name, "carl", "mallory", "ROADSIDE"), previous=event_id(lost))
    bring(box, second, "carl", "cora")
    waiting = bring(box, third, "cora", "mallory")
    assert status(box, waiting) == ("waiting", "")
    bring(box, rival, "carl", "mallory")
    assert status(box, waiting) == ("disputed", "the hand-off that it names is disputed")


@pytest.mark.parametrize(
    ("giver", "taker", "site", "why"),
    [
        ("mallory", "carl", "NORTH", "not picked up from someone who keeps the sending site"),
        ("ben", "carl", "NORTH", "not picked up from someone who keeps the sending site"),
        ("ann", "carl", "SOUTH", "not picked up from someone who keeps the sending site"),
        ("ann", "mona", "NORTH", "the taker is neither a courier of the carrier"),
        ("ann", "olga", "NORTH", "the taker is neither a courier of the carrier"),
        ("ann", "ben", "NORTH", "the taker is neither a courier of the carrier"),
    ],
)
def test_a_pick_up_that_cannot_be(box: World, giver: str, taker: str, site: str, why: str) -> None:
    name = approved(box)
    event = bring(box, box.hand_off(name, giver, taker, site), giver, taker)
    assert status(box, event)[0] == "disputed"
    assert why in status(box, event)[1]
    consignment = box.consignment(name)
    assert (consignment.state, consignment.holder) == ("approved", None)
    assert ring_causes(box, name)["disputed"]


def test_a_hand_off_by_somebody_who_does_not_hold_it(box: World) -> None:
    name = box.dispatch()
    event = bring(box, box.hand_off(name, "mallory", "ben"), "mallory", "ben")
    assert status(box, event) == ("disputed", "the giver did not hold custody")
    assert (box.consignment(name).state, box.consignment(name).holder) == ("travelling", box.ids["carl"])


@pytest.mark.parametrize("who", ["carl", "ben"])
def test_a_revoked_device_makes_a_dispute_and_is_not_refused(box: World, who: str) -> None:
    name = box.dispatch()
    payload = box.hand_off(name, "carl", "ben")
    people.revoke(box.book, box.ids["ivo"], box.keys[who].public.id, "stolen")
    event = bring(box, payload, "carl", "ben")
    role = "giver" if who == "carl" else "taker"
    assert status(box, event) == ("disputed", f"the {role}'s device was revoked")
    assert box.consignment(name).state == "travelling"


def test_one_person_with_two_devices_is_not_two_parties(box: World) -> None:
    name = box.dispatch()
    first = box.keys["carl"]
    box.enrol("carl", "carl")
    box.keys["twin"], box.keys["carl"] = box.keys["carl"], first
    event = bring(box, box.hand_off(name, "carl", "twin", "ROADSIDE"), "carl", "twin")
    assert status(box, event) == ("disputed", "one person stands on both sides")
    assert box.consignment(name).holder == box.ids["carl"]


def test_a_hand_off_of_another_manifest(box: World) -> None:
    name, other = box.dispatch(), approved(box)
    payload = box.hand_off(name, "carl", "ben")
    statement = Statement.read(payload)
    about = Subject("event", box.consignment(other).manifest)
    event = bring(box, replace(statement, about=about).payload(), "carl", "ben")
    assert status(box, event) == ("disputed", "it names another manifest")
    assert box.consignment(name).state == "travelling"


def test_a_line_that_the_manifest_does_not_have(box: World) -> None:
    name = box.dispatch(3)
    event = bring(box, box.hand_off(name, "carl", "ben", missing=(4,)), "carl", "ben")
    assert status(box, event) == ("disputed", "it names a line that the manifest does not have")


def test_two_things_are_not_said_of_one_line(shared: World) -> None:
    name = shared.dispatch(3)
    payload = shared.hand_off(name, "carl", "ben", missing=(2,), damaged=(1, 2))
    assert status(shared, bring(shared, payload, "carl", "ben")) == (
        "disputed",
        "it says two things of one line",
    )
    assert shared.consignment(name).state == "travelling"


def test_one_that_names_a_hand_off_of_another_consignment(shared: World) -> None:
    name, other = shared.dispatch(1), shared.dispatch(1)
    elsewhere = shared.consignment(other).head
    event = bring(shared, changed(shared.hand_off(name, "carl", "ben"), previous=elsewhere), "carl", "ben")
    assert status(shared, event) == ("disputed", "the hand-off that it names is of another consignment")
    assert [shared.consignment(each).state for each in (name, other)] == ["travelling"] * 2
    assert "disputed" not in ring_causes(shared, other)


def test_one_that_names_a_disputed_hand_off(shared: World) -> None:
    name = shared.dispatch(1)
    first = bring(shared, shared.hand_off(name, "mallory", "cora", "ROADSIDE"), "mallory", "cora")
    assert status(shared, first) == ("disputed", "the giver did not hold custody")
    event = bring(shared, changed(shared.hand_off(name, "cora", "ben"), previous=first), "cora", "ben")
    assert status(shared, event) == ("disputed", "the hand-off that it names is disputed")
    assert (shared.consignment(name).state, shared.consignment(name).holder) == (
        "travelling",
        shared.ids["carl"],
    )


def test_rivals_that_waited_stay_disputed_when_what_they_name_has_come(shared: World) -> None:
    name = approved(shared)
    first = shared.hand_off(name, "ann", "carl", "NORTH")
    rivals = []
    for taker in ("cora", "mallory"):
        payload = changed(shared.hand_off(name, "carl", taker, "ROADSIDE"), previous=event_id(first))
        rivals.append(bring(shared, payload, "carl", taker))
    known = [shared.get(HandOff, each) for each in rivals]
    assert [each.status for each in known] == ["disputed"] * 2
    bring(shared, first, "ann", "carl")
    assert [shared.get(HandOff, each) for each in rivals] == known
    assert (shared.consignment(name).state, shared.consignment(name).holder) == (
        "travelling",
        shared.ids["carl"],
    )


def test_a_hand_off_is_signed_in_its_order_by_the_two_whom_it_names(shared: World) -> None:
    """The book refuses a key that is not enrolled as forged; to the rules alone it is nobody's."""
    name = approved(shared)
    payload = shared.hand_off(name, "ann", "carl", "NORTH")
    signed = shared.both(payload, "ann", "carl")
    with (
        shared.unmoved(),
        pytest.raises(Impossible, match="by the giver's device and by the taker's, in this or"),
    ):
        shared.admit(payload, dict(reversed(signed.items())))
    nobody = replace(shared.party("carl"), key="ab" * 32)
    with pytest.raises(Impossible, match="signed by two devices that are enrolled here"):
        Fold(shared).add(changed(payload, taker=nobody))
    assert (shared.consignment(name).state, shared.consignment(name).chain) == (
        "approved",
        (shared.ids["ann"], shared.ids["mona"]),
    )


def test_a_consignment_that_was_never_approved(box: World) -> None:
    name, other = box.request(2), approved(box)
    payload = changed(box.hand_off(other, "ann", "carl", "NORTH"), consignment=name)
    about = Subject("event", box.consignment(name).manifest)
    payload = replace(Statement.read(payload), about=about).payload()
    event = bring(box, payload, "ann", "carl")
    assert status(box, event)[0] in ("disputed", "waiting")
    assert (box.consignment(name).state, box.consignment(name).holder) == ("requested", None)


def test_an_approval_that_was_replaced(box: World) -> None:
    name = approved(box)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    old = box.consignment(name)
    with box.book.world() as world:
        fact, about = _approval(world, name, minutes=30)
    box.force("mona", fact, about)
    event = bring(box, payload, "ann", "carl")
    assert status(box, event) == ("disputed", "the approval that it names has been replaced")
    assert len(box.consignment(name).approvals) == len(old.approvals) + 1


def _approval(world: rules.World, name: str, *, minutes: int) -> tuple[Any, str]:
    fact, about = consignments.approval(world, name)
    return replace(fact, pick_up_by=fact.pick_up_by + timedelta(minutes=minutes)), about


def test_one_after_the_arrival_is_disputed_and_moves_nothing(box: World) -> None:
    name = box.dispatch()
    box.hand(name, "carl", "ben")
    event = bring(box, box.hand_off(name, "carl", "bea"), "carl", "bea")
    assert status(box, event)[0] == "disputed"
    assert box.consignment(name).state == "arrived"


# ------------------------------------------------------------------------------------- what was seen


def seen_of(world: World, **change: Any) -> str:
    checkpoint = Checkpoint.of(world.book.checkpoint())
    return replace(checkpoint, **change).seen


@pytest.mark.parametrize("role", ["giver", "taker"])
def test_a_device_that_saw_another_history(box: World, role: str) -> None:
    name = box.dispatch()
    payload = box.hand_off(name, "carl", "ben")
    party = getattr(Statement.read(payload).fact, role)
    before = box.book.checkpoint()
    size = int(party.seen.split()[0])
    for seen in (
        seen_of(box, root=bytes(32)),  # another root at this size
        seen_of(box, size=size + 1),  # longer than this log
        seen_of(box, size=10**14),
        seen_of(box, size=size - 1),  # a size that never was a checkpoint's
    ):
        with pytest.raises(Backwards, match="another history"):
            bring(box, changed(payload, **{role: replace(party, seen=seen)}), "carl", "ben")
    assert box.book.checkpoint() == before
    bring(box, payload, "carl", "ben")


def test_a_giver_whose_device_has_seen_less_than_when_it_took(box: World) -> None:
    name = approved(box)
    old = box.party("carl")
    box.register(1)
    box.hand(name, "ann", "carl", "NORTH")
    payload = changed(box.hand_off(name, "carl", "ben"), giver=old)
    event = bring(box, payload, "carl", "ben")
    assert status(box, event) == ("disputed", "the giver's device has seen less than when it took custody")
    assert box.consignment(name).state == "travelling"


# ------------------------------------------------------------------------------------------- receipts


def young(world: World, name: str) -> None:
    """A new phone, confirmed by the older one."""
    world.enrol(name, name)


def test_a_receipt_by_a_device_under_a_day_old_needs_a_second_person(box: World) -> None:
    name = box.dispatch()
    young(box, "ben")
    receipt = box.hand(name, "carl", "ben")
    assert box.consignment(name).state == "received"
    assert ring_causes(box, name)["overdue"], "nothing has ended yet"
    for wrong in ("ben", "mona", "carl", "dana", "mallory"):
        with pytest.raises((Impossible, Forbidden)):
            box.sign(wrong, Seconded(name, receipt))
    box.sign("bea", Seconded(name, receipt))
    assert box.consignment(name).state == "arrived"
    assert not any(ring_causes(box, name).values())


def test_the_second_person_has_an_older_device(box: World) -> None:
    name = box.dispatch()
    young(box, "ben")
    young(box, "bea")
    receipt = box.hand(name, "carl", "ben")
    with pytest.raises(Impossible, match="enrolled for a day"):
        box.sign("bea", Seconded(name, receipt))
    box.at += timedelta(hours=24)
    box.sign("bea", Seconded(name, receipt))
    assert box.consignment(name).state == "arrived"


def test_nobody_stands_by_what_is_no_receipt(box: World) -> None:
    name = approved(box)
    pick_up = box.hand(name, "ann", "carl", "NORTH")
    with pytest.raises(Impossible, match="not a receipt"):
        box.sign("bea", Seconded(name, pick_up))
    other = box.dispatch()
    young(box, "ben")
    receipt = box.hand(other, "carl", "ben")
    with pytest.raises(Impossible, match="not a receipt"):
        box.sign("bea", Seconded(name, receipt))


def test_a_second_person_does_not_make_a_receipt_complete(shared: World) -> None:
    name = shared.dispatch(3)
    receipt = shared.hand(name, "carl", "ben", missing=(2,))
    shared.sign("bea", Seconded(name, receipt))
    assert shared.consignment(name).state == "received"
    assert shared.ids["bea"] in shared.consignment(name).chain
    assert ring_causes(shared, name)["incomplete"]


@pytest.mark.parametrize(
    ("read", "cause"),
    [
        ({"missing": (2,)}, "incomplete"),
        ({"refused": (1,)}, "incomplete"),
        ({"damaged": (3,)}, "incomplete"),
        ({"extra": ("0123456789ABCDEF",)}, "incomplete"),
    ],
)
def test_a_receipt_with_a_blemish_rings_at_once_and_is_no_arrival(
    box: World, read: dict[str, Any], cause: str
) -> None:
    name = box.dispatch(3)
    box.hand(name, "carl", "ben", **read)
    consignment = box.consignment(name)
    assert (consignment.state, consignment.arrived_at) == ("received", None)
    assert ring_causes(box, name) == {"overdue": True, cause: True}
    box.wait(minutes=1)
    (alarm,) = [a for a in (box.get(Alarm, x) for x in consignment.alarms) if a.cause == cause]
    assert alarm.told, "somebody is told in the same minute"
    for medium in consignment.media:
        assert box.get(Medium, medium).consignment == name


def test_a_blemish_on_the_road_rings_too(box: World) -> None:
    name = box.dispatch(3)
    box.hand(name, "carl", "cora", "ROADSIDE", damaged=(2,))
    assert box.consignment(name).state == "travelling"
    assert ring_causes(box, name)["incomplete"]


def test_a_complete_receipt_after_a_partial_one_ends_every_alarm(box: World) -> None:
    name = box.dispatch(3)
    box.hand(name, "carl", "ben", missing=(2,))
    box.wait(hours=1)
    box.hand(name, "ben", "bea")
    assert box.consignment(name).state == "arrived"
    assert not any(ring_causes(box, name).values())


def sealed(world: World) -> tuple[str, str, str]:
    """A consignment in a case under a seal, on its way; the case's and the seal's identities."""
    media = world.register(2)
    (case,), (seal,) = world.register(1, what="case"), world.register(1, what="seal")
    packing = world.sign("ann", Packed("NORTH", case, seal, media))
    order = orders.Request(
        route="N-S", carrier="FLEET", pick_up_by=world.at + timedelta(hours=1), media=media, packing=packing
    )
    name = consignments.request(world.book, world.ids["ann"], order)
    world.approve(name)
    world.hand(name, "ann", "carl", "NORTH", read="case", seal="intact", seal_read=seal)
    assert ring_causes(world, name) == {"overdue": True}
    return name, case, seal


def test_reading_the_case_alone_is_no_arrival(box: World) -> None:
    name, case, seal = sealed(box)
    box.hand(name, "carl", "ben", read="case", seal="intact", seal_read=seal)
    assert box.consignment(name).state == "received"
    box.hand(name, "ben", "bea", seal="intact", seal_read=seal)
    assert box.consignment(name).state == "arrived"
    assert box.get(Medium, case).site == "SOUTH"


@pytest.mark.parametrize("found", ["broken", "different", "none"])
@pytest.mark.parametrize(("taker", "site"), [("cora", "ROADSIDE"), ("ben", "SOUTH")])
def test_a_seal_that_is_not_as_it_was_rings_at_once(box: World, found: str, taker: str, site: str) -> None:
    name, _, _ = sealed(box)
    box.hand(name, "carl", taker, site, seal=found)
    assert ring_causes(box, name)["seal"]
    assert box.consignment(name).state in ("travelling", "received")


def test_another_seal_than_the_packed_one_is_not_intact_whatever_is_said(box: World) -> None:
    """Someone opened the case and closed it with a seal of their own; the couriers just say `intact`."""
    name, _, _ = sealed(box)
    (other,) = box.register(1, what="seal")
    box.hand(name, "carl", "ben", seal="intact", seal_read=other)
    assert ring_causes(box, name).get("seal") or "disputed" in ring_causes(box, name)
    assert box.consignment(name).state != "arrived"


@pytest.mark.parametrize("seal", [{"seal": "intact"}, {"seal_read": "94QZ3DWE58PJ55WR"}])
def test_nobody_speaks_of_a_seal_where_there_is_none(box: World, seal: dict[str, Any]) -> None:
    event = bring(box, box.hand_off(name := box.dispatch(2), "carl", "ben", **seal), "carl", "ben")
    assert status(box, event) == ("disputed", "it speaks of a seal, and there is none")
    assert box.consignment(name).state == "travelling"


def test_a_late_pick_up_keeps_the_due_time_that_the_deadline_gave(box: World) -> None:
    name = box.request(2, minutes=30)
    box.approve(name)
    deadline = box.consignment(name).pick_up_by
    box.wait(minutes=50)
    box.hand(name, "ann", "carl", "NORTH")
    consignment = box.consignment(name)
    assert consignment.due == deadline + timedelta(minutes=60)
    assert "picked up late" in consignment.flags


def test_a_hand_off_names_members_in_the_types_that_the_statement_has(box: World) -> None:
    payload = box.hand_off(approved(box), "ann", "carl", "NORTH")
    assert isinstance(Statement.read(payload).fact, Handed)
