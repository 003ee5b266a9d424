"""The receipt of an entry, to be kept by whoever signed it: C2SP tlog-proof.

    c2sp.org/tlog-proof@v1
    extra eyJwYXlsb2FkIjo...                          the entry itself, byte for byte
    index 41                                          its place in the log
    LWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw=      from the leaf's sibling up to the root's child
    ...

    custody.example/log                               a checkpoint that covers it, as it was signed
    1000
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — custody.example/log iSr7r5Ef...

Whoever holds one can show, with a policy and without us, that the log took the entry in; and the log can
never again show a history without it to whoever sees the receipt. It is a pin, too: an auditor takes its
checkpoint (`custody audit --pin`).

The specification leaves `extra` to the application and says not to trust it. Here it is the leaf, and so it
is the proof that vouches for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from custody.errors import Forged, Unreadable
from custody.ledger.merkle import includes, leaf_hash
from custody.ledger.note import Checkpoint, Note, Opened, Policy
from custody.strict import base64text, unbase64

HEADER: Final = "c2sp.org/tlog-proof@v1"
HASHES_MOST: Final = 63
"""More than any tree of 2**63 leaves has above a leaf."""
INDEX_MOST: Final = 19
"""Digits."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry with its place, the hashes of its inclusion proof, and the signed note of a checkpoint."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        hashes = "".join(f"{base64text(one)}\n" for one in self.proof)
        return f"{HEADER}\nextra {base64text(self.entry)}\nindex {self.index}\n{hashes}\n{self.note}"

    @classmethod
    def read(cls, data: bytes) -> Receipt:
        """The receipt in a file, or Unreadable; accepts exactly what `str` writes. It verifies nothing."""
        try:
            head, gap, note = data.decode("utf-8").partition("\n\n")
        except UnicodeDecodeError as problem:
            raise Unreadable("A receipt is UTF-8 text.") from problem
        lines = head.split("\n")
        if lines[0] != HEADER or not gap:
            raise Unreadable(
                f"A receipt begins with the line {HEADER}; after an empty line a checkpoint follows."
            )
        if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise Unreadable("This proof has no entry in it: its second line is extra, its third is index.")
        digits = lines[2].removeprefix("index ")
        if not digits.isascii() or not digits.isdigit() or len(digits) > INDEX_MOST:
            raise Unreadable("A receipt's index is a number.")
        if len(lines) - 3 > HASHES_MOST:
            raise Unreadable(f"A receipt has at most {HASHES_MOST} hashes.")
        Note.read(note.encode())
        proof = tuple(unbase64(line) for line in lines[3:])
        receipt = cls(unbase64(lines[1].removeprefix("extra ")), int(digits), proof, note)
        if any(len(one) != 32 for one in proof) or str(receipt).encode() != data:
            raise Unreadable("This receipt is not in the one spelling that it has.")
        return receipt

    def check(self, policy: Policy) -> Opened:
        """The checkpoint that covers the entry, believed by this policy.

        Unreadable where the policy does not believe it, Forged where the proof does not lead to it.
        """
        opened = policy.open(self.note.encode())
        self.check_proof(opened.checkpoint)
        return opened

    def check_proof(self, checkpoint: Checkpoint) -> None:
        """Forged where the proof does not lead from the entry to this checkpoint."""
        if not includes(checkpoint.root, checkpoint.size, leaf_hash(self.entry), self.index, self.proof):
            raise Forged("The hashes in this receipt do not lead from its entry to the signed checkpoint.")
