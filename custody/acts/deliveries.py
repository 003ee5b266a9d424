"""Deliveries: each message goes in a thread of its own, and nothing waits for what is outside the house.

    deliveries = Deliveries(book, channels, "https://custody.example")
    deliveries.hand_out()          # now and then: it begins what is due, and returns

A relay that is slow is not dead: an attempt may take ten minutes, and is not begun again meanwhile. Those
that are quick go a few at a time, seniors' alerts first. One that is not quick steps aside and lets the next
begin; and however many hang, a senior's alert finds a worker.

The leases of what is under way are renewed for as long as the process lives. Waiting is by a clock that only
runs forward, whatever becomes of the machine's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from custody.acts import notices
from custody.acts.notices import Sent
from custody.clock import counting
from custody.errors import Refusal, Untrusted
from custody.rules.notices import Channel
from custody.store import outbox
from custody.store.book import Book
from custody.store.outbox import Parcel

QUICK: Final = 3
"""Attempts at once that are quick. Exchange Online takes three lines of one sender, and defers the fourth."""
QUICK_FOR: Final = 2.0
"""Seconds after which an attempt is no more counted among them."""
MOST: Final = 32
"""Attempts at once, with those that hang. Others than alerts of seniors are at most half of either."""
AWAY_FOR: Final = 5.0
"""Seconds for which nothing is begun when the relay gave no answer to anybody; then one attempt at a time."""

log = structlog.get_logger("custody.deliveries")


@dataclass(frozen=True, slots=True)
class _Attempt:
    parcel: Parcel
    began: float


class Deliveries:
    """See the module's story. `site` is where people sign in; `steady` gives seconds that only grow."""

    def __init__(
        self,
        book: Book,
        channels: Mapping[str, Channel],
        site: str,
        steady: Callable[[], float] = counting,
    ) -> None:
        self._book = book
        self._channels = channels
        self._site = site
        self._steady = steady
        self._changed = threading.Condition()
        self._open = False
        self._broken: BaseException | None = None
        self._under_way: dict[str, _Attempt] = {}
        self._unmarked: dict[str, tuple[Parcel, Sent]] = {}
        self._resting: dict[str, float] = {}
        self._answered = float("-inf")
        self._away_until: float | None = None

    def hand_out(self) -> None:
        """Begins what is due, as much of it as there are workers for; what they finish makes room for more.

        Refusal where the book cannot be written now. What went wrong in a worker is raised here, once.
        """
        with self._changed:
            broken, self._broken = self._broken, None
            if broken is not None:
                raise broken
            self._open = True
            self._mark_again()
            self._renew()
            self._begin()

    def settle(self, seconds: float) -> bool:
        """Whether nothing is under way any more, after so many seconds at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, seconds)

    def stop(self, seconds: float) -> None:
        """Nothing more is begun, and what is under way has so long to end well.

        Of the rest the leases run out, and whoever comes next sends it under the same Message-ID.
        """
        with self._changed:
            self._open = False
        self.settle(seconds)

    # ------------------------------------------------------------------------ what holds while it is changed

    def _mark_again(self) -> None:
        """What was accepted and could not be marked: the relay has it, so nothing of it is sent again."""
        for name, (parcel, sent) in list(self._unmarked.items()):
            if self._is_marked(parcel, sent):
                del self._unmarked[name]

    def _renew(self) -> None:
        mine = [attempt.parcel for attempt in self._under_way.values()]
        mine += [parcel for parcel, _ in self._unmarked.values()]
        if mine:
            outbox.renew(self._book, [key for parcel in mine for key in parcel.notices])

    def _begin(self) -> None:
        """Takes up what is due, for the workers that are free."""
        now = self._steady()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        most, others = self._free(now)
        if not self._open or most <= 0:
            return
        besides = {*self._under_way, *self._unmarked, *self._resting}
        for parcel in outbox.take(self._book, most, others, besides):
            attempt = _Attempt(parcel, self._steady())
            name = f"sends {parcel.message}"
            threading.Thread(target=self._work, args=(attempt,), name=name, daemon=True).start()
            self._under_way[parcel.message] = attempt

    def _free(self, now: float) -> tuple[int, int]:
        """For how many messages there are workers, and for how many that are no alerts of seniors."""
        all_of_them = list(self._under_way.values())
        quick = [attempt for attempt in all_of_them if now - attempt.began < QUICK_FOR]
        if self._away_until is not None:
            most = 0 if now < self._away_until else 1 - len(quick)
        else:
            most = QUICK - len(quick)
        most = min(most, MOST - len(all_of_them))
        rest = min((QUICK + 1) // 2 - _others(quick), MOST // 2 - _others(all_of_them))
        return most, max(min(most, rest), 0)

    # ---------------------------------------------------------------------------------------------- a worker

    def _work(self, attempt: _Attempt) -> None:
        parcel = attempt.parcel
        try:
            outcome = notices.send(self._book, self._channels, parcel, self._site)
            ended = self._steady()
            # A crash here, after the relay's 250 and before the mark, sends this one message again.
            marked = self._is_marked(parcel, outcome)
            with self._changed:
                self._heard(attempt, outcome, ended)
                if outcome.outcome == "accepted" and not marked:
                    self._unmarked[parcel.message] = (parcel, outcome)
        except BaseException as problem:  # noqa: BLE001 - the round raises it, and ends the process
            self._broken = problem
        self._make_room(attempt)

    def _is_marked(self, parcel: Parcel, sent: Sent) -> bool:
        """Marks it, if that can be: whatever is in the way of it, the relay has answered all the same."""
        try:
            notices.mark(self._book, parcel, sent)
        except Untrusted:
            raise
        except Refusal as problem:
            log.warning("an attempt cannot be marked now", message=parcel.message, why=str(problem))
        except Exception:
            log.exception("an attempt cannot be marked", message=parcel.message)
        else:
            log.info("attempt", message=parcel.message, outcome=sent.outcome)
            return True
        return False

    def _heard(self, attempt: _Attempt, sent: Sent, ended: float) -> None:
        """Whether the relay is there: it is, if it has answered anybody since this attempt began."""
        if not sent.silent:
            self._answered, self._away_until = ended, None
        elif self._answered <= attempt.began:
            self._away_until = ended + AWAY_FOR
        if sent.outcome == "deferred":
            self._resting[attempt.parcel.message] = ended + notices.pause(attempt.parcel).total_seconds()

    def _make_room(self, attempt: _Attempt) -> None:
        with self._changed:
            del self._under_way[attempt.parcel.message]
            try:
                self._begin()
                if not self._under_way:
                    for channel in self._channels.values():
                        channel.close()
            except Refusal as problem:
                log.warning("nothing more is begun for now", why=str(problem))
            except BaseException as problem:  # noqa: BLE001 - likewise
                self._broken = problem
            self._changed.notify_all()


def _others(attempts: list[_Attempt]) -> int:
    return sum(not attempt.parcel.goes_first for attempt in attempts)
