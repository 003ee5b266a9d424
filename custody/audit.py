"""The offline auditor: judges a whole ledger from its files, with no database, network or clock.

    python -m custody.audit BUNDLE --policy FILE [--genesis HASH] [--pin OLD-CHECKPOINT]

It needs Python and `cryptography` alone. The steps, with the numbers that FORMAT.md and the report use:

    1  the checkpoint is signed by a log that the policy names, and cosigned by its quorum of witnesses
    2  the root in the checkpoint is the root over the entries, and every tile is what the entries make it
    3  each pinned older checkpoint is of the same history
    4  each entry reads, in the one spelling that it has
    5  each event may follow the events before it (`custody.rules.history`)
    6  each signature holds, by a device that was enrolled at that entry
    7  each release of a key has its quorum
    8  time never runs backwards, and neither does what the devices have seen

Two things must reach the auditor by another way than the bundle does: the policy, whose fingerprint the
report names, and the hash of the genesis. Without a pin or a witness, a log's owner could have written all of
it anew, and the report says so: consistent, not proved to be the only history.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from custody import facts
from custody.errors import Backwards, Forged, Refusal, Unreadable
from custody.facts import Cleared, Climbed, Genesis, NewerKind, Received, Recipient, Statement
from custody.ledger.bundle import ENTRIES_MOST, NotAZip, read_folder
from custody.ledger.bundle import read as read_bundle
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, Note, Opened, Policy
from custody.ledger.receipt import HEADER, Receipt
from custody.ledger.tiles import WIDTH, hash_tiles, paths, read_entry_bundle
from custody.rules import overdue
from custody.rules.alarms import Alarm, Notice
from custody.rules.consignments import Consignment
from custody.rules.handoffs import HandOff
from custody.rules.history import check_signatures, evolve
from custody.rules.people import RELAXATIONS, Device
from custody.rules.world import Event, Log, World
from custody.strict import time_text

STEPS: Final = {
    1: "the checkpoint's signatures and witnesses",
    2: "the root and the tiles, from the entries",
    3: "the pinned checkpoints",
    4: "each entry reads",
    5: "each event may follow its predecessors",
    6: "each signature, by a device enrolled at that entry",
    7: "the quorum of each key release",
    8: "time and what was seen",
}


LATE: Final = timedelta(minutes=5)
"""After so long the report says that a rung was recorded late: a monitor goes round every second."""


@dataclass
class Report:
    """What the auditor found.

    `sound` is the verdict; where it is False, `failed` is the step, `why` the sentence and `entry` the
    first bad entry, if it is about one; `newer` that this program is too old to judge it. The first
    `judged` entries hold, whole transactions of them, and `world` is what they tell. `telling` are
    lines about alarms that told late, or not those whom the ladder names: no tampering, and yet what a
    server's owner could do.
    """

    policy: str = ""
    genesis: str = ""
    size: int = 0
    first: datetime | None = None
    last: datetime | None = None
    witnesses: tuple[str, ...] = ()
    pins: list[int] = field(default_factory=list)
    genesis_given: bool = False
    sound: bool = False
    failed: int | None = None
    entry: int | None = None
    why: str = ""
    newer: bool = False
    judged: int = 0
    telling: list[str] = field(default_factory=list)
    world: World = field(default_factory=World)

    @property
    def vouched(self) -> int:
        """How many entries a pin or the witnesses vouch for: of these there is no second history."""
        return self.size if self.witnesses else max(self.pins, default=0)


class _Failed(Exception):  # noqa: N818 - carries a verdict out of a step
    def __init__(self, step: int, why: str, entry: int | None = None) -> None:
        super().__init__(why)
        self.step, self.why, self.entry = step, why, entry


def verify(
    bundle: BinaryIO | Path, policy: bytes, *, genesis: str | None = None, pins: Sequence[bytes] = ()
) -> Report:
    """The verdict on a bundle, or on a folder of tiles.

    NotAZip, or Unreadable for the policy; everything else is in the report.
    """
    trust = Policy.read(policy)
    report = Report(policy=hashlib.sha256(policy).hexdigest(), genesis_given=genesis is not None)
    try:
        _verify(bundle, trust, genesis, pins, report)
        report.sound = True
    except _Failed as verdict:
        report.failed, report.why, report.entry = verdict.step, verdict.why, verdict.entry
    return report


def fold(entries: Iterable[bytes], opened: Opened) -> Report:
    """Steps 4 to 8 over entries whose tree was judged already; `Report.world` is what they tell."""
    report = Report(size=opened.checkpoint.size)
    history = History(report, opened, None)
    frontier = Frontier()
    try:
        for entry in entries:
            frontier.add(leaf_hash(entry))
            history.add(entry, frontier)
        history.close()
        report.sound = True
    except _Failed as verdict:
        report.failed, report.why, report.entry = verdict.step, verdict.why, verdict.entry
    return report


def _verify(
    bundle: BinaryIO | Path, trust: Policy, genesis: str | None, pins: Sequence[bytes], report: Report
) -> None:
    members = _members(bundle)
    _, note = next(members)
    opened = _open(note, trust, report)  # 1
    checkpoint = opened.checkpoint
    if checkpoint.size > ENTRIES_MOST:
        raise _Failed(2, f"At most {ENTRIES_MOST:,} entries are judged at once; the checkpoint says more.")
    entries, tiles, spoiled = _unpack(members, checkpoint.size)
    frontier = Frontier()
    roots = {0: frontier.root()}
    pinned = [_pin(pin, checkpoint, trust) for pin in pins]
    history = History(report, opened, genesis)
    hashes = []
    for index, entry in enumerate(entries):
        leaf = leaf_hash(entry)
        hashes.append(leaf)
        frontier.add(leaf)
        if any(pin.size == index + 1 for pin in pinned):
            roots[index + 1] = frontier.root()
    if frontier.root() != checkpoint.root:  # 2
        raise _Failed(2, *_first_bad_leaf(hashes, tiles))
    if dict(hash_tiles(hashes)) != tiles:
        raise _Failed(2, "A tile in the bundle is not the one that the entries make.")
    if spoiled is not None:
        raise spoiled
    _check_pins(pinned, roots, checkpoint, report)  # 3
    frontier = Frontier()
    for entry, leaf in zip(entries, hashes, strict=True):  # 4 to 8
        frontier.add(leaf)
        history.add(entry, frontier)
    history.close()


def _check_pins(
    pinned: list[Checkpoint], roots: dict[int, bytes], checkpoint: Checkpoint, report: Report
) -> None:
    for pin in pinned:
        if not pin.size:
            raise _Failed(3, "A pinned checkpoint of no entries vouches for nothing.")
        if pin.size > checkpoint.size or roots[pin.size] != pin.root:
            what = "shorter than" if pin.size > checkpoint.size else "another history than"
            raise _Failed(3, f"The ledger is {what} the checkpoint of {pin.size:,} entries that was pinned.")
        report.pins.append(pin.size)


def _members(bundle: BinaryIO | Path) -> Iterator[tuple[str, bytes]]:
    """The bundle's members; a departure from its form is a failure of step 2, whose bytes they are."""
    members = read_folder(bundle) if isinstance(bundle, Path) else read_bundle(bundle)
    while True:
        try:
            member = next(members, None)
        except NotAZip:
            raise
        except Unreadable as problem:
            raise _Failed(2, str(problem)) from None
        if member is None:
            return
        yield member


