"""Where a book lives: a folder with the database, the keys and what is given away on paper.

    book.db            the ledger and its fold (SQLite; with its -wal and -shm files while it is open)
    book.lock          taken by whoever writes to it
    database           the address of the tables where book.db has them not (`custody.store.database`)
    database.part      the address that a move which broke off was to write there (`custody.store.move`)
    keys/log.pem       signs checkpoints            (Ed25519, for the owner's eyes only)
    keys/server.pem    signs the server's facts     (ECDSA P-256, likewise)
    keys/sessions      keeps people signed in       (made by the first `custody serve`, likewise)
    policy             the auditor's trust file, C2SP tlog-policy
    verdict            what the guard last found  (`custody.store.verdict`)
    pin-id             drawn with the first pin; of this machine alone (`custody.store.pin`)
    genesis.txt        the hash of entry 0: print it, and give it to the auditor by another way

`create` makes it, once; `open_book` opens it and refuses one that cannot be trusted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from custody import files
from custody.errors import Conflict, Impossible, NotFound, Refusal, Unreadable, Untrusted
from custody.facts import Genesis, Relaxation
from custody.ledger.keys import SigningKey
from custody.ledger.note import LogKey, Policy, policy_text
from custody.store import roles
from custody.store.book import Book, Clock, Keys, Random, newest_note
from custody.store.database import IN_THE_FOLDER, Database, PostgreSQL, SQLite, at, disposed, released
from custody.store.nouns import SPOILT
from custody.store.triggers import TRIGGERS, present

BOOK: Final = "A new book"
"""What is made here, in the sentences about its folder."""
Spare = Callable[[sa.Connection], bool]
"""Whether the tables of a book that this connection sees may be taken away."""
_entry = SQLModel.metadata.tables["entry"]


@dataclass(frozen=True, slots=True)
class Place:
    """A PostgreSQL database for a book's tables.

    `address` is what servers use; `owner` signs in a role that may take on the database owner's rights.
    """

    address: str
    owner: str


@dataclass(frozen=True, slots=True)
class Founding:
    """What a new book is made with. `contact` is the founder's address, kept outside the ledger."""

    origin: str
    organisation: str
    contact: str
    log_key: LogKey
    server_key: SigningKey
    founder_key: SigningKey
    relaxed: tuple[Relaxation, ...] = ()


def create(
    folder: Path, founding: Founding, clock: Clock, random: Random, place: Place | None = None
) -> tuple[Book, str]:
    """A new book, with nothing more to it: what `making` gives, and as that raises."""
    with making(folder, founding, clock, random, place) as made:
        return made


@contextlib.contextmanager
def making(
    folder: Path, founding: Founding, clock: Clock, random: Random, place: Place | None = None
) -> Iterator[tuple[Book, str]]:
    """A new book in a folder that is empty or not there yet, and the hash of its genesis.

    Its tables are in the folder, too, or in the place given. Where anything fails, in the block as well,
    neither folder nor tables stay; Conflict says it where the tables could not be taken back. Conflict where
    there is a book already, or one is being made; Untrusted where the database or its roles do not suit one.
    The founder's private key is *not* kept here.
    """
    if place is not None and isinstance(at(place.address, folder), SQLite):
        raise Unreadable("A book in SQLite has its database in its folder: leave out --database and --owner.")
    with files.filled(folder, BOOK):
        files.make_folder(folder / "keys")
        files.make(folder / "keys" / "log.pem", founding.log_key.pem())
        files.make(folder / "keys" / "server.pem", founding.server_key.pem())
        policy = policy_text(str(founding.log_key.verifier))
        files.make(folder / "policy", policy.encode())
        if place is None:
            database = prepare(IN_THE_FOLDER, folder)
        else:
            files.make(folder / "database", f"{place.address}\n".encode())
            database = prepare(place.address, folder, place.owner)
        with released(database), _taken_back(place, policy):
            keys = Keys(founding.log_key, founding.server_key)
            book = Book(database, policy, keys=keys, clock=clock, random=random)
            genesis = _found(book, founding)
            files.make(folder / "genesis.txt", f"{genesis}\n".encode())
            yield book, genesis


def _found(book: Book, founding: Founding) -> str:
    with book.page("console") as page:
        page.found(
            Genesis(
                organisation=founding.organisation,
                log_key=str(founding.log_key.verifier),
                server_key=founding.server_key.public.spki,
                founder="P-1",
                founder_key=founding.founder_key.public.spki,
                contact=page.private(founding.contact),
                relaxed=founding.relaxed,
            ),
            founding.founder_key,
        )
        return page.world.log.genesis


