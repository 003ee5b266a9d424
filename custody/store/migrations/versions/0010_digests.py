"""What comes as a digest: for when the last was."""

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "digest",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    changed = "SELECT id FROM notice WHERE matter IN ('roles-changed', 'receiver-enrolled')"
    op.execute(sa.text(f"UPDATE outbox SET priority = 3 WHERE notice IN ({changed})"))  # noqa: S608 - as above
