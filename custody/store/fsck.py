"""The book against itself: entries to leaves, tiles and checkpoints, and the fold of them to every table.

An auditor judges what was exported; this judges what lies here. It finds a table that was edited, a tile or
a checkpoint that is not what the entries make, a text that was changed, a notice that was taken away. All of
it is read row by row, so that a longer book takes no more memory; and as it lies there, so that a value which
is none of its column's kind is one more difference, and hides no other.

What the entries tell is kept, and read on as more come (`Ledger`): so `look` says within a moment, asking no
table what should be in it, whether somebody is not told who must be.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import audit
from custody.audit.notebook import Notebook
from custody.audit.reading import Reading, readings
from custody.audit.report import Report
from custody.errors import Refusal
from custody.facts import Received
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint, Opened
from custody.ledger.tiles import WIDTH, Tile, hash_tiles
from custody.rules.alarms import Alarm, Notice
from custody.rules.daily import Pin, SelfAudit
from custody.rules.history import FEW
from custody.rules.notices import digest_of, told_within
from custody.rules.people import Person
from custody.rules.world import Noun
from custody.store.book import Book
from custody.store.mentions import mentions
from custody.store.nouns import SHELVES, Shelf
from custody.store.outbox import REFUSED_MOST
from custody.store.private import commitment_of
from custody.store.rows import Found, Rows, Wrong, is_text, shown
from custody.store.witnesses import holds, of_another
from custody.store.world import ASKED_AT_ONCE
from custody.strict import json_bytes, read_time, time_text

_tables = SQLModel.metadata.tables
_entry, _tile, _checkpoint, _mention = (_tables[name] for name in ("entry", "tile", "checkpoint", "mention"))
_private, _outbox, _account, _cosignature = (
    _tables[name] for name in ("private", "outbox", "account", "cosignature")
)
_APART: Final = ("cosignature", "digest", "draft", "pulse", "link", "token", "wrong_password")
"""Of these nothing stands in the ledger; they can be read, or not."""
_FEW: Final = (*FEW, Pin, SelfAudit)
"""Kinds of which there are few, and by which it is told who people are and what was done each day."""
_MESSAGE: Final = re.compile(r"<[0-9a-f]{32}@[^<>\s]+>")

Tell = Callable[[int, int], None]
"""Told how many entries have been looked at, of how many: none while the tree is, which comes first."""
LEVEL_MOST: Final = 7
"""Of a tile; no tree is so large that it has one above."""
CLIMBS_WITHIN: Final = timedelta(minutes=1)
PUT_OFF_MOST: Final = timedelta(minutes=10)
"""A notice is tried again after a minute at most, or else its mailbox refuses; a lease has half a minute."""


class Examined(NamedTuple):
    """What is wrong with a book, and its ledger, where that could be read to its end."""

    wrong: list[Wrong]
    ledger: Ledger | None


def fsck(book: Book, tell: Tell = lambda _done, _of: None) -> list[Wrong]:
    """What is not as it must be; nothing where the book is whole. Changes nothing."""
    return examine(book, tell).wrong


def examine(book: Book, tell: Tell = lambda _done, _of: None) -> Examined:
    """The same, with the ledger to be read on from there."""
    with book.read() as connection, contextlib.ExitStack() as queries:
        rows = Rows(connection, queries)
        told, ledger = _told(book, rows, tell)
        found = [*told, *_cosigned(book, rows), *_texts(rows)]
        for table in map(_tables.__getitem__, _APART):
            deque(rows.whole(table, rows(sa.select(table))), 0)
        return Examined([*found, *rows.spoilt], ledger)


def _told(book: Book, rows: Rows, tell: Tell) -> Examined:
    """What the entries tell otherwise, as far as they can be followed."""
    tree = _Tree(book, rows, tell)
    found = tree.wrong()
    if tree.torn:
        return Examined(found, None)
    fold = _Fold(book, rows, Checkpoint(book.origin, tree.size, tree.root), tell)
    found += fold.wrong()
    if fold.failed:
        return Examined(found, None)
    found += [*_nouns(rows, fold.told), *fold.misled()]
    found += [*_addresses(rows, fold.told), *_outboxes(book, rows, fold.told)]
    return Examined(found, Ledger(book, fold.history))


def look(book: Book, ledger: Ledger) -> list[Wrong]:
    """What cannot wait for a night: who is not told that must be, and who has become another person.

    The alarms that owe something come first. Beside them: people, roles, devices and sites, what is done each
    day, addresses, and the outbox, by what the ledger says of them now. Takes a moment.
    """
    with book.read() as connection, contextlib.ExitStack() as queries:
        rows = Rows(connection, queries)
        found = ledger.read_on(rows)
        if not found:
            told = ledger.world
            found = [*_owing(book, told), *_nouns(rows, told, _FEW)]
            found += [*_addresses(rows, told), *_outboxes(book, rows, told)]
        return [*found, *rows.spoilt]


def addressed(book: Book, people: Iterable[Person]) -> list[Person]:
    """Those of these people whose address can be read, and is the one that the ledger commits to."""
    with book.read() as connection, contextlib.ExitStack() as queries:
        rows = Rows(connection, queries)
        return [person for person in people if _address(rows, person) is not None]


class Ledger:
    """What the entries tell, of which more come: the tables that are made of them are not asked.

    `lost` is why it cannot be read on, once it cannot.
    """

    def __init__(self, book: Book, history: audit.History) -> None:
        self.lost: list[Wrong] = []
        self._book = book
        self._history = history

    @property
    def world(self) -> Notebook:
        """The world as of the last entry that was read."""
        return self._history.world

    def read_on(self, rows: Rows) -> list[Wrong]:
        """Reads what has come since; what is wrong with it, and ever after, or nothing."""
        if not self.lost:
            try:
                self._read(rows)
            except audit.Failed as verdict:
                words = f"Entry {verdict.entry} breaks step {verdict.step} of an audit: {verdict}"
                self.lost = [Wrong("entries", words)]
        return self.lost

    def _read(self, rows: Rows) -> None:
        history = self._history
        query = sa.select(_entry.c.seq, _entry.c.data).where(_entry.c.seq >= history.index)
        data = (
            row.data if isinstance(row.data, bytes) else b"" for row in rows(query.order_by(_entry.c.seq))
        )
        with contextlib.closing(readings(data, history.keys, helped=False)) as ahead:
            for entry, reading in ahead:
                history.add(entry, reading)
        ((last,),) = rows.few(sa.select(sa.func.max(_entry.c.seq).label("last")))
        newest = rows.few(sa.select(_checkpoint).order_by(_checkpoint.c.size.desc()).limit(1))
        signed = any(_signs(self._book, row, history.index, history.root) for row in newest)
        if last != history.index - 1 or not signed:
            words = "The newest entries, or their checkpoint, are not those that were read before and now."
            self.lost = [Wrong("entries", words)]


def _signs(book: Book, row: sa.Row[Any], size: int, root: bytes) -> bool:
    """Whether this row of a checkpoint is the log's, over so many entries with this root."""
    try:
        signed = book.signed(row.note.encode())
        return signed and Checkpoint.of(row.note) == Checkpoint(book.origin, size, root) and row.root == root
    except (Refusal, AttributeError, UnicodeEncodeError):
        return False


