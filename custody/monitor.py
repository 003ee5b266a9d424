"""The monitor: what makes silence an alarm.

It goes round and round, and each round is the same: *sweep* (record every rung that is owed by now, and once
a day that the checkpoint is told), *deliver* (send what is in the outbox), *pulse* (write down that the round
was finished), and now and then *beat* (a sign of life to an outside switch which alarms when the signs stop).
All it knows is in the book: it can be killed anywhere and started again, and any number of processes may run
it.

A round that fails is told and tried again; only a book that cannot be trusted ends it, since another process
and the outside switch then speak.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from custody.acts import alarms, daily, notices, pulses
from custody.errors import Refusal, Undelivered, Unreadable
from custody.rules.notices import Channel
from custody.store.book import Book
from custody.store.pin import Pin

TICK: Final = 1.0
"""Real seconds between two looks at the clock, at most."""
BEAT_EVERY: Final = timedelta(seconds=60)
STUCK_AFTER: Final = timedelta(minutes=5)
"""An alert that could not leave for so long is the outside switch's business."""

log = structlog.get_logger("custody.monitor")


@dataclass
class Monitor:
    """Watches a book. `site` is where people sign in; `beat`, if given, is called about once a minute.

    `pin`, if given, remembers the newest checkpoint in a second place.
    """

    book: Book
    channels: Mapping[str, Channel]
    site: str
    beat: Callable[[], None] | None = None
    pin: Pin | None = None
    _beaten: datetime | None = field(default=None, init=False)

    def round(self) -> datetime | None:
        """One round. When the next is due at the latest; None where nothing is armed."""
        climbed, due = self._climb()
        self._tell_checkpoint()
        tally = notices.deliver(self.book, self.channels, self.site)
        waiting = pulses.pulse(self.book, "monitor")
        if climbed or tally.accepted or tally.failed:
            log.info("round", climbed=climbed, accepted=tally.accepted, failed=tally.failed)
        self._beat()
        self._pin()
        return min((moment for moment in (due, waiting) if moment is not None), default=None)

    def _climb(self) -> tuple[int, datetime | None]:
        """What cannot be recorded now must not keep from being sent what was recorded before."""
        try:
            return alarms.climb(self.book)
        except Refusal as problem:
            log.warning("nothing can climb", why=str(problem))
            return 0, None

    def _tell_checkpoint(self) -> None:
        """Nor must this, which no alarm waits for."""
        try:
            daily.tell_checkpoint(self.book)
        except Refusal as problem:
            log.warning("the checkpoint cannot be told", why=str(problem))

    def _pin(self) -> None:
        """A second disk that is gone stops nobody from being told; a book behind its pin ends this."""
        if self.pin is not None:
            try:
                self.pin.keep(self.book)
            except (OSError, Unreadable) as problem:
                log.warning("the pin is not up to date", why=str(problem))

    def run(self, stop: threading.Event) -> None:
        """Rounds until told to stop."""
        while not stop.is_set():
            try:
                due = self.round()
            except Refusal as problem:  # a full disk: nothing was written, and the next round may fare better
                log.warning("round refused", why=str(problem))
                due = None
            stop.wait(self._pause(due))

    def _pause(self, due: datetime | None) -> float:
        if due is None:
            return TICK
        real = (due - self.book.clock()).total_seconds() / self.book.pace
        return min(max(real, 0.01), TICK)

    def _beat(self) -> None:
        """Only where alerts leave: a monitor that goes round in vain gives no sign."""
        now = self.book.clock()
        if self.beat is None or (self._beaten is not None and now - self._beaten < BEAT_EVERY):
            return
        oldest = pulses.oldest_unsent(self.book)
        if oldest is not None and now - oldest > STUCK_AFTER:
            log.warning("no sign of life is given: an alert has waited since", since=oldest.isoformat())
            return
        self._beaten = now  # tried or taken: a switch that does not answer must not slow every round down
        try:
            self.beat()
        except Undelivered as problem:
            log.warning("heartbeat not taken", why=str(problem))
