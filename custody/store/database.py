"""What differs between the two databases in which a book can stand: SQLite in its folder, and PostgreSQL.

    database = at("postgresql://custody@db1/custody", folder)
    with database.writing() as connection: ...  # the only writer there is, whatever the process or machine
    with database.reading() as connection: ...  # one moment of the book

An *address* says which one: `sqlite:book.db`, a file in the book's folder, or a `postgresql://` URL as libpq
reads it. It never holds a password: that is libpq's business (a file that only the server's account reads).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from typing_extensions import override

from custody.errors import Away, Conflict, Forged, NoRoom, Unreadable, Untrusted
from custody.files import told
from custody.outside import is_here

BUSY: Final = timedelta(seconds=30)
"""So long a writer waits for the database's own lock; in SQLite it has waited for other writers before."""
STUCK: Final = timedelta(minutes=5)
"""After so long PostgreSQL ends a transaction whose server says nothing more: the others wait for it."""
IN_THE_FOLDER: Final = "sqlite:book.db"
"""Where the tables of a book are, unless its folder says otherwise."""
MAY_LOSE: Final = "i-accept-that-a-failover-may-lose-hand-offs"
"""What must be set before a standby may follow for which no commit waits."""
_ENCRYPTED: Final = ("require", "verify-ca", "verify-full")
"""libpq's modes in which a line is encrypted or is none; left to itself it takes what it is given."""
_FILE: Final = re.compile(r"[A-Za-z0-9_-]{1,60}\.db", re.ASCII)
DRIVER: Final = "postgresql+psycopg://"
_LOCK: Final = int.from_bytes(b"custody", "big")
"""What writers take. A database holds one book, and its advisory locks are its own."""
_GONE: Final = ("08", "57P", "53", "25006", "25P03", "55P03", "57014")
"""SQLSTATEs, or how they begin: no line, shut down, too many, a standby, stuck, another's turn, cancelled."""
_NO_ROOM: Final = "53100"
_TRIGGER: Final = "23001"
"""SQLSTATEs: the disk is full; what our triggers raise (`custody.store.triggers`), and nothing else here."""
ROOM: Final = 1 << 16
"""Free bytes below which what SQLite calls an error of the disk is a full one: its index has no room."""
_FULL: Final = "The disk is full. Nothing of this was recorded; make room and do it again."
_AWAY: Final = (
    "The database does not answer just now ({why}). See to its server, the address and the password."
)
_NOT_NOW: Final = (
    "The database cannot be written or read just now ({why}). Whether this was recorded is not known: look"
    " before you do it again. What both have signed enters once, however often it is sent."
)


class Database(ABC):
    """Where a book's tables stand. Threads may share one; who forks disposes of `engine` before."""

    address: str
    engine: sa.Engine
    may_lose = False
    """Whether a standby may follow that no commit waits for."""

    @abstractmethod
    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A connection whose transactions have the write lock from their beginning, so that no tail moves.

        What the database says no to is raised as ours: NoRoom, Conflict, Forged, Away or Untrusted.
        """

    @abstractmethod
    def reading(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A connection that sees one moment of the book, from its first question on."""

    @abstractmethod
    def there(self) -> bool:
        """Whether a book has been begun here."""

    @abstractmethod
    def reach(self) -> str:
        """Which database it is, the same under every address that it has.

        Away where there is no line to it, in words for who begins: nothing of theirs is there yet.
        """

    @abstractmethod
    def check_standby(self, connection: sa.Connection) -> None:
        """Untrusted where one follows that no commit waits for, unless it `may_lose`.

        A failover would cut the ledger.
        """

    @abstractmethod
    def be_patient(self, connection: sa.Connection) -> None:
        """This transaction may say nothing for long, and keeps its lock."""

    @abstractmethod
    def waiting(self, connection: sa.Connection) -> timedelta:
        """For how long commits have waited for a standby that does not answer; zero where none waits."""


def at(address: str, folder: Path) -> SQLite | PostgreSQL:
    """The database of this address; `folder` is the book's. Unreadable where it is no address."""
    kind, _, name = address.partition(":")
    if kind == "sqlite" and _FILE.fullmatch(name):
        return SQLite(folder, name)
    if kind in ("postgresql", "postgres"):
        return PostgreSQL(address)
    raise Unreadable(
        f"{address} is no database: give sqlite:NAME.db, a file in the book's folder with a name of up to 60"
        " letters, digits, - and _; or postgresql://..."
    )


