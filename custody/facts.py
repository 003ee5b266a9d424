"""Everything that may enter the ledger: a closed union of small frozen classes.

Their annotations *are* the format (see `custody.strict` and `custody/ledger/FORMAT.md`), so what stands
here is signed, hashed and kept for as long as anybody has a copy of the ledger. Three rules follow:

1. **Signed things only ever gain kinds.** A kind's members never change their meaning, and a reader
   refuses members that it does not know, since it cannot know what they would change. A new meaning
   is a new kind or a new version of one.
2. **No personal data.** A leaf cannot be erased. Facts hold codes, key ids and numbers; names, addresses,
   free text and what a provider answered lie in side tables under salted commitments
   (SHA-256 of a 32-byte salt and the text), which can be erased.
3. **Who speaks is part of the kind.** `signed` says whose keys stand under it:
   SERVER - the server's own key; a person who did it through a signed-in session is named in `by`,
   and that is *recorded*, not signed. PERSON - one enrolled device. TWO - two distinct ones.
   FOUNDING - the server's key and the founder's (the genesis alone).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Literal

from custody.errors import Unreadable
from custody.strict import Most, Text, Whole, caught, json_bytes, read_json, read_time, record, time_text
from labels import identity, volser

# ---------------------------------------------------------------------------------------- the values

Id = Annotated[str, Text(identity.PATTERN, "a printed identity: 16 letters and digits")]
Code = Annotated[
    str, Text(r"[A-Z0-9](?:[A-Z0-9-]{0,22}[A-Z0-9])?", "a code: capitals, digits and hyphens, 24 at most")
]
PersonId = Annotated[str, Text(r"P-[1-9][0-9]{0,8}", "a person's number such as P-7")]
ConsignmentId = Annotated[str, Text(r"C-[1-9][0-9]{0,8}", "a consignment's number such as C-7")]
AlarmId = Annotated[str, Text(r"A-[1-9][0-9]{0,8}", "an alarm's number such as A-7")]
IncidentId = Annotated[str, Text(r"I-[1-9][0-9]{0,8}", "an incident's number such as I-7")]
Hash = Annotated[str, Text(r"[0-9a-f]{64}", "a SHA-256 in 64 hexadecimal digits")]
Seen = Annotated[
    str, Text(r"[1-9][0-9]{0,14} [A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", "a tree's size and root")
]
Spki = Annotated[
    str,
    Text(
        r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{85}[AQgw]==",
        "a P-256 public key (SPKI) in base64",
    ),
]
Vkey = Annotated[
    str,
    Text(r"[a-z0-9./-]{1,100}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", "a log's verifier key (vkey)"),
]
Origin = Annotated[
    str, Text(r"[a-z0-9](?:[a-z0-9./-]{0,98}[a-z0-9])?", "a log's name such as custody.example/log")
]
Volser = Annotated[str, Text(volser.PATTERN, f"a volser: {volser.RULE}")]
Form = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9 .-]{0,23}", "a kind of medium such as LTO-8")]
Zone = Annotated[str, Text(r"[A-Za-z0-9_+/-]{1,40}", "a time zone such as Asia/Hong_Kong")]
MessageId = Annotated[str, Text(r"<[0-9a-f]{32}@[a-z0-9.-]{1,100}>", "a Message-ID of ours")]
NoticeKey = Annotated[
    str,
    Text(
        r"(?:A-[1-9][0-9]{0,8}/(?:[0-9]+\.[0-9]+|clear)|E-[0-9a-f]{64})/P-[1-9][0-9]{0,8}/[a-z]+",
        "a notice's key",
    ),
]

Minutes = Annotated[int, Whole(1, 100_000)]
Repeat = Annotated[int, Whole(0, 10_000_000_000)]
"""How often a rung was repeated: more than the minutes until the year 9999, the last that a time can have."""
People = Annotated[int, Whole(0, 10_000_000_000)]
Line = Annotated[int, Whole(1, 1000)]
EVENTS_MOST: Final = 300
"""Events in one transaction: its `received` fact names each of them, and fits an envelope."""
TOLD_MOST: Final = 400
"""People whom one fact tells. Where there are more it is several facts: an audience has no bound."""
MANIFEST_MOST: Final = 1000
"""Media in one manifest: what one 32 KiB envelope holds. More travel as several consignments."""

Role = Literal[
    "courier",
    "site-operator",
    "site-manager",
    "admin",
    "custodian",
    "senior-manager",
    "head",
    "data-protection-officer",
    "it-security",
    "auditor",
]
Audience = Literal[
    "carrier",
    "receiving-site",
    "site-managers",
    "senior-on-call",
    "senior-managers",
    "data-protection-officer",
    "it-security",
    "head",
]
Channel = Annotated[str, Text(r"[a-z]{2,16}", "a channel such as email")]
Cause = Literal["overdue", "not-picked-up", "incomplete", "seal", "disputed", "sighted"]
Matter = Literal[
    "device-enrolled",
    "device-revoked",
    "receiver-enrolled",
    "account-linked",
    "roles-changed",
    "appointed",
    "invited",
    "found",
    "disputed",
    "stuck",
    "clock-jumped",
    "channel-failed",
]
Difference = Literal[
    "entries", "tiles", "checkpoints", "tables", "histories", "texts", "outbox", "book", "alarms"
]
Relaxation = Literal["combined-roles", "outside-senior", "two-of-three-custodians"]


class Signed(Enum):
    """Whose keys stand under a kind of fact."""

    SERVER = "the server's own key"
    PERSON = "the key of one enrolled device"
    TWO = "the keys of two enrolled devices of two persons"
    FOUNDING = "the server's own key and the founder's"


@dataclass(frozen=True, slots=True)
class Fact:
    """What every kind has; made by `@dataclass` below and by nothing else."""

    kind: ClassVar[str]
    signed: ClassVar[Signed]

    def introduces(self) -> tuple[str, ...]:
        """The public keys (SPKI) that become known by this fact; each of them signs it, to prove itself."""
        return ()


# ------------------------------------------------------------------------------- the log and its time


@dataclass(frozen=True, slots=True)
class Genesis(Fact):
    """Entry 0. It names the log's key, the server's and the founder's; its event id is given on paper."""

    kind: ClassVar = "genesis"
    signed: ClassVar = Signed.FOUNDING
    organisation: Code
    log_key: Vkey
    server_key: Spki
    founder: PersonId
    founder_key: Spki
    contact: Hash
    relaxed: Annotated[tuple[Relaxation, ...], Most(8, ascending=True)] = ()

    def introduces(self) -> tuple[str, ...]:
        """The server's key and the founder's."""
        return (self.server_key, self.founder_key)


