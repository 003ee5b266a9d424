"""The book: the ledger and its fold in one database, and `Page.record`, the only writer.

    with book.page("web") as page:                      # takes the lock, reads the tail again
        fact = consignments.request(page.world, order)  # pure rules, over the same nouns
        page.record(fact)                               # the ledger, the fold and the notices
                                                        # leaving the block commits all, or nothing

One page is one act and one transaction; only statements that need no decision share one (`Book.admit`). What
it records ends with a `received` fact that gives all of it one time, and with a checkpoint signed over it: a
ledger never has entries that no checkpoint covers. Receipts are answered after the commit and not before.

A crash before the commit leaves nothing of the page; a crash after it leaves all. There is no state between.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Conflict, Unreadable, Untrusted
from custody.facts import EVENTS_MOST, Fact, Genesis, Received, Statement, Subject
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import SigningKey, public_key
from custody.ledger.merkle import Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint, LogKey, Note, Policy
from custody.ledger.tiles import WIDTH
from custody.ledger.tiles import Kept as KeptTiles
from custody.rules.alarms import Notice
from custody.rules.handoffs import expect_hand_offs
from custody.rules.history import check_signatures, evolve
from custody.rules.notices import priority
from custody.rules.people import Device
from custody.rules.world import DEMO_ORIGIN, Event, Log, World
from custody.store import digests, tables
from custody.store.database import Database, insert, upsert
from custody.store.mentions import mentions
from custody.store.nouns import SHELVES
from custody.store.private import commitment_of
from custody.store.together import Together
from custody.store.tree import Tree, hashes
from custody.store.world import ASKED_AT_ONCE, BookWorld, Kept

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]
_entry, _tile, _checkpoint, _mention = (
    SQLModel.metadata.tables[name] for name in ("entry", "tile", "checkpoint", "mention")
)
_KEEP_TEXT = sa.insert(tables.Private)
_PLACES = sa.select(_entry.c.event_id, _entry.c.seq).where(
    _entry.c.event_id.in_(sa.bindparam("names", expanding=True))
)
_NEWEST = sa.select(_checkpoint.c.size, _checkpoint.c.root).where(
    _checkpoint.c.size == sa.select(sa.func.max(_checkpoint.c.size)).scalar_subquery()
)
GROUP_MOST: Final = 64
"""Statements that share a transaction at most: what follows from them has its room on the page, too."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event's place in the ledger. `new` is False for one that was there already."""

    seq: int
    event: str
    new: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """An envelope with all that is to be known of it without the book."""

    envelope: Envelope
    statement: Statement
    event: str
    leaf: bytes

    @classmethod
    def of(cls, envelope: Envelope, statement: Statement | None = None) -> Evidence:
        """Unreadable where it is too long, or could not be read back: that never enters.

        `statement` is what its payload says, where that was read already.
        """
        leaf = envelope.leaf()
        Envelope.read(leaf)
        statement = statement or Statement.read(envelope.payload)
        return cls(envelope, statement, event_id(envelope.payload), leaf)


@dataclass(slots=True)
class _Arrival:
    """A statement on its way into the book, and what became of it."""

    evidence: Evidence
    how: Any
    then: Callable[[Page, Recorded], None]
    outcome: Recorded | Exception | None = None

    def take(self, page: Page) -> Recorded | Exception:
        """What will have become of it when the page is committed."""
        try:
            with page.attempt():
                recorded = page.take(self.evidence)
                self.then(page, recorded)
                return recorded
        except (sa.exc.DatabaseError, Untrusted):
            raise
        except Exception as problem:  # noqa: BLE001 - a mistake in the program is raised by its own thread alone
            return problem


@dataclass(frozen=True, slots=True)
class Keys:
    """What the process signs with: checkpoints with the one, the server's facts with the other."""

    log: LogKey
    server: SigningKey


