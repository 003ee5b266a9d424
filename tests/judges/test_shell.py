"""`verify.sh`: openssl and twenty-one lines of shell, to be read before they are believed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from judges.evidence import HERE, Evidence, lacking, root, spki_pem

from custody.ledger.envelope import ENVELOPE_MOST, Envelope, Signature, pae
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import leaf_hash
from custody.ledger.note import Checkpoint, LogKey
from custody.strict import base64text

FORMAT = HERE.parents[1] / "custody" / "ledger" / "FORMAT.md"
APPENDIX = "## Appendix: a verifier in 21 lines of shell\n"


def path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 section 2.1.1, word for word, over leaf hashes."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if index < k:
        return [*path(index, hashes[:k]), root(hashes[k:])]
    return [*path(index - k, hashes[k:]), root(hashes[:k])]


@dataclass(frozen=True)
class Case:
    """What the script is given."""

    proof: str
    entry: bytes
    vkey: str
    keys: tuple[SigningKey, SigningKey]

    def verdict(self, folder: Path) -> tuple[int, list[str]]:
        """The script's exit code and what it prints."""
        files = [folder / name for name in ("proof", "entry", "giver.pem", "taker.pem")]
        contents = (self.proof.encode(), self.entry, *(spki_pem(key) for key in self.keys))
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        proof, entry, giver, taker = files
        done = subprocess.run(
            ["sh", HERE / "verify.sh", proof, entry, self.vkey, giver, taker],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert {file.name for file in folder.iterdir()} == {file.name for file in files}, "it cleans up"
        return done.returncode, done.stdout.splitlines()


def proof(entries: Sequence[bytes], index: int, note: str) -> str:
    """C2SP tlog-proof: an entry's receipt, to be judged offline."""
    hashes = path(index, [leaf_hash(entry) for entry in entries])
    lines = "".join(f"{base64text(each)}\n" for each in hashes)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{lines}\n{note}"


@pytest.fixture(scope="module")
def receipt(evidence: Evidence) -> Case:
    """The hand-off from Carl to Ben."""
    if shutil.which("openssl") is None:
        lacking("openssl")
    entries, index = evidence.entries(), evidence.find(evidence.receipt)
    note = (evidence.folder / "checkpoint").read_text("utf-8")
    keys = evidence.world.keys
    return Case(proof(entries, index, note), entries[index], evidence.vkey, (keys["carl"], keys["ben"]))


def test_the_shell_accepts_a_hand_off_and_prints_what_both_signed(
    receipt: Case, evidence: Evidence, tmp_path: Path
) -> None:
    code, said = receipt.verdict(tmp_path)
    index, size = evidence.find(evidence.receipt), len(evidence.entries())
    assert code == 0
    assert f"Entry {index} of {size} is in the log" in said
    assert said[-3:] == ["Two keys signed this:", Envelope.read(receipt.entry).payload.decode(), "ok"]


def line(number: int, at: int = 3) -> Callable[[Case], Case]:
    """One bit in a line of the proof."""

    def tamper(case: Case) -> Case:
        lines = case.proof.split("\n")
        changed = chr(ord(lines[number][at]) ^ 1)
        lines[number] = f"{lines[number][:at]}{changed}{lines[number][at + 1 :]}"
        return replace(case, proof="\n".join(lines))

    return tamper


def entry(**change: Any) -> Callable[[Case], Case]:
    """Another envelope in the place of the one that the log holds."""
    return lambda case: replace(case, entry=replace(Envelope.read(case.entry), **change).leaf())


TAMPERED: dict[str, Callable[[Case], Case]] = {
    "the proof's first line": line(0),
    "the index": line(1, 6),
    "the first hash": line(2),
    "the last hash": line(-8),
    "the log's name": line(-6),
    "the size": line(-5, 0),
    "the root": line(-4),
    "the name of who signed": line(-2),
    "the log's signature": line(-2, 40),
    "a hash too few": lambda case: replace(
        case, proof=case.proof.replace(case.proof.split("\n")[2] + "\n", "")
    ),
    "a hash too many": lambda case: replace(
        case, proof=case.proof.replace("\n\n", f"\n{base64text(bytes(32))}\n\n", 1)
    ),
    "the payload": entry(payload=b"{}"),
    "another log": lambda case: replace(
        case, vkey=str(LogKey("test.example/log", Ed25519PrivateKey.generate()).verifier)
    ),
    "the parties, exchanged": lambda case: replace(case, keys=case.keys[::-1]),
    "the giver, twice": lambda case: replace(case, keys=(case.keys[0], case.keys[0])),
    "the taker, twice": lambda case: replace(case, keys=(case.keys[1], case.keys[1])),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_the_shell_refuses_another(what: str, receipt: Case, tmp_path: Path) -> None:
    tampered = TAMPERED[what](receipt)
    assert tampered != receipt
    code, said = tampered.verdict(tmp_path)
    assert code
    assert said[-1] == "FAIL"


def held(receipt: Case, leaf: bytes, before: int = 2, after: int = 2) -> Case:
    """The same case in a log that holds this entry: what a log's holder could sign."""
    log = LogKey("test.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    entries = [b"%d" % number for number in range(before)] + [leaf] + [b"more"] * after
    note = log.sign(Checkpoint("test.example/log", len(entries), root([leaf_hash(each) for each in entries])))
    return replace(receipt, proof=proof(entries, before, note), entry=leaf, vkey=str(log.verifier))


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (2, 0), (2, 4), (5, 1), (6, 0), (0, 8), (7, 8)])
def test_the_shell_finds_the_entry_in_trees_of_every_shape(
    place: tuple[int, int], receipt: Case, tmp_path: Path
) -> None:
    assert held(receipt, receipt.entry, *place).verdict(tmp_path)[0] == 0


def test_the_shell_reads_an_envelope_of_the_greatest_length(receipt: Case, tmp_path: Path) -> None:
    payload = bytes(ENVELOPE_MOST // 4 * 3 - 420)
    signatures = tuple(Signature(key.public.id, key.sign(pae(payload))) for key in receipt.keys)
    leaf = Envelope(payload, signatures).leaf()
    assert ENVELOPE_MOST - 200 < len(leaf) <= ENVELOPE_MOST
    assert held(receipt, leaf).verdict(tmp_path)[0] == 0


def test_the_shell_refuses_signatures_that_do_not_hold_though_the_log_holds_them(
    receipt: Case, tmp_path: Path
) -> None:
    envelope = Envelope.read(receipt.entry)
    giver, taker = envelope.signatures
    giver_key, taker_key = receipt.keys
    stale = Signature(taker.key, taker_key.sign(b"something else"))
    twin = Signature(taker.key, giver_key.sign(b"something else"))
    for case in (
        held(receipt, replace(envelope, signatures=(giver, stale)).leaf()),
        held(receipt, replace(envelope, signatures=(giver, twin)).leaf()),
        held(receipt, replace(envelope, signatures=(taker, giver)).leaf()),
        replace(
            held(receipt, replace(envelope, signatures=(giver, giver)).leaf()), keys=(giver_key, giver_key)
        ),
        held(
            receipt,
            replace(envelope, payload=envelope.payload.replace(b'"site":"SOUTH"', b'"site":"NORTH"')).leaf(),
        ),
        held(receipt, replace(envelope, signatures=(giver,)).leaf()),
    ):
        code, said = case.verdict(tmp_path)
        assert code
        assert any(words.endswith("is in the log") for words in said), (
            "refused before its signatures were judged"
        )
        assert said[-1] == "FAIL"


def test_the_document_prints_the_script() -> None:
    script = (HERE / "verify.sh").read_text("utf-8")
    assert script.count("\n") <= 21
    document = FORMAT.read_text("utf-8")
    head, _, rest = document.partition(APPENDIX)
    before, _, _ = rest.partition("```sh\n")
    made = f"{head}{APPENDIX}{before}```sh\n{script}```\n"
    if os.environ.get("UPDATE_DOCUMENTS"):
        FORMAT.write_text(made, "utf-8")
    assert document == made
