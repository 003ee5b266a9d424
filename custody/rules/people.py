"""People: who they are to the ledger, what they may do, and which devices speak for them.

A person is a number; the name and the address lie outside. Roles are held at a site or everywhere. What
each act needs stands in one table, `MAY`, and nothing that is not in it may be done.

It takes two to make a power: an administrator gives the role, and somebody else vouches that a device may
speak for it. The device's key becomes the person's by a statement that it signs together with a device that
is enrolled already: the person's own older one, one of a manager of a site, which vouches for the roles at
that site and no others, or one of a senior manager or the head, which vouches for all; never one of whoever
gave the roles. A role that is given later, or given again, no device speaks for before it is confirmed anew.
An administrator who could do it alone could invent a receiver and sign both sides of a hand-off. Setting up
has to begin somewhere: until the founder closes it, they may confirm alone, and the audit lists each device
that came in so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from custody.errors import Conflict, Forbidden, Impossible
from custody.facts import (
    Enrolled,
    Genesis,
    Grant,
    Granted,
    Invited,
    Linked,
    OrganisationAdmitted,
    Relaxation,
    Revoked,
    Role,
    SiteOpened,
    Subject,
)
from custody.ledger.keys import public_key
from custody.rules.world import Event, Log, Noun, World, replace, seen_size

UNCONFIRMED_MOST: Final = 20
"""So many are told of others' roles before anybody has confirmed a device of theirs."""
YOUNG: Final = timedelta(hours=24)
"""For so long a new device's receipts need a second person: a stolen session cannot end a transit alone."""


