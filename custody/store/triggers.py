"""The triggers that let the ledger's tables only grow.

They stop mistakes, and code of ours that would do wrong; whoever owns the file or the tables can drop them.
That is why the book refuses to open without them, and why pins and witnesses are there.

On SQLite `INSERT OR REPLACE` deletes without firing a DELETE trigger unless the connection asked for
recursive triggers, so what would be replaced is refused before the insert, too. On PostgreSQL they fire
ALWAYS, for a replica's session as well; and those against changes once a statement, whether it finds a row
or not.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

_GROWS: Final = {
    "entry": (
        "NEW.seq <> (SELECT COALESCE(MAX(seq) + 1, 0) FROM entry)"
        " OR EXISTS (SELECT 1 FROM entry WHERE event_id = NEW.event_id)"
    ),
    "tile": "NEW.number <> (SELECT COALESCE(MAX(number) + 1, 0) FROM tile WHERE level = NEW.level)",
    "checkpoint": (
        "NEW.size <= (SELECT COALESCE(MAX(size), 0) FROM checkpoint)"
        " OR NEW.size <> (SELECT COALESCE(MAX(seq) + 1, 0) FROM entry)"
    ),
}


def _sqlite(table: str, verb: str, when: str, condition: str = "") -> str:
    condition = f" WHEN {condition}" if condition else ""
    return (
        f"CREATE TRIGGER {table}_{verb} BEFORE {when} ON {table}{condition}"
        f" BEGIN SELECT RAISE(ABORT, 'append-only: {table}'); END"
    )


def _postgresql(table: str, verb: str, when: str, condition: str = "") -> str:
    name, each = f"{table}_{verb}", "ROW" if condition else "STATEMENT"
    refusal = f"RAISE EXCEPTION 'append-only: {table}' USING ERRCODE = 'restrict_violation';"
    body = f"IF {condition} IS NOT FALSE THEN {refusal} END IF; RETURN NEW;" if condition else refusal
    return (
        f"CREATE OR REPLACE FUNCTION public.{name}()\n RETURNS trigger\n LANGUAGE plpgsql\n"
        f"AS $function$ BEGIN {body} END $function$\n;\n"
        f"CREATE TRIGGER {name} BEFORE {when} ON public.{table} FOR EACH {each} EXECUTE FUNCTION {name}();\n"
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"
    )


TRIGGERS: Final[dict[str, dict[str, str]]] = {
    "sqlite": {
        f"{table}_{verb}": _sqlite(table, verb, when, condition)
        for table, grows in _GROWS.items()
        for verb, when, condition in (
            ("only_grows", "INSERT", grows),
            ("keeps", "UPDATE", ""),
            ("loses_nothing", "DELETE", ""),
        )
    },
    "postgresql": {
        f"{table}_{verb}": _postgresql(table, verb, when, condition)
        for table, grows in _GROWS.items()
        for verb, when, condition in (
            ("only_grows", "INSERT", f"({grows})"),
            ("keeps", "DELETE OR UPDATE OR TRUNCATE", ""),
        )
    },
}
"""By database: name to the SQL that makes it, as that database keeps it."""

_PRESENT: Final = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": """
        SELECT tgname AS name, pg_get_functiondef(tgfoid) || E';\n' || pg_get_triggerdef(t.oid) || E';\n'
            || CASE tgenabled WHEN 'A' THEN format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', relname, tgname)
               ELSE tgenabled::text END AS sql
            FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
            WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace
        UNION ALL SELECT rulename, definition FROM pg_rules WHERE schemaname = 'public'
        UNION ALL SELECT 'row security of ' || relname, 'rows that are hidden' FROM pg_class
            WHERE relrowsecurity AND relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'rows under ' || inhparent::regclass, inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relkind = 'r')
    """,
}
"""What there is; in PostgreSQL also what acts like a trigger, or lets rows be seen that none has met."""


def present(connection: sa.Connection) -> dict[str, str]:
    """The triggers of this database as `TRIGGERS` has them, and those that are not ours."""
    rows = connection.execute(sa.text(_PRESENT[connection.dialect.name]))
    return {row.name: row.sql for row in rows}
