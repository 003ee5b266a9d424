"""The auditor against outsiders with a hex editor and against an insider with every key of the server."""

from __future__ import annotations

import io
import os
import random
import re
import secrets
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from insider import Insider, Transaction, packed, signed
from world import START, World, new_key

from custody import audit, orders
from custody.acts import alarms, people
from custody.audit.__main__ import main
from custody.facts import (
    Climbed,
    Enrolled,
    Granted,
    Invited,
    Received,
    Recipient,
    Revoked,
    SiteOpened,
    Statement,
    Subject,
)
from custody.facts import Grant as Role
from custody.ledger import bundle, tiles
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, LogKey, VerifierKey
from custody.rules import overdue
from custody.rules.alarms import Alarm
from custody.rules.people import Device
from custody.store import export, home
from custody.store.queries import view
from custody.strict import base64text, time_text, unbase64

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
NOT_PROVED = "no pin and no witness: consistent, not proved to be the only history"

# --------------------------------------------------------------------------------------- an audit by hand


@dataclass
class Desk:
    """The auditor's desk: a bundle, a policy and pins as files, and the command's exit code and output."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def audit(self, data: bytes, policy: bytes, *pins: bytes, genesis: str | None = None) -> int:
        (self.folder / "bundle.zip").write_bytes(data)
        (self.folder / "policy").write_bytes(policy)
        arguments = [str(self.folder / "bundle.zip"), "--policy", str(self.folder / "policy")]
        for number, pin in enumerate(pins):
            (self.folder / f"pin{number}").write_bytes(pin)
            arguments += ["--pin", str(self.folder / f"pin{number}")]
        return self.run(*arguments, *(["--genesis", genesis] if genesis else []))

    def run(self, *arguments: str) -> int:
        code = main(arguments)
        self.out, self.err = self.capture.readouterr()
        return code


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk", capsys)


@dataclass(frozen=True)
class Small:
    """The smallest ledger: a genesis and its time."""

    data: bytes
    policy: bytes
    genesis: str


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    origin = "small.example/log"
    log = LogKey(origin, Ed25519PrivateKey.generate())
    founding = home.Founding(origin, "HOME", "ada@home.test", log, new_key(), new_key())
    folder = tmp_path_factory.mktemp("small") / "book"
    book, genesis = home.create(folder, founding, lambda: START, secrets.token_bytes)
    out = io.BytesIO()
    bundle.write(out, export.members(book))
    book.engine.dispose()
    return Small(out.getvalue(), (folder / "policy").read_bytes(), genesis)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


# --------------------------------------------------------------------------------------------- tampering


def test_a_sound_ledger(box: World, desk: Desk) -> None:
    box.hand(box.dispatch(), "carl", "ben")
    assert desk.audit(box.bundle(), box.policy(), genesis=box.genesis) == 0
    assert desk.out.endswith(f"sound, {box.audit().size} entries\n")
    assert f"{box.genesis}, as given" in desk.out
    assert NOT_PROVED in desk.out


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.torture)])
def test_every_byte_of_a_bundle_means_something(small: Small, desk: Desk, step: int) -> None:
    """One bit of each byte: headers, names, sizes, checksums, directory, checkpoint, tiles, entries."""
    assert desk.audit(small.data, small.policy) == 0
    chance = random.Random(1)
    bits = {at: chance.randrange(8) for at in range(0, len(small.data), step)}
    codes = {at: desk.audit(flipped(small.data, at, bit), small.policy) for at, bit in bits.items()}
    assert {at: code for at, code in codes.items() if code != 1} == {}


def test_every_bit_of_the_checkpoint_means_something(small: Small, desk: Desk) -> None:
    start = small.data.index(b"small.example/log")
    end = small.data.index(b"PK\x03\x04", start)
    for at in range(start, end):
        for bit in range(0, 8, 2):
            assert desk.audit(flipped(small.data, at, bit), small.policy) == 1, (at, bit)


def test_random_bytes_of_a_longer_bundle(loose: World, desk: Desk) -> None:
    loose.hand(loose.dispatch(), "carl", "ben")
    data, policy = loose.bundle(), loose.policy()
    directory = data.index(b"PK\x01\x02")
    chance = random.Random(2)
    places = [*(chance.randrange(len(data)) for _ in range(150)), *range(directory, len(data), 5)]
    for at in places:
        changed = bytearray(data)
        changed[at] ^= chance.randrange(1, 256)
        assert desk.audit(bytes(changed), policy, genesis=loose.genesis) == 1, at
        assert "tampered" in desk.out


@pytest.mark.torture
def test_five_thousand_flipped_bits_of_bundle_and_tiles(loose: World, tmp_path: Path) -> None:
    """Among them those that decode to the same bytes, as in a base64 text's last character."""
    loose.hand(loose.dispatch(3), "carl", "ben")
    loose.register(300)
    policy, chance = loose.policy(), random.Random(3)
    data = loose.bundle()
    for _ in range(2500):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        assert refused(io.BytesIO(flipped(data, at, bit)), policy), (at, bit)
    folder = tmp_path / "files"
    export.export_tiles(loose.book, folder)
    assert audit.verify(folder, policy).sound
    files = [path for path in folder.rglob("*") if path.is_file()]
    for _ in range(2500):
        path = chance.choice(files)
        kept = path.read_bytes()
        at, bit = chance.randrange(len(kept)), chance.randrange(8)
        path.write_bytes(flipped(kept, at, bit))
        assert refused(folder, policy), (path, at, bit)
        path.write_bytes(kept)


def refused(files: io.BytesIO | Path, policy: bytes) -> bool:
    try:
        return not audit.verify(files, policy).sound
    except bundle.NoBundle:
        return True


