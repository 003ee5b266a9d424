"""What witnesses said of our checkpoints, and the newest checkpoint that the policy believes.

A hand-off never waits for a witness: its checkpoint is signed by the log at once, and cosigned when the
witness has been asked. Until then it is not *published*: files for auditors and mirrors stop at the newest
checkpoint that has its quorum.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Unreadable
from custody.ledger.note import Checkpoint, Note, Policy, VerifierKey
from custody.ledger.witness import cosignatures
from custody.store.book import Book, newest_note

_cosignature, _checkpoint = (SQLModel.metadata.tables[name] for name in ("cosignature", "checkpoint"))
_UNDER: Final = sa.select(_cosignature, _checkpoint.c.note).join(
    _checkpoint, _checkpoint.c.size == _cosignature.c.size
)
"""Each line that is kept, with the checkpoint that it is said to stand under."""


def published(book: Book, connection: sa.Connection, covering: int = 0) -> str:
    """The newest note that the policy believes, with its cosignatures, of at least `covering` entries.

    Where there is none, the newest as the log signed it: the policy will say what it lacks.
    """
    trust = book.trust
    newest = newest_note(connection)
    size: int | None = Checkpoint.of(newest).size
    if not trust.satisfied(frozenset()):
        size = _below(connection, covering, _within_reach(connection, trust))
    while size is not None:
        rows = connection.execute(_UNDER.where(_cosignature.c.size == size)).all()
        found = {row.witness: row for row in rows}
        held = [found[name] for name, key in trust.witnesses if name in found and holds(key, found[name])]
        if held and trust.satisfied(frozenset(row.witness for row in held)):
            return f"{held[0].note}{''.join(row.line for row in held)}"
        size = _below(connection, covering, size - 1)
    return newest


def lacking(book: Book, note: bytes) -> str:
    """What to tell who wrote down this log up to this note, where that is not all; empty where it is."""
    size, there = Checkpoint.of(note).size, Checkpoint.of(book.checkpoint()).size
    try:
        book.trust.open(note)
    except Unreadable as problem:
        return f"{problem} An auditor with this policy refuses it. `custody log publish` asks the witnesses."
    if size < there:
        return (
            f"It ends at {size:,} of {there:,} entries: what came later has not been cosigned yet by whom the"
            " policy wants. `custody log publish` asks the witnesses."
        )
    return ""


def take_over(book: Book, note: bytes) -> None:
    """Keeps the lines of the policy's witnesses under a note of this book that the policy has opened."""
    read = Note.read(note)
    for name, key in book.trust.witnesses:
        for line in read.signatures:
            if (line.name, line.key_id) == (key.name, key.id):
                keep(book, Checkpoint.read(read.text).size, name, str(line))


def keep(book: Book, size: int, witness: str, line: str) -> None:
    """Keeps a witness's verified line under the checkpoint of this size; a newer one takes its place."""
    here = sa.and_(_cosignature.c.size == size, _cosignature.c.witness == witness)
    with book.writing() as connection:
        connection.execute(sa.delete(_cosignature).where(here))
        row = {"size": size, "witness": witness, "line": line, "at": book.clock()}
        connection.execute(sa.insert(_cosignature).values(**row))


def cosigned(connection: sa.Connection, witness: str, key: VerifierKey) -> int:
    """How many entries this witness has cosigned; 0 before its first time.

    What stands under none of our checkpoints, or does not hold, is none of its lines.
    """
    mine = _UNDER.where(_cosignature.c.witness == witness).order_by(_cosignature.c.size.desc())
    with connection.execute(mine, execution_options={"yield_per": 1}) as rows:
        return next((int(row.size) for row in rows if holds(key, row)), 0)


def holds(key: VerifierKey, row: Any) -> bool:
    """Whether the `line` of a row is this key's under the `note`, and nothing else."""
    if not isinstance(row.line, str) or not isinstance(row.note, str):
        return False
    try:
        found = cosignatures(row.line.encode(), Note.read(row.note.encode()).text, [key])
    except (Unreadable, UnicodeEncodeError):
        return False
    return [str(line) for line in found] == [row.line]


def of_another(key: VerifierKey, row: Any) -> bool:
    """Whether the `line` of a row is another key's: of a witness whose place this one has taken."""
    try:
        lines = Note.read(f"{Note.read(row.note.encode()).text}\n{row.line}".encode()).signatures
    except (Unreadable, UnicodeEncodeError):
        return False
    return all((line.name, line.key_id) != (key.name, key.id) for line in lines)


def _within_reach(connection: sa.Connection, trust: Policy) -> int:
    """No larger size has a quorum: too few have cosigned that far, however much the others have since."""
    reached = {name: cosigned(connection, name, key) for name, key in trust.witnesses}
    return max(
        (
            size
            for size in reached.values()
            if trust.satisfied(frozenset(name for name, own in reached.items() if own >= size))
        ),
        default=0,
    )


def _below(connection: sa.Connection, least: int, most: int) -> int | None:
    """The largest size between these that anybody has cosigned."""
    between = _cosignature.c.size.between(least, most)
    found: int | None = connection.scalar(sa.select(sa.func.max(_cosignature.c.size)).where(between))
    return found