@dataclass(frozen=True, slots=True)
class Received(Fact):
    """The last entry of every transaction: which events it took in, when, and by which door.

    `at` never runs backwards, and it is the time that every rule uses for those events.
    """

    kind: ClassVar = "received"
    signed: ClassVar = Signed.SERVER
    events: Annotated[tuple[Hash, ...], Most(EVENTS_MOST)]
    at: datetime
    how: Annotated[str, Text(r"[a-z]{2,16}", "a door such as web, scanner, console or monitor")]


# -------------------------------------------------------------------------------- people and devices


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, at one site or, where `site` is None, everywhere."""

    role: Role
    site: Code | None = None


Grants = Annotated[tuple[Grant, ...], Most(16, least=0, ascending=True)]


@dataclass(frozen=True, slots=True)
class SiteOpened(Fact):
    """A place where media are kept, and the zone in which its screens show the time."""

    kind: ClassVar = "site-opened"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    site: Code
    zone: Zone


@dataclass(frozen=True, slots=True)
class OrganisationAdmitted(Fact):
    """Another organisation whose people take part, until its contract ends."""

    kind: ClassVar = "organisation-admitted"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    organisation: Code
    until: datetime


@dataclass(frozen=True, slots=True)
class Invited(Fact):
    """A person, by number, with the first roles. `contact` commits to the address that alerts go to.

    An administrator signs it: a server that could make people and roles by itself could make a receiver.
    """

    kind: ClassVar = "invited"
    signed: ClassVar = Signed.PERSON
    person: PersonId
    organisation: Code
    grants: Grants
    contact: Hash


@dataclass(frozen=True, slots=True)
class Granted(Fact):
    """All the roles that a person has from now on. None left: the person has gone."""

    kind: ClassVar = "granted"
    signed: ClassVar = Signed.PERSON
    person: PersonId
    grants: Grants


@dataclass(frozen=True, slots=True)
class Linked(Fact):
    """A one-time link to a person's account was made: who uses it chooses the account's password."""

    kind: ClassVar = "linked"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    person: PersonId


@dataclass(frozen=True, slots=True)
class Enrolled(Fact):
    """A device's key becomes a person's. Signed by the new device and by the one who confirms it.

    It speaks for the roles that the confirmer can vouch for: their site's manager for those at the site, a
    senior manager or the head for all, the person's own older device for what it speaks for itself; never
    whoever gave the roles: otherwise an administrator could invent a receiver.
    """

    kind: ClassVar = "enrolled"
    signed: ClassVar = Signed.TWO
    person: PersonId
    key: Spki

    def introduces(self) -> tuple[str, ...]:
        """The new device's key."""
        return (self.key,)


