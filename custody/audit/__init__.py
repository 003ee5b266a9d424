"""The offline auditor: judges a whole ledger from its files, with no server, network or clock.

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

The files are gone through twice: once for steps 1 to 3, which is quick, and once for the others. Neither
takes more memory for a longer ledger.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from custody.audit.clocks import Clocks, speaker
from custody.audit.notebook import APART, Finding, Notebook, Standing, program
from custody.audit.reading import Reading, readings
from custody.audit.report import Report, telling
from custody.audit.report import text as text
from custody.errors import Backwards, Forged, Refusal, Unreadable
from custody.facts import EVENTS_MOST, Climbed, Genesis, Received
from custody.ledger.bundle import ENTRIES_MOST, NoBundle, read_folder
from custody.ledger.bundle import read as read_bundle
from custody.ledger.envelope import Envelope
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, Note, Opened, Policy
from custody.ledger.receipt import HEADER, Receipt
from custody.ledger.tiles import WIDTH, Tile, hash_tiles, read_entry_bundle, tiles
from custody.outside import cleaned
from custody.rules.history import check_signatures, evolve, known_keys, signing_keys
from custody.rules.world import Event, seen_root, seen_size

HELPED: Final = 4096
"""Entries from which on other processes help: for fewer they would take longer to start than to finish."""

_KEPT: Final = "the first {:,} entries in the notebook"
Tell = Callable[[int, int], None]
"""Told how many entries have been judged, of how many."""


class Failed(Exception):  # noqa: N818 - carries a verdict out of a step
    """The step that fails, why, and the first bad entry if it is about one."""

    def __init__(self, step: int, why: str, entry: int | None = None) -> None:
        super().__init__(why)
        self.step, self.why, self.entry = step, why, entry


def verify(
    bundle: BinaryIO | Path,
    policy: bytes,
    *,
    genesis: str | None = None,
    pins: Sequence[bytes] = (),
    notebook: Path | None = None,
    tell: Tell = lambda _done, _of: None,
) -> Report:
    """The verdict on a bundle, or on a folder of tiles.

    With a `notebook`, a file, the audit goes on where the last one in it came to, and is kept in it.
    NoBundle, or Unreadable for the policy or the notebook; everything else is in the report.
    """
    trust = Policy.read(policy)
    world = Notebook(notebook)
    report = Report(hashlib.sha256(policy).hexdigest(), genesis_given=genesis is not None, world=world)
    try:
        _verify(report, bundle, trust, genesis, pins=pins, tell=tell)
        report.sound = True
    except Failed as verdict:
        report.failed, report.why, report.entry = verdict.step, cleaned(verdict.why), verdict.entry
    return report


def _verify(
    report: Report,
    bundle: BinaryIO | Path,
    trust: Policy,
    genesis: str | None,
    *,
    pins: Sequence[bytes],
    tell: Tell,
) -> None:
    opened = _open(bundle, trust, report)  # 1
    checkpoint = opened.checkpoint
    if checkpoint.size > ENTRIES_MOST:
        raise Failed(2, f"At most {ENTRIES_MOST:,} entries are judged at once; the checkpoint says more.")
    history = History(report, opened, genesis)
    pinned = [_pin(pin, checkpoint, trust) for pin in pins]
    sizes = {pin.size for pin in pinned if isinstance(pin, Checkpoint)} | set(history.known)
    edges = _tree(bundle, checkpoint, sizes)  # 2
    _check_pins(pinned, edges, report)  # 3
    history.go_on(edges)
    entries = _entries(bundle, checkpoint.size, report.known)
    helped = checkpoint.size - report.known >= HELPED
    with contextlib.closing(readings(entries, history.keys, helped=helped)) as ahead:
        for entry, reading in ahead:
            history.add(entry, reading)  # 4 to 8
            if history.index % WIDTH == 0:
                tell(history.index, checkpoint.size)
    history.close()
    tell(checkpoint.size, checkpoint.size)


# ------------------------------------------------------------------------------------------ steps 1 to 3


def _members(bundle: BinaryIO | Path) -> Iterator[tuple[str, bytes]]:
    """The bundle's members; a departure from its form is a failure of step 2, whose bytes they are."""
    if not isinstance(bundle, Path):
        bundle.seek(0)
    members = read_folder(bundle) if isinstance(bundle, Path) else read_bundle(bundle)
    while True:
        try:
            member = next(members, None)
        except NoBundle:
            raise
        except Unreadable as problem:
            raise Failed(2, str(problem)) from None
        if member is None:
            return
        yield member