def _open(note: bytes, trust: Policy, report: Report) -> Opened:
    try:
        opened = trust.open(note)
    except Unreadable as problem:
        raise _Failed(1, str(problem)) from None
    report.size, report.witnesses = opened.checkpoint.size, opened.witnesses
    return opened


def _whole(pin: bytes) -> bytes:
    """A pin's note, with its last line's end, which many readers of QR codes drop. A receipt has one, too."""
    note = pin.rstrip(b"\n") + b"\n"
    return Receipt.read(note).note.encode() if note.startswith(HEADER.encode()) else note


def _pin(pin: bytes, checkpoint: Checkpoint, trust: Policy) -> Checkpoint:
    """An older checkpoint that the auditor kept. It needs the log's signature, not the witnesses'."""
    try:
        note = Note.read(_whole(pin))
        old = Checkpoint.read(note.text)
        signed = any(
            (key.name, key.id) == (line.name, line.key_id)
            and key.name == old.origin
            and key.verifies(line.signature, note.text)
            for line in note.signatures
            for key in trust.logs
        )
    except Unreadable as problem:
        raise _Failed(3, f"A pinned checkpoint cannot be read: {problem}") from None
    if not signed or old.origin != checkpoint.origin:
        raise _Failed(3, "A pinned checkpoint is not this log's.")
    return old


