"""The case file of an incident: one page for the head at night, and behind it all that the auditor relies on.

The first page says what is presumed missing, who held it last by which signed event, how many people it is
about, and what runs out next. Everything after it carries event ids and entry numbers, so that each line can
be found in the ledger and checked there. What is unknown is called unknown, and never nought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, PageBreak

from custody.rules.alarms import DEADLINES
from custody.writers import pdf
from custody.writers.pdf import Column, count, grouped, moment, short


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in this matter: number, roles in words, and the name if the caller gave one."""

    id: str
    roles: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the ledger in words. `at` is when it was received, which is the time that rules use.

    `who` are the numbers of those who signed it (`signed`), or of the one for whom the server recorded it;
    empty where the clock did it.
    """

    seq: int
    event: str
    at: datetime
    what: str
    who: tuple[str, ...]
    signed: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What one person was to be told on one rung, or on its repeats (`times` above 1), on one channel.

    `due` is the alarm's; None for what is no alert, a reminder or the all-clear. `accepted` is when the relay
    took the (first) message over, `slowest` the longest that one took from its scheduled time.
    """

    alarm: str
    rung: str
    due: datetime | None
    person: str
    channel: str
    scheduled: datetime
    accepted: datetime | None
    slowest: timedelta | None
    attempts: int
    message: str | None
    times: int = 1
    times_accepted: int = 0

    @property
    def after_due(self) -> timedelta | None:
        """From the alarm's due time to the relay's acceptance, of a single alert that was accepted."""
        if self.due is None or self.accepted is None or self.times > 1:
            return None
        return self.accepted - self.due


@dataclass(frozen=True, slots=True)
class Reached:
    """The first of some people whose message was accepted, and how long after the alarm's due time."""

    person: str
    at: datetime
    after: timedelta


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A signed-in person's word that they know; `counts` is False for one of the trip itself."""

    seq: int
    event: str
    at: datetime
    person: str
    alarm: str
    rung: int
    after: timedelta
    counts: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """A signed decision; `reason` is None where it was erased."""

    seq: int
    event: str
    at: datetime
    by: str
    owner: str
    decision: str
    reason: str | None
    lapses: datetime


