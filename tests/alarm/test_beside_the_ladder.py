"""What is told beside the ladder: somebody acts in another's name, a find, a dispute of what has arrived."""

from __future__ import annotations

from datetime import timedelta

import pytest
from world import World

from custody.acts import alarms, people, signing
from custody.errors import Conflict
from custody.facts import Statement, Subject
from custody.rules.alarms import Alarm, Notice
from custody.rules.notices import words
from custody.store import accounts

SENIORS = {"dana", "sam", "hal"}


def told(box: World, matter: str) -> list[str]:
    names = {number: person for person, number in box.ids.items()}
    with box.book.world() as world:
        return [names[n.person] for n in world.all(Notice) if n.matter == matter]


def letter(box: World, matter: str, name: str) -> str:
    with box.book.world() as world:
        found = [n for n in world.all(Notice) if (n.matter, n.person) == (matter, box.ids[name])]
        text = words(world, found[-1:], box.at, "https://custody.test")
        return f"{text.subject}\n{text.body}"


def test_a_device_in_ones_name_is_told(box: World) -> None:
    before = told(box, "device-enrolled").count("ann")
    box.enrol("ann", "mona")
    assert told(box, "device-enrolled").count("ann") == before + 1
    assert "A device was enrolled in your name" in letter(box, "device-enrolled", "ann")


def test_whose_device_is_revoked_hears_of_it(box: World) -> None:
    people.revoke(box.book, "P-1", box.keys["carl"].public.id, "stolen")
    assert told(box, "device-revoked") == ["carl"]
    mail = letter(box, "device-revoked", "carl")
    assert "A device of yours was revoked" in mail
    assert "https://custody.test/devices" in mail, "a courier cannot open the page of an event"


def test_a_link_to_anothers_account_is_recorded_and_told(box: World) -> None:
    accounts.add(box.book, box.ids["hal"], "Hal", "hal@home.test")
    assert people.link(box.book, "P-1", box.ids["hal"])
    assert told(box, "account-linked") == ["hal"]
    assert "tell IT security now" in letter(box, "account-linked", "hal")


def test_changed_roles_are_told_to_the_person_and_to_all_whom_alarms_reach(box: World) -> None:
    """Else an administrator could make the seniors deaf, one by one, and lose tapes then."""
    box.sign("ada", people.roles(box.ids["sam"], ()))
    assert set(told(box, "roles-changed")) == SENIORS
    assert "/events/" in letter(box, "roles-changed", "dana")


@pytest.mark.parametrize(("left", "last"), [("sam", "dana"), (None, "hal")])
def test_the_last_senior_and_the_only_head_keep_their_role(box: World, left: str | None, last: str) -> None:
    if left:
        box.sign("ada", people.roles(box.ids[left], ()))
    with pytest.raises(Conflict, match=r"is the only (senior manager|head): alarms would reach nobody"):
        box.sign("ada", people.roles(box.ids[last], ()))


def test_a_find_on_no_trip_is_told_to_the_seniors_and_where_it_belongs(box: World) -> None:
    (tape,) = box.register(1)
    alarms.sight(box.book, tape, "in a taxi")
    assert set(told(box, "found")) == SENIORS | {"mona"}
    mail = letter(box, "found", "mona")
    assert "A stranger has found something" in mail
    assert "taxi" not in mail
    assert tape not in mail


def test_a_find_while_the_request_waits_is_told_and_leaves_the_approval_its_alarm(box: World) -> None:
    name = box.request(1, minutes=30)
    alarms.sight(box.book, box.consignment(name).media[0], "on a shelf at NORTH")
    assert set(told(box, "found")) == SENIORS | {"mona"}
    box.approve(name)
    assert [box.get(Alarm, each).cause for each in box.consignment(name).alarms] == ["not-picked-up"]


def test_a_find_is_told_once_a_day_and_recorded_each_time(box: World) -> None:
    (tape,) = box.register(1)
    for _ in range(5):
        alarms.sight(box.book, tape, "in a taxi")
        box.at += timedelta(hours=1)
    assert len(told(box, "found")) == 4
    box.at += timedelta(hours=20)
    alarms.sight(box.book, tape, "still in a taxi")
    assert len(told(box, "found")) == 8


def test_a_dispute_of_what_has_arrived_wakes_the_seniors_and_rings_no_alarm(box: World) -> None:
    name = box.dispatch(1)
    box.wait(minutes=1)
    forked = Statement.read(box.hand_off(name, "carl", "bea"))
    box.hand(name, "carl", "ben")
    assert box.consignment(name).state == "arrived"
    payload = Statement(
        forked.origin, box.at, Subject("event", box.consignment(name).manifest), forked.fact
    ).payload()
    signing.submit(box.book, payload, box.both(payload, "carl", "bea"))
    assert set(told(box, "disputed")) == SENIORS | {"mona", "max"}
    assert not box.alarm(name).rings
    assert "has arrived is disputed" in letter(box, "disputed", "sam")
