"""Whatever goes wrong in one alarm, or in one part of a round, is told and keeps no other from being done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import rounds
import sqlalchemy as sa
from world import World

from custody import errors, orders
from custody.acts import alarms, daily, people, pulses
from custody.clock import Clock
from custody.errors import Undelivered, Untrusted
from custody.facts import TOLD_MOST, Climbed
from custody.rules import overdue
from custody.rules.alarms import Alarm, Notice
from custody.rules.notices import Channel, Message
from custody.store import outbox, queries


def _kinds(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def _made(kind: type[BaseException]) -> Exception | None:
    """One of this kind; None where it takes more to make one than words."""
    for arguments in (("what went wrong",), ("utf-8", b"\xff", 0, 1, "what went wrong"), ()):
        try:
            made = kind(*arguments)
        except TypeError:
            continue
        return made if isinstance(made, Exception) else None
    return None


HOMES = ("builtins", errors.__name__, "sqlalchemy.exc")
EVERYTHING = [
    made
    for kind in dict.fromkeys(_kinds(Exception))
    if kind.__module__ in HOMES and not issubclass(kind, Untrusted) and (made := _made(kind)) is not None
]
"""One of each kind of exception that there is here, but for the one that ends the process."""


OF_THE_BOOK = (errors.NoRoom, errors.Away, sa.exc.DatabaseError)
"""These speak of the whole book and not of one alarm: nothing can be recorded."""


class Letters:
    """A channel that takes everything."""

    def __init__(self) -> None:
        self.taken: list[Message] = []

    def send(self, message: Message) -> str:
        self.taken.append(message)
        return "250 taken"

    def close(self) -> None:
        pass


class Watch:
    """A monitor at work over two trips that are an hour late, and what it did since it was last asked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bad, self.good = (world.dispatch(1) for _ in range(2))
        world.wait(hours=2)
        self.letters = Letters()
        self.beats = 0
        self.watch(self.letters, self.beat)
        self.go_round()
        self.letters.taken.clear()
        self.beats = 0

    def watch(self, channel: Channel, beat: Callable[[], None]) -> None:
        """Another monitor, of the book as it is open now."""
        self.monitor = rounds.watch(self.world.book, channel, beat=beat)

    def beat(self) -> None:
        self.beats += 1

    def go_round(self) -> None:
        """One round, and all that it began outside the house."""
        rounds.go_round(self.monitor)
        if self.monitor._beating is not None:
            self.monitor._beating.join()

    def half_an_hour(self) -> None:
        """The last rung of both repeats."""
        self.world.at += timedelta(minutes=30)
        self.go_round()

    def told(self, trip: str) -> Counter[str]:
        """How often each person was told of this trip since the last question."""
        taken, self.letters.taken = self.letters.taken, []
        return Counter(m.to.partition("@")[0] for m in taken if f"{trip} " in m.subject)

    def pulse(self) -> object:
        with self.world.book.read() as connection:
            return queries.pulse(connection, "monitor")


@pytest.fixture
def watch(box: World) -> Watch:
    return Watch(box)


TOP = Counter(hal=1, dana=1, sam=1)


def breaks(monkeypatch: pytest.MonkeyPatch, home: Any, name: str, problem: Exception) -> None:
    """This function of the product fails from here on."""

    def fail(*_: object, **_more: object) -> None:
        raise problem

    monkeypatch.setattr(home, name, fail)


def test_there_are_many_kinds() -> None:
    assert {OSError, ValueError, OverflowError, RecursionError, MemoryError} <= {type(e) for e in EVERYTHING}
    assert {errors.Unreadable, errors.Conflict, errors.NoRoom, Undelivered} <= {type(e) for e in EVERYTHING}


