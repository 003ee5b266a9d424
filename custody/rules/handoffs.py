"""Hand-offs: custody passes from giver to taker, and both have signed the same words.

A statement that two distinct, ever-enrolled devices have signed enters the ledger exactly once, whatever it
says: refusing it would destroy evidence. What becomes of it is derived here, the same for server and
auditor:

    recorded   it names the consignment's newest hand-off as the one before it, the giver held custody, and
               the taker may take it: custody has passed.
    waiting    the hand-off that it names has not come yet, a phone being offline. It takes its place when
               that one comes.
    disputed   something in it cannot be: two hand-offs name the same one before them, the giver did not hold
               custody, a device was revoked, one person stands on both sides, the manifest is another.
               Nothing passes, and while the consignment is open an alarm rings at once.

A receipt at the destination by someone who keeps it ends the transit even while it waits: a predecessor may
be lost with a phone, and the media are there. But one by a device that nobody has confirmed for this site, or
not a day ago, ends nothing before a second person has stood by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from custody.errors import Impossible
from custody.facts import Cause, Fact, Handed, Seconded
from custody.rules.alarms import Alarm
from custody.rules.cases import Packing
from custody.rules.consignments import Consignment, along, arrive, flagged, picked_up, ring
from custody.rules.people import Device, Person, signer
from custody.rules.world import Event, Noun, World, check_seen, replace, seen_size

_YOUNG: Final = "the receiver's device was less than a day old"
_UNVOUCHED: Final = "nobody had confirmed the receiver's device for this site"
DOUBTS: Final = (_YOUNG, _UNVOUCHED)
"""The flags of a receipt by which a second person must stand."""
_RIVALRY: Final = "another hand-off names the same one before it"


@dataclass(frozen=True, slots=True)
class HandOff(Noun):
    """A hand-off in the ledger. The id is the event's; `why` is empty unless it is waiting or disputed."""

    consignment: str
    previous: str
    giver: str
    taker: str
    site: str
    at: datetime
    device_at: datetime
    giver_key: str
    taker_key: str
    giver_seen: int
    taker_seen: int
    status: str
    why: tuple[str, ...]
    complete: bool
    receipt: bool


@dataclass(frozen=True, slots=True)
class Successors(Noun):
    """The hand-offs that name this event as the one before them. More than one is a dispute."""

    hand_offs: tuple[str, ...]


def expect_hand_offs(world: World, events: Mapping[str, Fact]) -> None:
    """The hand-offs among these events are about to take their places: what `handed` will look at."""
    facts = {name: fact for name, fact in events.items() if isinstance(fact, Handed)}
    named = {fact.previous for fact in facts.values()}
    world.expect(Successors, {*facts, *named})
    world.expect(Consignment, {fact.consignment for fact in facts.values()})
    found = [world.find(Consignment, fact.consignment) for fact in facts.values()]
    trips = [trip for trip in found if trip is not None]
    world.expect(Alarm, {alarm for trip in trips for alarm in trip.alarms})
    world.expect(HandOff, named.difference(*(trip.approvals for trip in trips)))


def handed(world: World, event: Event) -> None:
    """A doubly signed statement takes its place."""
    fact: Handed = event.fact
    giver, taker = _parties(world, event)
    consignment = world.get(Consignment, fact.consignment)
    for party in (fact.giver, fact.taker):
        check_seen(world, event, party.seen)
    blemish = _blemish(world, fact, consignment)
    hand_off = HandOff(
        id=event.id,
        consignment=consignment.id,
        previous=fact.previous,
        giver=giver.id,
        taker=taker.id,
        site=fact.site,
        at=event.at,
        device_at=event.statement.made,
        giver_key=fact.giver.key,
        taker_key=fact.taker.key,
        giver_seen=seen_size(fact.giver.seen),
        taker_seen=seen_size(fact.taker.seen),
        status="waiting",
        why=(),
        complete=fact.read == "media" and blemish is None,
        receipt=fact.site == consignment.to_site and taker.at(consignment.to_site),
    )
    world.put(along(consignment, giver.id, taker.id))
    rivals = _rivals(world, hand_off)
    wrong = _wrong_in_itself(world, event, consignment, giver, taker)
    if rivals:
        wrong.append(_RIVALRY)
    _follow(world, hand_off)
    if wrong:
        _dispute(world, hand_off, wrong, event.at)
        disputed = [hand_off.id]
        for rival in rivals:
            if rival.status != "disputed":
                _dispute(world, rival, [_RIVALRY], event.at)
                disputed.append(rival.id)
        _place(world, [each for name in disputed for each in _followers(world, name)], event.at)
        return
    if blemish is not None and consignment.open:
        world.put(ring(world, world.get(Consignment, consignment.id), blemish, event.at))
    world.put(hand_off)
    _place(world, [hand_off], event.at)


