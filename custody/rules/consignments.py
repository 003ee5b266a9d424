"""A consignment: media that travel together from a site to a site.

Its life, with the fact that makes each step:

    requested     `requested`: the manifest stands. Nothing may leave yet. (`withdrawn` takes it back.)
    approved      `approved`, signed by a manager other than the requester. The deadlines and the ladder
                  are frozen, and the alarm is armed: from here on silence is the alarm.
    travelling    `handed` from the sending site to a courier of the carrier; then from courier to courier.
    received      `handed` at the destination, but something is open: cartridges not read one by one, a
                  line missing, a seal broken, or a device so new that a second person must stand by it.
    arrived       complete, and the alarm ends.

Due: the signed pick-up and the route's longest transit, and never later than the pick-up deadline and that
time. Until it is picked up, what is due is the pick-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from custody.errors import Conflict, Impossible
from custody.facts import Approved, Cause, Ladder, Requested, Routed, Rung, Sighted, Withdrawn
from custody.rules import alarms
from custody.rules.alarms import DEADLINES, Alarm
from custody.rules.cases import Packing
from custody.rules.media import Medium, medium
from custody.rules.people import Organisation, Person, Site, signer
from custody.rules.world import Event, Noun, World, replace

PICK_UP_GRACE: Final = timedelta(minutes=15)
"""After a missed pick-up the site managers have so long to find every medium before the ladder begins."""

DEFAULT_LADDER: Final[Ladder] = (
    Rung(after=-15, who=("carrier", "receiving-site")),
    Rung(after=0, who=("carrier", "senior-on-call", "site-managers")),
    Rung(after=15, who=("data-protection-officer", "it-security", "senior-managers")),
    Rung(after=30, who=("head",), presume=True),
    Rung(after=60, who=("head", "senior-managers"), repeat=30),
)
"""From Hong Kong's ISPG-SM02: 15, 30 and 60 minutes. A route may have another."""


@dataclass(frozen=True, slots=True)
class Route(Noun):
    """A way from a site to a site, as a senior manager last signed it."""

    origin_site: str
    destination: str
    transit: int
    ladder: Ladder


@dataclass(frozen=True, slots=True)
class Consignment(Noun):
    """What travels, and how far it has come.

    `manifest`, `approvals`, `head` and `receipts` are event ids: `head` is of the hand-off (at first the
    approval) that the next hand-off must name, `receipts` are the hand-offs at the destination. The first of
    `alarms` waits for the trip's next step. `chain` is everyone of this trip whose word about
    it counts for less: requester, approver and every giver and taker. `flags` say what was not as it
    should be.
    """

    route: str
    from_site: str
    to_site: str
    carrier: str
    manifest: str
    media: tuple[str, ...]
    packing: str | None
    requester: str
    pick_up_by: datetime
    state: str = "requested"
    approver: str | None = None
    transit: int = 0
    ladder: tuple[Rung, ...] = ()
    alarms: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    head: str | None = None
    holder: str | None = None
    picked_up_at: datetime | None = None
    due: datetime | None = None
    received_at: datetime | None = None
    arrived_at: datetime | None = None
    receipts: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether media are, or are about to be, on their way."""
        return self.state in ("approved", "travelling", "received")


def routed(world: World, event: Event) -> None:
    """A senior manager sets a route. Consignments that are approved keep what was frozen onto them."""
    fact: Routed = event.fact
    by = signer(world, event)
    if not by.holds("senior-manager"):
        raise Impossible(f"{by.id} is not a senior manager, who alone set a route's time and ladder.")
    alarms.check_ladder(fact.ladder)
    world.get(Site, fact.origin_site)
    world.get(Site, fact.destination)
    if fact.origin_site == fact.destination:
        raise Impossible("A route leads from one site to another.")
    world.put(Route(fact.route, fact.origin_site, fact.destination, fact.transit, fact.ladder))


def requested(world: World, event: Event) -> None:
    """A manifest: media that are free at the route's beginning, packed as the packing says."""
    fact: Requested = event.fact
    route = world.get(Route, fact.route)
    world.get(Organisation, fact.carrier)
    world.get(Person, fact.by)
    if fact.consignment != f"C-{world.next_number(Consignment)}":
        raise Impossible(
            f"The next consignment is C-{world.next_number(Consignment)}, not {fact.consignment}."
        )
    if not fact.media:
        raise Impossible("A manifest names at least one medium.")
    if fact.packing is not None and world.get(Packing, fact.packing).media != fact.media:
        raise Impossible("The manifest is not what was packed, in the order in which it was packed.")
    world.expect(Medium, fact.media)
    for name in fact.media:
        medium(world, name)
    for thing in _things(world, fact.media, fact.packing):
        if fact.packing is not None and thing.packing != fact.packing:
            raise Impossible(f"{thing.id} was packed anew since. Request what is in the case now.")
        if thing.site != route.origin_site or thing.consignment is not None:
            raise Impossible(f"{thing.id} is not free at the site {route.origin_site}.")
        world.put(replace(thing, consignment=fact.consignment))
    world.put(
        Consignment(
            id=fact.consignment,
            route=route.id,
            from_site=route.origin_site,
            to_site=route.destination,
            carrier=fact.carrier,
            manifest=event.id,
            media=fact.media,
            packing=fact.packing,
            requester=fact.by,
            pick_up_by=fact.pick_up_by,
            chain=(fact.by,),
        )
    )


