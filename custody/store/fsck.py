"""The book against itself: entries to leaves, tiles and checkpoints, and the fold of them to every table.

An auditor judges what was exported; this judges what lies here. It finds a table that was edited, a tile or
a checkpoint that is not what the entries make, a text that was changed, a notice that was taken away. All of
it is read row by row, so that a longer book takes no more memory.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import audit
from custody.audit.notebook import Notebook
from custody.audit.reading import Reading, readings
from custody.audit.report import Report
from custody.errors import Refusal
from custody.facts import Difference, Received
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint, Opened
from custody.ledger.tiles import WIDTH, Tile, hash_tiles
from custody.rules.alarms import Notice
from custody.rules.people import Person
from custody.rules.world import Noun
from custody.store.accounts import addresses
from custody.store.book import Book
from custody.store.mentions import mentions
from custody.store.nouns import SHELVES, SPOILT, Shelf
from custody.store.private import CHANGED, commitment_of, shown
from custody.store.world import ASKED_AT_ONCE

_entry, _tile, _checkpoint, _mention, _private, _outbox = (
    SQLModel.metadata.tables[name] for name in ("entry", "tile", "checkpoint", "mention", "private", "outbox")
)

Tell = Callable[[int, int], None]
"""Told how many entries have been looked at, of how many: none while the tree is, which comes first."""
Rows = Iterator[sa.Row[Any]]
FETCHED: Final = 500
"""Rows in memory at once."""
PUT_OFF_MOST: Final = timedelta(minutes=10)
"""A notice is tried again after a minute at most, and whoever tries it has half a minute."""


class Wrong(NamedTuple):
    """A difference: where it is, which may be told, and a sentence, which may name people and media."""

    place: Difference
    words: str


def fsck(book: Book, tell: Tell = lambda _done, _of: None) -> list[Wrong]:
    """What is not as it must be; nothing where the book is whole. Changes nothing."""
    with book.read() as connection, contextlib.ExitStack() as queries:
        rows = _Rows(connection, queries)
        tree = _Tree(book, rows, tell)
        found = tree.wrong()
        if found:
            return found  # what is folded from these entries would only repeat it
        fold = _Fold(book, rows, Checkpoint(book.origin, tree.size, tree.root), tell)
        found = fold.wrong()
        if found:
            return found
        return [*_nouns(rows, fold.told), *fold.misled(), *_beside(book, rows, fold.told)]


class _Rows:
    """The rows of a query, some of them in memory at a time; `queries` ends what nobody reads to its end."""

    def __init__(self, connection: sa.Connection, queries: contextlib.ExitStack) -> None:
        self.connection = connection
        self._queries = queries

    def __call__(self, query: sa.Select[Any]) -> Rows:
        found = self.connection.execute(query, execution_options={"yield_per": FETCHED})
        return iter(self._queries.enter_context(found))


class _Tree:
    """Goes through the entries as bytes, and with them through tiles and checkpoints."""

    def __init__(self, book: Book, rows: _Rows, tell: Tell) -> None:
        self._book = book
        self._tell = tell
        self._count = int(rows.connection.scalar(sa.select(sa.func.count()).select_from(_entry)) or 0)
        self._rows = rows
        self._edge = Frontier()
        self._checkpoints = rows(sa.select(_checkpoint).order_by(_checkpoint.c.size))
        self._checkpoint = next(self._checkpoints, None)
        self._entries: list[Wrong] = []
        self._signed: list[Wrong] = []
        self._newest = 0

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._edge.size

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self._edge.root()

    def wrong(self) -> list[Wrong]:
        """What is not as the entries make it."""
        full = ((Tile.read(path), data) for path, data in hash_tiles(self._leaves()))
        tiles = [each for tile, data in full if tile.width == WIDTH for each in self._compare(tile, data)]
        while self._checkpoint is not None:
            self._check(b"")
        if self._newest != self.size:
            self._signed.append(
                Wrong(
                    "checkpoints",
                    f"The newest checkpoint is of {self._newest:,} entries, and {self.size:,} are here.",
                )
            )
        return [*self._entries, *tiles, *self._too_many(), *self._signed]

    def _leaves(self) -> Iterator[bytes]:
        query = sa.select(_entry.c.seq, _entry.c.leaf_hash, _entry.c.data).order_by(_entry.c.seq)
        wanted = 0
        for index, row in enumerate(self._rows(query)):
            if index % WIDTH == 0:
                self._tell(0, self._count)
            if row.seq != wanted:
                self._entries.append(
                    Wrong("entries", f"Entry {wanted} is missing: the next one is numbered {row.seq}.")
                )
            wanted = row.seq + 1
            leaf = leaf_hash(row.data)
            if row.leaf_hash != leaf:
                self._entries.append(
                    Wrong("entries", f"Entry {row.seq} is not the one whose hash stands beside it.")
                )
            while self._checkpoint is not None and self._checkpoint.size <= index:
                self._check(b"")
            self._edge.add(leaf)
            while self._checkpoint is not None and self._checkpoint.size == index + 1:
                self._check(self._edge.root())
            yield leaf

    def _compare(self, tile: Tile, data: bytes) -> Iterator[Wrong]:
        query = sa.select(_tile).where(_tile.c.level == tile.level, _tile.c.number == tile.number)
        row = self._rows.connection.execute(query).first()
        hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
        if row is None or (row.hashes, row.root) != (data, perfect_root(hashes)):
            yield _other(tile.level, tile.number)

    def _too_many(self) -> Iterator[Wrong]:
        for row in self._rows(sa.select(_tile.c.level, _tile.c.number)):
            if not 0 <= row.number < self.size // WIDTH ** (row.level + 1):
                yield _other(row.level, row.number)

    def _check(self, root: bytes) -> None:
        """The next checkpoint is signed by the log, over the entries that it says, whose root this is."""
        row: Any = self._checkpoint
        self._checkpoint = next(self._checkpoints, None)
        self._newest = row.size
        expected = Checkpoint(self._book.origin, row.size, root)
        try:
            signed = self._book.signed(row.note.encode())
            holds = signed and Checkpoint.of(row.note) == expected and row.root == root
        except Refusal:
            holds = False
        if not holds:
            self._signed.append(
                Wrong(
                    "checkpoints",
                    f"The checkpoint of {row.size:,} entries is not the log's over the entries here.",
                )
            )


def _other(level: int | None, number: int) -> Wrong:
    return Wrong("tiles", f"Tile {number} of level {level} is not the one that the entries make.")


class _Fold:
    """Goes through the entries as statements, and with them through the index of histories.

    `told` is the world that they tell.
    """

    def __init__(self, book: Book, rows: _Rows, tree: Checkpoint, tell: Tell) -> None:
        self.told = Notebook()
        self._rows = rows
        self._size = tree.size
        self._tell = tell
        self._history = audit.History(
            Report(size=tree.size, world=self.told), Opened(tree, (str(book.keys.log.verifier),), ())
        )
        self._beside: deque[tuple[str, set[str]]] = deque()
        self._misled: list[tuple[str, int]] = []
        self._sizes = rows(sa.select(_checkpoint.c.size).order_by(_checkpoint.c.size))
        self._signed = next(self._sizes, None)

    def wrong(self) -> list[Wrong]:
        """The entries that stand under a wrong id, or else what an audit of them says."""
        found: list[Wrong] = []
        helped = self._size >= audit.HELPED
        try:
            with contextlib.closing(readings(self._entries(), self._history.keys, helped=helped)) as ahead:
                for entry, reading in ahead:
                    found += self._compare(reading)
                    self._history.add(entry, reading)
            self._history.close()
        except audit.Failed as verdict:
            return [
                *found,
                Wrong("entries", f"Entry {verdict.entry} breaks step {verdict.step} of an audit: {verdict}"),
            ]
        return found

    def _entries(self) -> Iterator[bytes]:
        """The entries' bytes; what stands beside each waits until it has been read, which is ahead."""
        here = _mention.c.seq.between(0, self._size - 1)
        index = self._rows(sa.select(_mention).where(here).order_by(_mention.c.seq))
        groups = groupby(index, key=lambda row: int(row.seq))
        place, group = next(groups, (self._size, iter(())))
        query = sa.select(_entry.c.event_id, _entry.c.data).order_by(_entry.c.seq)
        for seq, entry in enumerate(self._rows(query)):
            subjects = set()
            if place == seq:
                subjects = {row.subject for row in group}
                place, group = next(groups, (self._size, iter(())))
            self._beside.append((entry.event_id, subjects))
            yield entry.data

    def _compare(self, reading: Reading) -> Iterator[Wrong]:
        """What stands beside the next entry and is not what it says."""
        index = self._history.index
        if index % WIDTH == 0:
            self._tell(index, self._size)
        event, subjects = self._beside.popleft()
        if reading.statement is not None:
            if event != reading.event:
                yield Wrong("entries", f"Entry {index} stands under another event's id.")
            if isinstance(reading.statement.fact, Received):
                yield from self._ends(index + 1)
            odd = subjects ^ mentions(reading.statement.fact)
            self._misled += ((subject, index) for subject in odd)

    def _ends(self, size: int) -> Iterator[Wrong]:
        """A transaction ends here: the next checkpoint is over so many entries."""
        while self._signed is not None and self._signed.size < size:
            yield Wrong(
                "checkpoints", f"The checkpoint of {self._signed.size:,} entries ends no transaction."
            )
            self._signed = next(self._sizes, None)
        if self._signed is None or self._signed.size > size:
            yield Wrong("checkpoints", f"The checkpoint of {size:,} entries is missing.")
        else:
            self._signed = next(self._sizes, None)

    def misled(self) -> Iterator[Wrong]:
        """What the index of histories has too many or lacks."""
        nowhere = sa.not_(_mention.c.seq.between(0, self._size - 1))
        strays = self._rows(sa.select(_mention).where(nowhere))
        for subject, seq in sorted([*self._misled, *((row.subject, row.seq) for row in strays)]):
            yield Wrong(
                "histories", f"The history of {subject} has entry {seq} where it should not, or lacks it."
            )