def _parties(world: World, event: Event) -> tuple[Person, Person]:
    fact: Handed = event.fact
    if event.signers != (fact.giver.key, fact.taker.key):
        raise Impossible("A hand-off is signed by the giver's device and by the taker's, in this order.")
    devices = [world.find(Device, key) for key in event.signers]
    people = [world.get(Person, device.person) for device in devices if device is not None]
    if len(people) != 2:
        raise Impossible("A hand-off is signed by two devices that are enrolled here.")
    return people[0], people[1]


def _rivals(world: World, hand_off: HandOff) -> list[HandOff]:
    """The hand-offs of this consignment that name the same one before them, and only therefore may not."""
    return [
        rival
        for rival in _followers(world, hand_off.previous)
        if rival.consignment == hand_off.consignment and (rival.status != "disputed" or _RIVALRY in rival.why)
    ]


def _followers(world: World, name: str) -> list[HandOff]:
    successors = world.find(Successors, name)
    return [world.get(HandOff, each) for each in successors.hand_offs] if successors else []


def _follow(world: World, hand_off: HandOff) -> None:
    known = world.find(Successors, hand_off.previous)
    world.put(Successors(hand_off.previous, (*(known.hand_offs if known else ()), hand_off.id)))


def _wrong_in_itself(
    world: World, event: Event, consignment: Consignment, giver: Person, taker: Person
) -> list[str]:
    """What cannot be, wherever in the trip the hand-off stands."""
    fact: Handed = event.fact
    wrong = []
    if event.statement.about.sha256 != consignment.manifest:
        wrong.append("it names another manifest")
    if giver.id == taker.id:
        wrong.append("one person stands on both sides")
    wrong += [
        f"the {role}'s device was revoked"
        for role, key in (("giver", fact.giver.key), ("taker", fact.taker.key))
        if world.get(Device, key).revoked_at is not None
    ]
    lines = (*fact.missing, *fact.refused, *fact.damaged)
    if max((*lines, 0)) > len(consignment.media):
        wrong.append("it names a line that the manifest does not have")
    if len(set(lines)) != len(lines):
        wrong.append("it says two things of one line")
    if consignment.packing is None and (fact.seal != "none" or fact.seal_read is not None):
        wrong.append("it speaks of a seal, and there is none")
    courier = taker.holds("courier") and taker.organisation == consignment.carrier
    if not courier and not (fact.site == consignment.to_site and taker.at(consignment.to_site)):
        wrong.append("the taker is neither a courier of the carrier nor keeps the destination")
    return wrong


def _place(world: World, hand_offs: Iterable[HandOff], now: datetime) -> None:
    """Gives hand-offs their places in the trip, and then those that waited for them, one after the other."""
    queue = list(hand_offs)
    while queue:
        each = world.get(HandOff, queue.pop(0).id)
        consignment = world.get(Consignment, each.consignment)
        if each.status != "waiting":
            continue
        if each.previous != consignment.head:
            if not _out_of_place(world, consignment, each, now):
                continue
        elif wrong := _wrong_in_its_place(world, consignment, each):
            _dispute(world, each, wrong, now)
        else:
            recorded = replace(each, status="recorded")
            world.put(recorded)
            _pass_custody(world, consignment, recorded, now)
        queue += [f for f in _followers(world, each.id) if f.consignment == each.consignment]


def _out_of_place(world: World, consignment: Consignment, hand_off: HandOff, now: datetime) -> bool:
    """It names no newest hand-off: whether what it names was left behind. Else it waits."""
    if reason := _left_behind(world, consignment, hand_off):
        _dispute(world, hand_off, [reason], now)
        return True
    if hand_off.receipt and consignment.open and _carries(world, hand_off, consignment):
        _receive(world, flagged(consignment, "received before its predecessor came"), hand_off, now)
    return False


def _left_behind(world: World, consignment: Consignment, hand_off: HandOff) -> str:
    before = world.find(HandOff, hand_off.previous)
    if consignment.head is None:
        return "the consignment has not been approved"
    if hand_off.previous in consignment.approvals:
        return "the approval that it names has been replaced"
    if before is not None and before.consignment != hand_off.consignment:
        return "the hand-off that it names is of another consignment"
    if before is not None and before.status == "disputed":
        return "the hand-off that it names is disputed"
    return ""


def _carries(world: World, hand_off: HandOff, consignment: Consignment) -> bool:
    giver = world.get(Person, hand_off.giver)
    return giver.holds("courier") and giver.organisation == consignment.carrier


