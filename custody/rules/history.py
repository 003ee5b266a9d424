"""`evolve`: what each kind of fact does to the world.

An event is judged only by what came before it and by rules that do not change over the years: the
*invariants*. What is merely forbidden today is policy; it is refused before anything is recorded
(`custody.acts`), and a policy tightened later condemns nothing that stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from custody import facts
from custody.errors import Backwards, Forged, Impossible, NotFound
from custody.facts import KINDS, Fact, Signed, Statement
from custody.ledger.envelope import Envelope
from custody.ledger.keys import public_key
from custody.rules import alarms, cases, consignments, daily, handoffs, incidents, media, people
from custody.rules.consignments import Route
from custody.rules.people import Device, Organisation, Person, Site
from custody.rules.world import Event, Log, Noun, World, check_seen, replace

FEW: Final[tuple[type[Noun], ...]] = (Log, Organisation, Site, Person, Device, Route)
"""Kinds of which there are few and which every fact looks at: who keeps a world keeps these in memory."""

_LIVES: Final[Mapping[type[Fact], Callable[[World, Event], None]]] = {
    facts.Genesis: people.genesis,
    facts.SiteOpened: people.site_opened,
    facts.OrganisationAdmitted: people.organisation_admitted,
    facts.Invited: people.invited,
    facts.Granted: people.granted,
    facts.Linked: people.linked,
    facts.Enrolled: people.enrolled,
    facts.Revoked: people.revoked,
    facts.SetUpClosed: people.set_up_closed,
    facts.Routed: consignments.routed,
    facts.Registered: media.registered,
    facts.Described: media.described,
    facts.Labelled: media.labelled,
    facts.Packed: cases.packed,
    facts.Requested: consignments.requested,
    facts.Withdrawn: consignments.withdrawn,
    facts.Approved: consignments.approved,
    facts.Handed: handoffs.handed,
    facts.Seconded: handoffs.seconded,
    facts.Climbed: alarms.climbed,
    facts.Cleared: alarms.cleared,
    facts.Informed: alarms.informed,
    facts.Pinned: daily.pinned,
    facts.SelfAudited: daily.self_audited,
    facts.ClockJumped: alarms.clock_jumped,
    facts.Attempted: alarms.attempted,
    facts.Acknowledged: alarms.acknowledged,
    facts.Opened: incidents.opened,
    facts.Decided: incidents.decided,
    facts.Sighted: consignments.sighted,
}

_ABOUT_AN_EVENT: Final = (facts.Approved, facts.Handed)
"""Kinds whose subject is the manifest's event; all others are about the genesis, which is about the log."""


def evolve(world: World, event: Event) -> None:
    """Changes the world by one event, or raises Impossible and leaves it as it was *for this event*.

    Signatures are verified already (`custody.audit`, `custody.store.book`); who signed is judged here. A
    caller that meets Impossible throws away what was put, by its transaction or by stopping.
    """
    fact = event.fact
    try:
        if not isinstance(fact, facts.Genesis):
            _belongs(world, event)
        if isinstance(fact, facts.Received):
            _pass_time(world, event)
        else:
            _LIVES[type(fact)](world, event)
    except NotFound as missing:
        raise Impossible(str(missing)) from None


def check_signatures(world: World, fact: Fact, envelope: Envelope) -> None:
    """Forged unless each signature holds, by a key enrolled at this point or introduced by this very fact.

    Whether these are the signers that the fact wants is for `evolve`.
    """
    keys = signing_keys(world, fact, [signature.key for signature in envelope.signatures])
    if not envelope.holds([public_key(spki) for spki in keys]):
        raise Forged("A signature does not hold.")


def signing_keys(world: World, fact: Fact, signers: Sequence[str]) -> list[str]:
    """The SPKIs of these key ids, as this fact may be signed with them at this point; else Forged."""
    introduced = {public_key(spki).id: spki for spki in fact.introduces()}
    found = [introduced.get(key) or _known_key(world, key) for key in signers]
    keys = [spki for spki in found if spki is not None]
    if len(keys) != len(found):
        raise Forged("This is signed by a key that is not enrolled here.")
    return keys


def known_keys(world: World) -> dict[str, str]:
    """Every key that signed or may sign at this point: SPKIs by key id."""
    devices = {device.id: device.spki for device in world.all(Device)}
    return devices | {log.server_key: log.server_spki for log in world.all(Log)}


def _known_key(world: World, key: str) -> str | None:
    device = world.find(Device, key)
    if device is not None:
        return device.spki
    for log in world.all(Log):
        if log.server_key == key:
            return log.server_spki
    return None


def _belongs(world: World, event: Event) -> None:
    """The statement is for this log, about what its kind is about, and signed as its kind is signed."""
    log = world.log
    statement, fact = event.statement, event.fact
    if statement.origin != log.id:
        raise Impossible(f"This statement is for the log {statement.origin}, not for {log.id}.")
    check_subject(world, statement)
    if _signed(event.signers, log.server_key) is not fact.signed:
        raise Impossible(f"{fact.kind!r} takes {fact.signed.value}.")
    if (statement.seen is not None) != (fact.signed is Signed.PERSON or isinstance(fact, facts.Enrolled)):
        raise Impossible("What one person signs, and an enrolment, says what the device has seen.")
    if statement.seen is not None:
        check_seen(world, event, statement.seen)
    if hasattr(fact, "by"):
        world.get(Person, fact.by)


def _signed(signers: tuple[str, ...], server: str) -> Signed | None:
    if len(signers) == 1:
        return Signed.SERVER if signers[0] == server else Signed.PERSON
    return Signed.TWO if len(set(signers)) == 2 and server not in signers else None


def check_subject(world: World, statement: Statement) -> None:
    """Impossible where the statement is about something that its kind is not about."""
    if statement.about.name != "event":
        raise Impossible("Only the genesis is about the log itself.")
    if not isinstance(statement.fact, _ABOUT_AN_EVENT) and statement.about.sha256 != world.log.genesis:
        raise Impossible("This statement is about another log's genesis.")


def _pass_time(world: World, event: Event) -> None:
    if event.at < world.log.last:
        raise Backwards("Time does not run backwards.")
    world.put(replace(world.log, last=event.at))


if set(KINDS.values()) != set(_LIVES) | {facts.Received}:
    raise AssertionError("each kind of fact has its life here")
