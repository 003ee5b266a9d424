"""C2SP tlog-witness, add-checkpoint: what a log asks, what a witness owes it, and what comes back.

    old 20852014                                      the size that the witness cosigned last
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=      the proof that the new tree begins with the old one
                                                      an empty line
    example.com/behind-the-sofa                       the checkpoint to be cosigned, as the log signed it
    ...

A witness holds two numbers of a log, and its promise is that they never contradict each other: whoever owns
the log can write it anew, and cannot have the new one cosigned. Nothing here reads a clock or keeps a thing;
`custody.witness` does, in one transaction around `judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from custody.errors import Refusal, Unreadable
from custody.ledger.merkle import EMPTY, extends
from custody.ledger.note import Checkpoint, Note, NoteSignature, VerifierKey
from custody.strict import base64text, unbase64

PROOF_MOST: Final = 63
SIZE_LIMIT: Final = 1 << 63
"""Sizes stay below: what an SQLite column and other witnesses' 64 bits can hold."""


class Declined(Refusal):
    """The witness does not cosign. `status` is the HTTP status for it (tlog-witness, add-checkpoint).

    With 409 the words are the size that the witness cosigned last, and nothing else.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The body of an add-checkpoint request; `bytes` writes what `read` accepts, byte for byte."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def read(cls, body: bytes) -> AddCheckpoint:
        """The request of these bytes, or Unreadable (tlog-witness: 400). Nothing is verified yet."""
        head, gap, note = body.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as problem:
            raise Unreadable("The lines above the checkpoint are ASCII.") from problem
        word, _, digits = first.partition(" ")
        if not gap or word != "old":
            raise Unreadable("A request is `old <size>`, proof lines, an empty line and a checkpoint.")
        if len(lines) > PROOF_MOST:
            raise Unreadable(f"A consistency proof has at most {PROOF_MOST} lines.")
        proof = tuple(unbase64(line) for line in lines)
        if any(len(each) != 32 for each in proof):
            raise Unreadable("A line of a consistency proof is one hash of 32 bytes in base64.")
        request = cls(_size(digits), proof, Note.read(note))
        if request.checkpoint.size >= SIZE_LIMIT:
            raise Unreadable("No log has 2^63 entries.")
        return request

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old}", *map(base64text, self.proof)]
        return "".join(f"{line}\n" for line in [*lines, ""]).encode() + str(self.note).encode()

    @property
    def checkpoint(self) -> Checkpoint:
        """The note's first three lines; Unreadable where they are none.

        A log of another make may have extension lines below them, which a bundle of ours never has. They
        are cosigned with the rest, and mean nothing here (tlog-cosignature, "Ed25519 signed message").
        """
        lines = self.note.text.split("\n")
        if "" in lines[:-1]:
            raise Unreadable("A checkpoint has no empty lines.")
        return Checkpoint.read("".join(f"{line}\n" for line in lines[:3]))


def _size(digits: str) -> int:
    size = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else SIZE_LIMIT
    if size >= SIZE_LIMIT or str(size) != digits:
        raise Unreadable("A size is a decimal number below 2^63, without leading zeroes.")
    return size


@dataclass(frozen=True, slots=True)
class Known:
    """What a witness knows of a log: whose signature it trusts, and what it cosigned last, if anything."""

    keys: tuple[VerifierKey, ...]
    size: int = 0
    root: bytes = EMPTY


def judge(request: AddCheckpoint, known: Known | None) -> Note:
    """The checkpoint to cosign and keep, with the log's own signatures alone; or Declined.

    The checks stand in the order of tlog-witness, add-checkpoint. Signatures of others are left behind:
    anybody can add such a line to a log's note, and the witness would show it to every monitor.
    """
    checkpoint = request.checkpoint
    if known is None:
        raise Declined(404, "This witness does not know this log: its operator has not added it.")
    signed = Note(request.note.text, _trusted(request.note, known.keys))
    if request.old > checkpoint.size:
        raise Declined(400, f"A tree of {checkpoint.size} entries extends none of {request.old}.")
    if request.old != known.size:
        raise Declined(409, str(known.size))
    if checkpoint.size == 0 and checkpoint.root != EMPTY:
        raise Declined(422, "A tree without entries has another root: the hash of nothing.")
    if request.old == 0 and request.proof:
        raise Declined(422, "Every tree extends the empty one: from size 0 there is no proof to give.")
    if request.old == checkpoint.size and checkpoint.root != known.root:
        raise Declined(422, f"Another root was cosigned for {known.size} entries: the log has forked.")
    if request.old and not extends(request.old, known.root, checkpoint.size, checkpoint.root, request.proof):
        raise Declined(422, f"The proof does not lead from the {known.size} entries cosigned last to these.")
    return signed


def _trusted(note: Note, keys: Iterable[VerifierKey]) -> tuple[NoteSignature, ...]:
    """The log's signatures, one of each key. One that does not hold spoils the note (signed-note)."""
    found = []
    for key in keys:
        claimed = _of(key, note)
        if not all(key.verifies(each.signature, note.text) for each in claimed):
            raise Declined(403, f"The signature of {key.name} on this checkpoint does not hold.")
        found += claimed[:1]
    if not found:
        raise Declined(403, "No key that this witness trusts for this log has signed this checkpoint.")
    return tuple(found)


def _of(key: VerifierKey, note: Note) -> list[NoteSignature]:
    return [each for each in note.signatures if (each.name, each.key_id) == (key.name, key.id)]


# ------------------------------------------------------------------------------------------- the answer


def cosignatures(answer: bytes, text: str, witnesses: Sequence[VerifierKey]) -> tuple[NoteSignature, ...]:
    """The cosignatures in a 200's answer that these witnesses made over a note's text, in their order here.

    Lines of others are ignored. Unreadable where the answer is no signature lines, or where a line claims
    one of these keys and does not hold or has no time (tlog-witness: it MUST NOT be omitted).
    """
    note = Note.read(f"{text}\n".encode() + answer)
    if note.text != text:  # an empty line in the answer would make what stands above it part of the text
        raise Unreadable("A witness answers with signature lines and nothing else.")
    found = []
    for key in witnesses:
        claimed = _of(key, note)
        if not all(key.verifies(each.signature, text) and cosigned_at(each) for each in claimed):
            raise Unreadable(f"The cosignature of {key.name} does not hold.")
        found += claimed[:1]
    return tuple(found)


def latest_size(answer: bytes) -> int:
    """The size in a 409's answer: what the witness cosigned last, and wants a proof from; or Unreadable."""
    if not answer.endswith(b"\n"):
        raise Unreadable("The witness's answer breaks off.")
    return _size(answer[:-1].decode("latin-1"))


def cosigned_at(cosignature: NoteSignature) -> int:
    """The time that a cosignature/v1 states, in POSIX seconds; 0 where it states none that can be."""
    moment = int.from_bytes(cosignature.signature[:8], "big")
    return moment if moment < 1 << 63 else 0
