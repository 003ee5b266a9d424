"""Never early, never missing, none after the end (G4), and no end but evidence (G7): model against product.

The model knows the ladder's minutes and counts for itself who must have been told by now. The product is the
real `Monitor` over a real book, with a clock that is moved by hand. Hypothesis makes up the stories. At the
end of the file the product is made wrong on purpose, a line at a time; each time the model must see it.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from rounds import go_round, watch
from world import World

from custody.acts import alarms, people
from custody.errors import Conflict, Forbidden, Refusal
from custody.facts import Decided
from custody.rules import alarms as alarm_rules
from custody.rules import consignments as consignment_rules
from custody.rules import daily, handoffs, incidents, overdue
from custody.rules.alarms import Alarm
from custody.rules.incidents import incident_of
from custody.rules.notices import Message
from custody.store.book import Page

AFTER = (-15, 0, 15, 30, 60)
LAST = 4
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
FOUND = "A stranger has found something with a label of ours"
CHECKPOINT = "Checkpoint of "
FIRED: Counter[str] = Counter()
"""How often each rule was drawn in the run that went before."""


class Notebook:
    """A channel that takes everything and writes it down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> str:
        self.messages.append(message)
        return "250 taken"

    def close(self) -> None:
        pass


@dataclass
class Trip:
    """What the model knows of a consignment."""

    name: str
    pick_up_by: datetime
    chain: set[str]
    state: str = "approved"
    holder: str | None = None
    presumed: bool = False
    decided_at: datetime | None = None
    found_at: datetime | None = None


@dataclass
class Bell:
    """What the model knows of an alarm: `step` is the rung that is told next, at `when`."""

    number: int
    trip: Trip
    cause: str
    due: datetime
    step: int
    when: datetime
    visits: int = 0
    told: dict[str, None] = field(default_factory=dict)
    known: list[tuple[str, datetime]] = field(default_factory=list)
    ended: bool = False
    cleared: bool = False

    @property
    def rings(self) -> bool:
        return self.step > 1 and not self.ended


class Oracle:
    """Who must have been told by now, from the ladder's own words."""

    def __init__(self) -> None:
        self.bells: list[Bell] = []
        self.seniors = ["dana", "sam"]
        self.gone: set[str] = set()

    def arm(self, trip: Trip, cause: str, due: datetime, step: int = 0) -> None:
        if any(b.trip is trip and b.cause == cause and not b.ended for b in self.bells):
            return
        when = due + timedelta(minutes=AFTER[step])
        self.bells.append(Bell(len(self.bells) + 1, trip, cause, due, step, when))

    def wait_for(self, trip: Trip, cause: str, due: datetime, now: datetime) -> None:
        """The trip is watched for this from now on, unless what came before rings, or ought to."""
        waited = [bell for bell in self.of(trip) if bell.cause in ("not-picked-up", "overdue")][-1]
        if not waited.rings and now < waited.due:
            waited.ended = waited.cleared = True
            self.arm(trip, cause, due)

    def of(self, trip: Trip) -> list[Bell]:
        return [bell for bell in self.bells if bell.trip is trip]

    def owed(self, now: datetime) -> set[tuple[str, str]]:
        """Whom a sweep at this moment must tell what: the keys up to the person, and the person."""
        owed: set[tuple[str, str]] = set()
        for bell in self.bells:
            if bell.ended:
                if not bell.cleared:
                    owed |= {(f"A-{bell.number}/clear", name) for name in bell.told}
                bell.cleared = True
            while not bell.ended and bell.when <= now:
                rung = f"A-{bell.number}/{bell.step}.{self._newest(bell, now)}"
                audience = self._audience(bell, now)
                owed |= {(rung, name) for name in audience}
                bell.told |= dict.fromkeys(audience)
                self._climb(bell, now, empty=not audience)
                bell.trip.presumed |= bell.step > 3
        return owed

    def _newest(self, bell: Bell, now: datetime) -> int:
        return bell.visits + int((now - bell.when) / timedelta(minutes=30)) if bell.step == LAST else 0

    def _climb(self, bell: Bell, now: datetime, *, empty: bool) -> None:
        if bell.step == LAST:
            slots = self._newest(bell, now) + 1 - bell.visits
            bell.visits += slots
            bell.when += slots * timedelta(minutes=30)
            return
        bell.step += 1
        if not empty or bell.step == 1:  # a reminder has nothing to pass upward
            bell.when = bell.due + timedelta(minutes=AFTER[bell.step])

    def _audience(self, bell: Bell, now: datetime) -> list[str]:
        people = [name for name in self._rung(bell) if name not in self.gone]
        if bell.step < LAST or not bell.visits:
            return people
        spared = {name for name, at in bell.known if now - at < HOUR and name not in bell.trip.chain}
        decided = bell.trip.decided_at
        if spared & set(people) and decided is not None and now - decided < DAY:
            return []
        return [name for name in people if name not in spared]

    def _rung(self, bell: Bell) -> list[str]:
        carrier = [bell.trip.holder] if bell.trip.holder else ["carl", "cora", "mallory"]
        if bell.step == 0:
            return ["mona", "max"] if bell.cause == "not-picked-up" else [*carrier, "ben", "bea"]
        return {
            1: list(dict.fromkeys([*carrier, "mona", "max", *self.seniors])),
            2: [*self.seniors, "dora", "ivo"],
            3: ["hal"],
            4: ["hal", *self.seniors],
        }[bell.step]


