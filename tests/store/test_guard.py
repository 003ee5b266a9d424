"""The guard trusts no table: neither whether it has looked, nor whom to tell, nor what is to be told.

What an owner of the file, or of the tables, does to silence it is done here.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alarm.sink import Delivery, Sink
from rounds import go_round, watch
from store.test_fsck import change
from structlog.testing import capture_logs
from world import START, World

from custody import guard as module
from custody.acts import alarms, daily
from custody.channels.email import Email, Relay
from custody.errors import Away, Conflict, NoRoom
from custody.facts import Difference, Granted, SelfAudited
from custody.guard import Guard
from custody.ledger.note import Checkpoint
from custody.rules.alarms import Notice
from custody.rules.daily import SelfAudit
from custody.rules.people import Person
from custody.store import home
from custody.store.book import Book
from custody.store.queries import view
from custody.store.verdict import Verdict, VerdictFile

SENIORS = {"dana@home.test", "sam@home.test", "hal@home.test"}
EDIT = "UPDATE medium SET site = 'SOUTH' WHERE sighted_at IS NOT NULL"
MEND = "UPDATE medium SET site = 'NORTH' WHERE sighted_at IS NOT NULL"
FUTURE = b"""{"compared":"2099-01-01T00:00:00.000Z","differences":0,"looked":"2099-01-01T00:00:00.000Z",\
"missed":0,"told":true}"""
OPEN: list[Book] = []


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
    """A copy of it, in the night's first hour in which a comparison is owed."""
    loose.at = loose.at.replace(hour=2) + timedelta(days=1)
    return loose


@pytest.fixture(autouse=True)
def opened() -> Iterator[None]:
    """The guards' own books are closed."""
    yield
    while OPEN:
        OPEN.pop().engine.dispose()


def guard(world: World, verdict: Path | None = None) -> Guard:
    """One that begins, with the book open in a process of its own."""
    OPEN.append(home.open_book(world.folder, world.clock, secrets.token_bytes))
    return Guard(OPEN[-1], VerdictFile(verdict or world.folder))


def person(world: World, name: str) -> Person:
    return world.get(Person, world.ids[name])


def watching(world: World) -> Guard:
    """One that has read the ledger already, and begins to look."""
    begun = guard(world)
    assert begun.compare() == []
    assert begun.look() == []
    return begun


def told(world: World, sink: Sink) -> list[Delivery]:
    """What a round of the monitor says of the book."""
    sink.deliveries.clear()
    relay = Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=60)
    go_round(watch(world.book, Email(relay, world.clock)))
    return [each for each in sink.deliveries if "NOT WHOLE" in each.subject or "STAND" in each.subject]


def outcomes(world: World) -> list[SelfAudit]:
    """What the ledger says was found, oldest first."""
    report = world.audit()
    assert report.sound
    return list(report.world.all(SelfAudit))


def verdict(world: World) -> Verdict:
    found = VerdictFile(world.folder).read()
    assert found is not None
    return found


def silent(world: World) -> str:
    """Why no sign of life may be given; empty where it may."""
    return VerdictFile(world.folder).silences(world.at)


# ------------------------------------------------------------------------------------- each night


def test_a_book_that_is_whole_is_told_to_nobody_and_said_in_the_ledger(copy: World) -> None:
    watching(copy)
    assert [(each.at, each.differences, each.first) for each in outcomes(copy)] == [(copy.at, 0, None)]
    assert verdict(copy) == Verdict(copy.at, 0, copy.at, 0, told=True)
    assert silent(copy) == ""
    with Sink(copy.clock) as sink:
        assert told(copy, sink) == []
    with copy.unmoved():
        guard(copy).compare()