def test_cut_off_and_added_bytes(small: Small, desk: Desk) -> None:
    for length in (*range(4, len(small.data), 97), len(small.data) - 1):
        assert desk.audit(small.data[:length], small.policy) == 1, length
    for more in (b"\0", b"\n", b"PK\x05\x06" + bytes(18), small.data):
        assert desk.audit(small.data + more, small.policy) == 1
    assert desk.audit(b"MZ" + small.data, small.policy) == 1  # a program in front, as a zip may have


def rezipped(data: bytes, change: Callable[[dict[str, bytes]], None], **how: Any) -> bytes:
    """The bundle packed anew by an ordinary zip program."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **how) as new:
        for name, content in members.items():
            new.writestr(zipfile.ZipInfo(name), content, compress_type=how.get("compression"))
    return out.getvalue()


def test_a_bundle_is_an_ordinary_zip(small: Small) -> None:
    with zipfile.ZipFile(io.BytesIO(small.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["checkpoint", *tiles.paths(2)]


@pytest.mark.parametrize(
    "change",
    [
        lambda members: members.update(more=b""),
        lambda members: members.update({"tile/0/000": members["tile/0/000.p/2"]}),
        lambda members: members.update({"tile/": b""}),
        lambda members: members.pop("tile/0/000.p/2"),
        lambda members: members.pop("checkpoint"),
        lambda members: members.update({"./checkpoint": members.pop("checkpoint")}),
        lambda members: members.update({"Checkpoint": members.pop("checkpoint")}),
        lambda members: members.update(checkpoint=members.pop("checkpoint")),  # in another order
    ],
)
def test_other_members(small: Small, desk: Desk, change: Callable[[dict[str, bytes]], None]) -> None:
    assert desk.audit(rezipped(small.data, change), small.policy) == 1


def test_a_bundle_has_one_packing(small: Small, desk: Desk) -> None:
    for how in ({"compression": zipfile.ZIP_DEFLATED}, {"compression": zipfile.ZIP_STORED}):
        assert desk.audit(rezipped(small.data, lambda _: None, **how), small.policy) == 1


def test_what_is_no_bundle_or_no_policy_at_all(small: Small, desk: Desk) -> None:
    for data in (b"", b"\0", b"not a zip at all, however long it is", small.data[1:-22]):
        assert desk.audit(data, small.policy) == 2
        assert desk.err
        assert not desk.out
    for policy in (b"", b"quorum none\n", small.data):
        assert desk.audit(small.data, policy) == 2
        assert desk.err
    (desk.folder / "bundle.zip").write_bytes(small.data)
    (desk.folder / "policy").write_bytes(small.policy)
    absent, there, policy_file = (str(desk.folder / name) for name in ("absent", "bundle.zip", "policy"))
    assert desk.run(absent, "--policy", policy_file) == 2
    assert desk.run(there, "--policy", absent) == 2
    assert desk.run(there, "--policy", policy_file, "--pin", absent) == 2
    assert desk.run(there, "--policy", policy_file) == 0


def test_a_folder_of_tiles_is_judged_as_the_bundle_is(small: Small, desk: Desk) -> None:
    policy = desk.folder / "policy"
    policy.write_bytes(small.policy)
    folder = desk.folder / "tiles"
    with zipfile.ZipFile(io.BytesIO(small.data)) as archive:
        archive.extractall(folder)
    assert desk.run(str(folder), "--policy", str(policy), "--genesis", small.genesis) == 0
    for name in ("more", "tile/0/001", "tile/entries/000.p/3"):
        (folder / name).write_bytes(b"")
        assert desk.run(str(folder), "--policy", str(policy)) == 1, name
        (folder / name).unlink()
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        path.write_bytes(flipped(data, len(data) // 2, 0))
        assert desk.run(str(folder), "--policy", str(policy)) == 1, path
        path.unlink()
        assert desk.run(str(folder), "--policy", str(policy)) in (1, 2), path
        path.write_bytes(data)
    assert desk.run(str(folder), "--policy", str(policy)) == 0


def test_a_whole_zip_destroyed_at_both_ends_is_no_zip(small: Small, desk: Desk) -> None:
    changed = bytearray(small.data)
    changed[0] ^= 1
    changed[-22] ^= 1
    assert desk.audit(bytes(changed), small.policy) == 2


# ------------------------------------------------------------------------------- whose ledger, which genesis


def test_another_logs_policy_or_genesis(small: Small, loose: World, desk: Desk) -> None:
    assert desk.audit(loose.bundle(), small.policy, genesis=loose.genesis) == 1
    assert "of nobody whom the policy names" in desk.out
    assert desk.audit(loose.bundle(), loose.policy(), genesis=small.genesis) == 1
    assert "this is another ledger" in desk.out
    assert desk.audit(loose.bundle(), loose.policy(), genesis="frog") == 2
    assert "as `custody init` printed it" in desk.err
    assert desk.audit(loose.bundle(), loose.policy()) == 0
    assert f"{loose.genesis}, not compared" in desk.out


def test_a_ledger_under_the_name_of_another(small: Small, loose: World, desk: Desk) -> None:
    """The entries of one log under another's checkpoint."""
    thief = Insider(loose)
    thief.log = LogKey("small.example/log", Ed25519PrivateKey.generate())
    policy = f"log {thief.log.verifier}\nquorum none\n".encode()
    assert desk.audit(thief.bundle(), policy) == 1
    assert "The genesis names another log's key than the one that signs" in desk.out
    assert small


