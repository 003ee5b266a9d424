"""The time goes on through a clock that is set wrong and back, and follows one that is put right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from custody.clock import DOUBTED_FOR, JUMP, Clock, Jump

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Machine:
    """Its two clocks, moved by hand."""

    def __init__(self) -> None:
        self.ran = 0.0
        self.wrong = timedelta()
        self.clock = Clock(self.wall, lambda: self.ran)

    def wall(self) -> datetime:
        return self.true() + self.wrong

    def true(self) -> datetime:
        return START + timedelta(seconds=self.ran)

    def run(self, duration: timedelta) -> None:
        self.ran += duration.total_seconds()


def test_a_day_ahead_for_a_minute_is_nothing_to_the_time() -> None:
    machine = Machine()
    machine.wrong = DAY
    for _ in range(60):
        machine.run(timedelta(seconds=1))
        assert machine.clock() == machine.true()
    machine.wrong = timedelta()
    machine.run(timedelta(seconds=1))
    assert machine.clock() == machine.true()
    assert machine.clock.jumps() == [Jump(DAY)]
    assert machine.clock.jumps() == []


def test_a_clock_that_was_put_right_is_believed() -> None:
    for wrong in (DAY, -DAY):
        machine = Machine()
        machine.wrong = wrong
        assert machine.clock() == machine.true()
        machine.run(DOUBTED_FOR)
        assert machine.clock() == machine.wall()
        machine.run(timedelta(hours=1))
        assert machine.clock() == machine.wall()
        assert machine.clock.jumps() == [Jump(wrong)]


def test_another_jump_is_doubted_anew() -> None:
    machine = Machine()
    machine.wrong = DAY
    machine.clock()
    machine.run(DOUBTED_FOR - timedelta(seconds=1))
    machine.wrong = 2 * DAY
    assert machine.clock() == machine.true()
    machine.run(DOUBTED_FOR - timedelta(seconds=1))
    assert machine.clock() == machine.true()
    assert machine.clock.jumps() == [Jump(DAY), Jump(2 * DAY)]


@given(st.lists(st.tuples(st.floats(0.001, 3600), st.floats(-9, 9)), max_size=30))
def test_a_clock_that_is_only_adjusted_is_followed(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    for ran, adjusted in steps:
        machine.ran += ran
        machine.wrong += timedelta(seconds=adjusted)
        assert machine.clock() == machine.wall()
    assert machine.clock.jumps() == []


@given(st.lists(st.tuples(st.integers(1, 119), st.integers(-(10**9), 10**9)), max_size=30))
def test_no_clock_moves_the_time_within_the_doubt(steps: list[tuple[int, int]]) -> None:
    """Whatever it is set to, and however often, if it is right again before two minutes have passed."""
    machine = Machine()
    for seconds, wrong in steps:
        machine.wrong = timedelta(seconds=wrong) if abs(wrong) > JUMP.total_seconds() else timedelta()
        assert machine.clock() == machine.true()
        machine.run(timedelta(seconds=seconds))
        assert machine.clock() == machine.true()
        machine.wrong = timedelta()
        assert machine.clock() == machine.true()
