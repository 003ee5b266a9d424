"""The book: all or nothing, once or never, and nothing of the ledger is ever changed."""

from __future__ import annotations

import base64
import contextlib
import multiprocessing
import re
import secrets
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import SQLModel
from world import START, World, new_key

import custody.store.tables  # noqa: F401 - defines the tables
from custody import orders
from custody.acts import alarms, consignments, people, signing
from custody.errors import Conflict, Forged, Impossible, NoRoom, NotFound, Refusal, Unreadable, Untrusted
from custody.facts import EVENTS_MOST, Approved, Enrolled, Recipient, Rung, SelfAudited, SiteOpened, Statement
from custody.ledger.envelope import Envelope, Signature, pae
from custody.ledger.keys import SigningKey, one_spelling
from custody.ledger.note import Checkpoint, LogKey
from custody.rules.consignments import Route
from custody.rules.people import Site
from custody.store import export, home
from custody.store.book import Book
from custody.store.nouns import SHELVES
from custody.store.triggers import TRIGGERS


def counts(book: Book) -> dict[str, int]:
    """How many rows each table has."""
    with book.read() as connection:
        return {
            name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for name, table in SQLModel.metadata.tables.items()
        }


def site(number: int) -> SiteOpened:
    return SiteOpened("P-1", f"S-{number}", "UTC")


def raw(world: World) -> sqlite3.Connection:
    """The file's owner at work: a connection without any of our settings."""
    world.book.engine.dispose()
    return sqlite3.connect(world.folder / "book.db", isolation_level=None)


# --------------------------------------------------------------------------------------------- one act


class Mishap(Exception):  # noqa: N818 - not an error of the program's
    pass


def test_an_exception_within_an_act_leaves_nothing_of_it(box: World) -> None:
    before = counts(box.book)
    with pytest.raises(Mishap), box.book.page("web") as page:  # noqa: PT012 - it is raised after the writing
        page.private("a name")
        page.record(site(1))
        raise Mishap
    assert counts(box.book) == before
    with box.book.world() as world:
        assert world.find(Site, "S-1") is None
    with box.book.page("web") as page:
        page.record(site(1))
    after = counts(box.book)
    assert after == {**before, **{name: before[name] + 1 for name in ("site", "checkpoint")}} | {
        "entry": before["entry"] + 2,
        "mention": after["mention"],
    }


def test_a_refusal_half_way_leaves_nothing_of_the_act(box: World) -> None:
    before = counts(box.book)
    with pytest.raises(Impossible), box.book.page("web") as page:  # noqa: PT012 - the second is refused
        page.record(site(1))
        page.record(SiteOpened("P-1", "NORTH", "UTC"))
    assert counts(box.book) == before


def test_a_page_on_which_nothing_is_recorded_writes_nothing(box: World) -> None:
    before = counts(box.book)
    with box.book.page("web"):
        pass
    assert counts(box.book) == before


@pytest.mark.parametrize("count", [EVENTS_MOST - 50, EVENTS_MOST])
def test_the_longest_act(box: World, count: int) -> None:
    """What `room` promises can be recorded: the monitor fills pages up to it in a burst of alarms."""
    with box.book.page("web") as page:
        for number in range(count):
            page.record(site(number))
    with box.book.world() as world:
        assert world.find(Site, f"S-{count - 1}") is not None


def test_an_act_that_is_too_long_is_refused_whole(box: World) -> None:
    before = counts(box.book)
    with pytest.raises(Conflict, match="in parts"), box.book.page("web") as page:  # noqa: PT012 - a long act
        for number in range(EVENTS_MOST + 1):
            page.record(site(number))
    assert counts(box.book) == before


# ----------------------------------------------------------------------------------------------- crashes


class Crash(BaseException):
    """As if the process had ended here."""


@contextlib.contextmanager
def crashing(book: Book, when: int) -> Iterator[list[str]]:
    """The process ends at the n-th statement from here on; gives the statements that came through."""
    ran: list[str] = []

    def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if len(ran) == when:
            raise Crash
        ran.append(statement)

    def commit(_: Any) -> None:
        before(None, None, "COMMIT")

    sa.event.listen(book.engine, "before_cursor_execute", before)
    sa.event.listen(book.engine, "commit", commit)
    try:
        yield ran
    finally:
        sa.event.remove(book.engine, "before_cursor_execute", before)
        sa.event.remove(book.engine, "commit", commit)