def test_the_genesis_names_the_key_that_signs_the_checkpoints(loose: World, desk: Desk) -> None:
    """LEDGER.md's root of trust: who has the genesis on paper has the log's key, too.

    Someone who has seen the entries cuts off the last ones, signs what is left with a log key of their own,
    and hands over "the policy" with the bundle. The genesis is the right one all the same.
    """
    loose.hand(loose.dispatch(), "carl", "ben")
    thief = Insider(loose)
    del thief.transactions[-1]
    thief.log = LogKey(loose.book.origin, Ed25519PrivateKey.generate())
    policy = f"log {thief.log.verifier}\nquorum none\n".encode()
    assert desk.audit(thief.bundle(), policy, genesis=loose.genesis) == 1


# --------------------------------------------------------------------------------------------------- pins


def test_an_older_checkpoint_as_a_pin(box: World, desk: Desk) -> None:
    old = box.book.checkpoint().encode()
    name = box.dispatch()
    newer = box.book.checkpoint().encode()
    box.hand(name, "carl", "ben")
    assert desk.audit(box.bundle(), box.policy(), old, newer) == 0
    assert NOT_PROVED not in desk.out


def test_a_pin_of_a_longer_or_another_history(loose: World, small: Small, desk: Desk) -> None:
    short = loose.bundle()
    loose.register(3)
    kept = loose.book.checkpoint().encode()
    assert desk.audit(short, loose.policy(), kept) == 1
    assert "shorter than the checkpoint of" in desk.out
    with zipfile.ZipFile(io.BytesIO(small.data)) as archive:
        stranger = archive.read("checkpoint")
    for pin in (stranger, kept.replace(b"test.example", b"best.example")):
        assert desk.audit(loose.bundle(), loose.policy(), pin) == 1, pin
        assert "step 3    FAILED" in desk.out


def test_one_log_of_a_policy_pins_nothing_in_the_name_of_another(loose: World, desk: Desk) -> None:
    neighbour = LogKey("other.example/log", Ed25519PrivateKey.generate())
    policy = f"log {neighbour.verifier}\n".encode() + loose.policy()
    assert desk.audit(loose.bundle(), policy, loose.book.checkpoint().encode()) == 0
    ours = Checkpoint.of(loose.book.checkpoint())
    assert desk.audit(loose.bundle(), policy, neighbour.sign(ours).encode()) == 1
    assert "A pinned checkpoint is not this log's." in desk.out


class Changing(io.BytesIO):
    """A file that somebody writes anew once it has been gone through."""

    def __init__(self, first: bytes, then: bytes) -> None:
        super().__init__(first)
        self._then, self._to_read = then, len(first)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._to_read -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if self._to_read <= 0 and (offset, whence) == (0, 0):
            super().seek(0)
            self.write(self._then)
        return super().seek(offset, whence)


def test_files_that_change_while_they_are_read_are_not_called_sound(loose: World, tmp_path: Path) -> None:
    """Two true histories of one size: the one that was hashed and the one that is judged."""
    twin = loose.copy(tmp_path / "twin")
    loose.register(1)
    twin.register(1)
    first, then = loose.bundle(), twin.bundle()
    twin.book.engine.dispose()
    assert audit.verify(io.BytesIO(first), loose.policy()).sound
    assert audit.verify(io.BytesIO(then), loose.policy()).sound
    report = audit.verify(Changing(first, then), loose.policy())
    assert (report.failed, report.why) == (
        2,
        "The files were changed while they were read. Judge a copy that nobody writes to.",
    )


def test_the_receipt_that_a_party_kept_is_a_pin(loose: World, desk: Desk) -> None:
    name = loose.dispatch()
    with view(loose.book, loose.ids["carl"]) as carls:
        kept = str(carls.receipt(loose.consignment(name).head or "")).encode()
    loose.register(1)
    assert desk.audit(loose.bundle(), loose.policy(), kept) == 0
    assert NOT_PROVED not in desk.out
    assert desk.audit(loose.bundle(), loose.policy(), kept.replace(b"index ", b"index 0")) == 2
    assert "is not a checkpoint, and so no pin" in desk.err


def test_a_receipt_whose_entry_does_not_lead_to_its_checkpoint_is_no_pin(loose: World, desk: Desk) -> None:
    name = loose.dispatch()
    with view(loose.book, loose.ids["carl"]) as carls:
        kept = carls.receipt(loose.consignment(name).head or "")
    for forged in (replace(kept, entry=b"another"), replace(kept, index=kept.index - 1)):
        assert desk.audit(loose.bundle(), loose.policy(), str(forged).encode()) == 2
        assert "do not lead from its entry to the signed checkpoint" in desk.err
        report = audit.verify(io.BytesIO(loose.bundle()), loose.policy(), pins=[str(forged).encode()])
        assert (report.sound, report.failed) == (False, 3)


def test_a_folder_without_a_checkpoint_is_a_slip_and_no_tampering(loose: World, tmp_path: Path) -> None:
    with pytest.raises(bundle.NoBundle, match="is no folder of tiles"):
        audit.verify(tmp_path, loose.policy())


@pytest.mark.parametrize("pin", [b"frog", b"", b"log/1\n1\n"])
def test_a_pin_that_is_no_checkpoint_is_a_slip_and_no_tampering(loose: World, desk: Desk, pin: bytes) -> None:
    assert desk.audit(loose.bundle(), loose.policy(), pin) == 2
    assert "is not a checkpoint, and so no pin" in desk.err


def test_a_pin_of_nothing_vouches_for_nothing(loose: World, desk: Desk) -> None:
    nothing = loose.log_key.sign(Checkpoint(loose.book.origin, 0, Frontier().root())).encode()
    desk.audit(loose.bundle(), loose.policy(), nothing)
    assert "sound" not in desk.out or NOT_PROVED in desk.out


