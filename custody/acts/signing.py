"""Statements that people sign with their own devices: made here, signed there, recorded here.

    payload = statement(book, Approved(...), about)     the bytes that the device shows and signs
    sign(book, "P-4", payload, key, signature)          recorded, or kept until the other party signs

Where two sign, the first one's signature is kept as a draft. Of a hand-off the *taker* signs first, so that
the giver holds statement and signature before letting go; of an enrolment the new device does.

What is merely forbidden today is refused here (`_PERMITTED`). A hand-off that both have signed is not refused
for any such reason: it is evidence, and what becomes of it is the ledger's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.acts.telling import tell
from custody.errors import Conflict, Forbidden, Forged, NotFound, Unreadable
from custody.facts import (
    Approved,
    Decided,
    Enrolled,
    Fact,
    Grant,
    Granted,
    Handed,
    Invited,
    Matter,
    Packed,
    Routed,
    Seconded,
    SetUpClosed,
    Signed,
    Statement,
    Subject,
)
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import one_spelling, public_key
from custody.ledger.note import Checkpoint
from custody.rules import consignments
from custody.rules.consignments import DEFAULT_LADDER, Consignment, Route
from custody.rules.handoffs import HandOff
from custody.rules.history import check_subject
from custody.rules.overdue import overseers
from custody.rules.people import (
    POWERS,
    Device,
    Person,
    Site,
    check_overseers,
    check_roles,
    require,
    sites_of,
    standing,
    voice,
)
from custody.rules.world import World
from custody.store.book import Book, Page, Recorded

KEPT_FOR: Final = timedelta(hours=24)
"""For so long a statement may wait for its signatures."""

DRAFTS_MOST: Final = 20
"""Hand-offs of one taker that may wait for their givers."""

_draft = SQLModel.metadata.tables["draft"]
_END_DRAFT = sa.delete(_draft).where(_draft.c.id == sa.bindparam("event"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a signature. `seq` is the event's place in the ledger, None while it is a draft.

    `waits_for` is who is to sign next, empty where several may, None where nobody is waited for.
    """

    event: str
    seq: int | None
    waits_for: str | None = None


def statement(book: Book, fact: Fact, about: str | None = None, made: datetime | None = None) -> bytes:
    """The payload to be signed: this fact, about this event (the genesis, where none is named).

    `made` is the signing device's clock; the server's stands in where the device does not say.
    """
    with book.world() as world:
        subject = Subject("event", about or world.log.genesis)
    one = fact.signed is Signed.PERSON or isinstance(fact, Enrolled)
    seen = Checkpoint.of(book.checkpoint()).seen if one else None
    return Statement(book.origin, made or book.clock(), subject, fact, seen).payload()


def sign(book: Book, by: str, payload: bytes, key: str, signature: bytes, *, how: str = "web") -> Outcome:
    """Takes one device's signature, raw or DER, over a statement, on behalf of the signed-in person.

    Unreadable, Forged or Forbidden where statement, signature or person do not fit; Conflict where it is not
    their turn; Impossible where the statement cannot follow what stands in the ledger.
    """
    read = Statement.read(payload)
    mine = Signature(key, one_spelling(signature))
    theirs = _other_signature(book, payload, key) if isinstance(read.fact, Handed) else None
    if theirs is not None:  # nothing is left to decide: it shares a transaction with others
        with book.world() as world:
            _check(world, read, payload, mine, by)
        return submit(book, payload, {theirs.key: theirs.der, mine.key: mine.der}, how=how)
    with book.page(how) as page:
        _check(page.world, read, payload, mine, by)
        if read.fact.signed is Signed.PERSON:
            before = _held(page.world, read.fact)
            recorded = page.admit(Envelope(payload, (mine,)))
            _tell(page, read.fact, recorded, before)
            return Outcome(recorded.event, recorded.seq)
        return _with_the_other(page, read.fact, payload, mine, by)


