"""A book moves from one database into another: the ledger byte for byte, and all that stands beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Untrusted
from custody.store.book import Book, newest_note
from custody.store.database import Database
from custody.store.fsck import Tell, fsck
from custody.store.tree import Tree

AT_ONCE: Final = 1000
"""Rows that are read and written together."""
_tables = SQLModel.metadata.tables
_entry, _tile, _checkpoint = (_tables[name] for name in ("entry", "tile", "checkpoint"))


def move(book: Book, folder: Path, target: Database, tell: Tell = lambda _done, _of: None) -> int:
    """Moves the book of this folder into an empty database: how many entries it has.

    Nobody writes to the old one meanwhile, and it stays as it is. All is copied in one transaction. The
    folder names the new one only when its root is the old one's, its newest checkpoint as signed, and nothing
    differs within it; Untrusted where that is not so.
    """
    with book.writing() as old:
        book.database.be_patient(old)
        with target.writing() as new, new.begin():
            _copy_ledger(old, new, tell)
            for table in SQLModel.metadata.sorted_tables:
                if table not in (_entry, _tile, _checkpoint):
                    _copy(old, new, table)
            tree, here = Tree(new), Tree(old)
            same = (tree.size, tree.frontier().root()) == (here.size, here.frontier().root())
            if not same or newest_note(new) != newest_note(old):
                raise Untrusted(
                    "The copy has another root than the book. It is not used; the book is as it was."
                )
        twin = Book(target, book.policy, keys=book.keys, clock=book.clock, random=book.random)
        if wrong := fsck(twin):
            raise Untrusted(f"The copy is not whole and is not used; the book is as it was. {wrong[0].words}")
        if newest_note(old) != twin.checkpoint():  # and the line to it, with its lock, is there still
            raise Untrusted("The book was written to meanwhile. The copy is not used; begin again.")
        _name(folder / "database", target.address)
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


def _name(path: Path, address: str) -> None:
    """The folder names one database or the other, whatever stops this."""
    unfinished = path.with_name("database.part")
    unfinished.write_text(f"{address}\n", "utf-8")
    unfinished.replace(path)
