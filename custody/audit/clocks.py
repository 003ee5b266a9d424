"""What devices say of the time, beside what the log says.

A log's time is its server's word, and whoever owns the server can hold it: people sign for a month, and then
each rung is recorded "on time". But each statement says when it was `made`, by the clock of the device that
drew it up, and a witness says when it cosigned. One telephone may be wrong; that those of two people are,
alike, is worth a finding. It is one for a whole stretch of entries, however long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from custody.facts import Handed, Signed
from custody.rules.people import Device
from custody.rules.world import Event, World
from custody.strict import time_text

AHEAD: Final = timedelta(minutes=10)
"""So much later than the log's may a device's time be, and a witness's earlier."""
IDLE: Final = timedelta(hours=26)
"""So long after its last entry may a checkpoint be cosigned: no day passes without an entry."""
NAMED: Final = 3
_LAST: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


@dataclass(frozen=True, slots=True)
class Word:
    """A person's device said this time, in this entry, and the log has not come to it yet."""

    person: str
    said: datetime
    entry: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries in which the devices of two people or more were ahead of the log.

    `since` is the log's time in the first of them; `lead` how far the second of the devices was ahead, in
    milliseconds; `people` whose they were.
    """

    first: int
    last: int
    since: datetime
    lead: int
    people: tuple[str, ...]

    @property
    def words(self) -> str:
        """What a report says of it."""
        lead = _long(timedelta(milliseconds=self.lead))
        return (
            f"entries {self.first} to {self.last}, received {time_text(self.since)} and later: the devices of"
            f" {_named(self.people)} say a time up to {lead} later"
        )


class Clocks:
    """Follows a ledger, entry by entry. `words` and `stretch` are all that it keeps."""

    def __init__(self, words: tuple[Word, ...] = (), stretch: Stretch | None = None) -> None:
        self._words = {word.person: word for word in words}
        self.stretch = stretch

    @property
    def words(self) -> tuple[Word, ...]:
        """What was said and has not come yet, one word a person."""
        return tuple(self._words.values())

    def hear(self, person: str, said: datetime, entry: int, at: datetime) -> None:
        """A person's device said this time in an entry that was received `at` that one."""
        self._words.pop(person, None)
        if said - at > AHEAD:
            self._words[person] = Word(person, said, entry)

    def settle(self, last: int, at: datetime) -> str:
        """A transaction ends with this entry: what is to be said of a stretch that ended before it."""
        if not self._words and self.stretch is None:
            return ""
        self._words = {word.person: word for word in self.words if word.said - at > AHEAD}
        if len(self._words) > 1:
            self.stretch = self._longer(last, at)
            return ""
        ended, self.stretch = self.stretch, None
        return "" if ended is None else ended.words

    def by(self, at: datetime) -> datetime:
        """How late it is, by the log's clock or the second of the devices', whichever is later."""
        return max([at, *sorted(word.said for word in self.words)[:-1]])

    def _longer(self, last: int, at: datetime) -> Stretch:
        lead = (self.by(at) - at) // timedelta(milliseconds=1)
        stretch = self.stretch or Stretch(min(word.entry for word in self.words), last, at, lead, ())
        people = tuple(dict.fromkeys((*stretch.people, *self._words)))
        return replace(stretch, last=last, lead=max(stretch.lead, lead), people=people)


def cosigned(witness: str, second: int, at: datetime) -> str:
    """What is odd about a cosignature of this second (POSIX), where the last entry was received `at`."""
    moment = datetime.fromtimestamp(min(second, _LAST), UTC)
    words = f"{witness} cosigned the checkpoint at {moment:%Y-%m-%d %H:%M:%S} UTC, "
    if at - moment > AHEAD:
        return f"{words}{_long(at - moment)} before its last entry says that it was received"
    if moment - at > IDLE:
        return f"{words}{_long(moment - at)} after its last entry says that it was received"
    return ""


def speaker(world: World, event: Event) -> str | None:
    """Whose clock made this: of what two sign, the first one's. None where it is the server's, or revoked."""
    if event.fact.signed not in (Signed.PERSON, Signed.TWO):
        return None
    taker = isinstance(event.fact, Handed)
    device = world.find(Device, event.signers[1 if taker else 0])
    return device.person if device is not None and device.revoked_at is None else None


def _named(people: tuple[str, ...]) -> str:
    if len(people) <= NAMED:
        return " and ".join([", ".join(people[:-1]), people[-1]])
    return f"{', '.join(people[:NAMED])} and {len(people) - NAMED} more"


def _long(duration: timedelta) -> str:
    minutes = duration // timedelta(minutes=1)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02} min" if hours else f"{minutes} min"
