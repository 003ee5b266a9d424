"""The command line as an administrator and an auditor use it, each command in a process of its own."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest
import qrcode
from cli.command import NOWHERE, ROOT, custody, init
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from world import World

from custody.ledger.note import WitnessKey
from custody.store.queries import view

LISTING = """\
  Storage Changer /dev/sg5:1 Drives, 3 Slots ( 1 Import/Export )
Data Transfer Element 0:Empty
      Storage Element 1:Full :VolumeTag=ABC001L8
      Storage Element 2:Full :VolumeTag=ABC002L8
      Storage Element 3 IMPORT/EXPORT:Full
"""
SEATS = [f"{name} <{name.lower()}@small.test>" for name in ("Olive", "Dirk", "Kit", "Sue", "Cai")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A book for a company of twenty, and what `custody init` said."""
    folder = tmp_path_factory.mktemp("small") / "book"
    seats = [part for seat in SEATS for part in ("--seat", seat)]
    return folder, init(folder, "--small", *seats)


def test_init_prints_the_genesis_and_a_link_for_each(small: tuple[Path, str]) -> None:
    folder, said = small
    genesis = (folder / "genesis.txt").read_text("ascii").strip()
    assert re.search(rf"^  {genesis}$", said, re.MULTILINE)
    links = re.findall(r"http://127\.0\.0\.1:8080/begin/\S+", said)
    assert len(links) == 6
    assert sum("#k=" in link for link in links) == 1, "the founder's alone brings a key along"
    assert (folder / "keys" / "log.pem").stat().st_mode & 0o077 == 0


def test_the_founders_key_stays_nowhere(small: tuple[Path, str]) -> None:
    folder, said = small
    (key,) = re.findall(r"#k=(\S+)", said)
    for file in folder.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes()


