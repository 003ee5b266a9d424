"""Where a book lives: a folder with the database, the keys and what is given away on paper.

    book.db            the ledger and its fold (SQLite; with its -wal and -shm files while it is open)
    book.lock          taken by whoever writes
    keys/log.pem       signs checkpoints            (Ed25519, for the owner's eyes only)
    keys/server.pem    signs the server's facts     (ECDSA P-256, likewise)
    policy             the auditor's trust file, C2SP tlog-policy
    genesis.txt        the hash of entry 0: print it, and give it to the auditor by another way

`create` makes it, once; `open_book` opens it and refuses one that cannot be trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from custody.errors import Conflict, NotFound, Unreadable, Untrusted
from custody.facts import Genesis, Relaxation
from custody.ledger.keys import SigningKey
from custody.ledger.note import LogKey, Policy, policy_text
from custody.store.book import Book, Clock, Keys, Random
from custody.store.triggers import TRIGGERS

BUSY: Final = 30_000
"""Milliseconds that a writer waits for another process which has SQLite's own lock."""


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


def create(folder: Path, founding: Founding, clock: Clock, random: Random) -> tuple[Book, str]:
    """A new book in a folder that is empty or not there yet, and the hash of its genesis.

    Conflict where there is one already. The founder's private key is *not* kept here.
    """
    check_empty(folder)
    (folder / "keys").mkdir(parents=True, mode=0o700)
    _secret(folder / "keys" / "log.pem", founding.log_key.pem())
    _secret(folder / "keys" / "server.pem", founding.server_key.pem())
    engine = _engine(folder / "book.db")
    _migrate(engine)
    keys = Keys(founding.log_key, founding.server_key)
    vkey = str(founding.log_key.verifier)
    policy = policy_text(vkey)
    (folder / "policy").write_text(policy, "ascii")
    book = Book(engine, folder / "book.lock", policy, keys=keys, clock=clock, random=random)
    with book.page("console") as page:
        contact = page.private(founding.contact)
        page.found(
            Genesis(
                organisation=founding.organisation,
                log_key=vkey,
                server_key=founding.server_key.public.spki,
                founder="P-1",
                founder_key=founding.founder_key.public.spki,
                contact=contact,
                relaxed=founding.relaxed,
            ),
            founding.founder_key,
        )
        genesis = page.world.log.genesis
    (folder / "genesis.txt").write_text(f"{genesis}\n", "ascii")
    return book, genesis


def check_empty(folder: Path) -> None:
    """Conflict where something is in the folder already."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty. A new book needs a folder of its own.")


def open_book(folder: Path, clock: Clock, random: Random) -> Book:
    """The book in this folder, after a look at its triggers and at the right edge of its tree.

    NotFound where there is none; Untrusted where it is not what its newest checkpoint signs, where a
    trigger is missing, or where its tables are of another version.
    """
    if not (folder / "book.db").is_file():
        raise NotFound(f"There is no book in {folder}. Make one with `custody init --book {folder}`.")
    for name in ("policy", "keys/log.pem", "keys/server.pem"):
        if not (folder / name).is_file():
            raise Untrusted(f"{folder / name} is missing. Restore it: a backup has it beside book.db.")
    policy = (folder / "policy").read_bytes()
    origin = _origin(folder / "policy", policy)
    keys = Keys(
        LogKey.from_pem(origin, (folder / "keys" / "log.pem").read_bytes()),
        SigningKey.from_pem((folder / "keys" / "server.pem").read_bytes()),
    )
    engine = _engine(folder / "book.db")
    with engine.connect() as connection:
        check_tables(connection)
    book = Book(engine, folder / "book.lock", policy.decode(), keys=keys, clock=clock, random=random)
    book.verify_edge()
    with book.world() as world:
        if world.log.server_key != keys.server.public.id:
            raise Untrusted("keys/server.pem is not the key that the genesis names. Restore the right one.")
    return book


def upgrade(folder: Path) -> tuple[str, str]:
    """Brings the tables to this program's version: which they were of, and which they are of now.

    The ledger's own tables are never rebuilt by this: a rebuild would drop their triggers.
    """
    if not (folder / "book.db").is_file():
        raise NotFound(f"There is no book in {folder}.")
    engine = _engine(folder / "book.db")
    with engine.connect() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
    _migrate(engine)
    engine.dispose()
    return str(before), str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def _origin(path: Path, policy: bytes) -> str:
    try:
        return Policy.read(policy).logs[0].name
    except Unreadable as problem:
        raise Untrusted(f"{path}: {problem}") from problem


def _secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _engine(path: Path) -> sa.Engine:
    """SQLite as an embedded ledger wants it: every commit on the disk before it is answered."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY / 1000}, max_overflow=-1)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={BUSY}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # the delete within INSERT OR REPLACE must meet its trigger, too
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrate(engine: sa.Engine) -> None:
    with engine.connect().execution_options(writes=True) as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def alembic_config() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def check_tables(connection: sa.Connection) -> None:
    """Untrusted where the tables are of another version or a trigger is missing or changed."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    if current != head:
        raise Untrusted(
            f"The book's tables are of version {current}, this program's of {head}. A backup first, and then:"
            " custody db upgrade. If the book's is the newer one, install the newer program."
        )
    there = _triggers(connection)
    for name in TRIGGERS.keys() | there.keys():
        if there.get(name) != TRIGGERS.get(name):
            raise Untrusted(
                f"The trigger {name} is missing from the book, or is not ours: somebody has opened the ledger"
                " to changes. Compare it with pinned checkpoints (`custody audit --pin`) before you trust it."
            )


def _triggers(connection: sa.Connection) -> dict[str, str]:
    rows: Iterable[Any] = connection.execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    )
    return {row.name: row.sql for row in rows}