def _check(world: World, read: Statement, payload: bytes, mine: Signature, by: str) -> None:
    """What must hold before a signature is taken, beside all that the ledger itself wants."""
    if not world.now - KEPT_FOR <= read.made <= world.now + timedelta(minutes=5):
        raise Conflict(
            "This was written more than a day ago, or its clock is wrong. Load the page again, and sign"
            " what it says now."
        )
    spki, person = _signer(world, read.fact, by, mine.key)
    if not public_key(spki).verifies(mine.der, pae(payload)):
        raise Forged("The signature does not hold. Load the page again, and sign again.")
    check_subject(world, read)
    _permit(world, read.fact, person)


def _other_signature(book: Book, payload: bytes, key: str) -> Signature | None:
    """What the other party has signed this with, where they have."""
    query = sa.select(_draft).where(_draft.c.id == event_id(payload), _draft.c.key != key)
    with book.read() as connection:
        draft = connection.execute(query).first()
    return None if draft is None else Signature(draft.key, draft.signature)


def submit(book: Book, payload: bytes, signatures: Mapping[str, bytes], *, how: str = "scanner") -> Outcome:
    """A statement that both parties have signed already, brought by either of them or by anyone.

    The same statement again, or signed again, is the same event, and gets the same place.
    """
    read = Statement.read(payload)
    if not isinstance(read.fact, Handed):
        raise Unreadable("Only a hand-off is brought in with both signatures.")
    first, second = _order(read.fact, tuple(signatures))
    signed = {name: one_spelling(signature) for name, signature in signatures.items()}
    pair = (Signature(first, signed[first]), Signature(second, signed[second]))

    def then(page: Page, recorded: Recorded) -> None:
        _tell(page, read.fact, recorded)
        page.beside(_END_DRAFT, event=recorded.event)

    recorded = book.admit(Envelope(payload, pair), how, then, read)
    return Outcome(recorded.event, recorded.seq)


def drafts(book: Book, person: str) -> list[Any]:
    """The drafts that this person has signed or could sign next, oldest first: rows of `draft`."""
    with book.read() as connection:
        query = sa.select(_draft).where(sa.or_(_draft.c.by == person, _draft.c.waits_for.in_((person, ""))))
        return list(connection.execute(query.order_by(_draft.c.at, _draft.c.id)))


def withdraw(book: Book, by: str, event: str, *, how: str = "web") -> None:
    """Takes back a draft that the person signed first, while the other party has not signed."""
    with book.page(how) as page:
        gone = page.connection.execute(sa.delete(_draft).where(_draft.c.id == event, _draft.c.by == by))
        if not gone.rowcount:
            raise NotFound("There is no such statement of yours that still waits for a signature.")


def _signer(world: World, fact: Fact, by: str, key: str) -> tuple[str, Person]:
    """The public key of this person's own device, and the person in the roles that it speaks for.

    A device that is being enrolled brings its own. A hand-off is judged by all roles of its parties: one that
    nobody has confirmed the device for yet needs a second person, and is no less evidence.
    """
    device = world.find(Device, key)
    if device is None and isinstance(fact, Enrolled) and public_key(fact.key).id == key:
        if fact.person != by:
            raise Forbidden("A person enrols a device for themself, in their own session.")
        return fact.key, world.get(Person, by)
    if device is None or device.person != by:
        raise Forbidden("This browser's key is not enrolled for you. Enrol it first (page Devices).")
    if device.revoked_at is not None:
        raise Forbidden("This device was revoked. Enrol it anew, with a new key.")
    return device.spki, world.get(Person, by) if isinstance(fact, Handed) else voice(world, device)


def _order(fact: Fact, keys: tuple[str, ...]) -> tuple[str, str]:
    """The two keys in the order in which the envelope has them."""
    if isinstance(fact, Handed):
        wanted = (fact.giver.key, fact.taker.key)
    else:
        new = public_key(fact.introduces()[0]).id
        wanted = (new, next((key for key in keys if key != new), ""))
    if set(wanted) != set(keys) or len(set(keys)) != 2:
        raise Unreadable("The signatures are not of the two devices that the statement names.")
    return wanted