@dataclass(frozen=True, slots=True)
class Organisation(Noun):
    """One that takes part. Only the home organisation has no end."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Site(Noun):
    """A place where media are kept; `zone` is the one in which its screens show the time."""

    zone: str


@dataclass(frozen=True, slots=True)
class Person(Noun):
    """Someone with roles. `contact` commits to the address that alerts go to.

    `appointed` is the place in the log at which they were given these roles, `appointed_by` who gave them.
    """

    organisation: str
    grants: tuple[Grant, ...]
    contact: str
    appointed_by: str
    appointed: int

    def holds(self, role: Role, site: str | None = None) -> bool:
        """Whether they hold the role: at that site or everywhere; with no site asked for, anywhere."""
        return any(
            grant.role == role and (site is None or grant.site in (None, site)) for grant in self.grants
        )

    @property
    def senior(self) -> bool:
        """Whether they are senior management: a senior manager, or the head."""
        return self.holds("senior-manager") or self.holds("head")

    def at(self, site: str) -> bool:
        """Whether they keep this site: its operator or its manager."""
        return self.holds("site-operator", site) or self.holds("site-manager", site)


@dataclass(frozen=True, slots=True)
class Device(Noun):
    """An enrolled key; the id is the key id. Once enrolled it is known for ever, revoked or not.

    `grants` are the roles of its person that it speaks for: those that somebody has vouched for.
    """

    spki: str
    person: str
    confirmed_by: str
    enrolled_at: datetime
    set_up: bool
    grants: tuple[Grant, ...]
    revoked_at: datetime | None = None

    def young(self, now: datetime) -> bool:
        """Whether its receipts still need a second person. Of those that came in by the set-up none do."""
        return not self.set_up and now - self.enrolled_at < YOUNG

    def keeps(self, site: str) -> bool:
        """Whether it speaks for a keeper of this site, its operator or its manager."""
        return any(map(self.speaks_for, (Grant("site-operator", site), Grant("site-manager", site))))

    def speaks_for(self, grant: Grant) -> bool:
        """Whether what it signs counts as signed in this role, there."""
        return any(own.role == grant.role and own.site in (None, grant.site) for own in self.grants)


# ------------------------------------------------------------------------------------------ who may what

MAY: Final[Mapping[str, frozenset[Role]]] = {
    "open a site": frozenset({"admin"}),
    "admit an organisation": frozenset({"admin"}),
    "invite a person": frozenset({"admin"}),
    "change a person's roles": frozenset({"admin"}),
    "revoke a device": frozenset({"admin", "senior-manager", "it-security"}),
    "confirm a device": frozenset({"site-manager", "senior-manager", "head"}),
    "close the set-up": frozenset({"admin"}),
    "set a route": frozenset({"senior-manager"}),
    "register media": frozenset({"admin"}),
    "describe a data set": frozenset({"admin", "data-protection-officer"}),
    "print labels": frozenset({"admin", "site-manager"}),
    "pack a case": frozenset({"site-operator", "site-manager"}),
    "request a consignment": frozenset({"admin", "site-operator", "site-manager"}),
    "approve a consignment": frozenset({"site-manager", "senior-manager", "head"}),
    "hand over": frozenset({"courier", "site-operator", "site-manager"}),
    "stand by a receipt": frozenset({"site-operator", "site-manager"}),
    "acknowledge an alarm": frozenset(
        {
            "courier",
            "site-operator",
            "site-manager",
            "senior-manager",
            "head",
            "data-protection-officer",
            "it-security",
        }
    ),
    "decide on an incident": frozenset({"senior-manager", "head", "data-protection-officer"}),
    "see the board": frozenset(
        {
            "admin",
            "site-operator",
            "site-manager",
            "senior-manager",
            "head",
            "data-protection-officer",
            "it-security",
            "auditor",
        }
    ),
    "see their own consignments": frozenset({"courier"}),
    "see an incident": frozenset(
        {"senior-manager", "head", "data-protection-officer", "it-security", "auditor"}
    ),
    "export the ledger": frozenset({"auditor", "head"}),
}
"""The one table of who may do what. An act that does not stand here may be done by nobody."""

APART: Final[tuple[frozenset[Role], ...]] = (
    frozenset({"admin", "site-manager"}),
    frozenset({"admin", "senior-manager"}),
    frozenset({"admin", "head"}),
    frozenset({"admin", "courier"}),
    frozenset({"admin", "custodian"}),
    frozenset({"courier", "custodian"}),
    frozenset({"courier", "site-manager"}),
    frozenset({"courier", "site-operator"}),
    frozenset({"courier", "senior-manager"}),
    frozenset({"courier", "head"}),
)
"""Roles that one person does not hold together, unless the log was set up with `combined-roles`."""

POWERS: Final[frozenset[Role]] = frozenset(
    {"site-manager", "admin", "senior-manager", "head", "data-protection-officer", "it-security"}
)
"""Roles at or above a site's manager: alarms reach them, or they let others do what they may not."""

RELAXATIONS: Final[Mapping[Relaxation, str]] = {
    "combined-roles": "One person may hold roles that are kept apart elsewhere (small organisation).",
    "outside-senior": "One of the senior managers is of another organisation (small organisation).",
    "two-of-three-custodians": "Two of three custodians can open a key, in place of three of five.",
}
"""Every weakening that a log can be set up with, in the words in which the audit shows it."""


def require(world: World, who: str | Person, act: str, *, site: str | None = None) -> Person:
    """The person, if one of their roles (at that site, where one is named) allows the act; else Forbidden.

    `who` is a number; or the person with no other roles than a device of theirs speaks for (`voice`).
    """
    name, person = (who, world.find(Person, who)) if isinstance(who, str) else (who.id, who)
    if person is None or not any(person.holds(role, site) for role in MAY[act]):
        where = f" at {site}" if site else ""
        if isinstance(who, Person) and may(world, name, act, site=site):
            raise Forbidden(
                f"This browser does not speak for a role of yours that may {act}{where}: it was confirmed"
                " before you had one, or by somebody who could not vouch for it. Have it confirmed for that"
                " role first (page Devices)."
            )
        raise Forbidden(f"You ({name}) may not {act}{where}: that takes {_either(MAY[act])}.")
    organisation = world.find(Organisation, person.organisation)
    if organisation is None or (organisation.until is not None and organisation.until <= world.now):
        raise Forbidden(f"You ({name}) may not {act}: your organisation's contract has ended.")
    return person


