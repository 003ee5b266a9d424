"""A book moves from one database into another: the ledger byte for byte, and all that stands beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel
from typing_extensions import override

from custody import files
from custody.errors import Away, Conflict, Untrusted
from custody.store import home
from custody.store.book import Book, newest_note
from custody.store.database import Database, at, disposed
from custody.store.fsck import Tell, fsck
from custody.store.tree import Tree

AT_ONCE: Final = 1000
"""Rows that are read and written together."""
_tables = SQLModel.metadata.tables
_entry, _tile, _checkpoint = (_tables[name] for name in ("entry", "tile", "checkpoint"))


class _Copy(Book):
    """The copy, as the transaction sees it in which it is made."""

    def __init__(self, book: Book, target: Database, connection: sa.Connection) -> None:
        super().__init__(target, book.policy, keys=book.keys, clock=book.clock, random=book.random)
        self._connection = connection

    @override
    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        yield self._connection


def move(
    book: Book,
    folder: Path,
    target: str,
    owner: str | None = None,
    tell: Tell = lambda _done, _of: None,
) -> int:
    """Moves the book of this folder into the database of another address: how many entries it has.

    Nobody writes to the old one meanwhile, and it stays as it is. Tables, copy and proof are one transaction,
    and the folder names the new database after it: its root is the old one's, its newest checkpoint as
    signed, and nothing differs within it. Untrusted where that is not so, and else as `home.tables`; then
    nothing is left of it. A process that ends in between, or a line that breaks at the commit, may leave the
    copy: `database.part` says where, and the next move to there takes it away, unless it has grown.
    """
    there = at(target, folder)
    with disposed(there):
        if there.reach() == book.database.reach():
            raise Conflict(f"The book is in {target} already.")
    mark = folder / "database.part"
    with book.writing() as old:
        book.database.be_patient(old)
        with (
            _marking(mark, target) as begun,
            home.tables(target, folder, owner, lambda left: begun and _begins(old, left)) as new,
        ):
            _copy_ledger(old, new, tell)
            for table in SQLModel.metadata.sorted_tables:
                if table not in (_entry, _tile, _checkpoint):
                    _copy(old, new, table)
            size = _prove(old, new, _Copy(book, there, new))
            with files.whole(mark) as out:
                out.write(f"{target}\n".encode())
            mark.chmod(0o600)
        mark.replace(folder / "database")
    return size


@contextlib.contextmanager
def _marking(mark: Path, target: str) -> Iterator[bool]:
    """Whether the mark names this target already. What fails leaves a mark only where it may leave a copy."""
    begun = _names(mark, target)
    try:
        yield begun
    except Away:  # at the commit, perhaps
        raise
    except Exception:
        if not begun and _names(mark, target):
            mark.unlink()
        raise


def _names(mark: Path, target: str) -> bool:
    return mark.is_file() and files.read(mark).decode("utf-8", "replace").strip() == target


def _begins(book: sa.Connection, left: sa.Connection) -> bool:
    """Whether what a move has left is how the book began, and has not grown by itself since."""
    began = Tree(left)
    if began.size > Tree(book).size:
        return False
    return began.frontier().root() == Tree(book, began.size).frontier().root()


def _prove(old: sa.Connection, new: sa.Connection, copy: Book) -> int:
    """How many entries the copy has; Untrusted unless it is the book, and whole."""
    tree, here = Tree(new), Tree(old)
    same = (tree.size, tree.frontier().root()) == (here.size, here.frontier().root())
    if not same or newest_note(new) != newest_note(old):
        raise Untrusted("The copy has another root than the book. It is not used; the book is as it was.")
    if wrong := fsck(copy):
        raise Untrusted(f"The copy is not whole and is not used; the book is as it was. {wrong[0].words}")
    if newest_note(old) != newest_note(new):  # and the line to it, with its lock, is there still
        raise Untrusted("The book was written to meanwhile. The copy is not used; begin again.")
    return tree.size


def _copy_ledger(old: sa.Connection, new: sa.Connection, tell: Tell) -> None:
    """As it grew, each checkpoint after the entries that it covers: the triggers let nothing else in."""
    size, start = Tree(old).size, 0
    with _rows(old, sa.select(_checkpoint).order_by(_checkpoint.c.size)) as checkpoints:
        for checkpoint in checkpoints:
            covered = sa.select(_entry).where(_entry.c.seq >= start, _entry.c.seq < checkpoint["size"])
            with _rows(old, covered.order_by(_entry.c.seq)) as entries:
                new.execute(sa.insert(_entry), list(entries))
            new.execute(sa.insert(_checkpoint), checkpoint)
            start = checkpoint["size"]
            tell(start, size)
    _copy(old, new, _tile)


def _copy(old: sa.Connection, new: sa.Connection, table: sa.Table) -> None:
    """Whole, in the order of its key; but what the database numbers is numbered anew."""
    columns = [column for column in table.columns if column is not table.autoincrement_column]
    with _rows(old, sa.select(*columns).order_by(*table.primary_key)) as rows:
        while some := list(islice(rows, AT_ONCE)):
            new.execute(sa.insert(table), some)


@contextlib.contextmanager
def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Iterator[dict[str, Any]]]:
    """The rows of a query, however many they are: only some of them are in memory."""
    with connection.execute(query, execution_options={"yield_per": AT_ONCE}) as found:
        yield (dict(row) for row in found.mappings())
