"""pymerkle, a Merkle tree that others wrote: it has the roots that we have, and the public proofs."""

import pymerkle
from judges.vectors import INCLUSION, LEAVES

from custody.ledger.merkle import Frontier, leaf_hash


def entry(number: int) -> bytes:
    return b"entry %d" % number


def test_pymerkle_has_our_root_at_every_size_up_to_300_and_at_70_000() -> None:
    ours, theirs = Frontier(), pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(1, 70_001):
        ours.add(leaf_hash(entry(size)))
        theirs.append_entry(entry(size))
        if size <= 300 or size == 70_000:
            assert theirs.get_root() == ours.root(), size


def test_pymerkle_has_another_root_when_one_entry_differs() -> None:
    ours, theirs = Frontier(), pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(300):
        ours.add(leaf_hash(entry(number)))
        theirs.append_entry(entry(number) if number != 299 else b"entry 298")
    assert theirs.get_root(299) != ours.root() != theirs.get_root()


def test_pymerkle_makes_the_inclusion_proofs_of_certificate_transparency() -> None:
    """So the vectors here are what the tree says. (Its consistency proofs have a form of their own.)"""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries([bytes.fromhex(leaf) for leaf in LEAVES])
    for index, size, proof in INCLUSION:
        leaf, *path = tree.prove_inclusion(index + 1, size).path  # it counts from 1, and begins with the leaf
        assert leaf == leaf_hash(bytes.fromhex(LEAVES[index]))
        assert [each.hex() for each in path] == list(proof)
