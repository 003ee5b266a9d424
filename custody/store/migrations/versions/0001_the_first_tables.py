"""The first tables."""

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment
from custody.store.triggers import TRIGGERS

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward. There is no way back: a ledger only grows."""
    op.create_table(
        "account",
        sa.Column("person", sa.String(12), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=True),
        sa.Column("session", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("person"),
        sa.UniqueConstraint("address"),
        sa.UniqueConstraint("session"),
    )
    op.create_table(
        "alarm",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("consignment", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("due", Moment(), nullable=True),
        sa.Column("armed_at", Moment(), nullable=True),
        sa.Column("ladder", sa.JSON(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("next_at", Moment(), nullable=True),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("acknowledgements", sa.JSON(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("ix_alarm_consignment", "alarm", ["consignment"], unique=False)
    op.create_index("ix_alarm_next_at", "alarm", ["next_at"], unique=False)

    op.create_table(
        "checkpoint",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table(
        "consignment",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("from_site", sa.String(), nullable=False),
        sa.Column("to_site", sa.String(), nullable=False),
        sa.Column("carrier", sa.String(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("media", sa.JSON(), nullable=False),
        sa.Column("packing", sa.String(), nullable=True),
        sa.Column("requester", sa.String(), nullable=False),
        sa.Column("pick_up_by", Moment(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=True),
        sa.Column("transit", sa.Integer(), nullable=False),
        sa.Column("ladder", sa.JSON(), nullable=False),
        sa.Column("alarms", sa.JSON(), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("head", sa.String(), nullable=True),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("picked_up_at", Moment(), nullable=True),
        sa.Column("due", Moment(), nullable=True),
        sa.Column("received_at", Moment(), nullable=True),
        sa.Column("arrived_at", Moment(), nullable=True),
        sa.Column("receipts", sa.JSON(), nullable=False),
        sa.Column("chain", sa.JSON(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("ix_consignment_carrier", "consignment", ["carrier"], unique=False)
    op.create_index("ix_consignment_state", "consignment", ["state"], unique=False)

    op.create_table(
        "data_set",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("media", sa.JSON(), nullable=False),
        sa.Column("least", sa.BigInteger(), nullable=True),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.Column("other_copies", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("spki", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("enrolled_at", Moment(), nullable=True),
        sa.Column("set_up", sa.Boolean(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_device_person", "device", ["person"], unique=False)

    op.create_table(
        "draft",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("waits_for", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_draft_by", "draft", ["by"], unique=False)
    op.create_index("ix_draft_waits_for", "draft", ["waits_for"], unique=False)

    op.create_table(
        "entry",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_table(
        "hand_off",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("consignment", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("giver", sa.String(), nullable=False),
        sa.Column("taker", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.Column("device_at", Moment(), nullable=True),
        sa.Column("giver_key", sa.String(), nullable=False),
        sa.Column("taker_key", sa.String(), nullable=False),
        sa.Column("giver_seen", sa.BigInteger(), nullable=False),
        sa.Column("taker_seen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("why", sa.JSON(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("receipt", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hand_off_consignment", "hand_off", ["consignment"], unique=False)

    op.create_table(
        "incident",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("consignment", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("opened_at", Moment(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("decisions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "incident_of",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("incident", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "link",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("expires", Moment(), nullable=True),
        sa.Column("used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_link_person", "link", ["person"], unique=False)

    op.create_table(
        "log",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("genesis", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("server_key", sa.String(), nullable=False),
        sa.Column("server_spki", sa.String(), nullable=False),
        sa.Column("founder", sa.String(), nullable=False),
        sa.Column("founder_key", sa.String(), nullable=False),
        sa.Column("set_up", sa.Boolean(), nullable=False),
        sa.Column("relaxed", sa.JSON(), nullable=False),
        sa.Column("last", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "medium",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("volser", sa.String(), nullable=True),
        sa.Column("form", sa.String(), nullable=True),
        sa.Column("prints", sa.Integer(), nullable=False),
        sa.Column("consignment", sa.String(), nullable=True),
        sa.Column("packing", sa.String(), nullable=True),
        sa.Column("missing", sa.Boolean(), nullable=False),
        sa.Column("sighted_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_medium_consignment", "medium", ["consignment"], unique=False)
    op.create_index("ix_medium_site", "medium", ["site"], unique=False)
    op.create_index("ix_medium_volser", "medium", ["volser"], unique=False)

    op.create_table(
        "mention",
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("subject", "seq"),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.String(96), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("scheduled", Moment(), nullable=True),
        sa.Column("matter", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("accepted_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notice_about", "notice", ["about"], unique=False)

    op.create_table(
        "organisation",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("until", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "outbox",
        sa.Column("notice", sa.String(96), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("not_before", Moment(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("notice"),
    )
    op.create_index("ix_outbox_message", "outbox", ["message"], unique=False)
    op.create_index("ix_outbox_not_before", "outbox", ["not_before"], unique=False)

    op.create_table(
        "packing",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("case", sa.String(), nullable=False),
        sa.Column("seal", sa.String(), nullable=False),
        sa.Column("media", sa.JSON(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_packing_case", "packing", ["case"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("grants", sa.JSON(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("invited_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_table(
        "private",
        sa.Column("commitment", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )
    op.create_table(
        "pulse",
        sa.Column("name", sa.String(24), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "route",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("origin_site", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("transit", sa.Integer(), nullable=False),
        sa.Column("ladder", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "successors",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("hand_offs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tile",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
    )
    op.create_table(
        "used_seal",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("packing", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "wrong_password",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_wrong_password_account", "wrong_password", ["account"], unique=False)
    op.create_index("ix_wrong_password_at", "wrong_password", ["at"], unique=False)
    for trigger in TRIGGERS[op.get_context().dialect.name].values():
        op.execute(trigger)
