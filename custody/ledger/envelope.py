"""The envelope: a payload and the signatures over it, in the one form in which it is stored and hashed.

DSSE 1.0.2 with `payloadType` `application/vnd.in-toto+json`. A signature is over the payload's
pre-authentication encoding (PAE), and the SHA-256 of that encoding is the event's identity: the same
statement signed again is the same event. The envelope's bytes are the leaf of the tree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from custody.errors import Unreadable
from custody.ledger.keys import PublicKey, one_spelling
from custody.strict import base64text, json_bytes, unbase64

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
ENVELOPE_MOST: Final = 32 * 1024
"""Bytes of the largest envelope. C2SP tlog-tiles would allow 65,535."""


def pae(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the payload (protocol.md, "PAE")."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def event_id(payload: bytes) -> str:
    """The identity of the event: hexadecimal SHA-256 of the PAE."""
    return hashlib.sha256(pae(payload)).hexdigest()


@dataclass(frozen=True, slots=True)
class Signature:
    """A key's id (hexadecimal SHA-256 of its SPKI) and its signature, DER with the lower s."""

    key: str
    der: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with one or two signatures, in the order that the kind of fact prescribes."""

    payload: bytes
    signatures: tuple[Signature, ...]

    def leaf(self) -> bytes:
        """The bytes that enter the tree: compact JSON, fixed member order, standard padded base64."""
        return json_bytes(
            {
                "payload": base64text(self.payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": s.key, "sig": base64text(s.der)} for s in self.signatures],
            }
        )

    def holds(self, keys: Sequence[PublicKey]) -> bool:
        """Whether each signature is by the key that stands in its place here."""
        signed = pae(self.payload)
        return all(
            key.verifies(signature.der, signed) for key, signature in zip(keys, self.signatures, strict=True)
        )

    @classmethod
    def read(cls, leaf: bytes) -> Envelope:
        """The envelope of these bytes, or Unreadable; accepts exactly what `leaf` writes."""
        if len(leaf) > ENVELOPE_MOST:
            raise Unreadable(
                f"An envelope holds {ENVELOPE_MOST:,} bytes at most, this one has {len(leaf):,}."
            )
        found = _LEAF.fullmatch(leaf)
        if found is None:
            raise Unreadable("This is not a DSSE envelope in the one spelling that it has.")
        payload, *pairs = [part.decode("ascii") for part in found.groups() if part is not None]
        return cls(unbase64(payload), tuple(map(_signature, pairs[::2], pairs[1::2])))


_BASE64: Final = rb"([A-Za-z0-9+/]*={0,2})"
_SIGNATURE: Final = rb'\{"keyid":"([0-9a-f]{64})","sig":"%s"\}' % _BASE64
_LEAF: Final = re.compile(
    rb'\{"payload":"%s","payloadType":"%s","signatures":\[%s(?:,%s)?\]\}'
    % (_BASE64, re.escape(PAYLOAD_TYPE.encode()), _SIGNATURE, _SIGNATURE)
)
"""What `leaf` writes, with one signature or two. That the base64 has one spelling is for `unbase64`."""


def _signature(key: str, encoded: str) -> Signature:
    der = unbase64(encoded)
    if one_spelling(der) != der:
        raise Unreadable("A signature is DER with the lower s.")
    return Signature(key, der)
