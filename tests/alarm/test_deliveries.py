"""Messages that take long, relays that hang, clocks that jump: nobody waits for another's, none comes twice.

The relay is a real SMTP server on a real socket (`sink.py`) that answers when it is told to; both clocks are
moved by hand.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alarm.sink import HANG, HOLD, OK, Delivery, Sink
from alarm.station import ON_RUNG_1, Station, at_work, email, overdue
from rounds import ENDS_WITHIN, SITE, go_round, watch
from world import World

from custody import monitor as monitor_module
from custody.acts import notices
from custody.acts.deliveries import AWAY_FOR, MOST, QUICK, QUICK_FOR
from custody.errors import Away, Conflict, Forged, Impossible, NoRoom, Unreadable, Untrusted
from custody.facts import Attempted
from custody.monitor import Monitor
from custody.store import home, outbox
from custody.store.book import Book


@pytest.fixture
def held(station: Station) -> Iterator[Station]:
    """A station whose relay is to let go in the end of whatever it holds."""
    yield station
    station.sink.release()
    assert station.monitor.deliveries.settle(ENDS_WITHIN)


def pass_time(station: Station, *, seconds: float, step: float = 1) -> None:
    """Rounds, and nobody waits for what is under way."""
    for _ in range(int(seconds / step)):
        station.world.at += timedelta(seconds=step)
        station.monitor.round()


def copies(sink: Sink) -> set[int]:
    """How often each message came."""
    return set(Counter(d.message for d in sink.deliveries).values())


def told(deliveries: list[Delivery]) -> set[str]:
    return {d.to.partition("@")[0] for d in deliveries}


def attempts(world: World, outcome: str) -> int:
    return sum(isinstance(fact, Attempted) and fact.outcome == outcome for fact in world.facts())


# -------------------------------------------------------------------------------------- slow is not dead


def test_an_answer_that_takes_twelve_seconds_makes_no_copy(held: Station) -> None:
    """Dana's message is delivered, and its answer takes its time. The others are told meanwhile."""
    overdue(held)
    held.sink.on_data = lambda to: HOLD if to == "dana@home.test" else OK
    held.monitor.round()
    held.sink.until(lambda: told(held.sink.deliveries) == ON_RUNG_1)
    pass_time(held, seconds=12)
    held.sink.release()
    assert held.monitor.deliveries.settle(ENDS_WITHIN)
    go_round(held.monitor)
    assert held.waiting() == 0
    assert copies(held.sink) == {1}


def test_nine_minutes_make_none_either_whoever_else_looks(held: Station) -> None:
    """Another process takes up what is due all the while: the lease of what is under way is renewed."""
    overdue(held)
    held.sink.on_data = lambda to: HOLD if to == "dana@home.test" else OK
    twin = home.open_book(held.world.folder, held.world.clock, secrets.token_bytes)
    other = watch(twin, email(held.sink, held.world))
    held.monitor.round()
    held.sink.until(lambda: "dana" in told(held.sink.deliveries))
    for _ in range(27):
        pass_time(held, seconds=20, step=20)
        go_round(other)
    twin.engine.dispose()
    held.sink.release()
    assert held.monitor.deliveries.settle(ENDS_WITHIN)
    assert copies(held.sink) == {1}


def test_a_relay_that_is_slow_with_everything_is_given_more_at_once_within_bounds(held: Station) -> None:
    """Each answer is held. What hangs steps aside, up to half of all workers; then a senior's comes."""
    overdue(held, trips=6)
    seniors = {"dana@home.test", "sam@home.test"}
    held.sink.on_data = lambda to: OK if to in seniors else HOLD
    held.monitor.round()
    for _ in range(MOST):
        pass_time(held, seconds=QUICK_FOR, step=QUICK_FOR)
    waiting = MOST // 2
    held.sink.until(lambda: len(held.sink.deliveries) == 12 + waiting)
    held.world.at += timedelta(minutes=15)
    held.monitor.round()
    held.sink.until(lambda: sum(d.to in seniors for d in held.sink.deliveries) == 24)
    assert sum(d.to not in seniors for d in held.sink.deliveries) == waiting
    held.sink.on_data = lambda _: OK
    held.sink.release()
    for _ in range(3):
        go_round(held.monitor)
    assert held.waiting() == 0
    assert copies(held.sink) == {1}


def test_lines_that_are_never_greeted_hold_up_nobody(station: Station) -> None:
    """The first two connections hang. What would have gone there comes later, and once."""
    overdue(station, trips=3)
    station.monitor = watch(station.world.book, email(station.sink, station.world, timeout=0.5))
    moods = [HANG] * 2
    station.sink.on_line = lambda: moods.pop() if moods else OK
    go_round(station.monitor)
    station.rounds(20, least=1)
    assert station.waiting() == 0
    assert len(station.sink.deliveries) == 3 * len(ON_RUNG_1)
    assert copies(station.sink) == {1}
    assert attempts(station.world, "deferred") == 2


def test_a_relay_that_is_away_is_asked_now_and_then(station: Station) -> None:
    """Twenty messages wait for a minute, and not each of them is an entry in the ledger again and again."""
    overdue(station, trips=5)
    station.sink.shut()
    station.rounds(60, least=1)
    assert QUICK <= attempts(station.world, "deferred") <= QUICK + 60 / AWAY_FOR
    station.sink.open()
    station.rounds(130, least=1)
    assert station.waiting() == 0
    assert copies(station.sink) == {1}


