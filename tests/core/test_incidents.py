"""Incidents: they open by themselves, on their own alarm and once, and a decision is not anybody's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from world import START, World

from custody.acts import alarms
from custody.errors import Impossible
from custody.facts import Decided, Opened
from custody.rules.alarms import Alarm
from custody.rules.incidents import DECISION_LASTS, Decision, Incident, incident_of
from custody.rules.media import Medium
from custody.rules.overdue import owed

TRIP = "C-1"
REASON = "ab" * 32


def presumed(world: World) -> Opened:
    """C-1 is 40 minutes late and was told of: the incident that is owed now."""
    world.at += timedelta(minutes=100)
    with world.book.page("monitor") as page:
        while not isinstance(fact := owed(page.world, page.world.get(Alarm, "A-2"), page.now), Opened):
            assert fact is not None
            page.record(fact)
    return fact


def lose(world: World) -> None:
    """The incident of C-1, I-1, opens."""
    world.state(presumed(world))


@pytest.fixture(scope="module")
def late(setting_out: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Opened]]:
    """C-1 is to be presumed missing, and C-2 has only been asked for."""
    world = setting_out.copy(tmp_path_factory.mktemp("late"))
    fact = presumed(world)
    assert world.request(1) == "C-2"
    yield world, fact
    world.check()
    world.book.engine.dispose()


def incident(world: World, name: str = TRIP) -> Incident | None:
    with world.book.world() as held:
        return incident_of(held, name)


# ------------------------------------------------------------------------------------------------ it opens


def test_an_incident_opens_after_the_rung_that_presumes_the_loss(road: World) -> None:
    fact = presumed(road)
    media = road.consignment(TRIP).media
    assert fact == Opened("I-1", "A-2", TRIP)
    assert incident(road) is None
    assert not any(road.get(Medium, item).missing for item in media)
    road.state(fact)
    assert incident(road) == Incident("I-1", TRIP, "A-2", road.at)
    assert all(road.get(Medium, item).missing for item in media)


def test_what_arrives_after_all_is_not_missing_any_more(road: World) -> None:
    lose(road)
    road.hand(TRIP, "carl", "ben")
    assert not any(road.get(Medium, item).missing for item in road.consignment(TRIP).media)
    assert incident(road) is not None, "what was presumed stays on record"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"incident": "I-2"}, "The next incident is I-1, not I-2."),
        ({"alarm": "A-1"}, "An incident opens on a consignment's own alarm, while it rings."),
        ({"alarm": "A-9"}, "There is no alarm A-9 here."),
        ({"consignment": "C-2"}, "An incident opens on a consignment's own alarm, while it rings."),
        ({"consignment": "C-9"}, "There is no consignment C-9 here."),
    ],
)
def test_an_incident_that_cannot_open(late: tuple[World, Opened], change: dict[str, Any], why: str) -> None:
    """A-1 waited for the pick-up, and has ended; C-2 is another consignment."""
    world, fact = late
    with world.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        world.state(replace(fact, **change))
    assert [incident(world, each) for each in (TRIP, "C-2")] == [None, None]


def test_no_incident_opens_before_the_rung_that_presumes_the_loss(road: World) -> None:
    road.at += timedelta(minutes=80)
    alarms.climb(road.book)
    assert road.alarm(TRIP).rings
    with (
        road.unmoved(),
        pytest.raises(Impossible, match="when its alarm has climbed past the rung that pres"),
    ):
        road.state(Opened("I-1", "A-2", TRIP))
    assert incident(road) is None


def test_no_incident_opens_once_everything_has_come(road: World) -> None:
    fact = presumed(road)
    road.hand(TRIP, "carl", "ben")
    with road.unmoved(), pytest.raises(Impossible, match="own alarm, while it rings"):
        road.state(fact)


def test_a_consignment_has_one_incident(road: World) -> None:
    lose(road)
    before = incident(road)
    with road.unmoved(), pytest.raises(Impossible, match=f"{TRIP} already"):
        road.state(Opened("I-2", "A-2", TRIP))
    assert incident(road) == before


# ---------------------------------------------------------------------------------------------- decisions


@pytest.fixture(scope="module")
def lost(setting_out: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """I-1 is open, for a table of decisions that nobody may make."""
    world = setting_out.copy(tmp_path_factory.mktemp("lost"))
    lose(world)
    yield world
    world.check()
    world.book.engine.dispose()


@pytest.mark.parametrize(
    ("by", "decision"),
    [
        *((by, "search") for by in ("mona", "carl", "ivo", "ada", "olga")),
        *((by, "do-not-notify") for by in ("dana", "dora", "mona")),
    ],
)
def test_a_decision_that_is_not_theirs(lost: World, by: str, decision: Any) -> None:
    with lost.unmoved(), pytest.raises(Impossible, match="This decision is not theirs to sign"):
        lost.force(by, Decided("I-1", lost.ids["dana"], decision, REASON))
    found = incident(lost)
    assert found is not None
    assert (found.owner, found.decisions) == (None, ())


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        (Decided("I-2", "P-1", "search", REASON), "There is no incident I-2 here."),
        (Decided("I-1", "P-99", "search", REASON), "There is no person P-99 here."),
    ],
)
def test_a_decision_is_on_an_incident_and_has_an_owner(lost: World, fact: Decided, why: str) -> None:
    with lost.unmoved(), pytest.raises(Impossible, match=why):
        lost.force("dana", fact)
    found = incident(lost)
    assert found is not None
    assert found.owner is None


def test_decisions_follow_each_other_and_the_newest_names_the_owner(road: World) -> None:
    lose(road)
    steps: list[tuple[str, str, Any]] = [
        ("dora", "ivo", "search"),
        ("dana", "sam", "report-to-police"),
        ("hal", "hal", "do-not-notify"),
    ]
    for by, owner, decision in steps:
        road.sign(by, Decided("I-1", road.ids[owner], decision, REASON))
    found = incident(road)
    assert found is not None
    assert found.owner == road.ids["hal"]
    assert [(each.by, each.decision) for each in found.decisions] == [
        (road.ids[by], decision) for by, _, decision in steps
    ]


def test_a_decision_lapses_after_a_day() -> None:
    decision = Decision("P-2", "search", REASON, START)
    found = Incident(
        "I-1", TRIP, "A-2", START, "P-2", (replace(decision, at=START - DECISION_LASTS), decision)
    )
    assert found.decided(START + DECISION_LASTS - timedelta(milliseconds=1))
    assert not found.decided(START + DECISION_LASTS)
    assert not replace(found, decisions=()).decided(START)
    assert not replace(found, owner=None).decided(START)
