"""The world over the tables: a noun is read when it is first asked for, and what is put stays in memory.

A process keeps what it read between its pages (`Kept`), for as long as no other process writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

import sqlalchemy as sa
from sqlmodel import SQLModel
from typing_extensions import override

from custody.rules.history import FEW
from custody.rules.people import number
from custody.rules.world import N, Noun, World
from custody.store.nouns import SHELVES

ASKED_AT_ONCE: Final = 500
"""Names in one query; every database takes so many."""
KEPT_MOST: Final = 20_000
"""Nouns of a kind, and roots; a noun is about 1 kB as Python has it."""

_checkpoint = SQLModel.metadata.tables["checkpoint"]


@dataclass(slots=True)
class Kept:
    """What a process remembers of the last commit: some nouns of each kind, or all of it where it is `whole`.

    `last` has the highest number of a kind's nouns, `roots` those of some checkpoints by their size.
    """

    nouns: defaultdict[type[Noun], dict[str, Noun]] = field(default_factory=lambda: defaultdict(dict))
    whole: set[type[Noun]] = field(default_factory=set)
    last: dict[type[Noun], int] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)

    def shed(self) -> None:
        """Forgets what there is too much of."""
        for kind, nouns in self.nouns.items():
            if len(nouns) > KEPT_MOST and kind not in FEW:
                nouns.clear()
                self.whole.discard(kind)
        if len(self.roots) > KEPT_MOST:
            self.roots.clear()


class BookWorld(World):
    """The nouns of the tables. `kept`, if given, is where they are looked for first, and left."""

    def __init__(self, connection: sa.Connection, kept: Kept | None = None) -> None:
        super().__init__()
        self._connection = connection
        self._keeps = kept is not None
        self._kept = kept = kept or Kept()
        self.roots = kept.roots
        self._last = dict(kept.last)
        self._absent: set[tuple[type[Noun], str]] = set()
        self._puts: list[tuple[type[Noun], str, Noun | None]] = []
        self._marked = 0
        self.changed: defaultdict[type[Noun], dict[str, Noun]] = defaultdict(dict)

    @override
    def find(self, kind: type[N], name: str) -> N | None:
        known = self.changed[kind].get(name) or self._kept.nouns[kind].get(name)
        if known is None and kind not in self._kept.whole and (kind, name) not in self._absent:
            if self._keeps and kind in FEW:
                self.all(kind)
            else:
                self.expect(kind, (name,))
            known = self._kept.nouns[kind].get(name)
        return cast("N | None", known)

    @override
    def expect(self, kind: type[Noun], names: Iterable[str]) -> None:
        if kind in self._kept.whole:
            return
        held, shelf = self._kept.nouns[kind], SHELVES[kind]
        wanted = [name for name in names if name not in held and (kind, name) not in self._absent]
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            some = {"names": wanted[start : start + ASKED_AT_ONCE]}
            held.update((row.id, shelf.noun(row)) for row in self._connection.execute(shelf.some, some))
        self._absent.update((kind, name) for name in wanted if name not in held)

    @override
    def put(self, noun: Noun) -> None:
        kind = type(noun)
        changed = self.changed[kind]
        self._puts.append((kind, noun.id, changed.get(noun.id)))
        changed[noun.id] = noun
        if kind in self._last:
            self._last[kind] = max(self._last[kind], number(noun))

    @override
    def all(self, kind: type[N]) -> Iterable[N]:
        held = self._kept.nouns[kind]
        if kind not in self._kept.whole:
            shelf = SHELVES[kind]
            for row in self._connection.execute(sa.select(shelf.table)):
                held.setdefault(row.id, shelf.noun(row))
            self._kept.whole.add(kind)
        changed = self.changed[kind]
        return cast("list[N]", list(({**held, **changed} if changed else held).values()))

    @override
    def next_number(self, kind: type[N]) -> int:
        if kind not in self._last:
            table = SHELVES[kind].table
            stored = self._connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.number), 0)))
            self._last[kind] = max([int(stored or 0), *map(number, self.changed[kind].values())])
        return self._last[kind] + 1

    @override
    def root_at(self, size: int) -> bytes | None:
        if size not in self.roots:
            query = sa.select(_checkpoint.c.root).where(_checkpoint.c.size == size)
            root: bytes | None = self._connection.scalar(query)
            if root is None:
                return None
            self.roots[size] = root
        return self.roots[size]

    @override
    def note_at(self, size: int) -> str | None:
        return self._connection.scalar(sa.select(_checkpoint.c.note).where(_checkpoint.c.size == size))

    def mark(self) -> int:
        """This state, to go back to."""
        self._marked = len(self._puts)
        return self._marked

    def fresh(self, kind: type[N]) -> list[N]:
        """What was put since the last mark, as it is now."""
        names = dict.fromkeys(name for put, name, _ in self._puts[self._marked :] if put is kind)
        return [cast("N", self.changed[kind][name]) for name in names]

    def undo(self, mark: int) -> None:
        """Takes back what was put since."""
        while len(self._puts) > mark:
            kind, name, before = self._puts.pop()
            self._last.pop(kind, None)
            if before is None:
                del self.changed[kind][name]
            else:
                self.changed[kind][name] = before

    def settle(self, size: int, root: bytes) -> None:
        """What was put is committed, and the log has this size and root: the next page finds it in `kept`."""
        self.roots[size] = root
        for kind, nouns in self.changed.items():
            self._kept.nouns[kind].update(nouns)
        self._kept.last = self._last
        self._kept.shed()