@contextlib.contextmanager
def released(database: Database) -> Iterator[None]:
    """Where the block fails, nothing stays connected."""
    try:
        yield
    except BaseException:
        database.engine.dispose()
        raise


@contextlib.contextmanager
def disposed(database: Database) -> Iterator[None]:
    """Nothing stays connected after the block."""
    try:
        yield
    finally:
        database.engine.dispose()


class SQLite(Database):
    """A file in the book's folder, and beside it the lock of whoever writes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.address = f"sqlite:{name}"
        self.file = folder / name
        self._lock = self.file.with_suffix(".lock")
        self.engine = sa.create_engine(
            f"sqlite:///{self.file}", connect_args={"timeout": BUSY.total_seconds()}, max_overflow=-1
        )
        sa.event.listen(self.engine, "connect", self._prepare)
        sa.event.listen(self.engine, "begin", self._begin)

    @staticmethod
    def _prepare(connection: Any, _: Any) -> None:
        """As an embedded ledger wants it: every commit on the disk before it is answered."""
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in (
            "page_size=8192",  # three or four entries leave too much of the usual one unused
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={BUSY // timedelta(milliseconds=1)}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # the delete within INSERT OR REPLACE must meet its trigger, too
        ):
            connection.execute(f"PRAGMA {pragma}")

    @staticmethod
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @override
    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self._alone(), self._connect(writes=True) as connection:
            try:
                yield connection
            except sa.exc.DatabaseError:
                connection.invalidate()  # a commit that failed may have left its lock: it goes with the line
                raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Around SQLite's own lock, whose waiting is unfair: writers would starve for seconds."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @override
    def reading(self) -> contextlib.AbstractContextManager[sa.Connection]:
        return self._connect()

    @contextlib.contextmanager
    def _connect(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect().execution_options(writes=writes) as connection:
                yield connection
        except sa.exc.DatabaseError as problem:
            raise _refused(problem) or self._closed(problem) or _untrusted(problem) from problem

    def _closed(self, problem: sa.exc.DatabaseError) -> Exception | None:
        """What is the file's or the disk's; None where it is neither."""
        kind = _code(problem) & 0xFF  # what is above says where it went wrong
        if kind == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.file.parent).free < ROOM:
            return NoRoom(_FULL)
        if kind in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return Untrusted(told(PermissionError(errno.EACCES, _words(problem), str(self.file))))
        return None

    @override
    def there(self) -> bool:
        return self.file.is_file()

    def files(self) -> list[Path]:
        """Which are there: its own, and those that are beside it while it is open, or after a crash."""
        ends = ("", "-wal", "-shm", "-journal")
        return [path for end in ends if os.path.lexists(path := Path(f"{self.file}{end}"))]

    def remove(self) -> None:
        """Takes the file away, with all that is beside it while it is open."""
        self.engine.dispose()
        for path in (*self.files(), self._lock):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lying(self) -> Iterator[sa.Connection]:
        """What is in a file that nobody has open; nothing of it is changed, whatever it is."""
        address = f"{self.file.absolute().as_uri()}?immutable=1"
        engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def become(self, other: SQLite) -> None:
        """Takes the place of the other's file. NoRoom where what was written could not all be put into it."""
        self.engine.dispose()
        if Path(f"{self.file}-wal").exists():
            raise NoRoom(_FULL)
        self.file.replace(other.file)

    @override
    def reach(self) -> str:
        """It is a file."""
        return "{0.st_dev}:{0.st_ino}".format(self.file.stat()) if self.there() else str(self.file)

    @override
    def check_standby(self, connection: sa.Connection) -> None:
        """It has none."""

    @override
    def be_patient(self, connection: sa.Connection) -> None:
        """It ends nobody's transaction."""

    @override
    def waiting(self, connection: sa.Connection) -> timedelta:
        return timedelta()


