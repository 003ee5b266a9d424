"""Someone who has every key of the server: writes any ledger that they like, and signs it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ledgers import entries
from world import World

from custody.facts import Enrolled, Fact, Received, Signed, Statement, Subject
from custody.ledger import bundle, tiles
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, LogKey


@dataclass
class Transaction:
    envelopes: list[Envelope]
    at: datetime
    how: Any


class Insider:
    """Holds the log's key and the server's: writes any ledger that they like, and signs it."""

    def __init__(self, world: World) -> None:
        self.origin = world.book.origin
        self.log, self.server = world.log_key, world.book.keys.server
        self.genesis = world.genesis
        self.transactions: list[Transaction] = []
        taken: list[Envelope] = []
        for entry in entries(world.bundle()):
            envelope = Envelope.read(entry)
            fact = Statement.read(envelope.payload).fact
            if isinstance(fact, Received):
                self.transactions.append(Transaction(taken, fact.at, fact.how))
                taken = []
            else:
                taken.append(envelope)

    def speak(self, fact: Fact, *keys: SigningKey, about: str | None = None) -> Envelope:
        """An envelope of this fact, by these keys; the server's where none is named."""
        seen = self.seen() if fact.signed is Signed.PERSON or isinstance(fact, Enrolled) else None
        made = fact.at if isinstance(fact, Received) else self.transactions[-1].at
        statement = Statement(self.origin, made, Subject("event", about or self.genesis), fact, seen)
        return signed(statement.payload(), *(keys or (self.server,)))

    def append(self, *facts: Fact | Envelope, later: timedelta = timedelta(minutes=1)) -> None:
        taken = [fact if isinstance(fact, Envelope) else self.speak(fact) for fact in facts]
        self.transactions.append(Transaction(taken, self.transactions[-1].at + later, "web"))

    def entries(self) -> list[bytes]:
        out = []
        for each in self.transactions:
            out += [envelope.leaf() for envelope in each.envelopes]
            names = tuple(event_id(envelope.payload) for envelope in each.envelopes)
            out.append(self.speak(Received(names, each.at, each.how)).leaf())
        return out

    def bundle(self) -> bytes:
        return packed(self.log, self.entries())

    def find(self, kind: type[Fact]) -> list[int]:
        """The transactions that hold a fact of this kind."""
        return [
            n for n, each in enumerate(self.transactions) if any(isinstance(f, kind) for f in facts_of(each))
        ]

    def seen(self) -> str:
        """The newest checkpoint, as a device states it."""
        frontier = Frontier()
        for entry in self.entries():
            frontier.add(leaf_hash(entry))
        return Checkpoint(self.origin, frontier.size, frontier.root()).seen


def facts_of(transaction: Transaction) -> list[Fact]:
    return [Statement.read(envelope.payload).fact for envelope in transaction.envelopes]


def signed(payload: bytes, *keys: SigningKey) -> Envelope:
    return Envelope(payload, tuple(Signature(key.public.id, key.sign(pae(payload))) for key in keys))


def packed(log: LogKey, leaves: list[bytes]) -> bytes:
    """A whole bundle over these entries, signed."""
    frontier = Frontier()
    hashes = [leaf_hash(leaf) for leaf in leaves]
    for each in hashes:
        frontier.add(each)
    note = log.sign(Checkpoint(log.verifier.name, frontier.size, frontier.root()))
    made = dict(tiles.hash_tiles(hashes))
    ordered = [tile.path for tile in tiles.tiles(len(leaves)) if tile.level is not None]
    members = [("checkpoint", note.encode()), *((path, made[path]) for path in ordered)]
    for number in range(0, len(leaves), 256):
        part = leaves[number : number + 256]
        members.append((tiles.Tile(None, number // 256, len(part)).path, tiles.entry_bundle(part)))
    out = io.BytesIO()
    bundle.write(out, members)
    return out.getvalue()
