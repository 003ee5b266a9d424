"""The auditor's world, kept in a file: so that a ledger of any length is judged in the same memory.

Nouns of which there are few are held; of the others those that were asked for or changed lately. All else
lies in an SQLite database, in a temporary file of its own, or in one that the auditor keeps: the *notebook*.
A notebook that is kept remembers how far an audit came, so that it goes on from there after a power cut, and
so that the audit of a longer bundle judges only what is new.

Whoever can write a notebook can write its verdicts: keep it as you keep the pins.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, get_type_hints

from custody.audit.clocks import Stretch, Word
from custody.errors import Unreadable
from custody.rules.history import FEW
from custody.rules.world import Log, N, Noun, World
from custody.strict import codec, json_bytes, read_json, record, time_text

HELD: Final = 8192
"""Nouns that are held from one clearing to the next; twice as many are in memory at the most."""
APART: Final = 65_536
"""Entries between two states of a kept notebook, and an eighth of all from half a million on, since each time
all of it is hashed: what an audit that was killed does again."""
MARK: Final = int.from_bytes(b"note")
"""What SQLite keeps in a file to say whose it is."""
SLOTS: Final = 1 << 23
"""Bytes for the marks of names that were met."""
CACHED: Final = 8192
"""KiB of the database that SQLite keeps in memory."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS standing (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL,
    digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS noun (kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS event (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS root (size INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS finding (kind TEXT NOT NULL, words TEXT NOT NULL);
"""
_CONTENT: Final = (
    "SELECT quote(kind) || quote(id) || quote(value) FROM noun ORDER BY rowid",
    "SELECT quote(id) FROM event ORDER BY id",
    "SELECT quote(size) || quote(hash) FROM root ORDER BY size",
    "SELECT quote(kind) || quote(words) FROM finding ORDER BY rowid",
)
"""Every row but the standing, as a text."""
_NEW: Final = hashlib.sha256(repr(None).encode()).digest()
"""The digest of a notebook without a standing: in it lies nothing."""
AT_ONCE: Final = 1000
"""Rows that are taken from the database in one go."""


class _Shelf:
    """How the nouns of a kind lie there: as a JSON array of their members."""

    def __init__(self, kind: type[Noun]) -> None:
        hints = get_type_hints(kind, include_extras=True)
        names = [field.name for field in fields(kind)]
        self._kind, self._names = kind, names
        self._members = attrgetter(*names)
        self._readers = [codec(hints[name])[0] for name in names]

    def write(self, noun: Noun) -> str:
        return _WRITES(self._members(noun))

    def place(self, member: str) -> str:
        """Where SQLite finds a member in the array."""
        return f"$[{self._names.index(member)}]"

    def read(self, text: str) -> Noun:
        values = json.loads(text)
        return self._kind(*[read(value) for read, value in zip(self._readers, values, strict=True)])


def _plain(value: Any) -> Any:
    """What JSON has no word for, as `codec` reads it."""
    return time_text(value) if isinstance(value, datetime) else _part(value)


@lru_cache(maxsize=1024)
def _part(value: Any) -> Any:
    """A ladder's rung, say: of these there are few, in very many nouns."""
    return record(type(value)).write(value)


_WRITES: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain).encode
_shelves: dict[type[Noun], _Shelf] = {}


def _shelf(kind: type[Noun]) -> _Shelf:
    if kind not in _shelves:
        _shelves[kind] = _Shelf(kind)
    return _shelves[kind]


class Finding(NamedTuple):
    """Something that a report says beside the verdict: one word for what it is, and the sentence."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the audits of this notebook came, and of what.

    `program`, `policy`, `origin`, `genesis` and `log_key` say of which ledger, by whose rules; `first` is the
    time of its first entry. `judged` is how many entries hold and the root over them; `pin` the same of the
    newest checkpoint that an audit in here has called sound. `words` and `stretch` are what devices said of
    the time (`custody.audit.clocks`).
    """

    program: str
    policy: str
    origin: str
    genesis: str
    log_key: str
    first: datetime
    judged: str
    pin: str | None = None
    words: tuple[Word, ...] = ()
    stretch: Stretch | None = None


class Notebook(World):
    """Nouns, event ids, roots and findings of a ledger, in a bounded part of the memory.

    Without a path it is of use until it is closed or forgotten. Unreadable where the file is not a notebook,
    or is in use.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._path = path
        self._fresh: dict[type[Noun], dict[str, Any]] = defaultdict(dict)
        self._stale: dict[type[Noun], dict[str, Any]] = {}
        self._changed: dict[type[Noun], dict[str, Noun]] = defaultdict(dict)
        self._room = HELD
        self._counts: dict[type[Noun], int] = {}
        self._events: set[str] = set()
        self._met = bytearray(SLOTS)
        if path is not None and path.exists() and not path.is_file():
            raise Unreadable(f"{path} is no file, and so no notebook: name another.")
        self._database = sqlite3.connect(path or "", timeout=0, isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._database.close)
        self.standing = self._open()
        self._few: dict[type[Noun], dict[str, Any]] = {
            kind: {noun.id: noun for noun in self._stored(kind)} for kind in FEW
        }
        self._fresh.update(self._few)
        if self.standing is not None:
            self._recall()

    def _open(self) -> Standing | None:
        try:
            self._database.execute(f"PRAGMA cache_size=-{CACHED}")
            if self._path is None:
                self._database.execute("PRAGMA journal_mode=OFF")
            self._database.execute("BEGIN EXCLUSIVE")
            self._mark()
            for statement in _TABLES.split(";"):
                self._database.execute(statement)
            return self._stands()
        except (sqlite3.Error, UnicodeError, Unreadable) as problem:  # SQLite quotes what is damaged
            self.close()
            raise Unreadable(
                f"{self._path} is no notebook of an auditor's, or it is damaged, or another audit has it"
                f" ({problem}). Wait for that one, or begin a new notebook."
            ) from None

    def _stands(self) -> Standing | None:
        """How far it came, if all is as it was kept: a flipped bit must not change what a report says."""
        (sound,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
        row = self._database.execute("SELECT value, digest FROM standing").fetchone()
        value: Any
        value, digest = row or (None, _NEW)
        if sound != "ok" or digest != self._digest(value):
            raise Unreadable("what is in it is not what was kept")
        return record(Standing).read(read_json(value)) if row is not None else None

    def _digest(self, value: Any) -> bytes:
        """SHA-256 over this standing, if there is one, and all that lies there beside it."""
        digest = hashlib.sha256(repr(value).encode())
        for query in _CONTENT:
            found = self._database.execute(query)
            while rows := found.fetchmany(AT_ONCE):
                digest.update("\n".join([row for (row,) in rows]).encode())
        return digest.digest()

    def _mark(self) -> None:
        """Unreadable where the file is another program's database: nothing is ever written into that."""
        (mark,) = self._database.execute("PRAGMA application_id").fetchone()
        if mark != MARK and self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise Unreadable("it is another program's database")
        self._database.execute(f"PRAGMA application_id={MARK}")

    def _recall(self) -> None:
        """Marks what an earlier audit has put here."""
        kinds = {kind.__name__: kind for kind in Noun.__subclasses__()}
        for kind, name in self._database.execute("SELECT kind, id FROM noun"):
            self._meet((kinds[kind], name))
        for (event,) in self._database.execute("SELECT id FROM event"):
            self._meet(event.hex())

    def _meet(self, name: object) -> bool:
        """Marks a name, and says whether it may have been marked before; False is certain.

        Most names that are looked for are new ones: so the database is not asked for them.
        """
        place = hash(name) % SLOTS
        known, self._met[place] = self._met[place], 1
        return known == 1

    # ------------------------------------------------------------------------------------------ nouns

    def find(self, kind: type[N], name: str) -> N | None:
        """The noun of this kind and name, if there is one."""
        held = self._fresh[kind]
        if name not in held and kind not in self._few:
            self._hold(kind, name, self._look(kind, name))
            held = self._fresh[kind]
        noun: N | None = held.get(name)
        return noun

    def put(self, noun: Noun) -> None:
        """This noun is now so."""
        kind, name = type(noun), noun.id
        if kind in self._few or self._fresh[kind].get(name) is not None:
            self._fresh[kind][name] = noun
        else:
            if kind in self._counts and self._look(kind, name) is None:
                self._counts[kind] += 1
            self._meet((kind, name))
            self._hold(kind, name, noun)
        self._changed[kind][name] = noun

    @property
    def log(self) -> Log:
        """The log itself; Impossible before its genesis."""
        return next(iter(self._few[Log].values()), None) or super().log

    def all(self, kind: type[N]) -> Iterable[N]:
        """Every noun of a kind, in the order in which they came; of other kinds than a few one by one."""
        if kind in self._few:
            return list(self._fresh[kind].values())
        self._write()
        return self._stored(kind)

    def where(self, kind: type[N], member: str, value: str | None, *, same: bool = True) -> Iterator[N]:
        """Those of a kind whose member is this value, or with `same` False, is not: in their order."""
        self._write()
        shelf = _shelf(kind)
        query = "SELECT value FROM noun WHERE kind = ? AND (json_extract(value, ?) IS ?) = ? ORDER BY rowid"
        for (found,) in self._database.execute(query, (kind.__name__, shelf.place(member), value, same)):
            yield cast("N", shelf.read(found))

    def next_number(self, kind: type[N]) -> int:
        """The number that the next of this kind takes."""
        return self.count(kind) + 1

    def count(self, kind: type[Noun]) -> int:
        """How many there are of this kind."""
        if kind in self._few:
            return len(self._few[kind])
        if kind not in self._counts:
            self._write()
            query = "SELECT count(*) FROM noun WHERE kind = ?"
            (self._counts[kind],) = self._database.execute(query, (kind.__name__,)).fetchone()
        return self._counts[kind]

    def _hold(self, kind: type[Noun], name: str, noun: Noun | None) -> None:
        if not self._room:
            self._write()
            self._stale, self._fresh = self._fresh, defaultdict(dict, self._few)
            self._room = HELD
        self._room -= 1
        self._fresh[kind][name] = noun

    def _look(self, kind: type[N], name: str) -> N | None:
        """The noun where it is not held freshly: what was held before, or lies in the database."""
        before = self._stale.get(kind, {})
        if name in before:
            noun: N | None = before[name]
            return noun
        if not self._met[hash((kind, name)) % SLOTS]:
            return None
        query = "SELECT value FROM noun WHERE kind = ? AND id = ?"
        row = self._database.execute(query, (kind.__name__, name)).fetchone()
        return None if row is None else cast("N", _shelf(kind).read(row[0]))

    def _stored(self, kind: type[N]) -> Iterator[N]:
        shelf = _shelf(kind)
        query = "SELECT value FROM noun WHERE kind = ? ORDER BY rowid"
        for (value,) in self._database.execute(query, (kind.__name__,)):
            yield cast("N", shelf.read(value))

    def _write(self) -> None:
        """What has changed goes into the database, though not yet for good."""
        rows = (
            (kind.__name__, name, _shelf(kind).write(noun))
            for kind, nouns in self._changed.items()
            for name, noun in nouns.items()
        )
        self._database.executemany(
            "INSERT INTO noun VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value",
            rows,
        )
        self._changed.clear()
        events = sorted(map(bytes.fromhex, self._events))  # neighbours lie on one page
        self._database.executemany("INSERT INTO event VALUES (?)", ((event,) for event in events))
        self._events.clear()
        self._database.executemany("INSERT INTO root VALUES (?, ?)", self.roots.items())
        self.roots.clear()

    # ----------------------------------------------------------------------- events, roots and findings

    def is_new(self, event: str) -> bool:
        """Whether this event id was never given here before."""
        if self._meet(event):
            query = "SELECT 1 FROM event WHERE id = ?"
            stored = self._database.execute(query, (bytes.fromhex(event),)).fetchone()
            if event in self._events or stored is not None:
                return False
        self._events.add(event)
        return True

    def root_at(self, size: int) -> bytes | None:
        """The root of the log when it had this size, if a transaction ended there."""
        known = super().root_at(size)
        if known is None:
            row = self._database.execute("SELECT hash FROM root WHERE size = ?", (size,)).fetchone()
            known = None if row is None else row[0]
        return known

    def note(self, finding: Finding) -> None:
        """Something that the report will say."""
        self._database.execute("INSERT INTO finding VALUES (?, ?)", finding)

    def findings(self) -> Iterator[Finding]:
        """What was noted, in its order."""
        for row in self._database.execute("SELECT kind, words FROM finding ORDER BY rowid"):
            yield Finding(*row)

    # ------------------------------------------------------------------------------------ for next time

    @property
    def is_kept(self) -> bool:
        """Whether it lies in a file of the auditor's."""
        return self._path is not None

    def save(self, standing: Standing) -> None:
        """All of it, for good: an audit that ends here, however it ends, goes on from here."""
        self._write()
        value = json_bytes(record(Standing).write(standing))
        row = (value, self._digest(value))
        self._database.execute("INSERT OR REPLACE INTO standing VALUES (1, ?, ?)", row)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN EXCLUSIVE")
        self.standing = standing


_JUDGES: Final = ("errors.py", "facts.py", "strict.py", "audit/*.py", "ledger/*.py", "rules/*.py")


def program() -> str:
    """What judges here, as SHA-256 of its sources: an audit is not ended by another program's rules."""
    house = Path(__file__).parents[2]
    patterns = (*(f"custody/{name}" for name in _JUDGES), "labels/identity.py", "labels/volser.py")
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in house.glob(pattern)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
