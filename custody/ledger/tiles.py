"""The tree as static files: C2SP tlog-tiles v0.1.

    checkpoint                        the signed note
    tile/<level>/<index>[.p/<width>]  256 hashes of 32 bytes, or fewer at the right edge
    tile/entries/<index>[.p/<width>]  256 entries, each after its length in two bytes, big end first

Tile 0 of level 0 holds the hashes of leaves 0 to 255; a hash of level n + 1 is the root of a full tile of
level n. Everything here is derived from the entries; nothing is stored twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

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


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile lies. The level of the tiles that hold entries is written `entries`."""
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{tile_index(number)}{partial}"


def paths(size: int) -> list[str]:
    """The files of a tree of this size beside the checkpoint, in the order in which a bundle has them."""
    found = []
    level, hashes = 0, size
    while hashes:
        found += _row(str(level), hashes)
        level, hashes = level + 1, hashes // WIDTH
    return found + _row("entries", size)


def _row(level: str, count: int) -> list[str]:
    full, rest = divmod(count, WIDTH)
    row = [tile_path(level, number) for number in range(full)]
    return row + ([tile_path(level, full, rest)] if rest else [])


def hash_tiles(leaf_hashes: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every hash tile of the tree over these leaves, with its path, in the order of `paths`."""
    level = 0
    row = list(leaf_hashes)
    while row:
        above = []
        for start in range(0, len(row), WIDTH):
            tile = row[start : start + WIDTH]
            yield tile_path(level, start // WIDTH, len(tile)), b"".join(tile)
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
