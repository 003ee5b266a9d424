"""The measurements: each beside the physical bound of the same work, taken in the same run.

    make bench            writes benchmarks/results.json: a list of rows
                          {"name", "value", "unit", "bound", "ratio", "target", "met"}

A machine is fast or slow, busy or idle; a ratio to what the same machine did in the same minute says more
than a number of seconds. `bound` is the value that the bare operation reached here (bare signature checks,
bare fsync, bare SMTP), `ratio` ours divided by it, as better is higher. Where the target is a time that a
person waits, `target` is in the row's unit and `met` compares the value.
"""

from __future__ import annotations

import email
import json
import logging
import multiprocessing
import os
import random
import secrets
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import handoffs
import held
import ledgers
import structlog
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import load_der_public_key
from rounds import go_round
from strangers import FIFTY, ONE
from world import World

from custody.acts import media
from custody.channels.email import Email, Relay
from custody.facts import Statement
from custody.garbage import search_seldom
from custody.ledger.envelope import Envelope, pae
from custody.ledger.keys import public_key
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import WIDTH, read_entry_bundle
from custody.monitor import Monitor
from custody.rules.alarms import Notice
from custody.store.tree import Tree
from labels import identity
from labels.sheet import STOCKS, Label, sheet

RESULTS = Path(__file__).with_name("results.json")
BURST = 1000
MILLION = 1_000_000
AUDITED = 50_000


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    bound: float | None
    ratio: float | None
    target: str
    met: bool


def rate(count: int, work: Callable[[], Any]) -> float:
    """How often a second, over `count` times in one go."""
    began = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - began)


def bare_checks() -> float:
    """ECDSA P-256 verifications a second, one core, key loaded."""
    private = generate_private_key(SECP256R1())
    message, public = b"m" * 800, private.public_key()
    signature = private.sign(message, ECDSA(hashes.SHA256()))
    return rate(3000, lambda: public.verify(signature, message, ECDSA(hashes.SHA256())))


def bare_fsync(folder: Path) -> float:
    """Appends of 4 kB, each on the disk before the next, a second."""
    with (folder / "fsync").open("wb") as file:

        def once() -> None:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

        return rate(300, once)


class Sink:
    """Notes when each message was taken, by its Message-ID."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        head = email.message_from_bytes(envelope.content.partition(b"\r\n\r\n")[0])
        self.taken[head["Message-ID"]] = time.perf_counter()
        return "250 taken"


def bare_smtp(port: int) -> float:
    """Messages handed over a second, on one line."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@home.test", "b@home.test", "s"
    mail.set_content("x" * 600)
    with smtplib.SMTP("127.0.0.1", port) as line:
        return rate(300, lambda: line.send_message(mail))


def acts(world: World, checks: float, fsync: float) -> list[Row]:
    """Signed hand-offs, by the whole way: two drafts, verification, folding, commit."""
    names = [world.request(1) for _ in range(60)]
    for name in names:
        world.approve(name)
    began = time.perf_counter()
    for name in names:
        world.hand(name, "ann", "carl", site="NORTH")
    speed = len(names) / (time.perf_counter() - began)
    # one hand-off here is two pages (the taker's draft, then the record): two fsyncs and three checks
    bound = 1 / (3 / checks + 2 / fsync)
    return [
        Row("hand-offs through the book, signed twice", speed, "1/s", bound, speed / bound, "shown", met=True)
    ]


def two_hundred(world: World, fsync: float) -> Row:
    things = [media.New("medium", f"B{i:05d}L8") for i in range(200)]
    began = time.perf_counter()
    media.register(world.book, "P-1", "NORTH", things, lambda: identity.draw(secrets.token_bytes))
    took = time.perf_counter() - began
    bound = 1 / fsync
    return Row("200 media in one act", took, "s", bound, bound / took, "<= 1 s", met=took <= 1)