@pytest.mark.parametrize("fresh", [True, False], ids=["a process's first act", "a later act"])
def test_a_crash_at_any_statement_leaves_all_of_an_act_or_nothing(box: World, fresh: bool) -> None:  # noqa: FBT001
    """And whoever was told of a crash can do it again: what was told to have failed did not happen."""
    name = box.request(3)
    for when in range(200):
        box.reopen()
        if not fresh:
            box.register(1)
        before = counts(box.book)
        size = before["entry"]
        try:
            with crashing(box.book, when) as ran:
                box.approve(name)
        except Crash:
            box.reopen()
            assert counts(box.book) == before, f"something stayed of a crash at {ran[-1:]}"
            continue
        assert counts(box.book)["entry"] == size + 2
        break
    assert when > 10, "there are more statements than this"
    assert box.consignment(name).state == "approved"


def test_a_crash_between_commit_and_answer_leaves_all_of_it_and_the_repeat_finds_it(box: World) -> None:
    """The other half: it persisted, and nobody was told. The phones send it again."""
    name = box.request(2)
    box.approve(name)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    both = box.both(payload, "ann", "carl")

    def crash(*_: Any) -> None:
        raise Crash

    sa.event.listen(box.book.engine, "checkin", crash)  # the line goes back once the commit is through
    try:
        with pytest.raises(Crash):
            signing.submit(box.book, payload, both)
    finally:
        sa.event.remove(box.book.engine, "checkin", crash)
    for again in (lambda: None, box.reopen):  # the process that was told of a crash, and another
        again()
        before = counts(box.book)
        outcome = signing.submit(box.book, payload, both)
        assert outcome.seq == before["entry"] - 2, "the event, and when it was received"
        assert counts(box.book) == before
    assert box.consignment(name).state == "travelling"


def test_a_book_that_crashed_goes_on_without_being_opened_again(box: World) -> None:
    for when in (0, 1, 3, 5, 8, 12):
        with contextlib.suppress(Crash), crashing(box.book, when):
            box.register(2)
    box.register(2)
    box.check()


def test_a_receipt_is_answered_only_after_the_commit(box: World) -> None:
    """What another connection sees when the act returns is all of it."""
    with box.book.page("web") as page:
        recorded = page.record(site(1))
        with box.book.read() as other:
            assert other.scalar(sa.text("SELECT max(seq) FROM entry")) < recorded.seq
    with box.book.read() as other:
        assert other.scalar(sa.text("SELECT max(seq) FROM entry")) == recorded.seq + 1


# ---------------------------------------------------------------------------------------------- triggers

FORBIDDEN = [
    "UPDATE entry SET data = x'00' WHERE seq = 5",
    "UPDATE OR IGNORE entry SET data = x'00'",
    "UPDATE OR REPLACE entry SET seq = 4 WHERE seq = 5",
    "DELETE FROM entry",
    "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
    "INSERT OR REPLACE INTO entry SELECT 5, 'x', leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT OR REPLACE INTO entry SELECT 10000, event_id, leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT OR IGNORE INTO entry SELECT 5, 'x', leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT INTO entry SELECT 5, 'x', leaf_hash, data FROM entry WHERE 1 ON CONFLICT DO UPDATE SET data = ''",
    "INSERT INTO entry SELECT max(seq) + 2, 'x', leaf_hash, data FROM entry",
    "INSERT INTO entry SELECT NULL, 'x', leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT INTO entry SELECT -1, 'x', leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT INTO entry SELECT NEXT, event_id, leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT OR REPLACE INTO entry SELECT NEXT, event_id, leaf_hash, data FROM entry WHERE seq = 6",
    "UPDATE tile SET root = x'00'",
    "DELETE FROM tile",
    "INSERT OR REPLACE INTO tile VALUES (0, 0, x'00', x'00')",
    "INSERT INTO tile VALUES (0, 2, x'00', x'00')",
    "INSERT INTO tile VALUES (0, -1, x'00', x'00')",
    "INSERT INTO tile VALUES (0, NULL, x'00', x'00')",
    "INSERT INTO tile VALUES (0, 'x', x'00', x'00')",
    "INSERT INTO tile VALUES (1, 1, x'00', x'00')",
    "UPDATE checkpoint SET note = ''",
    "DELETE FROM checkpoint",
    "INSERT OR REPLACE INTO checkpoint SELECT max(size), x'00', '' FROM checkpoint",
    "INSERT INTO checkpoint SELECT max(size) + 1, x'00', '' FROM checkpoint",
    "INSERT INTO checkpoint SELECT 3, x'00', '' FROM checkpoint LIMIT 1",
    "INSERT INTO checkpoint VALUES (NULL, x'00', '')",
]