class Ladder(RuleBasedStateMachine):
    """Stories of at most two trips at a time."""

    company: World

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = self.company.copy(Path(self.folder.name))
        self._hurry()
        self.oracle = Oracle()
        self.trips: list[Trip] = []
        self.notebook = Notebook()
        self.told: Counter[str] = Counter()
        self.beside: Counter[str] = Counter()
        self.pinned_at = self.world.at  # `company` was told

    # ------------------------------------------------------------------------------- time and the monitor

    @rule(minutes=st.one_of(st.sampled_from([1, 14, 15, 30, 60]), st.integers(1, 360)), restart=st.booleans())
    def the_monitor_sleeps(self, minutes: int, *, restart: bool) -> None:
        FIRED["the_monitor_sleeps"] += 1
        self.world.at += timedelta(minutes=minutes)
        if restart:
            FIRED["the_monitor_is_restarted"] += 1
            self.world.reopen()
            self._hurry()
        self.sweep()

    @rule(minutes=st.sampled_from([1, 7, 15]), times=st.integers(1, 8))
    def the_monitor_watches(self, minutes: int, times: int) -> None:
        FIRED["the_monitor_watches"] += 1
        for _ in range(times):
            self.world.at += timedelta(minutes=minutes)
            self.sweep()

    @rule(minutes=st.integers(1, 45))
    def nothing_happens(self, minutes: int) -> None:
        """Until the next rule does, without a sweep between."""
        FIRED["nothing_happens"] += 1
        self.world.at += timedelta(minutes=minutes)

    def _hurry(self) -> None:
        """What a crash leaves on the disk is for test_kills: here nobody waits for the disk."""
        sa.event.listen(
            self.world.book.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF")
        )
        self.world.book.engine.dispose()

    def sweep(self) -> set[tuple[str, str]]:
        """One round of the real monitor, and the comparison."""
        before = len(self.notebook.messages)
        go_round(watch(self.world.book, self.notebook))
        messages = self.notebook.messages[before:]
        beside = Counter(m.to.partition("@")[0] for m in messages if m.subject == FOUND)
        assert beside == self.beside
        self.beside.clear()
        pinned = Counter(m.to.partition("@")[0] for m in messages if m.subject.startswith(CHECKPOINT))
        assert pinned == Counter(self._to_pin())
        came = Counter((m.id, m.to) for m in messages if not m.subject.startswith((FOUND, CHECKPOINT)))
        owed = self.oracle.owed(self.world.at)
        assert came == Counter((self._message_id(rung, name), f"{name}@home.test") for rung, name in owed), (
            sorted(owed)
        )
        self.told.update(message for message, _ in came)
        assert not self.told or max(self.told.values()) == 1, "nobody is told the same thing twice"
        with self.world.book.world() as world:
            opened = {trip.name for trip in self.trips if incident_of(world, trip.name) is not None}
        assert opened == {trip.name for trip in self.trips if trip.presumed}
        return owed

    def _to_pin(self) -> set[str]:
        """Who is told the checkpoint now: the seniors, at the first look after six of each day (UTC)."""
        today = self.world.at.replace(hour=6, minute=0, second=0, microsecond=0)
        if self.world.at < today or self.pinned_at >= today:
            return set()
        self.pinned_at = self.world.at
        return {"hal", *self.oracle.seniors} - self.oracle.gone

    def _message_id(self, rung: str, name: str) -> str:
        key = f"{rung}/{self.world.ids[name]}/email"
        return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@test.example>"

    # ------------------------------------------------------------------------------------------ the trips

    def going(self, *states: str) -> list[Trip]:
        return [trip for trip in self.trips if trip.state in states]

    @initialize(minutes=st.integers(5, 60), gone=st.booleans())
    def a_trip_to_begin_with(self, minutes: int, *, gone: bool) -> None:
        self.a_trip_is_approved(minutes, "mona")
        if gone:
            self.a_courier_picks_up("carl")

    @precondition(lambda self: len(self.going("approved", "travelling", "received")) < 2)
    @rule(minutes=st.integers(5, 120), by=st.sampled_from(["mona", "dana"]))
    def a_trip_is_approved(self, minutes: int, by: str) -> None:
        FIRED["a_trip_is_approved"] += 1
        name = self.world.request(2, minutes=minutes)
        self.world.approve(name, by)
        trip = Trip(name, self.world.at + timedelta(minutes=minutes), {"ann", by})
        self.trips.append(trip)
        self.oracle.arm(trip, "not-picked-up", trip.pick_up_by + timedelta(minutes=15))

    @precondition(lambda self: any(t.pick_up_by > self.world.at for t in self.going("approved")))
    @rule(by=st.sampled_from(["mona", "sam"]))
    def a_trip_is_approved_afresh(self, by: str) -> None:
        FIRED["a_trip_is_approved_afresh"] += 1
        trip = next(t for t in self.going("approved") if t.pick_up_by > self.world.at)
        self.world.approve(trip.name, by)
        trip.chain.add(by)
        due = trip.pick_up_by + timedelta(minutes=15)
        self.oracle.wait_for(trip, "not-picked-up", due, self.world.at)

    @precondition(lambda self: self.going("approved"))
    @rule(courier=st.sampled_from(["carl", "cora"]))
    def a_courier_picks_up(self, courier: str) -> None:
        FIRED["a_courier_picks_up"] += 1
        trip = self.going("approved")[0]
        self.world.hand(trip.name, "ann", courier, site="NORTH")
        trip.state, trip.holder = "travelling", courier
        trip.chain |= {"ann", courier}
        due = min(self.world.at, trip.pick_up_by) + timedelta(minutes=60)
        self.oracle.wait_for(trip, "overdue", due, self.world.at)

    @precondition(lambda self: any({"carl", "cora"} - t.chain for t in self.going("travelling")))
    @rule()
    def another_courier_takes_over(self) -> None:
        FIRED["another_courier_takes_over"] += 1
        trip = next(t for t in self.going("travelling") if {"carl", "cora"} - t.chain)
        taker = "cora" if trip.holder == "carl" else "carl"
        self.world.hand(trip.name, str(trip.holder), taker, site="NORTH")
        trip.holder = taker
        trip.chain.add(taker)

    @precondition(lambda self: self.going("travelling", "received"))
    @rule()
    def everything_is_received(self) -> None:
        FIRED["everything_is_received"] += 1
        self._receive(self.going("travelling", "received")[0], complete=True)

    @precondition(lambda self: self.going("travelling"))
    @rule()
    def a_part_is_received(self) -> None:
        FIRED["a_part_is_received"] += 1
        self._receive(self.going("travelling")[0], complete=False)

    def _receive(self, trip: Trip, *, complete: bool) -> None:
        taker = "bea" if trip.holder == "ben" else "ben"
        self.world.hand(trip.name, str(trip.holder), taker, missing=() if complete else (1,))
        trip.state, trip.holder = "received", taker
        trip.chain.add(taker)
        if not complete:
            self.oracle.arm(trip, "incomplete", self.world.at, step=1)
            return
        trip.state = "arrived"
        for bell in self.oracle.of(trip):
            bell.cleared = bell.cleared or not bell.rings
            bell.ended = True

    @precondition(lambda self: self._unsighted())
    @rule()
    def a_stranger_finds_something(self) -> None:
        FIRED["a_stranger_finds_something"] += 1
        trip = self._unsighted()[-1]
        alarms.sight(self.world.book, self.world.consignment(trip.name).media[0], "in the tram")
        if trip.state != "arrived":
            self.oracle.arm(trip, "sighted", self.world.at, step=1)
        elif trip.found_at is None or self.world.at - trip.found_at >= HOUR:
            trip.found_at = self.world.at
            self.beside.update({"hal", "max", *self.oracle.seniors} - self.oracle.gone)

    def _unsighted(self) -> list[Trip]:
        sighted = [b.trip for b in self.oracle.bells if b.cause == "sighted"]
        return [trip for trip in self.trips if trip not in sighted]

    # ----------------------------------------------------------------------------------------- the people

    @precondition(lambda self: any(bell.told for bell in self.oracle.bells))
    @rule(which=st.integers(0, 9), index=st.integers(0, 12))
    def somebody_acknowledges(self, which: int, index: int) -> None:
        FIRED["somebody_acknowledges"] += 1
        live = [bell for bell in self.oracle.bells if bell.told and not bell.ended]
        bells = live if live and which else self.oracle.bells
        bell = bells[which % len(bells)]
        some = [*reversed(bell.told), "hal", "olga", "mallory"]
        self.acknowledges(some[index % len(some)], bell)

    def acknowledges(self, who: str, bell: Bell) -> None:
        refusal: type[Refusal] | None = None
        if who == "olga" or who in self.oracle.gone or who not in bell.told:
            refusal = Forbidden
        elif bell.ended or any(n == who and self.world.at - at < HOUR / 2 for n, at in bell.known):
            refusal = Conflict
        with pytest.raises(refusal) if refusal else contextlib.nullcontext():
            alarms.acknowledge(self.world.book, self.world.ids[who], f"A-{bell.number}")
        if refusal is None:
            FIRED["somebody_acknowledges, and was told"] += 1
            bell.known.append((who, self.world.at))

    @precondition(lambda self: any(trip.presumed for trip in self.trips))
    @rule(who=st.sampled_from(["dana", "sam", "hal", "dora", "max"]))
    def a_decision_is_signed(self, who: str) -> None:
        FIRED["a_decision_is_signed"] += 1
        trip = next(trip for trip in reversed(self.trips) if trip.presumed)
        with self.world.book.world() as world:
            incident = incident_of(world, trip.name)
        assert incident is not None
        refused = who == "max" or who in self.oracle.gone
        with pytest.raises(Forbidden) if refused else contextlib.nullcontext():
            self.world.sign(who, Decided(incident.id, self.world.ids["dana"], "search", "0" * 64))
        if not refused:
            trip.decided_at = self.world.at

    @precondition(lambda self: len(self.oracle.gone) < 2)
    @rule(who=st.sampled_from(["hal", "dora", "ivo"]))
    def somebody_leaves(self, who: str) -> None:
        FIRED["somebody_leaves"] += 1
        self.world.force("ada", people.roles(self.world.ids[who], ()))
        self.oracle.gone.add(who)

    def teardown(self) -> None:
        try:
            self.the_end()
        finally:
            self.world.book.engine.dispose()
            self.folder.cleanup()

    def the_end(self) -> None:
        """Sixty days of silence end no alarm; then the whole ledger is audited."""
        self.world.at += timedelta(days=60)
        self.sweep()
        self.world.at += timedelta(minutes=30)
        rang = {rung.partition("/")[0] for rung, _ in self.sweep()}
        assert rang == {f"A-{bell.number}" for bell in self.oracle.bells if not bell.ended}
        self.world.check()


