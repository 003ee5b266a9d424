"""Documents out of the book: the manifest that travels, the case file of an incident, and the timeline.

They change nothing. Each is of one moment of the book, and says which: the same book gives the same bytes.
Event ids and times are read from the envelopes themselves, so that what stands on paper can be found in the
ledger. Free text comes from the table from which it can be erased, and only while it is what the ledger
commits to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import facts
from custody.facts import Fact, Received, Signed, Statement
from custody.ledger.envelope import Envelope
from custody.ledger.note import Checkpoint
from custody.rules import media as media_rules
from custody.rules.alarms import Alarm, Notice, at_once
from custody.rules.cases import Packing
from custody.rules.consignments import Consignment
from custody.rules.handoffs import HandOff
from custody.rules.incidents import DECISION_LASTS, Incident, incident_of
from custody.rules.media import DataSet, Medium
from custody.rules.people import Device, Person, Site, number
from custody.rules.world import Event, World, seen_size
from custody.store import private
from custody.store.book import Book, newest_note
from custody.store.nouns import SHELVES
from custody.store.world import BookWorld
from custody.writers import incident as case
from custody.writers import manifest as sheet
from custody.writers.incident import Line
from custody.writers.pdf import count, grouped, short

Names = Callable[[str], str | None]

_entry, _checkpoint, _mention, _hand_off, _notice = (
    SQLModel.metadata.tables[name] for name in ("entry", "checkpoint", "mention", "hand_off", "notice")
)


def manifest_pdf(book: Book, consignment: str) -> bytes:
    """The manifest of a consignment as a PDF; NotFound where there is none of that number."""
    with book.read() as connection:
        return sheet.manifest(_sheet(_Look(book, connection), consignment))


def incident_pdf(book: Book, incident: str, names: Names = lambda _: None) -> bytes:
    """The case file of an incident as a PDF; NotFound where there is none of that number.

    `names` gives a person's name for their number, or None; without it nobody is named.
    """
    with book.read() as connection:
        return case.incident(_report(_Look(book, connection), incident, names))


def timeline(book: Book, consignment: str) -> tuple[Line, ...]:
    """Every event of a consignment's life, in the order of the ledger; NotFound where there is none.

    From its packing on: request, approval, hand-offs, alarms with each rung, acknowledgements, decisions, and
    what was found, described or printed anew of its media meanwhile. No line holds free text or a name.
    """
    with book.read() as connection:
        look = _Look(book, connection)
        trip = look.world.get(Consignment, consignment)
        return tuple(_line(look, trip, event) for event in look.events(trip))


# ------------------------------------------------------------------------------------------- looking it up


class _Look:
    """One moment of the book: its nouns, its events, its erasable texts."""

    def __init__(self, book: Book, connection: sa.Connection) -> None:
        self.policy = book.policy
        self.connection = connection
        self.world: World = BookWorld(connection)
        self.note = newest_note(connection)
        self.checkpoint = Checkpoint.of(self.note)

    def event(self, name: str) -> Event:
        """The event of this id, which is known to be there."""
        (found,) = self._read(_entry.c.event_id == name)
        return found

    def events(self, trip: Consignment) -> list[Event]:
        """All that happened to a consignment, in order."""
        incident = incident_of(self.world, trip.id)
        subjects = [trip.id, *trip.alarms, *([incident.id] if incident else [])]
        own = sa.select(_mention.c.seq).where(_mention.c.subject.in_(subjects))
        found = {event.seq: event for event in self._read(_entry.c.seq.in_(own))}
        if trip.packing is not None:
            packed = self.event(trip.packing)
            found[packed.seq] = packed
        for event in self._meanwhile(trip):
            found[event.seq] = event
        return [found[seq] for seq in sorted(found)]

    def _meanwhile(self, trip: Consignment) -> Iterator[Event]:
        """What was found, described or printed of its media from the request to the arrival."""
        things = sa.select(_mention.c.seq).where(
            _mention.c.subject.in_(self.things(trip)), _mention.c.seq > self.event(trip.manifest).seq
        )
        for event in self._read(_entry.c.seq.in_(things)):
            if isinstance(event.fact, _OF_ITS_MEDIA) and event.at <= (trip.arrived_at or event.at):
                yield event

    def things(self, trip: Consignment) -> list[str]:
        """Its media, and the case and the seal that they travel in."""
        if trip.packing is None:
            return list(trip.media)
        packing = self.world.get(Packing, trip.packing)
        return [*trip.media, packing.case, packing.seal]

    def _read(self, which: sa.ColumnElement[bool]) -> list[Event]:
        """These events, each with the time of the `received` that ends its transaction.

        A checkpoint's size is always the end of a transaction.
        """
        end = (
            sa.select(sa.func.min(_checkpoint.c.size))
            .where(_checkpoint.c.size > _entry.c.seq)
            .scalar_subquery()
        )
        last = _entry.alias()
        rows = self.connection.execute(
            sa.select(_entry.c.seq, _entry.c.event_id, _entry.c.data, last.c.data.label("received"))
            .select_from(_entry.join(last, last.c.seq == end - 1))
            .where(which)
            .order_by(_entry.c.seq)
        )
        return [_event(row) for row in rows]

    def text(self, commitment: str) -> str | None:
        """The text under this commitment; None where it was erased. Another text than that is not shown."""
        return private.shown(self.connection, commitment)

    def rows(self, kind: type[Any], which: sa.ColumnElement[bool]) -> list[Any]:
        """The nouns of a kind that fit."""
        shelf = SHELVES[kind]
        return [shelf.noun(row) for row in self.connection.execute(sa.select(shelf.table).where(which))]


def _event(row: Any) -> Event:
    envelope, received = Envelope.read(row.data), _statement(row.received).fact
    if not isinstance(received, Received):
        raise TypeError(f"the transaction of entry {row.seq} has no end")
    signers = tuple(signature.key for signature in envelope.signatures)
    return Event(row.seq, row.event_id, Statement.read(envelope.payload), signers, received.at)


def _statement(data: bytes) -> Statement:
    return Statement.read(Envelope.read(data).payload)


# --------------------------------------------------------------------------------------------- the manifest


def _sheet(look: _Look, name: str) -> sheet.Sheet:
    world = look.world
    trip = world.get(Consignment, name)
    packing = None
    if trip.packing is not None:
        packed = world.get(Packing, trip.packing)
        box, seal = _on_labels(world, packed.case, packed.seal)
        packing = sheet.Packing(box, seal, _signed(look, trip.packing))
    return sheet.Sheet(
        origin=world.log.id,
        genesis=world.log.genesis,
        checkpoint=look.note,
        as_of=world.log.last,
        zone=world.get(Site, trip.from_site).zone,
        consignment=trip.id,
        withdrawn=trip.state == "withdrawn",
        route=trip.route,
        from_site=trip.from_site,
        to_site=trip.to_site,
        carrier=trip.carrier,
        pick_up_by=trip.pick_up_by,
        transit=trip.transit if trip.approvals else None,
        packing=packing,
        media=tuple(
            sheet.Line(line, each.id, each.volser, each.form)
            for line, each in enumerate((world.get(Medium, medium) for medium in trip.media), 1)
        ),
        requested=_signed(look, trip.manifest),
        approved=_signed(look, trip.approvals[-1]) if trip.approvals else None,
    )


def _signed(look: _Look, name: str) -> sheet.Signed:
    event = look.event(name)
    (by,) = _who(look.world, event)
    return sheet.Signed(f"{by}, {_roles(look.world, by)}", event.at, event.id, event.seq)


# --------------------------------------------------------------------------------------------- the timeline

_OF_ITS_MEDIA: Final = (facts.Sighted, facts.Described, facts.Labelled)


def _line(look: _Look, trip: Consignment, event: Event) -> Line:
    signed = event.fact.signed in (Signed.PERSON, Signed.TWO)
    what = _WORDS[type(event.fact)](look.world, trip, event)
    return Line(event.seq, event.id, event.at, what, _who(look.world, event), signed)


def _who(world: World, event: Event) -> tuple[str, ...]:
    """Those who signed, or the one for whom the server recorded it; nobody where the clock did it."""
    if event.fact.signed is Signed.SERVER:
        by = getattr(event.fact, "by", None)
        return () if by is None else (by,)
    return tuple(world.get(Device, key).person for key in event.signers)


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _media(number_of: int) -> str:
    return count(number_of, "medium", "media")


def _on_labels(world: World, *names: str) -> list[str]:
    """`K-7, K9YM SVMW VJ4J FVSZ`: the number and the id, as they stand on a label."""
    return [f"{world.get(Medium, name).called}, {grouped(name)}" for name in names]


def _packed(world: World, _t: Consignment, event: Event) -> str:
    fact = event.fact
    case, seal = _on_labels(world, fact.case, fact.seal)
    into = f"case {case} under seal {seal} at {fact.site}"
    return f"packed {_media(len(fact.media))} into {into}, each cartridge's own code read"


def _requested(_w: World, _t: Consignment, event: Event) -> str:
    fact = event.fact
    return (
        f"manifest of {_media(len(fact.media))}: route {fact.route}, carrier {fact.carrier}, pick-up by"
        f" {_utc(fact.pick_up_by)}"
    )


def _approved(_w: World, _t: Consignment, event: Event) -> str:
    fact = event.fact
    return (
        f"approved, with {fact.transit:,} minutes of transit; pick-up by {_utc(fact.pick_up_by)}; alarm armed"
    )


def _handed(world: World, trip: Consignment, event: Event) -> str:
    fact, known = event.fact, world.get(HandOff, event.id)
    read = "each medium's own code read" if fact.read == "media" else "case and seal read"
    wrong = []
    if trip.packing is not None:
        other = f", {grouped(fact.seal_read)} was read" if fact.seal_read is not None else ""
        wrong.append(("no seal" if fact.seal == "none" else f"seal {fact.seal}") + other)
    for word in ("missing", "refused", "damaged"):
        lines = getattr(fact, word)
        if lines:
            wrong.append(f"{word}: {count(len(lines), 'line', 'lines')} {_ranges(lines)}")
    if fact.extra:
        wrong.append(f"extra: {', '.join(map(grouped, fact.extra))}")
    status = "" if known.status == "recorded" else f" {known.status.upper()}: {'; '.join(known.why)}"
    what = "receipt" if known.receipt else "hand-off"
    said = "; ".join([f"{what} at {fact.site} from {known.giver} to {known.taker}", read, *wrong])
    return f"{said}.{status}"


def _ranges(lines: Iterable[int]) -> str:
    """`1-3, 7`: line numbers, runs of them as one."""
    runs = [
        [n for _, n in run] for _, run in groupby(enumerate(sorted(lines)), lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _climbed(world: World, _t: Consignment, event: Event) -> str:
    fact = event.fact
    rung = world.get(Alarm, fact.alarm).ladder[fact.rung]
    again = f", repeat {fact.repeat}" if fact.repeat else ""
    to = count(len(fact.told), "person", "people") if fact.told else "nobody left"
    reminds = ", a reminder" if rung.after < 0 else ""
    presumed = "; from here the media are presumed missing" if rung.presume else ""
    more = ", more follow" if fact.more else ""
    return f"{fact.alarm} ({fact.cause}) on rung {fact.rung}{again}{reminds}: {to} to be told{more}{presumed}"


def _described(_w: World, trip: Consignment, event: Event) -> str:
    here = len(set(event.fact.media) & set(trip.media))
    return f"data set {event.fact.data_set} described, on {_media(here)} of this consignment"


def _labelled(_w: World, trip: Consignment, event: Event) -> str:
    here = len(set(event.fact.items) & set(trip.media))
    return f"labels printed, {here} of them for media of this consignment"


_WORDS: Final[Mapping[type[Fact], Callable[[World, Consignment, Event], str]]] = {
    facts.Packed: _packed,
    facts.Requested: _requested,
    facts.Withdrawn: lambda _w, _t, _e: "the request was taken back",
    facts.Approved: _approved,
    facts.Handed: _handed,
    facts.Seconded: lambda _w, _t, e: f"stands by the receipt {short(e.fact.hand_off)} as the second person",
    facts.Climbed: _climbed,
    facts.Cleared: lambda _w, _t, e: (
        f"{e.fact.alarm} has ended: all-clear to {count(len(e.fact.told), 'person', 'people')}"
    ),
    facts.Acknowledged: lambda _w, _t, e: f"acknowledged {e.fact.alarm}, rung {e.fact.rung}",
    facts.Opened: lambda _w, _t, e: (
        f"incident {e.fact.incident} opened by itself on {e.fact.alarm}: the media are presumed missing"
    ),
    facts.Decided: lambda _w, _t, e: (
        f"decision on {e.fact.incident}: {e.fact.decision}; owner {e.fact.owner}"
    ),
    facts.Sighted: lambda _w, _t, e: f"a stranger wrote where {grouped(e.fact.item)} is",
    facts.Described: _described,
    facts.Labelled: _labelled,
}
"""What each kind that can stand in a timeline says, in words without names, titles or volsers."""


# -------------------------------------------------------------------------------------------- the case file


@dataclass(frozen=True, slots=True)
class Duty:
    """What an authority asks for, the time it gives (None: none is set), and where that is written."""

    label: str
    within: timedelta | None
    source: str


DUTIES: Final = (
    Duty(
        "GIRO, by telephone: 60 minutes",
        timedelta(minutes=60),
        "Hong Kong ISPG-SM02, for government departments",
    ),
    Duty(
        "Preliminary report to GIRO: 48 hours",
        timedelta(hours=48),
        "Hong Kong ISPG-SM02, for government departments",
    ),
    Duty(
        "Post-incident report",
        None,
        "Hong Kong ISPG-SM02: one week after it is resolved; else a first interim report within 3 months",
    ),
    Duty("PCPD: no statutory limit", None, "Hong Kong PCPD guidance of June 2023: as soon as possible"),
    Duty(
        "GDPR Art. 33: 72 hours",
        timedelta(hours=72),
        "Regulation (EU) 2016/679, where it applies: after becoming aware, unless a risk is unlikely",
    ),
)
"""Default clocks, each from the first rung that is an alert: from then on somebody knows."""


def _report(look: _Look, name: str, names: Names) -> case.Report:
    world = look.world
    incident = world.get(Incident, name)
    trip, alarm = world.get(Consignment, incident.consignment), world.get(Alarm, incident.alarm)
    events = look.events(trip)
    lines = tuple(_line(look, trip, event) for event in _folded(events))
    notices = sorted((n for a in trip.alarms for n in look.rows(Notice, _notice.c.about == a)), key=_by_time)
    packing = None if trip.packing is None else world.get(Packing, trip.packing)
    box, seal = (None, None) if packing is None else _on_labels(world, packing.case, packing.seal)
    exposed = media_rules.exposure(world, trip.media)
    answers = _acknowledgements(world, trip, events)
    decided = _decisions(look, events)
    hand_offs = _hand_offs(look, trip, events)
    told = tuple(_told(world, notices))
    return case.Report(
        incident=incident.id,
        opened=next(_line(look, trip, e) for e in events if isinstance(e.fact, facts.Opened)),
        presumed_by=_presumed_by(alarm, events),
        state=trip.state,
        arrived_at=trip.arrived_at,
        flags=trip.flags,
        consignment=trip.id,
        route=trip.route,
        from_site=trip.from_site,
        to_site=trip.to_site,
        carrier=trip.carrier,
        case=box,
        seal=seal,
        zone=world.get(Site, trip.to_site).zone,
        as_of=world.log.last,
        alarm=alarm.id,
        cause=alarm.cause,
        alarm_due=alarm.due,
        due=trip.due or alarm.due,
        holder=_holder(world, trip, hand_offs),
        least=exposed.least,
        most=exposed.most,
        undescribed=len(exposed.undescribed),
        senior=_reached(world, alarm, notices, "senior-manager"),
        head=_reached(world, alarm, notices, "head"),
        people=_people(world, {*trip.chain, *_named(lines, told, decided)}, names),
        media=_media_lines(world, trip, exposed.data_sets, events),
        data_sets=tuple(_data_set(look, trip, each) for each in exposed.data_sets),
        timeline=lines,
        told=told,
        acknowledgements=answers,
        decisions=decided,
        hand_offs=hand_offs,
        clocks=_clocks(alarm, events),
        found=_found(look, events),
        proof=_proof(look),
    )


def _folded(events: list[Event]) -> Iterator[Event]:
    """The events without a rung's later repeats, but for the newest: in a month there are a thousand."""
    newest = {e.fact.alarm: e.seq for e in events if isinstance(e.fact, facts.Climbed)}
    for event in events:
        repeats = isinstance(event.fact, facts.Climbed) and event.fact.repeat > 1
        if not repeats or newest[event.fact.alarm] == event.seq:
            yield event