def _unpack(
    members: Iterator[tuple[str, bytes]], size: int
) -> tuple[list[bytes], dict[str, bytes], _Failed | None]:
    """The entries, the hash tiles, and what is wrong with the bundle itself once all of them were read.

    That comes third, since an entry that differs says more than a checksum does.
    """
    entries: list[bytes] = []
    tiles = {}
    wanted = paths(size)
    for path in wanted:
        _, data = next(members)
        if path.startswith("tile/entries/"):
            try:
                entries += read_entry_bundle(data, min(WIDTH, size - len(entries)))
            except Unreadable as problem:
                raise _Failed(4, f"{path}: {problem}", len(entries)) from None
        else:
            tiles[path] = data
    try:
        next(members, None)
    except _Failed as problem:
        return entries, tiles, problem
    return entries, tiles, None


def _first_bad_leaf(hashes: list[bytes], tiles: dict[str, bytes]) -> tuple[str, int | None]:
    """Which entry differs from the level-0 tiles, if they can tell."""
    level_0 = b"".join(data for path, data in tiles.items() if path.startswith("tile/0/"))
    for index, leaf in enumerate(hashes):
        if level_0[index * 32 : index * 32 + 32] != leaf:
            return "The entry is not the one that was hashed into the tree.", index
    return "The root over the entries is not the one that the checkpoint signs.", None


class History:
    """Steps 4 to 8, entry by entry: reads, verifies and folds what one transaction after another recorded.

    `add` raises the verdict at the first bad entry. An entry's time is that of the `received` fact which
    ends its transaction, so events are held until that comes.
    """

    def __init__(self, report: Report, opened: Opened, genesis: str | None) -> None:
        self._report = report
        self._opened = opened
        self._genesis = genesis
        self._waiting: list[tuple[int, str, Statement, Envelope]] = []
        self._index = 0
        self._ids: set[str] = set()

    def add(self, entry: bytes, frontier: Frontier) -> None:
        """The next entry, and the tree with it."""
        index, self._index = self._index, self._index + 1
        try:
            envelope = Envelope.read(entry)
            statement = Statement.read(envelope.payload)
        except NewerKind as problem:
            self._report.newer = True
            raise _Failed(4, str(problem), index) from None
        except Unreadable as problem:
            raise _Failed(4, str(problem), index) from None
        name = event_id(envelope.payload)
        if name in self._ids:
            raise _Failed(4, "This event stands in the ledger twice.", index)
        self._ids.add(name)
        if index == 0:
            self._begin(name, statement)
        if not isinstance(statement.fact, Received):
            self._waiting.append((index, name, statement, envelope))
            return
        if statement.fact.events != tuple(name for _, name, _, _ in self._waiting):
            raise _Failed(5, "A transaction's last entry does not name the events that it took in.", index)
        for waiting in [*self._waiting, (index, name, statement, envelope)]:
            self._take(*waiting, statement.fact.at)
        self._waiting = []
        self._report.judged = index + 1
        self._report.world.roots[frontier.size] = frontier.root()

    def close(self) -> None:
        """There are no more entries."""
        if self._waiting or not self._index:
            raise _Failed(5, "The last transaction has no end.", self._index - len(self._waiting))

    def _begin(self, name: str, statement: Statement) -> None:
        self._report.genesis = name
        if not isinstance(statement.fact, Genesis):
            raise _Failed(5, "The first entry is not a genesis.", 0)
        if statement.fact.log_key not in self._opened.logs:
            raise _Failed(5, "The genesis names another log's key than the one that signs the checkpoint.", 0)
        if self._genesis is not None and name != self._genesis:
            raise _Failed(5, "The genesis is not the one whose hash was given: this is another ledger.", 0)

    def _take(self, index: int, name: str, statement: Statement, envelope: Envelope, at: datetime) -> None:
        world = self._report.world
        signers = tuple(signature.key for signature in envelope.signatures)
        world.moment = at
        if isinstance(statement.fact, Climbed):
            self._report.telling += _telling(world, statement.fact, at)
        try:
            check_signatures(world, statement.fact, envelope)
            evolve(world, Event(index, name, statement, signers, at))
        except Forged as problem:
            raise _Failed(6, str(problem), index) from None
        except Backwards as problem:
            raise _Failed(8, str(problem), index) from None
        except Refusal as problem:
            raise _Failed(5, str(problem), index) from None
        self._report.first, self._report.last = self._report.first or at, at