class _Tree:
    """Goes through the entries as bytes, and with them through tiles and checkpoints."""

    def __init__(self, book: Book, rows: Rows, tell: Tell) -> None:
        self._book = book
        self._tell = tell
        ((self._count,),) = rows.few(sa.select(sa.func.count().label("count")).select_from(_entry))
        self._rows = rows
        self._edge = Frontier()
        self._checkpoints = rows.whole(_checkpoint, rows(sa.select(_checkpoint).order_by(_checkpoint.c.size)))
        self._checkpoint = next(self._checkpoints, None)
        self._entries: list[Wrong] = []
        self._signed: list[Wrong] = []
        self._newest = 0
        self.torn = False
        """Whether an entry is missing, or is none: what is folded from the others tells of another world."""

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
                self.torn = True
                self._entries.append(
                    Wrong("entries", f"Entry {wanted} is missing: the next one is numbered {row.seq}.")
                )
            wanted = row.seq + 1
            is_bytes = isinstance(row.data, bytes)
            self.torn = self.torn or not is_bytes
            leaf = leaf_hash(row.data if is_bytes else b"")
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
        hashes = [data[at : at + 32] for at in range(0, len(data), 32)]
        if [(row.hashes, row.root) for row in self._rows.few(query)] != [(data, perfect_root(hashes))]:
            yield _other(tile.level, tile.number)

    def _too_many(self) -> Iterator[Wrong]:
        for row in self._rows(sa.select(_tile.c.level, _tile.c.number)):
            if not self._is_full(row.level, row.number):
                yield _other(row.level, row.number)

    def _is_full(self, level: Any, number: Any) -> bool:
        if not isinstance(level, int) or not isinstance(number, int):
            return False
        return 0 <= level <= LEVEL_MOST and 0 <= number < self.size // WIDTH ** (level + 1)

    def _check(self, root: bytes) -> None:
        """The next checkpoint is signed by the log, over the entries that it says, whose root this is."""
        row: Any = self._checkpoint
        self._checkpoint = next(self._checkpoints, None)
        self._newest = row.size
        if not _signs(self._book, row, row.size, root):
            self._signed.append(
                Wrong(
                    "checkpoints",
                    f"The checkpoint of {row.size:,} entries is not the log's over the entries here.",
                )
            )


