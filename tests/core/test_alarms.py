"""Alarms and their ladder: each rung in order, once and never early; only evidence ends one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from world import START, World

from custody import orders
from custody.acts import alarms, people
from custody.errors import Conflict, Forbidden, Impossible
from custody.facts import (
    Acknowledged,
    Attempted,
    Cleared,
    Climbed,
    Decided,
    Fact,
    Granted,
    Informed,
    Recipient,
)
from custody.rules.alarms import ACKNOWLEDGED_FOR, Alarm, Notice
from custody.rules.overdue import owed

TRIP = "C-1"
REASON = "ab" * 32


def due(world: World, name: str, now: datetime | None = None) -> Fact | None:
    """What is owed to a consignment's first alarm by now."""
    with world.book.world() as held:
        return owed(held, world.alarm(name), now or world.at)


def sleep(world: World, **duration: float) -> None:
    """The clock moves on at once, and only then does the monitor look."""
    world.at += timedelta(**duration)
    alarms.climb(world.book)


def rungs(world: World, name: str) -> list[tuple[str, str]]:
    """Who was told on which rung of the first alarm, sorted."""
    return sorted(world.told(name))


# ------------------------------------------------------------------------------------------------ to climb


@pytest.fixture(scope="module")
def late(setting_out: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Climbed]]:
    """C-1 is due in a quarter of an hour, and the reminder of it is owed."""
    world = setting_out.copy(tmp_path_factory.mktemp("late"))
    world.at += timedelta(minutes=45)
    fact = due(world, TRIP)
    assert isinstance(fact, Climbed)
    yield world, fact
    world.check()
    world.book.engine.dispose()


ON_ITS_RUNG = "A-2 is on rung 0 for C-1 (overdue)."


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"alarm": "A-9"}, "There is no alarm A-9 here."),
        ({"alarm": "A-1"}, "A-1 has ended: it climbs no more."),
        ({"consignment": "C-2"}, ON_ITS_RUNG),
        ({"cause": "seal"}, ON_ITS_RUNG),
        ({"rung": 1}, ON_ITS_RUNG),
        ({"repeat": 1}, "A-2 has climbed to this rung already."),
        ({"scheduled": START}, "Rung 0 of A-2 is scheduled at another time."),
        ({"told": (Recipient("P-99", "email"),)}, "There is no person P-99 here."),
    ],
)
def test_a_rung_that_is_not_the_one_that_is_owed(
    late: tuple[World, Climbed], change: dict[str, Any], why: str
) -> None:
    world, fact = late
    before = world.get(Alarm, "A-2")
    with world.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        world.state(replace(fact, **change))
    assert world.get(Alarm, "A-2") == before


def test_no_rung_is_climbed_a_moment_too_early_nor_a_second_time(road: World) -> None:
    in_time = road.at + timedelta(minutes=45)
    fact = due(road, TRIP, in_time)
    assert isinstance(fact, Climbed)
    assert (due(road, TRIP, in_time - timedelta(milliseconds=1)), fact.scheduled) == (None, in_time)
    road.at = in_time - timedelta(milliseconds=1)
    with road.unmoved(), pytest.raises(Impossible, match="Rung 0 of A-2 is not due yet"):
        road.state(fact)
    road.at = in_time
    road.state(fact)
    assert (road.alarm(TRIP).rung, road.alarm(TRIP).next_at) == (1, road.alarm(TRIP).due)
    road.at += timedelta(milliseconds=1)
    with road.unmoved(), pytest.raises(Impossible, match=re.escape("A-2 is on rung 1 for C-1")):
        road.state(fact)