@dataclass(frozen=True, slots=True)
class Revoked(Fact):
    """A device's key counts no more. What it signed before stays what it was."""

    kind: ClassVar = "revoked"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    key: Hash
    reason: Literal["lost", "stolen", "replaced", "left"]


@dataclass(frozen=True, slots=True)
class SetUpClosed(Fact):
    """From here on the founder confirms nobody alone any more."""

    kind: ClassVar = "set-up-closed"
    signed: ClassVar = Signed.PERSON


# --------------------------------------------------------------------------------------- the ladder


@dataclass(frozen=True, slots=True)
class Rung:
    """Who is told, `after` minutes from the due time (before it, if negative), again each `repeat` minutes.

    Where `presume` is set the media are presumed missing from here on, and an incident opens.
    """

    after: Annotated[int, Whole(-1440, 100_000)]
    who: Annotated[tuple[Audience, ...], Most(8, ascending=True)]
    repeat: Annotated[int, Whole(0, 1440)] = 0
    presume: bool = False


Ladder = Annotated[tuple[Rung, ...], Most(12, common=True)]


@dataclass(frozen=True, slots=True)
class Routed(Fact):
    """A way from a site to a site: its longest transit, and its ladder. A senior manager signs it."""

    kind: ClassVar = "routed"
    signed: ClassVar = Signed.PERSON
    route: Code
    origin_site: Code
    destination: Code
    transit: Minutes
    ladder: Ladder


# ------------------------------------------------------------------------------------ media and cases


@dataclass(frozen=True, slots=True)
class Item:
    """A thing with an identity of ours. The volser is an attribute: volsers repeat, stickers are copied."""

    id: Id
    what: Literal["medium", "case", "seal"]
    site: Code
    volser: Volser | None = None
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Registered(Fact):
    """Media, cases and seals that are on the books from now on, each at its site."""

    kind: ClassVar = "registered"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    items: Annotated[tuple[Item, ...], Most(150)]