class PostgreSQL(Database):
    """A database of its own on a PostgreSQL server, which several app servers may share.

    `owner` asks for the rights of whoever owns the database, to make its tables; a server never has them.
    """

    def __init__(self, address: str, *, owner: bool = False) -> None:
        self.address = address
        self._owner = owner
        _check_address(address)
        self.engine = sa.create_engine(
            DRIVER, pool_pre_ping=True, max_overflow=-1, use_native_hstore=False, client_encoding="utf8"
        )
        sa.event.listen(self.engine, "do_connect", self._connect)
        sa.event.listen(self.engine, "connect", self._prepare)
        sa.event.listen(self.engine, "begin", self._begin)

    def _connect(self, _dialect: Any, _record: Any, arguments: list[Any], _more: Any) -> None:
        """The address goes to libpq as it is: it knows of several hosts, options and password files."""
        arguments[:] = [self.address]

    def _prepare(self, connection: Any, record: Any) -> None:
        connection.autocommit = True
        settings = [
            "search_path = public",
            f"lock_timeout = {BUSY // timedelta(milliseconds=1)}",
            f"idle_in_transaction_session_timeout = {STUCK // timedelta(milliseconds=1)}",
        ]
        (commits,) = connection.execute("SHOW synchronous_commit").fetchone()
        if commits != "remote_apply":  # more than we ask for; whatever is less, we do not have
            settings.append("synchronous_commit = on")
        for setting in settings:
            connection.execute(f"SET {setting}")
        if self._owner:
            connection.execute(
                "SELECT set_config('role', pg_get_userbyid(datdba), false)"
                " FROM pg_database WHERE datname = current_database()"
            )
        connection.autocommit = False
        connection.add_notice_handler(functools.partial(_heard, record.info))

    @staticmethod
    def _begin(connection: sa.Connection) -> None:
        """The message makes every commit one that waits for the standby.

        Else an act that finds all of it there already would be answered, though what it found may be on this
        machine alone: committed when the standby was lost, and seen since a restart.
        """
        if connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql(
                f"SELECT pg_advisory_xact_lock({_LOCK}), pg_logical_emit_message(true, 'custody', '')"
            )

    @override
    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with (
            _translated(),
            self.engine.connect().execution_options(writes=True) as connection,
            _translated(_NOT_NOW),
        ):
            try:
                connection.info.pop("warned", None)
                yield connection
            except sa.exc.DatabaseError:
                connection.invalidate()
                raise
            if not connection.invalidated and (warned := connection.info.pop("warned", None)):
                raise Away(_NOT_NOW.format(why=warned))

    @override
    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with _translated(), self.engine.connect().execution_options(**snapshot) as connection:
            yield connection

    @override
    def there(self) -> bool:
        with _translated(), self.engine.connect() as connection:
            return sa.inspect(connection).has_table("entry")

    @override
    def reach(self) -> str:
        which = "SELECT current_database() || ' of ' || system_identifier FROM pg_control_system()"
        with _translated():
            try:
                with self.engine.connect() as connection:
                    return str(connection.scalar(sa.text(which)))
            except sa.exc.OperationalError as problem:
                why = f"{self.address} cannot be reached ({_words(problem)})"
                raise Away(
                    f"{why}. Nothing was made; see to the server, the address and the password."
                ) from None

    def role(self) -> str:
        """As whom the address signs in."""
        with self.reading() as connection:
            return str(connection.scalar(sa.text("SELECT session_user")))

    @override
    def check_standby(self, connection: sa.Connection) -> None:
        """A base backup is no standby; where its role may not know which it is, it takes it for one.

        Beside a standby that is waited for, such a role does not see one that is not.
        """
        followed = (
            "SELECT current_setting('synchronous_standby_names') = '' AND (EXISTS (SELECT FROM"
            " pg_stat_replication WHERE COALESCE(state, 'streaming') IN ('streaming', 'catchup')) OR EXISTS"
            " (SELECT FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary))"
            " OR EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'async')"
        )
        if not self.may_lose and connection.scalar(sa.text(followed)):
            raise Untrusted(
                "A standby follows this database, and no commit waits for it: a failover to it would lose"
                " hand-offs that were answered. Name it in synchronous_standby_names (docs/postgresql.md), or"
                f" say in so many words that you take it upon you: CUSTODY_STANDBY={MAY_LOSE}"
            )

    @override
    def be_patient(self, connection: sa.Connection) -> None:
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    @override
    def waiting(self, connection: sa.Connection) -> timedelta:
        longest = (
            "SELECT max(clock_timestamp() - query_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'SyncRep'"
        )
        found: timedelta | None = connection.scalar(sa.text(longest))
        return found or timedelta()


