"""The tables: columns, and nothing else.

Three belong to the ledger and only ever grow; triggers refuse the rest (`migrations`). The nouns' tables are
the fold of the ledger: their columns are the fields of the dataclasses in `custody.rules`, a test compares
the two, and what is not a text, a number or a time is JSON. Those after them are neither: what may be erased,
what is still to be sent, what is half signed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from custody.strict import read_time, time_text


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware moment as its text of 24 characters, which sorts as time does on every database."""

    impl = sa.String(24)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else time_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else read_time(value)


def _json(*, null: bool = False) -> Any:
    return Field(sa_type=sa.JSON, nullable=null)


def _moment(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=Moment, nullable=True, index=index)


def _key(length: int) -> Any:
    return Field(primary_key=True, max_length=length)


# ------------------------------------------------------------------------------------------- the ledger


class Entry(SQLModel, table=True):
    """A leaf of the tree: an envelope's bytes, as signed."""

    __tablename__: ClassVar = "entry"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(max_length=64, unique=True)
    leaf_hash: bytes
    data: bytes


class Tile(SQLModel, table=True):
    """256 hashes of a level, written once when all of them are there."""

    __tablename__: ClassVar = "tile"
    level: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    root: bytes
    hashes: bytes


class CheckpointRow(SQLModel, table=True):
    """The signed note of the log at a size, written with the entries that it covers."""

    __tablename__: ClassVar = "checkpoint"
    size: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    root: bytes
    note: str


# -------------------------------------------------------------------------------------------- the nouns


class LogRow(SQLModel, table=True):
    """`custody.rules.world.Log`."""

    __tablename__: ClassVar = "log"
    id: str = _key(100)
    genesis: str
    organisation: str
    server_key: str
    server_spki: str
    founder: str
    founder_key: str
    set_up: bool
    relaxed: Any = _json()
    last: datetime = _moment()


class OrganisationRow(SQLModel, table=True):
    """`custody.rules.people.Organisation`."""

    __tablename__: ClassVar = "organisation"
    id: str = _key(24)
    until: datetime | None = _moment()


class SiteRow(SQLModel, table=True):
    """`custody.rules.people.Site`."""

    __tablename__: ClassVar = "site"
    id: str = _key(24)
    zone: str


class PersonRow(SQLModel, table=True):
    """`custody.rules.people.Person`."""

    __tablename__: ClassVar = "person"
    id: str = _key(12)
    number: int = Field(unique=True)
    organisation: str
    grants: Any = _json()
    contact: str
    appointed_by: str
    appointed: int = Field(sa_type=sa.BigInteger)


class DeviceRow(SQLModel, table=True):
    """`custody.rules.people.Device`."""

    __tablename__: ClassVar = "device"
    id: str = _key(64)
    spki: str
    person: str = Field(index=True)
    confirmed_by: str
    enrolled_at: datetime = _moment()
    set_up: bool
    grants: Any = _json()
    revoked_at: datetime | None = _moment()


class MediumRow(SQLModel, table=True):
    """`custody.rules.media.Medium`."""

    __tablename__: ClassVar = "medium"
    id: str = _key(16)
    what: str
    site: str = Field(index=True)
    volser: str | None = Field(default=None, index=True)
    form: str | None = None
    prints: int
    consignment: str | None = Field(default=None, index=True)
    packing: str | None = None
    missing: bool
    sighted_at: datetime | None = _moment()
    short: str | None = Field(default=None, max_length=12, index=True)


class TallyRow(SQLModel, table=True):
    """`custody.rules.media.Tally`."""

    __tablename__: ClassVar = "tally"
    id: str = _key(8)
    last: int


class DataSetRow(SQLModel, table=True):
    """`custody.rules.media.DataSet`."""

    __tablename__: ClassVar = "data_set"
    id: str = _key(24)
    title: str
    media: Any = _json()
    least: int | None = Field(default=None, sa_type=sa.BigInteger)
    most: int | None = Field(default=None, sa_type=sa.BigInteger)
    other_copies: str


class PackingRow(SQLModel, table=True):
    """`custody.rules.cases.Packing`."""

    __tablename__: ClassVar = "packing"
    id: str = _key(64)
    case: str = Field(index=True)
    seal: str
    media: Any = _json()
    site: str
    by: str