@pytest.fixture(scope="module")
def tiled(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company with a full tile."""
    world = template.copy(tmp_path_factory.mktemp("tiled"))
    with world.book.page("web") as page:
        for number in range(200):
            page.record(site(number))
    return world


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_the_ledgers_tables_only_grow(tiled: World, recursive: str) -> None:
    assert counts(tiled.book)["tile"] == 1
    with contextlib.closing(raw(tiled)) as connection:
        connection.execute(f"PRAGMA recursive_triggers={recursive}")
        before = list(connection.iterdump())
        for statement in FORBIDDEN:
            with pytest.raises(sqlite3.IntegrityError, match=r"append-only|NOT NULL"):
                connection.execute(statement.replace("NEXT", "(SELECT max(seq) + 1 FROM entry)"))
        assert list(connection.iterdump()) == before
    tiled.reopen()
    tiled.check()


def test_a_write_against_the_ledger_from_within_is_forged(box: World) -> None:
    """In PostgreSQL the role has not the right to try."""
    what = (Forged, Untrusted)
    with pytest.raises(what, match=r"only grows|permission denied"), box.book.page("web") as page:
        page.connection.execute(sa.text("DELETE FROM entry"))
    box.register(1)


@pytest.mark.parametrize("words", ["disk is full", "No space left", "append-only", "unable to open"])
def test_what_a_row_says_is_not_what_went_wrong(box: World, words: str) -> None:
    """PostgreSQL's error quotes the row; whether it is full, or only grows, is in the error's code."""
    row = {"person": "P-90", "name": "", "address": words, "session": "a"}
    accounts = sa.insert(SQLModel.metadata.tables["account"])
    with box.book.writing() as connection:
        connection.execute(accounts, row)
    with pytest.raises(Conflict), box.book.writing() as connection:
        connection.execute(accounts, {**row, "person": "P-91", "session": "b"})


@pytest.mark.on("sqlite")  # the other looks at what it is given
@pytest.mark.parametrize("words", ["disk is full", "unable to open", "readonly"])
def test_a_text_that_is_none_is_the_books_damage_whatever_it_says(loose: World, words: str) -> None:
    """SQLite's error quotes it."""
    text = f"CAST(x'{words.encode().hex()}ff' AS TEXT)"
    with pytest.raises(Untrusted, match="could not be read or written"), loose.book.read() as connection:
        connection.execute(sa.text(f"SELECT {text} AS text")).all()


def test_a_book_without_a_trigger_does_not_open(loose: World) -> None:
    triggers = TRIGGERS["postgresql" if loose.place else "sqlite"]
    for name, sql in triggers.items():
        with loose.owner() as owner:
            loose.drop(owner, name)
        with pytest.raises(Untrusted, match=f"The trigger {name} is missing"):
            loose.reopen()
        with loose.owner() as owner:
            owner.execute(sa.text(sql))
    loose.reopen()


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("name", TRIGGERS["sqlite"])
def test_a_book_with_a_trigger_that_is_not_ours_does_not_open(loose: World, name: str) -> None:
    with contextlib.closing(raw(loose)) as connection:
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            re.split(" WHEN | BEGIN", TRIGGERS["sqlite"][name])[0] + " WHEN 0 BEGIN SELECT 1; END"
        )
    with pytest.raises(Untrusted, match=f"The trigger {name} is missing from the book, or is not ours"):
        loose.reopen()


@pytest.mark.on("sqlite")
def test_a_book_with_a_trigger_too_many_does_not_open(loose: World) -> None:
    """RAISE(IGNORE) drops what is inserted without a word; other triggers could change the fold."""
    with contextlib.closing(raw(loose)) as connection:
        connection.execute(
            "CREATE TRIGGER helper AFTER UPDATE ON consignment"
            " BEGIN UPDATE alarm SET next_at = NULL WHERE consignment = NEW.id; END"
        )
    with pytest.raises(Untrusted):
        loose.reopen()


# --------------------------------------------------------------------------------- the file's owner at work


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        "DELETE FROM entry WHERE seq = 40",
        "UPDATE entry SET leaf_hash = (SELECT leaf_hash FROM entry WHERE seq = 41) WHERE seq = 40",
        "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)",
        "UPDATE checkpoint SET note = replace(note, 'test', 'best')",
        "UPDATE entry SET seq = seq + 1000 WHERE seq = (SELECT max(seq) FROM entry)",
        "DELETE FROM entry",
        "DELETE FROM checkpoint",
    ],
)
def test_an_edited_ledger_does_not_open(loose: World, harm: str) -> None:
    with loose.unguarded() as owner:
        owner.execute(sa.text(harm))
    with pytest.raises(Untrusted):
        loose.reopen()