def insert(
    connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Inserts rows of these columns. Times and JSON are texts in them already, as the database holds them.

    Past SQLAlchemy's own conversion of each value, which takes longer than the database does.
    """
    connection.exec_driver_sql(_insert(connection.dialect, table, names), list(rows))


def upsert(
    connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """The same, and each in the place of the one with the same id, if there is one."""
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != "id")
    statement = _insert(connection.dialect, table, names)
    connection.exec_driver_sql(f"{statement} ON CONFLICT (id) DO UPDATE SET {changed}", list(rows))


def _insert(dialect: sa.Dialect, table: sa.Table, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    places = ", ".join(["?" if dialect.paramstyle == "qmark" else "%s"] * len(names))
    return f'INSERT INTO "{table.name}" ({columns}) VALUES ({places})'  # noqa: S608 - names of ours


def _check_address(address: str) -> None:
    """Unreadable where libpq could not read it, where a password stands in it or might pass in the clear."""
    import psycopg  # noqa: PLC0415 - a book in SQLite needs no driver

    try:
        parts = psycopg.conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        raise Unreadable(
            "The database's address cannot be read. It is a URL such as postgresql://custody@db1/custody"
        ) from None
    if parts.get("password") is not None:
        raise Unreadable(
            "The database's address holds a password. Leave it out, and put it into a file that only the"
            " server's account can read: ~/.pgpass, or the one that PGPASSFILE names."
        )
    hosts = str(parts.get("hostaddr") or parts.get("host") or os.environ.get("PGHOST", "")).split(",")
    remote = [host for host in hosts if host and not host.startswith(("/", "@")) and not is_here(host)]
    if remote and (parts.get("sslmode") or os.environ.get("PGSSLMODE")) not in _ENCRYPTED:
        raise Unreadable(
            f"The line to the database on {remote[0]} might be in the clear, and with it the password, names"
            " and addresses. Put sslmode=verify-full into its address (docs/postgresql.md)."
        )


def _heard(info: dict[Any, Any], notice: Any) -> None:
    """A warning while something is committed: it was not waited for the standby, whatever was answered."""
    if notice.severity_nonlocalized == "WARNING":
        info["warned"] = notice.message_primary


@contextlib.contextmanager
def _translated(away: str = _AWAY) -> Iterator[None]:
    """What the database says no to, as ours; `away` is the sentence for one that does not answer."""
    try:
        yield
    except sa.exc.DatabaseError as problem:
        state = getattr(problem.orig, "sqlstate", None)
        if isinstance(problem, sa.exc.DataError):
            raise Unreadable("The database cannot hold this text or number.") from problem
        if refused := _refused(problem):
            raise refused from problem
        lost = isinstance(problem, sa.exc.OperationalError) and state is None
        if lost or problem.connection_invalidated or str(state).startswith(_GONE):
            raise Away(away.format(why=_words(problem))) from problem
        raise _untrusted(problem) from problem


def _refused(problem: sa.exc.DatabaseError) -> Exception | None:
    """What is the act's misfortune and leaves the book whole; None where it is more.

    Judged by codes alone: a database quotes rows in its words, and a row may hold any.
    """
    code, state = _code(problem), getattr(problem.orig, "sqlstate", None)
    if code == sqlite3.SQLITE_FULL or state == _NO_ROOM:
        return NoRoom(_FULL)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER or state == _TRIGGER:
        return Forged("The ledger only grows: this would have changed what stands in it.")
    if isinstance(problem, sa.exc.IntegrityError):
        return Conflict("Something of this name or number is there already.")
    return None


def _code(problem: sa.exc.DatabaseError) -> int:
    """SQLite's extended result code; 0 where it was not SQLite that failed."""
    return getattr(problem.orig, "sqlite_errorcode", 0)


def _untrusted(problem: sa.exc.DatabaseError) -> Untrusted:
    return Untrusted(
        f"The book could not be read or written ({_words(problem)}). Stop, check the disk, then `custody"
        " doctor`."
    )


def _words(problem: sa.exc.DatabaseError) -> str:
    """The database's first line: the ones after it are hints, and where in a statement it was."""
    return (str(problem.orig).strip() or type(problem.orig).__name__).splitlines()[0]