def test_an_alarm_rings_from_its_first_alert_on_and_a_reminder_is_none(road: World) -> None:
    assert not road.alarm(TRIP).owes_an_alert(road.at)
    sleep(road, minutes=50)
    assert (road.alarm(TRIP).rung, road.alarm(TRIP).rings) == (1, False)
    assert road.alarm(TRIP).owes_an_alert(road.alarm(TRIP).due)
    sleep(road, minutes=10)
    assert road.alarm(TRIP).rings
    road.hand(TRIP, "carl", "ben")
    assert not road.alarm(TRIP).rings
    assert not road.alarm(TRIP).owes_an_alert(road.at)


def test_a_reminder_goes_to_who_carries_it_and_who_receives_it(road: World) -> None:
    sleep(road, minutes=50)
    assert rungs(road, TRIP) == [("bea", "0.0"), ("ben", "0.0"), ("carl", "0.0")]


def test_a_reminder_of_a_pick_up_goes_to_the_sites_managers(box: World) -> None:
    name = box.request(1)
    box.approve(name)
    sleep(box, minutes=61)
    assert rungs(box, name) == [("max", "0.0"), ("mona", "0.0")]
    sleep(box, minutes=15)
    told = {who for who, rung in rungs(box, name) if rung == "1.0"}
    assert told == {"carl", "cora", "mallory", "dana", "sam", "max", "mona"}, (
        "any courier of the carrier may have it"
    )


def test_a_rung_on_which_there_is_nobody_passes_upward_at_once(road: World) -> None:
    for gone in ("dana", "sam", "dora", "ivo"):
        road.force("ada", Granted(road.ids[gone], ()))
    sleep(road, minutes=75)
    assert ("hal", "3.0") in rungs(road, TRIP)
    assert road.alarm(TRIP).next_at == road.alarm(TRIP).due + timedelta(minutes=60)
    with road.book.world() as world:
        (notice,) = [n for n in world.all(Notice) if n.id.startswith("A-2/3.0/")]
    assert notice.scheduled == road.at, "fifteen minutes before its own time"


def test_whose_contract_has_ended_is_told_nothing_new(road: World) -> None:
    end = orders.AdmitOrganisation(organisation="FLEET", until=road.at + timedelta(minutes=55))
    people.admit_organisation(road.book, "P-1", end)
    sleep(road, minutes=50)
    sleep(road, minutes=10)
    assert [rung for who, rung in rungs(road, TRIP) if who == "carl"] == ["0.0"]
    assert ("dana", "1.0") in rungs(road, TRIP)


# -------------------------------------------------------------------------------------------- the last rung


def test_repeats_that_a_sleeping_monitor_missed_are_told_once_as_the_newest(road: World) -> None:
    sleep(road, hours=2)
    assert (road.alarm(TRIP).rung, road.alarm(TRIP).repeat) == (4, 1)
    road.at += timedelta(hours=3)
    fact = due(road, TRIP)
    assert isinstance(fact, Climbed)
    assert (fact.rung, fact.repeat, fact.scheduled) == (4, 6, road.at)
    for wrong, why in (
        (replace(fact, repeat=0), "A-2 has climbed to this rung already."),
        (replace(fact, repeat=5), "Rung 4 of A-2 is scheduled at another time."),
        (replace(fact, repeat=7), "Rung 4 of A-2 is scheduled at another time."),
    ):
        with road.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
            road.state(wrong)
    road.state(fact)
    assert (road.alarm(TRIP).repeat, road.alarm(TRIP).next_at) == (7, road.at + timedelta(minutes=30))
    assert [rung for who, rung in rungs(road, TRIP) if who == "hal"] == ["3.0", "4.0", "4.6"]


def test_where_nobody_is_left_on_the_last_rung_all_who_were_told_hear_it_again(road: World) -> None:
    sleep(road, minutes=110)
    told = set(road.alarm(TRIP).told)
    for gone in ("hal", "dana", "sam"):
        road.force("ada", Granted(road.ids[gone], ()))
    sleep(road, minutes=40)
    again = {who for who, rung in rungs(road, TRIP) if rung == "4.1"}
    assert {road.ids[who] for who in again} == told