class Page:
    """One act: a world to decide on, and a place to record what was decided.

    `now` is the time of everything on this page: the clock's, and never before the page before it.
    """

    def __init__(
        self,
        book: Book,
        connection: sa.Connection,
        world: BookWorld,
        tail: Frontier,
        at: datetime | None = None,
    ) -> None:
        self._book = book
        self.connection = connection
        self.world = world
        self.tail = tail
        self._start = tail.size
        self._rows: list[tuple[int, str, bytes, bytes]] = []
        self._mentions: list[tuple[str, int]] = []
        self._beside: list[tuple[sa.Executable, dict[str, Any]]] = []
        self._places: dict[str, int | None] = {}
        self.now = (at or book.clock()).astimezone(UTC)
        self.now = self.now.replace(microsecond=self.now.microsecond // 1000 * 1000)
        for log in world.all(Log):
            self.now = max(self.now, log.last)
        world.moment = self.now

    def record(self, fact: Fact, about: Subject | None = None) -> Recorded:
        """Records a fact that the server speaks. It is about the genesis unless something nearer is named."""
        statement = Statement(self._book.origin, self.now, about or self._genesis(), fact)
        payload = statement.payload()
        key = self._book.keys.server
        return self.admit(Envelope(payload, (Signature(key.public.id, key.sign(pae(payload))),)))

    def admit(self, envelope: Envelope) -> Recorded:
        """Records a signed statement: Forged if a signature does not hold, Impossible if it cannot follow."""
        return self.take(Evidence.of(envelope))

    def take(self, evidence: Evidence) -> Recorded:
        """The same, of what was read already.

        Signatures are verified before the event is looked for, so that nobody learns with a forged one
        whether an event is there. One that is there already stays as it was first signed.
        """
        statement, name = evidence.statement, evidence.event
        check_signatures(self.world, statement.fact, evidence.envelope)
        if isinstance(statement.fact, Received):
            self._places[name] = None  # it names what is new here, and so is new
        elif name not in self._places:
            self.expect([evidence])
        known = self._places[name]
        if known is not None:
            return Recorded(known, name, new=False)
        if self.room <= 0 and not isinstance(statement.fact, Received):
            raise Conflict(f"This is more than one act can hold ({EVENTS_MOST} events). Do it in parts.")
        seq = self.tail.size
        signers = tuple(signature.key for signature in evidence.envelope.signatures)
        evolve(self.world, Event(seq, name, statement, signers, self.now))
        leaf = leaf_hash(evidence.leaf)
        self._rows.append((seq, name, leaf, evidence.leaf))
        self._places[name] = seq
        self._mentions += [(subject, seq) for subject in sorted(mentions(statement.fact))]
        self.tail.add(leaf)
        return Recorded(seq, name, new=True)

    def found(self, genesis: Genesis, founder: SigningKey) -> Recorded:
        """Records entry 0, signed by the server's key and the founder's."""
        payload = Statement(self._book.origin, self.now, Subject.log(genesis.log_key), genesis).payload()
        signed = pae(payload)
        keys = (self._book.keys.server, founder)
        return self.admit(
            Envelope(payload, tuple(Signature(key.public.id, key.sign(signed)) for key in keys))
        )

    def private(self, text: str) -> str:
        """The commitment to a text: hexadecimal SHA-256 of a fresh 32-byte salt and the text.

        The text and the salt go into the table from which they can be erased.
        """
        if "\0" in text:  # PostgreSQL cannot hold it, and would refuse all that shares the transaction
            raise Unreadable("A text cannot hold the character NUL.")
        salt = self._book.random(32)
        commitment = commitment_of(salt, text)
        self.beside(_KEEP_TEXT, commitment=commitment, salt=salt, text=text)
        return commitment

    def beside(self, statement: sa.Executable, **values: Any) -> None:
        """Runs this statement when the page is written, in one go with others of its kind."""
        self._beside.append((statement, values))

    def expect(self, evidence: Sequence[Evidence]) -> None:
        """These are about to be taken: what they will look at is read in one go."""
        names = [each.event for each in evidence]
        self._places.update(dict.fromkeys(names))
        for start in range(0, len(names), ASKED_AT_ONCE):
            some = {"names": names[start : start + ASKED_AT_ONCE]}
            self._places.update((row.event_id, row.seq) for row in self.connection.execute(_PLACES, some))
        expect_hand_offs(self.world, {each.event: each.statement.fact for each in evidence})

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """What fails within is undone, and nothing that was recorded before it."""
        put, tail = self.world.mark(), self.tail.copy()
        lengths = [(rows, len(rows)) for rows in (self._rows, self._mentions, self._beside)]
        try:
            yield
        except BaseException:
            self.world.undo(put)
            self._places.update((name, None) for _, name, *_ in self._rows[tail.size - self._start :])
            self.tail = tail
            for rows, length in lengths:
                del rows[length:]
            raise

    def _genesis(self) -> Subject:
        return Subject("event", self.world.log.genesis)

    @property
    def room(self) -> int:
        """How many more events this page can hold."""
        return EVENTS_MOST - len(self._rows)

    def close(self, how: Any) -> None:
        """Ends the transaction's events with their time, and writes everything."""
        by_statement: dict[sa.Executable, list[dict[str, Any]]] = {}
        for statement, values in self._beside:
            by_statement.setdefault(statement, []).append(values)
        for statement, rows in by_statement.items():
            self.connection.execute(statement, rows)
        if self._rows:
            events = tuple(name for _, name, *_ in self._rows)
            self.record(Received(events, self.now, how))
            self.write()

    def write(self) -> None:
        """Writes the events, which end with their `received`, and all that follows from them."""
        insert(self.connection, _entry, ("seq", "event_id", "leaf_hash", "data"), self._rows)
        self._write_tiles()
        root = self.tail.root()
        note = self._book.keys.log.sign(Checkpoint(self._book.origin, self.tail.size, root))
        insert(self.connection, _checkpoint, ("size", "root", "note"), [(self.tail.size, root, note)])
        self._write_nouns()
        if self._mentions:
            insert(self.connection, _mention, ("subject", "seq"), self._mentions)

    def _write_tiles(self) -> None:
        """Each tile whose 256 hashes are complete now, and those above that it completes."""
        level, old, new = 0, self._start, self.tail.size
        while new >= WIDTH:
            for number in range(old // WIDTH, new // WIDTH):
                neighbours = hashes(self.connection, level, number * WIDTH, WIDTH)
                tile = (level, number, perfect_root(neighbours), b"".join(neighbours))
                insert(self.connection, _tile, ("level", "number", "root", "hashes"), [tile])
            level, old, new = level + 1, old // WIDTH, new // WIDTH

    def _write_nouns(self) -> None:
        changed = {kind: list(nouns.values()) for kind, nouns in self.world.changed.items() if nouns}
        for kind, nouns in changed.items():
            shelf = SHELVES[kind]
            upsert(self.connection, shelf.table, shelf.names, [shelf.row(noun) for noun in nouns])
        self._write_outbox([n for n in changed.get(Notice, []) if isinstance(n, Notice)])

    def _write_outbox(self, notices: list[Notice]) -> None:
        """A notice enters the outbox in the transaction that made it, and leaves when it was accepted."""
        fresh = [n for n in notices if n.attempts == 0]
        accepted = [n.id for n in notices if n.accepted_at is not None]
        if fresh:
            now = self._book.clock()
            held = digests.held(self.connection, fresh, now)
            self.connection.execute(
                sa.insert(tables.Outbox),
                [
                    {
                        "notice": n.id,
                        "person": n.person,
                        "channel": n.channel,
                        "message": None,
                        "priority": priority(self.world, n),
                        "not_before": held.get(n.id, min(n.scheduled, now)),
                        "set_at": now,
                        "attempts": 0,
                        "lease": None,
                        "refused_at": None,
                    }
                    for n in fresh
                ],
            )
        if accepted:
            self.connection.execute(sa.delete(tables.Outbox).where(sa.column("notice").in_(accepted)))


# --------------------------------------------------------------------------------------------- the book


class Book:
    """A ledger and its fold, open in this process. Use `custody.store.home` to get one.

    `policy` is the text of the auditor's trust file (C2SP tlog-policy), which names the witnesses that are
    asked; `trust` is what it says.
    `clock` gives the time, aware; `random(n)` gives n random bytes; `pace` is how many seconds of the clock
    one real second is, 1 but in a demo. Threads and processes may share a book: pages are taken one at a
    time.
    """

    def __init__(self, database: Database, policy: str, *, keys: Keys, clock: Clock, random: Random) -> None:
        self.database = database
        self.engine = database.engine
        self.origin = keys.log.verifier.name
        self.policy = policy
        self.trust = Policy.read(policy.encode())
        self.keys = keys
        self.clock = clock
        self.random = random
        self.pace = 1.0
        self._turn = threading.Lock()
        self._together = Together(self._take_in, GROUP_MOST)
        self.tiles: KeptTiles = {}
        self._kept: tuple[Frontier, Kept] | None = None

    @property
    def is_demo(self) -> bool:
        """Whether this book was made to be looked at: nothing else gives scaled time or one-time links."""
        return self.origin == DEMO_ORIGIN

    @contextlib.contextmanager
    def page(self, how: str) -> Iterator[Page]:
        """One act. Leaving the block commits what was recorded; an exception leaves nothing of it.

        NoRoom where the disk is full: nothing was written, and the book stays whole. Untrusted where the
        database fails otherwise while it writes: this process must stop and verify before it goes on.
        """
        with self._transaction(None) as page:
            yield page
            page.close(how)

    def admit(
        self,
        envelope: Envelope,
        how: str,
        then: Callable[[Page, Recorded], None] = lambda _page, _recorded: None,
        statement: Statement | None = None,
    ) -> Recorded:
        """A signed statement that needs no decision: its place, after the commit.

        Many threads' statements share a transaction, and each stands or falls alone; `then` does what follows
        from its own statement, and reads no tables. `statement` is what the payload says, where that was read
        already. Raises as `Page.admit` and `page` do.
        """

        def prepare() -> _Arrival:
            evidence = Evidence.of(envelope, statement)
            self._verify_ahead(evidence)
            return _Arrival(evidence, how, then)

        arrival = self._together(prepare)
        if isinstance(arrival.outcome, Recorded):
            return arrival.outcome
        raise arrival.outcome or Conflict("This was interrupted. Do it again: it is recorded once.")

    def _take_in(self, arrivals: list[_Arrival]) -> None:
        for how in dict.fromkeys(arrival.how for arrival in arrivals):
            group = [arrival for arrival in arrivals if arrival.how == how]
            try:
                with self.page(how) as page:
                    page.expect([arrival.evidence for arrival in group])
                    outcomes = [arrival.take(page) for arrival in group]
                # Before this line nobody may believe that anything was recorded.
                for arrival, outcome in zip(group, outcomes, strict=True):
                    arrival.outcome = outcome
            except Exception as problem:  # noqa: BLE001 - each thread raises it for its own statement
                for arrival in group:
                    arrival.outcome = problem

    def _verify_ahead(self, evidence: Evidence) -> None:
        """Verifies beside the lock what can be: the verdicts are remembered (`custody.ledger.keys`)."""
        kept = self._kept
        devices = kept[1].nouns.get(Device, {}) if kept else {}
        signed = pae(evidence.envelope.payload)
        for signature in evidence.envelope.signatures:
            device = devices.get(signature.key)
            if isinstance(device, Device):
                public_key(device.spki).verifies(signature.der, signed)

    def replay(self, entries: Sequence[bytes]) -> None:
        """One transaction of a longer copy of this very ledger, byte for byte: its events and `received`.

        Impossible, Forged or Unreadable where it cannot follow what is here; then nothing of it is.
        """
        *events, last = [Envelope.read(entry) for entry in entries]
        received = Statement.read(last.payload).fact
        if not isinstance(received, Received):
            raise Unreadable("A transaction ends with the time at which it was received.")
        with self._transaction(received.at) as page:
            for envelope in (*events, last):
                if not page.admit(envelope).new:
                    raise Unreadable("This transaction is in the ledger already.")
            page.write()

    @contextlib.contextmanager
    def _transaction(self, at: datetime | None) -> Iterator[Page]:
        with self._turn, self.database.writing() as connection:
            try:
                connection.begin()
                tail, kept = self._kept = self._tail(connection)
                page = Page(self, connection, BookWorld(connection, kept), tail.copy(), at)
                yield page
                # A crash before this line: nothing happened. After it: all of it did, and is signed.
                connection.commit()
            except sa.exc.DatabaseError:
                self._kept = None
                raise
            except BaseException:
                connection.rollback()
                raise
            page.world.settle(page.tail.size, page.tail.root())
            self._kept = (page.tail, kept)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for looking, at one moment of the book."""
        with self.database.reading() as connection:
            yield connection

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """The nouns as they are, to decide nothing upon."""
        with self.read() as connection:
            world = BookWorld(connection)
            world.moment = self.clock()
            yield world

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction on what is neither ledger nor its fold: the outbox's leases, drafts, pulses."""
        with self._turn, self.database.writing() as connection, connection.begin():
            yield connection

    def now(self) -> datetime:
        """The time that the next page would have: the clock's, and never before the last entry's."""
        with self.read() as connection:
            last = connection.scalar(sa.select(SQLModel.metadata.tables["log"].c.last))
        return max(self.clock(), last) if last is not None else self.clock()

    def checkpoint(self) -> str:
        """The newest signed note."""
        with self.read() as connection:
            return newest_note(connection)

    def _tail(self, connection: sa.Connection) -> tuple[Frontier, Kept]:
        """The tree's right edge and the kept nouns, read again where another process wrote since."""
        there = connection.execute(_NEWEST).first()
        if self._kept is not None and there is not None:
            tail = self._kept[0]
            if (there.size, there.root) == (tail.size, tail.root()):  # after a failover a size can come twice
                return self._kept
        return Tree(connection).frontier(), Kept()

    def signed(self, note: bytes) -> bool:
        """Whether this log has signed this note; Unreadable where it is none."""
        read, log = Note.read(note), self.keys.log.verifier
        return any(log.id == s.key_id and log.verifies(s.signature, read.text) for s in read.signatures)

    def verify_edge(self) -> None:
        """Untrusted unless the newest checkpoint is signed by the log and is over the entries here."""
        with self.read() as connection:
            frontier = Tree(connection).frontier()
            note = newest_note(connection).encode()
        checkpoint = Checkpoint.of(note)
        if not self.signed(note) or (checkpoint.size, checkpoint.root) != (frontier.size, frontier.root()):
            raise Untrusted(
                "The ledger is not the one that its newest checkpoint signs. Do not write to it: restore the"
                " book from a backup, and compare it with the checkpoints on receipts and manifests."
            )


def newest_note(connection: sa.Connection) -> str:
    """The signed note of the newest checkpoint."""
    query = sa.select(_checkpoint.c.note).order_by(_checkpoint.c.size.desc()).limit(1)
    note = connection.scalar(query)
    if note is None:
        raise Untrusted("This book has no checkpoint: it was not made by `custody init`.")
    return str(note)
