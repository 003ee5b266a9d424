"""The ledger as files that anybody can verify: a tlog-tiles folder, or one bundle.

What is written is what was signed: entries byte for byte, tiles derived from them, the newest checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.audit import verify
from custody.errors import Unreadable, Untrusted
from custody.facts import Received, Statement
from custody.ledger import bundle
from custody.ledger.envelope import Envelope
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import paths, read_entry_bundle, tiles
from custody.store.book import Book
from custody.store.tree import Tree
from custody.store.witnesses import published
from custody.store.world import BookWorld

TEXTS: Final = ("answer", "contact", "reason", "report", "title")
"""Fields of facts that are commitments to texts outside the ledger."""
_private = SQLModel.metadata.tables["private"]


def members(book: Book, since: int = 0) -> Iterator[tuple[str, bytes]]:
    """The checkpoint and the tiles that it calls for, in a bundle's order, all of one moment.

    Of the tiles, those only that the log of the first `since` entries had not.
    """
    with book.read() as connection:
        note = published(book, connection)
        yield "checkpoint", note.encode()
        tree = Tree(connection, Checkpoint.of(note).size)
        for tile in tiles(tree.size, since):
            yield tile.path, tree.tile(tile)


def export_bundle(book: Book, path: Path) -> None:
    """`bundle.zip`. It appears whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as out:
        bundle.write(out, members(book))
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def export_tiles(book: Book, folder: Path) -> tuple[int, int]:
    """The same as a folder of static files: how many entries it had before, and how many it has now.

    Of a folder that has an older state, only what is new is written, and the checkpoint after its tiles; then
    older partial tiles go, as tlog-tiles allows. Whatever stops it, the folder has one whole state or the
    other. A file that is there with other bytes is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _mirrored(book, folder / "checkpoint")
    fresh = members(book, before)
    _, checkpoint = next(fresh)
    size = Checkpoint.of(checkpoint).size
    if size < before:  # witnesses have cosigned an older checkpoint since: the folder is not set back to it
        return before, before
    for path, data in fresh:
        _write_tile(folder / path, data)
    _write(folder / "checkpoint", checkpoint)
    _clear(folder, {folder / path for path in paths(size)})
    return before, size


def _clear(folder: Path, wanted: set[Path]) -> None:
    """Takes away older partial tiles, and what an export left that was stopped."""
    for stale in {*folder.glob("tile/**/*.p/*"), *folder.rglob("*.part")} - wanted:
        stale.unlink()
        with contextlib.suppress(OSError):  # the folder, where this was the last of it
            stale.parent.rmdir()


@dataclass(frozen=True, slots=True)
class Restored:
    """How many entries came back, how many there are now, and how many texts of theirs did not."""

    entries: int
    size: int
    texts: int


def restore(book: Book, mirror: Path, tell: Callable[[int, int], None] = lambda _done, _of: None) -> Restored:
    """Replays what a mirror has and the book has not, one transaction after the other, to the same root.

    The mirror is judged whole first, as an auditor would: Unreadable where it is not sound, or where the book
    is not the beginning of it. What stops it halfway leaves a book that is behind by fewer entries.
    """
    report = verify(mirror, book.policy.encode())
    if not report.sound:
        raise Unreadable(f"The mirror is not sound, and nothing was taken from it: {report.why}")
    there = Checkpoint.of((mirror / "checkpoint").read_bytes())
    before = Checkpoint.of(book.checkpoint())
    entries = list(_entries(mirror, there.size))
    beginning = Frontier()
    for entry in entries[: before.size]:
        beginning.add(leaf_hash(entry))
    if before.size > there.size or beginning.root() != before.root:
        raise Unreadable("The book is not an older state of this mirror: nothing was taken from it.")
    start = before.size
    for end, entry in enumerate(entries[start:], start + 1):
        if isinstance(Statement.read(Envelope.read(entry).payload).fact, Received):
            book.replay(entries[start:end])
            start = end
            tell(end - before.size, there.size - before.size)
    if Checkpoint.of(book.checkpoint()) != there:
        raise Untrusted(
            "What was replayed has another root than the mirror. Do not use this book; keep both."
        )
    return Restored(there.size - before.size, there.size, _lost(book, entries[before.size :]))


def _entries(folder: Path, size: int) -> Iterator[bytes]:
    for tile in tiles(size):
        if tile.level is None:
            yield from read_entry_bundle((folder / tile.path).read_bytes(), tile.width)


def _lost(book: Book, entries: Sequence[bytes]) -> int:
    """Commitments in these entries of whose texts none is here."""
    facts = [Statement.read(Envelope.read(entry).payload).fact for entry in entries]
    named = {text for fact in facts for name in TEXTS if (text := getattr(fact, name, None)) is not None}
    with book.read() as connection:
        kept = set(connection.scalars(sa.select(_private.c.commitment)))
    return len(named - kept)


def _mirrored(book: Book, path: Path) -> int:
    """How many entries are there already, of this very log: a mirror is a pin, and is never set back."""
    if not path.exists():
        return 0
    there = Checkpoint.of(path.read_bytes())
    with book.read() as connection:
        world = BookWorld(connection)
        if there.origin != book.origin or world.root_at(there.size) != there.root:
            raise Unreadable(
                f"{path} is of another log, or of a longer history than this book has. Export into another"
                " folder; and if this was your mirror, find out why before you write to the book."
            )
    return there.size


def _write_tile(target: Path, data: bytes) -> None:
    if target.exists():
        if target.read_bytes() != data:
            raise Unreadable(f"{target} holds another tile than this log's. Export into another folder.")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, data)


def _write(target: Path, data: bytes) -> None:
    """The file appears whole, and is on the disk before anything after it is written."""
    unfinished = target.with_name(target.name + ".part")
    with unfinished.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
