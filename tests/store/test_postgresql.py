"""A book in PostgreSQL: what its roles cannot do, what its triggers refuse, and what if it is gone."""

from __future__ import annotations

import multiprocessing
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from postgresql import OWNER, SERVERS, Server
from sqlmodel import SQLModel
from world import START, World, new_key

from custody.acts import daily, signing
from custody.errors import Away, Conflict, Forged, NotFound, Unreadable, Untrusted
from custody.facts import SiteOpened
from custody.ledger.note import Checkpoint, LogKey
from custody.rules.people import Site
from custody.store import accounts, home
from custody.store.book import Book
from custody.store.database import at
from custody.store.fsck import fsck
from custody.store.move import move
from custody.store.queries import view
from custody.store.roles import GRANTS
from custody.store.rows import Wrong
from custody.store.triggers import TRIGGERS

pytestmark = pytest.mark.on("postgresql")


def site(number: int) -> SiteOpened:
    return SiteOpened("P-1", f"S-{number}", "UTC")


def size(book: Book) -> int:
    return Checkpoint.of(book.checkpoint()).size


@pytest.fixture(scope="module")
def tiled(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company with a full tile. What is tried on it is refused."""
    world = template.copy(tmp_path_factory.mktemp("tiled"))
    world.state(*(site(number) for number in range(200)))
    return world


# ------------------------------------------------------------------------------------------------ the roles

FORBIDDEN = [
    "UPDATE entry SET data = '' WHERE seq = 5",
    "UPDATE entry SET data = '' WHERE false",
    "DELETE FROM entry",
    "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
    "TRUNCATE entry",
    "TRUNCATE entry, tile, checkpoint CASCADE",
    "INSERT INTO entry SELECT 5, 'x', '', '' ON CONFLICT (seq) DO UPDATE SET data = ''",
    "INSERT INTO entry SELECT 5, 'x', '', '' ON CONFLICT (seq) DO UPDATE SET data = '' WHERE false",
    "MERGE INTO entry USING (SELECT 5 AS n) s ON seq = n WHEN MATCHED THEN UPDATE SET data = ''",
    "MERGE INTO entry USING (SELECT 5 AS n) s ON seq = n WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM entry RETURNING *) SELECT count(*) FROM gone",
    "INSERT INTO entry SELECT max(seq) + 2, 'x', '', '' FROM entry",
    "INSERT INTO entry SELECT -1, 'x', '', ''",
    "INSERT INTO entry SELECT NULL, 'x', '', ''",
    "INSERT INTO entry SELECT NEXT, event_id, leaf_hash, data FROM entry WHERE seq = 6",
    "INSERT INTO entry SELECT NEXT + n, 'x' || n, '', '' FROM unnest(ARRAY[0, 2]) n",
    "UPDATE tile SET root = ''",
    "DELETE FROM tile",
    "TRUNCATE tile",
    "INSERT INTO tile VALUES (0, 2, '', '')",
    "INSERT INTO tile VALUES (0, -1, '', '')",
    "INSERT INTO tile VALUES (1, 1, '', '')",
    "UPDATE checkpoint SET note = ''",
    "DELETE FROM checkpoint",
    "TRUNCATE checkpoint",
    "INSERT INTO checkpoint SELECT max(size) + 1, '', '' FROM checkpoint",
    "INSERT INTO checkpoint VALUES (3, '', '')",
]
ABOVE_THE_ROLE = [
    "ALTER TABLE entry DISABLE TRIGGER ALL",
    "ALTER TABLE entry DISABLE TRIGGER entry_keeps",
    "ALTER TABLE entry ALTER COLUMN data DROP NOT NULL",
    "ALTER TABLE entry OWNER TO CURRENT_USER",
    "ALTER TABLE entry RENAME TO old",
    "DROP TABLE entry",
    "DROP TRIGGER entry_keeps ON entry",
    "DROP SCHEMA public CASCADE",
    "CREATE TRIGGER x BEFORE INSERT ON entry EXECUTE FUNCTION entry_keeps()",
    "CREATE OR REPLACE FUNCTION entry_keeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE RULE x AS ON INSERT TO entry DO INSTEAD NOTHING",
    "CREATE TABLE more (n int)",
    "CREATE TABLE more () INHERITS (entry)",
    "CREATE TEMP TABLE entry (n int)",
    "CREATE SCHEMA other",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET session_replication_role = replica",
    f"SET ROLE {OWNER}",
    f"SET SESSION AUTHORIZATION {OWNER}",
    f"GRANT {OWNER} TO {SERVERS}",
    f"ALTER ROLE {SERVERS} SUPERUSER",
    "COPY entry FROM PROGRAM 'true'",
    "COPY entry TO '/tmp/entries'",
    "DELETE FROM person",
    "DELETE FROM notice",
    "TRUNCATE outbox",
    "UPDATE private SET text = ''",
    "UPDATE mention SET seq = 0",
    "UPDATE alembic_version SET version_num = '9'",
    "ALTER SYSTEM SET fsync = off",
]


WORDS = r"append-only|permission|null value|must "


@pytest.mark.parametrize("role", ["the servers'", "a superuser's", "a superuser's, as a replica"])
def test_the_ledgers_tables_only_grow(tiled: World, role: str) -> None:
    assert tiled.place is not None
    ours = role == "the servers'"
    before = tiled.book.checkpoint()
    with psycopg.connect(tiled.place.address if ours else tiled.place.owner, autocommit=True) as line:
        if role.endswith("replica"):
            line.execute("SET session_replication_role = replica")
        for statement in [*FORBIDDEN, *(ABOVE_THE_ROLE if ours else [])]:
            with pytest.raises(psycopg.Error, match=WORDS):
                line.execute(statement.replace("NEXT", "(SELECT max(seq) + 1 FROM entry)"))
    assert tiled.book.checkpoint() == before
    assert fsck(tiled.book) == []


def test_a_server_writes_all_that_it_must(box: World) -> None:
    """Every table that is not only read: a trip, accounts, links, drafts, sign-ins that fail."""
    name = box.dispatch(3)
    box.hand(name, "carl", "ben")
    box.wait(hours=2)
    accounts.add(box.book, box.ids["ann"], "Ann", "ann@home.test")
    accounts.begin(box.book, accounts.invite_link(box.book, box.ids["ann"]), "hash")
    for _ in range(2):
        accounts.note_wrong(box.book, "ann@home.test", "192.0.2.1")


def test_every_table_has_its_grants() -> None:
    assert set(GRANTS) == {*SQLModel.metadata.tables, "alembic_version"}


READS = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO strong"


@pytest.mark.parametrize(
    ("given", "could"),
    [
        ("GRANT UPDATE ON entry TO strong", "update rows of entry"),
        ("GRANT UPDATE (data) ON entry TO strong", "update rows of entry"),
        ("GRANT DELETE ON checkpoint TO strong", "delete rows of checkpoint"),
        ("GRANT DELETE ON tile TO PUBLIC", "delete rows of tile"),
        ("GRANT TRUNCATE ON person TO strong", "empty person"),
        ("GRANT TRIGGER ON entry TO strong", "put a trigger on entry"),
        ("GRANT CREATE ON SCHEMA public TO strong", "make tables"),
        (f"GRANT {OWNER} TO strong", "change the database, which is its own"),
        (f"ALTER ROLE strong NOINHERIT; GRANT {OWNER} TO strong", "change the database, which is its own"),
        ("GRANT pg_write_all_data TO strong", "update rows of entry"),
        ("GRANT pg_execute_server_program TO strong", "write the server's files"),
        ("GRANT SET ON PARAMETER session_replication_role TO strong", "switch triggers off"),
        ("ALTER TABLE entry OWNER TO strong", "change the table entry, which is its own"),
        ("ALTER ROLE strong CREATEROLE", "make itself a member of other roles"),
        ("ALTER ROLE strong SUPERUSER", "do anything"),
        ("GRANT postgres TO strong", "do anything"),
        (f"ALTER ROLE strong NOINHERIT; {READS}; GRANT pg_write_all_data TO strong", "update rows of entry"),
    ],
)
def test_a_role_that_could_do_more_is_refused(
    loose: World, postgresql: Server, given: str, could: str
) -> None:
    """The servers' role as it should be, and one right more."""
    assert loose.place is not None
    name = psycopg.conninfo.conninfo_to_dict(loose.place.address)["dbname"]
    postgresql.sql("CREATE ROLE strong LOGIN")
    try:
        postgresql.sql(f"GRANT {SERVERS} TO strong", *given.split("; "), database=str(name))
        (loose.folder / "database").write_text(postgresql.url(str(name), "strong"))
        with pytest.raises(Untrusted, match=f"The role strong could {could}"):
            loose.reopen()
    finally:
        loose.book.engine.dispose()
        postgresql.sql(f"DROP DATABASE {name} WITH (FORCE)")
        revoke = "REVOKE SET ON PARAMETER session_replication_role FROM strong"
        postgresql.sql(revoke, "DROP ROLE strong")


def test_a_right_that_is_given_to_a_running_servers_role_is_told(loose: World) -> None:
    loose.at = loose.at.replace(hour=3) + timedelta(days=1)
    with loose.owner() as owner:
        owner.exec_driver_sql(f"GRANT UPDATE ON entry TO {SERVERS}")
    why = f"The role {SERVERS} could update rows of entry."
    with view(loose.book, "P-1") as adas:
        assert adas.unguarded().startswith(why)
    found = daily.compare(loose.book).wrong
    assert [(each.place, each.words[: len(why)]) for each in found] == [("book", why)]


def founding() -> home.Founding:
    log = LogKey("x.example/log", Ed25519PrivateKey.generate())
    return home.Founding("x.example/log", "HOME", "a@b.test", log, new_key(), new_key())


@pytest.mark.parametrize(
    ("made", "owner", "why"),
    [
        ("OWNER postgres", "postgres", "belongs to postgres, as whom one can sign in"),
        (f"OWNER {OWNER} ENCODING 'SQL_ASCII'", "postgres", "not in UTF-8"),
        (f"OWNER {OWNER} LOCALE_PROVIDER icu ICU_LOCALE 'en'", "postgres", "sorts by a language"),
        (f"OWNER {OWNER}", SERVERS, "permission denied"),
    ],
)
def test_a_database_that_does_not_suit_is_refused_and_nothing_is_made(
    postgresql: Server, tmp_path: Path, made: str, owner: str, why: str
) -> None:
    name = f"odd{secrets.token_hex(4)}"
    postgresql.sql(f"CREATE DATABASE {name} TEMPLATE template0 {made}")
    place = home.Place(postgresql.url(name), postgresql.url(name, owner))
    with pytest.raises(Untrusted, match=why):
        home.create(tmp_path / "book", founding(), lambda: START, secrets.token_bytes, place)
    assert not (tmp_path / "book").exists()
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert postgresql.sql(tables, database=name) == [(0,)]


def test_a_database_holds_one_book(loose: World, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="a book in this database already"):
        home.create(tmp_path / "other", founding(), loose.clock, secrets.token_bytes, loose.place)
    assert not (tmp_path / "other").exists()


def temporary(postgresql: Server, name: str) -> bool:
    """Whether everybody may make temporary tables in this database."""
    may = "SELECT has_database_privilege('public', current_database(), 'TEMP')"
    return bool(postgresql.sql(may, database=name)[0][0])


def test_a_founding_that_is_refused_takes_nothing_from_another_programs_database(
    postgresql: Server, tmp_path: Path
) -> None:
    place = postgresql.place()
    name = str(psycopg.conninfo.conninfo_to_dict(place.address)["dbname"])
    theirs = ("CREATE TABLE orders (n int)", f"GRANT TEMPORARY ON DATABASE {name} TO PUBLIC")
    postgresql.sql(*theirs, database=name)
    with pytest.raises(Conflict, match=r"another program \(the table orders\)"):
        home.create(tmp_path / "book", founding(), lambda: START, secrets.token_bytes, place)
    assert temporary(postgresql, name)
    postgresql.sql("DROP TABLE orders", database=name)
    book, _ = home.create(tmp_path / "book", founding(), lambda: START, secrets.token_bytes, place)
    book.engine.dispose()
    assert not temporary(postgresql, name)


def test_a_role_that_gets_too_much_with_the_tables_is_refused_with_them(
    postgresql: Server, loose: World, tmp_path: Path
) -> None:
    """By rights that are given on all that is made. Neither a founding nor a move leaves tables."""
    place = postgresql.place()
    name = str(psycopg.conninfo.conninfo_to_dict(place.address)["dbname"])
    postgresql.sql(
        "CREATE ROLE app NOLOGIN",
        f"GRANT app TO {SERVERS}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT UPDATE ON TABLES TO app",
        database=name,
    )
    try:
        with pytest.raises(Untrusted, match=f"The role {SERVERS} could update rows of"):
            home.create(tmp_path / "new", founding(), lambda: START, secrets.token_bytes, place)
        with pytest.raises(Untrusted, match=f"The role {SERVERS} could update rows of"):
            move(loose.book, loose.folder, place.address, place.owner)
    finally:
        there = postgresql.sql("SELECT relname FROM pg_class WHERE relname = 'entry'", database=name)
        postgresql.sql("DROP OWNED BY app", database=name)
        postgresql.sql("DROP ROLE app")
    assert there == []
    assert not (tmp_path / "new").exists()
    assert not (loose.folder / "database.part").exists()


def test_servers_and_owner_come_to_one_database(postgresql: Server, tmp_path: Path) -> None:
    place = home.Place(postgresql.place().address, postgresql.place().owner)
    with pytest.raises(Conflict, match="of another database than the servers'"):
        home.create(tmp_path / "book", founding(), lambda: START, secrets.token_bytes, place)


def test_the_servers_role_makes_no_tables(loose: World) -> None:
    with pytest.raises(Conflict, match="give --owner"):
        home.upgrade(loose.folder)


def test_a_book_that_is_not_opened_leaves_no_line_to_its_database(loose: World, postgresql: Server) -> None:
    loose.book.engine.dispose()
    with pytest.raises(Conflict, match="give --owner"):
        home.upgrade(loose.folder)
    (loose.folder / "policy").unlink()
    with pytest.raises(Untrusted, match="policy is missing"):
        loose.reopen()
    assert loose.place is not None
    empty = postgresql.place()
    (loose.folder / "database").write_text(empty.address)
    with pytest.raises(NotFound, match="There is no book"):
        loose.reopen()
    for place in (loose.place, empty):
        name = psycopg.conninfo.conninfo_to_dict(place.address)["dbname"]
        postgresql.sql(f"DROP DATABASE {name}")  # refused where somebody is connected


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("postgresql://custody:hunter2@db1/custody", "holds a password"),
        ("postgresql://custody@db1/custody?password=hunter2", "holds a password"),
        ("postgresql://custody@db1/custody?frog=1", "cannot be read"),
        ("mysql://custody@db1/hunter2", "is no database"),
        ("sqlite:../elsewhere.db", "is no database"),
        ("sqlite:", "is no database"),
        ("sqlite:database", "is no database"),
        ("sqlite:book.sqlite", "is no database"),
        ("sqlite:a b?mode=memory.db", "is no database"),
        (f"sqlite:{'x' * 300}.db", "is no database"),
    ],
)
def test_an_address_that_is_none(tmp_path: Path, address: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why) as refused:
        at(address, tmp_path)
    assert "password" not in why or "hunter2" not in str(refused.value)