class UsedSealRow(SQLModel, table=True):
    """`custody.rules.cases.UsedSeal`."""

    __tablename__: ClassVar = "used_seal"
    id: str = _key(16)
    packing: str


class RouteRow(SQLModel, table=True):
    """`custody.rules.consignments.Route`."""

    __tablename__: ClassVar = "route"
    id: str = _key(24)
    origin_site: str
    destination: str
    transit: int
    ladder: Any = _json()


class ConsignmentRow(SQLModel, table=True):
    """`custody.rules.consignments.Consignment`."""

    __tablename__: ClassVar = "consignment"
    id: str = _key(12)
    number: int = Field(unique=True)
    route: str
    from_site: str
    to_site: str
    carrier: str = Field(index=True)
    manifest: str
    media: Any = _json()
    packing: str | None = None
    requester: str
    pick_up_by: datetime = _moment()
    state: str = Field(index=True)
    approver: str | None = None
    transit: int
    ladder: Any = _json()
    alarms: Any = _json()
    approvals: Any = _json()
    head: str | None = None
    holder: str | None = None
    picked_up_at: datetime | None = _moment()
    due: datetime | None = _moment()
    received_at: datetime | None = _moment()
    arrived_at: datetime | None = _moment()
    receipts: Any = _json()
    chain: Any = _json()
    flags: Any = _json()


class HandOffRow(SQLModel, table=True):
    """`custody.rules.handoffs.HandOff`."""

    __tablename__: ClassVar = "hand_off"
    id: str = _key(64)
    consignment: str = Field(index=True)
    previous: str
    giver: str
    taker: str
    site: str
    at: datetime = _moment()
    device_at: datetime = _moment()
    giver_key: str
    taker_key: str
    giver_seen: int = Field(sa_type=sa.BigInteger)
    taker_seen: int = Field(sa_type=sa.BigInteger)
    status: str
    why: Any = _json()
    complete: bool
    receipt: bool


class SuccessorsRow(SQLModel, table=True):
    """`custody.rules.handoffs.Successors`."""

    __tablename__: ClassVar = "successors"
    id: str = _key(64)
    hand_offs: Any = _json()


class AlarmRow(SQLModel, table=True):
    """`custody.rules.alarms.Alarm`."""

    __tablename__: ClassVar = "alarm"
    id: str = _key(12)
    number: int = Field(unique=True)
    consignment: str = Field(index=True)
    cause: str
    due: datetime = _moment()
    armed_at: datetime = _moment()
    ladder: Any = _json()
    rung: int
    repeat: int
    next_at: datetime | None = _moment(index=True)
    told: Any = _json()
    acknowledgements: Any = _json()
    ended_at: datetime | None = _moment()
    part: int = Field(sa_column_kwargs={"server_default": "0"})


class NoticeRow(SQLModel, table=True):
    """`custody.rules.alarms.Notice`."""

    __tablename__: ClassVar = "notice"
    __table_args__ = (sa.Index("ix_notice_about_scheduled", "about", "scheduled"),)
    id: str = _key(96)
    about: str
    person: str
    channel: str
    scheduled: datetime = _moment()
    matter: str | None = None
    outcome: str | None = None
    attempts: int
    message: str | None = None
    accepted_at: datetime | None = _moment()


class IncidentRow(SQLModel, table=True):
    """`custody.rules.incidents.Incident`."""

    __tablename__: ClassVar = "incident"
    id: str = _key(12)
    number: int = Field(unique=True)
    consignment: str
    alarm: str
    opened_at: datetime = _moment()
    owner: str | None = None
    decisions: Any = _json()


class IncidentOfRow(SQLModel, table=True):
    """`custody.rules.incidents.IncidentOf`."""

    __tablename__: ClassVar = "incident_of"
    id: str = _key(12)
    incident: str


class PinRow(SQLModel, table=True):
    """`custody.rules.daily.Pin`."""

    __tablename__: ClassVar = "pin"
    id: str = _key(10)
    size: int