@dataclass(frozen=True, slots=True)
class Described(Fact):
    """A data set: how many people it is about (None: unknown, which is never 0) and the media it is on.

    Described again, the newer one counts; the older ones stay to be seen.
    """

    kind: ClassVar = "described"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    data_set: Code
    title: Hash
    media: Annotated[tuple[Id, ...], Most(MANIFEST_MOST, ascending=True)]
    people_least: People | None = None
    people_most: People | None = None
    other_copies: Literal["yes", "no", "unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class Labelled(Fact):
    """Labels were printed. A second print of an identity needs a reason."""

    kind: ClassVar = "labelled"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    items: Annotated[tuple[Id, ...], Most(MANIFEST_MOST, ascending=True)]
    stock: Annotated[str, Text(r"[A-Za-z0-9-]{1,24}", "a stock's name")]
    reason: Hash | None = None


@dataclass(frozen=True, slots=True)
class Packed(Fact):
    """Media went into a case under a seal; the one who signs read each cartridge's own code."""

    kind: ClassVar = "packed"
    signed: ClassVar = Signed.PERSON
    site: Code
    case: Id
    seal: Id
    media: Annotated[tuple[Id, ...], Most(MANIFEST_MOST)]


# --------------------------------------------------------------------------------------- consignments


@dataclass(frozen=True, slots=True)
class Requested(Fact):
    """The manifest: which media shall travel which route, in which case, carried by whom, from when."""

    kind: ClassVar = "requested"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    consignment: ConsignmentId
    route: Code
    carrier: Code
    pick_up_by: datetime
    media: Annotated[tuple[Id, ...], Most(MANIFEST_MOST)]
    packing: Hash | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn(Fact):
    """A request is taken back before anybody approved it; its media are free again."""

    kind: ClassVar = "withdrawn"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    consignment: ConsignmentId


@dataclass(frozen=True, slots=True)
class Approved(Fact):
    """A manager approves a manifest. The transit and the ladder are frozen onto it by standing here."""

    kind: ClassVar = "approved"
    signed: ClassVar = Signed.PERSON
    consignment: ConsignmentId
    pick_up_by: datetime
    transit: Minutes
    ladder: Ladder


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a hand-off: the full SHA-256 of the device's SPKI, and what that device has seen.

    `seen` is the size and root of the newest checkpoint that the device verified, `"1234 <root>"`: its
    signature vouches for all history up to there, too.
    """

    key: Hash
    seen: Seen


Lines = Annotated[tuple[Line, ...], Most(MANIFEST_MOST, ascending=True)]
"""Lines of the manifest. That nine hundred of a thousand are missing can be signed, too."""


@dataclass(frozen=True, slots=True)
class Handed(Fact):
    """Custody passes from giver to taker. Both sign these bytes, the taker first.

    It names the manifest as its subject and then differences only, by line number, so that its size
    does not depend on how many media travel. `previous` is the consignment's hand-off before this one,
    for the first the approval. `read` says what was scanned: each medium's own code, or the case's and
    the seal's; `seal` how the seal was found (`none`: there is none), and `seal_read` which one was seen.
    When it was `made` is the device's word: evidence beside the time of receipt, and never in its place.
    """

    kind: ClassVar = "handed"
    signed: ClassVar = Signed.TWO
    consignment: ConsignmentId
    giver: Party
    taker: Party
    previous: Hash
    site: Code
    read: Literal["media", "case"]
    seal: Literal["none", "intact", "broken", "different"] = "none"
    seal_read: Id | None = None
    missing: Lines = ()
    refused: Lines = ()
    damaged: Lines = ()
    extra: Annotated[tuple[Id, ...], Most(20, ascending=True)] = ()


@dataclass(frozen=True, slots=True)
class Seconded(Fact):
    """A second person of the receiving site stands by a receipt whose device does not suffice (yet)."""

    kind: ClassVar = "seconded"
    signed: ClassVar = Signed.PERSON
    consignment: ConsignmentId
    hand_off: Hash


# ------------------------------------------------------------------------------ alarms and incidents


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person, and one way to reach them."""

    person: PersonId
    channel: Channel


Told = Annotated[tuple[Recipient, ...], Most(TOLD_MOST, least=0)]


@dataclass(frozen=True, slots=True)
class Climbed(Fact):
    """An alarm reached a rung at its scheduled time, and these people are to be told.

    `repeat` counts the rung's repetitions from 0. `more`: the next fact tells others on this same rung.
    """

    kind: ClassVar = "climbed"
    signed: ClassVar = Signed.SERVER
    alarm: AlarmId
    cause: Cause
    consignment: ConsignmentId
    rung: Annotated[int, Whole(0, 11)]
    repeat: Repeat
    scheduled: datetime
    told: Told
    more: bool = False


@dataclass(frozen=True, slots=True)
class Cleared(Fact):
    """An alarm that rang has ended, and everyone who was told of it is to be told so.

    `more`: the next fact tells others of them.
    """

    kind: ClassVar = "cleared"
    signed: ClassVar = Signed.SERVER
    alarm: AlarmId
    told: Told
    more: bool = False


@dataclass(frozen=True, slots=True)
class Informed(Fact):
    """These people are to be told of an event beside the ladder, which waits for nothing they do.

    A device was enrolled or revoked in their name, or one that can end transits at their site; a link to
    their account was made; people were invited, or their roles changed; something that is on no trip was
    found; a hand-off of what has arrived is disputed.
    """

    kind: ClassVar = "informed"
    signed: ClassVar = Signed.SERVER
    event: Hash
    matter: Matter
    told: Told


@dataclass(frozen=True, slots=True)
class Pinned(Fact):
    """The log's newest checkpoint is to be told to these people, once a day, whatever happened.

    `checkpoint` is its size and root. Who keeps what they are told sees a history that is written anew.
    """

    kind: ClassVar = "pinned"
    signed: ClassVar = Signed.SERVER
    checkpoint: Seen
    told: Annotated[tuple[Recipient, ...], Most(400)]


@dataclass(frozen=True, slots=True)
class SelfAudited(Fact):
    """The book was compared with its ledger; where it differs these people are to be told.

    `first` says what the first difference is in: `book` where that could not be said, `alarms` where one owes
    a rung and does not climb.
    """

    kind: ClassVar = "self-audited"
    signed: ClassVar = Signed.SERVER
    differences: Annotated[int, Whole(0, 1_000_000_000)]
    first: Difference | None = None
    told: Annotated[tuple[Recipient, ...], Most(400, least=0)] = ()


@dataclass(frozen=True, slots=True)
class ClockJumped(Fact):
    """A server's clock was set, by so many seconds ahead; back, if negative. People are to be told."""

    kind: ClassVar = "clock-jumped"
    signed: ClassVar = Signed.SERVER
    ahead: Annotated[int, Whole(-1_000_000_000_000, 1_000_000_000_000)]


@dataclass(frozen=True, slots=True)
class Attempted(Fact):
    """A message that carried these notices was accepted, or was not.

    `refused` is what the other side will not take for this recipient; what it will not take just now, or
    from us, is `deferred`. Its words are committed to, not quoted. Where no message left there is no
    `message`.
    """

    kind: ClassVar = "attempted"
    signed: ClassVar = Signed.SERVER
    notices: Annotated[tuple[NoticeKey, ...], Most(100)]
    outcome: Literal["accepted", "deferred", "refused"]
    at: datetime
    answer: Hash
    message: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged(Fact):
    """A signed-in person says that they know. It stops the repeats to them for an hour, and nothing else."""

    kind: ClassVar = "acknowledged"
    signed: ClassVar = Signed.SERVER
    by: PersonId
    alarm: AlarmId
    rung: Annotated[int, Whole(0, 11)]


@dataclass(frozen=True, slots=True)
class Opened(Fact):
    """The media of a consignment are presumed missing: an incident opens, by itself."""

    kind: ClassVar = "opened"
    signed: ClassVar = Signed.SERVER
    incident: IncidentId
    alarm: AlarmId
    consignment: ConsignmentId


@dataclass(frozen=True, slots=True)
class Decided(Fact):
    """A senior manager or the head takes or gives the incident, and says what is done; it lapses in a day."""

    kind: ClassVar = "decided"
    signed: ClassVar = Signed.PERSON
    incident: IncidentId
    owner: PersonId
    decision: Literal["search", "report-to-police", "notify", "do-not-notify"]
    reason: Hash


@dataclass(frozen=True, slots=True)
class Sighted(Fact):
    """A stranger scanned a label and wrote where the thing is."""

    kind: ClassVar = "sighted"
    signed: ClassVar = Signed.SERVER
    item: Id
    report: Hash


KINDS: Final[dict[str, type[Fact]]] = {
    cls.kind: cls
    for cls in (
        Genesis,
        Received,
        SiteOpened,
        OrganisationAdmitted,
        Invited,
        Granted,
        Linked,
        Enrolled,
        Revoked,
        SetUpClosed,
        Routed,
        Registered,
        Described,
        Labelled,
        Packed,
        Requested,
        Withdrawn,
        Approved,
        Handed,
        Seconded,
        Climbed,
        Cleared,
        Informed,
        Pinned,
        SelfAudited,
        ClockJumped,
        Attempted,
        Acknowledged,
        Opened,
        Decided,
        Sighted,
    )
}

# -------------------------------------------------------------------------------------- the statement

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://media-custody.invalid/"
"""`.invalid` can never be bought (RFC 2606), so nobody can come to own the meaning of these names."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about: an earlier event of this log, by its event id.

    In in-toto's terms the artifact is the earlier event's signed bytes, its DSSE PAE, whose SHA-256 is the
    event id. Where nothing nearer is named it is the genesis. The genesis itself is about the log: the
    artifact is the log's verifier key.
    """

    name: Literal["event", "log"]
    sha256: Hash

    @classmethod
    def log(cls, vkey: str) -> Subject:
        """The subject of a genesis."""
        return cls("log", hashlib.sha256(vkey.encode()).hexdigest())


class NewerKind(Unreadable):
    """A kind, or a version of one, that this program does not know: it takes a newer one to judge it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact, with what every statement says: for which log, when it was made, about which event.

    `made` is the maker's clock, so that the same act done again later is another event. `seen` is the size
    and root of the newest checkpoint that the signing device verified; it stands in what one person signs
    and in enrolments. (A hand-off has one for each party, and the server's facts have none.)
    """

    origin: Origin
    made: datetime
    about: Subject
    fact: Fact
    seen: Seen | None = None

    def payload(self) -> bytes:
        """The bytes to be signed: an in-toto Statement v1 in its one spelling."""
        head = {"origin": self.origin, "made": time_text(self.made)}
        if self.seen is not None:
            head["seen"] = self.seen
        return json_bytes(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": self.about.name, "digest": {"sha256": self.about.sha256}}],
                "predicateType": f"{PREDICATE}{self.fact.kind}/v1",
                "predicate": head | record(type(self.fact)).write(self.fact),
            }
        )

    @classmethod
    def read(cls, payload: bytes) -> Statement:
        """What these bytes state, or Unreadable; accepts exactly what `payload` writes.

        NewerKind where the statement is one of ours, but of a kind or version that is not known here.
        """
        with contextlib.suppress(Unreadable):
            return _spelt(payload)
        return cls._read_members(payload)  # which says what it is that cannot be read

    @classmethod
    def _read_members(cls, payload: bytes) -> Statement:
        value = read_json(payload)
        try:
            (subject,) = value["subject"]
            about = _ABOUT.read({"name": subject["name"], "sha256": subject["digest"]["sha256"]})
            kind = _kind(value["predicateType"], spelt=_is_spelt(payload))
            predicate = dict(value["predicate"])
            head = _HEAD.read({name: predicate.pop(name) for name in _HEAD_MEMBERS if name in predicate})
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise Unreadable("This is not a statement of a kind known here.") from problem
        statement = cls(head.origin, head.made, about, record(kind).read(predicate), head.seen)
        if statement.payload() != payload:
            raise Unreadable(_MISSPELT)
        return statement


