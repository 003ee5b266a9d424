"""Group commit's turn-taking: each job runs once, in a group with those that came while another ran."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from custody.errors import Unreadable
from custody.store.together import Together


@dataclass
class Counter:
    """Runs groups, the first of which waits until it is let go."""

    most: int
    groups: list[list[int]] = field(default_factory=list)
    first: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.together = Together(self.run, self.most)

    def run(self, jobs: list[int]) -> None:
        self.groups.append(jobs)
        self.first.set()
        assert self.go.wait(30)

    def arrive(self, jobs: range) -> list[threading.Thread]:
        """A thread a job. The first runs alone, and the others have queued behind it when this returns."""
        threads = [threading.Thread(target=self.together, args=(lambda job=job: job,)) for job in jobs]
        threads[0].start()
        assert self.first.wait(30)
        for thread in threads[1:]:
            thread.start()
        while len(self.together._queue) < len(threads) - 1:
            threading.Event().wait(0.001)
        return threads


def test_who_comes_while_one_group_runs_is_in_the_next() -> None:
    counter = Counter(most=100)
    threads = counter.arrive(range(33))
    counter.go.set()
    for thread in threads:
        thread.join(30)
    assert counter.groups[0] == [0]
    assert sorted(counter.groups[1]) == list(range(1, 33))
    assert len(counter.groups) == 2


def test_a_group_has_its_limit_and_nobody_is_left_behind() -> None:
    counter = Counter(most=5)
    threads = counter.arrive(range(24))
    counter.go.set()
    for thread in threads:
        thread.join(30)
    assert [len(group) for group in counter.groups] == [1, 5, 5, 5, 5, 3]
    assert sorted(job for group in counter.groups for job in group) == list(range(24))


def test_alone_it_runs_at_once() -> None:
    counter = Counter(most=5)
    counter.go.set()
    assert counter.together(lambda: 7) == 7
    assert counter.together(lambda: 8) == 8
    assert counter.groups == [[7], [8]]


def test_a_group_that_is_stopped_lets_the_next_one_run() -> None:
    ran: list[int] = []

    def run(jobs: list[int]) -> None:
        ran.extend(jobs)
        if 1 in jobs:
            raise KeyboardInterrupt

    together = Together(run, 5)
    with pytest.raises(KeyboardInterrupt):
        together(lambda: 1)
    together(lambda: 2)
    assert ran == [1, 2]


def test_a_group_waits_a_moment_for_who_is_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custody.store.together.LINGER", 30)
    counter = Counter(most=5)
    counter.go.set()
    ready = threading.Event()

    def prepared() -> int:
        assert ready.wait(30)
        return 2

    late = threading.Thread(target=counter.together, args=(prepared,))
    late.start()
    while not counter.together._coming:
        threading.Event().wait(0.001)
    early = threading.Thread(target=counter.together, args=(lambda: 1,))
    early.start()
    while not counter.together._queue:
        threading.Event().wait(0.001)
    ready.set()
    for thread in (early, late):
        thread.join(30)
    assert counter.groups == [[1, 2]]


def test_what_cannot_be_prepared_holds_up_nobody() -> None:
    counter = Counter(most=5)
    counter.go.set()

    def fails() -> int:
        raise Unreadable("This is no job.")

    with pytest.raises(Unreadable):
        counter.together(fails)
    assert counter.together._coming == 0
    counter.together(lambda: 1)
    assert counter.groups == [[1]]


LINGERING = """
import signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
from custody.store import together
from store.test_together import Counter

together.LINGER = 30
counter = Counter(most=5)
counter.go.set()
ready = threading.Event()

def prepared():
    ready.wait(30)
    return 2

late = threading.Thread(target=counter.together, args=(prepared,))
late.start()

def interrupt():
    while not counter.together._queue:
        threading.Event().wait(0.001)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    counter.together(lambda: 1)
except KeyboardInterrupt:
    ready.set()
late.join(30)
assert counter.groups == [[2]], counter.groups
"""
INTERRUPTED = """
import signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
from store.test_together import Counter

counter = Counter(most=5)
threads = counter.arrive(range(1))

def interrupt():
    while not counter.together._queue:
        threading.Event().wait(0.001)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

threads.append(threading.Thread(target=interrupt))
threads[-1].start()
try:
    counter.together(lambda: 1)
except KeyboardInterrupt:
    counter.go.set()
for thread in threads:
    thread.join(30)
counter.together(lambda: 2)
assert counter.groups == [[0], [2]], counter.groups
"""
CALLED = """
import dis, sys, threading
from custody.store.together import Together
from store.test_together import Counter

counter = Counter(most=1)
threads = counter.arrive(range(1))

def trace(frame, event, _):
    '''Interrupts as `acquire` has returned, before anything else happens.'''
    if frame.f_code is Together.__call__.__code__:
        frame.f_trace_opcodes = True
        if event == "opcode" and called.is_set() and before(frame) == "acquire":
            raise KeyboardInterrupt
    return trace

def before(frame):
    code = [each for each in dis.get_instructions(frame.f_code) if each.offset < frame.f_lasti]
    return next((each.argval for each in reversed(code) if each.opname == "LOAD_METHOD"), None)

called = threading.Event()

def interrupted():
    sys.settrace(trace)
    try:
        counter.together(lambda: 1)
    except KeyboardInterrupt:
        stopped.append(1)

stopped = []
threads.append(threading.Thread(target=interrupted))
threads[-1].start()
while not counter.together._queue:
    threading.Event().wait(0.001)
called.set()
counter.go.set()
for thread in threads:
    thread.join(30)
assert stopped
last = threading.Thread(target=counter.together, args=(lambda: 2,), daemon=True)
last.start()
last.join(30)
assert counter.groups == [[0], [2]], counter.groups
"""


@pytest.mark.parametrize(
    "story", [INTERRUPTED, LINGERING, CALLED], ids=["in the queue", "at its head", "as their turn comes"]
)
def test_who_is_interrupted_while_they_wait_keeps_nobody_waiting(story: str) -> None:
    """As by Ctrl-C, which comes to a process's main thread: so it is a process of its own."""
    tests = Path(__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", story],
        env={"PYTHONPATH": f"{tests}:{tests.parent}", "PATH": "/usr/bin:/bin"},
        check=True,
    )