def test_an_edited_entry_opens_but_is_not_sound(loose: World) -> None:
    """Opening looks at the tree's edge alone; the nightly audit reads every entry."""
    with loose.unguarded() as owner:
        owner.execute(sa.text("UPDATE entry SET data = (SELECT data FROM entry WHERE seq = 9) WHERE seq = 8"))
    loose.reopen()
    report = loose.audit()
    assert (report.sound, report.failed, report.entry) == (False, 2, 8)


def test_a_ledger_rolled_back_whole_opens_and_only_a_pin_tells(loose: World) -> None:
    """Yesterday's file, put back: consistent in itself. That is what pins are for."""
    kept = loose.book.checkpoint().encode()
    size = counts(loose.book)["entry"]
    loose.register(2)
    newer = loose.book.checkpoint().encode()
    with loose.unguarded() as owner:
        owner.execute(sa.text("DELETE FROM entry WHERE seq >= :size"), {"size": size})
        owner.execute(sa.text("DELETE FROM checkpoint WHERE size > :size"), {"size": size})
    loose.reopen()
    assert loose.audit(pins=[kept]).sound
    assert loose.audit(pins=[newer]).failed == 3


def test_an_edited_table_is_not_the_fold_of_the_ledger(loose: World) -> None:
    with loose.owner() as owner:
        owner.exec_driver_sql("""UPDATE person SET grants = '[{"role":"head"}]' WHERE id = 'P-9'""")
    loose.reopen()
    with pytest.raises(AssertionError, match="Person are not the fold"):
        loose.check()


@pytest.mark.parametrize("name", ["log.pem", "server.pem"])
def test_a_book_does_not_open_with_keys_that_are_not_its_own(loose: World, name: str) -> None:
    other = loose.copy(loose.folder.parent / "other")
    path = loose.folder / "keys" / name
    if name == "server.pem":
        path.write_bytes(new_key().pem())
    else:
        path.write_bytes(LogKey("x", Ed25519PrivateKey.generate()).pem())
    with pytest.raises(Untrusted, match=r"another log's key|not the key that the genesis names"):
        loose.reopen()
    assert counts(other.book)
    other.book.engine.dispose()


@pytest.mark.on("sqlite")
@pytest.mark.parametrize(
    "statement", ["DELETE FROM log", "UPDATE log SET last = 'noon'", "UPDATE log SET relaxed = 'x'"]
)
def test_a_log_that_its_table_does_not_tell_is_not_opened(loose: World, statement: str) -> None:
    with loose.unguarded() as owner:
        owner.execute(sa.text(statement))
    with pytest.raises(Untrusted, match=r"The table log is not what the ledger says .*log restore"):
        loose.reopen()


def test_there_is_no_book_and_there_is_one_already(loose: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        home.open_book(tmp_path / "nowhere", loose.clock, secrets.token_bytes)
    founding = home.Founding("x.example", "HOME", "a@b.test", loose.log_key, new_key(), new_key())
    with pytest.raises(Conflict):
        home.create(loose.folder, founding, loose.clock, secrets.token_bytes)


# -------------------------------------------------------------------------------- two who write at one time


def test_two_threads_write_one_sound_ledger(box: World) -> None:
    before = counts(box.book)["entry"]
    failed: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 20):
                with box.book.page("web") as page:
                    page.record(site(number))
        except BaseException as problem:  # noqa: BLE001 - shown below
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert counts(box.book)["entry"] == before + 80


def work_alone(folder: str, start: int, barrier: Any) -> None:
    """Another process, with the book opened there."""
    book = home.open_book(Path(folder), lambda: START + timedelta(days=3), secrets.token_bytes)
    barrier.wait()
    for number in range(start, start + 15):
        with book.page("monitor") as page:
            page.record(site(number))


def test_processes_write_one_sound_ledger(box: World) -> None:
    """Each has read the tail before the others wrote, and reads it again."""
    before = counts(box.book)["entry"]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    others = [
        context.Process(target=work_alone, args=(str(box.folder), start, barrier)) for start in (100, 200)
    ]
    for process in others:
        process.start()
    barrier.wait()
    for number in range(15):
        with box.book.page("web") as page:
            page.record(site(number))
    for process in others:
        process.join()
        assert process.exitcode == 0
    assert counts(box.book)["entry"] == before + 90
    with box.book.world() as world:
        for start in (0, 100, 200):
            assert all(world.find(Site, f"S-{n}") for n in range(start, start + 15))