def _with_the_other(page: Page, fact: Fact, payload: bytes, mine: Signature, by: str) -> Outcome:
    event = event_id(payload)
    draft = page.connection.execute(sa.select(_draft).where(_draft.c.id == event)).first()
    if draft is None or draft.key == mine.key:
        first = fact.taker.key if isinstance(fact, Handed) else public_key(fact.introduces()[0]).id
        if mine.key != first:
            raise Conflict(
                "The other party signs first: who takes, takes first. Ask them for their signature."
            )
        return _keep(page, fact, payload, mine, by)
    theirs = Signature(draft.key, draft.signature)
    pair = {mine.key: mine, theirs.key: theirs}
    envelope = Envelope(payload, tuple(pair[key] for key in _order(fact, tuple(pair))))
    recorded = page.admit(envelope)
    _tell(page, fact, recorded)
    page.connection.execute(sa.delete(_draft).where(_draft.c.id == event))
    return Outcome(recorded.event, recorded.seq)


def _tell(page: Page, fact: Fact, recorded: Recorded, before: tuple[Grant, ...] = ()) -> None:
    """Who learns of it, on the channel that they have always had: its owner finds what a thief did.

    `before` are the roles that a change of them has ended.
    """
    if not recorded.new:
        return
    if isinstance(fact, Enrolled):
        tell(page, recorded.event, "device-enrolled", [fact.person])
        _tell_of_a_receiver(page, fact, recorded.event)
    elif isinstance(fact, Invited | Granted):
        _tell_of_roles(page, fact, recorded.event, before)
    elif isinstance(fact, Handed):
        _tell_of_disputes(page)


def _held(world: World, fact: Fact) -> tuple[Grant, ...]:
    person = world.find(Person, fact.person) if isinstance(fact, Granted) else None
    return () if person is None else person.grants


def _tell_of_roles(page: Page, fact: Invited | Granted, event: str, before: tuple[Grant, ...]) -> None:
    """Else an administrator could quietly invite whom nobody knows, or make the seniors deaf one by one."""
    answer = overseers(page.world, *sites_of(page.world, (*before, *fact.grants)))
    told = standing(page.world, answer)
    given = [grant for grant in fact.grants if grant not in before]
    matter: Matter = "invited" if isinstance(fact, Invited) else "roles-changed"
    if any(grant.role in POWERS for grant in given):
        matter = "appointed"
    others = [person for person in told if person != fact.person]
    tell(page, event, matter, others if isinstance(fact, Invited) else [fact.person, *others])


def _tell_of_a_receiver(page: Page, fact: Enrolled, event: str) -> None:
    """Who can end a transit is known to whoever answers for the site: a receiver cannot be made unseen."""
    world = page.world
    device = world.get(Device, public_key(fact.key).id)
    sites = [site.id for site in world.all(Site) if device.keeps(site.id)]
    others = [person for person in overseers(world, *sites) if person != fact.person]
    if sites and others:
        tell(page, event, "receiver-enrolled", others)


def _tell_of_disputes(page: Page) -> None:
    """Of each hand-off that this one has made a dispute, where no alarm rings: some waited for it."""
    world = page.world
    for hand_off in [n for n in world.fresh(HandOff) if n.status == "disputed"]:
        consignment = world.get(Consignment, hand_off.consignment)
        if not consignment.open:
            sites = (consignment.from_site, consignment.to_site)
            tell(page, hand_off.id, "disputed", overseers(world, *sites))


def _keep(page: Page, fact: Fact, payload: bytes, mine: Signature, by: str) -> Outcome:
    waits_for = ""
    if isinstance(fact, Handed):
        giver = page.world.get(Device, fact.giver.key)
        waits_for = giver.person
    event = event_id(payload)
    _make_room(page, fact, by, event)
    page.connection.execute(
        sa.insert(_draft).values(
            id=event,
            kind=fact.kind,
            payload=payload,
            key=mine.key,
            signature=mine.der,
            by=by,
            waits_for=waits_for,
            at=page.now,
        )
    )
    return Outcome(event, None, waits_for)


