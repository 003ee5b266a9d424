"""What witnesses in processes of their own live through. It imports little: each process imports it anew."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from core.otherlog import OtherLog

from custody.ledger.witness import Declined
from custody.witness import Witness

LOG = OtherLog("example.com/log42", most=100)
NOW = 1_700_000_000


def now() -> int:
    return NOW


def asked(witness: Witness, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """The answer of the WSGI application."""
    said: list[Any] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": BytesIO(body)}
    answer = b"".join(witness(environ, lambda status, headers: said.extend((status, headers))))
    return int(said[0].split(" ")[0]), dict(said[1]), answer


SIZES = 100


def climb(folder: Path, seed: int, together: Any, told: Any) -> None:
    """One of several who push the log upwards, by steps of its own; tells the steps that were answered."""
    witness, dice = Witness(folder, now, busy=60), random.Random(seed)
    steps, old = [], 0
    together.wait()
    try:
        while old < SIZES - 1:
            new = dice.randint(old + 1, min(old + 4, SIZES - 1))
            try:
                witness.cosign(LOG.ask(old, new))
                steps.append((old, new))
                old = new
            except Declined as refusal:
                old = int(str(refusal))  # which only a conflict's words are
    finally:
        told.put(steps)


def hold(folder: Path, line: Any) -> None:
    """Begins to cosign size 5, and stands still between the judgement and the writing until it is told."""

    def clock() -> int:
        line.send("judged")
        line.recv()
        return NOW

    line.send(Witness(folder, clock).cosign(LOG.ask(0, 5)))


def die(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_before_the_writing(folder: Path) -> None:
    Witness(folder, die).cosign(LOG.ask(5, 9))


def killed_before_the_answer(folder: Path) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/add-checkpoint",
        "wsgi.input": BytesIO(LOG.ask(5, 9)),
    }
    Witness(folder, now)(environ, die)


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file can grow beyond this, as on a full disk. (Python ignores the signal that comes with it.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full_before_it_begins(folder: Path) -> None:
    with no_room(0):
        declined(folder)


def full_in_the_midst_of_the_commit(folder: Path) -> None:
    """The write-ahead log is there, since another reads, and takes a few bytes more."""
    with closing(sqlite3.connect(folder / "witness.db", isolation_level=None)) as other:
        other.execute("SELECT * FROM log").fetchall()
        with no_room((folder / "witness.db-wal").stat().st_size + 100):
            declined(folder)


def declined(folder: Path) -> None:
    status, _, body = asked(Witness(folder, now), "POST", "/add-checkpoint", LOG.ask(5, 9))
    assert (status, "—".encode() in body) == (503, False), body