def may(world: World, name: str, act: str, *, site: str | None = None) -> bool:
    """Whether `require` would let it pass."""
    try:
        require(world, name, act, site=site)
    except Forbidden:
        return False
    return True


def _either(roles: frozenset[Role]) -> str:
    names = sorted(role.replace("-", " ").replace("it security", "IT security") for role in roles)
    *first, last = [f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}" for name in names]
    return f"{', '.join(first)} or {last}" if first else last


def check_roles(world: World, grants: tuple[Grant, ...], organisation: str) -> None:
    """Conflict where these roles are kept apart or not for this organisation, or a site does not exist."""
    _check_sites(world, grants)
    held = {grant.role for grant in grants}
    outside = organisation != world.log.organisation and "outside-senior" not in world.log.relaxed
    if outside and held & {"senior-manager", "head", "admin"}:
        raise Conflict("Senior managers, the head and administrators are of the home organisation.")
    if "combined-roles" in world.log.relaxed:
        return
    for apart in APART:
        if apart <= held:
            raise Conflict(
                f"One person is not {' and '.join(sorted(apart))}: give one of the roles to another."
            )


def check_overseers(world: World, person: Person, grants: tuple[Grant, ...]) -> None:
    """Conflict where these roles would leave no senior manager, or no head, whom an alarm can reach."""
    for role in ("senior-manager", "head"):
        stays = any(grant.role == role for grant in grants)
        others = [p for p in with_role(world, role) if p.id != person.id and reachable(world, p)]
        if person.holds(role) and not stays and not others:
            raise Conflict(
                f"{person.id} is the only {role.replace('-', ' ')}: alarms would reach nobody in that role."
                " Give it to another person first."
            )


def check_contract(world: World, organisation: Organisation) -> None:
    """Conflict where a contract's earlier end would silence one whom alarms must reach, and tell nobody."""
    for person in world.all(Person):
        if person.organisation == organisation.id and (person.senior or person.holds("site-manager")):
            raise Conflict(
                f"{person.id} of {organisation.id} is a manager: alarms reach them. Change their roles first:"
                " that is signed, and everybody whom alarms reach is told."
            )


def check_senior_device(world: World, device: Device) -> None:
    """Conflict where without this device senior management has none: nobody could confirm any again."""
    for other in world.all(Device):
        person = world.get(Person, other.person)
        if person.senior and other.id != device.id and other.revoked_at is None and reachable(world, person):
            return
    raise Conflict(
        "This is the last device of all senior managers and the head: without it nobody could confirm"
        " another. Only its owner can revoke it."
    )


def reachable(world: World, person: Person) -> bool:
    """Whether they are still to be told: a person whose contract ended is told nothing new."""
    organisation = world.get(Organisation, person.organisation)
    return organisation.until is None or organisation.until > world.now


def sites_of(world: World, grants: Iterable[Grant]) -> list[str]:
    """The sites at which these roles are held; of a keeper's role without one, all."""
    found: dict[str, None] = {}
    for grant in grants:
        if grant.site is not None:
            found[grant.site] = None
        elif grant.role in ("site-operator", "site-manager"):
            found |= dict.fromkeys(sorted(site.id for site in world.all(Site)))
    return list(found)


def standing(world: World, people: Sequence[str]) -> list[str]:
    """Of these, whom somebody has confirmed a device for; and of the others as many as came first.

    Else of four hundred decoys each would be told of all the others.
    """
    confirmed = {device.person for device in world.all(Device) if device.revoked_at is None}
    others = (each for each in dict.fromkeys(people) if each not in confirmed)
    chosen = confirmed.union(islice(others, UNCONFIRMED_MOST))
    return [each for each in people if each in chosen]


def of_the_house(world: World, person: Person) -> bool:
    """Whether they are no contractor's. An outside senior, if the log was set up with one, belongs here."""
    outside_senior = "outside-senior" in world.log.relaxed and person.holds("senior-manager")
    return person.organisation == world.log.organisation or outside_senior


