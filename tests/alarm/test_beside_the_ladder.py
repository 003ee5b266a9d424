"""What is told beside the ladder: somebody acts in another's name, a find, a dispute of what has arrived."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rounds import deliver
from world import START, World

from custody import orders
from custody.acts import alarms, consignments, people, signing
from custody.errors import Conflict
from custody.facts import Statement, Subject
from custody.ledger.envelope import event_id
from custody.rules.alarms import Alarm, Notice
from custody.rules.handoffs import HandOff
from custody.rules.notices import Message, words
from custody.store import accounts, queries

SENIORS = {"dana", "sam", "hal"}


def told(box: World, matter: str) -> list[str]:
    """Since the company was set up, by name."""
    names = {number: person for person, number in box.ids.items()}
    with box.book.world() as world:
        found = [n for n in world.all(Notice) if n.matter == matter and n.scheduled > START]
        return [names[n.person] for n in found if n.person in names]


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
    assert "A device was revoked" in mail
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


def test_a_find_is_told_once_an_hour_and_recorded_each_time(box: World) -> None:
    """Who reports a thing in its place does not mute those who find it in the street."""
    (tape,) = box.register(1)
    for _ in range(5):
        alarms.sight(box.book, tape, "on its shelf")
        box.at += timedelta(minutes=12)
    assert len(told(box, "found")) == 4
    alarms.sight(box.book, tape, "in a taxi")
    assert len(told(box, "found")) == 8
    with queries.view(box.book, box.ids["mona"]) as view:
        assert len(view.reports(tape)) == 6


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
    assert "A hand-off is disputed" in letter(box, "disputed", "sam")


def test_a_dispute_that_waited_for_another_is_told_too(box: World) -> None:
    """Three hand-offs come in the wrong order: what cannot be is found when the last of them comes."""
    name = box.dispatch(1)
    second = box.hand_off(name, "carl", "cora")
    third = forged(box, name, event_id(second), "carl", "mallory")
    last = forged(box, name, event_id(third), "mallory", "ben")
    for payload, giver, taker in (
        (last, "mallory", "ben"),
        (third, "carl", "mallory"),
        (second, "carl", "cora"),
    ):
        signing.submit(box.book, payload, box.both(payload, giver, taker))
    assert box.consignment(name).state == "arrived"
    assert box.get(HandOff, event_id(third)).status == "disputed"
    assert set(told(box, "disputed")) == SENIORS | {"mona", "max"}


def forged(box: World, name: str, previous: str, giver: str, taker: str) -> bytes:
    with box.book.world() as world:
        fact, about = consignments.hand_off(
            world, name, giver=box.party(giver), taker=box.party(taker), site="SOUTH"
        )
    return signing.statement(box.book, replace(fact, previous=previous), about)


def test_the_last_device_of_those_above_is_its_owners_alone(box: World) -> None:
    """With one session of IT security nobody could be left who confirms a device ever again."""
    ivo = box.ids["ivo"]
    for name in ("sam", "hal"):
        people.revoke(box.book, ivo, box.keys[name].public.id, "stolen")
    assert {"dana", "sam", "hal"} <= set(told(box, "device-revoked"))
    with pytest.raises(Conflict, match="Only its owner can revoke it"):
        people.revoke(box.book, ivo, box.keys["dana"].public.id, "stolen")
    with pytest.raises(Conflict, match="revoked already"):
        people.revoke(box.book, ivo, box.keys["sam"].public.id, "stolen")
    people.revoke(box.book, box.ids["dana"], box.keys["dana"].public.id, "lost")


def test_an_alarm_never_stands_in_a_list_of_finds(box: World) -> None:
    """A stranger reports thirty labels while a trip falls due: the alarm leaves first, by itself."""
    name = box.dispatch(1)
    for tape in box.register(30):
        alarms.sight(box.book, tape, "in a taxi")
    box.wait(minutes=62)
    letters: list[Message] = []

    class Box:
        def send(self, message: Message) -> str:
            letters.append(message)
            return "250 taken"

        def close(self) -> None:
            pass

    deliver(box.book, {"email": Box()})
    to_dana = [m for m in letters if m.to == "dana@home.test"]
    assert to_dana[0].subject.startswith("ALARM")
    assert name in to_dana[0].subject
    assert not any("ALARM" in m.body and "stranger" in m.body for m in letters)


def test_a_new_senior_is_told_to_those_there_are(box: World) -> None:
    fact = people.invitation(
        box.book,
        orders.Invite(
            name="Puppet",
            address="puppet@home.test",
            organisation="HOME",
            grants=(orders.Grant(role="senior-manager"),),
        ),
    )
    box.sign("ada", fact)
    assert set(told(box, "appointed")) == SENIORS


def test_roles_that_stay_the_same_are_no_change(box: World) -> None:
    with pytest.raises(Conflict, match="has these roles already"):
        box.sign("ada", people.roles(box.ids["sam"], (orders.Grant(role="senior-manager"),)))
    assert told(box, "roles-changed") == []