@pytest.mark.on("sqlite")
def test_a_size_that_comes_twice_is_another_history(template: World, tmp_path: Path) -> None:
    """As after a failover: an open process meets a ledger of the length that it knew, and not the same."""
    ours, theirs = template.copy(tmp_path / "ours"), template.copy(tmp_path / "theirs")
    for world in (ours, theirs):
        world.register(1)
        world.book.engine.dispose()
    for ending in ("", "-wal", "-shm"):
        (ours.folder / f"book.db{ending}").unlink(missing_ok=True)
    shutil.copy(theirs.folder / "book.db", ours.folder / "book.db")
    ours.register(1)
    ours.check()
    ours.book.engine.dispose()


# ------------------------------------------------------------------------------------------------ replays


def again(key: SigningKey, payload: bytes) -> bytes:
    """Another signature by the same key over the same bytes: ECDSA as phones make it, with chance in it."""
    signature = one_spelling(key._private.sign(pae(payload), ec.ECDSA(hashes.SHA256())))
    assert signature != key.sign(pae(payload))
    return signature


def test_the_same_statement_is_the_same_event(box: World) -> None:
    name = box.request()
    box.approve(name)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    first = signing.submit(box.book, payload, box.both(payload, "ann", "carl"))
    before = counts(box.book)
    box.wait(hours=0.1)
    assert signing.submit(box.book, payload, box.both(payload, "ann", "carl")).seq == first.seq
    anew = {box.keys[n].public.id: again(box.keys[n], payload) for n in ("ann", "carl")}
    assert signing.submit(box.book, payload, anew).seq == first.seq
    box.reopen()
    assert signing.submit(box.book, payload, anew).seq == first.seq
    assert counts(box.book) == before
    assert box.consignment(name).state == "travelling"


def test_a_repeat_with_a_false_signature_learns_nothing(box: World) -> None:
    name = box.request()
    box.approve(name)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    signing.submit(box.book, payload, box.both(payload, "ann", "carl"))
    forged = {box.keys["ann"].public.id: new_key().sign(pae(payload)), box.keys["carl"].public.id: bytes(64)}
    with pytest.raises(Refusal):
        signing.submit(box.book, payload, forged)
    forged[box.keys["carl"].public.id] = new_key().sign(pae(payload))
    with pytest.raises(Forged):
        signing.submit(box.book, payload, forged)


def test_what_was_said_once_can_be_said_again_later(box: World) -> None:
    """A route of 60 minutes, of 90, and of 60 again: three events, and the newest counts."""
    for transit in (60, 90, 60, 90):
        box.set_route(transit)
        assert box.get(Route, "N-S").transit == transit


def test_an_acknowledgement_lasts_an_hour_and_can_be_given_again(box: World) -> None:
    name = box.dispatch(1)
    box.wait(hours=3)
    alarm = box.alarm(name)
    for _ in range(2):
        alarms.acknowledge(box.book, box.ids["hal"], alarm.id)
        assert box.alarm(name).acknowledged(box.ids["hal"], box.at)
        box.wait(minutes=61)
        assert not box.alarm(name).acknowledged(box.ids["hal"], box.at)


def admit(book: Book, payload: bytes, *signatures: tuple[SigningKey, SigningKey]) -> None:
    """Each signature as (whose name, whose hand)."""
    made = [Signature(name.public.id, hand.sign(pae(payload))) for name, hand in signatures]
    with book.page("scanner") as page:
        page.admit(Envelope(payload, tuple(made)))


def test_statements_that_do_not_enter(box: World) -> None:
    name = box.request()
    box.approve(name)
    before = counts(box.book)
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    ann, carl, cora, stranger = box.keys["ann"], box.keys["carl"], box.keys["cora"], new_key()
    fact: Any = Statement.read(payload).fact
    about = Statement.read(payload).about

    def other(**change: Any) -> bytes:
        return Statement(box.book.origin, box.at, about, replace(fact, **change)).payload()

    with pytest.raises(Forged, match="does not hold"):
        admit(box.book, payload, (ann, stranger), (carl, carl))
    with pytest.raises(Forged, match="not enrolled"):
        admit(box.book, payload, (ann, ann), (stranger, stranger))
    with pytest.raises(Impossible, match="two enrolled devices"):
        admit(box.book, payload, (ann, ann))
    with pytest.raises(Impossible, match="in this order"):
        admit(box.book, payload, (carl, carl), (ann, ann))
    with pytest.raises(Impossible, match="in this order"):
        admit(box.book, payload, (ann, ann), (cora, cora))
    with pytest.raises(Impossible, match="two enrolled devices"):
        admit(box.book, other(taker=fact.giver), (ann, ann), (ann, ann))
    with pytest.raises(Impossible, match="two enrolled devices"):
        admit(
            box.book,
            other(giver=replace(fact.giver, key=box.book.keys.server.public.id)),
            (box.book.keys.server, box.book.keys.server),
            (carl, carl),
        )
    elsewhere = Statement("other.example/log", box.at, about, fact).payload()
    with pytest.raises(Impossible, match=r"for the log other\.example/log"):
        admit(box.book, elsewhere, (ann, ann), (carl, carl))
    with pytest.raises(Impossible, match="no consignment"):
        admit(box.book, other(consignment="C-9"), (ann, ann), (carl, carl))
    with pytest.raises(Unreadable):
        admit(box.book, payload + b" ", (ann, ann), (carl, carl))
    assert counts(box.book) == before


