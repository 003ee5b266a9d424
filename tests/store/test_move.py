"""A move that fails, is refused or interrupted leaves the book where it is, and the target as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from postgresql import OWNER, Server, owner
from processes import FORK
from world import START, World, new_key

from custody import files
from custody.errors import Conflict, NoRoom, Untrusted
from custody.facts import SiteOpened
from custody.ledger.note import LogKey
from custody.store import home
from custody.store import move as moving
from custody.store.book import Book, newest_note
from custody.store.fsck import fsck
from custody.store.move import move

BACK = "sqlite:back.db"


def tables(server: Server, place: home.Place) -> list[str]:
    """What is in the database."""
    name = sa.make_url(place.address).database
    found = server.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace", database=str(name)
    )
    return [row[0] for row in found]


def stays(world: World, address: str) -> None:
    """The book is where it was, and nothing of another is in its folder."""
    world.reopen()
    assert world.book.database.address == address
    assert not [*world.folder.glob("*.part*"), *world.folder.glob("back*")]


@pytest.fixture
def target(postgresql: Server) -> home.Place:
    """An empty database on the server."""
    return postgresql.place()


@pytest.mark.on("sqlite")
def test_a_copy_that_differs_is_not_in_the_target(
    loose: World, target: home.Place, postgresql: Server
) -> None:
    with loose.owner() as owner:
        owner.exec_driver_sql("UPDATE person SET contact = 'x' WHERE id = 'P-4'")
    for address, owners in ((target.address, target.owner), (BACK, None)):
        with pytest.raises(Untrusted, match="P-4 in the table person"):
            move(loose.book, loose.folder, address, owners)
        assert tables(postgresql, target) == []
        stays(loose, "sqlite:book.db")


@pytest.mark.on("sqlite")
def test_a_role_that_may_too_much_is_told_before_anything_is_made(
    loose: World, target: home.Place, postgresql: Server
) -> None:
    with pytest.raises(Untrusted, match="could do anything"):
        move(loose.book, loose.folder, target.owner, target.owner)
    assert tables(postgresql, target) == []
    move(loose.book, loose.folder, target.address, target.owner)
    loose.reopen()
    assert fsck(loose.book) == []


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["_copy_ledger", "_copy", "_prove", "fsck"])
def test_who_is_interrupted_does_it_again(
    loose: World, postgresql: Server, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """From the one database to the other, and the other way."""
    there, here = loose.book.database.address, loose.place
    place = None if here else postgresql.place()
    address, owner = (place.address, place.owner) if place else (BACK, None)
    with monkeypatch.context() as now:
        now.setattr(moving, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            move(loose.book, loose.folder, address, owner)
    assert place is None or tables(postgresql, place) == []
    stays(loose, there)
    move(loose.book, loose.folder, address, owner)
    loose.reopen()
    assert loose.book.database.address == address
    loose.check()


def killed_before_it_is_named(folder: str, address: str, owner: str | None) -> None:
    """Moves a book in a process that ends between the commit and the naming."""
    book = home.open_book(Path(folder), lambda: START, os.urandom)
    replace = Path.replace

    def end(path: Path, target: Path) -> Path:
        if path.name == "database.part":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = end  # type: ignore[method-assign,assignment]
    move(book, Path(folder), address, owner)


def test_a_copy_that_was_never_named_makes_room_for_the_next(loose: World, postgresql: Server) -> None:
    place = None if loose.place else postgresql.place()
    address, owner = (place.address, place.owner) if place else (BACK, None)
    there = loose.book.database.address
    loose.book.engine.dispose()
    process = FORK.Process(target=killed_before_it_is_named, args=(str(loose.folder), address, owner))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    loose.reopen()
    assert loose.book.database.address == there
    loose.register(2)
    move(loose.book, loose.folder, address, owner)
    loose.reopen()
    assert loose.book.database.address == address
    loose.check()


@pytest.mark.on("postgresql")
def test_what_a_killed_move_left_of_a_file_is_in_nobodys_way(loose: World) -> None:
    (loose.folder / "back.db.part").write_bytes(b"half")
    move(loose.book, loose.folder, BACK)
    loose.reopen()
    assert not [*loose.folder.glob("*.part*")]
    loose.check()


@pytest.mark.on("postgresql")
def test_a_disk_that_is_full_leaves_no_file(loose: World, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = home.SQLite._prepare

    def limited(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA max_page_count=60")

    there = loose.book.database.address
    with monkeypatch.context() as now:
        now.setattr(home.SQLite, "_prepare", staticmethod(limited))
        with pytest.raises(NoRoom, match="The disk is full"):
            move(loose.book, loose.folder, BACK)
    stays(loose, there)
    move(loose.book, loose.folder, BACK)
    loose.reopen()
    loose.check()


@pytest.mark.on("postgresql")
def test_what_fails_after_its_mark_leaves_none(loose: World) -> None:
    """As on a disk that is full at the very end: what was written cannot all be put into the file."""
    there = loose.book.database.address
    with contextlib.ExitStack() as readers:

        def read(_done: int, _of: int) -> None:
            line = contextlib.closing(sqlite3.connect(loose.folder / "back.db.part"))
            readers.enter_context(line).execute("SELECT count(*) FROM sqlite_master").fetchall()

        with pytest.raises(NoRoom):
            move(loose.book, loose.folder, BACK, tell=read)
    stays(loose, there)


def left(world: World, postgresql: Server, *, mark: bool = True) -> tuple[str, str | None]:
    """Where a copy of the book stands that its folder never named: its address and its owner's."""
    there = world.book.database.address
    place = None if world.place else postgresql.place()
    address, owner = (place.address, place.owner) if place else (BACK, None)
    move(world.book, world.folder, address, owner)
    world.book.engine.dispose()
    (world.folder / "database").rename(world.folder / "database.part")
    if not mark:
        (world.folder / "database.part").unlink()
    (world.folder / "database").write_text(there)
    world.reopen()
    return address, owner