def test_it_is_owed_when_it_begins_and_each_night_and_no_more(copy: World) -> None:
    begun = guard(copy)
    assert begun.owes() == "it was never done"
    begun.compare()
    nights = []
    for _ in range(3 * 24 * 4):
        copy.at += timedelta(minutes=15)
        if begun.owes():
            nights.append(copy.at)
            begun.compare()
    assert [f"{night:%d %H:%M}" for night in nights] == ["05 02:00", "06 02:00", "07 02:00"]
    assert guard(copy).owes() == "it was not read since the guard began", "and not taken on trust"


@pytest.mark.on("sqlite")  # of the file it is, whatever the book is in
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"frog", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"compared":"2099-01-01T00:00:00.000Z"}', "cannot be read"),
        (b"\xff" * 2_000_000, "cannot be read"),
        (FUTURE, "of a time that has not come"),
    ],
)
def test_a_file_that_is_broken_or_of_the_future_is_never_done(copy: World, content: bytes, why: str) -> None:
    begun = watching(copy)
    VerdictFile(copy.folder).path.write_bytes(content)
    assert why in begun.owes()
    assert why in silent(copy)
    begun.compare()
    assert begun.owes() == ""
    assert silent(copy) == ""


def test_rows_of_the_future_end_nothing(copy: World) -> None:
    """They were taken for the comparisons of the nights to come; and one stands where this night's would."""
    begun = watching(copy)
    size = len(outcomes(copy))
    days = [f"{copy.at + timedelta(days=n):%Y-%m-%d}" for n in range(400)]
    with copy.unguarded() as owner:
        row = "INSERT INTO self_audit VALUES (:day, :at, 0, NULL)"
        owner.execute(sa.text(row), [{"day": day, "at": f"{day}T02:00:00.000Z"} for day in days])
    for begun_anew in (False, True):
        copy.at += timedelta(days=1)
        here = guard(copy) if begun_anew else begun
        assert here.owes()
        found = here.compare()
        assert len(found) == len(days)
        assert "in the table self_audit is not what the ledger says" in found[0].words
        with Sink(copy.clock) as sink:
            assert {each.to for each in told(copy, sink)} == SENIORS
    assert [each.differences for each in outcomes(copy)[size:]] == [len(days)] * 2
    with view(copy.book, copy.ids["olga"]) as olgas:
        newest = olgas.self_audit()
    assert newest is not None
    assert newest.at <= copy.at, "what has not come is not shown as the last"


def test_a_row_that_stands_where_the_next_would_is_written_over(copy: World) -> None:
    """Its id is its event's, which a clock and a guess could tell beforehand."""
    with copy.book.page("monitor") as page:
        event = page.record(SelfAudited(0)).event
        page.connection.execute(
            sa.text("INSERT INTO self_audit VALUES (:id, '2099-01-01T00:00:00.000Z', 7, 'book')"),
            {"id": event},
        )
    assert copy.get(SelfAudit, event) == SelfAudit(event, copy.at, 0, None)


def test_an_edit_is_told_within_one_night_and_each_night_until_it_is_mended(copy: World) -> None:
    """Two servers of one book have a guard each; a third begins late on each day. All find it; one tells."""
    change(copy, EDIT)
    (other := copy.folder.parent / "other").mkdir()
    guards = [guard(copy), guard(copy, other)]
    mails: list[Delivery] = []
    with Sink(copy.clock) as sink:
        for night in range(4):
            if night == 3:
                change(copy, MEND)
            for hour in (2, 3, 23):
                copy.at = copy.at.replace(hour=hour)
                anew = [guard(copy)] if hour == 23 else []
                for each in (*guards[:: -1 if night % 2 else 1], *anew):
                    if each.owes():
                        each.compare()
                    each.look()
                mails += told(copy, sink)
            copy.at += timedelta(hours=2)
    assert Counter(each.to for each in mails) == dict.fromkeys(SENIORS, 3)
    assert {each.at.hour for each in mails} == {2}
    assert [each.differences for each in outcomes(copy)] == [1, 1, 1, 0]
    copy.check()


