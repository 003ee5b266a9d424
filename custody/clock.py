"""The time, by two clocks of the machine: one that people set, and one that counts since it was started.

The first can be set: by a person, by a time server, by a virtual machine that was asleep. If it jumps a day
ahead for a minute, each alarm of that day would ring at once, and no later one for a day, since a ledger's
time never runs backwards. So a jump is not believed at once: for a while the time goes on by the second
clock, which nobody can set. Where the first has not come back by then it was put right, and is believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

JUMP: Final = timedelta(seconds=10)
"""A clock that is only adjusted drifts by less between two looks: both clocks of a machine drift together."""
DOUBTED_FOR: Final = timedelta(minutes=2)
"""So long a jump is not believed. Alarms of a machine that was asleep are late by as much."""


@dataclass(frozen=True, slots=True)
class Jump:
    """The clock that people set went ahead by this much (behind, if negative) beside the one that counts."""

    by: timedelta


def set_by_people() -> datetime:
    """The machine's time, UTC."""
    return datetime.now(UTC)


def counting() -> float:
    """Seconds since the machine was started, those that it slept among them where it can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Called, it gives the time. One for a process; threads share it."""

    def __init__(
        self, wall: Callable[[], datetime] = set_by_people, steady: Callable[[], float] = counting
    ) -> None:
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._agreed = (wall(), steady())
        self._doubted: tuple[float, timedelta] | None = None
        self._jumps: list[Jump] = []

    def __call__(self) -> datetime:
        """The time, UTC: the machine's, but for a jump that is not believed yet."""
        with self._lock:
            wall, steady = self._wall(), self._steady()
            then, at = self._agreed
            expected = then + timedelta(seconds=steady - at)
            if not self._believed(steady, wall - expected):
                return expected
            self._agreed, self._doubted = (wall, steady), None
            return wall

    def _believed(self, steady: float, ahead: timedelta) -> bool:
        if abs(ahead) <= JUMP:
            return True
        if self._doubted is None or abs(ahead - self._doubted[1]) > JUMP:
            self._doubted = (steady, ahead)
            self._jumps.append(Jump(ahead))
        return steady - self._doubted[0] >= DOUBTED_FOR.total_seconds()

    def jumps(self) -> list[Jump]:
        """The jumps since this was last asked."""
        with self._lock:
            jumps, self._jumps = self._jumps, []
            return jumps
