"""What a message waits for: since when, and since when its mailbox refuses."""

import sqlalchemy as sa
from alembic import op

from custody.store.tables import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward."""
    for name in ("set_at", "refused_at"):
        op.add_column("outbox", sa.Column(name, Moment(), nullable=True))
    op.create_index("ix_outbox_person", "outbox", ["person"])
    op.create_index("ix_outbox_set_at", "outbox", ["set_at"])
    op.drop_index("ix_notice_about", "notice")
    op.create_index("ix_notice_about_scheduled", "notice", ["about", "scheduled"])
