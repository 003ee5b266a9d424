"""The tree: RFC 6962 section 2.1 (the same in RFC 9162), with SHA-256.

    leaf(entry)       = SHA-256(0x00 || entry)
    node(left, right) = SHA-256(0x01 || left || right)
    root of n leaves  = node(root of the first k, root of the rest), k the largest power of two below n

`Frontier` holds the roots of the perfect subtrees that n leaves make, one for each bit set in n: all
that is needed to add a leaf or to give the root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

_sha256 = hashlib.sha256
EMPTY: Final = _sha256(b"").digest()
"""The root of no leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node, 32 bytes."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [_sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
    return row[0]


class Frontier:
    """The right edge of a tree of `size` leaves."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        """`roots`: of the perfect subtrees from left to right, one for each bit set in `size`."""
        self.size = size
        self._roots = list(roots)

    def add(self, leaf: bytes) -> None:
        """One more leaf, given by its hash."""
        size = self.size
        while size & 1:
            leaf = _sha256(b"\x01" + self._roots.pop() + leaf).digest()
            size >>= 1
        self._roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree, 32 bytes."""
        if not self._roots:
            return EMPTY
        root = self._roots[-1]
        for left in self._roots[-2::-1]:
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        return Frontier(self.size, self._roots)