# --------------------------------------------------------------------------------------------- the triggers


@pytest.mark.parametrize("name", TRIGGERS["postgresql"])
@pytest.mark.parametrize(
    "harm",
    [
        "ALTER TABLE TABLE_ DISABLE TRIGGER OURS",
        "ALTER TABLE TABLE_ ENABLE TRIGGER OURS",
        "CREATE OR REPLACE FUNCTION OURS() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "ALTER TRIGGER OURS ON TABLE_ RENAME TO other",
    ],
)
def test_a_trigger_that_is_not_as_it_was_is_seen(tiled: World, name: str, harm: str) -> None:
    with tiled.owner() as owner:
        statement = harm.replace("OURS", name).replace("TABLE_", name.partition("_")[0])
        owner.exec_driver_sql(statement)
    try:
        with pytest.raises(Untrusted, match=f"The trigger ({name}|other) is missing .* or is not ours"):
            tiled.reopen()
    finally:
        with tiled.owner() as owner:
            if "RENAME" in harm:
                owner.exec_driver_sql(f"DROP TRIGGER other ON {name.partition('_')[0]}")
            else:
                tiled.drop(owner, name)
            owner.exec_driver_sql(TRIGGERS["postgresql"][name])
    tiled.reopen()


@pytest.mark.parametrize(
    "harm",
    [
        "CREATE TRIGGER helper BEFORE UPDATE ON alarm EXECUTE FUNCTION entry_keeps()",
        "CREATE RULE helper AS ON INSERT TO outbox DO INSTEAD NOTHING",
        "ALTER TABLE notice ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE more () INHERITS (entry)",
    ],
)
def test_what_acts_like_a_trigger_is_seen(loose: World, harm: str) -> None:
    with loose.owner() as owner:
        owner.exec_driver_sql(harm)
    with pytest.raises(Untrusted, match="is not ours"):
        loose.reopen()