def _telling(world: World, fact: Climbed, at: datetime) -> Iterator[str]:
    """Where a rung was recorded late, or told others than those whom the ladder names at that moment."""
    alarm = world.find(Alarm, fact.alarm)
    consignment = world.find(Consignment, fact.consignment)
    if alarm is None or alarm.next_at is None or consignment is None or fact.rung != alarm.rung:
        return  # a ledger that says so is not sound, and judged as such
    where = f"{alarm.id} ({consignment.id}) rung {fact.rung}.{fact.repeat}"
    if _late(alarm, at):
        skipped = f", {fact.repeat - alarm.repeat} repeats skipped" if fact.repeat > alarm.repeat else ""
        yield f"late      {where} was due {time_text(alarm.next_at)} and recorded {time_text(at)}{skipped}"
    wanted, told = set(overdue.told(world, alarm, consignment, at)), set(fact.told)
    if not wanted and not fact.repeat and alarm.ladder[fact.rung].after >= 0:
        yield f"nobody    {where}: there was nobody to be told"
    if wanted - told:
        yield f"untold    {where}: {_named(wanted - told)} were to be told, and were not"
    if told - wanted:
        yield f"untold    {where}: {_named(told - wanted)} were told, and were not to be"


def _late(alarm: Alarm, now: datetime) -> bool:
    """Whether what it owes next should have been recorded by now. Nothing is owed before it was armed."""
    return alarm.next_at is not None and now - max(alarm.next_at, alarm.armed_at) > LATE


def _named(told: set[Recipient]) -> str:
    return ", ".join(sorted(f"{each.person} by {each.channel}" for each in told))


def _owed(report: Report) -> Iterator[str]:
    """What was owed by the time of the last entry, and what no relay has accepted."""
    if report.last is None:
        return
    for alarm in report.world.all(Alarm):
        where = f"{alarm.id} ({alarm.consignment})"
        match overdue.owed(report.world, alarm, report.last):
            case facts.Opened():
                yield f"untold    {where}: its media are presumed missing, and no incident has opened"
            case Cleared() if _late(alarm, report.last):
                yield f"untold    {where} owes an all-clear since {time_text(alarm.next_at or report.last)}"
            case Climbed() as fact if _late(alarm, report.last):
                since = time_text(alarm.next_at or report.last)
                yield f"untold    {where} rung {fact.rung} was due {since}; the ledger goes on without it"
    notices = report.world.all(Notice)
    unsent = [n.scheduled for n in notices if n.accepted_at is None and report.last - n.scheduled > LATE]
    if unsent:
        oldest = time_text(min(unsent))
        yield f"unsent    {len(unsent):,} notices were accepted by no relay, the oldest of {oldest}"


# ------------------------------------------------------------------------------------------- the report


def text(report: Report) -> str:
    """The report in words, one finding a line, the verdict last."""
    lines = [
        f"policy    sha256 {report.policy}",
        f"genesis   {report.genesis or 'not read'}{_given(report)}",
        f"log       {report.size:,} entries",
    ]
    if report.first is not None and report.last is not None:
        lines.append(f"time      {time_text(report.first)} to {time_text(report.last)}")
    lines += [f"step {step}    {_step(report, step)}" for step in STEPS]
    lines += [*_weaknesses(report), *_disputes(report), *report.telling, *_owed(report)]
    if report.sound:
        lines += _reach(report)
    return "\n".join([*lines, verdict(report)])