@dataclass(frozen=True, slots=True)
class Medium:
    """One line of the manifest, the data sets on it, and what a hand-off said about it."""

    line: int
    id: str
    volser: str | None
    form: str | None
    data_sets: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """What was described; `title` is None where it was erased. `here` of its `total` media are in here."""

    code: str
    title: str | None
    least: int | None
    most: int | None
    here: int
    total: int
    other_copies: str


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a hand-off: the person, the key, and the size of the log that the device had seen."""

    person: str
    key: str
    seen: int
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class HandOff:
    """A hand-off as both signed it, and what became of it."""

    seq: int
    event: str
    at: datetime
    device_at: datetime
    site: str
    giver: Party
    taker: Party
    what: str
    receipt: bool
    status: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """The last proven holder: who took custody, where, by which hand-off."""

    person: str
    site: str
    at: datetime
    event: str
    seq: int


@dataclass(frozen=True, slots=True)
class Clock:
    """A deadline, or a duty without one (`due` is None), what starts it, and where it is written."""

    label: str
    starts: datetime
    started_by: str
    due: datetime | None
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a stranger wrote about something of this consignment; `words` is None where it was erased."""

    seq: int
    event: str
    at: datetime
    item: str
    words: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What the evidence is checked with: its `size` in entries, and the newest signed note over them."""

    origin: str
    genesis: str
    policy: str
    log_key: str
    size: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Report:
    """A whole case. `zone` is the receiving site's; `as_of` the time of the newest entry in here.

    `least` and `most` are people, each None where unknown; `undescribed` counts the media on which no data
    set is on record. `state` is the consignment's: travelling, received, arrived. `case` and `seal` are what
    stands on their labels for people.
    """

    incident: str
    opened: Line
    presumed_by: str
    state: str
    arrived_at: datetime | None
    flags: tuple[str, ...]
    consignment: str
    route: str
    from_site: str
    to_site: str
    carrier: str
    case: str | None
    seal: str | None
    zone: str
    as_of: datetime
    alarm: str
    cause: str
    alarm_due: datetime
    due: datetime
    holder: Holder | None
    least: int | None
    most: int | None
    undescribed: int
    senior: Reached | None
    head: Reached | None
    people: tuple[Person, ...]
    media: tuple[Medium, ...]
    data_sets: tuple[DataSet, ...]
    timeline: tuple[Line, ...]
    told: tuple[Told, ...]
    acknowledgements: tuple[Acknowledgement, ...]
    decisions: tuple[Decision, ...]
    hand_offs: tuple[HandOff, ...]
    clocks: tuple[Clock, ...]
    found: tuple[Found, ...]
    proof: Proof


ERASED: Final = "erased"
LISTED: Final = 4
"""So many data sets are named on the first page; all of them stand in their own part."""


def incident(report: Report) -> bytes:
    """The PDF of a case file, A4; the same bytes for the same report."""
    foot = f"CONFIDENTIAL. Entries 0 to {report.proof.size - 1:,}, as of {moment(report.as_of, report.zone)}"
    furniture = pdf.Furniture(f"Case file of incident {report.incident}", report.proof.origin, foot)
    parts = (
        _summary,
        _timeline,
        _told,
        _answers,
        _media,
        _hand_offs,
        _clocks,
        _people,
        _how_to_verify,
    )
    return pdf.document(furniture, [block for part in parts for block in part(report)])


# ----------------------------------------------------------------------------------------- the first page


def _summary(report: Report) -> Iterator[Flowable]:
    yield pdf.title(f"Incident {report.incident}")
    yield pdf.box(*_verdict(report), solid=report.state != "arrived")
    rows = [
        ("Missing since", f"{moment(report.opened.at, report.zone)}, {report.presumed_by}"),
        ("Was due", _was_due(report)),
        ("Last proven holder", _holder(report)),
        ("Travelled", _travelled(report)),
        ("Data sets", _data_sets(report)),
        ("People concerned", people_words(report)),
        ("Other copies", _copies(report)),
        (
            "Proof of encryption",
            (
                "no escrow record: this version of the ledger keeps none of the media's keys. Nothing here"
                " proves that these media are encrypted, and nothing here says that they are not."
            ),
        ),
        ("Senior management", _reached(report, report.senior, "a senior manager")),
        ("Head", _reached(report, report.head, "the head")),
        ("Acknowledged", _acknowledged(report)),
        ("Owner and decision", _decided(report)),
        *_runs_out(report),
    ]
    if report.flags:
        rows.insert(4, ("Not as it should be", "; ".join(report.flags)))
    yield pdf.fields(rows)
    yield pdf.paragraph(
        f"As of {moment(report.as_of, report.zone)}: what came later is not in here. Times are the wall"
        f" clock's in {report.zone}, in brackets UTC, and are when the server received an event. Numbers"
        " such as P-7 are people: the part People says who they are.",
        pdf.SMALL,
    )
    yield PageBreak()


def _verdict(report: Report) -> tuple[str, str]:
    media = count(len(report.media), "medium", "media")
    trip = f"{report.consignment}, {report.from_site} to {report.to_site}"
    if report.state == "arrived" and report.arrived_at is not None:
        late = moment(report.arrived_at, report.zone)
        return (
            f"ARRIVED LATE: {media} of {trip}",
            f"They were presumed missing and came complete at {late}. The incident stays on record.",
        )
    if report.state == "received":
        return (
            f"RECEIVED, NOT COMPLETE: {media} of {trip}",
            (
                "The receiving site has signed for something, but not for everything as it should be: see"
                " Hand-offs."
            ),
        )
    return (
        f"PRESUMED MISSING: {media} of {trip}",
        "No complete receipt by the receiving site is in the ledger."
        + (" Nobody reported this: silence did." if report.cause in DEADLINES else ""),
    )


def _was_due(report: Report) -> str:
    due = moment(report.due, report.zone)
    if report.alarm_due == report.due:
        return f"{due}, alarm {report.alarm} ({report.cause})"
    return f"{due}; alarm {report.alarm} ({report.cause}) since {moment(report.alarm_due, report.zone)}"


def _holder(report: Report) -> str:
    disputed = sum(each.status == "disputed" for each in report.hand_offs)
    but = f"; {count(disputed, 'hand-off is', 'hand-offs are')} disputed: see Hand-offs" if disputed else ""
    if report.holder is None:
        nobody = "there is no hand-off that counts" if disputed else "nobody has signed for a pick-up"
        where = f"the media were last proven to be at {report.from_site}, where they are on the books"
        return f"{nobody}: {where}{but}"
    at = report.holder
    return (
        f"{_who(report, at.person)}, since {moment(at.at, report.zone)} at {at.site}, by hand-off"
        f" {short(at.event)} (entry {at.seq:,}) signed by both parties{but}"
    )


def _travelled(report: Report) -> str:
    packed = "loose, in no case"
    if report.case is not None and report.seal is not None:
        packed = f"in case {report.case} under seal {report.seal}"
    return f"route {report.route} with {report.carrier}, {packed}"


def _data_sets(report: Report) -> str:
    if not report.data_sets:
        return "unknown: no data set is on record for any of these media"
    named = [f"{s.code} ({ERASED if s.title is None else _cut(s.title)})" for s in report.data_sets[:LISTED]]
    more = len(report.data_sets) - LISTED
    words = "; ".join([*named, f"and {more} more"] if more > 0 else named)
    if report.undescribed:
        words += f". For {report.undescribed} of the media no data set is on record"
    return words


def people_words(report: Report) -> str:
    """How many people, as a range; `unknown` where it is, for unknown is never nought."""
    unnumbered = sum(s.most is None for s in report.data_sets)
    reasons = []
    if unnumbered:
        reasons.append(f"no number is on record for {unnumbered} of {len(report.data_sets)} data sets")
    if report.undescribed and report.data_sets:
        reasons.append(f"{count(report.undescribed, 'medium has', 'media have')} no data set on record")
    why = f": {'; '.join(reasons)}" if reasons else ""
    if report.least is None:
        return f"unknown{why}"
    least = f"at least {report.least:,}"
    if report.most is None:
        return f"{least}, at most unknown{why}"
    if len(report.data_sets) == 1 or report.least == report.most:
        return f"{least}, at most {report.most:,}"
    return f"{least}, at most {report.most:,} (the largest data set, and all of them added up)"


def _copies(report: Report) -> str:
    if not report.data_sets:
        return "unknown"
    by_answer: dict[str, list[str]] = {}
    for each in report.data_sets:
        by_answer.setdefault(each.other_copies, []).append(each.code)
    if len(by_answer) == 1:
        (answer,) = by_answer
        return {"no": "NO: none of these data sets is on record as being anywhere else"}.get(
            answer, f"{answer}, for all of these data sets"
        )
    named = {answer: codes[:LISTED] + ["..."] * (len(codes) > LISTED) for answer, codes in by_answer.items()}
    order = ("no", "unknown", "yes")
    return "; ".join(f"{a.upper()} for {', '.join(named[a])}" for a in order if a in named)


def _reached(report: Report, reached: Reached | None, role: str) -> str:
    if reached is None:
        return f"NOT TOLD: no message to {role} about {report.alarm} has been accepted by the mail relay"
    return (
        f"{_who(report, reached.person)}: message accepted by the relay at"
        f" {moment(reached.at, report.zone)}, {_span(reached.after)} after the alarm's due time"
    )


def _acknowledged(report: Report) -> str:
    for each in report.acknowledgements:
        if each.counts:
            late = _span(each.after)
            return f"first by {_who(report, each.person)}, {late} after the alarm's due time"
    return "by nobody outside the trip"


def _decided(report: Report) -> str:
    if not report.decisions:
        return "NONE: nobody owns this incident and nothing is decided"
    last = report.decisions[-1]
    lapsed = "LAPSED" if last.lapses <= report.as_of else "lapses"
    return (
        f"{_DECISIONS.get(last.decision, last.decision)}, by {_who(report, last.by)}; owner"
        f" {_who(report, last.owner)}; {lapsed} {moment(last.lapses, report.zone)}"
    )


def _runs_out(report: Report) -> Iterator[tuple[str, str]]:
    limits = sorted((clock.due, clock.label) for clock in report.clocks if clock.due is not None)
    gone = [f"{label}: {moment(due, report.zone)}" for due, label in limits if due <= report.as_of]
    ahead = [f"{label}: {moment(due, report.zone)}" for due, label in limits if due > report.as_of]
    if gone:
        yield "HAS RUN OUT", "; ".join(gone)
    yield "Runs out next", "; ".join(ahead) or "no further clock with a limit"


# --------------------------------------------------------------------------------------- what was recorded


def _timeline(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Timeline, out of the ledger")
    yield pdf.table(
        [
            Column(f"{report.zone} and UTC", 33),
            Column("What", 66),
            Column("Who", 44),
            Column("Event", 24, mono=True),
            Column("Entry", 13),
        ],
        [
            [moment(line.at, report.zone), line.what, _by(report, line), short(line.event), f"{line.seq:,}"]
            for line in report.timeline
        ],
    )
    for each in report.found:
        words = ERASED if each.words is None else each.words
        yield pdf.paragraph(
            f"A finder wrote of {grouped(each.item)} (entry {each.seq:,}, {moment(each.at, report.zone)}):"
            f" {words}"
        )


def _by(report: Report, line: Line) -> str:
    if not line.who:
        return "the server"
    who = " and ".join(_who(report, person) for person in line.who)
    return f"signed by {who}" if line.signed else f"recorded for {who}"


def _told(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Who was told, and when")
    yield pdf.paragraph(
        "Accepted means that the mail relay took the message over; it is no proof that anybody read it."
        " Delay is from the time for which the rung was scheduled, after due from the alarm's due time. A"
        " message is named by the first 16 characters of its Message-ID.",
        pdf.SMALL,
    )
    yield pdf.table(
        [
            Column("Alarm and rung", 25),
            Column("Person", 33),
            Column("Channel, message", 29),
            Column("Scheduled (first)", 32),
            Column("Accepted by the relay", 32),
            Column("Delay", 14),
            Column("After due", 15),
        ],
        [_told_row(report, each) for each in report.told],
    )


def _told_row(report: Report, each: Told) -> list[str]:
    several = each.times > 1
    message = f" {each.message[1:17]}" if each.message is not None and not several else ""
    return [
        f"{each.alarm} {each.rung}" + (f", {each.times:,} times" if several else ""),
        _who(report, each.person),
        each.channel + message,
        moment(each.scheduled, report.zone),
        _outcome(report, each),
        "" if each.slowest is None else "at most " * several + _clocked(each.slowest),
        "" if each.after_due is None else _clocked(each.after_due),
    ]


def _outcome(report: Report, each: Told) -> str:
    """When it was accepted; of several messages, how many were."""
    tries = f", {count(each.attempts, 'try', 'tries')}" if each.attempts > each.times else ""
    if each.times > 1:
        return f"{each.times_accepted:,} of {each.times:,}{tries}"
    if each.accepted is None:
        return f"NOT ACCEPTED{tries or ', 1 try'}" if each.attempts else "NOT SENT YET"
    return f"{moment(each.accepted, report.zone)}{tries}"


def _answers(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Acknowledgements")
    if report.acknowledgements:
        yield pdf.table(
            [
                Column("Time", 33),
                Column("Who", 54),
                Column("What it does", 56),
                Column("Event", 24, mono=True),
                Column("Entry", 13),
            ],
            [
                [
                    moment(each.at, report.zone),
                    _who(report, each.person),
                    f"{each.alarm}, rung {each.rung}, {_span(each.after)} after due: "
                    + (
                        "spares them the repeats for 60 minutes"
                        if each.counts
                        else "nothing: part of the trip"
                    ),
                    short(each.event),
                    f"{each.seq:,}",
                ]
                for each in report.acknowledgements
            ],
        )
    else:
        yield pdf.paragraph("Nobody has acknowledged.")
    yield from pdf.heading("Decisions")
    if not report.decisions:
        yield pdf.paragraph("Nobody has decided anything, and the incident has no owner.")
    for each in report.decisions:
        yield KeepTogether(
            pdf.fields(
                [
                    ("Decision", _DECISIONS.get(each.decision, each.decision)),
                    ("Signed by", f"{_who(report, each.by)}, {moment(each.at, report.zone)}"),
                    ("Owner", _who(report, each.owner)),
                    ("Reason", ERASED if each.reason is None else each.reason),
                    ("Lapses", f"{moment(each.lapses, report.zone)}"),
                    (f"Event, entry {each.seq:,}", pdf.digest(each.event)),
                ]
            )
        )


_DECISIONS: Final = {
    "search": "search",
    "report-to-police": "report to the police",
    "notify": "notify the people concerned",
    "do-not-notify": "do NOT notify the people concerned",
}


def _media(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Data sets on these media")
    if report.data_sets:
        yield pdf.table(
            [
                Column("Data set", 34),
                Column("Title", 62),
                Column("People", 42),
                Column("Media here", 22),
                Column("Other copies", 20),
            ],
            [
                [
                    each.code,
                    ERASED if each.title is None else each.title,
                    "unknown" if each.most is None else f"{each.least or 0:,} to {each.most:,}",
                    f"{each.here:,} of {each.total:,}",
                    each.other_copies,
                ]
                for each in report.data_sets
            ],
        )
    yield pdf.paragraph(
        f"People concerned: {people_words(report)}. Nobody may know how far the data sets overlap, hence a"
        " range. A data set counts as exposed when one of its media is missing. The numbers are as they"
        " were described and recorded; the ledger does not count people.",
        pdf.SMALL,
    )
    yield from pdf.heading("The media")
    yield pdf.table(
        [
            Column("Line", 11),
            Column("Identity on the label", 40, mono=True),
            Column("Volser", 24, mono=True),
            Column("Form", 22),
            Column("Data sets", 48),
            Column("Remarks", 35),
        ],
        [
            [
                str(each.line),
                grouped(each.id),
                each.volser or "none",
                each.form or "not given",
                ", ".join(each.data_sets) or "none on record",
                each.remark,
            ]
            for each in report.media
        ],
    )


def _hand_offs(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Hand-offs, with the keys that signed them")
    if not report.hand_offs:
        yield pdf.paragraph("There is none: nobody has signed for a pick-up.")
    for number, each in enumerate(report.hand_offs, 1):
        why = f" ({'; '.join(each.why)})" if each.why else ""
        yield KeepTogether(
            [
                pdf.paragraph(f"{number}. {each.what[:1].upper()}{each.what[1:]}"),
                pdf.fields(
                    [
                        ("Became", f"{each.status}{why}"),
                        (
                            "Received",
                            (
                                f"{moment(each.at, report.zone)}; on the device it was"
                                f" {moment(each.device_at, report.zone)}"
                            ),
                        ),
                        ("Giver", _party(report, each.giver)),
                        ("Giver's key", pdf.digest(each.giver.key)),
                        ("Taker", _party(report, each.taker)),
                        ("Taker's key", pdf.digest(each.taker.key)),
                        (f"Event, entry {each.seq:,}", pdf.digest(each.event)),
                    ]
                ),
            ]
        )


def _party(report: Report, party: Party) -> str:
    revoked = ""
    if party.revoked is not None:
        revoked = f"; this device was revoked {moment(party.revoked, report.zone)}"
    entries = count(party.seen, "entry", "entries")
    return f"{_who(report, party.person)}; the device had verified the log up to {entries}{revoked}"


def _clocks(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("Clocks")
    yield pdf.paragraph(
        "Which of these apply is for counsel to say. That a report was filed is not recorded in this"
        " version: keep the authority's reference with this file.",
        pdf.SMALL,
    )
    yield pdf.table(
        [Column("Clock", 42), Column("Starts", 49), Column("Due", 33), Column("From", 56)],
        [
            [
                each.label,
                f"{moment(each.starts, report.zone)}: {each.started_by}",
                _clock_due(report, each),
                each.source,
            ]
            for each in report.clocks
        ],
    )


def _clock_due(report: Report, clock: Clock) -> str:
    if clock.due is None:
        return "no fixed time"
    out = "HAS RUN OUT: " if clock.due <= report.as_of else ""
    return out + moment(clock.due, report.zone)


def _people(report: Report) -> Iterator[Flowable]:
    yield from pdf.heading("People in this file")
    yield pdf.table(
        [Column("Number", 20), Column("Name", 60), Column("Roles, as on the books now", 100)],
        [[each.id, each.name or "not given", each.roles] for each in report.people],
    )
    yield pdf.paragraph(
        "Names are not in the ledger, whose entries cannot be erased; they were looked up when this file"
        " was made.",
        pdf.SMALL,
    )


# ---------------------------------------------------------------------------------------------- the last page

_LIMITS: Final = (
    (
        "A signature proves that the key of an enrolled device signed exactly these words. It does not prove"
        " whose hand held the device, nor that its owner understood them."
    ),
    (
        "A scan proves that a label was read, by a device of the one who signed. It does not prove that the"
        " cartridge under the label is the right one, nor what is on it. Where case and seal were read, the"
        " cartridges were read when they were packed and not since."
    ),
    (
        "A time is the server's word. It cannot come before the entries before it, and what devices had"
        " verified bounds it from the other side. A device's own clock stands beside it as evidence."
    ),
    (
        "Accepted by the relay is not read by a person. Titles, reasons and names are kept outside the"
        " ledger, where they can be erased; titles and reasons were compared with what the ledger commits to,"
        " names cannot be."
    ),
    "This file is a print-out and is signed by nobody. What counts is the ledger, checked as above.",
)


def _how_to_verify(report: Report) -> Iterator[Flowable]:
    proof = report.proof
    yield PageBreak()
    yield from pdf.heading("How to verify this")
    yield pdf.paragraph(
        "All of the above can be found in the ledger, entry by entry, and the ledger can be judged by"
        " anybody who has Python and its package cryptography. You need the bundle, which the head or an"
        " auditor exports; the file policy, which says whose signatures are believed; and the hash of the"
        " genesis. The last two must have reached you by another way than this file and the bundle:"
        " compare them.",
    )
    yield pdf.mono(
        f"python -m custody.audit bundle.zip --policy policy --pin pin \\\n--genesis {proof.genesis}"
    )
    yield pdf.fields(
        [
            ("Genesis", pdf.digest(proof.genesis)),
            ("Policy's SHA-256", pdf.digest(proof.policy)),
            ("Log's key", proof.log_key),
            ("This file is of", f"entries 0 to {proof.size - 1:,} of the log {proof.origin}"),
        ]
    )
    yield pdf.beside(
        [
            pdf.paragraph(
                "The policy's hash is of the server's own copy. If yours has another, ask why before you"
                " go on.",
                pdf.SMALL,
            ),
            pdf.paragraph(
                "The code is the signed checkpoint over exactly these entries. Saved as the file pin,"
                " letter by letter with its last line's end, it makes the audit fail if anything in them"
                " was changed since. This is its text:",
                pdf.SMALL,
            ),
            pdf.mono(proof.checkpoint),
        ],
        [pdf.Code(proof.checkpoint, 44 * mm)],
        50 * mm,
    )
    yield from pdf.heading("What this proves, and what it does not")
    for limit in _LIMITS:
        yield pdf.paragraph(limit)


# ------------------------------------------------------------------------------------------------ words


def _who(report: Report, person: str) -> str:
    """`P-7 Carl Chan`, or `P-7 (courier of FLEET)` where no name was given."""
    for each in report.people:
        if each.id == person:
            return f"{person} {each.name}" if each.name else f"{person} ({each.roles})"
    return person


def _cut(title: str, most: int = 90) -> str:
    return title if len(title) <= most else title[:most].rstrip() + "..."


def _span(duration: timedelta) -> str:
    """`2 s`, `30 min 2 s`, `25 h 0 min`: rounded down."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60} min"


def _clocked(duration: timedelta) -> str:
    """`0:30:02`: hours, minutes and seconds, rounded down."""
    seconds = max(int(duration.total_seconds()), 0)
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
