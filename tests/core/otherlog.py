"""A log of another make: signed-note, tlog-checkpoint and RFC 6962, written once more and not with ours."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from core.rfc6962 import mth, proof
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class OtherLog:
    """As many entries as are asked for. Two of one origin and other `entries` are a log and its fork."""

    def __init__(self, origin: str, key: str = "", entries: str = "entry", most: int = 40) -> None:
        seed = hashlib.sha256((key or origin).encode()).digest()
        self.origin = origin
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
        self.vkey = f"{origin}+{self.id.hex()}+{b64encode(bytes([1]) + public).decode()}"
        self.leaves = [hashlib.sha256(b"\x00%s %d" % (entries.encode(), n)).digest() for n in range(most)]

    @property
    def hash(self) -> str:
        """The log's name in a witness's address."""
        return hashlib.sha256(self.origin.encode()).hexdigest()

    def root(self, size: int) -> bytes:
        return mth(self.leaves[:size])

    def text(self, size: int, root: bytes | None = None, more: str = "") -> str:
        encoded = b64encode(self.root(size) if root is None else root).decode()
        return f"{self.origin}\n{size}\n{encoded}\n{more}"

    def line(self, text: str) -> str:
        return f"— {self.origin} {b64encode(self.id + self.private.sign(text.encode())).decode()}\n"

    def note(self, size: int, root: bytes | None = None, more: str = "") -> str:
        text = self.text(size, root, more)
        return f"{text}\n{self.line(text)}"

    def proof(self, old: int, size: int) -> list[bytes]:
        return proof(old, self.leaves[:size]) if 0 < old <= size else []

    def ask(self, old: int, size: int, hashes: list[bytes] | None = None, note: str | None = None) -> bytes:
        """An add-checkpoint request: the honest one, but for what is given."""
        hashes = self.proof(old, size) if hashes is None else hashes
        lines = [f"old {old}", *(b64encode(each).decode() for each in hashes), "", note or self.note(size)]
        return "\n".join(lines).encode()
