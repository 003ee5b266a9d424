"""Signed hand-offs, from both signatures to the commit: how many a second, and how long one waits.

Each is parsed strictly, both signatures are verified, the fact is folded into the tables, and all of it is on
the disk before it is answered. 32 threads bring them, as many couriers would.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pymerkle import SqliteTree
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer import SSlibKey
from world import World

from custody.acts import signing
from custody.ledger.envelope import Envelope, Signature, pae
from custody.ledger.keys import PublicKey

THREADS = 32
COUNT = 3000
Signed = tuple[bytes, dict[str, bytes]]
"""A statement's payload, and both signatures over it by their key ids."""


def prepared(folder: Path, count: int = COUNT) -> tuple[World, list[Signed]]:
    """A company, and as many pick-ups that both parties have signed and nobody has brought in yet."""
    world = World(folder)
    names = [world.request(1) for _ in range(count)]
    for name in names:
        world.approve(name)
    payloads = [world.hand_off(name, "ann", "carl", "NORTH") for name in names]
    work = [(payload, world.both(payload, "ann", "carl")) for payload in payloads]

    return world, work


def bring(world: World, work: Sequence[Signed], rate: float | None = None) -> tuple[float, list[float]]:
    """How many a second went in, and the seconds that each took, ascending.

    Where there is a `rate`, each is brought at its moment, whatever became of those before it, and its time
    counts from there: a queue that grows is seen.
    """
    took: list[float] = []
    began = time.perf_counter()

    def courier(number: int) -> None:
        for place in range(number, len(work), THREADS):
            start = time.perf_counter()
            if rate is not None:
                start = began + place / rate
                time.sleep(max(0.0, start - time.perf_counter()))
            signing.submit(world.book, *work[place])
            took.append(time.perf_counter() - start)

    couriers = [threading.Thread(target=courier, args=(number,)) for number in range(THREADS)]
    for each in couriers:
        each.start()
    for each in couriers:
        each.join()
    return len(work) / (time.perf_counter() - began), sorted(took)


def bare(world: World, work: Sequence[Signed]) -> float:
    """The bound: both signatures of each verified and nothing else, on all cores; hand-offs a second."""
    keys = [world.keys[name].public for name in ("ann", "carl")]
    return on_all_cores(lambda: [_verify(keys, signed) for signed in work], len(work))


def _verify(keys: Sequence[PublicKey], signed: Signed) -> None:
    payload, signatures = signed
    message = pae(payload)
    for key in keys:
        assert key.verifies(signatures[key.id], message)


def on_all_cores(work: Callable[[], Any], count: int) -> float:
    """How many a second, where each core does all of the work at the same time."""
    context = multiprocessing.get_context("fork")
    cores = os.cpu_count() or 1
    ready, done = context.Barrier(cores + 1), context.Barrier(cores + 1)

    def one() -> None:
        ready.wait()
        work()
        done.wait()

    processes = [context.Process(target=one) for _ in range(cores)]
    for process in processes:
        process.start()
    ready.wait()
    began = time.perf_counter()
    done.wait()
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    return cores * count / took


def theirs(folder: Path, world: World, work: Sequence[Signed]) -> float:
    """securesystemslib verifies both, pymerkle appends to SQLite: no rules, no tables, no receipts."""
    keys = [SSlibKey.from_crypto(world.keys[n].public.key, world.keys[n].public.id) for n in ("ann", "carl")]
    leaves = [Envelope(p, tuple(Signature(k, s) for k, s in both.items())).leaf() for p, both in work]
    tree = SqliteTree(str(folder / "theirs.db"), algorithm="sha256")
    began = time.perf_counter()
    for leaf in leaves:
        TheirEnvelope.from_dict(json.loads(leaf)).verify(keys, threshold=2)
        tree.append_entry(leaf)
    return len(work) / (time.perf_counter() - began)


def database(world: World) -> tuple[float, float]:
    """Bytes of the ledger's own three tables, and of the whole file, for each byte of the envelopes."""
    world.book.engine.dispose()
    with sqlite3.connect(world.folder / "book.db") as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (envelopes,) = file.execute("SELECT sum(length(data)) FROM entry").fetchone()
        (ledger,) = file.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN ('entry', 'tile', 'checkpoint',"
            " 'sqlite_autoindex_entry_1', 'sqlite_autoindex_tile_1')"
        ).fetchone()
    file.close()
    return ledger / envelopes, (world.folder / "book.db").stat().st_size / envelopes