def test_the_report_says_how_far_a_pin_reaches(loose: World, desk: Desk) -> None:
    """A pin vouches up to its own size. What came after it could still be one history of several."""
    old = Checkpoint.of(loose.book.checkpoint()).size
    pin = loose.book.checkpoint().encode()
    loose.dispatch()
    assert desk.audit(loose.bundle(), loose.policy(), pin) == 0
    assert re.search(rf"\b({old}|{old - 1})\b", desk.out.replace(",", "")), "the reach of the pin is not said"


# ---------------------------------------------------------------------- an insider with the server's keys


@pytest.fixture
def told(loose: World) -> World:
    """A company with one consignment delivered, and a registration after it."""
    loose.hand(loose.dispatch(), "carl", "ben")
    loose.register(2, "SOUTH")
    return loose


def judge(world: World, data: bytes, **more: Any) -> audit.Report:
    return audit.verify(io.BytesIO(data), world.policy(), genesis=world.genesis, **more)


def test_the_insider_writes_the_same_ledger_when_nothing_is_changed(told: World) -> None:
    assert Insider(told).bundle() == told.bundle()


def test_an_insider_removes_what_a_hand_off_has_seen(told: World) -> None:
    insider = Insider(told)
    opened = insider.find(SiteOpened)
    assert opened
    registered = insider.transactions[opened[-1] + 1]
    insider.transactions.remove(registered)  # the carrier's admission
    report = judge(told, insider.bundle())
    assert not report.sound
    insider = Insider(told)
    more = insider.speak(SiteOpened("P-1", "EAST", "UTC"))
    insider.transactions.insert(3, Transaction([more], insider.transactions[2].at, "web"))
    report = judge(told, insider.bundle())
    assert (report.failed, report.why.startswith("The device that signed has seen another")) == (8, True)


def test_an_insider_removes_the_newest_entries(told: World) -> None:
    """The rules cannot see it; a pin does, and the report says that it had none."""
    kept = told.book.checkpoint().encode()
    insider = Insider(told)
    del insider.transactions[-1]
    report = judge(told, insider.bundle())
    assert report.sound
    assert NOT_PROVED in audit.text(report)
    report = judge(told, insider.bundle(), pins=[kept])
    assert (report.sound, report.failed) == (False, 3)


def test_an_insider_swaps_two_entries(told: World) -> None:
    kept = told.book.checkpoint().encode()
    told.register(1, "SOUTH")
    insider = Insider(told)
    one, two = insider.transactions[-2:]
    one.envelopes, two.envelopes = two.envelopes, one.envelopes
    report = judge(told, insider.bundle())
    assert report.sound
    assert NOT_PROVED in audit.text(report)
    assert judge(told, insider.bundle(), pins=[kept]).failed == 3
    insider = Insider(told)  # before the hand-off: both devices have signed what they had seen
    sites = insider.find(SiteOpened)
    one, two = (insider.transactions[n] for n in sites[:2])
    one.envelopes, two.envelopes = two.envelopes, one.envelopes
    assert judge(told, insider.bundle()).failed == 8


def test_an_insider_edits_a_time(told: World) -> None:
    insider = Insider(told)
    insider.transactions[-1].at -= timedelta(days=1)
    report = judge(told, insider.bundle())
    assert (report.failed, report.why) == (8, "Time does not run backwards.")
    insider = Insider(told)
    insider.transactions[-1].at += timedelta(days=1)  # onwards, at the end: seen by a pin alone
    assert judge(told, insider.bundle()).sound
    assert judge(told, insider.bundle(), pins=[told.book.checkpoint().encode()]).failed == 3
    insider = Insider(told)
    insider.transactions[5].at += timedelta(milliseconds=1)  # before the hand-off
    for each in insider.transactions[6:]:
        each.at = max(each.at, insider.transactions[5].at)
    assert judge(told, insider.bundle()).failed == 8


def test_an_insider_invents_a_device_for_an_invented_person(told: World) -> None:
    """The server's key alone enrols nobody: it takes a device that counts already, and not the inviter's."""
    key = new_key()
    number = f"P-{len(told.ids) + 1}"
    invited = Invited(number, "HOME", (Role("site-operator", "SOUTH"),), "ab" * 32)
    device = Enrolled(number, key.public.spki)
    ada, ann, stranger = told.keys["ada"], told.keys["ann"], new_key()
    for confirmer, step in ((Insider(told).server, 5), (stranger, 6), (key, 5), (ada, 5), (ann, 5)):
        insider = Insider(told)
        insider.append(insider.speak(invited, ada))
        keys = (key,) if confirmer is key else (key, confirmer)
        insider.append(insider.speak(device, *keys))
        report = judge(told, insider.bundle())
        assert (report.sound, report.failed) == (False, step), report.why
        assert report.entry == report.size - 2
    insider = Insider(told)
    insider.append(insider.speak(invited, ada))
    insider.append(insider.speak(device, key, told.keys["max"]))  # their site's manager has to join in
    assert judge(told, insider.bundle()).sound


def test_an_insider_forges_both_sides_with_keys_that_are_not_enrolled(told: World) -> None:
    name = told.request(2)
    told.approve(name)
    payload = told.hand_off(name, "ann", "carl", "NORTH")
    false_ann, false_carl = new_key(), new_key()
    insider = Insider(told)
    fact = Statement.read(payload).fact
    forged = replace(
        fact,
        giver=replace(fact.giver, key=false_ann.public.id),
        taker=replace(fact.taker, key=false_carl.public.id),
    )
    manifest = told.consignment(name).manifest
    insider.append(insider.speak(forged, false_ann, false_carl, about=manifest))
    report = judge(told, insider.bundle())
    assert (report.failed, report.why) == (6, "This is signed by a key that is not enrolled here.")
    insider = Insider(told)  # the true keys' names, and the false keys' signatures
    ids = (fact.giver.key, fact.taker.key)
    made = [key.sign(pae(payload)) for key in (false_ann, false_carl)]
    insider.append(Envelope(payload, tuple(map(Signature, ids, made))))
    report = judge(told, insider.bundle())
    assert (report.failed, report.why) == (6, "A signature does not hold.")


