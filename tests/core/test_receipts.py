"""Receipts (C2SP tlog-proof): what they prove to whoever holds the policy, and that nothing else passes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.errors import Forged, Refusal, Unreadable
from custody.ledger.merkle import Frontier, inclusion, leaf_hash, nodes
from custody.ledger.note import Checkpoint, LogKey, Policy, policy_text
from custody.ledger.receipt import HASHES_MOST, HEADER, Receipt

KEY = LogKey("log.test/a", Ed25519PrivateKey.generate())
POLICY = Policy.read(policy_text(str(KEY.verifier)).encode())
ENTRIES = [b"entry %d" % number for number in range(11)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def note(entries: int = 11, key: LogKey = KEY) -> str:
    frontier = Frontier()
    for leaf in LEAVES[:entries]:
        frontier.add(leaf)
    return key.sign(Checkpoint(key.verifier.name, entries, frontier.root()))


def receipt(index: int, size: int = 11) -> Receipt:
    proof = inclusion(index, size, lambda height, n: nodes(LEAVES[n << height : n + 1 << height])[-1][0])
    return Receipt(ENTRIES[index], index, tuple(proof), note(size))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
def test_each_entry_of_each_tree_is_proved(size: int) -> None:
    for index in range(size):
        read = Receipt.read(str(receipt(index, size)).encode())
        assert read == receipt(index, size)
        opened = read.check(POLICY)
        assert (opened.checkpoint.size, opened.logs) == (size, (str(KEY.verifier),))


def test_a_receipt_is_the_text_that_the_specification_shows() -> None:
    lines = str(receipt(4)).split("\n")
    assert lines[:3] == [HEADER, "extra ZW50cnkgNA==", "index 4"]
    assert lines[7:10] == ["", "log.test/a", "11"]
    assert all(len(line) == 44 for line in lines[3:7])
    assert str(receipt(4)).endswith(note())


@given(at=st.integers(0, len(str(receipt(4)).encode()) - 1), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_no_flipped_bit_passes(at: int, bit: int) -> None:
    data = bytearray(str(receipt(4)).encode())
    data[at] ^= 1 << bit
    with pytest.raises(Refusal):
        Receipt.read(bytes(data)).check(POLICY)


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_no_bytes_make_the_reader_crash(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Receipt.read(HEADER.encode() + data)


def test_other_spellings_are_refused() -> None:
    good = str(receipt(4))
    for wrong in (
        good.replace("index 4", "index 04"),
        good.replace("index 4", "index +4"),
        good.replace("index 4", "index 4 "),
        good.replace("index 4", "index " + "9" * 20),
        good.replace("extra ZW50cnkgNA==\n", ""),
        good.replace("extra ZW50cnkgNA==", "extra ZW50cnkgNB=="),
        good.replace("\n", "\r\n"),
        good.replace(HEADER, HEADER + " "),
        good.replace("index 4\n", "index 4\nAAAA\n"),
        good.replace("index 4\n", "index 4\n" + "A" * 43 + "=\n" * HASHES_MOST),
        good + "\n",
        "\n" + good,
    ):
        with pytest.raises(Unreadable):
            Receipt.read(wrong.encode())


def test_the_proof_of_another_entry_or_place_is_forged() -> None:
    good = receipt(4)
    for wrong in (
        Receipt(ENTRIES[5], 4, good.proof, good.note),
        Receipt(good.entry, 5, good.proof, good.note),
        Receipt(good.entry, 4, good.proof[1:], good.note),
        Receipt(good.entry, 4, (*good.proof, LEAVES[0]), good.note),
        Receipt(good.entry, 11, good.proof, good.note),
        Receipt(good.entry, 4, good.proof, note(8)),
    ):
        with pytest.raises(Forged, match="do not lead from its entry to the signed checkpoint"):
            wrong.check(POLICY)


def test_a_checkpoint_that_the_policy_does_not_believe_proves_nothing() -> None:
    stranger = LogKey("log.test/a", Ed25519PrivateKey.generate())
    good = receipt(4)
    with pytest.raises(Unreadable, match="nobody whom the policy names"):
        Receipt(good.entry, 4, good.proof, note(key=stranger)).check(POLICY)
