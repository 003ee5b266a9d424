"""The commands where the machine says no: another account, a full disk, a device, a file that is too long."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command import ROOT, custody, init
from click.testing import CliRunner

from custody import files
from custody.cli.pages import web_settings
from custody.cli.witness import witness
from custody.errors import Conflict
from custody.settings import Settings

WHO = ("--name", "Ada An", "--address", "ada@small.test", "--origin", "small.example/log")
STRANGER = 65534
"""As whom a test runs a command that is not the book's owner's; it takes root to become that."""
AS_A_STRANGER = f"""
import importlib, os, pwd, sys
for name in ("books", "demo", "log", "tools", "witness"):
    importlib.import_module("custody.cli." + name)
from custody.cli.main import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({STRANGER})
    os.setuid({STRANGER})
main()
"""


def stranger(*arguments: str, code: int = 2) -> str:
    """What a command says to an account that may not do it: all is imported before it becomes that."""
    said = custody(*arguments, code=code, program=("-c", AS_A_STRANGER))
    assert "Traceback" not in said
    return said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other accounts can enter and not write to."""
    folder = Path(tempfile.mkdtemp(prefix="custody-"))
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new book, made with the umask that most machines have."""
    folder = tmp_path_factory.mktemp("book") / "book"
    before = os.umask(0o022)
    try:
        init(folder)
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def copy(book: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(book, tmp_path / "copy"))


# ------------------------------------------------------------------------------------------- other accounts


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_is_made_here_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        init(tmp_path / "book")
        CliRunner().invoke(witness, ["init", "--name", "w.example/a", str(tmp_path / "witness")])
    finally:
        os.umask(before)
    for made in (tmp_path / "book", tmp_path / "witness"):
        found = [made, *made.rglob("*")]
        assert {path.name for path in found} >= {made.name, "book.db" if made.name == "book" else "vkey"}
        for path in found:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_doctor_says_what_other_accounts_can_read(copy: Path) -> None:
    said = custody("doctor", "--book", str(copy), code=1)
    assert "ok   privacy" in said
    copy.chmod(0o755)
    assert "ok   privacy" in custody("doctor", "--book", str(copy), code=1)
    (copy / "book.db").chmod(0o644)
    said = custody("doctor", "--book", str(copy), code=1)
    assert re.search(r"BAD  privacy    other accounts can read [0-9] of its files \(book\.db", said)


def test_another_account_is_told_whose_the_book_is(open_folder: Path, book: Path) -> None:
    open_folder.chmod(0o755)
    theirs = Path(shutil.copytree(book, open_folder / "book"))
    whose = f"{theirs} belongs to {theirs.owner()}, and this runs as"
    theirs.chmod(0)
    for command in (("fsck",), ("export", "b.zip")):
        assert whose in stranger(*command, "--book", str(theirs))
    theirs.chmod(0o755)
    (theirs / "keys").chmod(0)
    said = stranger("fsck", "--book", str(theirs))
    assert f"{theirs / 'keys' / 'log.pem'} cannot be read or written: Permission denied." in said
    theirs.chmod(0o700)
    (theirs / "keys").chmod(0o700)


def test_a_folder_that_may_not_be_written_is_named(open_folder: Path) -> None:
    for command in (
        ("init", "--book", str(open_folder / "book"), *WHO),
        ("witness", "init", "--name", "w.example/a", str(open_folder / "book")),
        ("demo", "--once", "--out", str(open_folder / "book")),
    ):
        said = stranger(*command)
        assert f"{open_folder / 'book'} cannot be read or written: Permission denied." in said
        assert f"{open_folder} belongs to" in said


def test_a_folder_that_cannot_be_is_told() -> None:
    said = custody("init", "--book", "/proc/none/book", *WHO, code=2)
    assert said == "/proc/none cannot be read or written: No such file or directory.\n"


def test_an_error_without_a_file_names_none() -> None:
    assert files.told(OSError(28, "No space left on device")) == (
        "What was read or written broke off: No space left on device."
    )
    assert files.told(OSError(9, "Bad file descriptor", 3)) == (
        "What was read or written broke off: Bad file descriptor."
    )


# ---------------------------------------------------------------------------------------------- full disks

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


def on_small_disk(folder: Path, size: str, script: str) -> str:
    """What a shell script says that has a disk of this size in `tiny`; skipped where none can be had."""
    (folder / "tiny").mkdir(exist_ok=True)
    own = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
    mount = f"mount -t tmpfs -o size={size} none {folder / 'tiny'} || exit 77"
    run = subprocess.run(
        [*own, "sh", "-c", f"{mount}; cd {folder}; {script}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "custody": f"{sys.executable} -m custody"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip("No file system can be mounted here.")
    return run.stdout + run.stderr


def test_a_book_that_has_no_room_is_not_begun(tmp_path: Path) -> None:
    said = on_small_disk(
        tmp_path,
        "200k",
        f"$custody init --book tiny/book --origin a.b/c --name A --address a@b.test; ls -A {tmp_path}/tiny",
    )
    assert said == "The disk is full. Nothing of this was recorded; make room and do it again.\n"


def test_a_witness_that_has_no_room_says_so_in_a_sentence(book: Path, tmp_path: Path) -> None:
    said = on_small_disk(tmp_path, "60k", "$custody witness init --name a.b/c tiny/w; ls -A tiny")
    assert said == "The witness's database cannot be used now: database or disk is full. Try again.\n"
    vkey = (book / "policy").read_text("ascii").split()[1]
    said = on_small_disk(
        tmp_path,
        "100k",
        "$custody witness init --name a.b/c tiny/w >/dev/null 2>&1;"
        " head -c 90000 /dev/zero 2>/dev/null >tiny/fill;"
        f"$custody witness add tiny/w '{vkey}'",
    )
    assert said.startswith("The witness's database cannot be used now: ")
    assert said.count("\n") == 1, "and nothing else"


def test_a_disk_without_room_for_an_index_is_a_full_one(book: Path, tmp_path: Path) -> None:
    shutil.copytree(book, tmp_path / "book")
    said = on_small_disk(
        tmp_path,
        "1500k",
        "cp -r book tiny; head -c 9999999 /dev/zero 2>/dev/null >tiny/fill;"
        " $custody log tokens --book tiny/book",
    )
    assert said == "The disk is full. Nothing of this was recorded; make room and do it again.\n"


@needs_full
def test_a_report_that_cannot_be_printed_is_none(book: Path, tmp_path: Path) -> None:
    custody("export", "--book", str(book), str(tmp_path / "b.zip"))
    for command in (("custody", "audit"), ("custody.audit",)):
        with FULL.open("wb") as out:
            run = subprocess.run(
                [sys.executable, "-m", *command, str(tmp_path / "b.zip"), "--policy", str(book / "policy")],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert run.returncode == 2
        assert run.stderr.startswith("What was read or written broke off: No space left on device.\n")


# ------------------------------------------------------------------------------------------ the wrong files


@pytest.mark.parametrize("kind", ["device", "folder"])
def test_what_is_no_file_is_never_replaced(book: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "there"
    if kind == "folder":
        target.mkdir()
    else:
        os.mkfifo(target)
    before = target.stat()
    said = custody("export", "--book", str(book), str(target), code=1)
    assert "is no file, and nothing was written to it" in said
    said = custody(
        "labels", "--book", str(book), "--stock", "L7160", "--calibrate", "--out", str(target), code=1
    )
    assert "is no file, and nothing was written to it" in said
    custody("export", "--book", str(book), str(bundle := tmp_path / "b.zip"))
    judge = ("-m", "custody.audit")
    policy = ("--policy", str(book / "policy"))
    said = custody(str(bundle), *policy, "--out", str(target), code=2, program=judge)
    assert "is no file, and nothing was written to it" in said
    bundle.unlink()
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def stop() -> None:
        with files.whole(tmp_path / "new") as out:
            out.write(b"half")
            raise Conflict("stop")

    with pytest.raises(Conflict):
        stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError) as caught, files.whole(tmp_path / "none" / "new"):
        pass
    assert files.told(caught.value).startswith(f"{tmp_path / 'none' / 'new'} cannot be read or written")


def test_two_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "b.zip"
    with files.whole(target) as slow:
        slow.write(b"slow, half")
        slow.flush()
        with files.whole(target) as quick:
            quick.write(b"quick")
        assert target.read_bytes() == b"quick"
        slow.write(b" and half")
    assert target.read_bytes() == b"slow, half and half"
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_what_a_kill_left_harms_no_later_writer(tmp_path: Path) -> None:
    """It has a drawn name: so nobody can put a link or a pipe there before."""
    script = f"""