def _other(level: Any, number: Any) -> Wrong:
    words = f"Tile {shown(number)} of level {shown(level)} is not the one that the entries make."
    return Wrong("tiles", words)


class _Fold:
    """Goes through the entries as statements, and with them through the index of histories.

    `told` is the world that they tell, and of no use where the fold has `failed`.
    """

    def __init__(self, book: Book, rows: Rows, tree: Checkpoint, tell: Tell) -> None:
        self.told = Notebook()
        self.failed = False
        self._rows = rows
        self._size = tree.size
        self._tell = tell
        self.history = audit.History(
            Report(size=tree.size, world=self.told), Opened(tree, (str(book.keys.log.verifier),), ())
        )
        self._beside: deque[tuple[str, set[str]]] = deque()
        self._misled: list[tuple[Any, Any]] = []
        self._sizes = rows(sa.select(_checkpoint.c.size).order_by(_checkpoint.c.size))
        self._signed = next(self._sizes, None)

    def wrong(self) -> list[Wrong]:
        """The entries that stand under a wrong id, and what an audit says where it ends at one."""
        found: list[Wrong] = []
        helped = self._size >= audit.HELPED
        try:
            with contextlib.closing(readings(self._entries(), self.history.keys, helped=helped)) as ahead:
                for entry, reading in ahead:
                    found += self._compare(reading)
                    self.history.add(entry, reading)
            self.history.close()
        except audit.Failed as verdict:
            self.failed = True
            return [
                *found,
                Wrong("entries", f"Entry {verdict.entry} breaks step {verdict.step} of an audit: {verdict}"),
            ]
        return found

    def _entries(self) -> Iterator[bytes]:
        """The entries' bytes; what stands beside each waits until it has been read, which is ahead."""
        groups = groupby(self._index(), key=lambda row: int(row.seq))
        place, group = next(groups, (self._size, iter(())))
        query = sa.select(_entry.c.event_id, _entry.c.data).order_by(_entry.c.seq)
        for seq, entry in enumerate(self._rows(query)):
            subjects = set()
            if place == seq:
                subjects = {row.subject for row in group}
                place, group = next(groups, (self._size, iter(())))
            self._beside.append((entry.event_id, subjects))
            yield entry.data

    def _index(self) -> Found:
        """The index of histories along the entries; what is of none is noted."""
        for row in self._rows(sa.select(_mention).order_by(_mention.c.seq)):
            if isinstance(row.seq, int) and 0 <= row.seq < self._size:
                yield row
            else:
                self._misled.append((row.subject, row.seq))

    def _compare(self, reading: Reading) -> Iterator[Wrong]:
        """What stands beside the next entry and is not what it says."""
        index = self.history.index
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
        for subject, seq in sorted((shown(subject), shown(seq)) for subject, seq in self._misled):
            yield Wrong(
                "histories", f"The history of {subject} has entry {seq} where it should not, or lacks it."
            )


