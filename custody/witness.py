"""A witness: its home, and the two addresses that it answers (C2SP tlog-witness).

    witness.db         of each log: whose signature is trusted, and what was cosigned last (SQLite)
    key.pem            signs cosignatures and nothing else (Ed25519, for the owner's eyes only)
    vkey               the public key, for the policies of those who shall trust it

A cosignature says "this is the largest tree that I have seen". So what was cosigned is on the disk before it
is answered, and a database that was set back would make a liar of the key: `witness.db` is never restored
from a copy, and the folder is never at work in two places. Where it is lost, a new witness begins with
another key.
"""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from custody import files
from custody.errors import Conflict, NotFound, Unreadable, Untrusted
from custody.ledger.merkle import EMPTY
from custody.ledger.note import ED25519, Note, VerifierKey, WitnessKey
from custody.ledger.witness import AddCheckpoint, Declined, Known, cosigned_at, judge

BODY_MOST: Final = 1 << 16
BUSY: Final = 5.0
"""Seconds that a request waits for another process which is writing."""

REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Entity",
    503: "Service Unavailable",
}
"""All that a witness answers with."""

TABLE: Final = """
CREATE TABLE log (
    origin TEXT PRIMARY KEY,
    hash   TEXT NOT NULL UNIQUE,  -- SHA-256 of the origin in hexadecimal: its name in the monitor's address
    vkeys  TEXT NOT NULL,         -- whose signature is trusted, one a line
    size   INTEGER NOT NULL,      -- of what was cosigned last; 0 before that
    root   BLOB NOT NULL,
    note   TEXT                   -- it whole: the log's signatures, then ours
) STRICT
"""

Clock = Callable[[], int]
"""POSIX seconds."""

log = structlog.get_logger("custody.witness")


@dataclass(frozen=True, slots=True)
class Watched:
    """A log as its witness knows it; `cosigned` is when, in POSIX seconds, or None before the first time."""

    origin: str
    size: int
    cosigned: int | None


