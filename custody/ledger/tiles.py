"""The tree as static files: C2SP tlog-tiles v0.1.

    checkpoint                        the signed note
    tile/<level>/<index>[.p/<width>]  256 hashes of 32 bytes, or fewer at the right edge
    tile/entries/<index>[.p/<width>]  256 entries, each after its length in two bytes, big end first

Tile 0 of level 0 holds the hashes of leaves 0 to 255; a hash of level n + 1 is the root of a full tile of
level n. Everything here is derived from the entries; nothing is stored twice.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from custody.errors import Unreadable
from custody.ledger import merkle
from custody.ledger.merkle import Frontier, perfect_root

WIDTH: Final = 256
Kept = dict[tuple[int, int], list[list[bytes]]]
"""Full tiles by level and number, as all nodes within each, by height."""
KEPT_MOST: Final = 256
"""Tiles; each is about 25 kB as Python has it."""


def tile_index(number: int) -> str:
    """A tile's number as path elements of three digits: 1234067 is `x001/x234/067`."""
    path = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        path = f"x{number % 1000:03d}/{path}"
    return path


class Tile(NamedTuple):
    """One file of the tree: hashes of a level, or entries where `level` is None; `width` of them."""

    level: int | None
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it lies. The level of the tiles that hold entries is written `entries`."""
        level = "entries" if self.level is None else self.level
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{tile_index(self.number)}{partial}"

    @classmethod
    def read(cls, path: str) -> Tile:
        """The tile of a path, or Unreadable; accepts exactly what `path` gives."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise Unreadable("This is not the path of a tile.")
        level, groups, width = found.groups()
        number = int(groups.replace("x", "").replace("/", ""))
        tile = cls(None if level == "entries" else int(level), number, int(width or WIDTH))
        if tile.path != path or (width is not None and not 0 < tile.width < WIDTH):
            raise Unreadable("This is not the one spelling of a tile's path.")
        return tile


Read = Callable[[Tile], bytes]
"""Gives a tile's bytes, from wherever tiles are."""

_PATH: Final = re.compile(
    r"tile/([0-9]{1,2}|entries)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII
)


def tiles(size: int, since: int = 0) -> Iterator[Tile]:
    """The files of a tree beside its checkpoint, in a bundle's order; only what a tree of `since` had not."""
    level, hashes, before = 0, size, since
    while hashes:
        yield from _row(level, hashes, before)
        level, hashes, before = level + 1, hashes // WIDTH, before // WIDTH
    yield from _row(None, size, since)


def _row(level: int | None, count: int, before: int) -> Iterator[Tile]:
    if count == before:
        return
    full, rest = divmod(count, WIDTH)
    for number in range(before // WIDTH, full):
        yield Tile(level, number)
    if rest:
        yield Tile(level, full, rest)


def paths(size: int) -> list[str]:
    """The same as paths, of the whole tree."""
    return [tile.path for tile in tiles(size)]


def hash_tiles(
    leaf_hashes: Iterable[bytes], size: int = 0, read: Read | None = None
) -> Iterator[tuple[str, bytes]]:
    """Every hash tile of the tree over these leaves, with its path: as each is full, others last.

    Where the tree has `size` leaves already, a multiple of 256, only the tiles that the new ones change or
    make; `read` gives those that it has.
    """
    rows: list[list[bytes]] = []
    full: list[int] = []
    while size and read is not None:
        number, width = divmod(size, WIDTH)
        rows.append(_hashes(read(Tile(len(rows), number, width))) if width else [])
        full.append(number)
        size = number
    for leaf in leaf_hashes:
        level, node = 0, leaf
        while True:
            if level == len(rows):
                rows.append([])
                full.append(0)
            row = rows[level]
            row.append(node)
            if len(row) < WIDTH:
                break
            yield Tile(level, full[level]).path, b"".join(row)
            full[level] += 1
            rows[level] = []
            level, node = level + 1, perfect_root(row)
    for level, row in enumerate(rows):
        if row:
            yield Tile(level, full[level], len(row)).path, b"".join(row)


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


class Tree:
    """A tree of `size` leaves, any node or proof of it from a tile or two.

    `read` gives the bytes of a hash tile, of the width that this size has. `kept` is where full tiles are
    looked for first, and left for the next tree: they never change.
    """

    def __init__(self, size: int, read: Read, kept: Kept | None = None) -> None:
        self.size = size
        self._read = read
        self._kept: Kept = {} if kept is None else kept
        self._edge: Kept = {}

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

    def _rows(self, level: int, number: int) -> list[list[bytes]]:
        """All nodes within a tile, by height. What is not full may grow: it is kept by this tree alone."""
        name = (level, number)
        found = self._kept.get(name) or self._edge.get(name)
        if found is None:
            width = min(WIDTH, self.size // WIDTH**level - number * WIDTH)
            found = merkle.nodes(_hashes(self._read(Tile(level, number, width))))
            if width < WIDTH:
                self._edge[name] = found
                return found
            if len(self._kept) >= KEPT_MOST:
                self._kept.clear()
            self._kept[name] = found
        return found


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Up to 256 entries, each after its length."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def read_entry_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle that must hold exactly `width` of them and not a byte more."""
    entries = []
    at = 0
    for _ in range(width):
        if at + 2 > len(data):
            raise Unreadable("An entry bundle ends too early.")
        (length,) = struct.unpack_from(">H", data, at)
        entry = data[at + 2 : at + 2 + length]
        if len(entry) != length:
            raise Unreadable("An entry bundle ends within an entry.")
        entries.append(entry)
        at += 2 + length
    if at != len(data):
        raise Unreadable("An entry bundle holds more than its entries.")
    return entries
