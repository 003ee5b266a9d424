"""A comparison of the book with its ledger has its event's id, and no longer the day's."""

import base64
import json

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Forward. What was compared before is in the ledger, and is read from there."""
    op.drop_table("self_audit")
    op.create_table(
        "self_audit",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("first", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    table = sa.table("self_audit", *map(sa.column, ("id", "at", "differences", "first")))
    if rows := _told(op.get_bind()):
        op.bulk_insert(table, rows)


def _told(connection: sa.Connection) -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    fresh: list[dict[str, object]] = []
    for event, data in connection.execute(sa.text("SELECT event_id, data FROM entry ORDER BY seq")):
        statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
        kind, fact = statement["predicateType"].split("/")[-2], statement["predicate"]
        if kind == "self-audited":
            fresh.append({"id": event, "differences": fact["differences"], "first": fact.get("first")})
        elif kind == "received":
            told += [{**each, "at": fact["at"]} for each in fresh]
            fresh = []
    return told