def _presumed_by(alarm: Alarm, events: list[Event]) -> str:
    rungs = [
        event
        for event in events
        if isinstance(event.fact, facts.Climbed)
        and event.fact.alarm == alarm.id
        and alarm.ladder[event.fact.rung].presume
    ]
    if not rungs:
        return f"by alarm {alarm.id}"
    return f"by rung {rungs[0].fact.rung} of alarm {alarm.id} (entry {rungs[0].seq:,})"


def _holder(world: World, trip: Consignment, hand_offs: tuple[case.HandOff, ...]) -> case.Holder | None:
    """Who took custody by the newest hand-off that nobody disputes, in the order of the trip.

    A receipt counts even while it waits for its predecessor; a leg that came after it moves nothing.
    """
    known = {each.event: each for each in hand_offs}
    receipts = [known[name] for name in trip.receipts if known[name].status != "disputed"]
    name = receipts[-1].event if receipts else trip.head
    while not receipts and name in known and known[name].status == "disputed":
        name = world.get(HandOff, name).previous
    last = None if name is None else known.get(name)
    if last is None:  # only the approval is left
        return None
    return case.Holder(last.taker.person, last.site, last.at, last.event, last.seq)


def _reached(world: World, alarm: Alarm, notices: Iterable[Notice], role: facts.Role) -> case.Reached | None:
    """The first holder of the role whose message about this alarm was accepted."""
    accepted = [
        (n.accepted_at, n.person)
        for n in notices
        if n.about == alarm.id
        and n.accepted_at is not None
        and n.scheduled >= alarm.due
        and "/clear/" not in n.id
        and world.get(Person, n.person).holds(role)
    ]
    if not accepted:
        return None
    at, person = min(accepted)
    return case.Reached(person, at, at - alarm.due)