def test_the_mail_says_how_many_and_where_and_nothing_else(copy: World) -> None:
    change(copy, "UPDATE person SET contact = 'c' WHERE id = 'P-9'")
    change(copy, EDIT)
    found = guard(copy).compare()
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
    assert guard(copy).compare()
    with copy.book.world() as world:
        assert [each.first for each in world.all(SelfAudit)] == [place]
    assert silent(copy) == "the book is not whole"


def test_a_trigger_that_is_taken_away_under_a_running_server_is_told(copy: World) -> None:
    begun = guard(copy)
    with copy.owner() as owner:
        copy.drop(owner, "entry_keeps")
    with view(copy.book, copy.ids["olga"]) as olgas:
        assert olgas.unguarded().startswith("The trigger entry_keeps is missing from the book")
    assert [each.place for each in begun.compare()] == ["book"]
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


@pytest.mark.parametrize(
    "problem", [Away("the database is away"), Conflict("a helper was ended"), NoRoom("the disk is full")]
)
def test_a_comparison_that_could_not_be_made_is_made_again_and_in_the_morning_told(
    copy: World, problem: Exception
) -> None:
    begun = guard(copy)

    def fails(_done: int, _of: int) -> None:
        raise problem

    with copy.unmoved(), pytest.raises(type(problem)):
        begun.compare(fails)
    assert begun.owes(), "it was not done"
    assert begun.compare() == []
    copy.at += timedelta(days=1, hours=4)
    assert [each.place for each in begun.compare(fails)] == ["book"]
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


@pytest.mark.on("sqlite")  # the other looks at what it is given
@pytest.mark.parametrize("words", ["disk is full", "No space left", "ENOSPC", "unable to open"])
def test_no_row_can_silence_it(copy: World, words: str) -> None:
    """SQLite quotes a text that it cannot read, and what it quotes is not what has gone wrong."""
    change(copy, EDIT)
    quoted = f"{words} ".encode() + b"\xff"
    change(copy, "INSERT INTO mention VALUES (CAST(:quoted AS TEXT), 3)", quoted=quoted)
    assert guard(copy).compare()
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS


def test_the_board_of_the_house_says_what_came_of_it(copy: World) -> None:
    with view(copy.book, copy.ids["olga"]) as olgas:
        assert olgas.self_audit() is None
    begun = guard(copy)
    for _ in range(2):
        copy.at += timedelta(days=1)
        begun.compare()
        with view(copy.book, copy.ids["olga"]) as olgas:
            assert olgas.self_audit() == outcomes(copy)[-1]


# --------------------------------------------------------------------------------------- whom it tells


def test_an_address_that_was_deleted_is_told_to_the_others(copy: World) -> None:
    begun = watching(copy)
    contact = person(copy, "sam").contact
    change(copy, "DELETE FROM private WHERE commitment = :contact", contact=contact)
    copy.at += timedelta(seconds=30)
    assert [each.words for each in begun.look()] == [
        f"The address of {copy.ids['sam']} is gone or changed: no alert reaches them."
    ]
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS - {"sam@home.test"}
    assert silent(copy) == "the book is not whole"


def test_seniors_are_those_of_the_ledger_whatever_the_table_says(copy: World) -> None:
    """Else it would be enough to take their roles away in it."""
    begun = watching(copy)
    change(copy, "UPDATE person SET grants = '[]' WHERE id NOT IN ('P-1')")
    copy.at += timedelta(seconds=30)
    assert begun.look()
    anew = guard(copy)
    copy.at += timedelta(days=1)
    assert anew.compare()
    with copy.book.world() as world:
        hers = Counter(n.person for n in world.all(Notice) if n.matter == "self-audited")
    assert hers == {copy.ids[name]: 2 for name in ("dana", "sam", "hal")}


