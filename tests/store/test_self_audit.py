"""Each night the book is compared with itself; where it differs the seniors hear of it, each night anew."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import timedelta

import pytest
from alarm.sink import Delivery, Sink
from store.test_fsck import change
from world import World

from custody.acts import alarms, daily
from custody.channels.email import Email, Relay
from custody.errors import Away, Conflict, NoRoom
from custody.facts import Difference
from custody.ledger.note import Checkpoint
from custody.monitor import Monitor
from custody.rules.daily import SelfAudit
from custody.store import home
from custody.store.queries import view

SENIORS = {"dana@home.test", "sam@home.test", "hal@home.test"}
EDIT = "UPDATE medium SET site = 'SOUTH' WHERE sighted_at IS NOT NULL"
MEND = "UPDATE medium SET site = 'NORTH' WHERE sighted_at IS NOT NULL"


@pytest.fixture(scope="module")
def template(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company that has lived: a trip that arrived, a find that was described; a full tile and a bit."""
    world = template.copy(tmp_path_factory.mktemp("lived"))
    world.hand(world.dispatch(1), "carl", "ben")
    alarms.sight(world.book, world.register(1)[0], "On a bench.")
    while Checkpoint.of(world.book.checkpoint()).size < 260:
        world.register(1)
    return world


@pytest.fixture
def copy(loose: World) -> World:
    """A copy of it, an hour before the night's comparison is owed."""
    loose.at = loose.at.replace(hour=1) + timedelta(days=1)
    return loose


def told(world: World, sink: Sink) -> list[Delivery]:
    """What a round of the monitor says of the book."""
    sink.deliveries.clear()
    relay = Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=60)
    Monitor(world.book, {"email": Email(relay, world.clock)}, "https://custody.test").round()
    return [each for each in sink.deliveries if "NOT WHOLE" in each.subject]


def outcome(world: World) -> SelfAudit:
    return world.get(SelfAudit, f"{world.at:%Y-%m-%d}")


def test_a_book_that_is_whole_is_told_to_nobody_and_said_in_the_ledger(box: World) -> None:
    assert daily.self_audit(box.book) == []
    assert outcome(box) == SelfAudit("2026-03-03", box.at, 0, None)
    with box.unmoved():
        assert daily.self_audit(box.book) is None, "once a night"
    with Sink(box.clock) as sink:
        assert told(box, sink) == []


def test_it_waits_for_the_night(box: World) -> None:
    box.at = box.at.replace(hour=1, minute=59) + timedelta(days=1)
    with box.unmoved():
        assert daily.self_audit(box.book) is None
    box.at += timedelta(minutes=1)
    assert daily.self_audit(box.book) == []


def test_an_edit_is_told_within_one_night_and_each_night_until_it_is_mended(copy: World) -> None:
    """Two processes look again and again, each night, and either may be the one that compares."""
    change(copy, EDIT)
    twin = home.open_book(copy.folder, copy.clock, secrets.token_bytes)
    mails: list[Delivery] = []
    with Sink(copy.clock) as sink:
        for night in range(4):
            if night == 3:
                change(copy, MEND)
            for hour in (1, 2, 3, 23):
                copy.at = copy.at.replace(hour=hour)
                for book in (copy.book, twin) if night % 2 else (twin, copy.book):
                    daily.self_audit(book)
                mails += told(copy, sink)
            copy.at += timedelta(hours=2)
    twin.engine.dispose()
    assert Counter(each.to for each in mails) == dict.fromkeys(SENIORS, 3)
    assert {each.at.hour for each in mails} == {2}
    assert copy.get(SelfAudit, f"{mails[-1].at + timedelta(days=1):%Y-%m-%d}").differences == 0
    copy.check()


