"""A mailbox that takes nothing: who is told, how often it is tried, and whether signs of life are given."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alarm.sink import OK
from alarm.station import ON_RUNG_1, Station, email, overdue
from alarm.test_deliveries import rounds
from rounds import go_round, watch
from world import World

from custody.facts import Attempted, Informed
from custody.monitor import BEAT_EVERY
from custody.store.fsck import fsck

NEVER, LATER = "550 5.1.1 no such user", "451 4.3.0 later"


def refuse(station: Station, *names: str, answer: str = NEVER) -> None:
    """From here on the relay does not take what goes to these."""
    gone = {f"{name}@home.test" for name in names}
    station.sink.on_rcpt = lambda to: answer if to in gone else OK


def tries(station: Station, name: str) -> int:
    """How many attempts on a person's mailbox stand in the ledger that came to nothing."""
    ending = f"/{station.world.ids[name]}/email"
    found = [f for f in station.world.facts() if isinstance(f, Attempted) and f.outcome != "accepted"]
    return sum(any(key.endswith(ending) for key in fact.notices) for fact in found)


def informed(station: Station) -> list[set[str]]:
    """Each time that people were told of a mailbox: whom."""
    names = {number: name for name, number in station.world.ids.items()}
    found = [f for f in station.world.facts() if isinstance(f, Informed) and f.matter == "channel-failed"]
    return [{names[each.person] for each in fact.told} for fact in found]


