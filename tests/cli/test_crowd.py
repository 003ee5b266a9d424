"""Who is served next and who gives way: the rule alone, without sockets."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from custody.cli.crowd import LONGEST, Crowd, Guest

OTHERS = ["b", "c", "d"]


class Hall:
    """A crowd, a clock moved by hand, and who was cut."""

    def __init__(self, *, threads: int = 2, sockets: int = 20, room: int = 1000, largest: int = 100) -> None:
        self.now = 0.0
        self.cut: list[Guest] = []
        self.crowd = Crowd(threads, largest, lambda: self.now, sockets=sockets, room=room)

    def enter(self, source: str) -> Guest:
        self.now += 1
        guest = Guest(source, lambda: self.cut.append(guest))
        self.crowd.enter(guest)
        return guest

    def ask(self, source: str, order: list[Guest]) -> Guest:
        guest = self.enter(source)
        self.crowd.ask(guest, lambda: order.append(guest))
        return guest


@given(st.lists(st.sampled_from(["a", *OTHERS]), max_size=120))
def test_an_address_takes_sockets_from_itself_alone(sources: list[str]) -> None:
    hall, here = Hall(), Counter[str]()
    for source in [*"a" * 30, *sources]:
        if source == "a" or here[source] < 4:  # as many as a browser opens
            hall.enter(source)
            here[source] += 1
    assert {guest.source for guest in hall.cut} == {"a"}
    assert len(hall.cut) == here.total() - 20


@given(st.lists(st.tuples(st.sampled_from(["a", *OTHERS]), st.integers(1, 80)), max_size=60))
def test_an_address_takes_bytes_from_itself_alone(kept: list[tuple[str, int]]) -> None:
    hall, held = Hall(sockets=200), Counter[str]()
    for source, more in [*[("a", 100)] * 10, *kept]:
        if source == "a" or held[source] + more <= 100:
            hall.crowd.keep(hall.enter(source), more)
            held[source] += more
    assert {guest.source for guest in hall.cut} <= {"a"}
    assert held.total() - sum(guest.held for guest in hall.cut) <= 1000


def test_of_one_address_the_connection_gives_way_that_waits_longest() -> None:
    """As behind a proxy, where all have one."""
    hall = Hall(sockets=3)
    first, second, _ = (hall.enter("proxy") for _ in range(3))
    hall.crowd.answered(first)  # it has just been of use
    hall.enter("proxy")
    assert hall.cut == [second]


def test_an_answer_larger_than_any_request_is_not_the_first_to_go() -> None:
    """An auditor fetches the whole ledger, while one address holds ten whole requests."""
    hall = Hall()
    auditor, rude = hall.enter("b"), [hall.enter("a") for _ in range(10)]
    hall.crowd.keep(auditor, 5000)
    for guest in rude:
        hall.crowd.keep(guest, 100)
    assert hall.cut
    assert set(hall.cut) <= set(rude)
    hall.crowd.answered(auditor)
    assert auditor.held == 0


def test_what_a_thread_is_at_is_not_undone() -> None:
    hall, order = Hall(sockets=1, threads=2), list[Guest]()
    served = hall.ask("a", order)
    hall.crowd.keep(served, 2000)  # it alone is above the limit, and nothing can be done
    other = hall.enter("a")
    assert hall.cut == [other]
    assert order == [served]


def test_a_free_thread_goes_to_the_address_that_has_fewest() -> None:
    hall, order = Hall(), list[Guest]()
    many = [hall.ask("a", order) for _ in range(6)]
    one = hall.ask("b", order)
    assert order == many[:2]
    hall.crowd.done(many[0])
    assert order[2:] == [one]
    hall.crowd.done(one)
    assert order[3:] == [many[2]]


def test_nobody_is_served_whose_connection_has_ended() -> None:
    hall, order = Hall(threads=1), list[Guest]()
    first, gone, last = (hall.ask("a", order) for _ in range(3))
    hall.crowd.leave(gone)
    hall.crowd.done(first)
    assert order == [first, last]


def test_who_has_been_waited_for_too_long_is_cut() -> None:
    hall, order = Hall(), list[Guest]()
    slow, served = hall.enter("a"), hall.ask("b", order)
    hall.now += LONGEST
    quick = hall.enter("a")
    hall.crowd.patrol()
    assert hall.cut == [slow]
    hall.crowd.done(served)
    hall.now += LONGEST + 1  # now its answer is not taken
    hall.crowd.patrol()
    assert hall.cut[1:] in ([served, quick], [quick, served])


class Hours(RuleBasedStateMachine):
    """Whatever comes in whatever order: no more at once than there is room for, and everybody has a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.hall = Hall(threads=3, sockets=6, room=500)
        self.here: list[Guest] = []
        self.serving: list[Guest] = []

    def _still(self) -> list[Guest]:
        return [guest for guest in self.here if guest not in self.hall.cut]

    @rule(source=st.sampled_from("abc"))
    def enter(self, source: str) -> None:
        self.here.append(self.hall.enter(source))

    @rule(data=st.data(), more=st.integers(1, 150))
    def keep(self, data: Any, more: int) -> None:
        if guests := self._still():
            self.hall.crowd.keep(data.draw(st.sampled_from(guests)), more)

    @rule(data=st.data())
    def ask(self, data: Any) -> None:
        if guests := [guest for guest in self._still() if not guest.owed]:
            guest = data.draw(st.sampled_from(guests))
            self.hall.crowd.ask(guest, lambda: self.serving.append(guest))

    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        if guests := self._still():
            guest = data.draw(st.sampled_from(guests))
            self.here.remove(guest)
            self.hall.crowd.leave(guest)

    @rule()
    def finish(self) -> None:
        if self.serving:
            guest = self.serving.pop(0)
            self.hall.crowd.done(guest)
            self.hall.crowd.answered(guest)

    @invariant()
    def there_is_room(self) -> None:
        idle = [guest for guest in self._still() if not guest.served]
        assert len(self._still()) <= 6 or not idle
        assert sum(min(guest.held, 100) for guest in self._still()) <= 500 or not idle
        assert len(self.serving) <= 3

    @invariant()
    def nobody_waits_beside_a_free_thread(self) -> None:
        if len(self.serving) < 3:
            assert not [g for g in self._still() if g.owed and not g.served]

    def teardown(self) -> None:
        while self.serving:
            self.finish()
        assert not [guest for guest in self._still() if guest.owed]
        assert not self.hall.crowd.owes


TestHours = Hours.TestCase
