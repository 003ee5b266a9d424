"""Inclusion and consistency proofs, against RFC 6962 word for word and against Certificate Transparency's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from core.rfc6962 import mth, path, proof
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import vectors

from custody.ledger.merkle import (
    Frontier,
    Subtree,
    consistency,
    extends,
    includes,
    inclusion,
    leaf_hash,
    nodes,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(1100)]


def of(leaves: Sequence[bytes]) -> Subtree:
    """The perfect subtrees over some leaves."""
    return lambda height, number: nodes(leaves[number << height : number + 1 << height])[-1][0]


def root(size: int) -> bytes:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.add(leaf)
    return frontier.root()


def test_every_proof_up_to_40_leaves_is_the_rfcs_and_is_believed() -> None:
    for size in range(1, 41):
        leaves = LEAVES[:size]
        for index in range(size):
            found = inclusion(index, size, of(leaves))
            assert found == path(index, leaves)
            assert includes(mth(leaves), size, leaves[index], index, found)
        for old in range(1, size + 1):
            found = consistency(old, size, of(leaves))
            assert found == proof(old, leaves)
            assert extends(old, mth(leaves[:old]), size, mth(leaves), found)


def test_certificate_transparencys_proofs() -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in vectors.LEAVES]
    for index, size, hashes in vectors.INCLUSION:
        assert [one.hex() for one in inclusion(index, size, of(leaves))] == list(hashes)
    for old, size, hashes in vectors.CONSISTENCY:
        assert [one.hex() for one in consistency(old, size, of(leaves))] == list(hashes)


EDGES = st.sampled_from([1, 2, 3, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025])


@given(size=st.one_of(EDGES, st.integers(1, 1100)), data=st.data())
@settings(max_examples=60)
def test_proofs_around_the_tiles_edges(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.one_of(EDGES, st.integers(1, size)).filter(lambda n: n <= size))
    leaves = LEAVES[:size]
    found = inclusion(index, size, of(leaves))
    assert found == path(index, leaves)
    assert includes(root(size), size, leaves[index], index, found)
    found = consistency(old, size, of(leaves))
    assert found == proof(old, leaves)
    assert extends(old, root(old), size, root(size), found)


def test_a_proof_asks_for_a_few_nodes_however_many_leaves_there_are() -> None:
    asked = []

    def made_up(height: int, number: int) -> bytes:
        asked.append((height, number))
        return hashlib.sha256(b"%d/%d" % (height, number)).digest()

    size = (1 << 40) - 3
    assert len(inclusion(987_654_321_012, size, made_up)) == 40
    assert len(asked) <= 2 * 40
    assert len(consistency(987_654_321_012, size, made_up)) <= 41
    assert len(asked) <= 4 * 40


@given(size=st.integers(1, 70), data=st.data())
@settings(max_examples=80)
def test_nothing_else_is_believed(size: int, data: st.DataObject) -> None:
    """A hash changed, left out, added or exchanged; another leaf, place, size or root."""
    leaves = LEAVES[:size]
    index = data.draw(st.integers(0, size - 1))
    good = inclusion(index, size, of(leaves))
    for wrong in others(good, data):
        assert not includes(root(size), size, leaves[index], index, wrong)
    assert not includes(root(size), size, LEAVES[-1], index, good)
    assert not includes(LEAVES[-1], size, leaves[index], index, good)
    assert not includes(root(size), size, leaves[index], size, good)
    assert not includes(root(size), size, leaves[index], -1, good)
    for elsewhere in set(range(size)) - {index}:
        assert not includes(root(size), size, leaves[index], elsewhere, good)

    old = data.draw(st.integers(1, size))
    good = consistency(old, size, of(leaves))
    for wrong in others(good, data):
        assert not extends(old, root(old), size, root(size), wrong)
    assert not extends(old, LEAVES[-1], size, root(size), good)
    assert not extends(old, root(old), size, LEAVES[-1], good)
    assert not extends(0, root(0), size, root(size), [])
    assert not extends(size + 1, root(size), size, root(size), [])


def others(good: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    found = [[*good, LEAVES[0]], [LEAVES[0], *good]]
    if good:
        at = data.draw(st.integers(0, len(good) - 1))
        found.append([*good[:at], *good[at + 1 :]])
        found.append([*good[:at], bytes([good[at][0] ^ 1]) + good[at][1:], *good[at + 1 :]])
    if len(good) > 1:
        found.append([good[1], good[0], *good[2:]])
    return found


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 5), (5, 5)])
def test_no_proof_is_made_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="within a tree that has it"):
        inclusion(index, size, of(LEAVES))


@pytest.mark.parametrize(("old", "size"), [(0, 5), (6, 5), (0, 0), (-1, 5)])
def test_no_proof_is_made_of_a_tree_that_is_not_smaller(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="the beginning of one as large or larger"):
        consistency(old, size, of(LEAVES))