def test_every_weakening_of_a_small_book_is_shown_in_the_audit(
    small: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = small
    bundle = tmp_path / "bundle.zip"
    custody("export", "--book", str(folder), str(bundle))
    said = custody("audit", str(bundle), "--policy", str(folder / "policy"))
    assert "weaker    One person may hold roles that are kept apart elsewhere" in said
    assert "weaker    One of the senior managers is of another organisation" in said
    assert "weaker    Two of three custodians" in said
    assert re.search(r"sound, [0-9]+ entries", said)


def test_an_audit_is_printed_and_goes_on_from_its_notebook(small: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = small
    bundle, pdf, kept = (str(tmp_path / name) for name in ("bundle.zip", "report.pdf", "notebook"))
    custody("export", "--book", str(folder), bundle)
    judged = ["audit", bundle, "--policy", str(folder / "policy"), "--notebook", kept]
    said = custody(*judged, "--format", "pdf", "--out", pdf)
    (page,) = pypdfium2.PdfDocument(pdf)
    printed = page.get_textpage().get_text_bounded()
    assert "Audit: sound" in printed
    assert said.strip().removeprefix("sound, ") in printed
    assert (folder / "genesis.txt").read_text("ascii")[:8] in printed
    again = json.loads(custody(*judged, "--format", "json"))
    assert (again["verdict"], again["judged_before"]) == ("sound", again["entries"])


def test_a_book_is_never_made_over_another(small: tuple[Path, str]) -> None:
    folder, _ = small
    who = ["--name", "Eve", "--address", "eve@small.test", "--origin", "other.example/log"]
    assert "is not empty" in custody("init", "--book", str(folder), *who, code=1)


@pytest.mark.parametrize(
    ("database", "why"),
    [
        (NOWHERE, f"{NOWHERE} cannot be reached (connection failed: "),
        ("postgresql://custody@db1/custody?frog=1", "The database's address cannot be read."),
        ("frog", "frog is no database: give "),
        ("sqlite:x.db", "leave out --database and --owner."),
    ],
)
def test_a_database_that_a_book_cannot_be_begun_in(tmp_path: Path, database: str, why: str) -> None:
    folder = tmp_path / "book"
    who = ("--name", "A", "--address", "a@b.test", "--origin", "x.example/log")
    said = custody("init", "--book", str(folder), *who, "--database", database, "--owner", NOWHERE, code=1)
    assert why in said
    assert said.count("\n") == 1, "a sentence, and no traceback"
    assert "recorded" not in said, "nothing can have been"
    assert not folder.exists()


def test_a_file_that_names_no_database(tmp_path: Path) -> None:
    (tmp_path / "database").write_bytes(b"\xff\xfe")
    said = custody("fsck", "--book", str(tmp_path), code=2)
    assert said.startswith(f"{tmp_path}/database: \ufffd\ufffd is no database: give ")


def test_a_demos_name_is_for_demos(tmp_path: Path) -> None:
    who = ["--name", "Eve", "--address", "eve@small.test", "--origin", "demo.invalid"]
    assert "custody demo" in custody("init", "--book", str(tmp_path / "b"), *who, code=2)
    assert not (tmp_path / "b").exists()


def test_a_listing_goes_in_whole_or_not_at_all(small: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = small
    good, cut = tmp_path / "good.txt", tmp_path / "cut.txt"
    good.write_text(LISTING)
    cut.write_text("\n".join(LISTING.splitlines()[:4]) + "\n")
    where = ["import", "--book", str(folder), "--site", "OFFICE", "--mtx"]
    refused = custody(*where, str(cut), code=1)
    assert "line" in refused
    said = custody(*where, str(good))
    assert "2 tapes registered" in said
    assert "not registered: slot 3 (line 5) is full, but its label cannot be read." in said
    assert "0 tapes registered at OFFICE, 2 were known" in custody(*where, str(good))


def test_labels_are_printed_once_and_need_a_host(small: tuple[Path, str], tmp_path: Path) -> None:
    folder, listing, pdf = tmp_path / "book", tmp_path / "mtx.txt", tmp_path / "labels.pdf"
    shutil.copytree(small[0], folder)
    listing.write_text(LISTING)
    custody("import", "--book", str(folder), "--site", "OFFICE", "--mtx", str(listing))
    ask = ["labels", "--book", str(folder), "--stock", "L7160", "--out", str(pdf)]
    assert "CUSTODY_LABEL_HOST" in custody(*ask, code=1)
    assert "each read back" in custody(*ask, CUSTODY_LABEL_HOST="TAPES.EXAMPLE")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert "Nothing here waits" in custody(*ask, CUSTODY_LABEL_HOST="TAPES.EXAMPLE")
    again = custody(*ask, "--again", "the old one is torn", CUSTODY_LABEL_HOST="TAPES.EXAMPLE")
    assert "each read back" in again
    assert "There is no site NOWHERE" in custody(*ask, "--site", "NOWHERE", code=1)


def test_a_host_and_a_volser_that_cannot_be_printed_are_sentences(
    small: tuple[Path, str], tmp_path: Path
) -> None:
    folder, listing, pdf = tmp_path / "book", tmp_path / "mtx.txt", tmp_path / "labels.pdf"
    shutil.copytree(small[0], folder)
    listing.write_text(LISTING.replace("ABC001L8", "QSD121S").replace("ABC002L8", "abc002l8"))
    where = ["--book", str(folder)]
    said = custody("import", *where, "--site", "OFFICE", "--mtx", str(listing))
    assert "abc002l8 is registered as ABC002L8, in capitals" in said
    ask = ["labels", *where, "--out", str(pdf), "--stock"]
    for host, sentence in (
        ("https://tapes.example/m", "give the host in it alone: tapes.example."),
        ("香港.example", "xn--j6w193g.example."),
        ("x" * 35, "has room for 34"),
    ):
        refused = custody(*ask, "L7160", code=1, CUSTODY_LABEL_HOST=host)
        assert sentence in refused
        assert "Traceback" not in refused
        assert re.search(rf"BAD  labels +The label host .*{re.escape(sentence)}", doctor(folder, host))
    assert not pdf.exists()
    said = custody(*ask, "lto-spine")
    assert re.search(r"Not printed: QSD121S \([0-9A-Z]{16}\): Its volser is none of an LTO cartridge", said)
    assert "labels, each read back" in said
    assert "Not printed" not in custody(*ask, "lto-spine", code=1), "nothing but QSD121S waits: it is refused"
    caution = "The label host has 30 characters. With 28 or fewer the codes begin with https://"
    assert caution in custody(*ask, "L7160", CUSTODY_LABEL_HOST="x" * 30)
    assert re.search(rf"ok   labels +x+\. {caution}", doctor(folder, "x" * 30))
    assert re.search(r"ok   labels +tapes\.example$", doctor(folder, "tapes.example"), re.MULTILINE)


def doctor(folder: Path, host: str) -> str:
    return custody("doctor", "--book", str(folder), code=1, CUSTODY_LABEL_HOST=host)


def test_scan_gives_a_line_for_each_file(tmp_path: Path) -> None:
    picture, other = tmp_path / "label.png", tmp_path / "note.png"
    qrcode.make("HTTPS://TAPES.EXAMPLE/M/0123456789ABCDEF").save(picture)
    other.write_bytes(b"this is no photograph")
    said = custody("scan", "--json", str(picture), str(other), code=1)
    (line,) = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert line["file"] == str(picture)
    assert line["codes"][0]["text"] == "HTTPS://TAPES.EXAMPLE/M/0123456789ABCDEF"
    assert set(line["codes"][0]) == {"text", "symbology", "reader"}
    assert line["ms"] > 0
    assert str(other) in said


def test_scan_reads_on_after_what_is_no_file_and_what_takes_too_much(tmp_path: Path) -> None:
    """File names come from others, too: a shell's `*.png` gives them to the command."""
    os.mkfifo(tmp_path / "a\x1b[2J\n.png")
    Image.new("RGB", (4_400, 4_400)).save(tmp_path / "bomb.webp")
    qrcode.make("HTTPS://TAPES.EXAMPLE/M/0123456789ABCDEF").save(tmp_path / "label.png")
    said = custody("scan", *(str(path) for path in sorted(tmp_path.iterdir())), code=1)
    pipe, bomb, label = sorted(said.splitlines())
    assert r"a\x1b[2J .png is a pipe, and no file" in pipe
    assert "takes too much memory" in bomb
    assert "label.png: HTTPS://TAPES.EXAMPLE/M/0123456789ABCDEF (qr, " in label


def test_the_doctor_looks_at_the_witnesses(tmp_path: Path) -> None:
    """Of a new book: what a witness has not seen for minutes is another sentence, and tests may run long."""
    folder = tmp_path / "book"
    init(folder)
    assert "ok   witnesses  the policy gives none" in custody("doctor", "--book", str(folder), code=1)
    key = WitnessKey("witness.example/a", Ed25519PrivateKey.generate())
    with (folder / "policy").open("a", encoding="ascii") as policy:
        policy.write(f"witness a {key.verifier} https://witness.example/a\n")
    assert "ok   witnesses  1 have cosigned all there is, or will" in custody(
        "doctor", "--book", str(folder), code=1
    )


def test_doctor_says_what_is_wrong(small: tuple[Path, str]) -> None:
    folder, _ = small
    said = custody("doctor", "--book", str(folder), code=1)
    assert re.search(r"ok   book +small\.example/log, [0-9]+ entries", said)
    assert re.search(r"BAD  mail +No alert can leave", said)


def test_serving_in_the_open_without_encryption_is_refused(small: tuple[Path, str]) -> None:
    folder, _ = small
    said = custody("serve", "--book", str(folder), code=2, CUSTODY_LISTEN="0.0.0.0:8099")
    assert "CUSTODY_TLS_CERTIFICATE" in said


def test_no_alert_can_leave_without_a_relay_so_nothing_is_served(small: tuple[Path, str]) -> None:
    folder, _ = small
    assert "CUSTODY_SMTP_HOST" in custody(
        "serve", "--book", str(folder), code=2, CUSTODY_LISTEN="127.0.0.1:8099"
    )


def test_every_command_begins_in_a_process_that_has_imported_nothing_yet() -> None:
    commands = {  # one of each module
        name: [sys.executable, "-m", "custody", name, "--help"]
        for name in ("demo", "serve", "init", "labels")
    }
    runs = {
        name: subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, command in commands.items()
    }
    for name, run in runs.items():
        said, _ = run.communicate(timeout=120)
        assert (run.returncode, "Usage" in said) == (0, True), (name, said)


def test_help_names_every_command() -> None:
    said = custody("--help")
    for name in ("init", "serve", "monitor", "demo", "scan", "labels", "audit", "export", "import", "doctor"):
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name


# ------------------------------------------------------------------------------------------------- the log


def test_a_receipt_is_checked_with_the_policy_alone(setting_out: World, tmp_path: Path) -> None:
    name = setting_out.consignment("C-1").head or ""
    with view(setting_out.book, setting_out.ids["carl"]) as carls:
        kept = str(carls.receipt(name))
    receipt, policy = tmp_path / "C-1.tlog-proof", tmp_path / "policy"
    receipt.write_text(kept, "utf-8")
    policy.write_bytes(setting_out.policy())
    said = custody("receipt", "verify", str(receipt), "--policy", str(policy))
    assert f"is in the log {setting_out.book.origin}" in said
    assert f"event    {name}" in said
    assert "hand-off of C-1 at NORTH" in said
    for party in ("ann", "carl"):
        assert f"device {setting_out.keys[party].public.id}" in said
    assert "witnesses: none" in said

    receipt.write_text(kept.replace("index ", "index 1"), "utf-8")
    said = custody("receipt", "verify", str(receipt), "--policy", str(policy), code=1)
    assert said == "The hashes in this receipt do not lead from its entry to the signed checkpoint.\n"


def test_a_mirror_is_kept_up_to_date_and_judged(small: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = small
    mirror = tmp_path / "mirror"
    first = custody("log", "mirror", "--book", str(folder), str(mirror))
    assert re.fullmatch(rf"{mirror} has (\d+) entries, \1 of them new\.\n", first)
    assert "0 of them new." in custody("log", "mirror", "--book", str(folder), str(mirror))
    whole = ("log", "mirror", "--book", str(folder), str(mirror), "--check")
    assert "0 of them new, and all of it is as it was signed." in custody(*whole)
    (bundle,) = (mirror / "tile/entries/000.p").iterdir()
    entries = bundle.read_bytes()
    bundle.write_bytes(entries[:-1])
    assert f"{bundle}: An entry bundle ends within an entry. Restore nothing" in custody(*whole, code=1)
    bundle.unlink()
    assert f"{bundle} is missing, or was cut short. Restore nothing" in custody(*whole, code=1)
    bundle.write_bytes(entries)
    before = sorted(folder.rglob("*"))
    for inside in (folder, folder / "mirror"):
        command = ("log", "mirror", "--book", str(folder), str(inside))
        assert "is in the folder of a book, and would be lost with it" in custody(*command, code=1)
    assert sorted(folder.rglob("*")) == before
    assert "sound" in custody("audit", str(mirror), "--policy", str(folder / "policy"))
    other = tmp_path / "other"
    init(other)
    said = custody("log", "mirror", "--book", str(other), str(mirror), code=1)
    assert "is of another log, or of a longer history than this book has" in said
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    custody("log", "mirror", "--book", str(folder), str(blocked), code=2)


def test_a_token_is_shown_once_listed_and_ended(small: tuple[Path, str]) -> None:
    folder, _ = small
    at = ("--book", str(folder))
    said = custody("log", "token", *at, "vault", "--for", "mirror")
    token = said.partition("\n")[0]
    assert len(token) == 43
    assert re.fullmatch(r"vault: mirror, made [0-9-]{10}\n", custody("log", "tokens", *at))
    assert "Take another name" in custody("log", "token", *at, "vault", "--for", "witness", code=1)
    assert "opens nothing any more" in custody("log", "revoke", *at, "vault")
    assert "revoked" in custody("log", "tokens", *at)
    assert "no token vault in use" in custody("log", "revoke", *at, "vault", code=1)
    for file in folder.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes()


def test_fsck_names_what_was_changed(small: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = small
    assert re.search(r"^whole, \d+ entries$", custody("fsck", "--book", str(folder)), re.MULTILINE)
    shutil.copytree(folder, tmp_path / "book")
    with sqlite3.connect(tmp_path / "book" / "book.db") as connection:
        connection.execute("UPDATE site SET zone = 'Asia/Tokyo' WHERE id = 'STORE'")
    connection.close()
    said = custody("fsck", "--book", str(tmp_path / "book"), code=1)
    assert "STORE in the table site is not what the ledger says of it.\n1 difference.\n" in said


def test_tables_that_are_of_this_version_need_no_upgrade(small: tuple[Path, str], tmp_path: Path) -> None:
    assert custody("db", "upgrade", "--book", str(small[0])) == "Nothing to do.\n"
    assert "There is no book in" in custody("db", "upgrade", "--book", str(tmp_path), code=1)


def test_a_backup_behind_its_pin_is_refused_until_the_mirror_has_been_replayed(
    small: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = small
    live, backup, mirror = tmp_path / "live", tmp_path / "backup", tmp_path / "mirror"
    shutil.copytree(folder, live)
    shutil.copytree(folder, backup)
    (tmp_path / "listing").write_text(LISTING.replace("ABC", "NEW"), "ascii")
    custody("import", "--book", str(live), "--site", "OFFICE", "--mtx", str(tmp_path / "listing"))
    custody("log", "mirror", "--book", str(live), str(mirror))
    pin = tmp_path / "pin"
    shutil.copy(mirror / "checkpoint", pin)
    said = custody("log", "tokens", "--book", str(backup), code=2, CUSTODY_PIN=str(pin))
    assert "it is an older copy" in said
    assert "custody log restore --from MIRROR" in said
    said = custody("log", "restore", "--book", str(backup), "--from", str(mirror), CUSTODY_PIN=str(pin))
    assert re.search(
        r"^\d+ entries came back: the book has \d+, and the mirror's root\.$", said, re.MULTILINE
    )
    custody("log", "tokens", "--book", str(backup), CUSTODY_PIN=str(pin))
    said = custody("log", "restore", "--book", str(backup), "--from", str(mirror))
    assert "0 entries came back" in said