def test_the_mail_says_how_many_and_where_and_nothing_else(copy: World) -> None:
    change(copy, "UPDATE person SET contact = 'c' WHERE id = 'P-9'")
    change(copy, EDIT)
    copy.at += timedelta(hours=1)
    found = daily.self_audit(copy.book)
    assert found is not None
    assert len(found) == 2
    with Sink(copy.clock) as sink:
        mail = told(copy, sink)[0]
    assert mail.subject == "THE BOOK IS NOT WHOLE: 2 differences from its own ledger"
    assert "found the first in the tables" in mail.body
    assert "`custody fsck`" in mail.body
    for secret in ("P-9", "contact", "T00000L8", *(each.words for each in found)):
        assert secret not in mail.body


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE entry SET data = :zeros WHERE seq = 40", "entries"),
        ("UPDATE tile SET hashes = :zeros WHERE level = 0", "tiles"),
        ("UPDATE checkpoint SET note = 'frog' WHERE size = 2", "checkpoints"),
        ("DELETE FROM alarm WHERE id = 'A-2'", "tables"),
        ("DELETE FROM mention WHERE subject = 'C-1'", "histories"),
        ("UPDATE private SET text = 'In a safe.' WHERE text = 'On a bench.'", "texts"),
        ("DELETE FROM outbox WHERE notice = (SELECT min(notice) FROM outbox)", "outbox"),
        (
            "UPDATE outbox SET notice = ' in the table ' WHERE notice = (SELECT min(notice) FROM outbox)",
            "outbox",
        ),
        ("UPDATE consignment SET media = '{}'", "tables"),
        ("ALTER TABLE mention RENAME TO lost", "book"),
    ],
)
def test_the_kind_of_the_first_difference_is_named(copy: World, statement: str, place: Difference) -> None:
    """The last is a table that nobody can read any more: that is told, and is no way to be spared."""
    change(copy, statement)
    copy.at += timedelta(hours=1)
    assert daily.self_audit(copy.book)
    assert outcome(copy).first == place


def test_a_trigger_that_is_taken_away_under_a_running_server_is_told(copy: World) -> None:
    copy.at += timedelta(hours=1)
    with copy.owner() as owner:
        copy.drop(owner, "entry_keeps")
    with view(copy.book, copy.ids["olga"]) as olgas:
        assert olgas.unguarded().startswith("The trigger entry_keeps is missing from the book")
    found = daily.self_audit(copy.book)
    assert found is not None
    assert [each.place for each in found] == ["book"]
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


@pytest.mark.parametrize(
    "problem", [Away("the database is away"), Conflict("a helper was ended"), NoRoom("the disk is full")]
)
def test_a_comparison_that_could_not_be_made_is_made_again_and_in_the_morning_told(
    copy: World, problem: Exception
) -> None:
    copy.at += timedelta(hours=1)

    def fails(_done: int, _of: int) -> None:
        raise problem

    with copy.unmoved(), pytest.raises(type(problem)):
        daily.self_audit(copy.book, fails)
    assert daily.self_audit(copy.book) == []
    copy.at += timedelta(days=1, hours=4)
    found = daily.self_audit(copy.book, fails)
    assert found is not None
    assert [each.place for each in found] == ["book"]
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


@pytest.mark.on("sqlite")  # the other looks at what it is given
@pytest.mark.parametrize("words", ["disk is full", "No space left", "ENOSPC", "unable to open"])
def test_no_row_can_silence_it(copy: World, words: str) -> None:
    """SQLite quotes a text that it cannot read, and what it quotes is not what has gone wrong."""
    change(copy, EDIT)
    quoted = f"{words} ".encode() + b"\xff"
    change(copy, "INSERT INTO mention VALUES (CAST(:quoted AS TEXT), 3)", quoted=quoted)
    copy.at += timedelta(hours=1)
    assert daily.self_audit(copy.book)
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


def test_a_comparison_that_lasts_past_midnight_counts_once(copy: World) -> None:
    copy.at += timedelta(hours=1)

    def slow(_done: int, of: int) -> None:
        del of
        copy.at = copy.at.replace(hour=0, minute=30) + timedelta(days=1)

    assert daily.self_audit(copy.book, slow) == []
    assert outcome(copy).at == copy.at
    copy.at += timedelta(hours=3)
    assert daily.self_audit(copy.book) is None


def test_the_board_of_the_house_says_what_came_of_it(copy: World) -> None:
    with view(copy.book, copy.ids["olga"]) as olgas:
        assert olgas.self_audit() is None
    for _ in range(2):
        copy.at += timedelta(days=1, hours=1)
        daily.self_audit(copy.book)
        with view(copy.book, copy.ids["olga"]) as olgas:
            assert olgas.self_audit() == outcome(copy)
