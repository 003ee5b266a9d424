"""`verify.sh`: openssl and twenty-one lines of shell, to be read before they are believed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from judges.evidence import HERE, Evidence, lacking, root, spki_pem

from custody.ledger.envelope import ENVELOPE_MOST, Envelope, Signature, pae
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import inclusion, leaf_hash, nodes
from custody.ledger.note import Checkpoint, LogKey
from custody.ledger.receipt import Receipt
from custody.store import queries
from custody.strict import base64text

FORMAT = HERE.parents[1] / "custody" / "ledger" / "FORMAT.md"
APPENDIX = "## Appendix: a verifier in 21 lines of shell\n"


@dataclass(frozen=True)
class Case:
    """What the script is given."""

    receipt: str
    vkey: str
    keys: tuple[SigningKey, SigningKey]

    def verdict(self, folder: Path) -> tuple[int, list[str]]:
        """The script's exit code and what it prints."""
        contents = {"receipt": self.receipt.encode()}
        contents |= {f"{n}.pem": spki_pem(key) for n, key in zip(("giver", "taker"), self.keys, strict=True)}
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        receipt, giver, taker = (str(folder / name) for name in contents)
        done = subprocess.run(
            ["sh", HERE / "verify.sh", receipt, self.vkey, giver, taker],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert {file.name for file in folder.iterdir()} == set(contents), "it leaves something behind"
        return done.returncode, done.stdout.splitlines()

    @property
    def entry(self) -> bytes:
        return Receipt.read(self.receipt.encode()).entry


@pytest.fixture(scope="module")
def case(evidence: Evidence) -> Case:
    """The hand-off from Carl to Ben, with the receipt that both can fetch."""
    if shutil.which("openssl") is None:
        lacking("openssl")
    keys, ids = evidence.world.keys, evidence.world.ids
    with queries.view(evidence.world.book, ids["ben"]) as view:
        receipt = str(view.receipt(evidence.receipt))
    return Case(receipt, evidence.vkey, (keys["carl"], keys["ben"]))


def test_the_keys_are_found_in_the_log_as_the_document_says(
    case: Case, evidence: Evidence, tmp_path: Path
) -> None:
    _, _, appendix = FORMAT.read_text("utf-8").partition(APPENDIX)
    lines = [line for line in appendix.partition("```sh")[0].splitlines() if line.startswith("    ")]
    copy = evidence.copy(tmp_path)
    subprocess.run(["sh", "-euc", "\n".join(lines)], cwd=copy.folder, check=True)
    for key in case.keys:
        assert (copy.folder / f"{key.public.id}.pem").read_bytes() == spki_pem(key)
    assert len((copy.folder / "payloads").read_bytes().splitlines()) == len(evidence.entries())


def test_the_shell_accepts_a_hand_off_and_prints_what_both_signed(
    case: Case, evidence: Evidence, tmp_path: Path
) -> None:
    code, said = case.verdict(tmp_path)
    index, size = evidence.find(evidence.receipt), len(evidence.entries())
    assert code == 0
    assert f"Entry {index} of {size} is in the log" in said
    assert said[-2:] == [Envelope.read(case.entry).payload.decode(), "ok"]


def line(number: int, at: int = 3) -> Callable[[Case], Case]:
    """One bit in a line of the receipt."""

    def tamper(case: Case) -> Case:
        lines = case.receipt.split("\n")
        characters = list(lines[number])
        characters[at] = chr(ord(characters[at]) ^ 1)
        lines[number] = "".join(characters)
        return replace(case, receipt="\n".join(lines))

    return tamper


def entry(case: Case) -> Case:
    """Another envelope in the place of the one that the log holds."""
    other = replace(Envelope.read(case.entry), payload=b"{}").leaf()
    return replace(case, receipt=str(replace(Receipt.read(case.receipt.encode()), entry=other)))


TAMPERED: dict[str, Callable[[Case], Case]] = {
    "the first line": line(0),
    "the entry's last signature": line(1, -12),
    "the index": line(2, 6),
    "the first hash": line(3),
    "the last hash": line(-8),
    "the log's name": line(-6),
    "the size": line(-5, 0),
    "the root": line(-4),
    "the name of who signed": line(-2),
    "the log's signature": line(-2, 40),
    "a hash too few": lambda case: replace(
        case, receipt=case.receipt.replace(case.receipt.split("\n")[3] + "\n", "")
    ),
    "a hash too many": lambda case: replace(
        case, receipt=case.receipt.replace("\n\n", f"\n{base64text(bytes(32))}\n\n", 1)
    ),
    "the payload": entry,
    "another log": lambda case: replace(
        case, vkey=str(LogKey("test.example/log", Ed25519PrivateKey.generate()).verifier)
    ),
    "the parties, exchanged": lambda case: replace(case, keys=case.keys[::-1]),
    "the giver, twice": lambda case: replace(case, keys=(case.keys[0], case.keys[0])),
    "the taker, twice": lambda case: replace(case, keys=(case.keys[1], case.keys[1])),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_the_shell_refuses_another(what: str, case: Case, tmp_path: Path) -> None:
    tampered = TAMPERED[what](case)
    assert tampered != case
    code, said = tampered.verdict(tmp_path)
    assert code
    assert said[-1] == "FAIL"


def held(case: Case, leaf: bytes, before: int = 2, after: int = 2) -> Case:
    """The same case in a log that holds this entry: what a log's holder could sign."""
    log = LogKey("test.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    hashes = [leaf_hash(each) for each in [b"before"] * before + [leaf] + [b"after"] * after]
    note = log.sign(Checkpoint("test.example/log", len(hashes), root(hashes)))
    proof = inclusion(
        before, len(hashes), lambda height, n: nodes(hashes[n << height : n + 1 << height])[-1][0]
    )
    return replace(case, receipt=str(Receipt(leaf, before, tuple(proof), note)), vkey=str(log.verifier))


def signed(case: Case, payload: bytes) -> bytes:
    """An entry that both parties signed."""
    return Envelope(
        payload, tuple(Signature(key.public.id, key.sign(pae(payload))) for key in case.keys)
    ).leaf()


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (2, 0), (2, 4), (5, 1), (6, 0), (0, 8), (7, 8)])
def test_the_shell_finds_the_entry_in_trees_of_every_shape(
    place: tuple[int, int], case: Case, tmp_path: Path
) -> None:
    assert held(case, case.entry, *place).verdict(tmp_path)[0] == 0


def test_the_shell_reads_an_envelope_of_the_greatest_length(case: Case, tmp_path: Path) -> None:
    leaf = signed(case, Envelope.read(case.entry).payload.ljust(ENVELOPE_MOST // 4 * 3 - 420))
    assert ENVELOPE_MOST - 200 < len(leaf) <= ENVELOPE_MOST
    assert held(case, leaf).verdict(tmp_path)[0] == 0


def test_the_shell_refuses_what_the_parties_did_not_sign_for_this_log_though_it_holds_it(
    case: Case, tmp_path: Path
) -> None:
    true = Envelope.read(case.entry)
    (giver, taker), (giver_key, taker_key) = true.signatures, case.keys
    stale = replace(taker, der=taker_key.sign(b"something else"))
    mimicked = replace(taker, der=giver_key.sign(pae(true.payload)))
    elsewhere = true.payload.replace(b"test.example/log", b"test.example/lag")
    for keys, leaf in (
        (case.keys, replace(true, signatures=(giver, stale)).leaf()),
        (case.keys, replace(true, signatures=(giver, mimicked)).leaf()),
        (case.keys, replace(true, signatures=(taker, giver)).leaf()),
        (case.keys, replace(true, signatures=(giver,)).leaf()),
        ((giver_key, giver_key), replace(true, signatures=(giver, giver)).leaf()),
        (case.keys, replace(true, payload=true.payload.replace(b"SOUTH", b"NORTH")).leaf()),
        (case.keys, signed(case, elsewhere)),
    ):
        assert leaf != case.entry
        code, said = replace(held(case, leaf), keys=keys).verdict(tmp_path)
        assert code
        assert "Entry 2 of 5 is in the log" in said, "refused before it came to the signatures"
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
