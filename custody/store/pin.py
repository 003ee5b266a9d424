"""The pin: the newest checkpoint, kept in a second place.

A backup that was restored is a ledger that has forgotten its newest entries, and looks whole. So does one
from which somebody cut the tail. A file on another disk or host remembers: a book that is behind it, or that
has another history, is not opened. The book remembers in turn that it had a pin there: one that is gone is
not begun anew by itself, for then whoever removes it unpins the book.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody import files
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


@dataclass(frozen=True, slots=True)
class Pin:
    """The file `path` as the pin of the book in `folder`, by whatever name or link it is reached.

    App servers over one book may name theirs alike. So what the book remembers goes by an id, too, which is
    drawn with the first pin and kept in the folder, `pin-id`: a machine that is named anew is the same one.
    """

    path: Path
    folder: Path

    def check(self, book: Book) -> None:
        """Untrusted where the book is behind the pin, or has another history; no pin yet is no fault.

        A pin that cannot be read is one, or that is gone: else whoever unmounts the other disk unpins the
        book.
        """
        try:
            pinned = self._read(book)
        except OSError as problem:
            raise Untrusted(
                f"The pin {self.path} cannot be read ({problem.strerror}). Is its disk there?"
            ) from problem
        except Unreadable as problem:
            raise Untrusted(str(problem)) from problem
        if pinned is not None:
            self._compare(book, pinned)

    def keep(self, book: Book) -> None:
        """Brings the pin up to the book's newest checkpoint; it is never set back.

        Untrusted as `check`; OSError where the file cannot be read or written, Unreadable where it is no pin,
        or is gone.
        """
        note = book.checkpoint()
        pinned = self._read(book)
        if pinned != Checkpoint.of(note):
            if pinned is not None:
                self._compare(book, pinned)
            with files.whole(self._at) as out:
                out.write(note.encode())
        self._remember(book)

    def _remember(self, book: Book) -> None:
        """At each round: a pin may be put there by hand, and this be stopped when it has written one."""
        if self._had(book):
            return
        if not self._id.exists():
            with files.whole(self._id, 0o600) as out:
                out.write(book.random(16).hex().encode())
        with book.writing() as connection:
            if connection.scalar(self._row()) is None:
                connection.execute(sa.insert(_pulse).values(name=self._name(), at=book.clock()))

    def _had(self, book: Book) -> bool:
        """Whether the book ever had a pin there, as this machine has it."""
        if not self._id.exists():
            return False
        with book.read() as connection:
            return connection.scalar(self._row()) is not None

    @property
    def _at(self) -> Path:
        return Path(os.path.realpath(self.path))  # of links in a circle, too: there is no file then

    @property
    def _id(self) -> Path:
        return self.folder / "pin-id"

    def _row(self) -> sa.Select[tuple[str]]:
        return sa.select(_pulse.c.name).where(_pulse.c.name == self._name())

    def _name(self) -> str:
        there = files.read(self._id).strip() + b":" + os.fsencode(self._at)
        return f"pin-{hashlib.sha256(there).hexdigest()[:16]}"

    def _compare(self, book: Book, pinned: Checkpoint) -> None:
        with book.read() as connection:
            root = BookWorld(connection).root_at(pinned.size)
        if root == pinned.root:
            return
        there = Checkpoint.of(book.checkpoint()).size
        what = f"has seen {pinned.size:,} entries, and this book has {there:,}: it is an older copy."
        if there >= pinned.size:
            what = "has another history than this book: entries that were there are gone or changed."
        raise Untrusted(f"The pin {self.path} {what} {WAY_BACK}")

    def _read(self, book: Book) -> Checkpoint | None:
        path = self._at
        if (path.parent / "tile").is_dir():
            raise Unreadable(f"{path} belongs to a mirror: give the pin (CUSTODY_PIN) a file of its own.")
        if path.exists() and not path.is_file():
            raise Unreadable(f"The pin {path} is no file. Is its disk there, and CUSTODY_PIN right?")
        if not path.exists() and path.parent.is_dir():
            if self._had(book):
                raise Unreadable(
                    f"The pin {path} is gone, and this book has had one there. Is its disk there? If it is"
                    " lost for good, put a checkpoint there that you kept elsewhere: a mirror's file"
                    " `checkpoint`, or the note in the last daily mail."
                )
            return None
        note = files.read(path)
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
