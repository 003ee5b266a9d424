"""`verify.go`: the code of Go's checksum database judges what this project exports."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from judges.evidence import Evidence, flip, write
from world import World

from custody.ledger.note import COSIGNATURE, LogKey, VerifierKey
from custody.strict import base64text

Verify = Callable[..., str]
LOG = LogKey("test.example/synthetic", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VKEY = str(LOG.verifier)
KINDS = {
    "the checkpoint": "checkpoint",
    "a hash tile": "tile/0/000",
    "a partial hash tile": "tile/0/001.p/*",
    "a tile of the second level": "tile/1/000.p/1",
    "an entry bundle": "tile/entries/000",
    "a partial entry bundle": "tile/entries/001.p/*",
}


def test_go_accepts_an_exported_book_with_its_older_checkpoints(evidence: Evidence, verify: Verify) -> None:
    size = len(evidence.entries())
    verdict = verify("-log", evidence.vkey, evidence.folder, *evidence.pins)
    assert verdict == f"ok test.example/log: {size} entries, 0 witnesses, 3 pins"
    found = [path for path in evidence.folder.rglob("*") if path.is_file()]
    called_for = {path for kind in KINDS.values() for path in evidence.folder.glob(kind)}
    assert set(found) == called_for, "there is a kind of file that no flip below goes through"


@pytest.mark.parametrize("kind", [*KINDS, "a pin"])
def test_go_refuses_one_flipped_bit_in(kind: str, evidence: Evidence, verify: Verify, tmp_path: Path) -> None:
    copy = evidence.copy(tmp_path)
    path = copy.pins[1] if kind == "a pin" else next(copy.folder.glob(KINDS[kind]))
    whole = path.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 10):
        flip(path, at)
        assert verify("-log", copy.vkey, copy.folder, *copy.pins).startswith("FAIL: "), at
        path.write_bytes(whole)
    assert verify("-log", copy.vkey, copy.folder, *copy.pins).startswith("ok ")


def test_go_refuses_a_file_too_many_and_each_that_is_missing(
    evidence: Evidence, verify: Verify, tmp_path: Path
) -> None:
    folder = evidence.copy(tmp_path).folder
    (folder / "tile" / "0" / "002.p").mkdir()
    extra = folder / "tile" / "0" / "002.p" / "1"
    extra.write_bytes(bytes(32))
    assert verify("-log", evidence.vkey, folder) == f"FAIL: {extra} does not belong there"
    extra.unlink()
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        path.unlink()
        assert verify("-log", evidence.vkey, folder).startswith("FAIL: reading: "), path
        path.write_bytes(data)


def test_go_refuses_a_checkpoint_of_another_key(evidence: Evidence, verify: Verify) -> None:
    other = LogKey("test.example/log", Ed25519PrivateKey.generate())
    assert verify("-log", str(other.verifier), evidence.folder).startswith("FAIL: ")


def test_go_reads_the_tiles_of_70_000_entries_on_three_levels(verify: Verify, tmp_path: Path) -> None:
    write(tmp_path, [b"entry %d" % number for number in range(70_000)], LOG)
    accepted = "ok test.example/synthetic: 70000 entries, 0 witnesses, 0 pins"
    assert verify("-log", VKEY, tmp_path) == accepted
    for tile in ("0/272", "0/273.p/112", "1/000", "1/001.p/17", "2/000.p/1", "entries/273.p/112"):
        flip(tmp_path / "tile" / tile, 7)
        assert verify("-log", VKEY, tmp_path).startswith("FAIL: "), tile
        flip(tmp_path / "tile" / tile, 7)
    assert verify("-log", VKEY, tmp_path) == accepted


def test_only_a_pin_finds_the_log_keys_holder_out(verify: Verify, tmp_path: Path) -> None:
    """What was rewritten or cut and signed again is a log like any other, until somebody remembers."""
    entries = [b"entry %d" % number for number in range(600)]
    pin = tmp_path / "pin"
    pin.write_text(write(tmp_path / "true", entries[:500], LOG), "utf-8")
    rewritten = [*entries[:300], b"another", *entries[301:]]
    for name, forged, why in (
        ("rewritten", rewritten, "the log was rewritten: it has not grown out of this one"),
        ("of the same size", rewritten[:500], "the log was rewritten: it has not grown out of this one"),
        ("cut", entries[:400], "the log was cut: it had 500 entries then and has 400 now"),
    ):
        write(tmp_path / name, forged, LOG)
        assert verify("-log", VKEY, tmp_path / name).startswith("ok ")
        assert verify("-log", VKEY, tmp_path / name, pin) == f"FAIL: {pin}: {why}"


def test_go_wants_the_cosignature_of_each_witness_that_it_was_told_of(
    evidence: Evidence, verify: Verify, tmp_path: Path
) -> None:
    private = Ed25519PrivateKey.generate()
    witness = VerifierKey("witness.example/w", COSIGNATURE, private.public_key().public_bytes_raw())
    arguments = ("-log", evidence.vkey, "-witness", str(witness), evidence.copy(tmp_path).folder)
    note = tmp_path / "log" / "checkpoint"
    signed = note.read_text("utf-8")
    text = signed.partition("\n\n")[0] + "\n"
    assert verify(*arguments) == f"FAIL: {note}: 1 of the 2 who must sign it did"
    for vouched, verdict in ((text, "ok "), (text.replace("log", "lag"), "FAIL: ")):
        signature = private.sign(f"cosignature/v1\ntime 1679315147\n{vouched}".encode())
        line = base64text(witness.id + struct.pack(">Q", 1_679_315_147) + signature)
        note.write_text(f"{signed}— {witness.name} {line}\n", "utf-8")
        assert verify(*arguments).startswith(verdict)


def test_a_mirror_that_was_exported_in_steps_is_the_log_that_was_exported_at_once(
    box: World, verify: Verify, tmp_path: Path
) -> None:
    """Old partial tiles are gone, and nothing else is left over."""
    evidence = Evidence.export(box, tmp_path / "log", (), "")
    first = len(evidence.entries())
    box.dispatch(1)
    evidence = Evidence.export(box, tmp_path / "log", (), "")
    assert len(evidence.entries()) > first
    assert verify("-log", evidence.vkey, evidence.folder).startswith("ok ")