def _by_time(notice: Notice) -> tuple[datetime, str, int]:
    return notice.scheduled, notice.about, int(notice.person.partition("-")[2])


def _told(world: World, notices: list[Notice]) -> Iterator[case.Told]:
    """A row for each notice; the repeats of a rung are one row for each person."""
    repeats: dict[tuple[str, str, str, str], list[Notice]] = {}
    for notice in notices:
        alarm, rung, _ = notice.id.split("/", 2)
        which, _, repeat = rung.partition(".")
        if repeat in ("", "0"):
            yield _told_once(world, notice, "all-clear" if rung == "clear" else f"rung {which}")
        else:
            repeats.setdefault((alarm, which, notice.person, notice.channel), []).append(notice)
    for (_, which, _, _), again in repeats.items():
        first = _told_once(world, again[0], f"rung {which}, repeated")
        spans = [n.accepted_at - n.scheduled for n in again if n.accepted_at is not None]
        yield replace(
            first,
            accepted=min((n.accepted_at for n in again if n.accepted_at is not None), default=None),
            slowest=max(spans, default=None),
            attempts=sum(n.attempts for n in again),
            times=len(again),
            times_accepted=len(spans),
        )


def _told_once(world: World, notice: Notice, rung: str) -> case.Told:
    alarm = world.get(Alarm, notice.about)
    alert = "/clear/" not in notice.id and notice.scheduled >= alarm.due
    return case.Told(
        alarm=alarm.id,
        rung=rung,
        due=alarm.due if alert else None,
        person=notice.person,
        channel=notice.channel,
        scheduled=notice.scheduled,
        accepted=notice.accepted_at,
        slowest=None if notice.accepted_at is None else notice.accepted_at - notice.scheduled,
        attempts=notice.attempts,
        message=notice.message,
        times_accepted=int(notice.accepted_at is not None),
    )


