"""A witness at home: neither a race nor a kill nor a full disk makes it contradict itself."""

from __future__ import annotations

import signal
import sqlite3
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from core.otherlog import OtherLog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from processes import FORK
from witness.life import (
    LOG,
    NOW,
    SIZES,
    asked,
    climb,
    full_before_it_begins,
    full_in_the_midst_of_the_commit,
    hold,
    killed_before_the_answer,
    killed_before_the_writing,
    now,
)

from custody.cli.witness import witness as command
from custody.errors import Conflict, NotFound, Unreadable, Untrusted
from custody.ledger.note import Note, VerifierKey, WitnessKey
from custody.ledger.witness import Declined, cosignatures, cosigned_at
from custody.witness import BODY_MOST, Witness

REWRITTEN = OtherLog("example.com/log42", entries="rewritten")
SECOND = OtherLog("other.example/log")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A witness that watches LOG and SECOND, and has seen nothing yet."""
    key = WitnessKey("witness.example/a", Ed25519PrivateKey.generate())
    made = Witness.create(tmp_path / "home", key, now)
    made.add(LOG.vkey)
    made.add(SECOND.vkey)
    return tmp_path / "home"


def kept(folder: Path) -> list[Any]:
    """All that the witness has on its disk."""
    with closing(sqlite3.connect(folder / "witness.db")) as connection:
        return connection.execute("SELECT * FROM log ORDER BY origin").fetchall()


def size(folder: Path) -> int:
    return {each.origin: each.size for each in Witness(folder, now).logs()}[LOG.origin]


def verified(witness: Witness, line: str, log: OtherLog, size: int) -> int:
    """The time of a cosignature that holds."""
    (found,) = cosignatures(line.encode(), log.text(size), [VerifierKey.read(witness.vkey)])
    return cosigned_at(found)


# ------------------------------------------------------------------------------------ what is answered


def test_a_log_grows_and_each_of_its_sizes_is_cosigned(home: Path) -> None:
    witness = Witness(home, now)
    old = 0
    for new in (0, 1, 1, 5, 8, 40):
        assert verified(witness, witness.cosign(LOG.ask(old, new)), LOG, new) == NOW
        assert size(home) == new
        old = new
    assert verified(witness, witness.cosign(SECOND.ask(0, 3)), SECOND, 3) == NOW, "logs do not mix"
    assert size(home) == 40


DECLINED = {
    400: [
        b"",
        b"old 5",
        LOG.ask(5, 2, []),
        LOG.ask(5, 2**63, note=LOG.note(3).replace("\n3\n", f"\n{2**63}\n")),
    ],
    403: [OtherLog(LOG.origin, key="stolen").ask(5, 9), LOG.ask(5, 9, note=LOG.note(9)[:-7] + "AAAAA=\n")],
    404: [OtherLog("nobody.example/added").ask(0, 3)],
    409: [LOG.ask(0, 4), LOG.ask(0, 0), LOG.ask(4, 9), LOG.ask(6, 9)],
    422: [REWRITTEN.ask(5, 5), REWRITTEN.ask(5, 9), LOG.ask(5, 9, []), LOG.ask(5, 9, [bytes(32)])],
    413: [LOG.ask(5, 9) + bytes(BODY_MOST)],
}


@pytest.mark.parametrize(("status", "bodies"), DECLINED.items())
def test_what_is_declined_changes_nothing(home: Path, status: int, bodies: list[bytes]) -> None:
    witness = Witness(home, now)
    witness.cosign(LOG.ask(0, 5))
    before = kept(home)
    for body in bodies:
        answer = asked(witness, "POST", "/add-checkpoint", body)
        assert answer[0] == status, answer
        assert "—".encode() not in answer[2]
        if status == 409:
            assert (answer[1]["Content-Type"], answer[2]) == ("text/x.tlog.size", b"5\n")
    assert kept(home) == before
    assert verified(witness, witness.cosign(LOG.ask(5, 9)), LOG, 9)


def test_a_cosignature_is_answered_as_text_that_nobody_keeps(home: Path) -> None:
    witness = Witness(home, now)
    status, headers, body = asked(witness, "POST", "/add-checkpoint", LOG.ask(0, 5))
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert (headers["Cache-Control"], headers["Content-Length"]) == ("no-store", str(len(body)))
    assert verified(witness, body.decode(), LOG, 5)


def test_a_monitor_reads_what_was_cosigned_last(home: Path) -> None:
    witness = Witness(home, now)
    assert asked(witness, "GET", f"/{LOG.hash}/checkpoint")[0] == 404, "never cosigned"
    junk = f"— spam.example {b64encode(bytes(80)).decode()}\n"
    first = asked(witness, "POST", "/add-checkpoint", LOG.ask(0, 5, note=LOG.note(5) + junk))[2].decode()
    status, headers, body = asked(witness, "GET", f"/{LOG.hash}/checkpoint")
    assert (status, body.decode()) == (200, LOG.note(5) + first), "the log's line and ours, and no other"
    assert headers["Cache-Control"] == "no-store"
    assert asked(witness, "HEAD", f"/{LOG.hash}/checkpoint")[0] == 200
    second = witness.cosign(LOG.ask(5, 9))
    assert asked(witness, "GET", f"/{LOG.hash}/checkpoint")[2].decode() == LOG.note(9) + second


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/add-checkpoint"),
        ("PUT", "/add-checkpoint"),
        ("POST", "/add-checkpoint/"),
        ("POST", f"/{LOG.hash}/checkpoint"),
        ("GET", f"/{LOG.hash.upper()}/checkpoint"),
        ("GET", f"/{SECOND.hash}/checkpoint"),
        ("GET", f"/{LOG.hash}/checkpoint/"),
        ("GET", "//checkpoint"),
        ("GET", "/key.pem"),
        ("GET", "/"),
        ("GET", ""),
    ],
)
def test_there_is_nothing_else_to_be_had(home: Path, method: str, path: str) -> None:
    witness = Witness(home, now)
    witness.cosign(LOG.ask(0, 5))
    assert asked(witness, method, path, LOG.ask(5, 9))[0] == 404
    assert size(home) == 5


# ---------------------------------------------------------------------------------------------- the race


def test_processes_that_race_make_one_chain_and_never_set_it_back(home: Path) -> None:
    """Every cosignature extends the one before it: no size is left twice, which a rollback would make it."""
    told, together = FORK.Queue(), FORK.Barrier(3)
    racers = [FORK.Process(target=climb, args=(home, seed, together, told)) for seed in range(3)]
    for racer in racers:
        racer.start()
    steps = sorted(step for _ in racers for step in told.get(timeout=120))
    for racer in racers:
        racer.join()
    assert [old for old, _ in steps] == [0, *(new for _, new in steps[:-1])]
    assert steps[-1][1] == size(home) == SIZES - 1


def test_the_race_of_the_specification_cannot_begin(home: Path) -> None:
    """Request A (small) is judged and not yet written: request B (large) is not even judged meanwhile."""
    ours, theirs = FORK.Pipe()
    small = FORK.Process(target=hold, args=(home, theirs))
    small.start()
    assert ours.recv() == "judged"
    with pytest.raises(Declined) as refusal:
        Witness(home, now, busy=0).cosign(LOG.ask(0, 9))
    assert refusal.value.status == 503
    ours.send("go on")
    witness = Witness(home, now)
    assert verified(witness, ours.recv(), LOG, 5)
    small.join()
    with pytest.raises(Declined, match=r"^5$"):
        witness.cosign(LOG.ask(0, 9))
    assert verified(witness, witness.cosign(LOG.ask(5, 9)), LOG, 9)


# ---------------------------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize(("where", "left"), [(killed_before_the_writing, 5), (killed_before_the_answer, 9)])
def test_killed_it_has_kept_what_it_answered_and_goes_on(
    home: Path, where: Callable[[Path], None], left: int
) -> None:
    Witness(home, now).cosign(LOG.ask(0, 5))
    process = FORK.Process(target=where, args=(home,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    witness = Witness(home, now)
    assert size(home) == left
    with pytest.raises(Declined):
        witness.cosign(REWRITTEN.ask(left, 12))
    assert verified(witness, witness.cosign(LOG.ask(left, 9)), LOG, 9)
    assert asked(witness, "GET", f"/{LOG.hash}/checkpoint")[2].startswith(LOG.note(9).encode())


# ------------------------------------------------------------------------- a disk that does not take it


@pytest.mark.parametrize("full", [full_before_it_begins, full_in_the_midst_of_the_commit])
def test_on_a_full_disk_nothing_is_cosigned(home: Path, full: Callable[[Path], None]) -> None:
    """Not even its log can be written then, where that is a file."""
    witness = Witness(home, now)
    witness.cosign(LOG.ask(0, 5))
    before = kept(home)
    process = FORK.Process(target=full, args=(home,))  # of its own: the limit is for a whole process
    process.start()
    process.join()
    assert process.exitcode == 0
    assert kept(home) == before
    assert verified(witness, witness.cosign(LOG.ask(5, 9)), LOG, 9)


def test_a_database_that_another_holds_or_that_is_gone_cosigns_nothing(home: Path) -> None:
    witness = Witness(home, now, busy=0)
    with closing(sqlite3.connect(home / "witness.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        status, _, body = asked(witness, "POST", "/add-checkpoint", LOG.ask(0, 5))
    assert (status, b"database is locked" in body) == (503, True)
    (home / "witness.db").rename(home / "elsewhere.db")
    assert asked(witness, "POST", "/add-checkpoint", LOG.ask(0, 5))[0] == 503
    assert asked(witness, "GET", f"/{LOG.hash}/checkpoint")[0] == 503
    assert not (home / "witness.db").exists(), "an empty one in its place would forget every log"


def test_a_commit_is_on_the_disk_before_it_is_answered(home: Path) -> None:
    with closing(sqlite3.connect(home / "witness.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with Witness(home, now)._transaction() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


# --------------------------------------------------------------------------------------------- the command


def run(*arguments: str | Path) -> Any:
    result = CliRunner().invoke(command, [str(each) for each in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_witness_is_made_told_whom_to_watch_and_tells_what_it_saw(tmp_path: Path) -> None:
    home = tmp_path / "home"
    vkey = run("init", home, "--name", "witness.example/a").stdout.strip()
    assert (VerifierKey.read(vkey).name, VerifierKey.read(vkey).type) == ("witness.example/a", 4)
    assert (home / "vkey").read_text() == f"{vkey}\n"
    assert (home / "key.pem").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o077 == 0
    assert run("list", home).stdout == ""
    assert "is watched" in run("add", home, LOG.vkey).stdout
    assert run("list", home).stdout == "example.com/log42\t0\tnever\n"
    Witness(home, now).cosign(LOG.ask(0, 5))
    assert run("list", home).stdout == "example.com/log42\t5\t2023-11-14T22:13:20Z\n"


def test_a_logs_second_key_is_trusted_beside_the_first_and_forgets_nothing(home: Path) -> None:
    witness, key = Witness(home, now), OtherLog(LOG.origin, key="the next", most=9)
    witness.cosign(LOG.ask(0, 5))
    with pytest.raises(Declined):
        witness.cosign(key.ask(5, 6))
    run("add", home, key.vkey)
    assert size(home) == 5
    assert verified(witness, witness.cosign(key.ask(5, 6)), key, 6)
    assert verified(witness, witness.cosign(LOG.ask(6, 7)), LOG, 7)


def test_what_cannot_be_is_told_in_a_sentence(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="trusted already"):
        run("add", home, LOG.vkey)
    with pytest.raises(Unreadable, match="a witness's vkey"):
        run("add", home, Witness(home, now).vkey)
    with pytest.raises(Unreadable):
        run("add", home, "no vkey")
    with pytest.raises(Conflict, match="not empty"):
        run("init", home, "--name", "witness.example/a")
    with pytest.raises(NotFound, match="custody witness init"):
        run("list", tmp_path / "nowhere")
    for name in ("", "https://witness.example/a", "a b", "a+b", "a\nb"):
        assert run("init", tmp_path / "new", "--name", name).exit_code == 2
    assert not (tmp_path / "new").exists()


def test_a_key_that_is_not_the_vkeys_is_not_used(home: Path) -> None:
    other = WitnessKey("witness.example/a", Ed25519PrivateKey.generate())
    (home / "key.pem").write_bytes(other.pem())
    with pytest.raises(Untrusted, match=r"key\.pem is not the key"):
        Witness(home, now)
    (home / "key.pem").unlink()
    with pytest.raises(Untrusted, match=r"key\.pem is missing"):
        Witness(home, now)


def test_the_cosignature_kept_is_the_one_answered(home: Path) -> None:
    witness = Witness(home, now)
    line = witness.cosign(LOG.ask(0, 5))
    assert str(Note.read(witness.latest(LOG.hash).encode()).signatures[-1]) == line
