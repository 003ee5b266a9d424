"""What people call a case and a seal: K-7, S-12, in the order of their registration."""

import base64
import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

LETTERS = {"case": "K", "seal": "S"}


def upgrade() -> None:
    """Forward. Cases and seals that are on the books get the number that the ledger's order gives them."""
    op.add_column("medium", sa.Column("short", sa.String(12), nullable=True))
    op.create_index("ix_medium_short", "medium", ["short"], unique=False)
    op.create_table(
        "tally",
        sa.Column("id", sa.String(8), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    counts, named = dict.fromkeys(LETTERS, 0), []
    entries = sa.text("SELECT data FROM entry ORDER BY seq").execution_options(yield_per=1000)
    for (data,) in connection.execute(entries):
        for name, what in _registered(bytes(data)):
            counts[what] += 1
            named.append({"name": name, "short": f"{LETTERS[what]}-{counts[what]}"})
    if named:
        connection.execute(sa.text("UPDATE medium SET short = :short WHERE id = :name"), named)
    if tallies := [{"what": what, "last": last} for what, last in counts.items() if last]:
        connection.execute(sa.text("INSERT INTO tally VALUES (:what, :last)"), tallies)


def _registered(entry: bytes) -> list[tuple[str, str]]:
    """The cases and seals that an entry registers, in its order: ids, and which they are."""
    statement = json.loads(base64.b64decode(json.loads(entry)["payload"]))
    if not statement["predicateType"].endswith("/registered/v1"):
        return []
    return [(item["id"], item["what"]) for item in statement["predicate"]["items"] if item["what"] in LETTERS]