def _nouns(rows: _Rows, told: Notebook) -> Iterator[Wrong]:
    """The rows that are not what the ledger says, and the nouns that have no row."""
    for kind, shelf in SHELVES.items():
        known = 0
        for name, held in _held(rows, shelf):
            noun = told.find(kind, name)
            known += held is not None and noun is not None
            if held is None or noun != held:
                yield _not_told(name, shelf.table)
        if known < told.count(kind):
            for name in _absent(rows, shelf.table.c.id, (noun.id for noun in told.all(kind))):
                yield _not_told(name, shelf.table)


def _held(rows: _Rows, shelf: Shelf) -> Iterator[tuple[str, Noun | None]]:
    """The name in each row, and its noun; None where what is in the row, or its name, is none."""
    names = iter(rows(sa.select(sa.type_coerce(shelf.table.c.id, sa.types.NullType()).label("id"))))
    while some := [row.id for row in islice(names, ASKED_AT_ONCE)]:
        try:
            found = _read(rows, shelf, some)
        except SPOILT:
            found = dict(pair for name in some for pair in _readable(rows, shelf, name))
        for name in some:
            yield str(name), found.get(name)


def _read(rows: _Rows, shelf: Shelf, names: list[Any]) -> dict[Any, Noun]:
    return {row.id: shelf.noun(row) for row in rows.connection.execute(shelf.some, {"names": names})}