def test_an_administrator_with_the_servers_key_cannot_make_themself_a_confirmer(told: World) -> None:
    """Who invites and who gives roles signs it, and nobody gives roles to themself."""
    ada = told.keys["ada"]
    granted = Granted("P-1", (Role("admin"), Role("site-manager", "SOUTH")))
    for keys, why in (
        ((), "takes the key of one enrolled device"),
        ((ada,), "Nobody gives roles to themself"),
        ((told.keys["dana"],), "is not an administrator"),
        ((new_key(),), "not enrolled"),
    ):
        insider = Insider(told)
        insider.append(insider.speak(granted, *(keys or (insider.server,))))
        report = judge(told, insider.bundle())
        assert not report.sound
        assert why in report.why
    number, key = f"P-{len(told.ids) + 1}", new_key()
    insider = Insider(told)
    invited = Invited(number, "HOME", (Role("site-manager", "SOUTH"),), "ab" * 32)
    insider.append(insider.speak(invited, ada))
    insider.append(insider.speak(Enrolled(number, key.public.spki), key, ada))
    assert judge(told, insider.bundle()).failed == 5


def test_an_insider_writes_all_of_it_anew(told: World, tmp_path: Path, desk: Desk) -> None:
    """Own people, own devices, the true log key and the true name: only paper and pins tell."""
    false = World.__new__(World)
    false.at, false.folder = START, tmp_path / "false"
    false.log_key = told.log_key
    false.keys, false.ids = {"ada": new_key()}, {"ada": "P-1"}
    founding = home.Founding(
        told.book.origin, "HOME", "ada@home.test", told.log_key, told.book.keys.server, false.keys["ada"]
    )
    false.book, false.genesis = home.create(false.folder, founding, false.clock, secrets.token_bytes)
    false._set_up()
    false.hand(false.dispatch(3), "carl", "ben")
    data = false.bundle()
    assert desk.audit(data, told.policy()) == 0
    assert NOT_PROVED in desk.out
    assert desk.audit(data, told.policy(), genesis=told.genesis) == 1
    assert "step 5    FAILED" in desk.out
    assert desk.audit(data, told.policy(), told.book.checkpoint().encode()) == 1
    assert "step 3    FAILED" in desk.out


def test_the_server_does_not_sign_for_people_nor_people_for_the_server(told: World) -> None:
    revoked = Revoked(told.ids["ivo"], told.keys["carl"].public.id, "lost")
    for keys in ((told.keys["ivo"],), (told.book.keys.server, told.keys["ivo"])):
        insider = Insider(told)
        insider.append(insider.speak(revoked, *keys))
        report = judge(told, insider.bundle())
        assert (report.failed, "takes the server's own key" in report.why) == (5, True)


def test_a_statement_of_another_log_or_about_another_genesis(told: World) -> None:
    fact = SiteOpened("P-1", "EAST", "UTC")
    for origin, about, seen in (
        ("other.example/log", Subject("event", told.genesis), None),
        (told.book.origin, Subject("event", "ab" * 32), None),
        (told.book.origin, Subject("log", told.genesis), None),
        (told.book.origin, Subject("event", told.genesis), Insider(told).seen()),
    ):
        insider = Insider(told)
        insider.append(signed(Statement(origin, told.at, about, fact, seen).payload(), insider.server))
        assert judge(told, insider.bundle()).failed == 5


def test_a_second_genesis_is_no_beginning(told: World) -> None:
    insider = Insider(told)
    insider.append(insider.transactions[0].envelopes[0])
    assert judge(told, insider.bundle()).failed == 4  # the same event, twice
    insider = Insider(told)
    del insider.transactions[0]
    report = judge(told, insider.bundle())
    assert (report.failed, report.entry, report.why) == (5, 0, "The first entry is not a genesis.")


def test_a_transaction_names_what_it_took_in(told: World) -> None:
    for change in (
        lambda leaves: leaves[:-1],  # no end
        lambda leaves: [*leaves[:-2], leaves[-1]],  # an event of it is not there
        lambda leaves: [*leaves[:-2], leaves[-1], leaves[-2]],
        lambda _: [],
    ):
        report = judge(told, packed(told.log_key, change(Insider(told).entries())))
        assert (report.sound, report.failed) == (False, 5), report.why
        assert audit.text(report)


# ------------------------------------------------------------- bytes that only the log's owner could write


def crooked(world: World, leaf: bytes) -> bytes:
    """A ledger that ends with an entry of these bytes, signed by the log."""
    return packed(world.log_key, [*Insider(world).entries(), leaf])


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b"x" * 65_535,
    ],
    ids=lambda leaf: leaf[:12].decode("latin-1"),
)
def test_an_entry_that_does_not_read(loose: World, leaf: bytes) -> None:
    report = judge(loose, crooked(loose, leaf))
    assert (report.failed, report.entry) == (4, report.size - 1)
    assert f"Entries 0 to {report.size - 2} hold." in audit.text(report)