import os
from pathlib import Path
from custody import files
with files.whole(Path({str(tmp_path / "new")!r})) as out:
    out.write(b"half")
    out.flush()
    os._exit(9)
"""
    names = set()
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 9
        names = {path.name for path in tmp_path.glob(files.PARTS)}
    assert len(names) == 2
    with files.whole(tmp_path / "new") as out:
        out.write(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "new"}


@pytest.mark.skipif(shutil.which("strace") is None and "CI" not in os.environ, reason="there is no strace")
def test_a_file_and_its_name_are_on_the_disk(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from custody import files
folder = Path({str(tmp_path)!r})
files.make(folder / "key", b"secret")
with files.whole(folder / "key") as out:
    out.write(b"other")
"""
    calls = "fsync,link,linkat,rename,renameat,renameat2"
    trace = tmp_path / "trace"
    tracing = ["strace", "-y", "-o", str(trace), "-e", f"trace={calls}"]
    subprocess.run([*tracing, sys.executable, "-c", script], cwd=ROOT, check=True)
    seen = [
        (line.partition("(")[0].rstrip("at2"), ".part>" in line)
        for line in trace.read_text().splitlines()
        if str(tmp_path) in line
    ]
    file, folder = ("fsync", True), ("fsync", False)
    assert seen == [file, ("link", False), folder, file, ("rename", False), folder]