def test_a_monitor_that_is_stopped_waits_for_no_relay(held: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way stays leased; when that has run out the next one sends it, under the same id."""
    monkeypatch.setattr(monitor_module, "GRACE", 0.1)
    overdue(held)
    held.sink.on_data = lambda to: HOLD if to == "dana@home.test" else OK
    stop = threading.Event()

    def wait(_: float) -> None:
        held.sink.until(lambda: "dana" in told(held.sink.deliveries))
        stop.set()

    monkeypatch.setattr(stop, "wait", wait)
    held.monitor.run(stop)
    held.sink.on_data = lambda _: OK
    other = watch(held.world.book, email(held.sink, held.world))
    go_round(other)
    assert sum(d.to == "dana@home.test" for d in held.sink.deliveries) == 1, "it is leased still"
    held.world.at += outbox.LEASE + timedelta(seconds=1)
    go_round(other)
    assert held.waiting() == 0
    again = [d.message for d in held.sink.deliveries if d.to == "dana@home.test"]
    assert len(again) == 2
    assert len(set(again)) == 1


# ------------------------------------------------------------------- accepted, and the book does not take it

PROBLEMS = [
    NoRoom("full"),
    Away("gone"),
    Conflict("no"),
    Impossible("never"),
    Forged("false"),
    Unreadable("?"),
    ValueError("a mistake"),
    OSError("of the disk"),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda each: type(each).__name__)
def test_what_was_accepted_is_never_sent_again_whatever_keeps_it_from_being_marked(
    station: Station, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    overdue(station)
    real, refusals = notices.mark, Counter[str]()

    def mark(book: Any, parcel: outbox.Parcel, sent: notices.Sent) -> None:
        refusals[parcel.message] += 1
        if refusals[parcel.message] <= 5:
            raise problem
        real(book, parcel, sent)

    monkeypatch.setattr(notices, "mark", mark)
    rounds(station, (station.monitor,), 120, 20)
    assert station.waiting() == 0
    assert copies(station.sink) == {1}
    assert set(refusals.values()) == {6}


def test_a_book_that_cannot_be_trusted_ends_the_monitor(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    overdue(station)

    def mark(*_: object) -> None:
        raise Untrusted("the disk lies")

    monkeypatch.setattr(notices, "mark", mark)
    with pytest.raises(Untrusted):
        station.rounds(60)


def test_the_disk_is_full_for_a_moment_after_the_250(station: Station) -> None:
    """SQLite may not grow from the first answer on, until three rounds later."""
    overdue(station)
    engine = station.world.book.engine

    def no_room(raw: Any, _: object) -> None:
        raw.execute(f"PRAGMA max_page_count={raw.execute('PRAGMA page_count').fetchone()[0]}")

    def fill(_: str) -> str:
        if not sa.event.contains(engine, "connect", no_room):
            sa.event.listen(engine, "connect", no_room)
            engine.dispose()
        return OK

    station.sink.on_data = fill
    rounds(station, (station.monitor,), 15, 5)
    assert station.waiting() > 0
    sa.event.remove(engine, "connect", no_room)
    engine.dispose()
    station.sink.on_data = lambda _: OK
    station.rounds(61)
    assert station.waiting() == 0
    assert copies(station.sink) == {1}


# ------------------------------------------------------------------------------------- a clock that jumps

DAY = timedelta(days=1)


def rounds(station: Station, monitors: tuple[Monitor, ...], seconds: int, step: int) -> None:
    for _ in range(seconds // step):
        station.world.at += timedelta(seconds=step)
        for each in monitors:
            go_round(each)


@pytest.mark.parametrize("off", [DAY, -DAY, timedelta(minutes=7), -timedelta(hours=6)])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_wrong_for_a_minute_puts_no_alert_off(
    loose: World, off: timedelta, *, restarted: bool
) -> None:
    """The relay defers meanwhile. When both are right again, all is told within the minute."""
    with at_work(loose) as station:
        overdue(station)
        station.sink.on_data = lambda _: "451 4.3.0 later"
        loose.book.clock = lambda: loose.at + off
        monitor = skewed(station, loose.book)
        rounds(station, (monitor,), 60, 5)
        loose.book.clock = loose.clock
        station.sink.on_data = lambda _: OK
        rounds(station, (skewed(station, loose.book) if restarted else monitor,), 65, 5)
        assert station.waiting() == 0
        assert told(station.sink.accepted()) >= ON_RUNG_1


def skewed(station: Station, book: Book) -> Monitor:
    """What it waits for by itself runs by the time that passes, whatever the machine's clock says."""
    world = station.world
    channels = {"email": email(station.sink, world)}
    return Monitor(book, channels, SITE, steady=lambda: world.at.timestamp() - 1e9)


def test_two_servers_whose_clocks_differ_do_not_drive_each_other(station: Station) -> None:
    """Each takes the other's times for wrong ones. Both attempt as often as they may, and not more."""
    twin = home.open_book(
        station.world.folder, lambda: station.world.at + timedelta(minutes=5), secrets.token_bytes
    )
    ahead = skewed(station, twin)
    overdue(station)
    station.sink.on_rcpt = lambda _: "451 4.3.0 later"
    rounds(station, (station.monitor, ahead), 120, 1)
    twin.engine.dispose()
    tries = Counter(key for fact in station.world.facts() for key in getattr(fact, "notices", ()))
    assert max(tries.values()) <= 2 * 7 + 1, "2, 4, 8, 16, 32, 60 seconds after the first, by each"
    station.sink.on_rcpt = lambda _: OK
    station.rounds(61)
    assert station.waiting() == 0