def _acknowledgements(
    world: World, trip: Consignment, events: list[Event]
) -> tuple[case.Acknowledgement, ...]:
    return tuple(
        case.Acknowledgement(
            seq=event.seq,
            event=event.id,
            at=event.at,
            person=event.fact.by,
            alarm=event.fact.alarm,
            rung=event.fact.rung,
            after=event.at - world.get(Alarm, event.fact.alarm).due,
            counts=event.fact.by not in trip.chain,
        )
        for event in events
        if isinstance(event.fact, facts.Acknowledged)
    )


def _decisions(look: _Look, events: list[Event]) -> tuple[case.Decision, ...]:
    return tuple(
        case.Decision(
            seq=event.seq,
            event=event.id,
            at=event.at,
            by=_who(look.world, event)[0],
            owner=event.fact.owner,
            decision=event.fact.decision,
            reason=look.text(event.fact.reason),
            lapses=event.at + DECISION_LASTS,
        )
        for event in events
        if isinstance(event.fact, facts.Decided)
    )


def _found(look: _Look, events: list[Event]) -> tuple[case.Found, ...]:
    return tuple(
        case.Found(event.seq, event.id, event.at, event.fact.item, look.text(event.fact.report))
        for event in events
        if isinstance(event.fact, facts.Sighted)
    )


