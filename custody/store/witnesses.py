"""What witnesses said of our checkpoints, and the newest checkpoint that the policy believes.

A hand-off never waits for a witness: its checkpoint is signed by the log at once, and cosigned when the
witness has been asked. Until then it is not *published*: files for auditors and mirrors stop at the newest
checkpoint that has its quorum.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Unreadable
from custody.ledger.note import Checkpoint, Note, Policy
from custody.store.book import Book, newest_note

_cosignature, _checkpoint = (SQLModel.metadata.tables[name] for name in ("cosignature", "checkpoint"))


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
        lines = _lines(connection, size)
        names = [name for name, _ in trust.witnesses if name in lines]
        if trust.satisfied(frozenset(names)):
            note = connection.scalar(sa.select(_checkpoint.c.note).where(_checkpoint.c.size == size))
            return f"{note}{''.join(lines[name] for name in names)}"
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


def cosigned(connection: sa.Connection, witness: str) -> int:
    """How many entries this witness has cosigned; 0 before its first time."""
    largest = sa.select(sa.func.max(_cosignature.c.size)).where(_cosignature.c.witness == witness)
    return int(connection.scalar(largest) or 0)


def _within_reach(connection: sa.Connection, trust: Policy) -> int:
    """No larger size has a quorum: too few have cosigned that far, however much the others have since."""
    reached = {name: cosigned(connection, name) for name, _ in trust.witnesses}
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


def _lines(connection: sa.Connection, size: int) -> dict[str, str]:
    rows = connection.execute(sa.select(_cosignature).where(_cosignature.c.size == size))
    return {row.witness: row.line for row in rows}