def with_role(world: World, role: Role, site: str | None = None) -> list[Person]:
    """Everyone who holds the role (there), in the order of their numbers."""
    return sorted((p for p in world.all(Person) if p.holds(role, site)), key=number)


def number(noun: Noun) -> int:
    """The number in an id such as P-7."""
    return int(noun.id.partition("-")[2])


# ------------------------------------------------------------------------------------------- their lives


def genesis(world: World, event: Event) -> None:
    """The first event makes the log, the home organisation and the founder."""
    fact: Genesis = event.fact
    if event.seq != 0 or any(True for _ in world.all(Log)):
        raise Impossible("A log has one genesis, and it stands first.")
    if fact.log_key.partition("+")[0] != event.statement.origin or fact.founder != "P-1":
        raise Impossible("The genesis names the log by its own key, and the founder as P-1.")
    if event.statement.about != Subject.log(fact.log_key) or event.statement.seen is not None:
        raise Impossible("The genesis is about the log's key.")
    server, founder = public_key(fact.server_key), public_key(fact.founder_key)
    if event.signers != (server.id, founder.id) or server.id == founder.id:
        raise Impossible("The genesis is signed by the server's key and by the founder's.")
    world.put(
        Log(
            id=event.statement.origin,
            genesis=event.id,
            organisation=fact.organisation,
            server_key=server.id,
            server_spki=fact.server_key,
            founder=fact.founder,
            founder_key=founder.id,
            set_up=True,
            relaxed=fact.relaxed,
            last=event.at,
        )
    )
    world.put(Organisation(fact.organisation, None))
    grants = (Grant("admin"),)
    world.put(Person(fact.founder, fact.organisation, grants, fact.contact, fact.founder, event.seq))
    world.put(
        Device(founder.id, fact.founder_key, fact.founder, fact.founder, event.at, set_up=True, grants=grants)
    )


def site_opened(world: World, event: Event) -> None:
    """A site is opened once."""
    fact: SiteOpened = event.fact
    new(world, Site(fact.site, fact.zone))


def organisation_admitted(world: World, event: Event) -> None:
    """An organisation's contract; admitted again, the newer end counts. The home one has none."""
    fact: OrganisationAdmitted = event.fact
    if fact.organisation == world.log.organisation:
        raise Impossible("The home organisation has no contract that could end.")
    world.put(Organisation(fact.organisation, fact.until))


def invited(world: World, event: Event) -> None:
    """A new person gets the next number. An administrator invites."""
    fact: Invited = event.fact
    by = _administrator(world, event)
    world.get(Organisation, fact.organisation)
    if fact.person != f"P-{world.next_number(Person)}":
        raise Impossible(f"The next person's number is P-{world.next_number(Person)}, not {fact.person}.")
    _check_sites(world, fact.grants)
    world.put(Person(fact.person, fact.organisation, fact.grants, fact.contact, by.id, event.seq))


def granted(world: World, event: Event) -> None:
    """A person's roles become these, by an administrator who is not that person.

    Their devices lose what is taken away, and gain nothing.
    """
    fact: Granted = event.fact
    by = _administrator(world, event)
    if by.id == fact.person:
        raise Impossible("Nobody gives roles to themself.")
    _check_sites(world, fact.grants)
    person = world.get(Person, fact.person)
    world.put(replace(person, grants=fact.grants, appointed_by=by.id, appointed=event.seq))
    for device in world.all(Device):
        if device.person == person.id:
            world.put(replace(device, grants=_within(device.grants, fact.grants)))


def _check_sites(world: World, grants: tuple[Grant, ...]) -> None:
    """NotFound where a role is at a site that nobody has opened."""
    for grant in grants:
        if grant.site is not None:
            world.get(Site, grant.site)