def _nouns(rows: Rows, told: Notebook, kinds: Iterable[type[Noun]] = SHELVES) -> Iterator[Wrong]:
    """The rows that are not what the ledger says, and the nouns that have no row."""
    for kind in kinds:
        shelf, known = SHELVES[kind], 0
        for row in rows(sa.select(*(shelf.table.c[name] for name in shelf.names))):
            noun = told.find(kind, row.id) if is_text(row.id) else None
            known += noun is not None
            if noun is None or not _is_row(shelf, row, noun):
                yield _not_told(row.id, shelf.table)
        if known < told.count(kind):
            for name in _absent(rows, shelf.table.c.id, (noun.id for noun in told.all(kind))):
                yield _not_told(name, shelf.table)


def _is_row(shelf: Shelf, row: sa.Row[Any], noun: Noun) -> bool:
    """Whether this is the noun's row, its JSON in whatever spelling."""
    held, wanted = tuple(row), shelf.row(noun)
    if held == wanted:
        return True
    pairs = zip(shelf.names, held, wanted, strict=True)
    return all(
        here == there or (isinstance(shelf.table.c[name].type, sa.JSON) and _spelled(here) == there)
        for name, here, there in pairs
    )


def _spelled(text: Any) -> str:
    """JSON as a noun's row has it; empty where it is none."""
    try:
        return json_bytes(json.loads(text)).decode()
    except (TypeError, ValueError, RecursionError):
        return ""


def _not_told(name: Any, table: sa.Table) -> Wrong:
    return Wrong("tables", f"{shown(name)} in the table {table.name} is not what the ledger says of it.")


def _cosigned(book: Book, rows: Rows) -> Iterator[Wrong]:
    """The lines of the policy's witnesses that do not hold, and anybody's under no checkpoint here."""
    keys = dict(book.trust.witnesses)
    notes = sa.select(_checkpoint.c.note).where(_checkpoint.c.size == _cosignature.c.size)
    query = sa.select(_cosignature, notes.scalar_subquery().label("note"))
    for row in rows(query.order_by(_cosignature.c.size)):
        key = keys.get(row.witness)
        if row.note is None or (key is not None and not holds(key, row) and not of_another(key, row)):
            words = f"The line of the witness {shown(row.witness)} under the checkpoint of {shown(row.size)}"
            yield Wrong("checkpoints", f"{words} entries is not its own.")


def _texts(rows: Rows) -> Iterator[Wrong]:
    """The texts that are not those that were committed to."""
    for row in rows.whole(_private, rows(sa.select(_private))):
        if commitment_of(row.salt, row.text) != row.commitment:
            name = shown(row.commitment[:12])
            yield Wrong("texts", f"The text under {name} was changed: the ledger commits to another one.")