def _wrong_in_its_place(world: World, consignment: Consignment, hand_off: HandOff) -> list[str]:
    """What cannot be for the hand-off that follows the consignment's newest."""
    waiting = any(world.get(HandOff, name).status == "waiting" for name in consignment.receipts)
    if not consignment.open and not (consignment.state == "arrived" and waiting):
        return ["the consignment is not on its way"]
    wrong = []
    first = hand_off.previous in consignment.approvals
    before = None if first else world.find(HandOff, hand_off.previous)
    if before is None:
        giver = world.get(Person, hand_off.giver)
        if not giver.at(consignment.from_site) or hand_off.site != consignment.from_site:
            wrong.append("it was not picked up from someone who keeps the sending site")
    else:
        if hand_off.giver != before.taker:
            wrong.append("the giver did not hold custody")
        if hand_off.giver_key == before.taker_key and hand_off.giver_seen < before.taker_seen:
            wrong.append("the giver's device has seen less than when it took custody")
    return wrong


def _pass_custody(world: World, consignment: Consignment, hand_off: HandOff, now: datetime) -> None:
    """Custody passes. A leg whose statement came after the receipt is history, and moves nothing."""
    late = consignment.received_at is not None and hand_off.id not in consignment.receipts
    if late and not hand_off.receipt:
        known = replace(consignment, head=hand_off.id)
        if consignment.picked_up_at is None:
            moved = picked_up(world, consignment, hand_off.id, hand_off.taker, hand_off.at)
            known = replace(moved, state=consignment.state, holder=consignment.holder)
        world.put(flagged(known, "a hand-off came after the receipt"))
        return
    if consignment.picked_up_at is None:
        consignment = picked_up(world, consignment, hand_off.id, hand_off.taker, hand_off.at)
    else:
        consignment = replace(consignment, head=hand_off.id, holder=hand_off.taker)
    if consignment.state == "arrived":
        world.put(replace(consignment, holder=None))
        return
    world.put(consignment)
    if hand_off.receipt:
        _receive(world, consignment, hand_off, now)


def _receive(world: World, consignment: Consignment, hand_off: HandOff, now: datetime) -> None:
    received = replace(
        consignment,
        state="received",
        holder=hand_off.taker,
        received_at=consignment.received_at or now,
        receipts=(*consignment.receipts, hand_off.id),
    )
    device = world.get(Device, hand_off.taker_key)
    if not hand_off.complete:
        world.put(flagged(received, "not complete"))
    elif not device.keeps(consignment.to_site):
        world.put(flagged(received, _UNVOUCHED))
    elif device.young(hand_off.at):
        world.put(flagged(received, _YOUNG))
    else:
        arrive(world, received, now)


def _dispute(world: World, hand_off: HandOff, reasons: list[str], now: datetime) -> None:
    """It passes nothing (any more), and rings at once. Who holds the media stays as it was last known.

    What has not left, or has arrived, is not missing: nothing rings, and `custody.acts.signing` tells the
    seniors.
    """
    world.put(replace(hand_off, status="disputed", why=(*hand_off.why, *reasons)))
    consignment = flagged(world.get(Consignment, hand_off.consignment), "disputed")
    world.put(ring(world, consignment, "disputed", now) if consignment.open else consignment)


def _blemish(world: World, fact: Handed, consignment: Consignment) -> Cause | None:
    """What rings at once, without waiting for the due time. An intact seal is the one that was closed."""
    if consignment.packing is not None:
        closed = world.get(Packing, consignment.packing).seal
        if fact.seal != "intact" or fact.seal_read != closed:
            return "seal"
    if fact.missing or fact.refused or fact.damaged or fact.extra:
        return "incomplete"
    return None


def second_person(person: Person, hand_off: HandOff, consignment: Consignment) -> bool:
    """Whether they could stand by this receipt: they keep the destination, and were no party."""
    return person.id not in (hand_off.giver, hand_off.taker) and person.at(consignment.to_site)


def seconded(world: World, event: Event) -> None:
    """A second person of the receiving site stands by a receipt: now it counts."""
    fact: Seconded = event.fact
    by = signer(world, event)
    hand_off = world.get(HandOff, fact.hand_off)
    consignment = world.get(Consignment, fact.consignment)
    if not hand_off.receipt or hand_off.consignment != consignment.id or hand_off.status == "disputed":
        raise Impossible("This is not a receipt that a second person can stand by.")
    if not second_person(by, hand_off, consignment):
        raise Impossible("It takes a second person who keeps the receiving site.")
    if world.get(Device, event.signers[0]).young(event.at):
        raise Impossible("It takes a device that has been enrolled for a day.")
    consignment = along(consignment, by.id)
    world.put(consignment)
    if consignment.state == "received" and hand_off.complete and consignment.holder == hand_off.taker:
        arrive(world, consignment, event.at)