def withdrawn(world: World, event: Event) -> None:
    """A request that nobody has approved is taken back, and what it bound is free again."""
    fact: Withdrawn = event.fact
    consignment = world.get(Consignment, fact.consignment)
    if consignment.state != "requested":
        raise Impossible(f"{consignment.id} is {consignment.state}: it is not withdrawn any more.")
    for thing in _things(world, consignment.media, consignment.packing):
        world.put(replace(thing, consignment=None))
    world.put(replace(consignment, state="withdrawn"))


def approved(world: World, event: Event) -> None:
    """A manager lets it go, and the alarm is armed. Approved afresh before pick-up, it starts anew."""
    fact: Approved = event.fact
    by = signer(world, event)
    consignment = world.get(Consignment, fact.consignment)
    if event.statement.about.sha256 != consignment.manifest:
        raise Impossible("The approval is of another manifest than the consignment's.")
    if consignment.state not in ("requested", "approved"):
        gone = "withdrawn" if consignment.state == "withdrawn" else "picked up already"
        raise Impossible(f"{consignment.id} has been {gone}.")
    if by.id == consignment.requester:
        raise Impossible("Who requested a consignment does not approve it.")
    if not approves(by, consignment):
        raise Impossible(
            f"{by.id} is neither a manager of {consignment.from_site} nor a senior manager nor the head."
        )
    alarms.check_ladder(fact.ladder)
    due = fact.pick_up_by + PICK_UP_GRACE
    world.put(
        replace(
            consignment,
            state="approved",
            approver=by.id,
            pick_up_by=fact.pick_up_by,
            transit=fact.transit,
            ladder=fact.ladder,
            alarms=_watch(world, consignment, "not-picked-up", fact.ladder, due=due, now=event.at),
            approvals=(*consignment.approvals, event.id),
            head=event.id,
            due=due,
            chain=_with(consignment.chain, by.id),
        )
    )


def approves(by: Person, consignment: Consignment) -> bool:
    """Whether their roles let them approve it: a manager of the sending site, or senior management."""
    return by.holds("site-manager", consignment.from_site) or by.senior


def picked_up(world: World, consignment: Consignment, event: str, courier: str, at: datetime) -> Consignment:
    """The consignment after its first hand-off. Late for its pick-up, it keeps ringing as it did."""
    due = min(at, consignment.pick_up_by) + timedelta(minutes=consignment.transit)
    passed = replace(
        consignment,
        state="travelling",
        alarms=_watch(world, consignment, "overdue", consignment.ladder, due=due, now=at),
        head=event,
        holder=courier,
        picked_up_at=at,
        due=due,
    )
    return flagged(passed, "picked up late") if at > consignment.pick_up_by else passed


