"""Incidents: what opens by itself when media are presumed missing, and who has decided what.

Nobody has to report a loss for an incident to be. It holds an owner and a decision, each signed by a senior
manager, the head or the data protection officer; a decision lapses after a day, so that an incident that
nobody looks after rings again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from custody.errors import Impossible
from custody.facts import Decided, Opened
from custody.rules.alarms import Alarm
from custody.rules.consignments import Consignment
from custody.rules.media import Medium
from custody.rules.people import Person, new, signer
from custody.rules.world import Event, Noun, World, replace

DECISION_LASTS: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, by whom and when. The reason is committed to."""

    by: str
    decision: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Incident(Noun):
    """The loss, as presumed, of a consignment's media."""

    consignment: str
    alarm: str
    opened_at: datetime
    owner: str | None = None
    decisions: tuple[Decision, ...] = ()

    def decided(self, now: datetime) -> bool:
        """Whether it has an owner and a decision that has not lapsed."""
        return (
            self.owner is not None and bool(self.decisions) and now - self.decisions[-1].at < DECISION_LASTS
        )


@dataclass(frozen=True, slots=True)
class IncidentOf(Noun):
    """A consignment's one incident; the id is the consignment's."""

    incident: str


def incident_of(world: World, consignment: str) -> Incident | None:
    """The consignment's incident, if one has opened."""
    link = world.find(IncidentOf, consignment)
    return None if link is None else world.get(Incident, link.incident)


def expect_alarms(world: World, names: Iterable[str]) -> None:
    """These alarms will be asked for, and with them their consignments and incidents."""
    world.expect(Alarm, names)
    trips = {alarm.consignment for name in names if (alarm := world.find(Alarm, name)) is not None}
    world.expect(Consignment, trips)
    world.expect(IncidentOf, trips)
    links = [link for trip in trips if (link := world.find(IncidentOf, trip)) is not None]
    world.expect(Incident, [link.incident for link in links])


def opened(world: World, event: Event) -> None:
    """The alarm has climbed past the rung at which the media are presumed missing."""
    fact: Opened = event.fact
    alarm = world.get(Alarm, fact.alarm)
    consignment = world.get(Consignment, fact.consignment)
    if alarm.consignment != consignment.id or alarm.ended_at is not None:
        raise Impossible("An incident opens on a consignment's own alarm, while it rings.")
    if not any(rung.presume for rung in alarm.ladder[: alarm.rung + (alarm.repeat > 0)]):
        raise Impossible("An incident opens when its alarm has climbed past the rung that presumes the loss.")
    if fact.incident != f"I-{world.next_number(Incident)}":
        raise Impossible(f"The next incident is I-{world.next_number(Incident)}, not {fact.incident}.")
    new(world, IncidentOf(consignment.id, fact.incident))
    new(world, Incident(fact.incident, consignment.id, alarm.id, event.at))
    for name in consignment.media:
        world.put(replace(world.get(Medium, name), missing=True))


def decided(world: World, event: Event) -> None:
    """A decision is signed by one who may decide; not to notify is the head's alone."""
    fact: Decided = event.fact
    by = signer(world, event)
    incident = world.get(Incident, fact.incident)
    world.get(Person, fact.owner)
    entitled = by.senior or by.holds("data-protection-officer")
    if not entitled or (fact.decision == "do-not-notify" and not by.holds("head")):
        raise Impossible("This decision is not theirs to sign. Not to notify is the head's alone.")
    decision = Decision(by.id, fact.decision, fact.reason, event.at)
    world.put(replace(incident, owner=fact.owner, decisions=(*incident.decisions, decision)))
