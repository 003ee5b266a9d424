"""The monitor: what makes silence an alarm.

It goes round and round, and each round is the same: *sweep* (record every rung that is owed by now, and once
a day that the checkpoint is told), *deliver* (begin to send what is in the outbox), *pulse* (write down that
the round was finished), and now and then *beat* (a sign of life to an outside switch which alarms when the
signs stop). It waits for nothing outside the house: that is for threads of their own. All it knows is in the
book: it can be killed anywhere and started again, and any number of processes may run it.

Whatever fails in one part of a round, or in one alarm, is told and tried again, and keeps no other from being
done; only a book that cannot be trusted ends it, since another process and the outside switch then speak.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from custody.acts import alarms, daily, pulses
from custody.acts.deliveries import Deliveries
from custody.clock import Clock, Jump, counting
from custody.errors import Refusal, Undelivered, Untrusted
from custody.rules.notices import Channel
from custody.store.book import Book
from custody.store.pin import Pin
from custody.store.verdict import VerdictFile

TICK: Final = 1.0
"""Real seconds between two looks at the clock, at most."""
BEAT_EVERY: Final = 60.0
"""Real seconds."""
STUCK_AFTER: Final = timedelta(minutes=5)
"""An alert that has reached nobody for so long is the outside switch's business."""
GRACE: Final = 5.0
"""Real seconds that a monitor which is stopped gives to what is under way."""

T = TypeVar("T")
log = structlog.get_logger("custody.monitor")


@dataclass
class Monitor:
    """Watches a book. `site` is where people sign in; `beat`, if given, is called about once a minute.

    `pin`, if given, remembers the newest checkpoint in a second place; `clock` says when it was set; `guard`
    whether it lets a sign of life be given. `steady` gives real seconds that only grow.
    """

    book: Book
    channels: Mapping[str, Channel]
    site: str
    beat: Callable[[], None] | None = None
    pin: Pin | None = None
    clock: Clock | None = None
    guard: VerdictFile | None = None
    steady: Callable[[], float] = counting
    _looked: float | None = field(default=None, init=False)
    _beating: threading.Thread | None = field(default=None, init=False)
    _failed: set[str] = field(default_factory=set, init=False)
    _jumps: list[Jump] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.deliveries = Deliveries(self.book, self.channels, self.site, self.steady)

    def round(self) -> datetime | None:
        """One round. When the next is due at the latest; None where nothing is to come.

        Whatever goes wrong in one part of it, the others are done; Untrusted alone ends it. What was due
        before it and could not be done does not hurry the next one.
        """
        began = self.book.clock()
        self._failed.clear()
        sweep = self._apart("sweep", lambda: alarms.climb(self.book))
        if sweep is not None and sweep.stuck:
            self._failed.add(f"the climbing of {', '.join(sweep.stuck)}")
        self._apart("the clock's jumps", self._tell_jumps)
        self._apart("the day's checkpoint", lambda: daily.tell_checkpoint(self.book))
        self._apart("delivery", self.deliveries.hand_out)
        waiting = None
        if sweep is not None:  # a monitor that goes round and climbs nothing is not alive
            waiting = self._apart("pulse", lambda: pulses.pulse(self.book, "monitor"))
        if sweep and sweep.climbed:
            log.info("round", sweep=sweep)
        self._apart("heartbeat", self._beat)
        self._apart("pin", self._pin)
        due = sweep.due if sweep else None
        to_come = [moment for moment in (due, waiting) if moment is not None and moment > began]
        return min(to_come, default=None)

    def _apart(self, part: str, do: Callable[[], T]) -> T | None:
        """What this part gives; None where it failed, which is told, and tried again in the next round."""
        try:
            return do()
        except Untrusted:
            raise
        except Refusal as problem:  # a full disk, say: nothing was written
            log.warning("a part of the round was refused", part=part, why=str(problem))
        except Exception:  # a mistake in the program that one part meets must not silence the others
            log.exception("a part of the round broke", part=part)
        self._failed.add(part)
        return None

    def _tell_jumps(self) -> None:
        if self.clock is not None:
            self._jumps += self.clock.jumps()
            while self._jumps:
                log.error("the clock was set", ahead=str(self._jumps[0].by))
                alarms.clock_jumped(self.book, self._jumps[0].by)
                del self._jumps[0]

    def _pin(self) -> None:
        """A second disk that is gone stops nobody from being told; a book behind its pin ends this."""
        if self.pin is not None:
            try:
                self.pin.keep(self.book)
            except OSError as problem:
                log.warning("the pin is not up to date", why=str(problem))

    def run(self, stop: threading.Event) -> None:
        """Rounds until told to stop; what is under way then has a moment to end well."""
        while not stop.is_set():
            stop.wait(self._pause(self.round()))
        self.deliveries.stop(GRACE)

    def _pause(self, due: datetime | None) -> float:
        if due is None:
            return TICK
        real = (due - self.book.clock()).total_seconds() / self.book.pace
        return min(max(real, 0.01), TICK)

    def _beat(self) -> None:
        """Only where alarms climb, alerts reach somebody and the guard finds all well: in vain none is given.

        The switch may take its time, or drip: no round waits for it, and there is one beat at a time.
        """
        now = self.steady()
        if self.beat is None or (self._looked is not None and now - self._looked < BEAT_EVERY):
            return
        if self._beating is not None and self._beating.is_alive():
            return
        self._looked = now
        if why := self._why_no_sign():
            log.warning("no sign of life is given", why=why)
            return
        self._beating = threading.Thread(target=_give, args=(self.beat,), name="heartbeat", daemon=True)
        self._beating.start()

    def _why_no_sign(self) -> str:
        now = self.book.clock()
        if self.guard is not None and (why := self.guard.silences(now)):
            return why
        if self._failed:
            return f"of this round these parts failed: {', '.join(sorted(self._failed))}"
        if stuck := pulses.stuck(self.book):
            return f"these alarms do not climb: {', '.join(stuck)}"
        since = pulses.unheard(self.book, now - STUCK_AFTER)
        return "" if since is None else f"an alert has reached nobody since {since.isoformat()}"


def _give(beat: Callable[[], None]) -> None:
    try:
        beat()
    except Undelivered as problem:
        log.warning("heartbeat not taken", why=str(problem))
    except Exception:
        log.exception("the heartbeat broke")
