"""The ledger as files that anybody can verify: a tlog-tiles folder, or one bundle.

What is written is what was signed: entries byte for byte, tiles derived from them, the newest checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from custody.errors import Unreadable
from custody.ledger import bundle
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import paths, tiles
from custody.store.book import Book, BookWorld, newest_note
from custody.store.tree import Tree


def members(book: Book, since: int = 0) -> Iterator[tuple[str, bytes]]:
    """The checkpoint and the tiles that it calls for, in a bundle's order, all of one moment.

    Of the tiles, those only that the log of the first `since` entries had not.
    """
    with book.read() as connection:
        note = newest_note(connection)
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
    for path, data in fresh:
        _write_tile(folder / path, data)
    _write(folder / "checkpoint", checkpoint)
    size = Checkpoint.of(checkpoint).size
    _clear(folder, {folder / path for path in paths(size)})
    return before, size


def _clear(folder: Path, wanted: set[Path]) -> None:
    """Takes away older partial tiles, and what an export left that was stopped."""
    for stale in {*folder.glob("tile/**/*.p/*"), *folder.rglob("*.part")} - wanted:
        stale.unlink()
        with contextlib.suppress(OSError):  # the folder, where this was the last of it
            stale.parent.rmdir()


def _mirrored(book: Book, path: Path) -> int:
    """How many entries are there already, of this very log: a mirror is a pin, and is never set back."""
    if not path.exists():
        return 0
    there = Checkpoint.of(path.read_bytes())
    with book.read() as connection:
        world = BookWorld(connection, {})
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