def test_what_a_move_left_is_not_taken_away_without_its_mark(loose: World, postgresql: Server) -> None:
    address, owner = left(loose, postgresql, mark=False)
    (loose.folder / "database.part").write_text("sqlite:else.db\n")
    with pytest.raises(Conflict, match="already"):
        move(loose.book, loose.folder, address, owner)
    assert (loose.folder / "database.part").read_text() == "sqlite:else.db\n"


def test_what_a_move_left_and_a_server_wrote_to_is_not_taken_away(loose: World, postgresql: Server) -> None:
    """A second app server was given the address before the first one's move was done again."""
    address, owner = left(loose, postgresql)
    other = loose.folder.with_name("other")
    shutil.copytree(loose.folder, other)
    (other / "database").write_text(address)
    book = home.open_book(other, loose.clock, os.urandom)
    with book.page("console") as page:
        page.record(SiteOpened("P-1", "S-1", "UTC"))
    book.engine.dispose()
    if not owner:
        shutil.copy(other / "back.db", loose.folder / "back.db")
    for _ in range(2):  # and the refusal leaves the mark as it was
        with pytest.raises(Conflict, match="already"):
            move(loose.book, loose.folder, address, owner)
    if not owner:
        shutil.copy(loose.folder / "back.db", other / "back.db")
    assert fsck(book) == []
    book.engine.dispose()


def test_another_book_is_not_taken_away_whatever_the_mark_says(
    loose: World, tmp_path: Path, postgresql: Server
) -> None:
    """Of an administrator who decided otherwise after a move was killed."""
    place = None if loose.place else postgresql.place()
    address, owner = (place.address, place.owner) if place else (BACK, None)
    with making(tmp_path / "other", place) as other:
        pass
    if not place:
        (tmp_path / "other" / "book.db").rename(loose.folder / "back.db")
    (loose.folder / "database.part").write_text(f"{address}\n")
    with pytest.raises(Conflict, match="already"):
        move(loose.book, loose.folder, address, owner)
    if not place:
        (loose.folder / "back.db").rename(tmp_path / "other" / "book.db")
    assert fsck(other) == []
    other.engine.dispose()


@pytest.mark.on("postgresql")
@pytest.mark.parametrize("data", [b"", b"a safe copy", b"SQLite format 3\0" + bytes(8192)])
def test_a_file_that_is_no_book_is_not_taken_away_whatever_the_mark_says(loose: World, data: bytes) -> None:
    (loose.folder / "back.db").write_bytes(data)
    (loose.folder / "database.part").write_text(f"{BACK}\n")
    with pytest.raises(Conflict, match="of this name already"):
        move(loose.book, loose.folder, BACK)
    assert (loose.folder / "back.db").read_bytes() == data


@pytest.mark.on("postgresql")
@pytest.mark.parametrize("mark", [BACK, "sqlite:else.db"])
@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_what_is_left_of_an_older_database_is_not_read_into_the_new_one(
    loose: World, end: str, mark: str
) -> None:
    (loose.folder / f"back.db{end}").write_bytes(b"what a database had open")
    (loose.folder / "database.part").write_text(f"{mark}\n")
    with pytest.raises(Conflict, match=rf"of this name already \(back\.db{end}\)"):
        move(loose.book, loose.folder, BACK)
    assert (loose.folder / f"back.db{end}").read_bytes() == b"what a database had open"
    assert not (loose.folder / "back.db.part").exists()


def test_empty_tables_that_a_move_left_are_taken_away(loose: World, postgresql: Server) -> None:
    place = None if loose.place else postgresql.place()
    address, owner = (place.address, place.owner) if place else (BACK, None)
    home.prepare(address, loose.folder, owner).engine.dispose()
    with pytest.raises(Conflict, match="already"):
        move(loose.book, loose.folder, address, owner)
    (loose.folder / "database.part").write_text(f"{address}\n")
    move(loose.book, loose.folder, address, owner)
    loose.reopen()
    assert loose.book.database.address == address
    loose.check()


