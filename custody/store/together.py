"""Group commit: whoever comes while one group runs is in the next, and one of those who wait runs it.

There is no thread of its own, so nothing has to be started, ended or carried over a fork.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

J = TypeVar("J")
LINGER: Final = 0.005
"""Seconds that a group waits at most for those whose job is being prepared."""


class _Seat(Generic[J]):
    __slots__ = ("called", "done", "job")

    def __init__(self, job: J) -> None:
        self.job = job
        self.done = False
        self.called = threading.Lock()
        self.called.acquire()


class Together(Generic[J]):
    """Runs jobs of many threads in groups of at most `most`.

    `run` takes a group's jobs, in the order in which they came, and leaves in each what became of it. It must
    not raise: the threads behind the other jobs would not learn of it.
    """

    def __init__(self, run: Callable[[list[J]], None], most: int) -> None:
        self._run = run
        self._most = most
        self._mutex = threading.Lock()
        self._arrived = threading.Condition(self._mutex)
        self._coming = 0
        self._queue: deque[_Seat[J]] = deque()
        self._led = False

    def __call__(self, prepare: Callable[[], J]) -> J:
        """The job that `prepare` makes, after it was run. A group that would leave waits a moment for it."""
        with self._mutex:
            self._coming += 1
        try:
            seat = _Seat(prepare())
        except BaseException:
            with self._mutex:
                self._coming -= 1
                self._tell_who_lingers()
            raise
        with self._mutex:
            self._coming -= 1
            self._queue.append(seat)
            self._tell_who_lingers()
            leads, self._led = not self._led, True
        if not leads:
            self._await(seat)
        if not seat.done:
            self._lead(seat)
        return seat.job

    def _lead(self, seat: _Seat[J]) -> None:
        """Runs the group at the head of the queue, where this seat is, and calls who is next."""
        try:
            with self._mutex:
                self._arrived.wait_for(self._is_complete, LINGER)
        except BaseException:
            with self._mutex:
                self._queue.remove(seat)
            self._pass_on()
            raise
        with self._mutex:
            group = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
        try:
            self._run([each.job for each in group])
        finally:
            for each in group:
                each.done = True
                each.called.release()
            self._pass_on()

    def _is_complete(self) -> bool:
        """Whether a group would gain nothing by waiting."""
        return not self._coming or len(self._queue) >= self._most

    def _tell_who_lingers(self) -> None:
        if self._is_complete():
            self._arrived.notify()

    def _pass_on(self) -> None:
        with self._mutex:
            self._led = bool(self._queue)
            if self._queue:
                self._queue[0].called.release()

    def _await(self, seat: _Seat[J]) -> None:
        """Until it is done, or its turn to lead. A thread that is interrupted leaves, and leads nobody."""
        try:
            seat.called.acquire()
        except BaseException:
            with self._mutex:
                waits = seat in self._queue
                called = waits and not seat.called.locked()
                if waits:
                    self._queue.remove(seat)
            if called:
                self._pass_on()
            raise
