"""The stored tree: any node, tile or proof of it from a tile or two, without loading leaves.

Only full tiles are stored, each once, in the transaction that completed it. What the right edge has of a
tile is derived: at level 0 from the entries' hashes, above it from the roots of the tiles below.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import NotFound, Untrusted
from custody.ledger import merkle
from custody.ledger.merkle import Frontier
from custody.ledger.tiles import WIDTH, Tile, entry_bundle

Rows = list[list[bytes]]
"""All perfect subtrees within one tile, by height."""
Kept = dict[tuple[int, int], Rows]
"""Full tiles by level and number, which a process keeps: they never change."""
KEPT_MOST: Final = 256
"""Tiles; each is about 25 kB as Python has it."""

_HOLE: Final = "The ledger's tree has a hole at level {level}. Restore it from the tile mirror."

_entry, _tile = (SQLModel.metadata.tables[name] for name in ("entry", "tile"))


class Tree:
    """The tree over the first `size` entries, or over all that are there.

    `kept` is where full tiles are looked for first, and left for the next tree. Untrusted where a hash that
    must be there is not.
    """

    def __init__(self, connection: sa.Connection, size: int | None = None, kept: Kept | None = None) -> None:
        self._connection = connection
        self._kept: Kept = {} if kept is None else kept
        self._edge: Kept = {}
        self.size = _size(connection) if size is None else size

    def subtree(self, height: int, number: int) -> bytes:
        """A node's hash, as `custody.ledger.merkle.Subtree` wants it."""
        level, within = divmod(height, 8)
        tile = (number << within) // WIDTH
        return self._rows(level, tile)[within][number - (tile * WIDTH >> within)]

    def frontier(self) -> Frontier:
        """The right edge: the roots of the perfect subtrees that all the leaves make."""
        roots, start = [], 0
        for height in reversed(range(self.size.bit_length())):
            if self.size >> height & 1:
                roots.append(self.subtree(height, start >> height))
                start += 1 << height
        return Frontier(self.size, roots)

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that the entry is in this tree."""
        return merkle.inclusion(index, self.size, self.subtree)

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the first `old` entries are the beginning of this tree."""
        return merkle.consistency(old, self.size, self.subtree)

    def tile(self, tile: Tile) -> bytes:
        """A tile's bytes. A narrower one is as an older right edge had it. NotFound where there is none."""
        level, number, width = tile
        start = number * WIDTH
        if not 0 < width <= WIDTH or not 0 <= start <= _row(self.size, level or 0) - width:
            raise NotFound("The log has no such tile.")
        if level is None:
            query = sa.select(_entry.c.data).where(_entry.c.seq >= start, _entry.c.seq < start + width)
            return entry_bundle(self._connection.scalars(query.order_by(_entry.c.seq)))
        if width == WIDTH:
            return self._stored(level, number)
        return b"".join(hashes(self._connection, level, start, width))

    def _rows(self, level: int, number: int) -> Rows:
        """The nodes within a tile. What is not full may grow: it is kept by this tree alone."""
        name = (level, number)
        found = self._kept.get(name) or self._edge.get(name)
        if found is None:
            start = number * WIDTH
            width = min(WIDTH, _row(self.size, level) - start)
            if width < WIDTH:
                found = merkle.nodes(hashes(self._connection, level, start, width))
                self._edge[name] = found
            else:
                tile = self._stored(level, number)
                found = merkle.nodes([tile[at : at + 32] for at in range(0, len(tile), 32)])
                if len(self._kept) >= KEPT_MOST:
                    self._kept.clear()
                self._kept[name] = found
        return found

    def _stored(self, level: int, number: int) -> bytes:
        query = sa.select(_tile.c.hashes).where(_tile.c.level == level, _tile.c.number == number)
        found: bytes | None = self._connection.scalar(query)
        if found is None:
            raise Untrusted(_HOLE.format(level=level))
        return found


def hashes(connection: sa.Connection, level: int, start: int, count: int) -> list[bytes]:
    """Neighbours within a tile: leaves' hashes at level 0, above it the roots of full tiles below."""
    if level == 0:
        query = sa.select(_entry.c.leaf_hash).where(_entry.c.seq >= start, _entry.c.seq < start + count)
        query = query.order_by(_entry.c.seq)
    else:
        number = _tile.c.number
        query = sa.select(_tile.c.root).where(
            _tile.c.level == level - 1, number >= start, number < start + count
        )
        query = query.order_by(number)
    found = list(connection.scalars(query))
    if len(found) != count:
        raise Untrusted(_HOLE.format(level=level))
    return found


def _size(connection: sa.Connection) -> int:
    last = connection.scalar(sa.select(sa.func.max(_entry.c.seq)))
    return 0 if last is None else int(last) + 1


def _row(size: int, level: int) -> int:
    """How many hashes a level has."""
    count: int = size // WIDTH**level
    return count
