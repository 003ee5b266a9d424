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
        self._leader: _Seat[J] | None = None

    def __call__(self, prepare: Callable[[], J]) -> J:
        """The job that `prepare` makes, after it was run. A group that would leave waits a moment for it.

        A thread that is interrupted while it waits holds up nobody.
        """
        with self._mutex:
            self._coming += 1
        try:
            seat = _Seat(prepare())
        except BaseException:
            with self._mutex:
                self._coming -= 1
                self._tell_who_lingers()
            raise
        try:
            self._sit(seat)
            if self._leader is not seat:
                seat.called.acquire()
            if not seat.done:
                self._lead()
        except BaseException:
            self._leave(seat)
            raise
        return seat.job

    def _sit(self, seat: _Seat[J]) -> None:
        """At the queue's end; whoever finds nobody leading leads."""
        with self._mutex:
            self._coming -= 1
            self._queue.append(seat)
            self._tell_who_lingers()
            self._leader = self._leader or seat

    def _lead(self) -> None:
        """Runs the group at the head of the queue, where the leader is, and calls the next one."""
        with self._mutex:
            self._arrived.wait_for(self._is_complete, LINGER)
            group = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
        try:
            self._run([each.job for each in group])
        finally:
            for each in group:
                each.done = True
                each.called.release()
            self._pass_on()

    def _leave(self, seat: _Seat[J]) -> None:
        if seat in self._queue:
            with self._mutex:
                self._queue.remove(seat)
        if self._leader is seat:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._mutex:
            self._leader = self._queue[0] if self._queue else None
            if self._leader is not None:
                self._leader.called.release()

    def _is_complete(self) -> bool:
        """Whether a group would gain nothing by waiting."""
        return not self._coming or len(self._queue) >= self._most

    def _tell_who_lingers(self) -> None:
        if self._is_complete():
            self._arrived.notify()