def _hand_offs(look: _Look, trip: Consignment, events: list[Event]) -> tuple[case.HandOff, ...]:
    world, found = look.world, []
    for event in events:
        if not isinstance(event.fact, facts.Handed):
            continue
        known = world.get(HandOff, event.id)
        parties = [
            case.Party(person, side.key, seen_size(side.seen), world.get(Device, side.key).revoked_at)
            for person, side in ((known.giver, event.fact.giver), (known.taker, event.fact.taker))
        ]
        found.append(
            case.HandOff(
                seq=event.seq,
                event=event.id,
                at=event.at,
                device_at=known.device_at,
                site=known.site,
                giver=parties[0],
                taker=parties[1],
                what=_handed(world, trip, event),
                receipt=known.receipt,
                status=known.status,
                why=known.why,
            )
        )
    return tuple(found)


def _media_lines(
    world: World, trip: Consignment, sets: Collection[DataSet], events: list[Event]
) -> tuple[case.Medium, ...]:
    on: dict[str, list[str]] = {}
    for each in sets:
        for medium in each.media:
            on.setdefault(medium, []).append(each.id)
    remarks = _remarks(world, trip, events)
    lines = []
    for line, name in enumerate(trip.media, 1):
        known = world.get(Medium, name)
        remark = "; ".join(remarks.get(name, ()))
        lines.append(case.Medium(line, name, known.volser, known.form, tuple(on.get(name, ())), remark))
    return tuple(lines)


