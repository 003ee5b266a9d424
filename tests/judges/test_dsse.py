"""securesystemslib, DSSE's reference implementation in Python, judges exported hand-offs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from judges.evidence import Evidence, spki_pem
from securesystemslib import dsse, signer
from securesystemslib.exceptions import VerificationError as Refused

from custody.ledger.envelope import Envelope
from custody.ledger.keys import SigningKey


def theirs(key: SigningKey, name: str | None = None) -> Any:
    """The key as they have it, from its PEM."""
    return signer.SSlibKey.from_crypto(load_pem_public_key(spki_pem(key)), keyid=name or key.public.id)


def envelope(leaf: bytes) -> Any:
    return dsse.Envelope.from_dict(json.loads(leaf))


@pytest.fixture(scope="module")
def receipt(evidence: Evidence) -> bytes:
    """The hand-off from Carl to Ben, byte for byte as exported."""
    return evidence.entries()[evidence.find(evidence.receipt)]


def test_both_parties_signed_and_no_third(receipt: bytes, evidence: Evidence) -> None:
    carl, ben, ann = (theirs(evidence.world.keys[name]) for name in ("carl", "ben", "ann"))
    assert set(envelope(receipt).verify([carl, ben], threshold=2)) == {carl.keyid, ben.keyid}
    assert set(envelope(receipt).verify([ann, ben, carl], threshold=2)) == {carl.keyid, ben.keyid}
    for keys in ([carl, ann], [ben, ann]):
        with pytest.raises(Refused, match="Found: 1, Expected 2"):
            envelope(receipt).verify(keys, threshold=2)
    with pytest.raises(Refused, match="Found: 2, Expected 3"):
        envelope(receipt).verify([carl, ben, ann], threshold=3)
    with pytest.raises(ValueError, match="Number of keys"):
        envelope(receipt).verify([carl], threshold=2)


def test_one_partys_signature_alone_is_refused(receipt: bytes, evidence: Evidence) -> None:
    keys = [theirs(evidence.world.keys[name]) for name in ("carl", "ben")]
    ours = Envelope.read(receipt)
    giver, taker = ours.signatures
    for signatures in (
        (giver,),
        (taker,),
        (giver, replace(taker, der=giver.der)),
        (replace(giver, key=taker.key), replace(taker, key=giver.key)),
    ):
        with pytest.raises(Refused, match="Expected 2"):
            envelope(replace(ours, signatures=signatures).leaf()).verify(keys, threshold=2)


def test_a_flipped_bit_of_what_was_signed_is_refused(receipt: bytes, evidence: Evidence) -> None:
    keys = [theirs(evidence.world.keys[name]) for name in ("carl", "ben")]
    ours = Envelope.read(receipt)
    for at in range(0, len(ours.payload), 40):
        payload = bytearray(ours.payload)
        payload[at] ^= 1
        with pytest.raises(Refused, match="Found: 0"):
            envelope(replace(ours, payload=bytes(payload)).leaf()).verify(keys, threshold=2)


def test_every_signature_in_the_book_holds_for_them(evidence: Evidence) -> None:
    """Each keyid is a key's own, and so nothing is left out because a name did not fit."""
    keys = [theirs(key) for key in (*evidence.world.keys.values(), evidence.world.book.keys.server)]
    counts = set()
    for leaf in evidence.entries():
        signatures = Envelope.read(leaf).signatures
        accepted = envelope(leaf).verify(keys, threshold=len(signatures))
        assert set(accepted) == {signature.key for signature in signatures}
        counts.add(len(signatures))
    assert counts == {1, 2}


def test_what_they_read_and_write_is_what_was_exported(receipt: bytes) -> None:
    read = envelope(receipt)
    assert read.pae() == b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (
        len(read.payload),
        Envelope.read(receipt).payload,
    )
    assert json.loads(receipt) == read.to_dict()


def test_one_key_with_two_names_passes_for_two_people_but_not_where_a_keys_name_is_its_hash(
    evidence: Evidence, receipt: bytes
) -> None:
    """They count names. So whoever judges with their code names each key by its SPKI, as is done here."""
    carl, ben = (evidence.world.keys[name] for name in ("carl", "ben"))
    ours = Envelope.read(receipt)
    giver, taker = ours.signatures
    forged = replace(ours, signatures=(giver, replace(taker, der=giver.der))).leaf()
    misnamed = [theirs(carl), theirs(carl, ben.public.id)]
    assert len(envelope(forged).verify(misnamed, threshold=2)) == 2
    with pytest.raises(Refused, match="Found: 1, Expected 2"):
        envelope(forged).verify([theirs(carl), theirs(ben)], threshold=2)


def test_reading_an_envelope_changes_what_it_was_read_from(receipt: bytes) -> None:
    """So here it is parsed anew for each judgement."""
    value = json.loads(receipt)
    dsse.Envelope.from_dict(value)
    assert value != json.loads(receipt)