@pytest.fixture
def last_rung(road: World) -> World:
    """The alarm of C-1 stands on its last rung, and I-1 is open."""
    sleep(road, hours=2)
    return road


def repeated(world: World, name: str) -> set[str]:
    """Who hears the next repeat, half an hour on."""
    rung = f"4.{world.alarm(name).repeat}"
    sleep(world, minutes=30)
    return {who for who, which in rungs(world, name) if which == rung}


def decide(world: World) -> None:
    world.sign("dana", Decided("I-1", world.ids["dana"], "search", REASON))


def test_an_acknowledgement_spares_one_person_the_repeats_for_an_hour(last_rung: World) -> None:
    assert repeated(last_rung, TRIP) == {"hal", "dana", "sam"}
    alarms.acknowledge(last_rung.book, last_rung.ids["sam"], "A-2")
    assert last_rung.alarm(TRIP).acknowledged(
        last_rung.ids["sam"], last_rung.at + ACKNOWLEDGED_FOR - timedelta(seconds=1)
    )
    assert not last_rung.alarm(TRIP).acknowledged(last_rung.ids["sam"], last_rung.at + ACKNOWLEDGED_FOR)
    assert repeated(last_rung, TRIP) == {"hal", "dana"}
    assert repeated(last_rung, TRIP) == {"hal", "dana", "sam"}, "the hour is over"


def test_the_last_rung_rests_while_one_has_acknowledged_and_the_incident_is_looked_after(
    last_rung: World,
) -> None:
    decide(last_rung)
    assert repeated(last_rung, TRIP) == {"hal", "dana", "sam"}, "nobody has said that they know"
    alarms.acknowledge(last_rung.book, last_rung.ids["hal"], "A-2")
    assert repeated(last_rung, TRIP) == set()
    assert last_rung.alarm(TRIP).next_at == last_rung.at + timedelta(minutes=30), "it rests and has not ended"
    assert repeated(last_rung, TRIP) == {"hal", "dana", "sam"}


def test_a_decision_that_has_lapsed_lets_the_last_rung_ring_again(last_rung: World) -> None:
    decide(last_rung)
    sleep(last_rung, hours=24)
    alarms.acknowledge(last_rung.book, last_rung.ids["hal"], "A-2")
    assert repeated(last_rung, TRIP) == {"dana", "sam"}


def test_the_word_of_who_is_in_the_chain_spares_nobody(box: World) -> None:
    """Dana approved it: what she says about it counts for less."""
    name = box.request(1)
    box.approve(name, "dana")
    box.hand(name, "ann", "carl", site="NORTH")
    sleep(box, hours=2)
    decide(box)
    alarms.acknowledge(box.book, box.ids["dana"], "A-2")
    assert repeated(box, name) == {"hal", "dana", "sam"}


# -------------------------------------------------------------------------------------------------- the end


def test_one_that_rang_is_cleared_once_and_to_all_who_were_told(road: World) -> None:
    sleep(road, minutes=61)
    told = road.alarm(TRIP).told
    clear = Cleared("A-2", tuple(Recipient(person, "email") for person in told))
    with road.unmoved(), pytest.raises(Impossible, match="A-2 owes no all-clear"):
        road.state(clear)
    road.hand(TRIP, "carl", "ben")
    assert road.alarm(TRIP).ended_at == road.at
    assert due(road, TRIP) == clear
    with road.unmoved(), pytest.raises(Impossible, match="A-2 has ended: it climbs no more"):
        road.state(Climbed("A-2", "overdue", TRIP, 2, 0, road.at, ()))
    road.state(clear)
    assert {n for n, rung in road.told(TRIP) if rung == "clear"} == {
        n for n in road.ids if road.ids[n] in told
    }
    assert (road.alarm(TRIP).next_at, due(road, TRIP, road.at + timedelta(days=9))) == (None, None)
    road.at += timedelta(minutes=1)
    with road.unmoved(), pytest.raises(Impossible, match="A-2 owes no all-clear"):
        road.state(clear)