class Witness:
    """The witness in this folder, and a WSGI application. Any number of processes may work in it at once."""

    def __init__(self, folder: Path, clock: Clock, busy: float = BUSY) -> None:
        """NotFound where there is none; Untrusted where a file is missing or the key is not the one named."""
        if not (folder / "witness.db").is_file():
            raise NotFound(f"There is no witness in {folder}. Make one with `custody witness init {folder}`.")
        for file in ("vkey", "key.pem"):
            if not (folder / file).is_file():
                raise Untrusted(f"{folder / file} is missing. Restore it, or make a witness with a new key.")
        self.vkey = files.read(folder / "vkey").decode("utf-8", "replace").rstrip("\n")
        name = VerifierKey.read(self.vkey).name
        with files.about(folder / "key.pem"):
            self._key = WitnessKey.from_pem(name, files.read(folder / "key.pem"))
        if str(self._key.verifier) != self.vkey:
            raise Untrusted(f"{folder / 'key.pem'} is not the key that vkey names. Restore the right one.")
        self._database = (folder / "witness.db").resolve().as_uri() + "?mode=rw"  # never made in passing
        self._folder = folder
        self._clock = clock
        self._busy = busy

    @classmethod
    def create(cls, folder: Path, key: WitnessKey, clock: Clock) -> Witness:
        """A new witness that knows no log, in a folder that is empty or not there yet; else Conflict."""
        with files.filled(folder, "A new witness"):
            files.make(folder / "key.pem", key.pem())
            files.make(folder / "vkey", f"{key.verifier}\n".encode())
            files.make(folder / "witness.db", b"")
            with (
                _usable(),
                closing(sqlite3.connect(folder / "witness.db", isolation_level=None)) as connection,
            ):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(TABLE)
            return cls(folder, clock)

    def alone(self) -> AbstractContextManager[None]:
        """Conflict where this folder is served already: a second server is a second place at work."""
        return files.alone(
            self._folder, f"{self._folder} is served already, by another process. One is enough."
        )

    def add(self, vkey: str) -> str:
        """Trusts this key for the log that it names, whose origin is answered. What was cosigned stays.

        A second key of one log is trusted beside the first, for a log that changes its key.
        """
        key = VerifierKey.read(vkey)
        if key.type != ED25519:
            raise Unreadable(
                "This is a witness's vkey. The log's own is wanted: the `log` line of its policy."
            )
        with self._transaction() as connection:
            known = _known(connection, key.name)
            if known and key in known.keys:
                raise Conflict(f"This key of {key.name} is trusted already.")
            connection.execute(
                "INSERT INTO log VALUES (?, ?, ?, 0, ?, NULL)"
                " ON CONFLICT (origin) DO UPDATE SET vkeys = vkeys || char(10) || excluded.vkeys",
                (key.name, hashlib.sha256(key.name.encode()).hexdigest(), vkey, EMPTY),
            )
        return key.name

    def logs(self) -> list[Watched]:
        """All logs that this witness knows, by origin."""
        with self._transaction("BEGIN") as connection:
            rows = connection.execute("SELECT origin, size, note FROM log ORDER BY origin").fetchall()
        return [Watched(origin, size, note and _cosigned(note)) for origin, size, note in rows]

    def cosign(self, body: bytes) -> str:
        """The cosignature line for an add-checkpoint request, once its checkpoint is on the disk.

        Declined otherwise, and then nothing has changed. The latest checkpoint is read under the lock under
        which the next is written: else a small tree judged early could be written after a large one
        (tlog-witness, add-checkpoint, the race in six steps).
        """
        try:
            request = AddCheckpoint.read(body)
        except Unreadable as problem:
            raise Declined(400, str(problem)) from problem
        checkpoint = request.checkpoint
        with self._transaction() as connection:
            note = judge(request, _known(connection, checkpoint.origin))
            line = self._key.cosign(note.text, self._clock())
            connection.execute(
                "UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?",
                (checkpoint.size, checkpoint.root, f"{note}{line}", checkpoint.origin),
            )
        return line

    def latest(self, name: str) -> str:
        """The checkpoint cosigned last of the log whose origin has this SHA-256; else Declined with 404."""
        with self._transaction("BEGIN") as connection:
            row = connection.execute("SELECT note FROM log WHERE hash = ?", (name,)).fetchone()
        if row is None or row[0] is None:
            raise Declined(404, "This witness has cosigned no checkpoint of such a log.")
        return str(row[0])

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Committed at its end, or it never was. Each has a connection of its own: threads share none."""
        opened = functools.partial(sqlite3.connect, uri=True, timeout=self._busy, isolation_level=None)
        with _usable(), closing(opened(self._database)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers `POST /add-checkpoint` and `GET /<hash of an origin>/checkpoint`."""
        status, kind = 200, "text/plain; charset=utf-8"
        try:
            answer = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["wsgi.input"])
        except Declined as refusal:
            status, answer = refusal.status, f"{refusal}\n"
            if status == 503:
                with suppress(OSError):  # a log that is a file on the same full disk
                    log.exception("the database cannot be used; nothing was cosigned")
            if status == 409:
                kind = "text/x.tlog.size"
        body = answer.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(f"{status} {REASONS[status]}", headers)
        return [body]

    def _answer(self, method: str, path: str, body: Any) -> str:
        match method, path.split("/"):
            case "POST", ["", "add-checkpoint"]:
                data = body.read(BODY_MOST + 1)
                if len(data) > BODY_MOST:
                    raise Declined(413, f"A request has at most {BODY_MOST} bytes here.")
                return self.cosign(data)
            case "GET" | "HEAD", ["", name, "checkpoint"]:
                return self.latest(name)
        raise Declined(404, "Here are POST /add-checkpoint and GET /<SHA-256 of an origin>/checkpoint.")


@contextmanager
def _usable() -> Iterator[None]:
    """What SQLite says no to, as ours."""
    try:
        yield
    except sqlite3.Error as problem:
        raise Declined(503, f"The witness's database cannot be used now: {problem}. Try again.") from problem


def _known(connection: sqlite3.Connection, origin: str) -> Known | None:
    row = connection.execute("SELECT vkeys, size, root FROM log WHERE origin = ?", (origin,)).fetchone()
    return row and Known(tuple(map(VerifierKey.read, row[0].split("\n"))), row[1], row[2])


def _cosigned(note: str) -> int:
    return cosigned_at(Note.read(note.encode()).signatures[-1])
