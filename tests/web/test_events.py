"""The page of one event, and what it tells to whom: the finder's words, and nothing to a contractor."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.acts import alarms, people
from custody.rules.alarms import Notice

WORDS = "in the tram to Happy Valley, under the last seat"


def matter(box: Any, of: str) -> str:
    """The event of which somebody was informed."""
    with box.book.world() as world:
        return next(n.about for n in world.all(Notice) if n.matter == of)


def test_who_is_told_of_a_find_reads_what_the_finder_wrote(office: Any) -> None:
    (tape,) = office.world.register(1)
    alarms.sight(office.world.book, tape, WORDS)
    event = matter(office.world, "found")
    for name in ("dana", "mona"):
        page = office.as_(name).get(f"/events/{event}").get_data(as_text=True)
        assert WORDS in page
        assert f"/media/{tape}" in page
    assert WORDS in office.as_("mona").get(f"/media/{tape}").get_data(as_text=True)


def test_a_find_on_the_road_stands_on_the_alarm_and_the_incident(office: Any) -> None:
    name = office.world.dispatch(1)
    alarms.sight(office.world.book, office.world.consignment(name).media[0], WORDS)
    office.world.wait(minutes=95)
    sighted = office.world.alarm(name, -1).id
    page = office.as_("dana").get(f"/alarms/{sighted}").get_data(as_text=True)
    assert WORDS in page
    assert "raised 1 h 35 min ago" in page
    assert "overdue" not in page
    assert WORDS in office.as_("hal").get("/incidents/I-1").get_data(as_text=True)
    assert WORDS not in office.as_("carl").get(f"/alarms/{sighted}").get_data(as_text=True)


def test_a_text_that_was_changed_in_the_table_is_not_shown(office: Any) -> None:
    (tape,) = office.world.register(1)
    alarms.sight(office.world.book, tape, WORDS)
    table = SQLModel.metadata.tables["private"]
    with office.world.book.writing() as connection:
        connection.execute(sa.update(table).where(table.c.text == WORDS).values(text="nowhere special"))
    page = office.as_("mona").get(f"/media/{tape}").get_data(as_text=True)
    assert "nowhere special" not in page
    assert "it was changed" in page


def test_every_kind_of_event_has_its_page(office: Any) -> None:
    """All that a trip, a loss and a find leave in the ledger, one page each, for the head."""
    world = office.world
    name = world.dispatch(1)
    world.wait(minutes=95)
    people.revoke(world.book, "P-1", world.keys["carl"].public.id, "lost")
    alarms.acknowledge(world.book, world.ids["dana"], world.alarm(name).id)
    with world.book.read() as connection:
        events = connection.scalars(sa.text("SELECT event_id FROM entry ORDER BY seq")).all()
    hal = office.as_("hal")
    for seq, event in enumerate(events):
        answer = hal.get(f"/events/{event}")
        assert answer.status_code == 200
        assert f"Entry {seq} of the ledger" in answer.get_data(as_text=True)


def test_a_contractor_opens_no_event(office: Any) -> None:
    name = office.world.dispatch(1)
    event = office.world.consignment(name).head
    assert office.as_("carl").get(f"/events/{event}").status_code == 403
    assert office.as_("olga").get(f"/events/{'0' * 64}").status_code == 404
    assert "/events/" not in office.as_("carl").get(f"/consignments/{name}").get_data(as_text=True)
    assert f"/events/{event}" in office.as_("mona").get(f"/consignments/{name}").get_data(as_text=True)


def test_who_can_approve_is_told_that_a_request_waits(office: Any) -> None:
    name = office.world.request(1)
    for who, asked in (("mona", True), ("dana", True), ("max", False), ("ann", False), ("carl", False)):
        page = office.as_(who).get("/board").get_data(as_text=True)
        assert ("waits for an approval" in page) is asked, who
    office.world.approve(name)
    assert "waits for an approval" not in office.as_("mona").get("/board").get_data(as_text=True)


def test_only_carriers_are_offered_and_others_are_refused(office: Any) -> None:
    world = office.world
    page = office.as_("ann").get("/consignments/new?route=N-S").get_data(as_text=True)
    assert "<option>FLEET</option>" in page
    assert "<option>HOME</option>" not in page
    (tape,) = world.register(1)
    form = {"route": "N-S", "carrier": "HOME", "pick_up_by": "2026-03-03T20:00", "media": tape}
    answer = office.post(office.as_("ann"), "/consignments/new", **form)
    assert answer.status_code == 409
    assert "has no courier" in answer.get_data(as_text=True)
    far = office.post(
        office.as_("ann"),
        "/consignments/new",
        **{**form, "carrier": "FLEET", "pick_up_by": "2099-12-31T18:50"},
    )
    assert far.status_code == 409
    assert "at most 92 days ahead" in far.get_data(as_text=True)


def test_a_second_person_who_cannot_is_told_before_they_sign(office: Any) -> None:
    world = office.world
    world.enrol("ben", "max")
    name = world.dispatch(1)
    receipt = world.hand(name, "carl", "ben")
    assert world.consignment(name).state == "received"
    page = office.as_("mona").get(f"/consignments/{name}").get_data(as_text=True)
    assert "It counts when a second person who keeps SOUTH has stood by it: Bea, Max" in page
    assert office.as_("bea").get(f"/sign/seconding/{receipt}").status_code == 200
    assert office.as_("mona").get(f"/sign/seconding/{receipt}").status_code == 403
    world.enrol("bea", "max")
    people.revoke(world.book, "P-1", next(iter(old_devices(world, "bea"))), "replaced")
    assert office.as_("bea").get(f"/sign/seconding/{receipt}").status_code == 403


def old_devices(world: Any, name: str) -> list[str]:
    with world.book.read() as connection:
        query = sa.text("SELECT id FROM device WHERE person = :p ORDER BY enrolled_at")
        return list(connection.scalars(query, {"p": world.ids[name]}).all())[:1]
