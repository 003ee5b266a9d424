"""The ladder: who must be told by now.

`owed(world, alarm, now)` gives the facts that a clock which reads `now` owes an alarm: each rung whose time
has come, in order. Empty rungs pass upward at once. Repeats that a sleeping monitor missed are told once,
with the number of the newest. An audience of any size is told, by as many facts as it takes, seniors first:
a bound on it would be a way to silence the alarm, by inviting enough people. It decides nothing that a person
could have decided otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from custody.facts import TOLD_MOST, Audience, Cleared, Climbed, Fact, Opened, Recipient, Role
from custody.rules.alarms import Alarm, Notice, notice_key
from custody.rules.consignments import Consignment
from custody.rules.incidents import Incident, incident_of
from custody.rules.people import Person, reachable, with_role
from custody.rules.world import World


def owed(world: World, alarm: Alarm, now: datetime) -> Fact | None:
    """The next fact that is owed to this alarm by now, or None. Record it, then ask again.

    A rung is owed from its scheduled time on, however late it is asked for; an incident right after the
    rung that presumes the loss.
    """
    if alarm.next_at is None:
        return None
    if alarm.ended_at is not None:
        cleared = _not_yet(world, alarm, "clear", alarm.told)
        return Cleared(alarm.id, cleared[:TOLD_MOST], more=len(cleared) > TOLD_MOST)
    consignment = world.get(Consignment, alarm.consignment)
    presumed = any(rung.presume for rung in alarm.climbed)
    if presumed and incident_of(world, consignment.id) is None:
        return Opened(f"I-{world.next_number(Incident)}", alarm.id, consignment.id)
    if alarm.next_at > now:
        return None
    rung = alarm.ladder[alarm.rung]
    skips = rung.repeat and not alarm.part
    missed = (now - alarm.next_at) // timedelta(minutes=rung.repeat) if skips else 0
    people = told(world, alarm, consignment, now)
    return Climbed(
        alarm=alarm.id,
        cause=alarm.cause,
        consignment=consignment.id,
        rung=alarm.rung,
        repeat=alarm.repeat + missed,
        scheduled=alarm.next_at + timedelta(minutes=missed * rung.repeat),
        told=people[:TOLD_MOST],
        more=len(people) > TOLD_MOST,
    )


def told(world: World, alarm: Alarm, consignment: Consignment, now: datetime) -> tuple[Recipient, ...]:
    """Whom the alarm's present rung tells, if it is climbed now: the audience, but for whom it spares.

    Of a rung that is begun, those who were not told yet.
    """
    rung = alarm.ladder[alarm.rung]
    people = audience(world, alarm, consignment)
    if rung.repeat and not people:  # the last rung has nobody: everyone who was told so far hears it again
        people = [world.get(Person, name) for name in alarm.told]
    if alarm.repeat:
        if _settled(world, alarm, consignment, people, now):
            return ()
        people = [p for p in people if not spared(alarm, consignment, p.id, now)]
    return _not_yet(world, alarm, f"{alarm.rung}.{alarm.repeat}", [person.id for person in people])


def _not_yet(world: World, alarm: Alarm, rung: str, people: Sequence[str]) -> tuple[Recipient, ...]:
    """Those of these people whom no fact before has told on this rung."""
    recipients = {person: Recipient(person, "email") for person in people}
    if alarm.part:
        keys = {person: notice_key(f"{alarm.id}/{rung}", each) for person, each in recipients.items()}
        world.expect(Notice, keys.values())
        recipients = {p: r for p, r in recipients.items() if world.find(Notice, keys[p]) is None}
    return tuple(recipients.values())


def spared(alarm: Alarm, consignment: Consignment, person: str, now: datetime) -> bool:
    """Whether an acknowledgement spares this person the repeats: not in the trip's chain, and for an hour."""
    return person not in consignment.chain and alarm.acknowledged(person, now)


def _settled(
    world: World, alarm: Alarm, consignment: Consignment, people: list[Person], now: datetime
) -> bool:
    """Whether the last rung rests: one on it has acknowledged, and the incident is looked after."""
    incident = incident_of(world, consignment.id)
    return (
        incident is not None
        and incident.decided(now)
        and any(spared(alarm, consignment, person.id, now) for person in people)
    )


def audience(world: World, alarm: Alarm, consignment: Consignment) -> list[Person]:
    """Whom the alarm's present rung tells, each once, seniors first: theirs go out first."""
    rung = alarm.ladder[alarm.rung]
    who = rung.who
    if alarm.cause == "not-picked-up" and rung.after < 0:
        who = ("site-managers",)  # nobody carries it yet: a missed pick-up is told where the media are
    found: dict[str, Person] = {}
    for each in sorted(who, key=_SENIORS_FIRST.index):
        for person in holders(world, each, consignment):
            found.setdefault(person.id, person)
    return [p for p in found.values() if reachable(world, p)]


_SENIORS_FIRST: tuple[Audience, ...] = (
    "senior-on-call",
    "senior-managers",
    "head",
    "data-protection-officer",
    "it-security",
    "site-managers",
    "receiving-site",
    "carrier",
)


_ROLES: Mapping[Audience, Role] = {
    "senior-on-call": "senior-manager",  # until rotas come, all of them are on call
    "senior-managers": "senior-manager",
    "head": "head",
    "data-protection-officer": "data-protection-officer",
    "it-security": "it-security",
}


def holders(world: World, audience: Audience, consignment: Consignment) -> list[Person]:
    """Who is meant by one word of a rung, whether they can still be reached or not."""
    if audience == "site-managers":
        sites = (consignment.from_site, consignment.to_site)
        return [p for site in sites for p in with_role(world, "site-manager", site)]
    if audience == "receiving-site":
        there = consignment.to_site
        keepers = [p for p in with_role(world, "site-operator", there) if reachable(world, p)]
        return keepers or with_role(world, "site-manager", there)
    if audience == "carrier":
        if consignment.holder is not None:
            return [world.get(Person, consignment.holder)]
        return [p for p in with_role(world, "courier") if p.organisation == consignment.carrier]
    return with_role(world, _ROLES[audience])


def overseers(world: World, *sites: str) -> list[str]:
    """Who is told of what no ladder climbs for: the seniors, the head, and the managers of these sites."""
    found = [*with_role(world, "senior-manager"), *with_role(world, "head")]
    found += [person for site in sites for person in with_role(world, "site-manager", site)]
    return [person.id for person in found if reachable(world, person)]
