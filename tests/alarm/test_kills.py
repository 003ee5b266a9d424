"""Kill -9, wherever and however often: nothing is lost, nothing told twice without cause (G2, G3).

Whom each rung tells is written out here, and when is counted here, from the ladder in ESCALATION.md; nothing
of it is asked of `custody.rules`.
"""

from __future__ import annotations

import hashlib
import math
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from alarm.life import POINTS, Life, live
from alarm.sink import DROP, OK, Sink
from processes import FORK
from rounds import go_round, watch
from world import World

from custody.acts.deliveries import QUICK
from custody.rules.notices import Message
from custody.store import tables

LADDER = {
    "0.0": (-15, ("carl", "ben", "bea")),
    "1.0": (0, ("carl", "mona", "max", "dana", "sam")),
    "2.0": (15, ("dana", "sam", "dora", "ivo")),
    "3.0": (30, ("hal",)),
    **{f"4.{k}": (60 + 30 * k, ("hal", "dana", "sam")) for k in range(100)},
}
"""Rung and repeat: minutes from the due time, and whom."""

ALL_POINTS = [point for point in POINTS if point != "anywhere"]


class Quiet:
    """A channel that takes everything: for what was to be told before a test begins."""

    def send(self, message: Message) -> str:
        return f"250 {message.id}"

    def close(self) -> None:
        pass


@dataclass
class Ordeal:
    """A book, a relay, and one life after another. `kills` counts the violent ends, by point."""

    world: World
    sink: Sink
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    windows: Counter[str] = field(default_factory=Counter)
    mistake: str | None = None

    def life(self, point: str | None = None, number: int = 1, *, after: float | None = None) -> bool:
        """One life at the clock's moment; whether it was killed, `after` real seconds from outside."""
        seen = len(self.sink.deliveries)
        born = Life(self.world.folder, self.world.at, self.sink.port, point, number, self.mistake)
        process = FORK.Process(target=live, args=(born,))
        process.start()
        process.join(after)
        if after is not None:
            process.kill()
        process.join()
        self.sink.quiet()
        killed = process.exitcode == -signal.SIGKILL
        assert killed or process.exitcode == 0, "a life ends by itself or by kill -9"
        process.close()
        if killed:
            self.kills[point or "from outside"] += 1
        unmarked = [d.message for d in self.sink.deliveries[seen:] if d.accepted and self._waits(d.message)]
        assert len(unmarked) <= killed * QUICK, "only a crash leaves messages unmarked, one of each worker"
        self.windows.update(unmarked)
        return killed

    def _waits(self, message: str) -> bool:
        outbox = tables.Outbox
        with self.world.book.read() as connection:
            waiting = sa.select(sa.func.count()).where(sa.column("message") == message)
            return bool(connection.scalar(waiting.select_from(outbox)))

    def pass_time(self) -> None:
        """Long enough for a lease to run out, and for whatever was deferred."""
        self.world.at += timedelta(seconds=self.dice.randint(31, 120))

    def drain(self) -> None:
        """Lives that nobody disturbs, until nothing waits."""
        for _ in range(60):
            self.life()
            with self.world.book.read() as connection:
                if not connection.scalar(sa.select(sa.func.count()).select_from(tables.Outbox)):
                    return
            self.world.at += timedelta(seconds=61)
        pytest.fail("sixty undisturbed lives did not empty the outbox")

    def survive(self, kills: int) -> None:
        """Kills at each named point in turn, and anywhere, each turn with one life that nobody disturbs."""
        while self.kills.total() < kills:
            for point in self.dice.sample(ALL_POINTS, len(ALL_POINTS)):
                self.pass_time()
                self.life(point, self.dice.choice((1, 1, 2, 3)))
            for _ in range(3):
                self.pass_time()
                self.life("anywhere", int(math.exp(self.dice.uniform(math.log(100), math.log(50_000)))))
            self.pass_time()
            self.life(after=self.dice.uniform(0, 0.2))
            self.pass_time()
            self.life()


@pytest.fixture
def ordeal(box: World) -> Iterator[Ordeal]:
    go_round(watch(box.book, Quiet()))
    with Sink(box.clock) as sink:
        yield Ordeal(box, sink, random.Random(7))


def message_id(key: str) -> str:
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@test.example>"


def expected(world: World, alarm: int, due: datetime, until: datetime) -> dict[str, str]:
    """Message-ID to address, for each notice that the ladder owes up to `until`."""
    return {
        message_id(f"A-{alarm}/{step}/{world.ids[name]}/email"): f"{name}@home.test"
        for step, (minutes, who) in LADDER.items()
        for name in who
        if due + timedelta(minutes=minutes) <= until
    }


def all_clear(world: World, alarm: int, told: Iterable[str]) -> dict[str, str]:
    return {message_id(f"A-{alarm}/clear/{world.ids[name]}/email"): f"{name}@home.test" for name in told}


def torment(ordeal: Ordeal, kills: int) -> None:
    """Ten trips under way, one of which arrives in the midst of it all; then the reckoning."""
    world = ordeal.world
    dues: list[datetime] = []
    for number in range(10):
        late = world.dispatch(1)
        dues.append(world.at + timedelta(minutes=60))
        world.at += timedelta(minutes=5 * (number % 2))
    world.at = dues[0] - timedelta(minutes=16)
    ordeal.survive(kills // 2)
    world.hand(late, "carl", "ben")
    arrived = world.at
    ordeal.survive(kills)
    ordeal.drain()
    wanted: dict[str, str] = {}
    for number, due in enumerate(dues[:-1], start=1):
        wanted |= expected(world, 2 * number, due, world.at)  # the odd ones waited for the pick-up
    before = expected(world, 20, dues[-1], arrived)
    wanted |= before | all_clear(world, 20, {address.partition("@")[0] for address in before.values()})
    reckon(ordeal, wanted)


def reckon(ordeal: Ordeal, wanted: dict[str, str]) -> None:
    accepted = ordeal.sink.accepted()
    assert {d.message: d.to for d in accepted} == wanted
    times = Counter(d.message for d in accepted)
    for message, count in times.items():
        assert count == 1 + ordeal.windows[message], "one repeat for each crash between the 250 and the mark"


def grumbling(dice: random.Random, share: float, *moods: str) -> Callable[[str], str]:
    """A relay's answers: one of the moods this often, and 250 otherwise."""
    return lambda _: dice.choice(moods) if dice.random() < share else OK


def test_killed_at_every_point(ordeal: Ordeal) -> None:
    torment(ordeal, 36)
    assert set(POINTS) <= set(ordeal.kills)


def test_killed_while_the_relay_defers_a_fifth(ordeal: Ordeal) -> None:
    ordeal.sink.on_rcpt = grumbling(random.Random(11), 0.2, "451 4.7.1 later")
    torment(ordeal, 24)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(17))
def test_killed_a_thousand_times(ordeal: Ordeal, seed: int) -> None:
    """Sixty times each, by a relay that also breaks the line after the message and before its answer."""
    ordeal.dice.seed(seed)
    ordeal.sink.on_rcpt = grumbling(random.Random(seed), 0.2, "451 4.7.1 later", "550 5.1.1 never")
    ordeal.sink.on_data = grumbling(random.Random(seed + 100), 0.1, "452 4.2.2 full", DROP)
    torment(ordeal, 60)


@pytest.mark.torture
def test_this_would_see_a_mark_before_the_send(ordeal: Ordeal) -> None:
    """The mistake that loses alarms, made on purpose: the reckoning must not come out."""
    with pytest.raises(AssertionError):
        torment(replace(ordeal, mistake="mark first"), 60)