def test_whatever_one_alarm_meets_the_others_climb_and_the_seniors_are_told_once(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, bad = watch.world, watch.world.alarm(watch.bad)
    real = overdue.owed
    stuck = Counter[str]()
    for problem in EVERYTHING:
        if isinstance(problem, OF_THE_BOOK):
            continue

        def owed(
            held: Any, alarm: Alarm, now: Any, problem: Exception = problem, bad: str = bad.id
        ) -> object:
            if alarm.id == bad:
                raise problem
            return real(held, alarm, now)

        monkeypatch.setattr(alarms, "owed", owed)
        watch.half_an_hour()
        stuck.update(m.to for m in watch.letters.taken if m.subject.startswith("AN ALARM CANNOT CLIMB"))
        assert watch.told(watch.good) == TOP, problem
    assert stuck == Counter(f"{name}@home.test" for name in ("dana", "sam", "hal", "mona", "max"))
    with queries.view(world.book, world.ids["mona"]) as view:
        assert view.unclimbed() == [bad.id], "the board says it"
    assert watch.beats == 0, "and no sign of life is given"
    monkeypatch.setattr(alarms, "owed", real)
    watch.half_an_hour()
    assert watch.told(watch.bad) == TOP
    assert watch.beats == 1


SPOILT = {
    "a trip that is not there": "consignment = 'C-99'",
    "a rung that is not there": "rung = 99",
    "a ladder that is none": "ladder = '{'",
    "a cause that is none": "cause = 'boredom'",
    "a repeat that no fact can hold": "repeat = 99999999999",
    "a time that is none": "due = 'yesterday'",
    "a list that is none": "told = '7'",
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_row_stops_its_own_alarm_alone(loose: World, what: str) -> None:
    watch = Watch(loose)
    bad = loose.alarm(watch.bad).id
    with loose.unguarded() as owner:
        owner.execute(sa.text(f"UPDATE alarm SET {SPOILT[what]} WHERE id = '{bad}'"))  # noqa: S608 - ours
    loose.reopen()
    watch.watch(watch.letters, watch.beat)
    watch.half_an_hour()
    assert watch.told(watch.good) == TOP
    watch.world.at += timedelta(minutes=2)
    assert pulses.stuck(loose.book)


PARTS: dict[str, tuple[Any, str]] = {
    "sweep": (alarms, "climb"),
    "the day's checkpoint": (daily, "tell_checkpoint"),
    "delivery": (outbox, "take"),
    "pulse": (pulses, "pulse"),
}


@pytest.mark.parametrize("part", PARTS)
def test_whatever_one_part_of_a_round_meets_the_others_are_done(
    watch: Watch, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for problem in EVERYTHING:
        with monkeypatch.context() as patched:
            breaks(patched, *PARTS[part], problem)
            before = watch.pulse()
            watch.half_an_hour()
        assert watch.beats == 0, problem
        assert (watch.told(watch.good) == TOP) == (part not in ("sweep", "delivery")), problem
        assert (watch.pulse() == before) == (part in ("sweep", "pulse")), problem
    for _ in range(10):  # what has waited leaves first
        watch.half_an_hour()
    assert watch.beats


@pytest.mark.parametrize("part", PARTS)
def test_a_book_that_cannot_be_trusted_ends_it(
    watch: Watch, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, *PARTS[part], Untrusted("it is not what it was"))
    with pytest.raises(Untrusted):
        watch.half_an_hour()


def test_whatever_the_outside_does_the_round_goes_on(watch: Watch) -> None:
    """A channel and a switch are given to the monitor, and may raise anything."""
    anything = [problem for problem in EVERYTHING if type(problem).__module__ in HOMES[:2]]
    for problem in anything:
        watch.watch(watch.letters, _throws(problem))
        watch.half_an_hour()
        assert watch.told(watch.good) == TOP
    for problem in anything:
        for name in ("send", "close"):
            channel = Letters()
            setattr(channel, name, _throws(problem))
            watch.watch(channel, watch.beat)
            before = watch.pulse()
            watch.half_an_hour()
            assert watch.pulse() != before, problem


def _throws(problem: Exception) -> Callable[..., Any]:
    def throw(*_: object) -> None:
        raise problem

    return throw


def test_that_the_clock_was_set_is_told_at_once_and_climbs_nothing(watch: Watch) -> None:
    """A day ahead for a minute: today's alarms alone ring, and tomorrow's on their day."""
    world, wrong = watch.world, [timedelta()]

    def steady() -> float:
        return world.at.timestamp()

    clock = Clock(lambda: world.at + wrong[0], steady)
    watch.monitor.clock = world.book.clock = clock
    later = world.dispatch(1)
    wrong[0] = timedelta(days=1)
    for _ in range(6):
        world.at += timedelta(seconds=10)
        watch.go_round()
    wrong[0] = timedelta()
    told = [m.to for m in watch.letters.taken if m.subject == "THE SERVER'S CLOCK WAS SET"]
    assert sorted(told) == ["dana@home.test", "hal@home.test", "sam@home.test"]
    assert world.alarm(later).told == ()
    world.at += timedelta(minutes=60)
    watch.go_round()
    assert world.alarm(later).rings


# -------------------------------------------------------------------------- an audience of any size


def decoys(world: World, count: int) -> list[str]:
    """So many site managers of the destination, invited by one administrator."""
    grants = (orders.Grant(role="site-manager", site="SOUTH"),)
    order = orders.Invite(name="Decoy", address="decoy@home.test", organisation="HOME", grants=grants)
    made = []
    for _ in range(count):
        fact = people.invitation(world.book, order)
        world.sign("ada", fact)
        made.append(fact.person)
    return made


def test_no_number_of_people_silences_an_alarm(box: World) -> None:
    """400 invited managers made a rung's list longer than a fact: no alarm of any consignment climbed."""
    invented = decoys(box, 2 * TOLD_MOST + 10)
    names = [box.dispatch(1) for _ in range(2)]
    box.wait(minutes=62)
    for name in names:
        told = [person for person, rung in _told(box, name) if rung == "1.0"]
        real = [box.ids[who] for who in ("dana", "sam", "mona", "max", "carl")]
        assert Counter(told) == Counter([*real, *invented]), "everybody, and each once"
    box.hand(names[0], "carl", "ben")
    assert not alarms.climb(box.book).stuck
    cleared = [person for person, rung in _told(box, names[0]) if rung == "clear"]
    assert Counter(cleared) == Counter({person for person, _ in _told(box, names[0])})
    assert box.alarm(names[0]).next_at is None


def test_the_first_part_of_every_alarm_goes_before_the_second_of_any(box: World) -> None:
    decoys(box, TOLD_MOST + 50)
    names = [box.dispatch(1) for _ in range(3)]
    box.wait(minutes=59)
    box.at += timedelta(minutes=1)
    before = len(box.facts())
    alarms.climb(box.book)
    parts = [fact for fact in box.facts(before) if isinstance(fact, Climbed)]
    each = [box.alarm(name).id for name in names]
    assert [fact.alarm for fact in parts] == each * 2
    assert [len(fact.told) for fact in parts] == [TOLD_MOST] * 3 + [55] * 3
    seniors = [box.ids["dana"], box.ids["sam"]]
    assert all([each.person for each in fact.told[:2]] == seniors for fact in parts[:3])


def _told(world: World, name: str) -> list[tuple[str, str]]:
    alarm = world.alarm(name).id
    with world.book.world() as held:
        found = [n for n in held.all(Notice) if n.about == alarm]
    return [(n.person, n.id.split("/")[1]) for n in found]