@pytest.mark.parametrize("keyid", ["null", "5", "[]", '[["a"]]', "{}", '{"a":[]}'])
def test_an_entry_whose_key_id_is_no_text(loose: World, keyid: str) -> None:
    """The auditor gives a verdict on whatever the log's owner writes; it never just stops."""
    insider = Insider(loose)
    envelope = insider.speak(SiteOpened("P-1", "EAST", "UTC"))
    name = f'"{insider.server.public.id}"'.encode()
    assert name in envelope.leaf()
    crooked = envelope.leaf().replace(name, keyid.encode())
    received = Received((event_id(envelope.payload),), loose.at, "web")
    leaves = [*insider.entries(), crooked, insider.speak(received).leaf()]
    report = judge(loose, packed(loose.log_key, leaves))
    assert (report.sound, report.failed, report.entry) == (False, 4, len(leaves) - 2)


def test_an_enrolment_of_a_key_on_an_unknown_curve(loose: World) -> None:
    spki = bytearray(unbase64(new_key().public.spki))
    spki[19] ^= 1
    text = base64text(bytes(spki))
    insider = Insider(loose)
    insider.append(insider.speak(Enrolled("P-2", text), loose.keys["ann"], loose.keys["mona"]))
    report = judge(loose, insider.bundle())
    assert not report.sound


def members_of(data: bytes) -> dict[str, bytes]:
    return dict(bundle.read(io.BytesIO(data)))


def bound(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    bundle.write(out, members.items())
    return out.getvalue()


@pytest.mark.parametrize("tail", [b"", b"\0", bytes(32)])
def test_an_edited_entry_is_named(loose: World, desk: Desk, tail: bytes) -> None:
    """Also where the tile was made to fit the edited entry, with or without something after its end."""
    members = members_of(loose.bundle())
    path = next(p for p in members if p.startswith("tile/entries/"))
    hashes = path.replace("entries", "0")
    leaves = tiles.read_entry_bundle(members[path], int(path.partition(".p/")[2]))
    leaves[7] = leaves[8]
    edited = {**members, path: tiles.entry_bundle(leaves)}
    assert desk.audit(bound(edited), loose.policy()) == 1
    assert "tampered, entry" in desk.out
    fitting = {**edited, hashes: b"".join(map(leaf_hash, leaves)) + tail}
    assert desk.audit(bound(fitting), loose.policy()) == 1
    assert "step 2    FAILED" in desk.out


def test_a_tile_that_the_entries_do_not_make(loose: World, desk: Desk) -> None:
    members = members_of(loose.bundle())
    hashes = next(p for p in members if p.startswith("tile/0/"))
    for changed in (members[hashes] + b"\0", members[hashes][:-1], b"", flipped(members[hashes], 40, 0)):
        assert desk.audit(bound({**members, hashes: changed}), loose.policy()) == 1
        assert "step 2    FAILED" in desk.out


@pytest.mark.parametrize("size", [0, 1, 3, 8_000_001, 10**19])
def test_a_checkpoint_of_another_size(small: Small, size: int, desk: Desk) -> None:
    log = LogKey("small.example/log", Ed25519PrivateKey.generate())
    policy = f"log {log.verifier}\nquorum none\n".encode()
    members = members_of(small.data)
    note = log.sign(Checkpoint("small.example/log", size, Frontier().root())).encode()
    assert desk.audit(bound({**members, "checkpoint": note}), policy) == 1
    assert desk.audit(bound({"checkpoint": note}), policy) == 1


def test_an_entry_bundle_that_lies_about_its_lengths(small: Small, desk: Desk) -> None:
    members = members_of(small.data)
    path = "tile/entries/000.p/2"
    data = members[path]
    (length,) = struct.unpack_from(">H", data)
    for changed in (
        struct.pack(">H", length + 1) + data[2:],
        struct.pack(">H", 65_535) + data[2:],
        data + b"\0",
        data[:-1],
        b"",
        b"\0",
    ):
        assert desk.audit(bound({**members, path: changed}), small.policy) == 1
        assert "step 4    FAILED" in desk.out


def test_what_is_said_to_hold_was_judged(loose: World) -> None:
    """An entry with a bad signature, and in the same transaction one that does not read after it."""
    insider = Insider(loose)
    good = insider.speak(SiteOpened("P-1", "EAST", "UTC"))
    forged = Envelope(good.payload, (Signature(good.signatures[0].key, new_key().sign(pae(good.payload))),))
    bad = len(insider.entries())
    report = judge(loose, packed(loose.log_key, [*insider.entries(), forged.leaf(), b"frog"]))
    assert not report.sound
    assert f"Entries 0 to {bad} hold" not in audit.text(report)


def test_what_is_tampered_is_not_called_consistent(loose: World) -> None:
    kept = loose.book.checkpoint().encode()
    insider = Insider(loose)
    del insider.transactions[-1]
    text = audit.text(judge(loose, insider.bundle(), pins=[kept]))
    assert "tampered" in text
    assert "no pin" not in text
    assert "consistent" not in text


@pytest.mark.parametrize("kind", ["site-opened/v2", "site-burnt/v1"])
def test_what_takes_a_newer_program_is_not_called_tampered(loose: World, desk: Desk, kind: str) -> None:
    insider = Insider(loose)
    number = len(insider.entries())
    payload = insider.speak(SiteOpened("P-1", "EAST", "UTC")).payload
    newer = signed(payload.replace(b"site-opened/v1", kind.encode()), insider.server)
    assert desk.audit(crooked(loose, newer.leaf()), loose.policy()) == 1
    assert desk.out.endswith(
        f"not judged, entry {number}: {kind} is not known to this version of the program: use a newer one.\n"
    )
    assert "tampered" not in desk.out


def test_an_unknown_kind_hides_neither_its_misspelling_nor_what_stands_before_it(
    loose: World, desk: Desk
) -> None:
    insider = Insider(loose)
    number = len(insider.entries())
    payload = insider.speak(SiteOpened("P-1", "EAST", "UTC")).payload.replace(b"opened/v1", b"opened/v2")
    misspelt = signed(payload.replace(b'"predicate":', b'"predicate": '), insider.server)
    assert desk.audit(crooked(loose, misspelt.leaf()), loose.policy()) == 1
    assert f"tampered, entry {number}: This statement is not in the one spelling" in desk.out
    insider.append(SiteOpened("P-99", "EAST", "UTC"), signed(payload, insider.server))
    assert desk.audit(insider.bundle(), loose.policy()) == 1
    assert f"tampered, entry {number}: There is no person P-99 here." in desk.out


# --------------------------------------------------------------------------------------------- witnesses


def test_a_policy_that_wants_a_witness(loose: World, desk: Desk) -> None:
    lines = loose.policy().decode().replace("quorum none\n", "")
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    vkey = VerifierKey("witness.example", 4, public)
    policy = f"{lines}witness W {vkey}\nquorum W\n".encode()
    assert desk.audit(loose.bundle(), policy) == 1
    assert "lacks the witnesses that the policy wants (W)" in desk.out


# ------------------------------------------------------------------------------------------- transcripts


def plain(text: str) -> str:
    """The report with what is random in it by name: hashes in the order in which they appear."""
    names: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"<{'hash' if len(match[0]) == 64 else 'key'} {len(names) + 1}>")

    return re.sub(r"\b(?:[0-9a-f]{64}|[0-9a-f]{16})\b", name, text)