def _kind(predicate_type: str, *, spelt: bool) -> type[Fact]:
    """Unreadable where no newer program could read it either: spelling goes before the kind."""
    name, _, version = predicate_type.removeprefix(PREDICATE).partition("/")
    if predicate_type.startswith(PREDICATE) and (name not in KINDS or version != "v1"):
        if not spelt:
            raise Unreadable(_MISSPELT)
        raise NewerKind(f"{name}/{version} is not known to this version of the program: use a newer one.")
    return KINDS[name]


@dataclass(frozen=True, slots=True)
class _Head:
    origin: Origin
    made: datetime
    seen: Seen | None = None


_MISSPELT: Final = "This statement is not in the one spelling that its meaning has."
_HEAD_MEMBERS: Final = ("origin", "made", "seen")
_ABOUT: Any = record(Subject)
_HEAD: Any = record(_Head)

_SPELLING: Final = re.compile(
    rf'\{{"_type":"{re.escape(STATEMENT_TYPE)}",'
    rf'"subject":\[\{{"name":"(event|log)","digest":\{{"sha256":{caught(Hash)}\}}\}}\],'
    rf'"predicateType":"{re.escape(PREDICATE)}([a-z-]+)/v([1-9][0-9]*)",'
    rf'"predicate":\{{{_HEAD.members(caught)}(?:,(.+))?\}}\}}',
    re.ASCII,
)


def _is_spelt(payload: bytes) -> bool:
    """Whether these bytes are in the one spelling, as far as that can be said without knowing the kind."""
    spelling = _SPELLING.fullmatch(payload.decode("latin-1"))
    return spelling is not None and json_bytes(read_json(payload)) == payload


def _spelt(payload: bytes) -> Statement:
    """What these bytes state, by patterns of what `payload` writes; Unreadable where they do not fit."""
    found = _SPELLING.fullmatch(payload.decode("latin-1"))
    if found is None or found[3] not in KINDS or found[4] != "1":
        raise Unreadable(_MISSPELT)
    name, sha256, kind, _, origin, made, seen, members = found.groups()
    fact: Fact = record(KINDS[kind]).read_text(f"{{{members or ''}}}")
    about = Subject("event" if name == "event" else "log", sha256)
    return Statement(origin, read_time(made), about, fact, seen)
