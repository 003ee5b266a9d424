"""docs/postgresql.md as an administrator follows it: the roles, a book, the move there and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli.command import NOWHERE, ROOT, custody, init
from postgresql import Server
from world import World

from custody.acts import pulses

FRESH = ("init", "--name", "A", "--address", "a@b.test", "--origin", "x.example/log", "--book")
PAGE = (ROOT / "docs" / "postgresql.md").read_text("utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with what the page says, and with nothing else."""
    with Server() as server:
        server.begin(bare=True)
        (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
        server.sql(*(line.partition(";")[0] for line in block.splitlines()))
        yield server


@pytest.fixture
def addresses(server: Server) -> Iterator[tuple[str, str]]:
    """Of the servers and of the administrator, in a database that is empty."""
    yield server.url("custody", "custody"), server.url("custody", "custody_admin")
    server.sql("DROP DATABASE custody WITH (FORCE)")
    (made,) = re.findall(r"(CREATE DATABASE .*?);", PAGE)
    server.sql(made)


def test_a_book_is_made_upgraded_and_looked_at(addresses: tuple[str, str], tmp_path: Path) -> None:
    address, owner = addresses
    folder = tmp_path / "book"
    said = init(folder, "--database", address, "--owner", owner)
    assert "A new book stands in" in said
    assert not (folder / "book.db").exists()
    at = ("--book", str(folder))
    assert "give --owner" in custody("db", "upgrade", *at, code=1)
    assert "Nothing to do." in custody("db", "upgrade", *at, "--owner", owner)
    assert "whole" in custody("fsck", *at)
    assert "tree and triggers as signed" in custody("doctor", *at, code=1)
    assert "There is a book in this database" in custody(
        *FRESH, str(tmp_path / "other"), "--database", address, "--owner", owner, code=1
    )
    (folder / "database").write_text(owner)
    assert "could change the database, which is its own" in custody("fsck", *at, code=2)


def test_init_wants_both_addresses_and_no_password(addresses: tuple[str, str], tmp_path: Path) -> None:
    at = (*FRESH, str(tmp_path / "book"))
    assert "go together" in custody(*at, "--database", addresses[0], code=2)
    secret = "postgresql://custody:hunter2@db1/custody"
    said = custody(*at, "--database", secret, "--owner", addresses[1], code=1)
    assert "holds a password" in said
    assert "hunter2" not in said
    said = custody(*at, "--database", addresses[0], "--owner", NOWHERE, code=1)
    assert f"{NOWHERE} cannot be reached" in said
    assert not (tmp_path / "book").exists()


def test_a_book_moves_there_and_back(addresses: tuple[str, str], loose: World) -> None:
    address, owner = addresses
    name = loose.dispatch(2)
    loose.book.engine.dispose()
    before = (loose.folder / "book.db").read_bytes()
    at = ("db", "move", "--book", str(loose.folder))
    assert "The book is not in sqlite:other.db" in custody(*at, "sqlite:other.db", address, code=2)
    assert "give --owner" in custody(*at, "sqlite:book.db", address, code=1)
    assert "same root, and nothing differs" in custody(*at, "--owner", owner, "sqlite:book.db", address)
    assert (loose.folder / "book.db").read_bytes() == before
    loose.reopen()
    assert loose.book.database.address == address
    loose.hand(name, "carl", "ben")
    assert "of this name already" in custody(*at, address, "sqlite:book.db", code=1)
    assert "same root, and nothing differs" in custody(*at, address, "sqlite:back.db")
    loose.reopen()
    assert loose.book.database.address == "sqlite:back.db"
    assert loose.consignment(name).state == "arrived"
    loose.check()


def test_a_role_that_may_too_much_is_refused_and_the_right_one_is_taken(
    addresses: tuple[str, str], loose: World, tmp_path: Path
) -> None:
    address, owner = addresses
    at = ("db", "move", "--book", str(loose.folder), "--owner", owner, "sqlite:book.db")
    assert "The role custody_admin could change the database" in custody(*at, owner, code=2)
    new = (*FRESH, str(tmp_path / "new"), "--owner", owner, "--database")
    assert "The role custody_admin could change the database" in custody(*new, owner, code=2)
    assert not (tmp_path / "new").exists()
    assert "same root, and nothing differs" in custody(*at, address)


def test_a_book_with_a_monitor_at_work_does_not_move(addresses: tuple[str, str], loose: World) -> None:
    loose.at = datetime.now(UTC) + timedelta(hours=1)  # however long the command takes to begin
    pulses.pulse(loose.book, "monitor")
    at = ("--book", str(loose.folder), "--owner", addresses[1])
    assert "Stop all servers" in custody("db", "move", *at, "sqlite:book.db", addresses[0], code=1)
