"""${message}."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import custody.store.tables

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Forward. There is no way back: a ledger only grows."""
    ${upgrades if upgrades else "pass"}
