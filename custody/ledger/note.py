"""Signed notes, checkpoints and trust policies: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0,
tlog-cosignature v1.0.1 and tlog-policy.

    custody.example/log                               the origin: the log's name
    1000                                              how many entries
    LWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw=      the root of the tree over them

    — custody.example/log iSr7r5Ef...                 the log's Ed25519 signature over the lines above
    — witness.example/a jWbPPwAAAA...                 a witness's, with the time at which it made it

A policy says which log's signature is wanted, and how many witnesses'.
"""  # noqa: D205 - the first lines name four specifications

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from custody.errors import Unreadable
from custody.strict import base64text, unbase64

ED25519: Final = 1
COSIGNATURE: Final = 4
SIGNATURES_MOST: Final = 64
SURROGATES: Final = frozenset(map(chr, range(0xD800, 0xE000)))
"""How bytes that are not UTF-8 stand in a policy's text, which the specification takes as octets."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's (type 1) or a witness's (type 4) public key with its name: a vkey."""

    name: str
    type: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The 4-byte key id of signed-note, "Signatures"."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64text(bytes([self.type]) + self.public)}"

    @classmethod
    def read(cls, vkey: str) -> VerifierKey:
        """The key of a vkey, or Unreadable; accepts exactly what `str` writes."""
        name, _, rest = vkey.partition("+")
        _, _, encoded = rest.partition("+")
        material = unbase64(encoded)
        if not name or any(c.isspace() or c in SURROGATES for c in name):
            raise Unreadable("A vkey begins with a name, which has no spaces and is UTF-8.")
        if len(material) != 33 or material[0] not in (ED25519, COSIGNATURE):
            raise Unreadable("This is not a vkey of an Ed25519 log or witness.")
        key = cls(name, material[0], material[1:])
        if str(key) != vkey:
            raise Unreadable("The key id in this vkey is not that of its key.")
        return key

    def verifies(self, signature: bytes, text: str) -> bool:
        """Whether this is the key's signature over a note's text; for a witness, with its time before it."""
        message = text.encode()
        if self.type == COSIGNATURE:
            if len(signature) != 8 + 64:
                return False
            (moment,) = struct.unpack(">Q", signature[:8])
            if moment >= 1 << 63:  # C2SP tlog-cosignature: there is no such time
                return False
            message, signature = _cosigned(text, moment), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class _NoteKey:
    """An Ed25519 private key, and the name under which it signs notes."""

    __slots__ = ("_private", "verifier")
    _type: ClassVar[int]

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.verifier = VerifierKey(name, self._type, public)

    @classmethod
    def from_pem(cls, name: str, pem: bytes) -> Self:
        """The key in an unencrypted PKCS#8 file."""
        try:
            private = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
            raise Unreadable("This file holds no private key that can be read.") from problem
        if not isinstance(private, Ed25519PrivateKey):
            raise Unreadable("This file holds no Ed25519 key.")
        return cls(name, private)

    def pem(self) -> bytes:
        """PKCS#8, unencrypted."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _line(self, signature: bytes) -> str:
        return str(NoteSignature(self.verifier.name, self.verifier.id, signature))


class LogKey(_NoteKey):
    """The log's private key, which signs checkpoints and nothing else."""

    __slots__ = ()
    _type = ED25519

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint."""
        text = checkpoint.text()
        return f"{text}\n{self._line(self._private.sign(text.encode()))}"


class WitnessKey(_NoteKey):
    """A witness's private key, which cosigns checkpoints and nothing else."""

    __slots__ = ()
    _type = COSIGNATURE

    def cosign(self, text: str, moment: int) -> str:
        """The signature line of a cosignature/v1 (tlog-cosignature, "Ed25519 signed message").

        It states that at this moment, in POSIX seconds, the text's tree is the largest seen of its log.
        """
        assert 0 < moment < 1 << 63, "tlog-witness wants a time; tlog-cosignature ends before 2^63"
        signature = self._private.sign(_cosigned(text, moment))
        return self._line(struct.pack(">Q", moment) + signature)