@pytest.mark.parametrize("way", ["at night", "at once"])
def test_where_nobody_can_be_told_it_says_so_loudly(copy: World, way: str) -> None:
    begun = watching(copy)
    change(copy, "DELETE FROM private")
    copy.at += timedelta(seconds=30)
    with capture_logs() as logs:
        for _ in range(2):
            assert begun.look() if way == "at once" else begun.compare()
    loud = [line for line in logs if line["log_level"] == "error"]
    assert sum("nobody can be told" in line["event"] for line in loud) >= 1
    assert not begun.sound
    assert silent(copy) == "the book is not whole, and nobody could be told"
    with Sink(copy.clock) as sink:
        assert told(copy, sink) == []
    assert [each.differences > 0 for each in outcomes(copy)] == [False, True], "and once in the ledger"


def test_whoever_can_be_told_again_is_told_then(copy: World) -> None:
    begun = watching(copy)
    with copy.book.read() as connection:
        row = connection.execute(
            sa.text("SELECT * FROM private WHERE commitment = :contact"),
            {"contact": person(copy, "sam").contact},
        ).one()
    change(copy, "DELETE FROM private")
    copy.at += timedelta(seconds=30)
    begun.look()
    with copy.unguarded() as owner:
        owner.execute(sa.text("INSERT INTO private VALUES (:commitment, :salt, :text)"), row._asdict())
    copy.at += timedelta(seconds=30)
    begun.look()
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == {"sam@home.test"}


def test_a_person_who_is_in_no_table_stops_nobody_from_being_told(copy: World) -> None:
    change(copy, "DELETE FROM person WHERE id = :dana", dana=copy.ids["dana"])
    copy.reopen()
    copy.at += timedelta(days=1)
    assert guard(copy).compare()
    with Sink(copy.clock) as sink:
        assert {each.to for each in told(copy, sink)} == SENIORS - {"dana@home.test"}


