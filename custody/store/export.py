"""The ledger as files that anybody can verify: a tlog-tiles folder, or one bundle.

What is written is what was signed: entries byte for byte, tiles derived from them, the newest checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Unreadable
from custody.ledger import bundle
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import WIDTH, entry_bundle, hash_tiles, tile_path
from custody.store.book import Book, BookWorld, newest_note

_entry = SQLModel.metadata.tables["entry"]


def members(book: Book) -> Iterator[tuple[str, bytes]]:
    """The checkpoint and the tiles that it calls for, in a bundle's order, all of one moment."""
    with book.read() as connection:
        note = newest_note(connection)
        size = Checkpoint.of(note).size
        yield "checkpoint", note.encode()
        covered = _entry.c.seq < size
        hashes = connection.scalars(sa.select(_entry.c.leaf_hash).where(covered).order_by(_entry.c.seq))
        yield from hash_tiles(list(hashes))
        entries = sa.select(_entry.c.data).where(covered).order_by(_entry.c.seq)
        rows = connection.execution_options(yield_per=WIDTH).scalars(entries)
        for number, part in enumerate(rows.partitions(WIDTH)):
            yield tile_path("entries", number, len(part)), entry_bundle(part)


def export_bundle(book: Book, path: Path) -> None:
    """`bundle.zip`. It appears whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as out:
        bundle.write(out, members(book))
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def export_tiles(book: Book, folder: Path) -> None:
    """The same as a folder of static files. Full tiles that are there already are left as they are.

    The checkpoint comes after its tiles, and then older partial tiles go, as tlog-tiles allows. A file that
    is there with other bytes is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_mirror(book, folder / "checkpoint")
    checkpoint = b""
    wanted = {folder / "checkpoint"}
    for path, data in members(book):
        if path == "checkpoint":
            checkpoint = data
            continue
        _write_tile(folder / path, data)
        wanted.add(folder / path)
    unfinished = folder / "checkpoint.part"
    unfinished.write_bytes(checkpoint)
    unfinished.replace(folder / "checkpoint")
    for partial in folder.glob("tile/**/*.p/*"):
        if partial not in wanted:
            partial.unlink()
            with contextlib.suppress(OSError):  # the folder, where this was the last of it
                partial.parent.rmdir()


def _check_mirror(book: Book, path: Path) -> None:
    """What is there already must be an older state of this very log: a mirror is a pin, never set back."""
    if not path.exists():
        return
    there = Checkpoint.of(path.read_bytes())
    with book.read() as connection:
        world = BookWorld(connection, {})
        if there.origin != book.origin or world.root_at(there.size) != there.root:
            raise Unreadable(
                f"{path} is of another log, or of a longer history than this book has. Export into another"
                " folder; and if this was your mirror, find out why before you write to the book."
            )


def _write_tile(target: Path, data: bytes) -> None:
    if target.exists():
        if target.read_bytes() != data:
            raise Unreadable(f"{target} holds another tile than this log's. Export into another folder.")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    unfinished.write_bytes(data)
    unfinished.replace(target)