def test_a_text_that_it_cannot_hold_is_refused_and_stops_nobody(box: World) -> None:
    with pytest.raises(Unreadable), box.book.page("web") as page:
        page.private("a\0b")
    with pytest.raises(Unreadable):
        accounts.find(box.book, address="a\0b")
    box.register(1)


# ------------------------------------------------------------------------------------ a server that is gone


@pytest.fixture(scope="module")
def fragile() -> Iterator[Server]:
    """A server for tests that stop it; its commits are on the disk."""
    with Server("fsync=on") as server:
        yield server.begin()


@pytest.fixture(scope="module")
def company(fragile: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("fragile"), server=fragile)


@pytest.fixture
def there(company: World, tmp_path: Path) -> Iterator[World]:
    world = company.copy(tmp_path)
    yield world
    assert fsck(world.book) == []
    world.check()
    world.book.engine.dispose()


def until(true: Callable[[], Any]) -> None:
    """Waits for what must come, however slow the machine is."""
    while not true():
        time.sleep(0.02)


def test_a_server_that_is_away_refuses_and_goes_on_by_itself(there: World, fragile: Server) -> None:
    before = size(there.book)
    fragile.stop(signal.SIGQUIT)
    try:
        with pytest.raises(Away, match="does not answer just now"):
            there.register(1)
        with pytest.raises(Away):
            there.book.checkpoint()
    finally:
        fragile.start()
    assert size(there.book) == before
    there.register(1)