def _remarks(world: World, trip: Consignment, events: list[Event]) -> dict[str, list[str]]:
    """What hand-offs and strangers said about single media."""
    remarks: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event.fact, facts.Sighted):
            remarks.setdefault(event.fact.item, []).append(f"sighted (entry {event.seq:,})")
        if not isinstance(event.fact, facts.Handed) or world.get(HandOff, event.id).status == "disputed":
            continue
        for word in ("missing", "refused", "damaged"):
            for line in getattr(event.fact, word):
                if line <= len(trip.media):
                    said = f"{word} at {event.fact.site} (entry {event.seq:,})"
                    remarks.setdefault(trip.media[line - 1], []).append(said)
    return remarks


def _data_set(look: _Look, trip: Consignment, each: DataSet) -> case.DataSet:
    return case.DataSet(
        code=each.id,
        title=look.text(each.title),
        least=each.least,
        most=each.most,
        here=len(set(each.media) & set(trip.media)),
        total=len(each.media),
        other_copies=each.other_copies,
    )


def _clocks(alarm: Alarm, events: list[Event]) -> tuple[case.Clock, ...]:
    """The duties, each from the first alert on the incident's own alarm."""
    first = at_once(alarm.ladder)
    rung = next(
        e
        for e in events
        if isinstance(e.fact, facts.Climbed) and e.fact.alarm == alarm.id and e.fact.rung >= first
    )
    began = f"rung {rung.fact.rung} of {alarm.id}, event {short(rung.id)} (entry {rung.seq:,})"
    return tuple(
        case.Clock(
            duty.label, rung.at, began, None if duty.within is None else rung.at + duty.within, duty.source
        )
        for duty in DUTIES
    )


def _named(
    lines: Iterable[Line], told: Iterable[case.Told], decided: Iterable[case.Decision]
) -> Iterator[str]:
    """Everyone whose number stands in these."""
    for line in lines:
        yield from line.who
    yield from (each.person for each in told)
    yield from (each.owner for each in decided)


def _people(world: World, found: Collection[str], names: Names) -> tuple[case.Person, ...]:
    people = sorted((world.get(Person, name) for name in found), key=number)
    return tuple(case.Person(each.id, _roles(world, each.id), names(each.id)) for each in people)


def _roles(world: World, name: str) -> str:
    """`site manager of NORTH, IT security`, or `courier from FLEET`, as on the books now."""
    person = world.get(Person, name)
    roles = [
        f"{grant.role.replace('it-', 'IT ').replace('-', ' ')}{f' of {grant.site}' if grant.site else ''}"
        for grant in person.grants
    ]
    words = ", ".join(roles) or "no role any more"
    return words if person.organisation == world.log.organisation else f"{words} from {person.organisation}"


def _proof(look: _Look) -> case.Proof:
    genesis = look.event(look.world.log.genesis).fact
    return case.Proof(
        origin=look.world.log.id,
        genesis=look.world.log.genesis,
        policy=hashlib.sha256(look.policy.encode()).hexdigest(),
        log_key=genesis.log_key,
        size=look.checkpoint.size,
        checkpoint=look.note,
    )
