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
               Nothing passes, and an alarm rings at once.

A receipt at the destination by someone who keeps it ends the transit even while it waits: a predecessor may
be lost with a phone, and the media are there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from custody.errors import Backwards, Impossible
from custody.facts import Cause, Handed, Seconded
from custody.rules.consignments import Consignment, along, arrive, flagged, picked_up, ring
from custody.rules.people import Device, Person, new, signer
from custody.rules.world import Event, Noun, World
from custody.strict import unbase64


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
    taker_seen: int
    status: str
    why: tuple[str, ...]
    complete: bool
    receipt: bool


@dataclass(frozen=True, slots=True)
class Successors(Noun):
    """The hand-offs that name this event as the one before them. More than one is a dispute."""

    hand_offs: tuple[str, ...]


def handed(world: World, event: Event) -> None:
    """A doubly signed statement takes its place."""
    fact: Handed = event.fact
    giver, taker = _parties(world, event)
    consignment = world.get(Consignment, fact.consignment)
    _check_seen(world, event)
    status, why = _judge(world, event, consignment, giver, taker)
    hand_off = HandOff(
        id=event.id,
        consignment=consignment.id,
        previous=fact.previous,
        giver=giver.id,
        taker=taker.id,
        site=fact.site,
        at=event.at,
        device_at=fact.at,
        giver_key=fact.giver.key,
        taker_key=fact.taker.key,
        taker_seen=seen_size(fact.taker.seen),
        status=status,
        why=why,
        complete=_complete(fact),
        receipt=fact.site == consignment.to_site and taker.at(consignment.to_site),
    )
    new(world, hand_off)
    if status == "disputed":
        for rival in _rivals(world, fact):
            _dispute(world, rival, "another hand-off names the same one before it")
    _follow(world, hand_off)
    consignment = along(consignment, giver.id, taker.id)
    blemish = _blemish(fact)
    if blemish is not None and status != "disputed":
        consignment = ring(world, consignment, blemish, event.at)
    _take_effect(world, consignment, hand_off, event.at)


def _parties(world: World, event: Event) -> tuple[Person, Person]:
    fact: Handed = event.fact
    if event.signers != (fact.giver.key, fact.taker.key):
        raise Impossible("A hand-off is signed by the giver's device and by the taker's, in this order.")
    devices = [world.find(Device, key) for key in event.signers]
    people = [world.get(Person, device.person) for device in devices if device is not None]
    if len(people) != 2:
        raise Impossible("A hand-off is signed by two devices that are enrolled here.")
    return people[0], people[1]


def _check_seen(world: World, event: Event) -> None:
    """A statement by a device that saw another history, or a longer one, cannot be in this one.

    Either the device is broken or the log was rewritten; the statement is on both phones, and the refusal
    is how it comes to light.
    """
    fact: Handed = event.fact
    for seen in (fact.giver.seen, fact.taker.seen):
        if seen_size(seen) > event.seq or world.root_at(seen_size(seen)) != seen_root(seen):
            raise Backwards("One of the devices has seen another history of this log than this one.")
    before = world.find(HandOff, fact.previous)
    if before is None or before.taker_key != fact.giver.key:
        return
    if seen_size(fact.giver.seen) < before.taker_seen:
        raise Backwards("The giver's device has seen less of this log than when it took custody.")


def _judge(
    world: World, event: Event, consignment: Consignment, giver: Person, taker: Person
) -> tuple[str, tuple[str, ...]]:
    """`recorded`, `waiting` or `disputed`, and the reasons."""
    fact: Handed = event.fact
    wrong = _wrong_in_itself(world, event, consignment, giver, taker)
    before = world.find(HandOff, fact.previous)
    if _rivals(world, fact):
        wrong.append("another hand-off names the same one before it")
    elif fact.previous == consignment.head:
        wrong += _wrong_in_its_place(world, event, consignment, giver, taker)
    elif fact.previous in consignment.approvals:
        wrong.append("the approval that it names has been replaced")
    elif before is not None and before.status != "waiting":
        wrong.append("the hand-off that it names is disputed, or of another consignment")
    elif not wrong:
        return "waiting", ("the hand-off before it has not come yet",)
    return ("disputed", tuple(wrong)) if wrong else ("recorded", ())


def _rivals(world: World, fact: Handed) -> list[HandOff]:
    """The hand-offs of this consignment that name the same one before them and are not disputed yet."""
    successors = world.find(Successors, fact.previous)
    named = [world.get(HandOff, name) for name in successors.hand_offs] if successors else []
    return [h for h in named if h.consignment == fact.consignment and h.status != "disputed"]


def _follow(world: World, hand_off: HandOff) -> None:
    known = world.find(Successors, hand_off.previous)
    world.put(Successors(hand_off.previous, (*(known.hand_offs if known else ()), hand_off.id)))


def _wrong_in_itself(
    world: World, event: Event, consignment: Consignment, giver: Person, taker: Person
) -> list[str]:
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
    if max((*fact.missing, *fact.refused, *fact.damaged, 0)) > len(consignment.media):
        wrong.append("it names a line that the manifest does not have")
    return wrong


