"""Long ledgers to measure with: trips of one tape each, as people sign them, written past the book.

Every entry is judged by the same rules and signed with the same keys as in a book; what a book does beside
that, its tables and its disk, is left out, so that a million entries take minutes and not hours.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from world import World

from custody.audit.notebook import Notebook
from custody.facts import (
    Approved,
    Fact,
    Handed,
    Item,
    Party,
    Received,
    Registered,
    Requested,
    Signed,
    Statement,
    Subject,
)
from custody.ledger import bundle
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import WIDTH, entry_bundle, hash_tiles, read_entry_bundle, tiles
from custody.rules.consignments import DEFAULT_LADDER, Consignment
from custody.rules.history import evolve
from custody.rules.world import Event
from labels import identity


class Pen:
    """Writes on where a company's set-up has ended, one transaction after the other."""

    def __init__(self, world: World) -> None:
        self._at, self._ids, self._keys = world.at, world.ids, world.keys
        self._server, self._log, self._genesis = world.book.keys.server, world.log_key, world.genesis
        self._origin = world.book.origin
        self._world = Notebook()
        self._tree = Frontier()
        self.leaves: list[bytes] = []
        waiting: list[Envelope] = []
        for entry in entries(world.bundle()):
            envelope = Envelope.read(entry)
            statement = Statement.read(envelope.payload)
            waiting.append(envelope)
            if isinstance(statement.fact, Received):
                self._at = statement.fact.at
                for each in waiting:
                    self._fold(each)
                waiting = []
        self.beginning = entries(world.bundle())
        self._at = world.at

    def trip(self, medium: str) -> Iterator[bytes]:
        """A tape is requested, approved, picked up and received: eight entries."""
        name = f"C-{self._world.next_number(Consignment)}"
        by, pick_up = self._ids["ann"], self._at + timedelta(hours=1)
        yield from self._record(Requested(by, name, "N-S", "FLEET", pick_up, (medium,)))
        manifest = self._world.get(Consignment, name).manifest
        approved = Approved(name, pick_up, 60, DEFAULT_LADDER)
        yield from self._record(approved, self._keys["mona"], about=manifest)
        for giver, taker, site in (("ann", "carl", "NORTH"), ("carl", "ben", "SOUTH")):
            keys = self._keys[giver], self._keys[taker]
            parties = [Party(key.public.id, self._seen()) for key in keys]
            previous = self._world.get(Consignment, name).head or ""
            yield from self._record(Handed(name, *parties, previous, site, "media"), *keys, about=manifest)

    def register(self) -> tuple[list[str], list[bytes]]:
        """A box of new tapes: their ids, and the entries."""
        names = [identity.draw(secrets.token_bytes) for _ in range(150)]
        items = tuple(Item(name, "medium", "NORTH", "T00001L8", "LTO-8") for name in sorted(names))
        return names, list(self._record(Registered("P-1", items)))

    def note(self) -> str:
        """The checkpoint over all of it, signed."""
        return self._log.sign(Checkpoint(self._origin, self._tree.size, self._tree.root()))

    def _seen(self) -> str:
        return Checkpoint(self._origin, self._tree.size, self._tree.root()).seen

    def _record(self, fact: Fact, *keys: SigningKey, about: str | None = None) -> Iterator[bytes]:
        self._at += timedelta(milliseconds=100)
        seen = self._seen() if fact.signed is Signed.PERSON else None
        envelope = self._signed(fact, keys or (self._server,), about or self._genesis, seen)
        yield self._fold(envelope)
        received = Received((event_id(envelope.payload),), self._at, "web")
        yield self._fold(self._signed(received, (self._server,), self._genesis, None))

    def _signed(self, fact: Fact, keys: tuple[SigningKey, ...], about: str, seen: str | None) -> Envelope:
        payload = Statement(self._origin, self._at, Subject("event", about), fact, seen).payload()
        signed = pae(payload)
        return Envelope(payload, tuple(Signature(key.public.id, key.sign(signed)) for key in keys))

    def _fold(self, envelope: Envelope) -> bytes:
        statement = Statement.read(envelope.payload)
        signers = tuple(signature.key for signature in envelope.signatures)
        event = Event(self._tree.size, event_id(envelope.payload), statement, signers, self._at)
        self._world.moment = self._at
        evolve(self._world, event)
        leaf = envelope.leaf()
        self.leaves.append(leaf_hash(leaf))
        self._tree.add(self.leaves[-1])
        if isinstance(statement.fact, Received):
            self._world.roots[self._tree.size] = self._tree.root()
        return leaf


def write(world: World, size: int, folder: Path) -> None:
    """A folder of tiles with a ledger of about so many entries, and the policy beside it."""
    folder.mkdir(parents=True)
    (folder.parent / "policy").write_bytes(world.policy())
    pen = Pen(world)
    some: list[bytes] = []
    number = 0
    for entry in _all(pen, size):
        some.append(entry)
        if len(some) == WIDTH:
            _put(folder, number, some)
            number, some = number + 1, []
    if some:
        _put(folder, number, some)
    for path, data in hash_tiles(pen.leaves):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "checkpoint").write_text(pen.note())


def _all(pen: Pen, size: int) -> Iterator[bytes]:
    yield from pen.beginning
    while len(pen.leaves) < size:
        names, registered = pen.register()
        yield from registered
        for name in names:
            if len(pen.leaves) < size:
                yield from pen.trip(name)


def _put(folder: Path, number: int, some: list[bytes]) -> None:
    tile = next(t for t in tiles(number * WIDTH + len(some), number * WIDTH) if t.level is None)
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(entry_bundle(some))


def entries(data: bytes) -> list[bytes]:
    """The entries of a bundle."""
    found: list[bytes] = []
    for path, content in bundle.read(io.BytesIO(data)):
        if path.startswith("tile/entries/"):
            found += read_entry_bundle(content, int(path.partition(".p/")[2] or WIDTH))
    return found