def verdict(report: Report) -> str:
    """`sound, N entries`, or `tampered, entry K` with the reason, or `not judged` by so old a program."""
    if report.sound:
        return f"sound, {report.size:,} entries"
    where = f"entry {report.entry}: " if report.entry is not None else ""
    if report.newer:
        return f"not judged, {where}{report.why}"
    held = f" Entries 0 to {report.judged - 1} hold." if report.judged else ""
    return f"tampered, {where}{report.why}{held}"


def _given(report: Report) -> str:
    if not report.genesis_given:
        return ", not compared"
    other = report.failed == 5 and not report.judged
    return ", as given" if report.genesis and not other else ""


def _step(report: Report, step: int) -> str:
    if report.failed == step:
        outcome = "FAILED"
    elif report.failed is not None and report.failed < min(step, 4):
        outcome = "not reached"
    elif step == 7:
        outcome = "none here"
    elif step == 3 and not report.pins:
        outcome = "none given"
    elif report.failed is not None and step >= 4:
        outcome = "up to it" if report.judged else "not reached"
    else:
        outcome = "holds"
    return f"{outcome:11}  {STEPS[step]}"


def _reach(report: Report) -> Iterator[str]:
    """How far anything but the log itself vouches that this is the only history."""
    if not report.vouched:
        yield "note      no pin and no witness: consistent, not proved to be the only history"
    elif report.vouched < report.size:
        yield (
            f"note      pinned up to entry {report.vouched - 1}: what came after is consistent, not proved to"
            " be the only history"
        )


def _weaknesses(report: Report) -> Iterator[str]:
    """What was weakened or done by one person alone while the log was set up: allowed, and always shown."""
    for log in report.world.all(Log):
        yield from (f"weaker    {RELAXATIONS[name]}" for name in log.relaxed)
        if log.set_up:
            yield "weaker    The set-up is not closed: the founder may still confirm devices alone."
    for device in report.world.all(Device):
        if device.set_up and device.person != device.confirmed_by:
            yield f"set-up    {device.person}'s device {device.id[:16]} was confirmed by the founder alone"


def _disputes(report: Report) -> Iterator[str]:
    for hand_off in report.world.all(HandOff):
        if hand_off.status != "recorded":
            why = "; ".join(hand_off.why)
            yield f"{hand_off.status:9} {hand_off.consignment} {time_text(hand_off.at)}: {why}"


def _check_pin(pin: bytes, path: Path) -> None:
    """Unreadable where what was given as a pin is no checkpoint: a slip of the hand is no tampering."""
    try:
        Checkpoint.of(_whole(pin))
    except Unreadable as problem:
        raise Unreadable(f"{path} is not a checkpoint, and so no pin: {problem}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0: sound. 1: anything wrong with the evidence. 2: not a zip, or no policy."""
    parser = argparse.ArgumentParser("custody.audit", description="Judges a whole ledger from its bundle.")
    parser.add_argument("bundle", type=Path, help="bundle.zip, or a folder of tiles")
    parser.add_argument("--policy", type=Path, required=True, help="whose signatures are believed")
    parser.add_argument("--genesis", help="hash of the first event, as given on paper")
    parser.add_argument("--pin", type=Path, action="append", default=[], help="an older checkpoint")
    chosen = parser.parse_args(arguments)
    if chosen.genesis is not None and not re.fullmatch(r"[0-9a-f]{64}", chosen.genesis):
        print(
            "The genesis is given as a hash of 64 digits, 0-9 and a-f, as `custody init` printed it.",
            file=sys.stderr,
        )
        return 2
    try:
        policy = chosen.policy.read_bytes()
        pins = [pin.read_bytes() for pin in chosen.pin]
        for pin, path in zip(pins, chosen.pin, strict=True):
            _check_pin(pin, path)
        if chosen.bundle.is_dir():
            report = verify(chosen.bundle, policy, genesis=chosen.genesis, pins=pins)
        else:
            with chosen.bundle.open("rb") as bundle:
                report = verify(bundle, policy, genesis=chosen.genesis, pins=pins)
    except OSError as problem:
        print(f"{problem.filename} cannot be read: {problem.strerror}.", file=sys.stderr)
        return 2
    except Unreadable as problem:
        print(problem, file=sys.stderr)
        return 2
    print(text(report))
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main())