@pytest.mark.on("postgresql")
def test_another_book_is_never_in_the_way_of_a_move(
    loose: World, template: World, postgresql: Server
) -> None:
    other = postgresql.copy(str(template.place and template.place.address))
    with pytest.raises(Conflict, match="a book in this database already"):
        move(loose.book, loose.folder, other.address, other.owner)
    assert "entry" in tables(postgresql, other)


def test_a_book_does_not_move_to_where_it_is_under_another_name(loose: World) -> None:
    there = loose.book.database.address
    again = there
    if loose.place:
        again = f"{there}&application_name=x"
    else:
        (loose.folder / "same.db").symlink_to(loose.folder / "book.db")
        again = "sqlite:same.db"
    for address in (there, again):
        with pytest.raises(Conflict, match=r"The book is in .* already"):
            move(loose.book, loose.folder, address, loose.place and loose.place.owner)
    loose.reopen()
    loose.check()


# ------------------------------------------------------------------------------------------------ founding


def founding(name: str = "new.example/log") -> home.Founding:
    log_key = LogKey(name, Ed25519PrivateKey.generate())
    return home.Founding(name, "HOME", "a@b.test", log_key, new_key(), new_key())


@contextlib.contextmanager
def making(folder: Path, place: home.Place | None) -> Iterator[Book]:
    """A new book, as `custody init` makes one."""
    with home.making(folder, founding(), lambda: START, os.urandom, place) as (book, _):
        yield book
    book.engine.dispose()


def test_a_founding_that_fails_leaves_no_book(loose: World, tmp_path: Path, postgresql: Server) -> None:
    """The folder, and the database where it is another, are as they were."""
    place = postgresql.place() if loose.place else None
    folder = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt), making(folder, place):
        interrupted()
    assert not folder.exists()
    assert place is None or tables(postgresql, place) == []
    with making(folder, place) as made, made.read() as connection:
        assert newest_note(connection)


def test_a_second_founding_touches_nothing_of_the_first(
    loose: World, tmp_path: Path, postgresql: Server
) -> None:
    """In one folder, or in two over one database."""
    place = postgresql.place() if loose.place else None
    folder, other = tmp_path / "new", tmp_path / "other"
    folder.mkdir(0o700)
    with files.alone(folder, ""), pytest.raises(Conflict, match=r"is being made in .* just now"):
        home.create(folder, founding(), lambda: START, os.urandom, place)
    assert not [*folder.iterdir()]
    assert place is None or tables(postgresql, place) == []
    with making(folder, place) as made:
        with pytest.raises(Conflict, match="is not empty"):
            home.create(folder, founding(), lambda: START, os.urandom, place)
        if place:
            with pytest.raises(Conflict, match="a book in this database already"):
                home.create(other, founding(), lambda: START, os.urandom, place)
    assert not other.exists()
    home.open_book(folder, lambda: START, os.urandom).engine.dispose()
    assert fsck(made) == []
    made.engine.dispose()


def test_tables_that_are_made_are_in_a_second_foundings_way(tmp_path: Path, postgresql: Server) -> None:
    """Before the first has its entry 0, too."""
    place = postgresql.place()
    home.prepare(place.address, tmp_path, place.owner).engine.dispose()
    made = tables(postgresql, place)
    with pytest.raises(Conflict, match="a book in this database already"):
        home.create(tmp_path / "new", founding(), lambda: START, os.urandom, place)
    assert tables(postgresql, place) == made
    assert not (tmp_path / "new").exists()


def test_what_fails_takes_back_no_other_book(tmp_path: Path, postgresql: Server) -> None:
    """An administrator has emptied the database meanwhile, and another book was founded in it."""
    place = postgresql.place()

    def two() -> Iterator[Book]:
        with making(tmp_path / "one", place):
            with owner(place) as line:
                line.execute("DROP SCHEMA public CASCADE")
                line.execute(f"CREATE SCHEMA public AUTHORIZATION {OWNER}")
                line.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
            with making(tmp_path / "two", place) as other:
                yield other
            interrupted()

    (other,) = islice(both := two(), 1)
    with pytest.raises(Conflict, match="could not be taken back"):
        next(both)
    assert not (tmp_path / "one").exists()
    assert fsck(other) == []
    other.engine.dispose()


def test_tables_that_cannot_be_taken_back_are_told(
    tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgresql.place()
    monkeypatch.setattr("custody.store.database.BUSY", timedelta(milliseconds=100))

    def fail() -> None:
        with making(tmp_path / "new", place):
            reader.execute("SELECT count(*) FROM entry")  # a pg_dump, say
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = r"The book was not made \(.*No space left.*\) and its tables could not be taken back \(.*lock"
    with psycopg.connect(place.address) as reader, pytest.raises(Conflict, match=words):
        fail()
    assert "entry" in tables(postgresql, place)
    assert not (tmp_path / "new").exists()
