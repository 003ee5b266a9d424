"""What can be judged of an entry by itself, before its turn: how it reads, and whether its signatures hold.

The signatures are most of an audit's work, and take nothing of the ledger but the keys that it names. So of a
long ledger they are verified ahead, by a process for each core, while the entries before are judged in order.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from typing import Final, NamedTuple

from custody.errors import Conflict, Unreadable
from custody.facts import NewerKind, Statement
from custody.garbage import search_seldom, searched_seldom
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.keys import public_key
from custody.ledger.merkle import leaf_hash

AT_ONCE: Final = 256
"""Entries that are read in one go."""
HELPERS_MOST: Final = 8
"""Processes. The judging in order, which is one process's, keeps no more of them busy."""
AHEAD: Final = 3
"""Goes for each process that are under way or wait to be judged."""


class Reading(NamedTuple):
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


class Unread(NamedTuple):
    """An entry with its envelope opened, and what it states not yet read: `payload` says it.

    Between processes this travels at a tenth of what a statement takes, which is read in less time than that.
    """

    leaf: bytes
    payload: bytes = b""
    event: str = ""
    signers: tuple[str, ...] = ()
    verified: bool = False
    wrong: str = ""


def _open(entry: bytes, keys: Mapping[str, str]) -> Unread:
    """The entry's envelope. `keys` are SPKIs by key id, as many as are known."""
    leaf = leaf_hash(entry)
    try:
        envelope = Envelope.read(entry)
    except Unreadable as problem:
        return Unread(leaf, wrong=str(problem))
    signers = tuple([signature.key for signature in envelope.signatures])
    known = [public_key(keys[key]) for key in signers if key in keys]
    verified = len(known) == len(signers) and envelope.holds(known)
    return Unread(leaf, envelope.payload, event_id(envelope.payload), signers, verified)


def _read(unread: Unread) -> Reading:
    if unread.wrong:
        return Reading(unread.leaf, wrong=unread.wrong)
    try:
        statement = Statement.read(unread.payload)
    except Unreadable as problem:
        newer = isinstance(problem, NewerKind)
        return Reading(unread.leaf, unread.event, wrong=str(problem), newer=newer)
    return Reading(unread.leaf, unread.event, statement, unread.signers, unread.verified)


def readings(
    entries: Iterable[bytes], keys: Callable[[], Mapping[str, str]], *, helped: bool
) -> Generator[tuple[bytes, Reading], None, None]:
    """Each entry with its reading, in order. `keys` is asked again and again, as more become known.

    With `helped` it is done by other processes, ahead of what is taken here.
    """
    goes = _several(entries)
    opened = _by_helpers(goes, keys) if helped else _here(goes, keys)
    with contextlib.closing(opened) as ahead, searched_seldom():
        for some, unread in ahead:
            yield from zip(some, map(_read, unread), strict=True)


Goes = Generator[tuple[list[bytes], list[Unread]], None, None]


def _here(goes: Iterable[list[bytes]], keys: Callable[[], Mapping[str, str]]) -> Goes:
    for some in goes:
        yield some, _open_several(some, keys())


def _by_helpers(goes: Iterator[list[bytes]], keys: Callable[[], Mapping[str, str]]) -> Goes:
    count = min(multiprocessing.cpu_count(), HELPERS_MOST)
    spawn = multiprocessing.get_context("spawn")
    helpers = ProcessPoolExecutor(count, spawn, initializer=_help)
    ahead: deque[tuple[list[bytes], Future[list[Unread]]]] = deque()
    try:
        helpers.submit(int)  # lets them start
        # no key is known before the set-up has been judged: nothing could be verified ahead of it
        yield from _here(islice(goes, 1), keys)
        for some in goes:
            ahead.append((some, helpers.submit(_open_several, some, keys())))
            if len(ahead) > AHEAD * count:
                yield _taken(ahead)
        while ahead:
            yield _taken(ahead)
    except BrokenProcessPool:
        raise Conflict(
            "A process of this audit was ended from outside, perhaps for want of memory. Begin it again."
        ) from None
    finally:
        helpers.shutdown(cancel_futures=True)


def _taken(ahead: deque[tuple[list[bytes], Future[list[Unread]]]]) -> tuple[list[bytes], list[Unread]]:
    some, done = ahead.popleft()
    return some, done.result()


def _help() -> None:
    """A helper's beginning. It ends with its auditor, however that one ended."""
    search_seldom()
    auditor = multiprocessing.parent_process()
    assert auditor is not None, "helpers have one"

    def end_with() -> None:
        wait([auditor.sentinel])
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=end_with, daemon=True).start()


def _several(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for entry in entries:
        some.append(entry)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _open_several(entries: list[bytes], keys: Mapping[str, str]) -> list[Unread]:
    return [_open(entry, keys) for entry in entries]
