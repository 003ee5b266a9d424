"""What the servers' role may do in PostgreSQL, and no more: the ledger's tables are read and added to.

The tables belong to whoever owns the database, a role that nobody signs in as; `custody init` and `custody db
upgrade` take on its rights and give the servers' role what stands here. A server looks at what its own role
could do before it opens the book, and does not run with one that could change the ledger.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from custody.errors import Untrusted
from custody.store.nouns import SHELVES

LEDGER: Final = ("entry", "tile", "checkpoint")
GRANTS: Final[dict[str, str]] = {
    **dict.fromkeys(LEDGER, "SELECT, INSERT"),
    **{shelf.table.name: "SELECT, INSERT, UPDATE" for shelf in SHELVES.values()},
    **dict.fromkeys(("mention", "private"), "SELECT, INSERT"),
    **dict.fromkeys(("account", "digest", "pulse", "token"), "SELECT, INSERT, UPDATE"),
    **dict.fromkeys(("cosignature", "draft", "wrong_password"), "SELECT, INSERT, DELETE"),
    **dict.fromkeys(("link", "outbox"), "SELECT, INSERT, UPDATE, DELETE"),
    "alembic_version": "SELECT",
}
"""Table to what the servers do with it."""

_TOO_MUCH: Final = """
    WITH r AS (SELECT * FROM pg_roles WHERE pg_has_role(CAST(:role AS name), oid, 'MEMBER')),
        t AS (SELECT oid, relname, relowner, relname IN ('entry', 'tile', 'checkpoint') AS ledger
              FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')),
        d AS (SELECT * FROM pg_database WHERE datname = current_database())
    SELECT 'do anything: it is a superuser, or a member of one' FROM r WHERE rolsuper
    UNION ALL SELECT 'make itself a member of other roles (CREATEROLE)' FROM r WHERE rolcreaterole
    UNION ALL SELECT 'change the database, which is its own' FROM d JOIN r ON r.oid = datdba
    UNION ALL SELECT 'change the table ' || relname || ', which is its own' FROM t JOIN r ON r.oid = relowner
    UNION ALL SELECT lower(what) || ' rows of ' || relname
        FROM r, t, unnest(ARRAY['UPDATE', 'DELETE']) what WHERE ledger
        AND (has_table_privilege(r.oid, t.oid, what)
            OR what = 'UPDATE' AND has_any_column_privilege(r.oid, t.oid, what))
    UNION ALL SELECT CASE what WHEN 'TRUNCATE' THEN 'empty ' ELSE 'put a trigger on ' END || relname
        FROM r, t, unnest(ARRAY['TRUNCATE', 'TRIGGER']) what WHERE has_table_privilege(r.oid, t.oid, what)
    UNION ALL SELECT 'make tables and functions' FROM r WHERE has_schema_privilege(oid, 'public', 'CREATE')
        OR has_database_privilege(oid, current_database(), 'CREATE')
        OR has_database_privilege(oid, current_database(), 'TEMP')
    UNION ALL SELECT 'switch triggers off for its session'
        FROM r WHERE has_parameter_privilege(oid, 'session_replication_role', 'SET')
    UNION ALL SELECT 'write the server''s files (' || rolname || ')' FROM r
        WHERE rolname IN ('pg_write_server_files', 'pg_execute_server_program')
    LIMIT 1
"""
"""Of every role that it is a member of: SET ROLE gives it the rights that it does not inherit."""


def grant(connection: sa.Connection, role: str) -> None:
    """Gives the servers' role what it needs, and takes from everybody what PostgreSQL gives to everybody.

    The connection has the owner's rights.
    """
    name = connection.dialect.identifier_preparer.quote
    for table, what in GRANTS.items():
        connection.execute(sa.text(f"REVOKE ALL ON {name(table)} FROM PUBLIC, {name(role)}"))
        connection.execute(sa.text(f"GRANT {what} ON {name(table)} TO {name(role)}"))
    connection.execute(sa.text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name(role)}"))
    database = connection.scalar(sa.text("SELECT current_database()"))
    connection.execute(sa.text(f"REVOKE TEMPORARY ON DATABASE {name(str(database))} FROM PUBLIC"))


def check(connection: sa.Connection, role: str | None = None) -> None:
    """Untrusted where this role, or else this connection's, could do more to the ledger than add to it."""
    role = role or connection.scalar(sa.text("SELECT session_user"))
    could = connection.scalar(sa.text(_TOO_MUCH), {"role": role})
    if could is not None:
        raise Untrusted(
            f"The role {role} could {could}. A server runs with a role that can only add to the ledger: make"
            " one (docs/postgresql.md), and give it its rights with `custody db upgrade --owner URL`."
        )


def check_owner(connection: sa.Connection) -> None:
    """Untrusted unless the database suits a book, and this connection has the rights of its owner.

    The owner is a role that nobody signs in as: who could, could change the ledger.
    """
    row = connection.execute(
        sa.text(
            "SELECT rolname, rolcanlogin, current_user = rolname AS ours, 'a' < 'B' AS folds,"
            " current_setting('server_encoding') AS encoding,"
            " current_setting('server_version_num')::int AS version"
            " FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE datname = current_database()"
        )
    ).one()
    if row.version < 150000:
        raise Untrusted("A book needs PostgreSQL 15 or newer.")
    if row.rolcanlogin:
        raise Untrusted(
            f"The database belongs to {row.rolname}, as whom one can sign in. Give it to a role without"
            " login: CREATE ROLE custody_owner NOLOGIN; ALTER DATABASE ... OWNER TO custody_owner"
        )
    if not row.ours:
        raise Untrusted(f"The address given with --owner has not the rights of {row.rolname}.")
    if row.folds or row.encoding != "UTF8":
        raise Untrusted(
            "The database sorts by a language, or is not in UTF-8; then a library of the system decides what"
            " its indexes find. Make it so: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        )
