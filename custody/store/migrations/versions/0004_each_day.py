"""What is done each day: a checkpoint that is told, and a comparison of the book with itself."""

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "pin",
        sa.Column("id", sa.String(10), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "self_audit",
        sa.Column("id", sa.String(10), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("first", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
