"""What can be judged of an entry by itself, before its turn: how it reads, and whether its signatures hold.

That is most of an audit's work, and takes nothing of the ledger but the keys that it names. So of a long
ledger it is done ahead, by a process for each core, while the entries before it are judged in their order.
"""

from __future__ import annotations

import copyreg
import gc
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing.connection import wait
from operator import attrgetter
from typing import Any, Final

from custody import facts
from custody.errors import Conflict, Unreadable
from custody.facts import NewerKind, Statement
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.keys import public_key
from custody.ledger.merkle import leaf_hash

AT_ONCE: Final = 256
"""Entries that are read in one go."""
HELPERS_MOST: Final = 8
"""Processes. The judging in order, which is one process's, keeps no more of them busy."""
AHEAD: Final = 3
"""Goes for each process that are under way or wait to be judged."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An entry as it reads: the hash of its leaf, its event, what it states, the ids of the keys that signed.

    Where it does not read, `statement` is None, `wrong` says why, and `newer` that it takes a newer program.
    `verified` says that each signature holds, by the very key whose id stands beside it; False that this is
    still to be seen.
    """

    leaf: bytes
    event: str = ""
    statement: Statement | None = None
    signers: tuple[str, ...] = ()
    verified: bool = False
    wrong: str = ""
    newer: bool = False


def read(entry: bytes, keys: Mapping[str, str]) -> Reading:
    """How this entry reads. `keys` are SPKIs by key id, as many as are known."""
    leaf = leaf_hash(entry)
    try:
        envelope = Envelope.read(entry)
        statement = Statement.read(envelope.payload)
    except Unreadable as problem:
        return Reading(leaf, wrong=str(problem), newer=isinstance(problem, NewerKind))
    signers = tuple([signature.key for signature in envelope.signatures])
    known = [public_key(keys[key]) for key in signers if key in keys]
    verified = len(known) == len(signers) and envelope.holds(known)
    return Reading(leaf, event_id(envelope.payload), statement, signers, verified)


def readings(
    entries: Iterable[bytes], keys: Callable[[], Mapping[str, str]], *, helped: bool
) -> Generator[tuple[bytes, Reading], None, None]:
    """Each entry with its reading, in order. `keys` is asked again and again, as more become known.

    With `helped` it is done by other processes, ahead of what is taken here.
    """
    if not helped:
        for some in _several(entries):
            yield from zip(some, _read_several(some, keys()), strict=True)
        return
    count = min(multiprocessing.cpu_count(), HELPERS_MOST)
    spawn = multiprocessing.get_context("spawn")
    helpers = ProcessPoolExecutor(count, spawn, initializer=_help)
    ahead: deque[tuple[list[bytes], Future[list[Reading]]]] = deque()
    try:
        for some in _several(entries):
            ahead.append((some, helpers.submit(_read_several, some, keys())))
            if len(ahead) > AHEAD * count:
                yield from _taken(*ahead.popleft())
        while ahead:
            yield from _taken(*ahead.popleft())
    except BrokenProcessPool:
        raise Conflict(
            "A process of this audit was ended from outside, perhaps for want of memory. Begin it again."
        ) from None
    finally:
        helpers.shutdown(cancel_futures=True)


def _help() -> None:
    """A helper's beginning. It ends with its auditor, however that one ended."""
    gc.set_threshold(100_000)
    auditor = multiprocessing.parent_process()
    assert auditor is not None, "helpers have one"

    def end_with() -> None:
        wait([auditor.sentinel])
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=end_with, daemon=True).start()


def _taken(some: list[bytes], done: Future[list[Reading]]) -> Iterator[tuple[bytes, Reading]]:
    return zip(some, done.result(), strict=True)


def _several(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for entry in entries:
        some.append(entry)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _read_several(entries: list[bytes], keys: Mapping[str, str]) -> list[Reading]:
    return [read(entry, keys) for entry in entries]


def _travel_light(shape: Any) -> None:
    """Between processes an instance goes as its class and its values: a third of the usual time."""
    names = [field.name for field in fields(shape)]
    if len(names) > 1:
        values = attrgetter(*names)
        copyreg.pickle(shape, lambda instance: (shape, values(instance)))


for _shape in (Reading, *vars(facts).values()):
    if isinstance(_shape, type) and is_dataclass(_shape):
        _travel_light(_shape)