@contextlib.contextmanager
def _taken_back(place: Place | None, policy: str) -> Iterator[None]:
    """Where the block fails, the tables go that it has just made: they are empty, or of this policy's log."""
    try:
        yield
    except BaseException as problem:
        if place is not None:
            try:
                _take_back(PostgreSQL(place.owner, owner=True), policy)
            except (Refusal, Untrusted, OSError) as left:
                why = files.told(problem) if isinstance(problem, OSError) else str(problem) or "interrupted"
                raise Conflict(
                    f"The book was not made ({why}) and its tables could not be taken back ({left}) Make the"
                    " database anew before you begin again (docs/postgresql.md)."
                ) from problem
        raise


def _take_back(database: Database, policy: str) -> None:
    with disposed(database), database.writing() as connection:
        if connection.scalar(sa.select(sa.func.count(_entry.c.seq))):
            Policy.read(policy.encode()).open(newest_note(connection).encode())
        _clear(connection)
        connection.commit()


def prepare(address: str, folder: Path, owner: str | None = None) -> Database:
    """The database of this address, with the tables of a book and nothing in them. Raises as `tables`."""
    with tables(address, folder, owner):
        pass
    return at(address, folder)


@contextlib.contextmanager
def tables(
    address: str, folder: Path, owner: str | None = None, spare: Spare = lambda _: False
) -> Iterator[sa.Connection]:
    """A transaction in which the database of this address has the tables of a book, and nothing in them.

    They are there when the block has ended well, with what it wrote, or not at all. In PostgreSQL they are
    made with the rights of `owner`, and the servers' role has its own. Conflict where something is there
    already, unless it is a book's tables that are `spare`; Untrusted where database or roles do not suit.
    """
    database = at(address, folder)
    if isinstance(database, SQLite):
        with _new_file(database, spare) as part, part.writing() as connection:
            _migrate(connection, part)
            yield connection
            connection.commit()
        return
    if owner is None:
        raise Conflict("The servers' role makes no tables: give --owner, the address of one that may.")
    admin = PostgreSQL(owner, owner=True)
    with disposed(admin), disposed(database):
        if admin.reach() != database.reach():
            raise Conflict("The address given with --owner is of another database than the servers'.")
        with admin.writing() as connection:
            admin.be_patient(connection)
            roles.check_owner(connection)
            _make_room(connection, spare)
            _migrate(connection, database)
            roles.check(connection, database.role())
            yield connection
            connection.commit()


@contextlib.contextmanager
def _new_file(database: SQLite, spare: Spare) -> Iterator[SQLite]:
    """A database that has another name until the block has ended well."""
    there = database.files()
    if there and not (there == [database.file] and _is_spare_file(database, spare)):
        names = ", ".join(path.name for path in there)
        raise Conflict(
            f"{database.file.parent} has files of a database of this name already ({names}). Take another"
            " name."
        )
    part = SQLite(database.file.parent, f"{database.file.name}.part")
    part.remove()
    files.make(part.file, b"")
    try:
        yield part
        part.become(database)
    finally:
        part.remove()


def _is_spare_file(database: SQLite, spare: Spare) -> bool:
    try:
        with database.lying() as connection:
            return _is_spare(connection, spare)
    except sa.exc.DatabaseError:  # it is no database
        return False


def _make_room(connection: sa.Connection, spare: Spare) -> None:
    """Takes away tables that are spare; Conflict where others are there, of whatever program."""
    if there := sa.inspect(connection).get_table_names():
        if not _is_spare(connection, spare):
            raise Conflict(
                f"There is a book in this database already, or another program (the table {there[0]}). A book"
                " needs an empty database of its own (docs/postgresql.md)."
            )
        _clear(connection)


def _is_spare(connection: sa.Connection, spare: Spare) -> bool:
    return _version(connection) == _head() and spare(connection)


def _clear(connection: sa.Connection) -> None:
    """Takes away the tables of a book that was never in use."""
    SQLModel.metadata.drop_all(connection)
    connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))


