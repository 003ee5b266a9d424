"""The rows of a book as they lie there, whatever was put into them: one that is spoilt hides no other."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from custody.errors import Refusal
from custody.facts import Difference
from custody.store.tables import Moment
from custody.strict import read_time

_PLACES: Final[dict[str, Difference]] = {
    "checkpoint": "checkpoints",
    "cosignature": "checkpoints",
    "private": "texts",
    "account": "texts",
    "outbox": "outbox",
}
"""What a row of a table is counted as; of the others, `tables`."""
Found = Iterator[sa.Row[Any]]
Query = sa.Select[Any]
FETCHED: Final = 500
"""Rows in memory at once."""
SHOWN: Final = 100
"""Characters of a value that may be anything."""


class Wrong(NamedTuple):
    """A difference: where it is, which may be told, and a sentence, which may name people and media."""

    place: Difference
    words: str


class Rows:
    """The rows of a query, some of them in memory at a time; `queries` ends what nobody reads to its end.

    Values come as they lie there, whatever the column wants: numbers, texts (times and JSON, too) and bytes.
    A text that is not UTF-8 has surrogates in place of its odd bytes. `spoilt` is what `whole` has left out.
    """

    def __init__(self, connection: sa.Connection, queries: contextlib.ExitStack) -> None:
        self.spoilt: dict[Wrong, None] = {}
        self._connection = connection
        self._queries = queries
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            queries.callback(setattr, driver, "text_factory", driver.text_factory)
            driver.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")

    def __call__(self, query: Query) -> Found:
        """The rows, some at a time."""
        found = self._connection.execute(self._plain(query), execution_options={"yield_per": FETCHED})
        return iter(self._queries.enter_context(found))

    def few(self, query: Query) -> list[sa.Row[Any]]:
        """The same at once, and the database is done with it."""
        return list(self._connection.execute(self._plain(query)))

    def _plain(self, query: Query) -> Query:
        json_is_read = self._connection.dialect.name != "sqlite"
        plain: list[sa.ColumnElement[Any]] = [
            sa.cast(column, sa.Text)
            if json_is_read and isinstance(column.type, sa.JSON)
            else sa.type_coerce(column, sa.types.NullType())
            for column in query.selected_columns
        ]
        names = query.selected_columns.keys()
        return query.with_only_columns(*(each.label(name) for each, name in zip(plain, names, strict=True)))

    def whole(self, table: sa.Table, rows: Iterable[sa.Row[Any]]) -> Found:
        """Those of these rows, of all columns, in which each value is of its column's kind."""
        for row in rows:
            held = list(zip(table.columns, row, strict=True))
            odd = [column.name for column, value in held if not _fits(column, value)]
            if not odd:
                yield row
                continue
            where = " ".join(shown(value) for column, value in held if column.primary_key)
            words = f"The row {where} of the table {table.name} cannot be read: {', '.join(odd)}."
            self.spoilt[Wrong(_PLACES.get(table.name, "tables"), words)] = None


def _fits(column: sa.Column[Any], value: Any) -> bool:
    kind = column.type
    if value is None:
        return bool(column.nullable)
    if isinstance(kind, sa.types.TypeDecorator):  # a text
        return is_text(value) and (not isinstance(kind, Moment) or _is_time(value))
    return type(value) is kind.python_type


def is_text(value: Any) -> bool:
    """Whether it is one that can be written as UTF-8."""
    try:
        str.encode(value)
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(read_time(value))
    except Refusal:
        return False


def shown(value: Any) -> str:
    """A value to be shown, which may be anything, and of any length."""
    return (value if isinstance(value, str) and value.isprintable() else ascii(value))[:SHOWN]
