"""The words of an alert: what it is about, how late, where to look; the rest is for those who sign in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

import pytest
from world import START, World

from custody.acts import alarms
from custody.facts import Cause, Grant, Matter
from custody.rules import world as rules
from custody.rules.alarms import Alarm, Notice
from custody.rules.consignments import DEFAULT_LADDER, Consignment
from custody.rules.incidents import Incident, IncidentOf
from custody.rules.notices import Words, words
from custody.rules.people import Organisation, Person

SITE = "https://custody.test"


@pytest.fixture(scope="module")
def missing(setting_out: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """C-1 is presumed missing, and C-2 was not picked up."""
    world = setting_out.copy(tmp_path_factory.mktemp("missing"))
    world.approve(world.request(1))
    sleep(world, 95)
    yield world
    world.check()
    world.book.engine.dispose()


def sleep(world: World, minutes: int) -> None:
    world.at += timedelta(minutes=minutes)
    alarms.climb(world.book)


def told(world: World, person: str, source: str, *, ago: int = 0) -> Words:
    """What this person reads of their notice, if they are told of nothing else."""
    with world.book.world() as held:
        key = f"{source}/{world.ids[person]}/email"
        return words(held, [held.get(Notice, key)], world.at - timedelta(minutes=ago), SITE)


def test_a_reminder_says_when_it_is_due(missing: World) -> None:
    said = told(missing, "carl", "A-2/0.0", ago=45)
    due = missing.alarm("C-1").due
    assert said.subject == "Reminder: C-1 (NORTH to SOUTH) is due"
    assert f"Due:         {due:%Y-%m-%d %H:%M} UTC, due in 10 minutes\n" in said.body
    pick_up = told(missing, "mona", "A-3/0.0", ago=30)
    assert pick_up.subject == "Reminder: C-2 (NORTH to SOUTH) is due for pick-up"
    assert f"\n{SITE}/alarms/A-3\n" in pick_up.body


def test_an_alert_names_the_alarm_and_how_late_it_is(missing: World) -> None:
    said = told(missing, "dana", "A-3/1.0")
    assert said.subject == "ALARM A-3: C-2 (NORTH to SOUTH) has not been picked up, 20 minutes overdue"
    rows = [
        "Alarm:       A-3",
        "Consignment: C-2",
        "From:        NORTH",
        "To:          SOUTH",
        "Media:       1",
    ]
    assert "\n".join(rows) in said.body
    assert "Incident:" not in said.body
    assert "it stops nothing else" in said.body


def test_what_is_presumed_missing_leads_to_its_incident_whoever_may_see_that(missing: World) -> None:
    said = told(missing, "hal", "A-2/3.0")
    assert said.subject == "PRESUMED MISSING: C-1 (NORTH to SOUTH), 2 media, 35 minutes overdue"
    assert "Incident:    I-1\n" in said.body
    assert f"\n{SITE}/incidents/I-1\n" in said.body
    carl = told(missing, "carl", "A-2/1.0")
    assert f"\n{SITE}/alarms/A-2\n" in carl.body
    assert "/incidents/" not in carl.body


def test_the_all_clear_asks_for_nothing_more_and_so_does_an_alert_that_comes_after_it(road: World) -> None:
    sleep(road, 61)
    road.hand("C-1", "carl", "ben")
    alarms.climb(road.book)
    line = "All clear: C-1 (NORTH to SOUTH) has arrived complete"
    wanted = Words(line, f"{line}. Nothing more needs to be done about it.\n\n{SITE}/alarms/A-2\n")
    assert told(road, "dana", "A-2/clear") == wanted
    assert told(road, "dana", "A-2/1.0") == wanted


def test_a_new_device_is_told_with_what_to_do_if_it_was_not_they(box: World) -> None:
    box.enrol("ann", "ann")
    with box.book.world() as world:
        (notice,) = [n for n in world.all(Notice) if (n.matter, n.scheduled) == ("device-enrolled", box.at)]
        said = words(world, [notice], box.at, SITE)
    assert said.subject == "A device was enrolled in your name"
    assert said.body == (
        "A device was enrolled in your name.\n\nIf this was not you, or not with you, tell IT security now,"
        f" by telephone.\n\n{SITE}/events/{notice.about}\n"
    )


# ------------------------------------------------------------------------------- without a company around it


def small_world() -> rules.World:
    """A consignment with an alarm that rings since its due time, and someone who was told of it."""
    world = rules.World()
    world.put(rules.Log("x", "", "HOME", "", "", "P-1", "", set_up=False, relaxed=(), last=START))
    world.put(Organisation("HOME", None))
    world.put(Organisation("FLEET", START + timedelta(days=1)))
    world.put(Person("P-2", "HOME", (Grant("head"),), "", "P-1", 0))
    world.put(
        Consignment(
            "C-1", "N-S", "NORTH", "SOUTH", "FLEET", "", ("a", "b", "c"), None, "P-3", START, "travelling"
        )
    )
    return world


def ring(world: rules.World, name: str, cause: Cause) -> Notice:
    world.put(Alarm(name, "C-1", cause, START, START, DEFAULT_LADDER, 2, 0, START))
    return Notice(f"{name}/1.0/P-2/email", name, "P-2", "email", START)


@pytest.mark.parametrize(
    ("cause", "what"),
    [
        ("overdue", "has not arrived"),
        ("not-picked-up", "has not been picked up"),
        ("incomplete", "was handed over with something missing, refused, damaged or extra"),
        ("seal", "was handed over with its seal broken or exchanged"),
        ("disputed", "has a hand-off that is disputed"),
        ("sighted", "is not where it should be: a stranger has found something of it"),
    ],
)
def test_each_cause_has_its_words(cause: Cause, what: str) -> None:
    world = small_world()
    notice = ring(world, "A-1", cause)
    said = words(world, [notice], START + timedelta(seconds=119), SITE)
    deadline = cause in ("overdue", "not-picked-up")
    late = "1 minute overdue" if deadline else "raised 1 minute ago"
    assert said.subject == f"ALARM A-1: C-1 (NORTH to SOUTH) {what}, {late}"
    assert f"{'Due:' if deadline else 'Since:':13}2026-03-02 09:00 UTC, {late}\n" in said.body


@pytest.mark.parametrize("matter", get_args(Matter))
def test_a_matter_beside_the_ladder_leads_to_its_event_whoever_may_see_that(matter: Matter) -> None:
    world = small_world()
    event = "ab" * 32
    notice = Notice(f"E-{event}/P-2/email", event, "P-2", "email", START, matter=matter)
    said = words(world, [notice], START, SITE)
    assert said.body.startswith(f"{said.subject}.\n\n")
    assert said.body.endswith(f"\n\n{SITE}/events/{event}\n")
    world.put(Person("P-2", "FLEET", (Grant("courier"),), "", "P-1", 0))
    assert words(world, [notice], START, SITE).body.endswith(f"\n\n{SITE}/devices\n")


def test_several_matters_are_one_message_with_a_line_and_a_link_for_each() -> None:
    world = small_world()
    notices = [ring(world, "A-1", "overdue"), ring(world, "A-2", "seal")]
    notices.append(
        Notice(f"E-{'ab' * 32}/P-2/email", "ab" * 32, "P-2", "email", START, matter="device-enrolled")
    )
    said = words(world, notices, START, SITE)
    first = "ALARM A-1: C-1 (NORTH to SOUTH) has not arrived, 0 minutes overdue"
    assert said.subject == f"3 matters need you: {first}, and 2 more"
    assert said.body.startswith(
        f"3 matters need you at once:\n\n- {first}\n  {SITE}/alarms/A-1\n"
        "- ALARM A-2: C-1 (NORTH to SOUTH) was handed over with its seal broken or exchanged, raised 0"
        f" minutes ago\n  {SITE}/alarms/A-2\n"
        f"- A device was enrolled in your name\n  {SITE}/events/{'ab' * 32}\n"
    )


def test_an_incident_makes_every_alert_of_its_consignment_one_of_missing_media() -> None:
    world = small_world()
    notice = ring(world, "A-1", "seal")
    world.put(Incident("I-1", "C-1", "A-9", START))
    world.put(IncidentOf("C-1", "I-1"))
    said = words(world, [notice], START, SITE)
    assert said.subject == "PRESUMED MISSING: C-1 (NORTH to SOUTH), 3 media, raised 0 minutes ago"
    world.put(Person("P-2", "HOME", (Grant("site-manager", "SOUTH"),), "", "P-1", 0))
    assert f"{SITE}/alarms/A-1" in words(world, [notice], START, SITE).body