def test_a_line_that_breaks_within_an_act_leaves_nothing_of_it(there: World, fragile: Server) -> None:
    before = size(there.book)
    with pytest.raises(Away), there.book.page("web") as page:  # noqa: PT012 - the line breaks after it
        page.record(site(1))
        fragile.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'custody'")
    assert size(there.book) == before
    there.state(site(1))


def test_a_server_that_is_stuck_in_an_act_loses_its_turn(there: World) -> None:
    before = size(there.book)
    with pytest.raises(Away), there.book.page("web") as page:  # noqa: PT012 - it is stuck after this
        page.record(site(1))
        page.connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 20"))
        with there.owner() as owner:
            alive = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            until(lambda: owner.scalar(sa.text(alive)) == 0)
    assert size(there.book) == before
    there.state(site(1))


def write_on(folder: str, name: int, said: Any) -> None:
    """A server process: records sites until the database is gone, and says which were acknowledged."""
    book = home.open_book(Path(folder), lambda: START + timedelta(days=3), secrets.token_bytes)
    for number in range(name * 100_000, name * 100_000 + 10_000):
        try:
            with book.page("web") as page:
                page.record(site(number))
        except Away:
            break
        said.send(number)
    said.close()


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate", "kill -9"])
def test_what_was_acknowledged_survives_a_crash(there: World, fragile: Server, how: int) -> None:
    context = multiprocessing.get_context("spawn")
    there.book.engine.dispose()
    heard = []
    for name in (1, 2, 3):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=write_on, args=(str(there.folder), name, theirs))
        process.start()
        theirs.close()
        heard.append((ours, process))
    acknowledged = [ours.recv() for ours, _ in heard for _ in range(15)]
    fragile.stop(how)
    for ours, process in heard:
        while True:
            try:
                acknowledged.append(ours.recv())
            except EOFError:
                break
        process.join()
        assert process.exitcode == 0
    fragile.start()
    there.reopen()
    with there.book.world() as world:
        missing = [number for number in acknowledged if world.find(Site, f"S-{number}") is None]
    assert missing == []
    assert len(acknowledged) == len(set(acknowledged)) >= 45


