"""Documents out of a real book: what happened to a consignment, as paper tells it."""

import io
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pypdfium2
import pytest
import sqlalchemy as sa
import zxingcpp
from prose import prose
from rounds import deliver
from sqlmodel import SQLModel
from world import CAST, World

from custody import audit, orders
from custody.acts import alarms, consignments, documents, people, signing
from custody.errors import NotFound
from custody.facts import Described, Statement
from custody.ledger.envelope import Envelope, event_id
from custody.rules.cases import Packing
from custody.rules.notices import Message

_private = SQLModel.metadata.tables["private"]
_entry = SQLModel.metadata.tables["entry"]


class Relay:
    """A mail relay that takes everything, each message two seconds after the one before."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, message: Message) -> str:
        del message
        self.world.at += timedelta(seconds=2)
        return "250 taken for ben@home.test"

    def close(self) -> None:
        pass


def pages(data: bytes) -> list[str]:
    return [" ".join(page.get_textpage().get_text_bounded().split()) for page in pypdfium2.PdfDocument(data)]


def text(data: bytes) -> str:
    return " ".join(pages(data))


def codes(data: bytes, page: int) -> list[str]:
    image = pypdfium2.PdfDocument(data)[page].render(scale=2, grayscale=True).to_pil()
    formats = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])
    return [code.bytes.decode() for code in zxingcpp.read_barcodes(image, formats)]


def describe(
    world: World, code: str, media: tuple[str, ...], people: tuple[int, int] | None, title: str = "Payroll"
) -> None:
    least, most = people or (None, None)
    with world.book.page("web") as page:
        page.record(Described("P-1", code, page.private(title), tuple(sorted(media)), least, most, "no"))


def pass_time(world: World, minutes: int) -> None:
    for _ in range(minutes):
        world.wait(minutes=1)
        deliver(world.book, {"email": Relay(world)})


def lose(world: World, count: int = 7) -> str:
    """A consignment that never arrives: an hour and three quarters after its pick-up."""
    name = world.dispatch(count)
    pass_time(world, 105)
    return name


def sealed(world: World, count: int = 3) -> str:
    """A consignment in a sealed case, requested and not approved."""
    media = world.register(count)
    case, seal = world.register(1, what="case")[0], world.register(1, what="seal")[0]
    packing = world.sign("ann", consignments.packing("NORTH", case, seal, media))
    order = orders.Request(
        route="N-S",
        carrier="FLEET",
        pick_up_by=world.at + timedelta(hours=1),
        media=media,
        packing=packing,
    )
    return consignments.request(world.book, world.ids["ann"], order)


# ------------------------------------------------------------------------------------------ the manifest


def test_the_manifest_names_the_event_that_every_hand_off_names(box: World) -> None:
    name = sealed(box)
    approval = box.approve(name)
    found = box.consignment(name)
    (page,) = pages(documents.manifest_pdf(box.book, name))
    for event in (found.manifest, found.packing, approval):
        assert event is not None
        assert " ".join(event[i : i + 8] for i in range(0, 64, 8)) in page
    assert f"--genesis {box.genesis}" in page
    packing = box.get(Packing, found.packing)
    for number, thing in (("K-1", packing.case), ("S-1", packing.seal)):
        assert f"{number}, {' '.join(thing[i : i + 4] for i in range(0, 16, 4))}" in page
    assert "P-3, site manager of NORTH 2026-03-03 18:00:00 (UTC 10:00:00)" in page


def test_the_manifests_code_is_the_newest_checkpoint_and_pins_the_log(box: World) -> None:
    name = box.dispatch(2)
    data = documents.manifest_pdf(box.book, name)
    (pin,) = codes(data, 0)
    assert pin == box.book.checkpoint()
    box.wait(hours=2)
    report = box.audit(pins=[pin.encode()])
    assert report.sound
    assert report.pins == [int(pin.split("\n")[1])]


def test_a_log_that_was_written_anew_does_not_fit_a_manifests_code(template: World, tmp_path: Path) -> None:
    world, other = template.copy(tmp_path / "one"), template.copy(tmp_path / "two")
    name = world.dispatch(2)
    other.dispatch(2)
    other.wait(hours=2)
    (pin,) = codes(documents.manifest_pdf(world.book, name), 0)
    report = other.audit(pins=[pin.encode()])
    assert report.failed == 3
    for each in (world, other):
        each.book.engine.dispose()


def test_a_manifest_says_nothing_of_what_is_on_the_media_nor_any_name(box: World) -> None:
    name = box.dispatch(7)
    describe(box, "SECRETSET", box.consignment(name).media, (64_000, 64_000), "Bankruptcies")
    shown = prose(text(documents.manifest_pdf(box.book, name)))
    for word in ("secretset", "bankruptcies", "64,000", "@", *CAST):
        assert not re.search(rf"(?<!\w){word}(?!\w)", shown, re.IGNORECASE), word


def test_two_hundred_media_stand_on_the_manifest_in_the_ledgers_order(box: World) -> None:
    name = box.dispatch(200)
    found = re.findall(r"(\d+) ((?:[0-9A-Z]{4} ){4})T\d{5}L8", text(documents.manifest_pdf(box.book, name)))
    assert [line.replace(" ", "") for _, line in found] == list(box.consignment(name).media)
    assert [int(number) for number, _ in found] == list(range(1, 201))


def test_before_the_approval_the_manifest_says_that_nothing_may_leave(box: World) -> None:
    name = sealed(box)
    assert "NOT APPROVED" in text(documents.manifest_pdf(box.book, name))
    consignments.withdraw(box.book, box.ids["ann"], name)
    assert "WITHDRAWN" in text(documents.manifest_pdf(box.book, name))


def test_what_is_not_there_has_no_document(box: World) -> None:
    with pytest.raises(NotFound):
        documents.manifest_pdf(box.book, "C-9")
    with pytest.raises(NotFound):
        documents.incident_pdf(box.book, "I-9")
    with pytest.raises(NotFound):
        documents.timeline(box.book, "C-9")


# ------------------------------------------------------------------------------------------ the timeline


def test_the_timeline_is_the_ledgers_own_events_with_the_times_of_their_receipt(box: World) -> None:
    name = lose(box)
    lines = documents.timeline(box.book, name)
    assert [line.seq for line in lines] == sorted({line.seq for line in lines})
    report = box.audit()
    with box.book.read() as connection:
        entries = {row.seq: row for row in connection.execute(sa.select(_entry))}
    for line in lines:
        assert line.event == entries[line.seq].event_id
        assert line.event == event_id(Envelope.read(entries[line.seq].data).payload)
        assert report.first is not None
        assert report.first <= line.at <= box.at
    picked_up = box.consignment(name).picked_up_at
    assert [line.at for line in lines if "hand-off" in line.what] == [picked_up]
    said = [line.what for line in lines]
    assert [word for what in said for word in re.findall(r"rung \d", what)] == [
        f"rung {n}" for n in (0, 1, 2, 3)
    ]
    alarm = box.alarm(name).id
    assert said[-1] == f"incident I-1 opened by itself on {alarm}: the media are presumed missing"


def test_the_timeline_says_who_signed_and_for_whom_the_server_only_recorded(box: World) -> None:
    name = lose(box)
    alarms.acknowledge(box.book, box.ids["dana"], box.alarm(name).id)
    by_kind = {
        line.what.split(" ")[0]: (line.who, line.signed) for line in documents.timeline(box.book, name)
    }
    assert by_kind["manifest"] == ((box.ids["ann"],), False)
    assert by_kind["approved,"] == ((box.ids["mona"],), True)
    assert by_kind["hand-off"] == ((box.ids["ann"], box.ids["carl"]), True)
    assert by_kind["acknowledged"] == ((box.ids["dana"],), False)
    assert by_kind["incident"] == ((), False)


def test_another_consignments_events_are_not_in_the_timeline(box: World) -> None:
    mine, other = box.dispatch(2), box.dispatch(2, courier="cora")
    box.hand(other, "cora", "ben")
    alarms.sight(box.book, box.consignment(other).media[0], "It is here.")
    lines = documents.timeline(box.book, mine)
    assert {line.what.split(" ")[0] for line in lines} == {"manifest", "approved,", "hand-off"}


def test_what_happened_to_the_media_after_the_arrival_is_not_this_trips(box: World) -> None:
    name = box.dispatch(2)
    box.hand(name, "carl", "ben")
    before = documents.timeline(box.book, name)
    box.wait(minutes=5)
    alarms.sight(box.book, box.consignment(name).media[0], "Still here.")
    assert documents.timeline(box.book, name) == before


def test_a_dispute_stands_in_the_timeline_with_its_reason(box: World) -> None:
    name = box.dispatch(2)
    rival = box.hand_off(name, "carl", "cora")
    box.hand(name, "carl", "mallory")
    signing.submit(box.book, rival, box.both(rival, "carl", "cora"))
    last = [line.what for line in documents.timeline(box.book, name) if line.what.startswith("hand-off")]
    assert last[-1].endswith("DISPUTED: another hand-off names the same one before it")


# ------------------------------------------------------------------------------------------ the case file


def test_the_case_file_has_people_as_the_range_that_the_data_sets_give(box: World) -> None:
    name = box.dispatch(7)
    media = box.consignment(name).media
    describe(box, "CASES", media[:5], (64_000, 64_000))
    describe(box, "STAFF", media[4:], (12_000, 12_000))
    pass_time(box, 105)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert "People concerned at least 64,000, at most 76,000" in first
    assert "Other copies NO" in first
    assert "CASES, STAFF" in " ".join(rest)


def test_media_that_nobody_described_leave_the_number_open_upwards(box: World) -> None:
    name = box.dispatch(7)
    describe(box, "CASES", box.consignment(name).media[:4], (64_000, 64_000))
    pass_time(box, 105)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert "at least 64,000, at most unknown: 3 media have no data set on record" in first


def test_without_numbers_people_are_unknown(box: World) -> None:
    name = lose(box)
    assert "People concerned unknown" in pages(documents.incident_pdf(box.book, "I-1"))[0]
    describe(box, "CASES", box.consignment(name).media, None)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert "unknown: no number is on record for 1 of 1 data sets" in first


def test_the_last_proven_holder_is_who_took_custody_last(box: World) -> None:
    name = box.dispatch(7)
    box.wait(minutes=20)
    event = box.hand(name, "carl", "cora", site="SOUTH")
    pass_time(box, 90)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert f"Last proven holder {box.ids['cora']} (courier from FLEET), since 2026-03-03 18:20:00" in first
    assert f"by hand-off {event[:12]}" in first


def test_a_disputed_hand_off_proves_no_holder(box: World) -> None:
    name = box.dispatch(2)
    rival = box.hand_off(name, "carl", "cora")
    box.hand(name, "carl", "mallory")
    signing.submit(box.book, rival, box.both(rival, "carl", "cora"))
    pass_time(box, 40)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert f"Last proven holder {box.ids['carl']} (courier from FLEET), since 2026-03-03 18:00:00" in first
    assert "2 hand-offs are disputed" in first


def test_legs_that_come_in_the_wrong_order_prove_the_last_of_the_trip(box: World) -> None:
    name = box.dispatch(2)
    first = box.hand_off(name, "carl", "cora")
    second = signing.statement(
        box.book,
        replace(
            Statement.read(first).fact,
            giver=box.party("cora"),
            taker=box.party("mallory"),
            previous=event_id(first),
        ),
        box.consignment(name).manifest,
    )
    signing.submit(box.book, second, box.both(second, "cora", "mallory"))
    signing.submit(box.book, first, box.both(first, "carl", "cora"))
    pass_time(box, 105)
    assert box.consignment(name).holder == box.ids["mallory"]
    shown = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert f"Last proven holder {box.ids['mallory']}" in shown


def test_what_was_never_picked_up_has_no_holder(box: World) -> None:
    name = box.request(3)
    box.approve(name)
    pass_time(box, 110)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert "nobody has signed for a pick-up" in first
    assert "(not-picked-up)" in first


def test_when_senior_management_was_told_is_counted_from_the_due_time(box: World) -> None:
    lose(box)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    hal = box.ids["hal"]
    told = re.search(
        r"(P-\d+) \(senior manager\): message accepted .*?, (\d+) s after the alarm's due", first
    )
    assert told is not None
    senior = told[1]  # both are told at once, each by a thread: whoever was first
    assert senior in (box.ids["dana"], box.ids["sam"])
    assert f"{hal} (head): message accepted" in first
    accepted = min(
        row.accepted_at - row.scheduled
        for row in _notices(box)
        if row.person == senior and row.accepted_at is not None
    )
    assert int(told[2]) == int(accepted.total_seconds())
    assert f"{senior} (senior manager) email" in " ".join(rest)


def test_a_reminder_before_the_due_time_is_not_management_being_told(box: World) -> None:
    both = (orders.Grant(role="senior-manager"), orders.Grant(role="site-manager", site="NORTH"))
    box.sign("ada", people.roles(box.ids["dana"], both))
    name = box.request(3)
    box.approve(name)
    pass_time(box, 110)
    assert box.told(name)[:1] == [("mona", "0.0")]
    assert ("dana", "0.0") in box.told(name)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    (told,) = re.findall(r"Senior management .*? (accepted by the relay at .*?) after the alarm's due", first)
    assert "2026-03-03 19:15:" in told  # due, not the reminder a quarter of an hour before it


def test_where_no_relay_took_anything_management_was_not_told(box: World) -> None:
    box.dispatch(7)
    box.wait(minutes=105)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert "Senior management NOT TOLD" in first
    assert "Head NOT TOLD" in first
    assert "NOT SENT YET" in " ".join(rest)


def _notices(world: World) -> list[sa.Row[tuple[object, ...]]]:
    with world.book.read() as connection:
        return list(connection.execute(sa.select(SQLModel.metadata.tables["notice"])))


def test_an_acknowledgement_by_the_trip_itself_does_not_count(box: World) -> None:
    alarm = box.alarm(lose(box)).id
    alarms.acknowledge(box.book, box.ids["carl"], alarm)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert "Acknowledged by nobody outside the trip" in first
    assert "nothing: part of the trip" in " ".join(rest)
    alarms.acknowledge(box.book, box.ids["dana"], alarm)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert f"Acknowledged first by {box.ids['dana']}" in first
    assert "spares them the repeats" in " ".join(rest)


def test_a_signed_decision_stands_with_its_reason_until_that_is_erased(loose: World) -> None:
    name = loose.dispatch(7)
    describe(loose, "CASES", loose.consignment(name).media, (5, 9), "Bankruptcies 破產")
    pass_time(loose, 105)
    with loose.book.page("web") as page:
        fact = alarms.decision(page, "I-1", loose.ids["dana"], "search", "He does not answer.")
    loose.sign("hal", fact)
    alarms.sight(loose.book, loose.consignment(name).media[2], "On the pier.")
    shown = text(documents.incident_pdf(loose.book, "I-1"))
    for words in ("He does not answer.", "On the pier.", "Bankruptcies 破產", "search, by P-12 (head)"):
        assert words in shown, words
    with loose.owner() as owner:
        owner.execute(sa.delete(_private))
    shown = text(documents.incident_pdf(loose.book, "I-1"))
    for words in ("He does not answer.", "On the pier.", "Bankruptcies"):
        assert words not in shown, words
    assert "CASES (erased)" in shown
    assert "Reason erased" in shown


def test_a_text_that_was_changed_is_not_shown_as_the_ledgers(loose: World) -> None:
    name = loose.dispatch(7)
    describe(loose, "CASES", loose.consignment(name).media, (5, 9), "Bankruptcies")
    pass_time(loose, 105)
    with loose.owner() as owner:
        owner.execute(sa.update(_private).where(_private.c.text == "Bankruptcies").values(text="Lunch menus"))
    shown = text(documents.incident_pdf(loose.book, "I-1"))
    assert "Lunch menus" not in shown
    assert "it was changed, and is not the text that the ledger commits to" in shown


def test_nobody_is_named_unless_the_caller_names_them_and_no_address_ever(box: World) -> None:
    lose(box)
    shown = prose(text(documents.incident_pdf(box.book, "I-1")))
    assert "@" not in shown
    assert "250 taken" not in shown
    for name in CAST:
        assert not re.search(rf"\b{name}\b", shown, re.IGNORECASE), name
    known = {number: f"{name.title()} Example" for name, number in box.ids.items()}
    named = text(documents.incident_pdf(box.book, "I-1", known.get))
    assert f"{box.ids['carl']} Carl Example" in named
    assert "Mallory Example" not in named  # who has no part in it is not in the file


def test_the_chain_shows_both_keys_whole_and_what_became_of_each_hand_off(box: World) -> None:
    name = lose(box)
    shown = text(documents.incident_pdf(box.book, "I-1"))
    for person in ("ann", "carl"):
        key = box.keys[person].public.id
        assert " ".join(key[i : i + 8] for i in range(0, 64, 8)) in shown
    assert "Became recorded" in shown
    assert f"hand-off at NORTH from {box.ids['ann']} to {box.ids['carl']}" in shown
    assert box.consignment(name).state == "travelling"


def test_a_receipt_with_lines_missing_marks_exactly_those_media(box: World) -> None:
    name = box.dispatch(5)
    box.hand(name, "carl", "ben", missing=(2, 4), damaged=(5,))
    pass_time(box, 40)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert "RECEIVED, NOT COMPLETE: 5 media" in first
    assert f"Last proven holder {box.ids['ben']}" in first
    shown = " ".join(rest)
    assert "missing: 2 lines 2, 4; damaged: 1 line 5" in shown
    remarked = re.findall(
        r"(\d) (?:[0-9A-Z]{4} ){4}T\d{5}L8 not given none on record (missing|damaged)", shown
    )
    assert remarked == [("2", "missing"), ("4", "missing"), ("5", "damaged")]


def test_one_that_arrives_late_is_called_so_and_keeps_its_history(box: World) -> None:
    name = lose(box)
    box.hand(name, "carl", "ben")
    pass_time(box, 2)
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    assert "ARRIVED LATE: 7 media" in first
    assert "all-clear" in " ".join(rest)


def test_the_clocks_start_with_the_first_alert_and_say_when_they_have_run_out(box: World) -> None:
    name = lose(box)
    (rung,) = [line for line in documents.timeline(box.book, name) if "on rung 1:" in line.what]
    first, *rest = pages(documents.incident_pdf(box.book, "I-1"))
    shown = " ".join(rest)
    assert f"rung 1 of {box.alarm(name).id}, event {rung.event[:12]} (entry {rung.seq})" in shown
    assert "Runs out next GIRO, by telephone: 60 minutes" in first
    assert "PCPD: no statutory limit" in shown
    box.wait(minutes=62)
    first = pages(documents.incident_pdf(box.book, "I-1"))[0]
    assert "HAS RUN OUT GIRO, by telephone: 60 minutes" in first
    due = (rung.at + timedelta(hours=72 + 8)).strftime("%Y-%m-%d %H:%M:%S")
    assert f"GDPR Art. 33: 72 hours: {due}" in first


def test_a_month_of_silence_is_still_a_file_that_can_be_read(box: World) -> None:
    lose(box)
    for _ in range(100):
        box.at += timedelta(minutes=30)
        alarms.climb(box.book)
    lines = documents.timeline(box.book, "C-1")
    assert sum(", repeat " in line.what for line in lines) == 99
    shown = pages(documents.incident_pdf(box.book, "I-1"))
    assert len(shown) <= 7
    assert " ".join(shown).count("repeated, 99 times") == 3


def test_the_last_page_is_all_that_an_auditor_needs_besides_the_bundle(box: World) -> None:
    lose(box)
    data = documents.incident_pdf(box.book, "I-1")
    last = pages(data)[-1]
    report = box.audit()
    assert f"--genesis {report.genesis}" in last
    assert " ".join(report.policy[i : i + 8] for i in range(0, 64, 8)) in last
    assert f"entries 0 to {report.size - 1} of the log test.example/log" in last
    (pin,) = codes(data, len(pages(data)) - 1)
    assert audit.verify(
        io.BytesIO(box.bundle()), box.policy(), genesis=report.genesis, pins=[pin.encode()]
    ).sound


def test_the_same_book_gives_the_same_bytes_also_when_it_is_opened_again(box: World) -> None:
    name = lose(box)
    both = documents.manifest_pdf(box.book, name), documents.incident_pdf(box.book, "I-1")
    size = box.audit().size
    box.reopen()
    assert (documents.manifest_pdf(box.book, name), documents.incident_pdf(box.book, "I-1")) == both
    assert box.audit().size == size