def _make_room(page: Page, fact: Fact, by: str, event: str) -> None:
    """Ends what waited too long, and keeps anybody from piling up what others would have to look at.

    Of enrolments one waits for each person, the newest; of hand-offs no more than DRAFTS_MOST.
    """
    mine = sa.and_(_draft.c.by == by, _draft.c.kind == fact.kind, _draft.c.id != event)
    gone = sa.or_(_draft.c.id == event, _draft.c.at < page.now - KEPT_FOR)
    if isinstance(fact, Enrolled):
        gone = sa.or_(gone, mine)
    page.connection.execute(sa.delete(_draft).where(gone))
    waiting = page.connection.scalar(sa.select(sa.func.count()).select_from(_draft).where(mine))
    if int(waiting or 0) >= DRAFTS_MOST:
        raise Conflict(f"{waiting} hand-offs that you signed wait for their givers. Withdraw one first.")


# ------------------------------------------------------------------------------------------- the policy


def _permit(world: World, fact: Fact, by: Person) -> None:
    """Forbidden or Conflict where policy is against it. A kind that is not listed is signed by nobody."""
    if type(fact) not in _PERMITTED:
        raise Forbidden("This is nothing that a person signs.")
    _PERMITTED[type(fact)](world, fact, by)


def _approve(world: World, fact: Approved, by: Person) -> None:
    consignment = world.get(Consignment, fact.consignment)
    person = require(world, by, "approve a consignment")
    if not person.senior:
        require(world, by, "approve a consignment", site=consignment.from_site)
    consignments.check_approval(world, consignment, fact, world.now)


def _enrol(world: World, fact: Enrolled, by: Person) -> None:
    world.get(Person, fact.person)
    if by.id not in (fact.person, world.log.founder):
        require(world, by, "confirm a device")


def _hand(world: World, fact: Handed, by: Person) -> None:
    consignment = world.get(Consignment, fact.consignment)
    if by.id != consignment.holder:  # whose contract has ended may still hand over what they hold
        person = require(world, by.id, "hand over")
        sites = (consignment.from_site, consignment.to_site)
        if person.organisation != consignment.carrier and not any(person.at(site) for site in sites):
            raise NotFound(f"There is no consignment {consignment.id} here.")
    if not consignment.open:
        raise Conflict(f"{consignment.id} is not on its way.")
    if fact.previous != consignment.head:
        raise Conflict(f"{consignment.id} has moved on since this was written. Begin the hand-off anew.")


def _invite(world: World, fact: Invited, by: Person) -> None:
    require(world, by, "invite a person")
    check_roles(world, fact.grants, fact.organisation)


def _grant(world: World, fact: Granted, by: Person) -> None:
    require(world, by, "change a person's roles")
    person = world.get(Person, fact.person)
    check_roles(world, fact.grants, person.organisation)
    if fact.grants == person.grants:
        raise Conflict(f"{person.id} has these roles already.")
    check_overseers(world, person, fact.grants)


def _second(world: World, fact: Seconded, by: Person) -> None:
    require(world, by, "stand by a receipt", site=world.get(Consignment, fact.consignment).to_site)


def _set_route(world: World, fact: Routed, by: Person) -> None:
    require(world, by, "set a route")
    if fact.ladder != DEFAULT_LADDER:
        raise Conflict("A route has the default ladder until ladders can be edited by two.")
    known = world.find(Route, fact.route)
    if known is not None and (known.origin_site, known.destination) != (fact.origin_site, fact.destination):
        raise Conflict(f"The route {fact.route} leads elsewhere. Take another code for a new route.")


_PERMITTED: Final[Mapping[type[Fact], Callable[[World, Any, Person], Any]]] = {
    Approved: _approve,
    Enrolled: _enrol,
    Granted: _grant,
    Handed: _hand,
    Invited: _invite,
    Packed: lambda world, fact, by: require(world, by, "pack a case", site=fact.site),
    Routed: _set_route,
    Seconded: _second,
    Decided: lambda world, _fact, by: require(world, by, "decide on an incident"),
    SetUpClosed: lambda world, _fact, by: require(world, by, "close the set-up"),
}
