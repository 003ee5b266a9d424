"""The book against itself: entries to leaves, tiles and checkpoints, and the fold of them to every table.

An auditor judges what was exported; this judges what lies here. It finds a table that was edited, a tile or
a checkpoint that is not what the entries make, a text that was changed, a notice that was taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import audit
from custody.errors import Refusal, Unreadable
from custody.facts import Statement
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint, Opened
from custody.ledger.tiles import WIDTH
from custody.rules.alarms import Notice
from custody.rules.world import World
from custody.store.book import Book
from custody.store.mentions import mentions
from custody.store.nouns import SHELVES
from custody.store.private import commitment_of
from custody.store.world import BookWorld

_entry, _tile, _checkpoint, _mention, _private, _outbox = (
    SQLModel.metadata.tables[name] for name in ("entry", "tile", "checkpoint", "mention", "private", "outbox")
)

Tell = Callable[[int, int], None]
"""Told how many entries have been looked at, of how many."""


def fsck(book: Book, tell: Tell = lambda _done, _of: None) -> list[str]:
    """What is not as it must be, a sentence each; nothing where the book is whole. Changes nothing."""
    with book.read() as connection:
        entries = _Entries(connection, tell)
        found = [
            *entries.wrong,
            *_tiles(connection, entries.leaves),
            *_checkpoints(book, connection, entries),
        ]
        if found:
            return found  # what is folded from these entries would only repeat it
        report = audit.fold(entries.data, Opened(entries.tree(), (str(book.keys.log.verifier),), ()))
        if not report.sound:
            return [f"Entry {report.entry} breaks step {report.failed} of an audit: {report.why}"]
        return [*_nouns(connection, report.world), *_beside(connection, entries, report.world)]


class _Entries:
    """The entries in their order, what is wrong with their rows, and what they mention."""

    def __init__(self, connection: sa.Connection, tell: Tell) -> None:
        self.data: list[bytes] = []
        self.leaves: list[bytes] = []
        self.roots: dict[int, bytes] = {}
        self.mentions: set[tuple[str, int]] = set()
        self.wrong: list[str] = []
        count = int(connection.scalar(sa.select(sa.func.count()).select_from(_entry)) or 0)
        frontier = Frontier()
        for index, row in enumerate(connection.execute(sa.select(_entry).order_by(_entry.c.seq))):
            self.wrong += self._take(index, row)
            frontier.add(leaf_hash(row.data))
            self.data.append(row.data)
            self.leaves.append(leaf_hash(row.data))
            self.roots[index + 1] = frontier.root()
            if index % WIDTH == 0:
                tell(index, count)

    def _take(self, index: int, row: sa.Row[tuple[object, ...]]) -> Iterator[str]:
        if row.seq != index:
            yield f"Entry {index} is missing: the next one is numbered {row.seq}."
        if row.leaf_hash != leaf_hash(row.data):
            yield f"Entry {row.seq} is not the one whose hash stands beside it."
        try:
            payload = Envelope.read(row.data).payload
            if row.event_id != event_id(payload):
                yield f"Entry {row.seq} stands under another event's id."
            self.mentions |= {(subject, row.seq) for subject in mentions(Statement.read(payload).fact)}
        except Unreadable as problem:
            yield f"Entry {row.seq} cannot be read: {problem}"

    def tree(self) -> Checkpoint:
        size = len(self.data)
        return Checkpoint("", size, self.roots.get(size, b""))


def _tiles(connection: sa.Connection, leaves: list[bytes]) -> Iterator[str]:
    """The stored tiles are the full ones, all of them, and what the leaves make them."""
    wanted: dict[tuple[int, int], tuple[bytes, bytes]] = {}
    level, row = 0, leaves
    while len(row) >= WIDTH:
        full = [row[start : start + WIDTH] for start in range(0, len(row) - WIDTH + 1, WIDTH)]
        roots = [perfect_root(tile) for tile in full]
        wanted |= {(level, n): (roots[n], b"".join(tile)) for n, tile in enumerate(full)}
        level, row = level + 1, roots
    there = {(r.level, r.number): (r.root, r.hashes) for r in connection.execute(sa.select(_tile))}
    for name in sorted(wanted.keys() | there.keys()):
        if there.get(name) != wanted.get(name):
            yield f"Tile {name[1]} of level {name[0]} is not the one that the entries make."


def _checkpoints(book: Book, connection: sa.Connection, entries: _Entries) -> Iterator[str]:
    """Each is signed by the log, over the entries that it says; the newest is over all of them."""
    newest = 0
    for row in connection.execute(sa.select(_checkpoint).order_by(_checkpoint.c.size)):
        newest = row.size
        expected = Checkpoint(book.origin, row.size, entries.roots.get(row.size, b""))
        try:
            holds = book.signed(row.note.encode()) and Checkpoint.of(row.note) == expected == Checkpoint(
                book.origin, row.size, row.root
            )
        except Refusal:
            holds = False
        if not holds:
            yield f"The checkpoint of {row.size:,} entries is not the log's over the entries here."
    if newest != len(entries.data):
        yield f"The newest checkpoint is of {newest:,} entries, and {len(entries.data):,} are here."


def _nouns(connection: sa.Connection, told: World) -> Iterator[str]:
    held = BookWorld(connection)
    for kind, shelf in SHELVES.items():
        ours = {noun.id: noun for noun in told.all(kind)}
        theirs = {noun.id: noun for noun in held.all(kind)}
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                yield f"{name} in the table {shelf.table.name} is not what the ledger says of it."


def _beside(connection: sa.Connection, entries: _Entries, told: World) -> Iterator[str]:
    """What follows from the ledger and is no noun: the index, the texts, what waits to be sent."""
    index = {(row.subject, row.seq) for row in connection.execute(sa.select(_mention))}
    for subject, seq in sorted(index ^ entries.mentions):
        yield f"The history of {subject} has entry {seq} where it should not, or lacks it."
    for row in connection.execute(sa.select(_private)):
        if commitment_of(row.salt, row.text) != row.commitment:
            yield f"The text under {row.commitment[:12]} was changed: the ledger commits to another one."
    waiting = {notice.id for notice in told.all(Notice) if notice.accepted_at is None}
    for notice in sorted(waiting ^ set(connection.scalars(sa.select(_outbox.c.notice)))):
        yield f"The notice {notice} is to be sent and is not in the outbox, or is there without need."