def test_what_cannot_be_recorded_is_recorded_later_and_silences_at_once(
    copy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = watching(copy)
    change(copy, "DELETE FROM outbox WHERE notice = (SELECT min(notice) FROM outbox)")

    def full(*_: object, **__: object) -> None:
        raise NoRoom("the disk is full")

    copy.at += timedelta(seconds=30)
    with monkeypatch.context() as patch:
        patch.setattr(begun._book, "page", full)
        with copy.unmoved():
            assert begun.look()
            assert begun.look()
    assert silent(copy) == "the book is not whole, and nobody could be told"
    begun.look()
    assert silent(copy) == "the book is not whole"
    assert [each.differences for each in outcomes(copy)] == [0, 1]


# ------------------------------------------------------------------------------------ what cannot wait

FIRST = "(SELECT min(notice) FROM outbox)"


@pytest.mark.parametrize(
    ("statements", "place"),
    [
        (["DELETE FROM outbox WHERE notice = {FIRST}"], "outbox"),
        (["DELETE FROM notice WHERE id = {FIRST}", "DELETE FROM outbox WHERE notice = {FIRST}"], "outbox"),
        (
            [
                "UPDATE notice SET accepted_at = scheduled, outcome = 'accepted' WHERE id = {FIRST}",
                "DELETE FROM outbox WHERE notice = {FIRST}",
            ],
            "outbox",
        ),
        (["UPDATE outbox SET not_before = '2099-01-01T00:00:00.000Z' WHERE notice = {FIRST}"], "outbox"),
        (["UPDATE outbox SET lease = '2099-01-01T00:00:00.000Z' WHERE notice = {FIRST}"], "outbox"),
        (["UPDATE outbox SET person = 'P-99' WHERE notice = {FIRST}"], "outbox"),
        (["UPDATE outbox SET priority = 9 WHERE notice = {FIRST}"], "outbox"),
        (["UPDATE person SET grants = '[]' WHERE id = 'P-10'"], "tables"),
        (["UPDATE person SET contact = 'c' WHERE id = 'P-10'"], "tables"),
        (["INSERT INTO pin VALUES ('2026-03-05', 3)"], "tables"),
        (["UPDATE log SET last = '2099-01-01T00:00:00.000Z'"], "tables"),
        (["UPDATE organisation SET until = '2000-01-01T00:00:00.000Z' WHERE id = 'FLEET'"], "tables"),
        (["DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)"], "entries"),
        (["DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)"], "entries"),
        (["UPDATE checkpoint SET note = 'frog' WHERE size = (SELECT max(size) FROM checkpoint)"], "entries"),
        (["ALTER TABLE outbox RENAME TO lost"], "book"),
    ],
)
def test_what_is_done_to_a_table_is_told_at_the_next_look(
    copy: World, statements: list[str], place: Difference
) -> None:
    """The triggers are gone while it is done, and are back before anybody looks."""
    begun = watching(copy)
    for statement in statements:
        change(copy, statement.format(FIRST=FIRST))
    copy.at += timedelta(seconds=30)
    with capture_logs():
        assert {each.place for each in begun.look()} == {place}
        assert silent(copy).startswith("the book is not whole")
        begun.look()
    with copy.book.world() as world:
        said = [each for each in world.all(SelfAudit) if each.differences]
    if place not in ("entries", "book"):  # without its newest entry or the outbox nothing can be recorded
        assert [each.first for each in said] == [place], "and is told once"


def test_an_alarm_that_stands_still_is_told(copy: World) -> None:
    """Whatever the alarm's own row says of when it is due: here, that it never is."""
    name = copy.dispatch(1)
    begun = watching(copy)
    change(copy, "UPDATE alarm SET next_at = NULL WHERE id = :id", id=copy.alarm(name).id)
    copy.at += timedelta(minutes=47)
    assert alarms.climb(copy.book).climbed == 0
    assert begun.look() == [], "a machine that slept climbs in a moment"
    copy.at += timedelta(seconds=30)
    (found,) = begun.look()
    assert (found.place, found.words.split(" owes")[0]) == ("alarms", copy.alarm(name).id)
    with Sink(copy.clock) as sink:
        mails = told(copy, sink)
    assert {(each.to, each.subject) for each in mails} == {
        (senior, "ALARMS STAND STILL: nobody is told what is due") for senior in SENIORS
    }
    assert "by telephone" in mails[0].body
    assert silent(copy) == "the book is not whole"


@pytest.mark.on("sqlite")
def test_an_alarm_that_climbs_in_time_is_no_finding(copy: World) -> None:
    """Nor one that owes an all-clear, nor one that a clock which jumped an hour has made owe everything."""
    lost, comes = copy.dispatch(1), copy.dispatch(1)
    begun = watching(copy)
    for minute in range(40, 130, 2):
        copy.wait(minutes=40 if minute == 40 else 2)
        if minute == 100:
            copy.hand(comes, "carl", "ben")
        assert begun.look() == []
    copy.at += timedelta(hours=1)
    assert begun.look() == []
    copy.wait(minutes=1)
    assert begun.look() == []
    assert len(copy.told(lost)) > 5


def test_it_reads_the_ledger_on(copy: World) -> None:
    """Whoever becomes a senior, and a notice that came meanwhile, are seen without a comparison."""
    begun = watching(copy)
    copy.sign("ada", Granted(copy.ids["dora"], person(copy, "dana").grants))
    copy.at += timedelta(seconds=30)
    assert begun.look() == []
    change(copy, "DELETE FROM outbox WHERE notice LIKE 'E-%' AND person = :dora", dora=copy.ids["dora"])
    assert {each.place for each in begun.look()} == {"outbox"}
    with copy.book.world() as world:
        assert copy.ids["dora"] in {n.person for n in world.all(Notice) if n.matter == "self-audited"}


def test_what_is_mended_is_compared_again_and_then_the_sign_is_given(copy: World) -> None:
    begun = watching(copy)
    change(copy, "UPDATE person SET contact = 'c' || contact WHERE id = 'P-9'")
    begun.look()
    copy.at += timedelta(seconds=30)
    change(copy, "UPDATE person SET contact = substr(contact, 2) WHERE id = 'P-9'")
    assert begun.owes() == ""
    assert begun.look() == []
    assert begun.owes() == "what was missing is there again"
    assert begun.compare() == []
    assert silent(copy) == ""
    assert [each.differences for each in outcomes(copy)] == [0, 1, 0]
    change(copy, "UPDATE person SET contact = 'c' || contact WHERE id = 'P-9'")
    copy.at += timedelta(minutes=10)
    begun.look()
    assert [each.differences for each in outcomes(copy)] == [0, 1, 0, 1], "what comes again is told again"


@pytest.mark.on("sqlite")  # what is told when is not the database's
def test_what_breaks_again_and_again_is_told_together(copy: World) -> None:
    """A notice is deleted every two minutes, for half an hour; no sign of life is given meanwhile."""
    begun = watching(copy)
    with copy.book.read() as connection:
        count = connection.scalar(sa.text("SELECT count(*) FROM outbox"))
    assert count
    with capture_logs():
        for _ in range(15):
            copy.at += timedelta(minutes=2)
            with copy.unguarded() as owner:
                owner.execute(sa.text("DELETE FROM outbox WHERE notice = (SELECT min(notice) FROM outbox)"))
            assert begun.look()
            assert silent(copy).startswith("the book is not whole")
    said = [each.differences for each in outcomes(copy) if each.differences]
    assert said[0] == 1
    assert said == sorted(set(said)), "each with what came since"
    assert len(said) == 3


def test_a_ledger_that_was_set_back_is_told_and_compared_at_once(copy: World, tmp_path: Path) -> None:
    """A failover that lost what was answered, say: whole in itself, and not what was read before."""
    older = copy.copy(tmp_path / "older")
    copy.register(1)
    begun = watching(copy)
    begun._book = older.book
    begun._ledger._book = older.book  # type: ignore[union-attr]  # it was read
    assert [each.place for each in begun.look()] == ["entries"]
    assert begun.owes() == "the ledger could not be read on"
    assert begun.compare() == []
    assert begun.look() == []
    assert silent(copy) == ""
    older.book.engine.dispose()


# --------------------------------------------------------------------------------- the sign of life


@pytest.mark.parametrize(
    ("change_of", "why"),
    [
        ({}, ""),
        ({"compared": timedelta(hours=-26)}, ""),
        ({"compared": timedelta(hours=-26, seconds=-1)}, "the book was last compared with its ledger at"),
        ({"looked": timedelta(minutes=-15)}, ""),
        ({"looked": timedelta(minutes=-16)}, "the guard has not looked since"),
        ({"compared": timedelta(minutes=1)}, ""),
        ({"compared": timedelta(minutes=2)}, "of a time that has not come"),
        ({"looked": timedelta(days=365)}, "of a time that has not come"),
        ({"differences": 1}, "the book is not whole"),
        ({"missed": 1}, "the book is not whole"),
        ({"missed": 1, "told": False}, "and nobody could be told"),
    ],
)
def test_a_sign_of_life_is_given_only_while_the_guard_allows_it(
    change_of: dict[str, object], why: str
) -> None:
    given = {"compared": timedelta(), "differences": 0, "looked": timedelta(), "missed": 0, "told": True}
    changed = {**given, **change_of}
    values = {n: START + v if isinstance(v, timedelta) else v for n, v in changed.items()}
    said = Verdict(**values).silences(START)  # type: ignore[arg-type]  # as given above
    assert why in said
    assert bool(said) == bool(why)


def test_the_monitor_gives_it_only_then_and_says_why_not(box: World) -> None:
    beats: list[datetime] = []
    file = VerdictFile(box.folder)
    with Sink(box.clock) as sink:
        email = Email(Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=60), box.clock)
        monitor = watch(box.book, email, beat=lambda: beats.append(box.at), guard=file)
        go_round(monitor)  # what was to be told so far is told
        begun = guard(box)
        for allowed in (False, True, False):
            if allowed:
                begun.compare()
            box.at += timedelta(minutes=10)
            beats.clear()
            with capture_logs() as logs:
                for _ in range(3):
                    go_round(monitor)
                    if monitor._beating is not None:
                        monitor._beating.join()
            assert bool(beats) == allowed
            said = {line["why"] for line in logs if line["event"] == "no sign of life is given"}
            assert said == (set() if allowed else {file.silences(box.at)})


