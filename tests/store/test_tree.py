"""The stored tree: what it says of nodes, tiles and proofs is what the entries make it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from core.rfc6962 import mth, path, proof
from world import World

from custody.errors import NotFound, Untrusted
from custody.ledger.merkle import leaf_hash
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import KEPT_MOST, Kept, Tile, hash_tiles, read_entry_bundle
from custody.store.tree import Tree


@pytest.fixture(scope="module")
def large(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A book of two full tiles and a bit. Looked at, never written to."""
    world = template.copy(tmp_path_factory.mktemp("large"))
    while Checkpoint.of(world.book.checkpoint()).size < 520:
        world.register(100)
    return world


def leaves_of(world: World) -> list[bytes]:
    with world.book.read() as connection:
        entries = connection.scalars(sa.text("SELECT data FROM entry ORDER BY seq")).all()
    return [leaf_hash(entry) for entry in entries]


def test_every_proof_is_the_one_that_the_leaves_make(large: World) -> None:
    leaves = leaves_of(large)
    kept: Kept = {}
    with large.book.read() as connection:
        for size in (1, 2, 255, 256, 257, 511, 512, 513, len(leaves)):
            tree = Tree(connection, size, kept)
            assert tree.frontier().root() == mth(leaves[:size])
            for index in {0, 1, size // 2, size - 1} & set(range(size)):
                assert tree.inclusion(index) == path(index, leaves[:size])
            for old in {1, size // 3, 255, 256, size} & set(range(1, size + 1)):
                assert tree.consistency(old) == proof(old, leaves[:size])
    assert set(kept) == {(0, 0), (0, 1)}, "full tiles are kept, and what may still grow is not"


def test_every_tile_is_the_one_that_the_leaves_make(large: World) -> None:
    leaves = leaves_of(large)
    with large.book.read() as connection:
        tree = Tree(connection)
        assert tree.size == len(leaves)
        made = dict(hash_tiles(leaves))
        assert tree.tile(Tile(0, 0)) == made["tile/0/000"]
        assert tree.tile(Tile(0, 1)) == made["tile/0/001"]
        assert tree.tile(Tile(0, 2, tree.size - 512)) == made[f"tile/0/002.p/{tree.size - 512}"]
        assert tree.tile(Tile(1, 0, 2)) == made["tile/1/000.p/2"]
        assert tree.tile(Tile(1, 0, 1)) == made["tile/1/000.p/2"][:32]
        assert [leaf_hash(e) for e in read_entry_bundle(tree.tile(Tile(None, 1)), 256)] == leaves[256:512]
        assert [leaf_hash(e) for e in read_entry_bundle(tree.tile(Tile(None, 2, 3)), 3)] == leaves[512:515]


@pytest.mark.parametrize(
    ("level", "number", "width"),
    [
        (0, 2, 256),
        (None, 2, 256),
        (0, 3, 1),
        (1, 0, 3),
        (2, 0, 1),
        (0, 0, 0),
        (0, 0, 257),
        (0, -1, 1),
        (0, 10**12, 1),
    ],
)
def test_a_tile_that_is_not_there(large: World, level: int | None, number: int, width: int) -> None:
    with large.book.read() as connection, pytest.raises(NotFound, match="no such tile"):
        Tree(connection).tile(Tile(level, number, width))


def test_a_hole_in_the_tree_is_never_papered_over(
    large: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = large.copy(tmp_path_factory.mktemp("hole"))
    with world.unguarded() as connection:
        connection.execute(sa.text("DELETE FROM tile WHERE level = 0 AND number = 1"))
        with pytest.raises(Untrusted, match="hole at level 1"):
            Tree(connection).frontier()
        with pytest.raises(Untrusted, match="hole at level 0"):
            Tree(connection).tile(Tile(0, 1))


def test_what_is_kept_has_an_end(large: World) -> None:
    kept: Kept = {(0, -number): [] for number in range(1, KEPT_MOST)}
    with large.book.read() as connection:
        Tree(connection, kept=kept).inclusion(0)
        assert len(kept) == KEPT_MOST
        proof = Tree(connection, kept=kept).inclusion(300)
        assert len(kept) == 1, "when it is full, it begins anew"
        assert proof == Tree(connection).inclusion(300)