class SelfAuditRow(SQLModel, table=True):
    """`custody.rules.daily.SelfAudit`."""

    __tablename__: ClassVar = "self_audit"
    id: str = _key(64)
    at: datetime = _moment()
    differences: int
    first: str | None = None


# ------------------------------------------------------------------- what is neither ledger nor its fold


class Mention(SQLModel, table=True):
    """Where in the ledger something is spoken of: the index behind each history page."""

    __tablename__: ClassVar = "mention"
    subject: str = _key(64)
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})


class Private(SQLModel, table=True):
    """A text that a fact commits to: names, addresses, free words. This row, and it alone, may be erased."""

    __tablename__: ClassVar = "private"
    commitment: str = _key(64)
    salt: bytes
    text: str


class Outbox(SQLModel, table=True):
    """A notice that no relay has accepted yet.

    `not_before` is when it is due, `set_at` when that was decided. `lease` is until when a process is sending
    it. `message` is the Message-ID under which it goes, chosen when it is first taken up: sent again after a
    crash, it bears the same. `refused_at` is when its mailbox first refused it, None where it never did.
    """

    __tablename__: ClassVar = "outbox"
    notice: str = _key(96)
    person: str = Field(index=True)
    channel: str
    message: str | None = Field(default=None, index=True)
    priority: int
    not_before: datetime = _moment(index=True)
    set_at: datetime | None = _moment(index=True)
    attempts: int
    lease: datetime | None = _moment()
    refused_at: datetime | None = _moment()


class Digest(SQLModel, table=True):
    """For when the last message was, or is, in which a person is told one kind of what comes as a digest.

    The id is of the person's number and the notices' priority, such as P-7/3.
    """

    __tablename__: ClassVar = "digest"
    id: str = _key(24)
    at: datetime = _moment()


class Draft(SQLModel, table=True):
    """A statement that one party has signed and that waits for the other; the id is the event's to be.

    `waits_for` is the person who is to sign next, empty where several may.
    """

    __tablename__: ClassVar = "draft"
    id: str = _key(64)
    kind: str
    payload: bytes
    key: str
    signature: bytes
    by: str = Field(index=True)
    waits_for: str = Field(index=True)
    at: datetime = _moment()


class Pulse(SQLModel, table=True):
    """When a part of the system last finished its round, or began: a pin (`custody.store.pin`)."""

    __tablename__: ClassVar = "pulse"
    name: str = _key(24)
    at: datetime = _moment()


# ---------------------------------------------------------------------------------------------- accounts


class AccountRow(SQLModel, table=True):
    """How a person signs in (`custody.store.accounts`). Name and address stand here, never in the ledger.

    `password` is an argon2id hash, None until the person has chosen one. `session` is what their cookies
    name: drawn anew, every session of theirs has ended.
    """

    __tablename__: ClassVar = "account"
    person: str = _key(12)
    name: str
    address: str = Field(unique=True)
    password: str | None = None
    session: str = Field(unique=True)


class LinkRow(SQLModel, table=True):
    """A one-time link. Only the SHA-256 of its token is kept: who reads this table can use none of them."""

    __tablename__: ClassVar = "link"
    digest: str = _key(64)
    person: str = Field(index=True)
    purpose: str
    expires: datetime = _moment()
    used_at: datetime | None = _moment()


class TokenRow(SQLModel, table=True):
    """With what a witness or a mirror reads the log (`custody.store.tokens`). Only its SHA-256 is kept."""

    __tablename__: ClassVar = "token"
    name: str = _key(64)
    reader: str
    digest: str = Field(max_length=64, unique=True)
    made_at: datetime = _moment()
    revoked_at: datetime | None = _moment()


class CosignatureRow(SQLModel, table=True):
    """A witness's line under a checkpoint (`custody.store.witnesses`), and when it came."""

    __tablename__: ClassVar = "cosignature"
    size: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    witness: str = _key(200)
    line: str
    at: datetime = _moment()


class WrongPassword(SQLModel, table=True):
    """A sign-in that failed: under which account (the SHA-256 of what was typed), from which address."""

    __tablename__: ClassVar = "wrong_password"
    id: int | None = Field(default=None, primary_key=True)
    account: str = Field(max_length=64, index=True)
    source: str
    at: datetime = _moment(index=True)