def test_one_that_never_rang_ends_in_silence(road: World) -> None:
    road.hand(TRIP, "carl", "ben")
    assert (road.alarm(TRIP).next_at, road.alarm(TRIP).ended_at) == (None, road.at)
    with road.unmoved(), pytest.raises(Impossible, match="A-2 owes no all-clear"):
        road.state(Cleared("A-2", ()))


# ------------------------------------------------------------------------------------- what people hear of


def test_only_who_was_told_acknowledges_and_only_while_it_goes_on(road: World) -> None:
    sleep(road, minutes=61)
    before = road.alarm(TRIP)
    with road.unmoved(), pytest.raises(Impossible, match=f"{road.ids['hal']} was not told of A-2"):
        road.state(Acknowledged(road.ids["hal"], "A-2", 1))
    with road.unmoved(), pytest.raises(Impossible, match="There is no alarm A-9 here"):
        road.state(Acknowledged(road.ids["dana"], "A-9", 1))
    with road.unmoved(), pytest.raises(Forbidden):
        alarms.acknowledge(road.book, road.ids["hal"], "A-2")
    assert road.alarm(TRIP) == before
    alarms.acknowledge(road.book, road.ids["dana"], "A-2")
    (known,) = road.alarm(TRIP).acknowledgements
    assert (known.person, known.rung, known.at) == (road.ids["dana"], 1, road.at)
    road.hand(TRIP, "carl", "ben")
    with road.unmoved(), pytest.raises(Conflict, match="has ended already"):
        alarms.acknowledge(road.book, road.ids["dana"], "A-2")


def test_a_person_is_informed_once_of_one_event(box: World) -> None:
    box.enrol("ann", "ann")
    with box.book.world() as world:
        (notice,) = [n for n in world.all(Notice) if (n.matter, n.scheduled) == ("device-enrolled", box.at)]
    assert notice.id == f"E-{notice.about}/{box.ids['ann']}/email"
    assert (notice.person, notice.scheduled, notice.outcome) == (box.ids["ann"], box.at, None)
    again = Informed(notice.about, "device-enrolled", (Recipient(box.ids["ann"], "email"),))
    box.at += timedelta(minutes=1)
    with box.unmoved(), pytest.raises(Impossible, match=f"There is a notice {notice.id} already"):
        box.state(again)
    with box.unmoved(), pytest.raises(Impossible, match="There is no person P-99 here"):
        box.state(Informed(notice.about, "device-enrolled", (Recipient("P-99", "email"),)))


def test_what_was_accepted_once_stays_accepted(road: World) -> None:
    sleep(road, minutes=50)
    keys = tuple(f"A-2/0.0/{road.ids[who]}/email" for who in ("ben", "carl"))
    message = "<" + "ab" * 16 + "@test.example>"
    with road.unmoved(), pytest.raises(Impossible, match="There is no notice A-2/1"):
        road.state(Attempted((*keys, "A-2/1.0/P-1/email"), "accepted", road.at, REASON, message))
    road.state(Attempted(keys, "deferred", road.at, REASON))
    assert [road.get(Notice, key).attempts for key in keys] == [1, 1]
    assert [road.get(Notice, key).accepted_at for key in keys] == [None, None]
    road.state(Attempted(keys[:1], "accepted", road.at, REASON, message))
    accepted = road.get(Notice, keys[0])
    assert (accepted.outcome, accepted.attempts, accepted.message) == ("accepted", 2, message)
    assert accepted.accepted_at == road.at
    road.at += timedelta(minutes=1)
    road.state(Attempted(keys, "refused", road.at, REASON))
    assert road.get(Notice, keys[0]) == accepted
    assert (road.get(Notice, keys[1]).outcome, road.get(Notice, keys[1]).attempts) == ("refused", 2)
    assert road.alarm(TRIP).rung == 1, "what becomes of a message moves no alarm"