def compare(name: str, text: str) -> None:
    """With REWRITE_TRANSCRIPTS=1 in the environment it writes the file, for a person to read."""
    path = TRANSCRIPTS / f"audit_{name}.txt"
    if os.environ.get("REWRITE_TRANSCRIPTS"):
        path.write_text(plain(text), "utf-8")
    assert plain(text) == path.read_text("utf-8")


def test_the_transcripts(told: World, small: Small, desk: Desk) -> None:
    data, policy = told.bundle(), told.policy()
    kept = told.book.checkpoint().encode()
    desk.audit(data, policy, kept, genesis=told.genesis)
    compare("sound", desk.out)
    desk.audit(data, policy)
    compare("sound_without_pin", desk.out)
    leaves = Insider(told).entries()
    leaves[60] = leaves[60][:-1] + b" "
    desk.audit(packed(told.log_key, leaves), policy, genesis=told.genesis)
    compare("tampered", desk.out)
    desk.audit(data[:-1000], policy, genesis=told.genesis)
    compare("truncated", desk.out)
    insider = Insider(told)
    del insider.transactions[-1]
    desk.audit(insider.bundle(), policy, kept, genesis=told.genesis)
    compare("shortened", desk.out)
    desk.audit(data, small.policy, genesis=told.genesis)
    compare("wrong_key", desk.out)
    desk.audit(b"frog", policy)
    compare("no_zip", desk.err)


def test_the_report_names_disputes_and_devices_of_the_set_up(told: World) -> None:
    text = audit.text(told.audit())
    devices = told.audit().world.all(Device)
    founder = told.keys["ada"].public.id[:16]
    for device in devices:
        assert (device.id[:16] in text) == (device.id[:16] != founder)


def test_the_report_names_each_hand_off_that_is_not_recorded_and_why(box: World) -> None:
    name = box.dispatch(1)
    assert name not in audit.text(box.audit())
    payload = box.hand_off(name, "mallory", "ben")
    box.admit(payload, box.both(payload, "mallory", "ben"))
    line = f"disputed  {name} {time_text(box.at)}: the giver did not hold custody"
    text = audit.text(box.audit()).splitlines()
    assert line in text
    assert text[-1].startswith("sound"), "a dispute is evidence that was kept, and no fault of the ledger's"