def ring(world: World, consignment: Consignment, cause: Cause, now: datetime) -> Consignment:
    """The consignment with one more alarm, due at once, unless one of this cause has not ended."""
    for name in consignment.alarms:
        alarm = world.get(Alarm, name)
        if alarm.cause == cause and alarm.ended_at is None:
            return consignment
    alarm = alarms.arm(world, consignment.id, cause, consignment.ladder, due=now, now=now)
    return replace(consignment, alarms=(*consignment.alarms, alarm.id))


def _watch(
    world: World, consignment: Consignment, cause: Cause, ladder: Ladder, *, due: datetime, now: datetime
) -> tuple[str, ...]:
    """The alarms: a new first one waits for something else from now on. One that rings is never put off."""
    known = [world.get(Alarm, name) for name in consignment.alarms]
    watch = next((alarm for alarm in known if alarm.cause in DEADLINES), None)
    if watch is not None:
        if watch.rings or watch.owes_an_alert(now) or watch.ended_at is not None:
            return consignment.alarms
        alarms.end(world, watch, now)
    fresh = alarms.arm(world, consignment.id, cause, ladder, due=due, now=now)
    return (fresh.id, *consignment.alarms)


def arrive(world: World, consignment: Consignment, at: datetime) -> None:
    """Everything came: media stand at their new site, and every alarm that waited for that ends."""
    for thing in _things(world, consignment.media, consignment.packing):
        there = replace(thing, site=consignment.to_site, consignment=None, packing=None)
        world.put(replace(there, missing=False, sighted_at=None))
    for name in consignment.alarms:
        alarms.end(world, world.get(Alarm, name), at)
    world.put(replace(consignment, state="arrived", holder=None, arrived_at=at))


def _things(world: World, media: tuple[str, ...], packing: str | None) -> list[Medium]:
    """The media, and the case and the seal that they travel in."""
    names = list(media)
    if packing is not None:
        packed = world.get(Packing, packing)
        names += [packed.case, packed.seal]
    world.expect(Medium, names)
    return [world.get(Medium, name) for name in names]


def sighted(world: World, event: Event) -> None:
    """A stranger wrote where something of ours is. For something on its way, that is an alarm."""
    fact: Sighted = event.fact
    thing = world.get(Medium, fact.item)
    if not thing.sighted(event.at):
        world.put(replace(thing, sighted_at=event.at))
    trip = trip_of(world, thing)
    if trip is not None:
        world.put(ring(world, trip, "sighted", event.at))


def trip_of(world: World, thing: Medium) -> Consignment | None:
    """The consignment with which it is on its way; None where it is at its site, if asked for or not."""
    trip = None if thing.consignment is None else world.get(Consignment, thing.consignment)
    return trip if trip is not None and trip.open else None


def along(consignment: Consignment, *people: str) -> Consignment:
    """The same, with these people in its chain."""
    return replace(consignment, chain=_with(consignment.chain, *people))


def flagged(consignment: Consignment, *flags: str) -> Consignment:
    """The same, with these words on it about what was not as it should be."""
    return replace(consignment, flags=_with(consignment.flags, *flags))


def _with(known: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))


def check_approval(world: World, consignment: Consignment, fact: Approved, now: datetime) -> None:
    """Conflict where the approval departs from the route's rules as they are now, or comes too late."""
    route = world.get(Route, consignment.route)
    if fact.transit > route.transit or fact.ladder != route.ladder:
        raise Conflict(
            "The approval must have the route's own ladder, and no longer transit than the route's."
        )
    if fact.pick_up_by != consignment.pick_up_by:
        raise Conflict("The approval has the pick-up time that was requested. For another, request anew.")
    if fact.pick_up_by <= now:
        raise Conflict("The pick-up time has passed. Ask for a consignment with a later one.")
