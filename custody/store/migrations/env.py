"""Alembic's entry: migrates over the connection that it is handed, or autogenerates against one."""

from alembic import context
from sqlmodel import SQLModel

import custody.store.tables  # noqa: F401 - defines the tables


def _migrate() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=False,
    )
    with context.begin_transaction():
        context.run_migrations()


_migrate()