def _outboxes(book: Book, rows: Rows, told: Notebook) -> Iterator[Wrong]:
    """What waits to be sent and should not, or otherwise than it does."""
    odd, now = [], max(book.clock(), told.log.last)
    refusing = {(n.person, n.channel) for n in told.where(Notice, "outcome", "refused")}
    for row in rows.whole(_outbox, rows(sa.select(_outbox))):
        notice = told.find(Notice, row.notice)
        if notice is None or notice.accepted_at is not None:
            odd.append(row.notice)
        elif (row.person, row.channel) != (notice.person, notice.channel):
            yield Wrong(
                "outbox", f"The notice {row.notice} is addressed to another in the outbox than in the ledger."
            )
        elif _is_put_off(row, notice, now, book.pace, refuses=(row.person, row.channel) in refusing):
            yield Wrong(
                "outbox", f"The notice {row.notice} is put off in the outbox for longer than any attempt is."
            )
        elif not _is_standing(row, notice):
            yield Wrong(
                "outbox",
                f"The notice {row.notice} has a priority, a count of attempts or a message in the outbox that"
                " do not follow from the ledger.",
            )
    waiting = (notice.id for notice in told.where(Notice, "accepted_at", None))
    for name in sorted([*odd, *_absent(rows, _outbox.c.notice, waiting)]):
        yield Wrong(
            "outbox",
            f"The notice {shown(name)} is to be sent and is not in the outbox, or is there without need.",
        )


def _is_put_off(row: sa.Row[Any], notice: Notice, now: datetime, pace: float, *, refuses: bool) -> bool:
    """Whether it waits for longer than anything does."""
    most = PUT_OFF_MOST + (REFUSED_MOST if refuses else timedelta())
    if row.not_before is None or read_time(row.not_before) > now + most * pace + told_within(notice):
        return True
    return row.lease is not None and read_time(row.lease) > now + PUT_OFF_MOST * pace


def _is_standing(row: sa.Row[Any], notice: Notice) -> bool:
    """Whether it waits as one that was tried so often, or once more.

    Between seniors and others nothing is said: they may have changed their roles since.
    """
    message = row.message is None or _MESSAGE.fullmatch(row.message)
    return bool(
        row.priority in ((0, 1) if notice.is_alert else (digest_of(notice) or 2,))
        and row.attempts >= notice.attempts
        and (row.refused_at is None or notice.attempts > 0)
        and (row.attempts > 0) == (row.message is not None)
        and message
        and notice.message in (None, row.message)
    )


def _addresses(rows: Rows, told: Notebook) -> Iterator[Wrong]:
    """Alerts go to what the ledger commits to, and links to what the account says."""
    accounts = {row.person: row.address for row in rows.whole(_account, rows(sa.select(_account)))}
    for person in told.all(Person):
        address = _address(rows, person)
        if address is None and person.grants:
            yield Wrong("texts", f"The address of {person.id} is gone or changed: no alert reaches them.")
        if address is not None and accounts.get(person.id, address).lower() != address.lower():
            yield Wrong(
                "texts", f"The account of {person.id} has another address than the ledger commits to."
            )


def _address(rows: Rows, person: Person) -> str | None:
    """The person's address, where it is there and the one that was committed to."""
    query = sa.select(_private).where(_private.c.commitment == person.contact)
    for row in rows.whole(_private, rows.few(query)):
        if commitment_of(row.salt, row.text) == row.commitment:
            return str(row.text)
    return None


def _owing(book: Book, told: Notebook) -> Iterator[Wrong]:
    """The alarms that have owed something for longer than a monitor takes, which goes round every second."""
    since = max(book.clock(), told.log.last) - CLIMBS_WITHIN * book.pace
    for alarm in told.where(Alarm, "next_at", None, same=False):
        due = max(alarm.next_at or alarm.armed_at, alarm.armed_at)
        if due < since:
            yield Wrong("alarms", f"{alarm.id} owes something since {time_text(due)}, and has not climbed.")


def _absent(rows: Rows, column: sa.Column[Any], names: Iterable[str]) -> Iterator[str]:
    """Those of the names that the column has not."""
    rest = iter(names)
    while some := list(islice(rest, ASKED_AT_ONCE)):
        there = {name for (name,) in rows.few(sa.select(column).where(column.in_(some)))}
        yield from (name for name in some if name not in there)
