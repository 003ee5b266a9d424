"""Looking: what one person may see, at one moment of the book.

    with queries.view(book, "P-4") as view:
        view.board()                  # open consignments, what rings first
        view.consignment("C-7")       # or NotFound, if there is none that this person may see

Nothing here changes anything. And here, once, stands what a contractor's people see: the consignments that
their own organisation carries, the people whom they meet on them, and nothing else. What they may not see
does not exist for them: the sentence is the same as for what is not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import NotFound, Untrusted
from custody.facts import Enrolled, Fact, Grant, Handed, Received, Statement
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.note import Checkpoint
from custody.ledger.receipt import Receipt
from custody.rules.alarms import Alarm, Notice
from custody.rules.cases import Packing
from custody.rules.consignments import Consignment, Route, approves
from custody.rules.daily import SelfAudit
from custody.rules.handoffs import HandOff
from custody.rules.incidents import Incident
from custody.rules.media import DataSet, Exposure, Medium, exposure
from custody.rules.people import (
    Device,
    Organisation,
    Person,
    Site,
    may,
    number,
    of_the_house,
    voice,
    vouched,
)
from custody.rules.world import Noun, World
from custody.store import accounts, home, private
from custody.store.book import Book
from custody.store.nouns import SHELVES
from custody.store.tree import Tree
from custody.store.witnesses import cosigned, published
from custody.store.world import BookWorld
from labels import volser

N = TypeVar("N", bound=Noun)
OPEN: Final = ("requested", "approved", "travelling", "received")
LISTED_MOST: Final = 500
"""Rows of a list on one page; the search finds the rest."""

CLIMBS_WITHIN: Final = timedelta(minutes=1)
"""The monitor goes round every second: an alarm that owes something for so long does not climb."""

_tables = SQLModel.metadata.tables
_entry, _checkpoint, _mention = (_tables[name] for name in ("entry", "checkpoint", "mention"))
_draft, _pulse, _medium, _hand_off = (_tables[name] for name in ("draft", "pulse", "medium", "hand_off"))
_alarm, _consignment, _device = (_tables[name] for name in ("alarm", "consignment", "device"))
_notice, _packing, _incident = (_tables[name] for name in ("notice", "packing", "incident"))
_self_audit = _tables["self_audit"]


@dataclass(frozen=True, slots=True)
class Trip:
    """A consignment as the board shows it. `alarms` are those that have not ended."""

    consignment: Consignment
    alarms: tuple[Alarm, ...]
    incident: Incident | None
    zone: str

    @property
    def rings(self) -> bool:
        """Whether somebody was told more than a reminder."""
        return any(alarm.rings for alarm in self.alarms)


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the ledger: its place, when it was received, what it states, whose keys signed it."""

    seq: int
    id: str
    at: datetime
    fact: Any
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A statement that waits for a second signature."""

    id: str
    payload: bytes
    fact: Any
    key: str
    by: str
    waits_for: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Described:
    """A data set with its title in clear, None where that text has been erased."""

    data_set: DataSet
    title: str | None


@contextlib.contextmanager
def view(book: Book, person: str) -> Iterator[View]:
    """What this person may see now. NotFound where there is no such person."""
    with book.read() as connection:
        yield View(book, connection, person)


def pulse(connection: sa.Connection, name: str) -> datetime | None:
    """When this part of the system last finished its round."""
    return cast("datetime | None", connection.scalar(sa.select(_pulse.c.at).where(_pulse.c.name == name)))


def unclimbed(connection: sa.Connection, book: Book) -> list[str]:
    """The alarms that have owed something for longer than a sweep takes, the oldest first."""
    before = book.clock() - CLIMBS_WITHIN * book.pace
    owing = sa.select(_alarm.c.id).where(_alarm.c.next_at < before)
    return list(connection.scalars(owing.order_by(_alarm.c.next_at, _alarm.c.number)))


class View:
    """See the module's story. `me` looks; `now` is the book's clock; `world` is for asking the rules."""

    def __init__(self, book: Book, connection: sa.Connection, person: str) -> None:
        self._connection = connection
        self._book = book
        self.world: World = BookWorld(connection)
        self.me = self.world.get(Person, person)
        self.now = self.world.moment = max(book.clock(), self.world.log.last)

    # ---------------------------------------------------------------------------------- whose eyes these are

    @cached_property
    def carrier(self) -> str | None:
        """The contractor whose consignments alone are seen; None for the eyes of the house."""
        return None if of_the_house(self.world, self.me) else self.me.organisation

    @property
    def active(self) -> bool:
        """Whether they still take part: they have a role, and their organisation's contract has not ended."""
        organisation = self.world.get(Organisation, self.me.organisation)
        return bool(self.me.grants) and (organisation.until is None or organisation.until > self.now)

    def may(self, act: str, site: str | None = None) -> bool:
        """Whether one of their roles allows the act."""
        return may(self.world, self.me.id, act, site=site)

    def _sees(self, consignment: Consignment) -> bool:
        return self.carrier is None or consignment.carrier == self.carrier

    def _at_home(self, kind: str, name: str) -> None:
        if self.carrier is not None:
            raise NotFound(f"There is no {kind} {name} here.")

    def _rows(
        self,
        kind: type[N],
        where: sa.ColumnElement[bool],
        *order: sa.ColumnElement[Any],
        most: int | None = None,
    ) -> list[N]:
        """In an order that is the same on every database, also among equals."""
        shelf = SHELVES[kind]
        last = shelf.table.c.number if shelf.numbered else shelf.table.c.id
        rows = self._connection.execute(
            sa.select(shelf.table).where(where).order_by(*order, last).limit(most)
        )
        return [cast("N", shelf.noun(row)) for row in rows]

    # ---------------------------------------------------------------------------------------------- people

    def name(self, person: str) -> str:
        """The name that goes with a number, where these eyes may know it; else the number."""
        return self._names.get(person, person)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        known = accounts.names(self._connection)
        if self.carrier is None:
            return known
        return {person: name for person, name in known.items() if person in self._met}

    @cached_property
    def _met(self) -> set[str]:
        """Whom a contractor's people meet: their own, the parties of their trips, who keeps both ends."""
        trips = self._rows(Consignment, _consignment.c.carrier == self.carrier)
        met = {person for trip in trips for person in trip.chain}
        ends = {site for trip in trips if trip.state in OPEN for site in (trip.from_site, trip.to_site)}
        for person in self.world.all(Person):
            if person.organisation == self.carrier or any(person.at(site) for site in ends):
                met.add(person.id)
        return met

    def people(self) -> list[Person]:
        """Everyone, by number; for a contractor's eyes its own people."""
        everyone = (p for p in self.world.all(Person) if self.carrier in (None, p.organisation))
        return sorted(everyone, key=number)

    def addresses(self) -> Mapping[str, str]:
        """The address of each person who has an account, for those who invite people; for others nothing."""
        if self.carrier is None and self.may("invite a person"):
            return accounts.addresses(self._connection)
        return {}

    def has_account(self, person: str) -> bool:
        """Whether the person can sign in at all."""
        return person in accounts.names(self._connection)

    def devices(self, person: str | None = None) -> list[Device]:
        """The devices of a person (of oneself, if none is named), oldest first."""
        if person not in (None, self.me.id):
            self._at_home("device of", person or "")
        found = self._rows(Device, _device.c.person == (person or self.me.id))
        return sorted(found, key=lambda device: device.enrolled_at)

    def receives(self, person: str, site: str) -> bool:
        """Whether the person has a device whose receipts at this site need no second person."""
        found = self._rows(Device, sa.and_(_device.c.person == person, _device.c.revoked_at.is_(None)))
        return any(device.keeps(site) and not device.young(self.now) for device in found)

    def lacks(self, device: Device) -> list[Grant]:
        """The roles of its person that this device does not speak for."""
        person = self.world.get(Person, device.person)
        return [grant for grant in person.grants if not device.speaks_for(grant)]

    def device(self, key: str) -> Device | None:
        """The device of this key id, if it is one's own or of somebody whom these eyes may know."""
        found = self.world.find(Device, key)
        return found if found is not None and (self.carrier is None or found.person in self._met) else None

    def keepers(self, site: str) -> list[Person]:
        """Who keeps a site: its operators and managers."""
        return [p for p in sorted(self.world.all(Person), key=number) if p.at(site)]

    def party_devices(self, people: Iterable[str]) -> list[Device]:
        """The devices, not revoked, of those who could be the other party of a hand-off; newest first."""
        others = [name for name in people if name != self.me.id]
        theirs = sa.and_(_device.c.person.in_(others), _device.c.revoked_at.is_(None))
        found = self._rows(Device, theirs, _device.c.person)
        return sorted(found, key=lambda device: device.enrolled_at, reverse=True)

    # -------------------------------------------------------------------------------- statements that wait

    def to_sign(self) -> list[Pending]:
        """What waits for one's own signature: hand-offs as the giver, devices that one can confirm."""
        rows = self._connection.execute(
            sa.select(_draft)
            .where(_draft.c.waits_for.in_((self.me.id, "")), _draft.c.by != self.me.id)
            .order_by(_draft.c.at, _draft.c.id)
        )
        found = [_pending(row) for row in rows]
        found += [draft for draft in self.signed_by_me() if isinstance(draft.fact, Enrolled)]
        return [draft for draft in found if self._signs(draft)]

    def signed_by_me(self) -> list[Pending]:
        """What one has signed oneself and still waits for the other party."""
        query = sa.select(_draft).where(_draft.c.by == self.me.id).order_by(_draft.c.at, _draft.c.id)
        return [_pending(row) for row in self._connection.execute(query)]

    def draft(self, event: str) -> Pending:
        """A statement that waits for one's own signature; NotFound where it is another's, or is none."""
        for pending in self.to_sign():
            if pending.id == event:
                return pending
        raise NotFound("There is no such statement that waits for your signature. It may be signed already.")

    def _signs(self, pending: Pending) -> bool:
        if isinstance(pending.fact, Enrolled):
            return bool(self.vouched(pending))
        return pending.waits_for == self.me.id

    def vouched(self, pending: Pending) -> list[Grant]:
        """The roles that a device would speak for beside those it does, if one confirmed it oneself."""
        person, known = self.world.get(Person, pending.fact.person), self.world.find(Device, pending.key)
        own = [device for device in self.devices() if device.revoked_at is None and device.id != pending.key]
        found = [grant for each in own for grant in vouched(self.world, voice(self.world, each), person)]
        return [grant for grant in dict.fromkeys(found) if known is None or not known.speaks_for(grant)]

    # ----------------------------------------------------------------------------------------- consignments

    def board(self) -> list[Trip]:
        """Open consignments: what rings first, then by when it is due."""
        where: sa.ColumnElement[bool] = _consignment.c.state.in_(OPEN)
        if self.carrier is not None:
            where = sa.and_(where, _consignment.c.carrier == self.carrier)
        soonest = sa.func.coalesce(_consignment.c.due, _consignment.c.pick_up_by)
        trips = self._trips(self._rows(Consignment, where, soonest, most=LISTED_MOST))
        return sorted(trips, key=lambda t: (not t.rings, t.consignment.due or t.consignment.pick_up_by))

    def arrived(self, most: int = 20) -> list[Consignment]:
        """The consignments that arrived last, newest first."""
        where: sa.ColumnElement[bool] = _consignment.c.state == "arrived"
        if self.carrier is not None:
            where = sa.and_(where, _consignment.c.carrier == self.carrier)
        return self._rows(Consignment, where, _consignment.c.arrived_at.desc(), most=most)

    def consignment(self, name: str) -> Trip:
        """A consignment; NotFound where there is none that these eyes may see."""
        found = self.world.find(Consignment, name)
        if found is None or not self._sees(found):
            raise NotFound(f"There is no consignment {name} here.")
        return self._trips([found])[0]

    def _trips(self, consignments: list[Consignment]) -> list[Trip]:
        names = [c.id for c in consignments]
        ringing = self._rows(
            Alarm,
            sa.and_(_alarm.c.consignment.in_(names), _alarm.c.ended_at.is_(None)),
            most=10 * LISTED_MOST,
        )
        missing = {i.consignment: i for i in self._rows(Incident, _incident.c.consignment.in_(names))}
        return [
            Trip(
                c,
                tuple(a for a in ringing if a.consignment == c.id),
                missing.get(c.id),
                self.zone(c.to_site),
            )
            for c in consignments
        ]

    def to_approve(self) -> list[Consignment]:
        """The requests that wait for an approval which this person may sign."""
        if self.carrier is not None or not self.may("approve a consignment"):
            return []
        waiting = self._rows(Consignment, _consignment.c.state == "requested", most=LISTED_MOST)
        return [c for c in waiting if c.requester != self.me.id and approves(self.me, c)]

    def manifest(self, consignment: Consignment) -> list[Medium]:
        """The media, in the order of the manifest's lines."""
        return [self.world.get(Medium, name) for name in consignment.media]

    def packing(self, consignment: Consignment) -> Packing | None:
        """The case and the seal in which it travels, if it was packed."""
        return None if consignment.packing is None else self.world.get(Packing, consignment.packing)

    def hand_offs(self, consignment: Consignment) -> list[HandOff]:
        """Every hand-off that the ledger has of it, in the order in which they came."""
        return self._rows(HandOff, _hand_off.c.consignment == consignment.id, _hand_off.c.at)

    def told_of(self, hand_off: HandOff) -> Handed:
        """What the two of them signed."""
        return cast("Handed", Statement.read(self.event(hand_off.id) or b"").fact)

    def hand_off(self, event: str) -> HandOff:
        """A hand-off of a consignment that these eyes may see."""
        found = self.world.find(HandOff, event)
        if found is None:
            raise NotFound("There is no such hand-off here.")
        self.consignment(found.consignment)
        return found

    def receipt(self, event: str) -> Receipt:
        """The receipt of a hand-off of a consignment that these eyes may see, by a checkpoint that covers it.

        It is cosigned where the witnesses that the policy wants have been asked since the hand-off.
        """
        self.hand_off(event)
        row = self._connection.execute(sa.select(_entry).where(_entry.c.event_id == event)).one()
        note = published(self._book, self._connection, row.seq + 1)
        tree = Tree(self._connection, Checkpoint.of(note).size, self._book.tiles)
        return Receipt(row.data, row.seq, tuple(tree.inclusion(row.seq)), note)

    def alarms(self, consignment: Consignment) -> list[Alarm]:
        """All its alarms, ended or not."""
        return [self.world.get(Alarm, name) for name in consignment.alarms]

    # ------------------------------------------------------------------------------- places and their media

    def zone(self, site: str) -> str:
        """The zone in which this site's screens show the time."""
        found = self.world.find(Site, site)
        return "UTC" if found is None else found.zone

    @cached_property
    def my_zone(self) -> str:
        """One's own site's zone; of a person of no site, the zone of the first site."""
        mine = [grant.site for grant in self.me.grants if grant.site is not None]
        first = sorted(site.id for site in self.world.all(Site))
        return self.zone((mine or first or [""])[0])

    def sites(self) -> list[Site]:
        """The sites; for a contractor's eyes those of its own consignments."""
        everywhere = sorted(self.world.all(Site), key=lambda site: site.id)
        if self.carrier is None:
            return everywhere
        trips = self._rows(Consignment, _consignment.c.carrier == self.carrier)
        theirs = {site for trip in trips for site in (trip.from_site, trip.to_site)}
        return [site for site in everywhere if site.id in theirs]

    def routes(self) -> list[Route]:
        """The routes, for the eyes of the house."""
        if self.carrier is not None:
            return []
        return sorted(self.world.all(Route), key=lambda route: route.id)

    def carriers(self) -> list[Organisation]:
        """The organisations that have a courier and whose contract has not ended, contractors first."""
        drive = {p.organisation for p in self.world.all(Person) if p.holds("courier")}
        found = [o for o in self.organisations() if o.id in drive and (o.until is None or o.until > self.now)]
        return sorted(found, key=lambda o: (o.until is None, o.id))

    def organisations(self) -> list[Organisation]:
        """The organisations that take part; for a contractor's eyes its own."""
        found = (o for o in self.world.all(Organisation) if self.carrier in (None, o.id))
        return sorted(found, key=lambda organisation: organisation.id)

    def media(self, *, site: str = "", words: str = "", what: str = "") -> list[Medium]:
        """Media, cases and seals, by site, kind, number, and the beginning of a volser or an id.

        A whole volser finds its cartridge also where the books have it without the media id.
        """
        if self.carrier is not None:
            return []
        where: sa.ColumnElement[bool] = sa.true()
        if site:
            where = sa.and_(where, _medium.c.site == site)
        if what:
            where = sa.and_(where, _medium.c.what == what)
        if words:
            begins = words.upper()
            matches = sa.or_(
                _medium.c.volser.startswith(begins, autoescape=True),
                _medium.c.id.startswith(begins, autoescape=True),
                _medium.c.short == begins,
            )
            if volser.same(begins, volser.first_six(begins)):
                matches = sa.or_(matches, _medium.c.volser == volser.first_six(begins))
            where = sa.and_(where, matches)
        number = (
            sa.func.length(sa.func.coalesce(_medium.c.short, "")),
            sa.func.coalesce(_medium.c.short, ""),
        )
        volsers = sa.func.coalesce(_medium.c.volser, "")
        columns = (_medium.c.what, _medium.c.site, volsers, *number, _medium.c.id)
        return self._rows(Medium, where, *columns, most=LISTED_MOST)

    def free(self, site: str, what: str) -> list[Medium]:
        """What is at the site and bound to no consignment."""
        return [thing for thing in self.media(site=site, what=what) if thing.consignment is None]

    def packings(self, site: str) -> list[Packing]:
        """Packed cases at the site that travel on no consignment yet, the newest packing of each case."""
        if self.carrier is not None:
            return []
        return [
            p
            for p in self._rows(Packing, _packing.c.site == site)
            if all(
                thing.site == site and thing.consignment is None and thing.packing == p.id
                for thing in (self.world.get(Medium, name) for name in (*p.media, p.case, p.seal))
            )
        ]

    def medium(self, name: str) -> Medium:
        """A medium, a case or a seal, for the eyes of the house."""
        self._at_home("medium", name)
        return self.world.get(Medium, name)

    def called(self, name: str) -> str:
        """What people call a medium, a case or a seal that these eyes see on a page."""
        return self.world.get(Medium, name).called

    def numbered(self, short: str) -> Medium:
        """The case or the seal of this number; for a contractor's eyes those of its own consignments."""
        found = self._rows(Medium, _medium.c.short == short)
        if self.carrier is not None:
            trips = self._rows(Consignment, _consignment.c.carrier == self.carrier)
            packings = [packing for trip in trips if (packing := self.packing(trip)) is not None]
            theirs = {name for packing in packings for name in (packing.case, packing.seal)}
            found = [thing for thing in found if thing.id in theirs]
        if not found:
            raise NotFound(
                f"There is no {short} here. Scan its label, or type the 16 letters and digits on it."
            )
        return found[0]

    def data_sets(self, name: str) -> list[Described]:
        """What is on a medium."""
        self._at_home("medium", name)
        return self.described(exposure(self.world, (name,)))

    def described(self, found: Exposure) -> list[Described]:
        """The data sets of an exposure, with their titles."""
        if self.carrier is not None:
            return []
        return [Described(data_set, self.text(data_set.title)) for data_set in found.data_sets]

    def trips_of(self, medium: str) -> list[Consignment]:
        """The consignments on whose manifest it stood, newest first."""
        self._at_home("medium", medium)
        told = self.history(medium, kinds=("requested",))
        return [self.world.get(Consignment, t.fact.consignment) for t in reversed(told)]

    # --------------------------------------------------------------------------------- alarms and incidents

    def alarm(self, name: str) -> Alarm:
        """An alarm of a consignment that these eyes may see."""
        found = self.world.find(Alarm, name)
        trip = None if found is None else self.world.get(Consignment, found.consignment)
        if found is None or trip is None or not self._sees(trip):
            raise NotFound(f"There is no alarm {name} here.")
        return found

    def notices(self, alarm: Alarm) -> list[Notice]:
        """Who was to be told of an alarm, and what became of it; a contractor's eyes see its own people's."""
        found = self._rows(Notice, _notice.c.about == alarm.id)
        if self.carrier is not None:
            ours = {person.id for person in self.people()}
            found = [notice for notice in found if notice.person in ours]
        return sorted(found, key=lambda n: (n.scheduled, int(n.person.partition("-")[2])))

    def incidents(self) -> list[Incident]:
        """Every incident, newest first, for the eyes of the house."""
        if self.carrier is not None:
            return []
        return sorted(self._rows(Incident, sa.true()), key=number, reverse=True)

    def incident(self, name: str) -> Incident:
        """An incident, for the eyes of the house."""
        self._at_home("incident", name)
        return self.world.get(Incident, name)

    def last_proven(self, consignment: Consignment) -> HandOff | None:
        """The last hand-off that nobody disputes: who proved to have it."""
        recorded = [h for h in self.hand_offs(consignment) if h.status == "recorded"]
        return recorded[-1] if recorded else None

    # ------------------------------------------------------------------------------------------- the ledger

    def history(self, *subjects: str, kinds: tuple[str, ...] = ()) -> list[Told]:
        """What the ledger says of these, oldest first."""
        ends = (
            sa.select(sa.func.min(_checkpoint.c.size))
            .where(_checkpoint.c.size > _entry.c.seq)
            .scalar_subquery()
        )
        query = (
            sa.select(_entry.c.seq, _entry.c.event_id, _entry.c.data, ends.label("size"))
            .where(_entry.c.seq.in_(sa.select(_mention.c.seq).where(_mention.c.subject.in_(subjects))))
            .order_by(_entry.c.seq)
        )
        told = []
        for row in self._connection.execute(query).all():
            envelope = Envelope.read(row.data)
            fact = Statement.read(envelope.payload).fact
            if not kinds or fact.kind in kinds:
                signers = tuple(signature.key for signature in envelope.signatures)
                told.append(Told(row.seq, row.event_id, self._received(row.size), fact, signers))
        return told

    def told(self, event: str) -> Told:
        """One event of the ledger, for the eyes of the house."""
        self._at_home("event", event)
        row = self._connection.execute(sa.select(_entry).where(_entry.c.event_id == event)).first()
        if row is None:
            raise NotFound(f"There is no event {event} here.")
        envelope = Envelope.read(row.data)
        size = self._connection.scalar(
            sa.select(sa.func.min(_checkpoint.c.size)).where(_checkpoint.c.size > row.seq)
        )
        signers = tuple(signature.key for signature in envelope.signatures)
        return Told(row.seq, event, self._received(size), Statement.read(envelope.payload).fact, signers)

    def _received(self, size: int) -> datetime:
        """When the transaction that made the log this long was received: its last entry says so."""
        data = self._connection.scalar(sa.select(_entry.c.data).where(_entry.c.seq == size - 1))
        fact: Fact = Statement.read(Envelope.read(bytes(data or b"")).payload).fact
        assert isinstance(fact, Received), "a transaction ends with what it received"
        return fact.at

    def event(self, name: str) -> bytes | None:
        """The signed bytes of an event, by its id; None where there is none."""
        data = self._connection.scalar(sa.select(_entry.c.data).where(_entry.c.event_id == name))
        return None if data is None else Envelope.read(data).payload

    def reports(self, *things: str) -> list[tuple[Told, str | None]]:
        """What strangers wrote about these things, oldest first, with the text where it was not erased."""
        self._at_home("report of", ", ".join(things))
        return [(told, self.text(told.fact.report)) for told in self.history(*things, kinds=("sighted",))]

    def text(self, commitment: str) -> str | None:
        """The text behind a commitment; None where it was erased, and for a contractor's eyes."""
        if self.carrier is not None:
            return None
        return private.shown(self._connection, commitment)

    def waiting_for(self) -> dict[str, datetime]:
        """The witnesses that have not cosigned all there is, and since when the first of it waits."""
        if not self._book.trust.urls:
            return {}
        newest = self._connection.scalar(sa.select(sa.func.max(_checkpoint.c.size))) or 0
        found, keys = {}, dict(self._book.trust.witnesses)
        for name in self._book.trust.urls:
            size = cosigned(self._connection, name, keys[name])
            if size < newest:
                following = sa.select(sa.func.min(_checkpoint.c.size)).where(_checkpoint.c.size > size)
                found[name] = self._received(int(self._connection.scalar(following) or 0))
        return found

    def commits_wait(self) -> timedelta:
        """For how long nothing could be recorded, since a standby of the database does not answer."""
        return self._book.database.waiting(self._connection)

    def unguarded(self) -> str:
        """What opens the ledger to changes, or to a loss, since a server began; empty where nothing does."""
        try:
            home.check(self._book.database, self._connection)
        except Untrusted as problem:
            return str(problem)
        return ""

    def self_audit(self) -> SelfAudit | None:
        """What came of it when the book was last compared with its ledger; None where it never was."""
        newest = self._rows(SelfAudit, _self_audit.c.at <= self.now, _self_audit.c.at.desc(), most=1)
        return newest[0] if newest else None

    def unclimbed(self) -> list[str]:
        """The alarms that owe something and do not climb: nobody is told by them."""
        return unclimbed(self._connection, self._book)

    def silent_for(self, part: str) -> timedelta | None:
        """For how long, in real time, a part of the system has given no sign; None where it never did."""
        at = pulse(self._connection, part)
        return None if at is None else (self._book.clock() - at) / self._book.pace


def _pending(row: Any) -> Pending:
    fact = Statement.read(row.payload).fact
    assert event_id(row.payload) == row.id, "a draft is filed under its event"
    return Pending(row.id, row.payload, fact, row.key, row.by, row.waits_for, row.at)