BUDGET = settings(
    max_examples=11,
    stateful_step_count=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def company(template: World, tmp_path: Path) -> World:
    """A company whose people know already what happened while it was set up."""
    Ladder.company = template.copy(tmp_path)
    go_round(watch(Ladder.company.book, Notebook()))
    return Ladder.company


def tell(story: Callable[[Ladder], None]) -> None:
    ladder = Ladder()
    with ladder.folder:
        story(ladder)
        ladder.the_end()
        ladder.world.book.engine.dispose()


def model(budget: settings) -> None:
    run_state_machine_as_test(Ladder, settings=budget)


def test_the_model_and_the_product_agree() -> None:
    FIRED.clear()
    model(BUDGET)
    print(dict(FIRED))  # noqa: T201 - how much this has seen
    assert len(FIRED) >= 12, "of fifteen; the stories below tell all of them"


@pytest.mark.torture
def test_the_model_and_the_product_agree_at_length() -> None:
    model(settings(BUDGET, max_examples=600, stateful_step_count=60, derandomize=False))


# ----------------------------------------------------------------------------------- stories that were told


def silence(ladder: Ladder) -> None:
    """Nothing comes for four hours; people acknowledge and decide, and all of it wears off."""
    ladder.a_trip_is_approved(20, "dana")
    ladder.a_courier_picks_up("carl")
    ladder.the_monitor_watches(7, 15)
    for who in ("dana", "carl"):  # the approver and a courier of the trip: nothing is spared them
        ladder.acknowledges(who, ladder.oracle.bells[-1])
    ladder.the_monitor_watches(15, 3)
    ladder.acknowledges("hal", ladder.oracle.bells[-1])
    ladder.the_monitor_watches(15, 3)
    ladder.a_decision_is_signed("sam")
    ladder.the_monitor_watches(15, 6)
    ladder.acknowledges("sam", ladder.oracle.bells[-1])
    ladder.the_monitor_watches(15, 5)
    ladder.the_monitor_sleeps(24 * 60, restart=True)
    ladder.acknowledges("sam", ladder.oracle.bells[-1])
    ladder.the_monitor_watches(15, 5)
    assert len(ladder.oracle.bells[-1].known) == 5, "each of them counted as an acknowledgement"


def arrival(ladder: Ladder) -> None:
    """Late for its pick-up, late on its way, then there; another one arrives before anything rang."""
    ladder.a_trip_is_approved(10, "mona")
    ladder.the_monitor_watches(7, 3)
    ladder.a_courier_picks_up("cora")
    ladder.the_monitor_watches(7, 9)
    ladder.a_part_is_received()
    ladder.the_monitor_watches(7, 3)
    ladder.everything_is_received()
    ladder.the_monitor_sleeps(30, restart=False)
    ladder.a_trip_is_approved(10, "mona")
    ladder.a_courier_picks_up("carl")
    ladder.the_monitor_watches(7, 7)
    ladder.everything_is_received()
    ladder.the_monitor_watches(15, 3)


def nobody_there(ladder: Ladder) -> None:
    """The head has left: the rung above is told at once. A trip that nobody picks up climbs all the same."""
    ladder.somebody_leaves("hal")
    ladder.a_trip_is_approved(20, "mona")
    ladder.the_monitor_watches(15, 8)
    ladder.a_courier_picks_up("carl")
    ladder.the_monitor_sleeps(100, restart=True)
    ladder.the_monitor_watches(15, 4)


STORIES = (silence, arrival, nobody_there)


@pytest.mark.parametrize("story", STORIES)
def test_a_story(story: Callable[[Ladder], None]) -> None:
    tell(story)


# ----------------------------------------------------------------------------- the product, wrong on purpose


@contextlib.contextmanager
def wrong(function: Any, right: str, mistake: str) -> Iterator[None]:
    """The function with one line of it changed, for everyone who calls it."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(right) == 1, f"{right!r} is not one place in {function.__qualname__}"
    names = dict(function.__globals__)
    changed = "from __future__ import annotations\n" + source.replace(right, mistake)
    exec(compile(changed, inspect.getfile(function), "exec"), names)  # noqa: S102 - a mutant of our own source
    was = function.__code__
    function.__code__ = names[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = was


MUTANTS: dict[str, tuple[Any, str, str]] = {
    "a minute early": (Alarm.scheduled, "self.ladder[rung].after", "self.ladder[rung].after - 1"),
    "a minute late": (Alarm.scheduled, "self.ladder[rung].after", "self.ladder[rung].after + 1"),
    "a rung is skipped": (alarm_rules._above, "rung=fact.rung + 1,", "rung=min(fact.rung + 2, 4),"),
    "the next rung counts from now": (
        alarm_rules.climbed,
        "_above(alarm,",
        "_above(replace(alarm, due=alarm.due + (event.at - fact.scheduled)),",
    ),
    "repeats end": (alarm_rules._above, "next_at=again", "next_at=again if fact.repeat < 8 else None"),
    "an empty rung waits": (alarm_rules._above, " if waits else fact.scheduled", ""),
    "an acknowledgement is ignored": (overdue.spared, "alarm.acknowledged(person, now)", "False"),
    "an acknowledgement by the chain counts": (overdue.spared, "person not in consignment.chain and", ""),
    "an acknowledgement never expires": (Alarm.acknowledged, "now - a.at < ACKNOWLEDGED_FOR", "True"),
    "an acknowledgement ends the ladder": (
        alarm_rules.acknowledged,
        "(*alarm.acknowledgements, known)",
        "(*alarm.acknowledgements, known), next_at=None",
    ),
    "a decision never lapses": (incidents.Incident.decided, "< DECISION_LASTS", "< 99 * DECISION_LASTS"),
    "it rests without a decision": (overdue._settled, "incident.decided(now)", "True"),
    "it rests without an acknowledgement": (
        overdue._settled,
        "any(spared(alarm, consignment, person.id, now) for person in people)",
        "True",
    ),
    "no incident opens": (overdue.owed, "if presumed and", "if False and presumed and"),
    "no all-clear": (alarm_rules.end, "now if alarm.rings else None", "None"),
    "an all-clear for one": (overdue.owed, "for name in alarm.told)", "for name in alarm.told[:1])"),
    "an alarm goes on after the end": (alarm_rules.end, "ended_at=now", "ended_at=None"),
    "a late pick-up gives more time": (consignment_rules.picked_up, "min(at, consignment.pick_up_by)", "at"),
    "a pick-up stops what rings": (
        consignment_rules._watch,
        "watch.rings or watch.owes_an_alert(now) or ",
        "",
    ),
    "part of it is enough": (handoffs._receive, "if not hand_off.complete:", "if False:"),
    "a day without its checkpoint": (daily.is_owed, "hour >= FROM[kind]", "hour >= 24"),
    "told twice": (Page._write_outbox, "if accepted:", "if False:"),
}
QUICK = ("a minute early", "a rung is skipped", "repeats end", "no incident opens")


def caught(name: str) -> bool:
    """Whether one of the stories comes out differently, or else the model finds one that does."""
    function, right, mistake = MUTANTS[name]
    with wrong(function, right, mistake):
        for attempt in (*(lambda story=story: tell(story) for story in STORIES), lambda: model(HUNT)):
            try:
                attempt()
            except (AssertionError, Refusal):
                return True
    return False


HUNT = settings(BUDGET, max_examples=100, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name: str) -> None:
    assert caught(name)


@pytest.mark.torture
@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in QUICK])
def test_each_mutant_is_caught(name: str) -> None:
    assert caught(name)
