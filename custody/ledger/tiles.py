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
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from custody.errors import Unreadable
from custody.ledger.merkle import perfect_root

WIDTH: Final = 256


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


def hash_tiles(leaf_hashes: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every hash tile of the tree over these leaves, with its path, in the order of `paths`."""
    level = 0
    row = list(leaf_hashes)
    while row:
        above = []
        for start in range(0, len(row), WIDTH):
            tile = row[start : start + WIDTH]
            yield Tile(level, start // WIDTH, len(tile)).path, b"".join(tile)
            if len(tile) == WIDTH:
                above.append(perfect_root(tile))
        level, row = level + 1, above


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