def test_a_revoked_key_speaks_for_nobody_alone(box: World) -> None:
    name = box.request()
    people.revoke(box.book, box.ids["ivo"], box.keys["mona"].public.id, "stolen")
    with pytest.raises(Refusal, match="was revoked"):
        box.approve(name)
    with box.book.world() as world:
        fact = Approved(name, box.consignment(name).pick_up_by, 60, world.get(Route, "N-S").ladder)
    payload = signing.statement(box.book, fact, box.consignment(name).manifest)
    with pytest.raises(Impossible, match="still counts"):
        admit(box.book, payload, (box.keys["mona"], box.keys["mona"]))


def test_an_envelope_that_is_too_long_never_enters(box: World) -> None:
    before = counts(box.book)
    payload = bytes(40_000)
    with pytest.raises(Unreadable):
        admit(box.book, payload, (box.keys["ann"], box.keys["ann"]))
    assert counts(box.book) == before


def test_a_key_that_no_library_knows_is_unreadable_and_no_crash(box: World) -> None:
    """Anyone who was invited can send this."""
    der = bytearray(base64.b64decode(new_key().public.spki))
    der[19] ^= 1
    payload = signing.statement(box.book, Enrolled(box.ids["ann"], base64.b64encode(bytes(der)).decode()))
    with pytest.raises(Unreadable):
        signing.sign(box.book, box.ids["ann"], payload, "ab" * 32, bytes(70))


# ------------------------------------------------------------------------------------------- a full disk


@contextlib.contextmanager
def full_disk(world: World, more: int = 0) -> Iterator[None]:
    """So many pages more than the file has already, and then none."""

    def limit(connection: Any, _: Any) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + more}")

    world.book.engine.dispose()
    sa.event.listen(world.book.engine, "connect", limit)
    try:
        yield
    finally:
        sa.event.remove(world.book.engine, "connect", limit)
        world.book.engine.dispose()


@pytest.mark.on("sqlite")
def test_a_full_disk_refuses_and_nothing_is_written(box: World) -> None:
    before = counts(box.book)
    with full_disk(box):
        with pytest.raises(NoRoom, match="disk is full"):  # noqa: PT012 - sooner or later
            for _ in range(20):
                done = counts(box.book)
                box.register(100)
        assert counts(box.book) == done
        box.check()
    box.reopen()
    assert counts(box.book) == done
    box.register(100)
    assert counts(box.book)["medium"] == done["medium"] + 100
    assert before["medium"] <= done["medium"]


@pytest.mark.on("sqlite")
def test_a_full_disk_is_told_where_no_ledger_is_written_too(box: World) -> None:
    draft = SQLModel.metadata.tables["private"]
    with full_disk(box), pytest.raises(NoRoom), box.book.writing() as connection:  # noqa: PT012 - likewise
        for number in range(200):
            row = {"commitment": f"{number:064x}", "salt": bytes(32), "text": "x" * 4000}
            connection.execute(sa.insert(draft), row)


# --------------------------------------------------------------------------------------------------- time


def test_a_clock_that_goes_back_does_not_take_the_ledger_with_it(box: World) -> None:
    times = []
    for hours in (0, -5, 1, -30, 0.5):
        box.at += timedelta(hours=hours)
        with box.book.page("web") as page:
            page.record(site(len(times)))
            times.append(page.now)
    assert times == sorted(times)
    box.reopen()
    with box.book.page("web") as page:
        assert page.now == max(times)


# ------------------------------------------------------------------------------------------------- notices


def test_a_reminder_of_a_consignment_that_was_approved_afresh(box: World) -> None:
    """The first reminder has gone out when a manager sets a later pick-up: the ladder starts anew.

    The monitor must still be able to climb, for this alarm and for every other one.
    """
    name = box.request(2, minutes=30)
    box.approve(name)
    box.wait(minutes=31)
    assert box.alarm(name).rung == 1
    old = box.consignment(name)
    fact = Approved(name, box.at + timedelta(hours=2), old.transit, old.ladder)
    box.force("mona", fact, old.manifest)
    box.wait(hours=2, minutes=1)
    assert box.alarm(name).rung == 1