def _open(bundle: BinaryIO | Path, trust: Policy, report: Report) -> Opened:
    _, note = next(_members(bundle))
    try:
        opened = trust.open(note)
    except Unreadable as problem:
        raise Failed(1, str(problem)) from None
    report.size = opened.checkpoint.size
    report.witnesses, report.cosigned = opened.witnesses, opened.times
    report.origin = opened.checkpoint.origin
    return opened


def whole(pin: bytes) -> bytes:
    """A pin's note, as it was signed; a receipt has one, too. Forged where its entry does not lead to that.

    Readers of QR codes drop the last line's end, and mail has line ends of its own.
    """
    note = pin.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    if not note.startswith(HEADER.encode()):
        return note
    receipt = Receipt.read(note)
    note = receipt.note.encode()
    receipt.check_proof(Checkpoint.of(note))
    return note


def _pin(pin: bytes, checkpoint: Checkpoint, trust: Policy) -> Checkpoint | Failed:
    """An older checkpoint that the auditor kept. It needs the log's signature, not the witnesses'."""
    try:
        note = Note.read(whole(pin))
        old = Checkpoint.read(note.text)
        signed = any(
            (key.name, key.id) == (line.name, line.key_id)
            and key.name == old.origin
            and key.verifies(line.signature, note.text)
            for line in note.signatures
            for key in trust.logs
        )
    except (Forged, Unreadable) as problem:
        return Failed(3, f"A pinned checkpoint cannot be read: {problem}")
    if not signed or old.origin != checkpoint.origin:
        return Failed(3, "A pinned checkpoint is not this log's.")
    return old


def _tree(bundle: BinaryIO | Path, checkpoint: Checkpoint, sizes: Container[int]) -> dict[int, Frontier]:
    """The tree's right edge as it was at these sizes, once all of the tree is what the entries make it.

    Of each hash tile its digest is held until the entries have come.
    """
    members = _members(bundle)
    next(members)
    digests: dict[str, bytes] = {}
    frontier = Frontier()
    edges = {0: frontier.copy()}

    def leaves() -> Iterator[bytes]:
        for tile in tiles(checkpoint.size):
            path, data = next(members)
            if tile.level is not None:
                digests[path] = hashlib.sha256(data).digest()
                continue
            for entry in _unpacked(tile, data):
                leaf = leaf_hash(entry)
                frontier.add(leaf)
                if frontier.size in sizes:
                    edges[frontier.size] = frontier.copy()
                yield leaf

    made = hash_tiles(leaves())
    wrong = [path for path, data in made if hashlib.sha256(data).digest() != digests[path]]
    spoiled = None
    try:
        next(members, None)
    except Failed as problem:  # told third, since an entry that differs says more than a checksum does
        spoiled = problem
    if frontier.root() != checkpoint.root:
        raise Failed(2, *_first_bad_leaf(bundle, checkpoint.size, wrong))
    if wrong:
        raise Failed(2, "A tile in the bundle is not the one that the entries make.")
    if spoiled is not None:
        raise spoiled
    return edges


def _unpacked(tile: Tile, data: bytes) -> list[bytes]:
    try:
        return read_entry_bundle(data, tile.width)
    except Unreadable as problem:
        raise Failed(4, f"{tile.path}: {problem}", tile.number * WIDTH) from None


def _first_bad_leaf(bundle: BinaryIO | Path, size: int, wrong: list[str]) -> tuple[str, int | None]:
    """Which entry differs from the level-0 tiles, if they can tell. `wrong` are the tiles that differ."""
    held = {Tile.read(path).number: b"" for path in wrong if path.startswith("tile/0/")}
    for tile, (_, data) in zip(tiles(size), islice(_members(bundle), 1, None), strict=False):
        if tile.number in held and tile.level == 0:
            held[tile.number] = data
        elif tile.number in held and tile.level is None:
            hashes = held[tile.number]
            for place, entry in enumerate(_unpacked(tile, data)):
                if hashes[place * 32 : place * 32 + 32] != leaf_hash(entry):
                    index = tile.number * WIDTH + place
                    return "The entry is not the one that was hashed into the tree.", index
    return "The root over the entries is not the one that the checkpoint signs.", None