def test_a_file_of_the_owners_alone_takes_no_others_place(tmp_path: Path) -> None:
    files.make(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError) as caught:
        files.make(tmp_path / "key", b"second")
    assert caught.value.filename == str(tmp_path / "key")
    assert held(tmp_path) == {"key": (b"first", 0o600)}


def held(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


def test_a_folder_that_could_not_be_filled_is_as_it_was(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with files.filled(folder, "A new book"):
            (folder / "file").write_bytes(b"begun")
            (folder / "folder").mkdir()
            (folder / "folder" / "file").write_bytes(b"begun")
            (folder / "link").symlink_to(elsewhere)
            raise Conflict("the reason")

    elsewhere, old = tmp_path / "elsewhere", tmp_path / "old"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"of somebody else")
    old.mkdir()
    old.chmod(0o2775)
    for folder in (old, tmp_path / "a" / "b" / "c"):
        with pytest.raises(Conflict, match="the reason"):
            fail(folder)
    assert stat.S_IMODE(old.stat().st_mode) == 0o2775
    assert {path.name for path in tmp_path.rglob("*")} == {"elsewhere", "kept", "old"}


@pytest.mark.parametrize("left", [b"", b"0123456789abcdef"])
def test_a_session_key_that_was_cut_short_is_made_anew(copy: Path, left: bytes) -> None:
    """A kill or a full disk may leave one; with none, every page would answer 500."""
    path = copy / "keys" / "sessions"
    path.write_bytes(left)
    key = web_settings(Settings(), copy).secret_key
    assert (len(key), key.encode()) == (64, path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert web_settings(Settings(), copy).secret_key == key


def test_a_file_that_is_too_long_is_another_file(book: Path, tmp_path: Path) -> None:
    long = tmp_path / "long"
    with long.open("wb") as out:
        out.truncate(400_000_000)
    mirror = ("log", "mirror", str(tmp_path / "m"), "--from", "https://x.invalid/log")
    policy = str(book / "policy")
    for command in (
        ("receipt", "verify", str(long), "--policy", policy),
        ("receipt", "verify", policy, "--policy", str(long)),
        (*mirror, "--policy", policy, "--token", str(long)),
        ("import", "--site", "X", "--mtx", str(long)),
    ):
        assert f"{long} is longer than" in custody(*command, code=1)
    assert f"{long} is longer than" in custody("audit", "b.zip", "--policy", str(long), code=2)
    said = custody("audit", "b.zip", "--policy", policy, "--pin", str(long), code=2)
    assert f"{long} is longer than" in said


def test_an_error_names_the_file_that_it_is_about(copy: Path, tmp_path: Path) -> None:
    custody("log", "mirror", "--book", str(copy), str(tmp_path / "m"))
    noise = tmp_path / "noise"
    noise.write_bytes(b"\x00\x01")
    (tmp_path / "m" / "checkpoint").write_bytes(b"none")
    said = custody("log", "mirror", "--book", str(copy), str(tmp_path / "m"), code=1)
    assert said.startswith(f"{tmp_path / 'm' / 'checkpoint'}: ")
    said = custody("audit", "b.zip", "--policy", str(noise), code=2)
    assert said.startswith(f"{noise}: A policy has no control characters")
    said = custody("receipt", "verify", str(noise), "--policy", str(copy / "policy"), code=1)
    assert said.startswith(f"{noise}: ")
    (copy / "keys" / "server.pem").write_bytes(b"none")
    said = custody("fsck", "--book", str(copy), code=2)
    assert said == f"{copy / 'keys' / 'server.pem'}: This file holds no private key that can be read.\n"


def test_a_database_without_tables_is_no_older_book(copy: Path) -> None:
    (copy / "book.db").write_bytes(b"")
    said = custody("fsck", "--book", str(copy), code=2)
    assert f"{copy / 'book.db'} holds no book" in said
    assert "upgrade" not in said


# ------------------------------------------------------------------------------------------------ the words


def test_fsck_that_could_not_look_is_no_difference(copy: Path, tmp_path: Path) -> None:
    (copy / "database").write_text(f"postgresql:///custody?host={tmp_path}\n")
    for code, command in ((2, ("fsck",)), (1, ("log", "mirror", str(tmp_path / "m")))):
        said = custody(*command, "--book", str(copy), code=code)
        assert said.startswith("The database does not answer just now")
        assert "recorded" not in said
    assert "There is no book" in custody("fsck", "--book", str(tmp_path), code=2)


def test_a_token_alone_goes_to_the_file(book: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "custody", "log", "token", "--book", str(book), "vault", "--for", "mirror"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(run.stdout) == len("\n") + 43
    assert "Shown this once" in run.stderr


def test_the_version_is_told() -> None:
    assert custody("--version").startswith("custody, version ")
