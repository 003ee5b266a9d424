"""The triggers that let the ledger's tables only grow.

They stop mistakes, and code of ours that would do wrong; whoever owns the file can drop them. That is why
the book refuses to open without them, and why pins and witnesses are there.

`INSERT OR REPLACE` deletes without firing a DELETE trigger unless the connection asked for recursive
triggers, so what would be replaced is refused before the insert, too.
"""

from __future__ import annotations

from typing import Final

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


def _trigger(name: str, when: str, table: str, condition: str = "") -> str:
    condition = f" WHEN {condition}" if condition else ""
    return (
        f"CREATE TRIGGER {name} BEFORE {when} ON {table}{condition}"
        f" BEGIN SELECT RAISE(ABORT, 'append-only: {table}'); END"
    )


TRIGGERS: Final[dict[str, str]] = {
    f"{table}_{verb}": _trigger(f"{table}_{verb}", when, table, condition)
    for table, grows in _GROWS.items()
    for verb, when, condition in (
        ("only_grows", "INSERT", grows),
        ("keeps", "UPDATE", ""),
        ("loses_nothing", "DELETE", ""),
    )
}
"""Name to the SQL that makes it, as SQLite keeps it."""