def _cosigned(text: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its size in entries and the root of its tree."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{base64text(self.root)}\n"

    @property
    def seen(self) -> str:
        """`"<size> <root>"`, as a hand-off states what a device has seen."""
        return f"{self.size} {base64text(self.root)}"

    @classmethod
    def read(cls, text: str) -> Checkpoint:
        """The checkpoint of a note's text, or Unreadable; extension lines are refused."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[1].isascii() or not lines[1].isdigit():
            raise Unreadable("A checkpoint is three lines: the log's name, its size and its root.")
        checkpoint = cls(lines[0], int(lines[1][:20]), unbase64(lines[2]))
        if len(checkpoint.root) != 32 or not checkpoint.origin or checkpoint.text() != text:
            raise Unreadable("This checkpoint is not in the one spelling that it has.")
        return checkpoint

    @classmethod
    def of(cls, note: bytes | str) -> Checkpoint:
        """What a signed note says, by whomever it is signed."""
        return cls.read(Note.read(note.encode() if isinstance(note, str) else note).text)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line: who, with which key id, and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64text(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text ending in a newline, and the signature lines under it. Nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def read(cls, data: bytes) -> Note:
        """The note of these bytes, or Unreadable."""
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise Unreadable("A signed note is UTF-8 text.") from problem
        if any(ord(c) < 0x20 and c != "\n" for c in whole):
            raise Unreadable("A signed note has no control characters.")
        text, gap, lines = whole.rpartition("\n\n")
        if not gap or not text or not lines.endswith("\n"):
            raise Unreadable("A signed note is a text, an empty line and signature lines.")
        signatures = lines[:-1].split("\n")
        if len(signatures) > SIGNATURES_MOST:
            raise Unreadable(f"A signed note has at most {SIGNATURES_MOST} signatures here.")
        return cls(text + "\n", tuple(_signature_line(line) for line in signatures))

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"


def _signature_line(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = unbase64(encoded)
    if dash != "—" or not name or "+" in name or any(c.isspace() for c in name) or len(data) < 5:
        raise Unreadable("This is not a signature line of a note.")
    return NoteSignature(name, data[:4], data[4:])


# ------------------------------------------------------------------------------------------ the policy

Satisfied = Callable[[frozenset[str]], bool]


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose signatures hold, the logs' vkeys that signed it, and the witnesses' names.

    `times` is when each of these witnesses says that it cosigned, in POSIX seconds.
    """

    checkpoint: Checkpoint
    logs: tuple[str, ...]
    witnesses: tuple[str, ...]
    times: tuple[int, ...] = ()


def policy_text(vkey: str) -> str:
    """The trust file of a log that has no witness: C2SP tlog-policy."""
    return f"log {vkey}\nquorum none\n"


@dataclass(frozen=True)
class Policy:
    """Whose checkpoints are believed: one of these logs', cosigned by a quorum of these witnesses.

    `urls` is where those witnesses are asked of whom the policy says it (tlog-witness, submission prefix).
    """

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[tuple[str, VerifierKey], ...]
    quorum: str
    satisfied: Satisfied
    urls: Mapping[str, str]

    @classmethod
    def read(cls, data: bytes) -> Policy:
        """The policy of a C2SP tlog-policy file, or Unreadable with the line's number."""
        return _PolicyReader(data).policy()

    def open(self, data: bytes) -> Opened:
        """The checkpoint of a signed note that this policy believes, or Unreadable saying why not.

        Stricter than signed-note: a signature line of a key that the policy does not name is refused, not
        ignored, and the lines stand in the policy's order, logs first. Here every byte of the evidence
        must mean something, and one log must have one bundle.
        """
        note = Note.read(data)
        checkpoint = Checkpoint.read(note.text)
        waiting: list[tuple[str | None, VerifierKey]]
        waiting = [(None, key) for key in self.logs] + [(name, key) for name, key in self.witnesses]
        signed: list[tuple[str | None, VerifierKey]] = []
        times: list[int] = []
        for line in note.signatures:
            while waiting and (waiting[0][1].name, waiting[0][1].id) != (line.name, line.key_id):
                waiting.pop(0)
            if not waiting:
                raise Unreadable(
                    f"The checkpoint's signature of {line.name} is of nobody whom the policy names, or it is"
                    " out of order. Is there a newer policy?"
                )
            name, key = waiting.pop(0)
            if not key.verifies(line.signature, note.text):
                raise Unreadable(f"The checkpoint's signature of {line.name} does not hold.")
            signed.append((name, key))
            if key.type == COSIGNATURE:
                times += struct.unpack(">Q", line.signature[:8])
        logs = tuple(str(key) for name, key in signed if name is None and key.name == checkpoint.origin)
        if not logs:
            raise Unreadable("The checkpoint is not signed by a log that the policy names.")
        witnesses = tuple(name for name, _ in signed if name is not None)
        if not self.satisfied(frozenset(witnesses)):
            raise Unreadable(f"The checkpoint lacks the witnesses that the policy wants ({self.quorum}).")
        return Opened(checkpoint, logs, witnesses, tuple(times))


class _PolicyReader:
    """Reads a policy file line by line; a name is defined above the line that uses it."""

    def __init__(self, data: bytes) -> None:
        if any((byte < 0x20 and byte not in b"\t\n") or byte == 0x7F for byte in data):
            raise Unreadable("A policy has no control characters but tabs and newlines.")
        self._lines = data.decode("utf-8", "surrogateescape").split("\n")
        self._logs: list[VerifierKey] = []
        self._witnesses: list[tuple[str, VerifierKey]] = []
        self._names: dict[str, Satisfied] = {}
        self._urls: dict[str, str] = {}
        self._grouped: set[str] = set()
        self._quorum: tuple[str, Satisfied] | None = None

    def policy(self) -> Policy:
        for number, line in enumerate(self._lines, 1):
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                self._line(words)
            except Unreadable as problem:
                raise Unreadable(f"Line {number} of the policy: {problem}") from None
        if self._quorum is None or not self._logs:
            raise Unreadable("A policy names a log and has one quorum line.")
        return Policy(tuple(self._logs), tuple(self._witnesses), *self._quorum, self._urls)

    def _line(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._logs.append(self._fresh(vkey, ED25519))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._witnesses.append((name, self._fresh(vkey, COSIGNATURE)))
                if len(words) == 4:
                    self._urls[name] = words[3]
                self._define(name, lambda present: name in present)
            case ["group", name, threshold, *members] if members:
                self._define(name, self._group(threshold, members))
            case ["quorum", name] if self._quorum is None:
                self._quorum = (name, (lambda _: True) if name == "none" else self._known(name))
            case _:
                raise Unreadable("this is no log, witness, group or (only) quorum line.")

    def _fresh(self, vkey: str, type_: int) -> VerifierKey:
        key = VerifierKey.read(vkey)
        if key.type != type_:
            raise Unreadable("this vkey is of another type than the line's.")
        if key.public in {k.public for k in [*self._logs, *(w for _, w in self._witnesses)]}:
            raise Unreadable("this key stands in the policy already.")
        return key

    def _define(self, name: str, satisfied: Satisfied) -> None:
        if name == "none" or name in self._names:
            raise Unreadable(f"the name {name} is taken.")
        self._names[name] = satisfied

    def _known(self, name: str) -> Satisfied:
        if name not in self._names:
            raise Unreadable(f"{name} is not defined above.")
        return self._names[name]

    def _group(self, threshold: str, members: list[str]) -> Satisfied:
        conditions = [self._known(member) for member in members]
        if len(set(members)) != len(members) or self._grouped & set(members):
            raise Unreadable("a name is a member of one group, once.")
        self._grouped |= set(members)
        words = {"any": 1, "all": len(members)}
        if threshold not in words and not (
            threshold.isascii() and threshold.isdigit() and len(threshold) < 4
        ):
            raise Unreadable("a group wants any, all or a number.")
        needed = words.get(threshold) or int(threshold)
        if not 1 <= needed <= len(members):
            raise Unreadable("a group wants at least one and at most all of its members.")
        return lambda present: sum(condition(present) for condition in conditions) >= needed
