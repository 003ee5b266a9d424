"""The tree: RFC 6962 section 2.1 (the same in RFC 9162), with SHA-256.

    leaf(entry)       = SHA-256(0x00 || entry)
    node(left, right) = SHA-256(0x01 || left || right)
    root of n leaves  = node(root of the first k, root of the rest), k the largest power of two below n

`Frontier` holds the roots of the perfect subtrees that n leaves make, one for each bit set in n: all
that is needed to add a leaf or to give the root.

Proofs are made from any `Subtree`: a function that gives the root of the perfect subtree over the leaves
number * 2**height up to (number + 1) * 2**height. Of a stored tree it reads a tile or two; no leaf is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

_sha256 = hashlib.sha256
EMPTY: Final = _sha256(b"").digest()
"""The root of no leaves."""

Subtree = Callable[[int, int], bytes]
"""`subtree(height, number)`: a node's hash, 32 bytes."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node, 32 bytes."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    return nodes(hashes)[-1][0]


def nodes(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """All perfect subtrees over these neighbours, by height: the hashes themselves, their pairs, and on."""
    rows = [list(hashes)]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([_sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)])
    return rows


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


# ----------------------------------------------------------------------------------------------- proofs


def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("a leaf is proved within a tree that has it")
    proof = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _half(high - low)
        if index < middle:
            proof.append(_span(middle, high, subtree))
            high = middle
        else:
            proof.append(_span(low, middle, subtree))
            low = middle
    return proof[::-1]


def consistency(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that show the first `old` leaves to begin the first `size` (RFC 6962, 2.1.2)."""
    if not 0 < old <= size:
        raise ValueError("a tree that is not empty is proved to be the beginning of one as large or larger")
    proof = []
    low, high = 0, size
    while old != high:
        middle = low + _half(high - low)
        if old <= middle:
            proof.append(_span(middle, high, subtree))
            high = middle
        else:
            proof.append(_span(low, middle, subtree))
            low = middle
    if low:  # else it is the old root itself, which the verifier has
        proof.append(_span(low, high, subtree))
    return proof[::-1]


def includes(root: bytes, size: int, leaf: bytes, index: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof leads from the leaf's hash at this index to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if not last:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return not last and found == root


def extends(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the old tree to be the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if old == size:
        return not proof and old_root == root
    if not 0 < old < size or not proof:
        return False
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if at & 1 or at == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        at, last = at >> 1, last >> 1
    return not last and was == old_root and now == root


def _half(count: int) -> int:
    """The largest power of two below this count, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _span(low: int, high: int, subtree: Subtree) -> bytes:
    """The root over the leaves from low to high: a perfect subtree, or what the right edge has of one."""
    roots = []
    while low < high:
        height = (high - low).bit_length() - 1
        roots.append(subtree(height, low >> height))
        low += 1 << height
    root = roots.pop()
    while roots:
        root = node_hash(roots.pop(), root)
    return root
