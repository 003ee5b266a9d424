"""The pin: the newest checkpoint, kept in a second place.

A backup that was restored is a ledger that has forgotten its newest entries, and looks whole. So does one
from which somebody cut the tail. A file on another disk or host remembers: a book that is behind it, or that
has another history, is not opened. The book remembers in turn that it had a pin there: one that is gone is
not begun anew by itself, for then whoever removes it unpins the book.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.audit import whole
from custody.errors import Forged, Unreadable, Untrusted
from custody.ledger.note import Checkpoint
from custody.store.book import Book
from custody.store.world import BookWorld

WAY_BACK: Final = (
    "Write nothing to it. The way back: a newer backup, or `custody log restore --from MIRROR`, which brings"
    " the missing entries from the mirror; then compare with a manifest or a receipt."
)


_pulse = SQLModel.metadata.tables["pulse"]


def check(book: Book, path: Path) -> None:
    """Untrusted where the book is behind the pin, or has another history; no pin yet is no fault.

    A pin that cannot be read is one, or that is gone: else whoever unmounts the other disk unpins the book.
    """
    try:
        pinned = _read(book, path)
    except OSError as problem:
        raise Untrusted(
            f"The pin {path} cannot be read ({problem.strerror}). Is its disk there?"
        ) from problem
    except Unreadable as problem:
        raise Untrusted(str(problem)) from problem
    if pinned is not None:
        _compare(book, path, pinned)


def keep(book: Book, path: Path) -> None:
    """Brings the pin up to the book's newest checkpoint; it is never set back.

    Untrusted as `check`; OSError where the file cannot be read or written, Unreadable where it is no pin, or
    is gone.
    """
    note = book.checkpoint()
    pinned = _read(book, path)
    if pinned == Checkpoint.of(note):
        return
    if pinned is not None:
        _compare(book, path, pinned)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    with unfinished.open("w", encoding="utf-8") as out:
        out.write(note)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)
    with book.read() as connection:
        known = _had(connection, path)
    if not known:
        with book.writing() as connection:
            if not _had(connection, path):
                connection.execute(sa.insert(_pulse).values(name=_name(path), at=book.clock()))


def _had(connection: sa.Connection, path: Path) -> bool:
    """Whether the book ever had a pin there, as this machine has it: app servers may name theirs alike."""
    return connection.scalar(sa.select(_pulse.c.at).where(_pulse.c.name == _name(path))) is not None


def _name(path: Path) -> str:
    there = platform.node().encode() + b":" + os.fsencode(path.absolute())
    return f"pin-{hashlib.sha256(there).hexdigest()[:16]}"


def _compare(book: Book, path: Path, pinned: Checkpoint) -> None:
    with book.read() as connection:
        root = BookWorld(connection).root_at(pinned.size)
    if root == pinned.root:
        return
    there = Checkpoint.of(book.checkpoint()).size
    what = f"has seen {pinned.size:,} entries, and this book has {there:,}: it is an older copy."
    if there >= pinned.size:
        what = "has another history than this book: entries that were there are gone or changed."
    raise Untrusted(f"The pin {path} {what} {WAY_BACK}")


def _read(book: Book, path: Path) -> Checkpoint | None:
    if (path.parent / "tile").is_dir():
        raise Unreadable(f"{path} belongs to a mirror: give the pin (CUSTODY_PIN) a file of its own.")
    if not path.exists() and path.parent.is_dir():
        with book.read() as connection:
            known = _had(connection, path)
        if known:
            raise Unreadable(
                f"The pin {path} is gone, and this book has had one there. Is its disk there? If it is lost"
                " for good, put a checkpoint there that you kept elsewhere: a mirror's file `checkpoint`, or"
                " the note in the last daily mail."
            )
        return None
    note = path.read_bytes()
    try:
        note = whole(note)
        signed = book.signed(note)
    except (Forged, Unreadable):
        signed = False
    if not signed:
        raise Unreadable(
            f"{path} is no checkpoint of this log: the wrong file (CUSTODY_PIN), or a damaged one."
        )
    return Checkpoint.of(note)
