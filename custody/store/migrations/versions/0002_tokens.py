"""Tokens with which witnesses and mirrors read the log."""

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "token",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("digest"),
    )