def open_book(folder: Path, clock: Clock, random: Random, *, may_lose: bool = False) -> Book:
    """The book in this folder, after a look at its triggers and at the right edge of its tree.

    NotFound where there is none; Untrusted where it is not what its newest checkpoint signs, where a
    trigger is missing, where its tables are of another version, or where the servers' role could do too much;
    and, unless it `may_lose` hand-offs, where a standby follows that no commit waits for.
    """
    database = database_of(folder)
    database.may_lose = may_lose
    for name in ("policy", "keys/log.pem", "keys/server.pem"):
        if not (folder / name).is_file():
            raise Untrusted(f"{folder / name} is missing. Restore it: a backup has it.")
    policy = files.read(folder / "policy")
    origin = _origin(folder / "policy", policy)
    log_pem, server_pem = folder / "keys" / "log.pem", folder / "keys" / "server.pem"
    with files.about(log_pem):
        log_key = LogKey.from_pem(origin, files.read(log_pem))
    with files.about(server_pem):
        keys = Keys(log_key, SigningKey.from_pem(files.read(server_pem)))
    if str(keys.log.verifier) not in map(str, Policy.read(policy).logs):
        raise Untrusted(
            f"{folder / 'policy'} names another log's key than keys/log.pem. A backup has the right one."
        )
    with released(database):
        with database.reading() as connection:
            check(database, connection)
        book = Book(database, policy.decode(), keys=keys, clock=clock, random=random)
        book.verify_edge()
        if _server_key(book) != keys.server.public.id:
            raise Untrusted("keys/server.pem is not the key that the genesis names. Restore the right one.")
    return book


def _server_key(book: Book) -> str:
    try:
        with book.world() as world:
            return world.log.server_key
    except (Impossible, *SPOILT) as problem:
        raise Untrusted(
            f"The table log is not what the ledger says ({problem}) Restore the book from a backup, and then:"
            " custody log restore --from MIRROR."
        ) from problem


def database_of(folder: Path) -> Database:
    """Where the tables of the book in this folder are; NotFound where there is none."""
    named = folder / "database"
    address = files.read(named).decode("utf-8", "replace").strip() if named.is_file() else IN_THE_FOLDER
    try:
        database = at(address, folder)
    except Unreadable as problem:
        raise Unreadable(f"{named}: {problem}") from problem
    try:
        if not database.there():
            raise NotFound(f"There is no book in {folder}. Make one with `custody init --book {folder}`.")
    finally:
        database.engine.dispose()  # what is refused after this leaves no line open
    return database


def upgrade(folder: Path, owner: str | None = None) -> tuple[str, str]:
    """Brings the tables to this program's version: which they were of, and which they are of now.

    In PostgreSQL `owner` is an address with the owner's rights; the servers' role gets its own anew.
    The ledger's own tables are never rebuilt by this: a rebuild would drop their triggers.
    """
    database = database_of(folder)
    if isinstance(database, PostgreSQL) and owner is None:
        raise Conflict("The servers' role makes no tables: give --owner, the address of one that may.")
    with released(database):
        with database.reading() as connection:
            before = _version(connection)
        makes = PostgreSQL(owner, owner=True) if owner else database
        makes.reach()
        with released(makes), makes.writing() as connection:
            if isinstance(database, PostgreSQL):
                roles.check_owner(connection)
            _migrate(connection, database)
            connection.commit()
        makes.engine.dispose()
    database.engine.dispose()
    return str(before), _head()


def _version(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _origin(path: Path, policy: bytes) -> str:
    try:
        return Policy.read(policy).logs[0].name
    except Unreadable as problem:
        raise Untrusted(f"{path}: {problem}") from problem


def _migrate(connection: sa.Connection, servers: Database) -> None:
    """Makes the tables, or changes them; in PostgreSQL `servers` is what uses them, and its role may then."""
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if isinstance(servers, PostgreSQL):
        roles.grant(connection, servers.role())


def alembic_config() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@functools.cache
def _head() -> str:
    """The version of the tables that this program makes."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def check(database: Database, connection: sa.Connection) -> None:
    """Untrusted where a server would not begin with this database: its tables, triggers, role or standby.

    All of it can be changed under a server that runs, which therefore looks at it again.
    """
    check_tables(connection)
    database.check_standby(connection)


def check_tables(connection: sa.Connection) -> None:
    """Untrusted where the tables are of another version, a trigger is not ours, or a role may do too much."""
    if connection.dialect.name == "postgresql":
        roles.check(connection)
    head = _head()
    current = _version(connection)
    if current is None:
        raise Untrusted(
            f"{connection.engine.url.database or 'The database'} holds no book: it is empty, or of another"
            " program. Put back a backup of the book (README, Restore)."
        )
    if current != head:
        raise Untrusted(
            f"The book's tables are of version {current}, this program's of {head}. A backup first, and then:"
            " custody db upgrade. If the book's is the newer one, install the newer program."
        )
    wanted, there = TRIGGERS[connection.dialect.name], present(connection)
    for name in wanted.keys() | there.keys():
        if there.get(name) != wanted.get(name):
            raise Untrusted(
                f"The trigger {name} is missing from the book, or is not ours: somebody has opened the ledger"
                " to changes. Compare it with pinned checkpoints (`custody audit --pin`) before you trust it."
            )