def test_a_reminder_before_the_pick_up_and_one_before_the_arrival(box: World) -> None:
    """Max manages SOUTH and keeps it, too: he hears both reminders of the one alarm."""
    roles = (
        orders.Grant(role="site-manager", site="SOUTH"),
        orders.Grant(role="site-operator", site="SOUTH"),
    )
    box.sign("ada", people.roles(box.ids["max"], roles))
    name = box.request(2, minutes=30)
    box.approve(name)
    box.wait(minutes=31)
    box.hand(name, "ann", "carl", "NORTH")
    box.wait(hours=2)
    assert box.alarm(name).rung > 1


def test_a_ladder_that_is_long_is_climbed_in_one_burst(box: World) -> None:
    """A monitor that slept for a day owes everything at once; a hundred alarms of several rungs each."""
    names = [box.request(1, minutes=30) for _ in range(100)]
    ladder = (
        Rung(0, ("head",)),
        Rung(1, ("head",)),
        Rung(2, ("head",), presume=True),
        Rung(3, ("head",), repeat=60),
    )
    order = orders.SetRoute(route="N-S", origin_site="NORTH", destination="SOUTH", transit=60)
    box.force("dana", replace(consignments.route(order), ladder=ladder))
    for name in names:
        box.approve(name)
    box.at += timedelta(days=1)
    assert alarms.climb(box.book).climbed == 100 * 5


# ---------------------------------------------------------------------------------------------- the tables


def test_the_migrations_make_the_tables(box: World) -> None:
    with box.book.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_a_book_of_an_older_version_is_brought_up_to_this_one(loose: World) -> None:
    """What is in a table of the fold that is made anew comes from the ledger."""
    loose.state(SelfAudited(0))
    loose.at += timedelta(days=1)
    loose.state(SelfAudited(2, "tables", (Recipient("P-2", "email"),)))
    loose.register(1, what="seal")
    loose.pack()
    before = counts(loose.book)
    with loose.owner() as owner:
        for table in ("token", "cosignature", "pin", "self_audit", "tally", "digest"):
            owner.execute(sa.text(f"DROP TABLE {table}"))
        for change in (
            "TABLE alarm DROP COLUMN part",
            "TABLE person DROP COLUMN appointed",
            "TABLE person RENAME COLUMN appointed_by TO invited_by",
            "TABLE device DROP COLUMN grants",
        ):
            owner.execute(sa.text(f"ALTER {change}"))
        for name in ("person", "set_at"):
            owner.execute(sa.text(f"DROP INDEX ix_outbox_{name}"))
        for name in ("set_at", "refused_at"):
            owner.execute(sa.text(f"ALTER TABLE outbox DROP COLUMN {name}"))
        owner.execute(sa.text("DROP INDEX ix_notice_about_scheduled"))
        owner.execute(sa.text("CREATE INDEX ix_notice_about ON notice (about)"))
        owner.execute(sa.text("DROP INDEX ix_medium_short"))
        owner.execute(sa.text("ALTER TABLE medium DROP COLUMN short"))
        owner.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(Untrusted, match="custody db upgrade"):
        loose.reopen()
    owner_url = loose.place and loose.place.owner
    assert home.upgrade(loose.folder, owner_url) == ("0001", "0010")
    assert home.upgrade(loose.folder, owner_url) == ("0010", "0010")
    loose.reopen()
    assert counts(loose.book) == {**before, "digest": 0}  # of what is told together, the ledger knows nothing
    loose.register(1)
    loose.register(1, what="seal")
    loose.check()


@pytest.mark.parametrize("kind", SHELVES, ids=lambda kind: kind.__name__)
def test_a_nouns_columns_are_its_fields(kind: Any) -> None:
    columns = {column.name for column in SHELVES[kind].table.columns}
    assert columns - {"number"} == {field.name for field in fields(kind)}


def test_every_table_is_a_ledgers_a_nouns_or_named_as_neither() -> None:
    nouns = {shelf.table.name for shelf in SHELVES.values()}
    neither = {"mention", "private", "outbox", "draft", "pulse"}
    assert set(SQLModel.metadata.tables) >= nouns | neither | {"entry", "tile", "checkpoint"}
    assert not nouns & neither


def test_no_personal_word_is_in_the_ledger(box: World) -> None:
    with box.book.read() as connection:
        for (data,) in connection.execute(sa.text("SELECT data FROM entry")):
            payload = Envelope.read(data).payload
            assert b"home.test" not in payload
            assert b"@" not in payload


