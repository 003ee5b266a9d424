"""Who is served next, and who gives way when there is not room for all.

Whatever a server waits for, a stranger can keep it waiting for. So no thread waits for a client here: a
request is given to one when it is whole, and an answer is kept until it has been taken. What a client can
hold then is a socket and bytes of memory. Of both there is a limit, and one rule: **the address that holds
most gives way**. However many sockets an address opens, it takes them from itself; and a thread that is free
goes to the address that has fewest. Behind a proxy all have one address, and of it the connection gives way
that has been waited for longest.

Nothing here knows a socket or HTTP: `custody.cli.connections` does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SOCKETS: Final = 512
"""Connections at once: half of the files that Linux lets a process open, where nobody asked for more."""
ROOM: Final = 128 * 1024 * 1024
"""Bytes of requests and answers that are kept for all clients together; Python takes up to twice that."""
LONGEST: Final = 600.0
"""Seconds for sending one request, and for taking its answer."""


@dataclass(slots=True, eq=False)
class Guest:
    """A connection: from where, how it is cut, and since when its client has been waited for.

    `held` are the bytes that are kept for it; `owed` says that its request is whole and not answered yet,
    `served` that a thread is at it.
    """

    source: str
    cut: Callable[[], object]
    since: float = 0.0
    held: int = 0
    owed: bool = False
    served: bool = False


class Crowd:
    """All guests of a server with so many threads. Whoever is cut is gone at once.

    A guest never counts for more than `largest` bytes, the most that a stranger can make a server keep: else
    an auditor who fetches a whole ledger would be the first to give way.
    """

    def __init__(
        self,
        threads: int,
        largest: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        sockets: int = SOCKETS,
        room: int = ROOM,
    ) -> None:
        self._threads, self._largest, self._clock = threads, largest, clock
        self._sockets, self._room = sockets, room
        self._guests: set[Guest] = set()
        self._waiting: list[tuple[Guest, Callable[[], object]]] = []
        self._working: Counter[str] = Counter()

    @property
    def owes(self) -> bool:
        """Whether somebody waits for an answer, or for the rest of one."""
        return any(guest.owed for guest in self._guests)

    def enter(self, guest: Guest) -> None:
        """A connection was made; where that is one too many, another is cut."""
        guest.since = self._clock()
        self._guests.add(guest)
        if len(self._guests) > self._sockets:
            count = Counter(each.source for each in self._guests)
            self._cut(lambda each: (count[each.source], -each.since))

    def leave(self, guest: Guest) -> None:
        """A connection has ended."""
        self._guests.discard(guest)

    def keep(self, guest: Guest, more: int) -> None:
        """So many more bytes are kept for a guest, or fewer; where that is too much, somebody is cut."""
        guest.held += more
        while more > 0 and sum(map(self._counts, self._guests)) > self._room:
            holds: Counter[str] = Counter()
            for each in self._guests:
                holds[each.source] += self._counts(each)
            if not self._cut(lambda each: (holds[each.source], each.held)):  # noqa: B023 - it is called at once
                return

    def ask(self, guest: Guest, serve: Callable[[], object]) -> None:
        """A request is whole: `serve` is called when a thread is free for it. Then `done` must be."""
        guest.owed, guest.since = True, self._clock()
        self._waiting.append((guest, serve))
        self._next()

    def done(self, guest: Guest) -> None:
        """The thread that was at a guest's request is free."""
        guest.served, guest.since = False, self._clock()
        self._working[guest.source] -= 1
        self._next()

    def answered(self, guest: Guest) -> None:
        """The whole answer has been handed on; the next request is waited for."""
        guest.owed, guest.held, guest.since = False, 0, self._clock()

    def patrol(self) -> None:
        """Cuts everybody who has been waited for too long."""
        before = self._clock() - LONGEST
        for guest in [each for each in self._guests if each.since < before and not each.served]:
            self.leave(guest)
            guest.cut()

    def _next(self) -> None:
        while self._waiting and self._working.total() < self._threads:
            turn = min(self._waiting, key=lambda each: self._working[each[0].source])
            self._waiting.remove(turn)
            guest, serve = turn
            if guest in self._guests:
                guest.served = True
                self._working[guest.source] += 1
                serve()

    def _counts(self, guest: Guest) -> int:
        return min(guest.held, self._largest)

    def _cut(self, weight: Callable[[Guest], tuple[float, float]]) -> bool:
        """Whether there was somebody to cut: what a thread works on is not undone."""
        guest = max((each for each in self._guests if not each.served), key=weight, default=None)
        if guest is None:
            return False
        self.leave(guest)
        guest.cut()
        return True