def _within(confirmed: tuple[Grant, ...], held: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """What is left of the one in the other: of a role everywhere and the same at a site, that at the site."""
    pairs = [(own, grant) for own in confirmed for grant in held if own.role == grant.role]
    left = [own if grant.site is None else grant for own, grant in pairs if _overlap(own, grant)]
    return tuple(dict.fromkeys(left))


def _overlap(one: Grant, other: Grant) -> bool:
    return one.site == other.site or None in (one.site, other.site)


def linked(world: World, event: Event) -> None:
    """Whose account a link was made to. The account itself is none of the ledger's."""
    fact: Linked = event.fact
    world.get(Person, fact.person)


def _administrator(world: World, event: Event) -> Person:
    by = signer(world, event)
    if not by.holds("admin"):
        raise Impossible(f"{by.id} is not an administrator.")
    return by


def enrolled(world: World, event: Event) -> None:
    """A device becomes a person's, and speaks for the roles that its confirmer vouches for.

    Enrolled again it speaks for more of them, and counts as enrolled now. It is written after the roles were
    given, so that nobody vouches for what they have not seen.
    """
    fact: Enrolled = event.fact
    key = public_key(fact.key)
    confirmer = world.find(Device, event.signers[1])
    if event.signers[0] != key.id or confirmer is None or confirmer.revoked_at is not None:
        raise Impossible("An enrolment is signed by the new device and by one that is enrolled already.")
    person, by = world.get(Person, fact.person), voice(world, confirmer)
    assert event.statement.seen is not None, "evolve has looked"
    if seen_size(event.statement.seen) <= person.appointed:
        raise Impossible(f"The roles of {person.id} were changed since this was written. Begin anew.")
    grants = vouched(world, by, person)
    if not grants:
        raise Impossible(
            f"{by.id} cannot confirm a device of {person.id}: that takes their own older device, a manager of"
            " a site at which they have a role, a senior manager or the head, and never who gave them their"
            " roles."
        )
    known = world.find(Device, key.id)
    if known is not None:
        if known.person != person.id or known.revoked_at is not None or all(map(known.speaks_for, grants)):
            raise Impossible("There is a device of this key already, which this would not add to.")
        grants = tuple(dict.fromkeys((*known.grants, *grants)))
    set_up = world.log.set_up and by.id == world.log.founder
    world.put(Device(key.id, fact.key, person.id, by.id, event.at, set_up=set_up, grants=grants))


def vouched(world: World, by: Person, person: Person) -> tuple[Grant, ...]:
    """The roles for which `by`, as a device of theirs speaks, can confirm a device of that person."""
    if world.log.set_up and by.id == world.log.founder:
        return person.grants
    if by.id == person.id:
        return by.grants
    if by.id == person.appointed_by:
        return ()
    if by.senior:
        return person.grants
    return tuple(
        grant for grant in person.grants if grant.site is not None and by.holds("site-manager", grant.site)
    )


def revoked(world: World, event: Event) -> None:
    """A device counts no more. A repeat changes nothing."""
    fact: Revoked = event.fact
    device = world.get(Device, fact.key)
    world.put(replace(device, revoked_at=device.revoked_at or event.at))


def set_up_closed(world: World, event: Event) -> None:
    """The founder gives up confirming alone."""
    if signer(world, event).id != world.log.founder:
        raise Impossible("The founder closes the set-up.")
    world.put(replace(world.log, set_up=False))


# --------------------------------------------------------------------------------------------- for others


def signer(world: World, event: Event) -> Person:
    """The person whose one device signed this, in the roles that it speaks for.

    Impossible where the device is not enrolled, or revoked.
    """
    device = world.find(Device, event.signers[0])
    if device is None or device.revoked_at is not None:
        raise Impossible("This is not signed by an enrolled device that still counts.")
    return voice(world, device)


def voice(world: World, device: Device) -> Person:
    """The device's person, with no other roles than it speaks for."""
    return replace(world.get(Person, device.person), grants=device.grants)


def new(world: World, noun: Noun) -> None:
    """Puts a noun that must not be there yet."""
    if world.find(type(noun), noun.id) is not None:
        raise Impossible(f"There is a {type(noun).__name__.lower()} {noun.id} already.")
    world.put(noun)