def _readable(rows: _Rows, shelf: Shelf, name: Any) -> Iterable[tuple[Any, Noun]]:
    try:
        return _read(rows, shelf, [name]).items()
    except SPOILT:
        return ()


def _not_told(name: str, table: sa.Table) -> Wrong:
    return Wrong("tables", f"{name} in the table {table.name} is not what the ledger says of it.")


def _beside(book: Book, rows: _Rows, told: Notebook) -> Iterator[Wrong]:
    """What follows from the ledger and is no noun: the texts, what waits to be sent."""
    for row in rows(sa.select(_private)):
        if commitment_of(row.salt, row.text) != row.commitment:
            yield Wrong(
                "texts",
                f"The text under {row.commitment[:12]} was changed: the ledger commits to another one.",
            )
    odd, latest = [], book.now() + PUT_OFF_MOST * book.pace
    for row in rows(sa.select(_outbox)):
        notice = told.find(Notice, row.notice)
        if notice is None or notice.accepted_at is not None:
            odd.append(row.notice)
        elif (row.person, row.channel) != (notice.person, notice.channel):
            yield Wrong(
                "outbox", f"The notice {row.notice} is addressed to another in the outbox than in the ledger."
            )
        elif max(row.not_before, row.lease or row.not_before) > latest:
            yield Wrong(
                "outbox", f"The notice {row.notice} is put off in the outbox for longer than any attempt is."
            )
    yield from _addresses(rows.connection, told)
    waiting = (notice.id for notice in told.all(Notice) if notice.accepted_at is None)
    for name in sorted([*odd, *_absent(rows, _outbox.c.notice, waiting)]):
        yield Wrong(
            "outbox", f"The notice {name} is to be sent and is not in the outbox, or is there without need."
        )


def _addresses(connection: sa.Connection, told: Notebook) -> Iterator[Wrong]:
    """Alerts go to what the ledger commits to, and links to what the account says."""
    accounts = addresses(connection)
    for person in told.all(Person):
        text = shown(connection, person.contact)
        if text is None and person.grants:
            yield Wrong("texts", f"The address of {person.id} is gone: no alert reaches them.")
        if text not in (None, CHANGED) and accounts.get(person.id, text).lower() != text.lower():
            yield Wrong(
                "texts", f"The account of {person.id} has another address than the ledger commits to."
            )


def _absent(rows: _Rows, column: sa.Column[Any], names: Iterable[str]) -> Iterator[str]:
    """Those of the names that the column has not."""
    rest = iter(names)
    while some := list(islice(rest, ASKED_AT_ONCE)):
        there = set(rows.connection.scalars(sa.select(column).where(column.in_(some))))
        yield from (name for name in some if name not in there)