# ----------------------------------------------------------------------------------------------- exports


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_folder_and_the_bundle_hold_the_same(tiled: World, tmp_path: Path) -> None:
    export.export_tiles(tiled.book, tmp_path / "tiles")
    export.export_bundle(tiled.book, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        bundled = {name: archive.read(name) for name in archive.namelist()}
    assert files(tmp_path / "tiles") == bundled
    assert (tmp_path / "bundle.zip").read_bytes() == tiled.bundle()
    assert not list(tmp_path.glob("*.part"))


def test_a_second_export_adds_what_is_new_and_leaves_full_tiles(box: World, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    export.export_tiles(box.book, folder)
    assert (folder / "tile/0/000.p").is_dir()
    with box.book.page("web") as page:
        for number in range(250):
            page.record(site(number))
    export.export_tiles(box.book, folder)
    assert not (folder / "tile/0/000.p").exists(), "the full tile has replaced the partial one"
    full = folder / "tile/entries/000"
    before = full.stat().st_mtime_ns, full.stat().st_ino
    box.register(3)
    export.export_tiles(box.book, folder)
    assert (full.stat().st_mtime_ns, full.stat().st_ino) == before
    newest = Checkpoint.of((folder / "checkpoint").read_bytes())
    assert newest.size == counts(box.book)["entry"]


def test_a_mirror_is_brought_up_to_date_with_what_is_new_alone(tiled: World, tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    size = counts(tiled.book)["entry"]
    assert export.export_tiles(tiled.book, folder) == (0, size)
    assert export.export_tiles(tiled.book, folder) == (size, size)
    full = folder / "tile/entries/000"
    full.write_bytes(full.read_bytes()[::-1])  # `mirror.check` is for reading it again
    (folder / "tile/entries/left-by-a-crash.part").write_bytes(b"half")
    tiled.register(1)
    before, after = export.export_tiles(tiled.book, folder)
    assert (before, after) == (size, counts(tiled.book)["entry"])
    export.export_tiles(tiled.book, tmp_path / "anew")
    anew = files(tmp_path / "anew")
    assert {path for path, data in files(folder).items() if data != anew.pop(path)} == {"tile/entries/000"}
    assert anew == {}


def test_damage_in_the_book_does_not_come_along(tiled: World, tmp_path: Path) -> None:
    export.export_tiles(tiled.book, tmp_path / "before")
    with tiled.unguarded() as owner:
        owner.execute(sa.text("UPDATE tile SET hashes = :zeros"), {"zeros": bytes(8192)})
    tiled.book.tiles.clear()
    export.export_tiles(tiled.book, tmp_path / "after")
    assert files(tmp_path / "after") == files(tmp_path / "before")
    with tiled.unguarded() as owner:
        owner.execute(sa.text("UPDATE entry SET data = :zeros WHERE seq = 40"), {"zeros": bytes(40)})
    with pytest.raises(Unreadable, match="do not make the root that was signed"):
        export.export_tiles(tiled.book, tmp_path / "never")
    assert files(tmp_path / "never") == {}


def test_another_logs_folder_is_refused_whatever_its_size(loose: World, tmp_path: Path) -> None:
    """The checkpoint there is of another log: nothing of ours may be mixed into it."""
    other = World.__new__(World)
    other.at, other.folder = START, tmp_path / "other"
    log = LogKey("other.example/log", Ed25519PrivateKey.generate())
    founding = home.Founding("other.example/log", "HOME", "a@b.test", log, new_key(), new_key())
    other.book, _ = home.create(other.folder, founding, other.clock, secrets.token_bytes)
    export.export_tiles(other.book, tmp_path / "tiles")
    before = files(tmp_path / "tiles")
    with pytest.raises((Unreadable, Conflict)):
        export.export_tiles(loose.book, tmp_path / "tiles")
    assert files(tmp_path / "tiles") == before
    other.book.engine.dispose()


def test_a_mirror_is_never_set_back(template: World, tmp_path: Path) -> None:
    """The mirror is a pin: a book that lost its newest entries must not replace the longer checkpoint."""
    longer = template.copy(tmp_path / "longer")
    longer.register(2)
    export.export_tiles(longer.book, tmp_path / "tiles")
    kept = (tmp_path / "tiles" / "checkpoint").read_bytes()
    shorter = template.copy(tmp_path / "shorter")
    with pytest.raises((Unreadable, Conflict, Untrusted)):
        export.export_tiles(shorter.book, tmp_path / "tiles")
    assert (tmp_path / "tiles" / "checkpoint").read_bytes() == kept
    for world in (longer, shorter):
        world.book.engine.dispose()