def burst(folder: Path) -> list[Row]:
    """G1: a thousand consignments fall due in the same second; when did the first senior's mail leave?"""
    world = World(folder / "burst")
    names = [world.request(1) for _ in range(BURST)]
    for name in names:
        world.approve(name)
        world.hand(name, "ann", "carl", site="NORTH")
    sink = Sink()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Controller(sink, hostname="127.0.0.1", port=port)
    server.start()
    try:
        bound = bare_smtp(port)
        sink.taken.clear()
        channel = Email(Relay("127.0.0.1", port, "custody@home.test", tls="none"), world.clock)
        monitor = Monitor(world.book, {"email": channel}, "https://c.test")
        go_round(monitor)  # the mails of the set-up and nothing else
        world.at += timedelta(minutes=46)
        go_round(monitor)  # the reminders
        world.at = max(world.alarm(name).due for name in names)
        sink.taken.clear()
        began = time.perf_counter()
        while any(notice.accepted_at is None for notice in waiting(world)):
            go_round(monitor)
        seniors = sorted(sink.taken[message] - began for message in first_told(world))
        everybody = told(world) / (time.perf_counter() - began)
    finally:
        server.stop()
    assert len(seniors) == BURST, "each consignment's first notice to a senior was accepted"
    p99 = seniors[BURST * 99 // 100 - 1]
    g1 = "G1: 1,000 due at once, due to the relay's 250 for the first notice to a senior"
    return [
        Row(f"{g1}, p99", p99, "s", None, None, "<= 5 s", met=p99 <= 5),
        Row(f"{g1}, max", seniors[-1], "s", None, None, "<= 15 s", met=seniors[-1] <= 15),
        Row(
            "notices told and recorded in that burst, many in one message; bound: bare messages",
            everybody,
            "1/s",
            bound,
            everybody / bound,
            "shown",
            met=True,
        ),
    ]


def waiting(world: World) -> list[Notice]:
    with world.book.world() as looked:
        return [n for n in looked.all(Notice) if n.accepted_at is None]


def first_told(world: World) -> list[str]:
    """For each alarm the message that carried its first notice to the senior manager on call."""
    ending = f"/1.0/{world.ids['dana']}/email"
    with world.book.world() as looked:
        return [n.message for n in looked.all(Notice) if n.id.endswith(ending) and n.message is not None]


def told(world: World) -> int:
    """How many notices of the present moment were accepted."""
    with world.book.world() as looked:
        return sum(n.accepted_at is not None and n.accepted_at >= world.at for n in looked.all(Notice))


def labels_10_000() -> Row:
    host = "CUSTODY.EXAMPLE"
    ids = [identity.draw(secrets.token_bytes) for _ in range(10_000)]
    wanted = [Label(i, identity.url(host, "M", i), ("LTO-8", "TOWER"), title="ORO001L8") for i in ids]
    began = time.process_time()
    pdf = sheet(wanted, STOCKS["L7160"])
    took = time.process_time() - began
    met = took <= 10 and len(pdf) <= 5_000_000
    return Row("10,000 labels, each read back (CPU)", took, "s", None, None, "<= 10 s and <= 5 MB", met=met)


JUDGE = """
import json, sys, time
from pathlib import Path
from custody import audit

def held():
    tasks = Path("/proc/self/task").glob("*/children")
    pids = ["self", *(pid for task in tasks for pid in task.read_text().split())]
    lines = [line for pid in pids for line in Path("/proc", pid, "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

folder, peak, began = Path(sys.argv[1]), 0, time.perf_counter()

def tell(done, of):
    global peak
    if done % 4096 == 0 or done + 256 > of:
        peak = max(peak, held())

report = audit.verify(folder, folder.with_name("policy").read_bytes(), tell=tell)
found = sum(1 for _ in report.findings())
took = time.perf_counter() - began
assert report.sound, report.sentence
print(json.dumps([report.size / took, peak / 1000]))
"""
"""Judges, with all that a report says; entries a second, and the most memory of all processes, in MB."""


def audit(folder: Path) -> list[Row]:
    """The auditor on a ledger of trips. Its bound: nothing but the same signatures, on all cores."""
    log = folder / "log"
    ledgers.write(World(folder / "audited"), AUDITED, log)
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        bound = sum(pool.map(checked, [log] * cores, range(cores), [cores] * cores))
    run = subprocess.run([sys.executable, "-c", JUDGE, log], stdout=subprocess.PIPE, text=True, check=True)
    speed, peak = json.loads(run.stdout)
    ratio = speed / bound
    what = f"audit of {AUDITED:,} entries"
    return [
        Row(
            f"{what}; bound: their signatures alone, on all cores",
            speed,
            "1/s",
            bound,
            ratio,
            ">= 0.65",
            met=ratio >= 0.65,
        ),
        Row(f"{what}, memory of all processes", peak, "MB", None, None, "<= 200 MB", met=peak <= 200),
    ]


def checked(log: Path, share: int, of: int) -> float:
    """Entries a second, of which each has its signatures checked: by one process, one entry in `of`."""
    work, count, keys = [], 0, {}
    for path in sorted(log.glob("tile/entries/**/*")):
        if path.is_file():
            width = int(path.name) if path.parent.suffix == ".p" else WIDTH
            for entry in read_entry_bundle(path.read_bytes(), width):
                envelope = Envelope.read(entry)
                for spki in Statement.read(envelope.payload).fact.introduces():
                    keys[public_key(spki).id] = load_der_public_key(b64decode(spki))
                count += 1
                if count % of == share:
                    message = pae(envelope.payload)
                    work += [(keys[each.key], each.der, message) for each in envelope.signatures]
    began = time.perf_counter()
    for key, signature, message in work:
        key.verify(signature, message, ECDSA(hashes.SHA256()))
    return count / of / (time.perf_counter() - began)


def the_book(folder: Path) -> list[Row]:
    """Acts, one after the other."""
    checks, fsync = bare_checks(), bare_fsync(folder)
    world = World(folder / "acts")
    return [*acts(world, checks, fsync), two_hundred(world, fsync)]


def hand_offs(folder: Path) -> list[Row]:
    """Signed hand-offs as fast as 32 threads bring them, at half that rate, and what they leave behind."""
    search_seldom()  # as a server does
    world, work = handoffs.prepared(folder / "hand-offs")
    first, second = work[: len(work) // 2], work[len(work) // 2 :]
    bound = handoffs.bare(world, first)
    speed, _ = handoffs.bring(world, first)
    _, took = handoffs.bring(world, second, speed / 2)
    theirs = handoffs.theirs(folder, world, first)
    p99 = took[len(took) * 99 // 100]
    ledger, whole = handoffs.database(world)
    return [
        Row(
            "hand-offs, both signatures to commit, 32 threads; bound: verifying alone, all cores",
            speed,
            "1/s",
            bound,
            speed / bound,
            ">= 0.35 of the bound",
            met=speed >= 0.35 * bound,
        ),
        Row(
            "the same; bound: securesystemslib and pymerkle, which do less",
            speed,
            "1/s",
            theirs,
            speed / theirs,
            ">= 3 of the bound",
            met=speed >= 3 * theirs,
        ),
        Row("a hand-off at half that load, p99", p99, "s", None, None, "<= 0.05 s", met=p99 <= 0.05),
        Row(
            "the ledger's three tables, bytes a byte of envelope",
            ledger,
            "",
            None,
            None,
            "<= 1.6",
            ledger <= 1.6,
        ),
        Row("the whole database, the same", whole, "", None, None, "<= 1.6", whole <= 1.6),
    ]


def a_million(folder: Path) -> list[Row]:
    """Proofs and the cold start of a log of a million entries. Their data are short: none is read."""
    world = World(folder / "million")
    grow(world, MILLION)
    world.reopen()
    began = time.perf_counter()
    world.book.verify_edge()
    cold = time.perf_counter() - began
    draw = random.Random(1)  # noqa: S311 - the same leaves in each run
    with world.book.read() as connection:
        tree = Tree(connection, kept=world.book.tiles)
        speed = rate(2000, lambda: tree.inclusion(draw.randrange(MILLION)))
        steps = rate(500, lambda: tree.consistency(draw.randrange(1, MILLION)))
    bound = bare_tiles(world.folder / "book.db")
    return [
        Row(
            "cold start at 1,000,000 entries: right edge, root, signature",
            cold,
            "s",
            None,
            None,
            "<= 0.05 s",
            met=cold <= 0.05,
        ),
        Row(
            "inclusion proofs at 1,000,000 entries, random leaves; bound: reading and hashing one tile",
            speed,
            "1/s",
            bound,
            speed / bound,
            ">= 1,500/s",
            met=speed >= 1500,
        ),
        Row(
            "consistency proofs at 1,000,000 entries, random older sizes; bound: the same",
            steps,
            "1/s",
            bound,
            steps / bound,
            "shown",
            met=True,
        ),
    ]


def grow(world: World, size: int) -> None:
    """The log with so many entries, written as `Page` writes them and past all rules."""
    world.book.engine.dispose()
    with sqlite3.connect(world.folder / "book.db") as database:
        leaves = [row[0] for row in database.execute("SELECT leaf_hash FROM entry ORDER BY seq")]
        fresh = [b"entry %d" % seq for seq in range(len(leaves), size)]
        start = len(leaves)
        leaves += map(leaf_hash, fresh)
        database.executemany(
            "INSERT INTO entry (seq, event_id, leaf_hash, data) VALUES (?, ?, ?, ?)",
            ((seq, f"{seq:064x}", leaves[seq], data) for seq, data in enumerate(fresh, start)),
        )
        frontier = Frontier()
        for leaf in leaves:
            frontier.add(leaf)
        level, row = 0, leaves
        while len(row) >= WIDTH:
            full = [row[at : at + WIDTH] for at in range(0, len(row) - WIDTH + 1, WIDTH)]
            row = [perfect_root(tile) for tile in full]
            database.executemany(
                "INSERT INTO tile (level, number, root, hashes) VALUES (?, ?, ?, ?)",
                ((level, n, row[n], b"".join(tile)) for n, tile in enumerate(full)),
            )
            level += 1
        note = world.log_key.sign(Checkpoint(world.log_key.verifier.name, size, frontier.root()))
        database.execute(
            "INSERT INTO checkpoint (size, root, note) VALUES (?, ?, ?)", (size, frontier.root(), note)
        )
    database.close()


def bare_tiles(path: Path) -> float:
    """Tiles read at random and hashed to their roots a second, without anything of ours but the hashing."""
    draw = random.Random(2)  # noqa: S311 - likewise
    with sqlite3.connect(path) as database:

        def once() -> None:
            number = draw.randrange(MILLION // WIDTH)
            query = "SELECT hashes FROM tile WHERE level = 0 AND number = ?"
            (tile,) = database.execute(query, (number,)).fetchone()
            perfect_root([tile[at : at + 32] for at in range(0, len(tile), 32)])

        speed = rate(2000, once)
    database.close()
    return speed


def strangers(folder: Path) -> list[Row]:
    """What others wait for the pages while 200 sockets are held, slow or lingering, in nine ways."""
    pages, rows = held.Pages(folder), []
    with pages.served():
        for sources, where in ((ONE, "one address"), (FIFTY, "fifty addresses")):
            p99 = held.worst(pages, sources)
            name = f"an answer while 200 strangers from {where} hold sockets, p99 of the worst kind"
            rows.append(Row(name, p99, "s", None, None, "<= 1 s", met=p99 <= 1))
    return rows


PARTS = {
    "book": the_book,
    "hand-offs": hand_offs,
    "audit": audit,
    "burst": burst,
    "labels": lambda _: [labels_10_000()],
    "million": a_million,
    "strangers": strangers,
}
"""Each is measured in a process of its own: what one leaves in memory must not slow the next."""


def measure(part: str) -> list[Row]:
    run = subprocess.run([sys.executable, __file__, part], stdout=subprocess.PIPE, text=True, check=True)
    return [Row(**row) for row in json.loads(run.stdout)]


def main() -> None:
    if sys.argv[1:]:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps([asdict(row) for row in PARTS[sys.argv[1]](Path(name))]))
        return
    rows = [row for part in PARTS for row in measure(part)]
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    for row in rows:
        ratio = f"  {row.ratio:.2f} of the bound {row.bound:,.4g}" if row.ratio is not None else ""
        met = "met" if row.met else "NOT MET"
        print(f"{row.name:80} {row.value:10.4g} {row.unit:4} {row.target:22} {met}{ratio}")


if __name__ == "__main__":
    main()