def test_without_a_verdict_no_sign_is_given(box: World) -> None:
    assert silent(box).startswith("no guard has compared the book")
    VerdictFile(box.folder).path.mkdir()
    assert silent(box).startswith("the guard's verdict cannot be read")
    begun = guard(box)
    with capture_logs() as logs:
        begun.compare()
    assert "the guard's verdict cannot be written" in [line["event"] for line in logs]
    assert begun.owes() == "", "and it is not done again and again for that"
    VerdictFile(box.folder).path.rmdir()


def test_a_look_reads_no_table_that_grows_with_the_years(copy: World) -> None:
    """It is made twice a minute."""
    begun, asked = watching(copy), []

    def hear(*given: Any) -> None:
        asked.append(given[2])

    sa.event.listen(begun._book.engine, "before_cursor_execute", hear)
    assert begun.look() == []
    sa.event.remove(begun._book.engine, "before_cursor_execute", hear)
    read = {name for statement in asked for name in re.findall(r"\\b(?:FROM|JOIN) (\\w+)", statement)}
    few = {"log", "organisation", "site", "person", "device", "route", "pin", "self_audit", "account"}
    assert read - few <= {"entry", "checkpoint", "private", "outbox"}, "and of these what is new, or waits"


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def test_it_goes_on_by_itself_until_it_is_stopped(copy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares when it begins, and looks meanwhile; a broken file is made anew."""
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(module, "ASK_EVERY", 0.01)
    begun, stop, file = guard(copy), threading.Event(), VerdictFile(copy.folder)
    running = threading.Thread(target=begun.run, args=(stop,))
    running.start()
    try:
        until(lambda: silent(copy) == "")
        file.path.write_bytes(b"frog")
        until(lambda: silent(copy) == "")
        change(copy, "DELETE FROM outbox WHERE notice = (SELECT min(notice) FROM outbox)")
        until(lambda: verdict(copy).missed)
        assert not begun.sound
    finally:
        stop.set()
        running.join(60)
    assert not running.is_alive()


def test_a_comparison_under_way_does_not_outlast_the_guard(
    copy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stop, began = guard(copy), threading.Event(), threading.Event()

    def endless(_book: Book, tell: Callable[[int, int], None]) -> None:
        began.set()
        while True:
            tell(0, 1)

    monkeypatch.setattr(daily, "compare", endless)
    running = threading.Thread(target=begun.run, args=(stop,))
    running.start()
    assert began.wait(60)
    stop.set()
    running.join(60)
    assert not running.is_alive()


def test_a_mistake_in_the_guard_ends_neither_comparing_nor_looking(
    copy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_EVERY", 0.01)
    tried = []

    def breaks(_book: Book, _tell: object) -> None:
        tried.append(1)
        raise Away("not now") if len(tried) % 2 else ZeroDivisionError

    monkeypatch.setattr(daily, "compare", breaks)
    begun, stop = guard(copy), threading.Event()
    running = threading.Thread(target=begun.run, args=(stop,))
    with capture_logs():
        running.start()
        until(lambda: len(tried) > 4)
        stop.set()
        running.join(60)
    assert begun.look() == [], "nothing was read yet"


def test_the_file_is_its_owners_alone(copy: World) -> None:
    watching(copy)
    assert VerdictFile(copy.folder).path.stat().st_mode & 0o077 == 0
    assert verdict(copy).compared.tzinfo is UTC