def _wrong_in_its_place(
    world: World, event: Event, consignment: Consignment, giver: Person, taker: Person
) -> list[str]:
    fact: Handed = event.fact
    awaited = world.find(Successors, event.id) is not None
    if not consignment.open and not (consignment.state == "arrived" and awaited):
        return ["the consignment is not on its way"]
    wrong = []
    if consignment.picked_up_at is None:
        if not giver.at(consignment.from_site) or fact.site != consignment.from_site:
            wrong.append("it was not picked up from someone who keeps the sending site")
    elif giver.id != world.get(HandOff, fact.previous).taker:
        wrong.append("the giver did not hold custody")
    courier = taker.holds("courier") and taker.organisation == consignment.carrier
    if not courier and not (fact.site == consignment.to_site and taker.at(consignment.to_site)):
        wrong.append("the taker is neither a courier of the carrier nor keeps the destination")
    return wrong


def _take_effect(world: World, consignment: Consignment, hand_off: HandOff, now: datetime) -> None:
    """Custody passes, if it does; and then perhaps for those that waited for this one."""
    if hand_off.status == "disputed":
        world.put(ring(world, flagged(consignment, "disputed"), "disputed", now))
    elif hand_off.status == "waiting":
        world.put(consignment)
        if hand_off.receipt and consignment.open:
            _receive(world, flagged(consignment, "received before its predecessor came"), hand_off, now)
    elif consignment.received_at is not None and not hand_off.receipt:
        world.put(_late(consignment, hand_off))
        _wake(world, hand_off, now)
    else:
        passed = _pass_custody(world, consignment, hand_off)
        world.put(passed)
        if hand_off.receipt and passed.state != "arrived":
            _receive(world, passed, hand_off, now)
        _wake(world, hand_off, now)


def _pass_custody(world: World, consignment: Consignment, hand_off: HandOff) -> Consignment:
    if consignment.picked_up_at is None:
        return picked_up(world, consignment, hand_off.id, hand_off.taker, hand_off.at)
    return replace(consignment, head=hand_off.id, holder=hand_off.taker)


def _late(consignment: Consignment, hand_off: HandOff) -> Consignment:
    """A leg whose statement came after the receipt: it is history now, and moves nothing."""
    picked_up_at = consignment.picked_up_at or hand_off.at
    known = replace(consignment, head=hand_off.id, picked_up_at=picked_up_at)
    return flagged(known, "a hand-off came after the receipt")


def _receive(world: World, consignment: Consignment, hand_off: HandOff, now: datetime) -> None:
    received = replace(
        consignment,
        state="received",
        holder=hand_off.taker,
        received_at=consignment.received_at or now,
    )
    if not hand_off.complete:
        world.put(flagged(received, "not complete"))
    elif world.get(Device, hand_off.taker_key).young(hand_off.at):
        world.put(flagged(received, "a second person must stand by the receipt"))
    else:
        arrive(world, received, now)


def _wake(world: World, hand_off: HandOff, now: datetime) -> None:
    """What waited for this hand-off takes the place that it now has."""
    successors = world.find(Successors, hand_off.id)
    waiting = [world.get(HandOff, name) for name in successors.hand_offs] if successors else []
    for follower in waiting:
        if follower.status != "waiting":
            continue
        consignment = world.get(Consignment, hand_off.consignment)
        if follower.giver != hand_off.taker:
            disputed = _dispute(world, follower, "the giver did not hold custody")
            _take_effect(world, consignment, disputed, now)
            continue
        recorded = replace(follower, status="recorded", why=())
        world.put(recorded)
        if consignment.state == "arrived":
            world.put(replace(consignment, head=recorded.id))
        else:
            _take_effect(world, consignment, recorded, now)


def _dispute(world: World, hand_off: HandOff, reason: str) -> HandOff:
    disputed = replace(hand_off, status="disputed", why=(*hand_off.why, reason))
    world.put(disputed)
    return disputed


def _complete(fact: Handed) -> bool:
    return fact.read == "media" and _blemish(fact) is None


def _blemish(fact: Handed) -> Cause | None:
    """What rings at once, without waiting for the due time."""
    if fact.seal in ("broken", "different"):
        return "seal"
    if fact.missing or fact.refused or fact.damaged or fact.extra:
        return "incomplete"
    return None


def seconded(world: World, event: Event) -> None:
    """A second person of the receiving site stands by a receipt: now it counts."""
    fact: Seconded = event.fact
    by = signer(world, event)
    hand_off = world.get(HandOff, fact.hand_off)
    consignment = world.get(Consignment, fact.consignment)
    if not hand_off.receipt or hand_off.consignment != consignment.id or hand_off.status == "disputed":
        raise Impossible("This is not a receipt that a second person can stand by.")
    if by.id in (hand_off.giver, hand_off.taker) or not by.at(consignment.to_site):
        raise Impossible("It takes a second person who keeps the receiving site.")
    if world.get(Device, event.signers[0]).young(event.at):
        raise Impossible("It takes a device that has been enrolled for a day.")
    consignment = along(consignment, by.id)
    world.put(consignment)
    if consignment.state == "received" and hand_off.complete and consignment.holder == hand_off.taker:
        arrive(world, consignment, event.at)


def seen_size(seen: str) -> int:
    """The size in a `"<size> <root>"`."""
    return int(seen.partition(" ")[0])


def seen_root(seen: str) -> bytes:
    """The root in a `"<size> <root>"`, 32 bytes."""
    return unbase64(seen.partition(" ")[2])
