"""The keys that people and the server sign statements with: ECDSA P-256 with SHA-256.

WebCrypto gives a signature as r and s, 64 bytes; every other tool wants DER; and of each signature
there are two valid forms, (r, s) and (r, n - s). So that one signature has one spelling, what arrives is
made DER with the lower s, and nothing else is ever stored or accepted from storage.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from custody.errors import Unreadable
from custody.strict import base64text, unbase64

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of P-256's base point (SEC 2, section 2.4.2)."""

_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_ECDSA_DETERMINISTIC: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class PublicKey:
    """A person's device or the server, as seen by a verifier."""

    __slots__ = ("id", "key", "spki")

    def __init__(self, key: ec.EllipticCurvePublicKey, spki: str) -> None:
        self.key = key
        self.spki = spki
        self.id = hashlib.sha256(unbase64(spki)).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this DER signature with the lower s is this key's over the message."""
        return _verifies(self, signature, message)


@lru_cache(maxsize=4096)
def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Remembered, so that a signature can be verified by one thread before another takes it in."""
    try:
        if decode_dss_signature(signature)[1] > ORDER // 2:
            return False
        key.key.verify(signature, message, _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def public_key(spki: str) -> PublicKey:
    """The P-256 key of this base64 SubjectPublicKeyInfo (RFC 5480), or Unreadable.

    Only the uncompressed point in DER is taken: one key, one key id.
    """
    der = unbase64(spki)
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise Unreadable("This is not a public key.") from problem
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Unreadable("Only keys on the curve P-256 are enrolled.")
    if _spki(key) != spki:
        raise Unreadable("This public key is not in the one spelling that it has.")
    return PublicKey(key, spki)


def _spki(key: ec.EllipticCurvePublicKey) -> str:
    return base64text(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def one_spelling(signature: bytes) -> bytes:
    """A signature as it arrived, raw r and s (64 bytes) or DER, as DER with the lower s."""
    try:
        if len(signature) == 64:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        else:
            r, s = decode_dss_signature(signature)
    except ValueError as problem:
        raise Unreadable("This is not an ECDSA signature.") from problem
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise Unreadable("This is not an ECDSA signature on P-256.")
    return encode_dss_signature(r, min(s, ORDER - s))


class SigningKey:
    """A private key held in this process: the server's, a console's, a simulated device's."""

    __slots__ = ("_private", "public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public = public_key(_spki(private.public_key()))

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """The key in an unencrypted PKCS#8 file."""
        try:
            private = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
            raise Unreadable("This file holds no private key that can be read.") from problem
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise Unreadable("This file holds no P-256 key.")
        return cls(private)

    def pem(self) -> bytes:
        """PKCS#8, unencrypted: who can read the file is who can sign."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def pkcs8(self) -> bytes:
        """The same in DER, the form that WebCrypto imports."""
        return self._private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, message: bytes) -> bytes:
        """The signature over the message (RFC 6979), DER with the lower s."""
        return one_spelling(self._private.sign(message, _ECDSA_DETERMINISTIC))
