"""The stored tree: any node, tile or proof of it from a tile or two, without loading leaves.

Only full tiles are stored, each once, in the transaction that completed it. What the right edge has of a
tile is derived: at level 0 from the entries' hashes, above it from the roots of the tiles below.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import NotFound, Untrusted
from custody.ledger import tiles
from custody.ledger.tiles import WIDTH, Kept, Tile, entry_bundle

_HOLE: Final = "The ledger's tree has a hole at level {level}. Restore it from the tile mirror."

_entry, _tile = (SQLModel.metadata.tables[name] for name in ("entry", "tile"))
_HASHES: Final = sa.select(_tile.c.hashes).where(
    _tile.c.level == sa.bindparam("level"), _tile.c.number == sa.bindparam("number")
)
"""Made once: a proof waited for its making as long as for its answer."""


class Tree(tiles.Tree):
    """The stored tree over the first `size` entries, or over all that are there.

    Untrusted where a hash that must be there is not.
    """

    def __init__(self, connection: sa.Connection, size: int | None = None, kept: Kept | None = None) -> None:
        super().__init__(_size(connection) if size is None else size, self.tile, kept)
        self._connection = connection

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

    def _stored(self, level: int, number: int) -> bytes:
        place = {"level": level, "number": number}
        found: bytes | None = self._connection.scalar(_HASHES, place)
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