def _check_pins(pinned: list[Checkpoint | Failed], edges: dict[int, Frontier], report: Report) -> None:
    for pin in pinned:
        if isinstance(pin, Failed):
            raise pin
        if not pin.size:
            raise Failed(3, "A pinned checkpoint of no entries vouches for nothing.")
        _check_same(pin.size, pin.root, edges, "the checkpoint of {:,} entries that was pinned")
        report.pins.append(pin.size)


def _check_same(size: int, root: bytes, edges: dict[int, Frontier], what: str) -> None:
    """Step 3 fails where the tree had not this root at this size."""
    if size not in edges or edges[size].root() != root:
        how = "another history than" if size in edges else "shorter than"
        raise Failed(3, f"The ledger is {how} {what.format(size)}.")


# ------------------------------------------------------------------------------------------ steps 4 to 8


def _entries(bundle: BinaryIO | Path, size: int, start: int) -> Iterator[bytes]:
    """The entries from `start` on."""
    for tile, (_, data) in zip(tiles(size), islice(_members(bundle), 1, None), strict=True):
        if tile.level is None and tile.number * WIDTH + tile.width > start:
            yield from _unpacked(tile, data)[max(0, start - tile.number * WIDTH) :]


class History:
    """Steps 4 to 8, entry by entry: judges and folds what one transaction after another recorded.

    `add` raises Failed at the first bad entry. An entry's time is that of the `received` fact which ends its
    transaction, so events are held until that comes. `index` is the next entry's place, `known` the trees
    that the notebook has of earlier audits: a root by its size.
    """

    def __init__(self, report: Report, opened: Opened, genesis: str | None = None) -> None:
        self._report = report
        self._world = report.world
        self._opened = opened
        self._genesis = genesis
        self._log_key = ""
        self._tree = Frontier()
        self._waiting: list[tuple[int, bytes, Reading]] = []
        self._save_at = _next_save(0)
        self.index = 0
        self.known: dict[int, bytes] = {}
        standing = self._world.standing
        if standing is not None:
            self._check_standing(standing)
            seen = [standing.judged, *filter(None, [standing.pin])]
            self.known = {seen_size(each): seen_root(each) for each in seen}

    def _check_standing(self, standing: Standing) -> None:
        """Unreadable where the notebook is about something else than this audit is."""
        for what, there, here in (
            ("another policy", standing.policy, self._report.policy),
            ("another log", standing.origin, self._report.origin),
            ("another version of this program", standing.program, program()),
        ):
            if there != here:
                raise Unreadable(
                    f"This notebook was begun with {what}. Take the one that belongs to this audit, or begin"
                    " a new one: what was judged then is not taken over."
                )

    def go_on(self, edges: dict[int, Frontier]) -> None:
        """Goes on where the notebook's last audit came to, if `edges` are of the same history as that was."""
        standing = self._world.standing
        if standing is None:
            return
        if standing.pin is not None:
            _check_same(seen_size(standing.pin), seen_root(standing.pin), edges, _KEPT)
        try:
            _check_same(seen_size(standing.judged), seen_root(standing.judged), edges, _KEPT)
        except Failed:  # and no audit called it sound: it accuses nobody
            raise Unreadable(
                "An audit that did not end had begun in this notebook with another history. Begin a new one."
            ) from None
        self._begin(standing.genesis, standing.log_key)
        if standing.pin is not None and seen_size(standing.pin) < self._opened.checkpoint.size:
            self._report.pins.append(seen_size(standing.pin))  # the same bundle again vouches for nothing
        self.index = self._report.known = self._report.judged = seen_size(standing.judged)
        self._tree = edges[self.index]
        self._save_at = _next_save(self.index)
        self._report.first, self._report.last = standing.first, self._world.log.last
        self._report.clocks = Clocks(standing.words, standing.stretch)

    @property
    def world(self) -> Notebook:
        """What they tell."""
        return self._world

    @property
    def root(self) -> bytes:
        """The root over the entries that were added."""
        return self._tree.root()

    def keys(self) -> dict[str, str]:
        """The keys that are known by now: SPKIs by key id."""
        return known_keys(self._world)

    def add(self, entry: bytes, reading: Reading) -> None:
        """The next entry, as it reads."""
        index, self.index = self.index, self.index + 1
        self._tree.add(reading.leaf)
        statement = reading.statement
        if statement is None and not (reading.newer and index and len(self._waiting) < EVENTS_MOST):
            raise self._unread(index, reading)
        if not self._world.is_new(reading.event):
            raise Failed(4, "This event stands in the ledger twice.", index)
        if index == 0:
            self._first(reading)
        if statement is None or not isinstance(statement.fact, Received):
            self._waiting.append(
                (index, entry, reading)
            )  # of no kind known here: one before it may fail first
            return
        if statement.fact.events != tuple([each.event for _, _, each in self._waiting]):
            raise Failed(5, "A transaction's last entry does not name the events that it took in.", index)
        for waiting in [*self._waiting, (index, entry, reading)]:
            self._take(*waiting, statement.fact.at)
        self._waiting = []
        if ahead := self._report.clocks.settle(index, statement.fact.at):
            self._world.note(Finding("clock", ahead))
        self._report.judged = self.index
        self._world.roots[self.index] = self._tree.root()
        if self._world.is_kept and self.index >= self._save_at:
            self._save()
            self._save_at = _next_save(self.index)

    def close(self) -> None:
        """There are no more entries: Failed where that cannot be."""
        for index, _, reading in self._waiting:
            if reading.statement is None:
                raise self._unread(index, reading)
        if self._waiting or not self.index:
            raise Failed(5, "The last transaction has no end.", self.index - len(self._waiting))
        if self._tree.root() != self._opened.checkpoint.root:
            raise Failed(
                2, "The files were changed while they were read. Judge a copy that nobody writes to."
            )
        if self._world.is_kept:
            self._save(self._opened.checkpoint.seen)

    def _first(self, reading: Reading) -> None:
        fact = reading.statement.fact if reading.statement is not None else None
        if not isinstance(fact, Genesis):
            self._report.genesis = reading.event
            raise Failed(5, "The first entry is not a genesis.", 0)
        self._begin(reading.event, fact.log_key)

    def _unread(self, index: int, reading: Reading) -> Failed:
        self._report.newer = reading.newer
        return Failed(4, reading.wrong, index)

    def _begin(self, name: str, log_key: str) -> None:
        self._report.genesis, self._log_key = name, log_key
        if log_key not in self._opened.logs:
            raise Failed(5, "The genesis names another log's key than the one that signs the checkpoint.", 0)
        if self._genesis is not None and name != self._genesis:
            raise Failed(5, "The genesis is not the one whose hash was given: this is another ledger.", 0)

    def _take(self, index: int, entry: bytes, reading: Reading, at: datetime) -> None:
        world, statement, clocks = self._world, reading.statement, self._report.clocks
        if statement is None:
            raise self._unread(index, reading)
        world.moment = at
        if isinstance(statement.fact, Climbed):
            for finding in telling(world, statement.fact, at, clocks.by(at)):
                world.note(finding)
        try:
            if reading.verified:
                signing_keys(world, statement.fact, reading.signers)
            else:
                check_signatures(world, statement.fact, Envelope.read(entry))
            event = Event(index, reading.event, statement, reading.signers, at)
            evolve(world, event)
        except Forged as problem:
            raise Failed(6, str(problem), index) from None
        except Backwards as problem:
            raise Failed(8, str(problem), index) from None
        except Refusal as problem:
            raise Failed(5, str(problem), index) from None
        if (person := speaker(world, event)) is not None:
            clocks.hear(person, statement.made, index, at)
        self._report.first, self._report.last = self._report.first or at, at

    def _save(self, pin: str | None = None) -> None:
        before, report = self._world.standing, self._report
        assert report.first is not None, "a transaction was judged"
        self._world.save(
            Standing(
                program=program(),
                policy=report.policy,
                origin=report.origin,
                genesis=report.genesis,
                log_key=self._log_key,
                first=report.first,
                judged=Checkpoint(report.origin, self.index, self._tree.root()).seen,
                pin=pin or (before.pin if before is not None else None),
                words=report.clocks.words,
                stretch=report.clocks.stretch,
            )
        )


def _next_save(judged: int) -> int:
    """When a notebook that was kept after so many entries is kept again."""
    return judged + max(APART, judged // 8)