def test_the_auditor_is_a_command_that_needs_no_other(small: Small, tmp_path: Path) -> None:
    """As its instructions have it: `python -m custody.audit`, with the verdict as the exit code."""
    (tmp_path / "policy").write_bytes(small.policy)
    for data, code, last in ((small.data, 0, "sound, 2 entries"), (small.data[:-1], 1, "tampered, ")):
        (tmp_path / "bundle.zip").write_bytes(data)
        run = subprocess.run(
            [sys.executable, "-m", "custody.audit", "bundle.zip", "--policy", "policy"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(audit.__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stderr) == (code, "")
        assert run.stdout.splitlines()[-1].startswith(last)


# ---------------------------------------------------------------------------------- who was told, and when


def test_a_server_that_tells_nobody_is_named_by_the_report(loose: World) -> None:
    """Its owner records each rung as climbed and tells no one: a sound history, and the report says so."""
    name = loose.dispatch(1)
    loose.at += timedelta(minutes=61)
    with loose.book.page("monitor") as page:
        fact = overdue.owed(page.world, page.world.get(Alarm, loose.alarm(name).id), page.now)
        assert isinstance(fact, Climbed)
        page.record(replace(fact, told=()))
    report = loose.audit()
    assert report.sound
    left_out = ", ".join(sorted(f"{loose.ids[who]} by email" for who in ("carl", "ben", "bea")))
    assert f"rung 0.0: {left_out} were to be told, and were not" in audit.text(report)


def test_a_rung_that_was_recorded_late_is_named(loose: World) -> None:
    name = loose.dispatch(1)
    loose.at += timedelta(hours=3)
    alarms.climb(loose.book)
    text = audit.text(loose.audit())
    assert re.search(rf"^late +A-2 \({name}\) rung 1\.0 was due .* and recorded ", text, re.MULTILINE)
    assert "untold" not in text


def test_a_ladder_that_stands_still_while_the_ledger_goes_on_is_named(loose: World) -> None:
    name = loose.dispatch(1)
    loose.at += timedelta(hours=3)
    loose.register(1)
    assert re.search(rf"^untold +A-2 \({name}\) rung 0 was due ", audit.text(loose.audit()), re.MULTILINE)


def record(world: World, **change: Any) -> None:
    """The next fact that the consignment's alarm is owed, changed so, by a server whose owner lies."""
    with world.book.page("monitor") as page:
        fact = overdue.owed(page.world, page.world.get(Alarm, world.alarm("C-1").id), page.now)
        assert isinstance(fact, Climbed)
        page.record(replace(fact, **change))


def test_who_was_told_and_was_not_to_be_is_named(loose: World) -> None:
    loose.dispatch(1)
    loose.at += timedelta(minutes=46)
    told = tuple(Recipient(loose.ids[who], "email") for who in ("carl", "ben", "bea", "olga"))
    record(loose, told=told)
    text = audit.text(loose.audit())
    assert f"{loose.ids['olga']} by email were told, and were not to be" in text


def test_skipped_repeats_are_late(loose: World) -> None:
    loose.dispatch(1)
    loose.wait(hours=3)
    loose.at += timedelta(hours=23)
    alarms.climb(loose.book)
    assert re.search(
        r"^late .* rung 4\.\d+ was due .* repeats skipped$", audit.text(loose.audit()), re.MULTILINE
    )


def test_an_incident_that_never_opened_is_named(loose: World) -> None:
    loose.dispatch(1)
    for minutes in (46, 15, 15, 15):
        loose.at += timedelta(minutes=minutes)
        record(loose)
    assert "are presumed missing, and no incident has opened" in audit.text(loose.audit())


def test_an_all_clear_that_is_owed_is_called_so(loose: World) -> None:
    name = loose.dispatch(1)
    loose.wait(minutes=62)
    loose.hand(name, "carl", "ben")
    loose.at += timedelta(hours=1)
    loose.register(1)
    assert "owes an all-clear since" in audit.text(loose.audit())


@pytest.mark.parametrize("transit", [5, 10, 20])
def test_a_short_transit_is_not_called_late(loose: World, transit: int) -> None:
    """Its reminder was due before the trip began; nothing is owed before the alarm was armed."""
    loose.set_route(transit=transit)
    name = loose.request(1, minutes=5)
    loose.approve(name)
    loose.wait(minutes=19)
    loose.hand(name, "ann", "carl", site="NORTH")
    loose.wait(minutes=1)
    assert "late  " not in audit.text(loose.audit())


def test_a_rung_on_which_nobody_was_left_is_named(loose: World) -> None:
    loose.dispatch(1)
    loose.wait(minutes=50)
    for gone in ("hal", "dana", "sam", "dora", "ivo"):
        loose.force("ada", Granted(loose.ids[gone], ()))
    loose.wait(minutes=30)
    assert re.search(
        r"^nobody .* rung 2\.0: there was nobody to be told", audit.text(loose.audit()), re.MULTILINE
    )


def nobody(world: World) -> list[str]:
    return [each.words for each in world.audit().findings() if each.kind == "nobody"]


def test_a_rung_that_loses_its_people_is_named_at_each_repeat(loose: World) -> None:
    """Those who were told before hear it again; that the role is empty is said all the same."""
    name = loose.dispatch(1)
    loose.wait(hours=2)
    assert nobody(loose) == []
    for gone in ("hal", "dana", "sam"):
        loose.force("ada", Granted(loose.ids[gone], ()))
    loose.wait(hours=1)
    roles = "head was nobody, senior-managers was nobody"
    where = f"{loose.alarm(name).id} ({name}) rung"
    assert nobody(loose) == [f"{where} 4.{n}: there was nobody to be told: {roles}" for n in (1, 2)]


def test_who_could_not_be_reached_is_named_as_gone(loose: World) -> None:
    """A role that only a contractor held, until a moment ago, and one that nobody has."""
    ends = loose.at + timedelta(minutes=30)
    people.admit_organisation(loose.book, "P-1", orders.AdmitOrganisation(organisation="OTHER", until=ends))
    order = orders.Invite(
        name="Otto",
        address="otto@other.test",
        organisation="OTHER",
        grants=(orders.Grant(role="it-security"),),
    )
    fact = people.invitation(loose.book, order)
    loose.sign("ada", fact)
    loose.force("ada", Granted(loose.ids["ivo"], ()))
    loose.force("ada", Granted(loose.ids["dora"], ()))
    name = loose.dispatch(1)
    loose.wait(minutes=80)
    roles = f"data-protection-officer was nobody, it-security was {fact.person}, whose contract has ended"
    where = f"{loose.alarm(name).id} ({name}) rung"
    assert nobody(loose) == [f"{where} 2.0: others were told, but {roles}"]


def test_a_pin_that_came_by_a_qr_code_or_by_mail_is_a_pin(loose: World, desk: Desk) -> None:
    """Many readers of QR codes drop the last line's end, and mail has line ends of its own."""
    note = loose.book.checkpoint().encode()
    for pin in (note.rstrip(b"\n"), note.replace(b"\n", b"\r\n")):
        assert desk.audit(loose.bundle(), loose.policy(), pin) == 0


def test_a_file_that_is_none_of_the_auditors_is_named(small: Small, desk: Desk) -> None:
    assert desk.audit(small.data, b"\0") == 2
    assert desk.err.startswith(f"{desk.folder / 'policy'}: A policy has no control characters")
    assert desk.audit(small.data, small.policy, bytes(2_000_000)) == 2
    assert desk.err.startswith(f"{desk.folder / 'pin0'} is longer than 1,048,576 bytes")
    with pytest.raises(SystemExit):
        desk.run("bundle.zip", "--policy", "policy", "--format", "pdf")
    assert "`custody audit`, from media-custody[server], writes pdf, too" in desk.capture.readouterr().err