def hurry(world: World) -> None:
    """Nobody waits for the disk in a test of a day's length."""
    sa.event.listen(world.book.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    world.book.engine.dispose()


class Switch:
    """The outside switch: it counts the signs of life."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1


def watched(station: Station) -> Switch:
    """The station's monitor gives signs of life from here on."""
    switch = Switch()
    station.monitor = watch(station.world.book, email(station.sink, station.world), beat=switch.beat)
    return switch


def minute(station: Station) -> None:
    station.world.at += timedelta(seconds=BEAT_EVERY)
    go_round(station.monitor)
    if station.monitor._beating is not None:
        station.monitor._beating.join()


@pytest.mark.parametrize(("hours", "entries"), [(4, 9), pytest.param(24, 12, marks=pytest.mark.torture)])
def test_one_dead_mailbox_leaves_every_sign_of_life_and_is_told_once(
    station: Station, hours: int, entries: int
) -> None:
    """Ben's mailbox refuses the reminder of a trip, which arrives. A day of it is a handful of entries."""
    world = station.world
    hurry(world)
    name = world.dispatch(1)
    refuse(station, "ben")
    world.at += timedelta(minutes=50)
    go_round(station.monitor)
    world.hand(name, "carl", "bea")
    switch = watched(station)
    for _ in range(hours * 60):
        minute(station)
    assert switch.beats == hours * 60
    assert tries(station, "ben") == entries, "1, 2, 4 .. 1,024 minutes after the first"
    assert informed(station) == [{"dana", "sam", "hal", "max"}]
    mails = [d for d in station.sink.accepted() if d.subject.startswith("A person is not reached")]
    assert Counter(d.to for d in mails) == {f"{n}@home.test": 1 for n in ("dana", "sam", "hal", "max")}
    assert not any("ben" in d.body for d in mails)
    assert fsck(world.book) == []


def test_it_is_tried_once_a_day_for_ever_and_at_once_for_what_is_new(station: Station) -> None:
    world = station.world
    hurry(world)
    world.hand(world.dispatch(1), "carl", "bea")
    refuse(station, "dana")
    world.enrol("dana", "dana")
    station.rounds(3 * 24 * 3600, least=600)
    before = tries(station, "dana")
    assert before <= 12 + 2 + 3, "doubling for a day, then daily; and the checkpoint of each day once"
    overdue(station)
    go_round(station.monitor)
    assert tries(station, "dana") == before + 1
    assert informed(station) == [{"sam", "hal"}], "once, and not she"
    station.sink.on_rcpt = lambda _: OK
    world.at += timedelta(minutes=16)
    for _ in range(2):
        go_round(station.monitor)
    assert station.waiting() == 0, "it takes the next rung's alert, and so all that has waited for days"


def test_a_mailbox_that_fails_anew_is_told_anew(station: Station) -> None:
    refuse(station, "carl")
    overdue(station)
    go_round(station.monitor)
    station.sink.on_rcpt = lambda _: OK
    station.rounds(11 * 60, least=60)
    assert station.waiting() == 0
    refuse(station, "carl")
    station.world.dispatch(1)
    station.world.at += timedelta(minutes=61)
    go_round(station.monitor)
    assert informed(station) == [{"dana", "sam", "hal"}] * 2


def test_what_is_said_of_us_marks_nobody(station: Station) -> None:
    """The relay refuses the sender, for good. It is tried each minute, since somebody will mend it."""
    station.sink.on_mail = lambda _: "550 5.7.1 you may not send as this"
    overdue(station)
    rounds(station, (station.monitor,), 600, 10)
    assert informed(station) == []
    assert {n.outcome for n in station.notices().values() if not n.accepted_at} == {"deferred"}
    assert tries(station, "dana") >= 10
    station.sink.on_mail = lambda _: OK
    station.rounds(61)
    assert station.waiting() == 0


# ---------------------------------------------------------------------------------------- the sign of life


@pytest.mark.parametrize(
    ("does_not_reach", "answer", "beats"),
    [
        (ON_RUNG_1, LATER, False),
        (ON_RUNG_1, NEVER, False),
        (ON_RUNG_1 - {"carl"}, NEVER, True),
        ({"dana"}, LATER, True),
        ({"hal", "ben", "bea"}, NEVER, True),
        (set(), OK, True),
    ],
)
def test_a_sign_is_given_while_each_alert_has_reached_somebody(
    station: Station, does_not_reach: set[str], answer: str, *, beats: bool
) -> None:
    """Of rung 1, in the ten minutes until the next."""
    overdue(station)
    refuse(station, *does_not_reach, answer=answer)
    switch = watched(station)
    for _ in range(10):
        minute(station)
    assert switch.beats == (10 if beats else 5), "an alert may take five minutes"
    station.sink.on_rcpt = lambda _: OK
    before = switch.beats
    for _ in range(20):
        minute(station)
    assert switch.beats > before + 10


def reminders(world: World) -> None:
    world.dispatch(1)
    world.at += timedelta(minutes=50)


def beside(world: World) -> None:
    world.enrol("ann", "mona")


@pytest.mark.parametrize("what", [reminders, beside])
def test_what_is_no_alert_keeps_no_sign_back(station: Station, what: Callable[[World], None]) -> None:
    station.sink.on_rcpt = lambda _: LATER
    what(station.world)
    switch = watched(station)
    for _ in range(9):
        minute(station)
    assert switch.beats == 9


def test_a_switch_that_hangs_holds_no_round(station: Station) -> None:
    """It is asked once, for as long as it takes, and the monitor goes round."""
    asked, answered = threading.Semaphore(0), threading.Event()

    def hang() -> None:
        asked.release()
        answered.wait()

    station.monitor = watch(station.world.book, email(station.sink, station.world), beat=hang)
    overdue(station)
    for _ in range(5):
        station.world.at += timedelta(seconds=BEAT_EVERY)
        go_round(station.monitor)
    assert asked.acquire(timeout=60)
    assert not asked.acquire(blocking=False), "one at a time"
    assert len(station.sink.accepted()) == len(ON_RUNG_1), "they are told meanwhile"
    answered.set()
    assert station.monitor._beating is not None
    station.monitor._beating.join()
    station.world.at += timedelta(seconds=BEAT_EVERY)
    go_round(station.monitor)
    assert asked.acquire(timeout=60)
