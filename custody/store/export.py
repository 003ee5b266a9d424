"""The ledger as files that anybody can verify: a tlog-tiles folder, or one bundle.

What is written is what was signed: entries byte for byte, tiles derived from them, the newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import files, mirror
from custody.audit import verify
from custody.errors import NoRoom, Unreadable, Untrusted
from custody.facts import Received, Statement
from custody.ledger import bundle
from custody.ledger.bundle import MEMBER_MOST
from custody.ledger.envelope import Envelope
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import WIDTH, Tile, read_entry_bundle, tiles
from custody.store import witnesses
from custody.store.book import Book
from custody.store.mentions import commitments
from custody.store.tree import Tree
from custody.store.witnesses import published
from custody.store.world import BookWorld

_private = SQLModel.metadata.tables["private"]


def members(book: Book) -> Iterator[tuple[str, bytes]]:
    """The checkpoint and the tiles that it calls for, in a bundle's order, all of one moment."""
    with book.read() as connection:
        note = published(book, connection)
        yield "checkpoint", note.encode()
        tree = Tree(connection, Checkpoint.of(note).size)
        for tile in tiles(tree.size):
            yield tile.path, tree.tile(tile)


def export_bundle(book: Book, path: Path) -> bytes:
    """`bundle.zip`, and the note in it. It appears whole or not at all.

    Conflict where something else has its name.
    """
    parts = members(book)
    first = next(parts)
    with files.whole(path) as out:
        bundle.write(out, chain([first], parts))
    return first[1]


def export_tiles(book: Book, folder: Path) -> tuple[int, int]:
    """The same as a folder of static files: how many entries it had before, and how many it has now.

    Of a folder that has an older state, only what is new is written, and the checkpoint after its tiles; then
    older partial tiles go, as tlog-tiles allows. Whatever stops it, the folder has one whole state or the
    other. The hash tiles are made of the entries: damage in the book's own does not come along. Unreadable
    where the folder is another log's, or the entries are not what was signed.
    """
    with mirror.alone(folder), book.read() as connection:
        here = mirror.state(folder)
        if here is not None:
            _check_ours(book, folder, here, connection)
        note = published(book, connection)
        before, size = here.size if here else 0, Checkpoint.of(note).size
        if size < before:  # witnesses have cosigned an older checkpoint since: it is not set back to that
            return before, before
        tree = Tree(connection, size)
        mirror.grow(folder, lambda path: tree.tile(Tile.read(path)), here, note.encode())
        return before, size


@dataclass(frozen=True, slots=True)
class Restored:
    """How many entries came back, how many there are now, and how many texts of theirs did not."""

    entries: int
    size: int
    texts: int


def restore(book: Book, source: Path, tell: Callable[[int, int], None] = lambda _done, _of: None) -> Restored:
    """Replays what a mirror has and the book has not, one transaction after the other, to the same root.

    The mirror is judged whole first, as an auditor would, with the book's checkpoint as a pin: Unreadable
    where it is not sound, or where the book is not the beginning of it. What stops it halfway leaves a book
    that is behind by fewer entries. What the mirror's witnesses said is kept, too: they may be gone.
    """
    newest = book.checkpoint()
    report = verify(source, book.policy.encode(), pins=[newest.encode()])
    if report.failed == 3:
        raise Unreadable("The book is not an older state of this mirror: nothing was taken from it.")
    if not report.sound:
        raise Unreadable(f"The mirror is not sound, and nothing was taken from it: {report.why}")
    note = files.read(source / "checkpoint", follow=False)
    there = book.trust.open(note).checkpoint
    before = Checkpoint.of(newest).size
    done, lost = before, 0
    for transaction in _transactions(source, there.size, before):
        try:
            book.replay(transaction)
        except NoRoom as problem:
            raise NoRoom(
                f"The disk is full. {done - before:,} entries came back, {there.size - done:,} are still"
                " missing: make room and do it again, and it goes on from there."
            ) from problem
        done += len(transaction)
        lost += _lost(book, transaction)
        tell(done - before, there.size - before)
    if Checkpoint.of(book.checkpoint()) != there:
        raise Untrusted(
            "What was replayed has another root than the mirror. Do not use this book; keep both."
        )
    witnesses.take_over(book, note)
    return Restored(there.size - before, there.size, lost)


def _transactions(folder: Path, size: int, since: int) -> Iterator[list[bytes]]:
    """The entries from `since` on, as they were recorded together."""
    transaction = []
    for tile in tiles(size):
        if tile.level is None and tile.number * WIDTH + tile.width > since:
            data = files.read(folder / tile.path, MEMBER_MOST, follow=False)
            entries = read_entry_bundle(data, tile.width)
            for entry in entries[max(0, since - tile.number * WIDTH) :]:
                transaction.append(entry)
                if isinstance(Statement.read(Envelope.read(entry).payload).fact, Received):
                    yield transaction
                    transaction = []


def _lost(book: Book, entries: Sequence[bytes]) -> int:
    """Commitments in these entries of whose texts none is here."""
    facts = [Statement.read(Envelope.read(entry).payload).fact for entry in entries]
    named = {text for fact in facts for text in commitments(fact)}
    if not named:
        return 0
    with book.read() as connection:
        here = _private.c.commitment.in_(named)
        return len(named) - len(set(connection.scalars(sa.select(_private.c.commitment).where(here))))


def _check_ours(book: Book, folder: Path, there: Checkpoint, connection: sa.Connection) -> None:
    """Unreadable where the folder is not an older state of this very log: a mirror is a pin."""
    if there.origin != book.origin or BookWorld(connection).root_at(there.size) != there.root:
        raise Unreadable(
            f"{folder / 'checkpoint'} is of another log, or of a longer history than this book has."
            " Export into another folder; and if this was your mirror, find out why before you write to"
            " the book."
        )
