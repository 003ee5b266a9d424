"""An audience of any size: an alarm's rung that is told in several parts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Forward."""
    op.add_column("alarm", sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