# ------------------------------------------------------------------------------- a standby that is not there


@pytest.fixture
def lonely(there: World, fragile: Server) -> Iterator[World]:
    """Commits wait for a standby that is not there."""
    fragile.set_standby("ghost")
    yield there
    fragile.set_standby("")


def waits(world: World) -> bool:
    with world.book.read() as connection:
        return world.book.database.waiting(connection) > timedelta()


def acting(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """The act in a thread of its own, and what came of it."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(act())
        except BaseException as problem:  # noqa: BLE001 - it is what came
            came.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_a_commit_waits_for_its_standby_and_is_seen_to_wait(lonely: World, fragile: Server) -> None:
    before = size(lonely.book)
    assert not waits(lonely)
    thread, came = acting(lambda: lonely.state(site(1)))
    until(lambda: waits(lonely))
    assert not came
    assert size(lonely.book) == before, "nobody sees it before it is safe"
    fragile.set_standby("")
    thread.join()
    assert isinstance(came[0], str)
    assert size(lonely.book) == before + 2
    assert not waits(lonely)


def test_a_commit_whose_waiting_was_cut_short_is_not_answered(lonely: World, fragile: Server) -> None:
    """PostgreSQL calls it a success with a warning. The hand-off is on one machine alone."""
    before = size(lonely.book)
    thread, came = acting(lambda: lonely.state(site(1)))
    until(lambda: waits(lonely))
    fragile.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    thread.join()
    assert isinstance(came[0], Away), came
    assert size(lonely.book) == before + 2, "it is there, and was not answered"
    fragile.set_standby("")
    lonely.state(site(2))


def test_a_repeat_waits_for_the_standby_as_the_first_time_did(lonely: World, fragile: Server) -> None:
    """A hand-off that one machine alone has, since it restarted, is not confirmed from there."""
    fragile.set_standby("")
    name = lonely.request(1)
    lonely.approve(name)
    payload = lonely.hand_off(name, "ann", "carl", "NORTH")
    both = lonely.both(payload, "ann", "carl")
    first = signing.submit(lonely.book, payload, both)
    before = size(lonely.book)
    fragile.set_standby("ghost")
    thread, came = acting(lambda: signing.submit(lonely.book, payload, both))
    until(lambda: waits(lonely))
    assert not came
    fragile.set_standby("")
    thread.join()
    assert (came[0].seq, came[0].event) == (first.seq, first.event)
    assert size(lonely.book) == before


def test_a_standby_for_which_no_commit_waits_is_refused(there: World, fragile: Server) -> None:
    fragile.sql("SELECT pg_create_physical_replication_slot('other')")
    try:
        with pytest.raises(Untrusted, match="CUSTODY_STANDBY=i-accept-that-a-failover-may-lose-hand-offs"):
            there.reopen()
        with view(there.book, "P-1") as adas:
            assert adas.unguarded().startswith("A standby follows this database"), "that came while it runs"
        bold = home.open_book(there.folder, there.clock, secrets.token_bytes, may_lose=True)
        with view(bold, "P-1") as adas:
            assert adas.unguarded() == ""
        bold.engine.dispose()
    finally:
        fragile.sql("SELECT pg_drop_replication_slot('other')")
    there.reopen()


def test_synchronous_commit_is_on_whatever_the_roles_settings_say(there: World, fragile: Server) -> None:
    asked = sa.text("SHOW synchronous_commit")
    for setting, ours in (
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("remote_apply", "remote_apply"),
    ):
        fragile.sql(f"ALTER ROLE {SERVERS} SET synchronous_commit = {setting}")
        there.reopen()
        with there.book.writing() as connection:
            assert connection.scalar(asked) == ours
    fragile.sql(f"ALTER ROLE {SERVERS} RESET ALL")


# ------------------------------------------------------------------------------------------------- the move


def test_a_book_moves_to_sqlite_and_back(loose: World, postgresql: Server) -> None:
    """Byte for byte, with all that stands beside the ledger; the old database stays as it was."""
    name = loose.dispatch(3)
    loose.wait(minutes=95)
    accounts.add(loose.book, loose.ids["ann"], "Ann", "ann@home.test")
    accounts.note_wrong(loose.book, "ann@home.test", "192.0.2.1")
    loose.state(*(site(number) for number in range(200)))
    before = everything(loose.book)
    for address, owner in (("sqlite:moved.db", None), *places(postgresql)):
        old = loose.book.database
        assert move(loose.book, loose.folder, address, owner) == size(loose.book)
        assert everything(loose.book) == before
        loose.reopen()
        assert loose.book.database.address == address != old.address
        assert everything(loose.book) == before
    loose.hand(name, "carl", "ben")
    accounts.note_wrong(loose.book, "ann@home.test", "192.0.2.1")
    loose.check()


def test_a_move_keeps_its_lock_however_long_the_copy_is_looked_at(
    loose: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a server may be silent in an act: nobody writes to the old book, or the move is none."""
    monkeypatch.setattr("custody.store.database.STUCK", timedelta(seconds=1))
    loose.book.engine.dispose()

    def slow(book: Book) -> list[Wrong]:
        time.sleep(2.5)
        return fsck(book)

    monkeypatch.setattr("custody.store.move.fsck", slow)
    there = size(loose.book)
    assert move(loose.book, loose.folder, "sqlite:moved.db") == there
    loose.reopen()
    loose.register(1)
    loose.check()


def places(postgresql: Server) -> list[tuple[str, str]]:
    place = postgresql.place()
    return [(place.address, place.owner)]


def everything(book: Book) -> dict[str, list[Any]]:
    """Every row of every table, but for the numbers that a database gives by itself."""
    with book.read() as connection:
        return {
            name: [
                tuple(row)
                for row in connection.execute(
                    sa.select(*(c for c in table.c if c is not table.autoincrement_column)).order_by(
                        *table.primary_key
                    )
                )
            ]
            for name, table in SQLModel.metadata.tables.items()
        }


def test_a_book_does_not_move_to_where_one_is(loose: World, template: World) -> None:
    assert template.place is not None
    with pytest.raises(Conflict, match="a book in this database already"):
        move(loose.book, loose.folder, template.place.address, template.place.owner)
    (loose.folder / "there.db").write_bytes(b"")
    with pytest.raises(Conflict, match="of this name already"):
        move(loose.book, loose.folder, "sqlite:there.db")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("UPDATE person SET contact = 'x' WHERE id = 'P-4'", "P-4 in the table person"),
        ("DELETE FROM entry WHERE seq = 40", "only grows"),
    ],
)
def test_a_book_that_is_not_whole_does_not_move(loose: World, harm: str, why: str) -> None:
    """Where it is not what the ledger says, and where the ledger itself forbids the copy."""
    with loose.unguarded() as owner:
        owner.exec_driver_sql(harm)
    with pytest.raises((Untrusted, Forged), match=why):
        move(loose.book, loose.folder, "sqlite:moved.db")
    assert not [*loose.folder.glob("moved*")]
    assert loose.place is not None
    assert (loose.folder / "database").read_text() == loose.place.address
