"""Two servers of the book, a primary and its synchronous standby: each may be lost, and no hand-off is."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import queue
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from postgresql import SERVERS, Server
from world import START, World

from custody.acts import signing
from custody.errors import Away, Untrusted
from custody.facts import SiteOpened
from custody.ledger.note import Checkpoint
from custody.rules.people import Site
from custody.store import home
from custody.store.fsck import fsck


@pytest.fixture
def primary() -> Iterator[Server]:
    with Server("fsync=on") as server:
        yield server.begin()


@pytest.fixture
def standby(primary: Server) -> Iterator[Server]:
    with Server("fsync=on") as server:
        server.follow(primary, "standby")
        primary.set_standby("standby")
        while not in_step(primary):
            time.sleep(0.02)
        yield server


@pytest.fixture
def shared(primary: Server, standby: Server, tmp_path: Path) -> Iterator[World]:
    """A book whose address names both machines."""
    world = World(tmp_path, server=primary)
    assert world.place is not None
    name = psycopg.conninfo.conninfo_to_dict(world.place.address)["dbname"]
    hosts = ",".join(quote(str(server.home), safe="") for server in (primary, standby))
    address = f"postgresql:///{name}?host={hosts}&user={SERVERS}&target_session_attrs=read-write"
    (world.folder / "database").write_text(address)
    world.reopen()
    yield world
    assert fsck(world.book) == []
    world.check()


def in_step(primary: Server) -> bool:
    return primary.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)]


def serve(folder: str, start: int, said: Any, end: Any) -> None:
    """A server process whose people look, and do again what is not there, until the end."""
    book = home.open_book(Path(folder), lambda: START + timedelta(days=3), secrets.token_bytes)
    for number in itertools.count(start):
        while True:
            try:
                with book.page("web") as page:
                    if page.world.find(Site, f"S-{number}") is None:
                        page.record(SiteOpened("P-1", f"S-{number}", "UTC"))
                break
            except Away:
                time.sleep(0.05)
        said.put(number)
        if end.is_set():
            break


def test_a_failover_loses_nothing_that_was_acknowledged(
    shared: World, primary: Server, standby: Server
) -> None:
    """The primary is lost under two server processes, which go on by themselves with the promoted standby."""
    before = Checkpoint.of(shared.book.checkpoint()).size
    shared.book.engine.dispose()
    context = multiprocessing.get_context("spawn")
    said, end = context.Queue(), context.Event()
    processes = [
        context.Process(target=serve, args=(str(shared.folder), start, said, end))
        for start in (100_000, 200_000)
    ]
    for process in processes:
        process.start()
    acknowledged: set[int] = set()
    while len(acknowledged) < 40 or len({number // 100_000 for number in acknowledged}) < 2:
        acknowledged.add(said.get())
    primary.stop(signal.SIGKILL)
    with contextlib.suppress(queue.Empty):
        while True:  # what was answered before the primary was gone
            acknowledged.add(said.get(timeout=1))
    standby.run("pg_ctl", "promote", "-D", standby.data, "--wait")
    shared.reopen()
    with shared.book.world() as world:
        assert [number for number in acknowledged if world.find(Site, f"S-{number}") is None] == []
    acknowledged |= {said.get() for _ in range(40)}
    end.set()
    while any(process.is_alive() for process in processes) or not said.empty():
        with contextlib.suppress(queue.Empty):
            acknowledged.add(said.get(timeout=0.1))
    assert [process.exitcode for process in processes] == [0, 0]
    assert {number // 100_000 for number in acknowledged} == {1, 2}
    assert Checkpoint.of(shared.book.checkpoint()).size == before + 2 * len(acknowledged), (
        "each is there once"
    )


def test_a_standby_that_no_commit_waits_for_is_refused_beside_one_that_is_waited_for(
    shared: World, primary: Server, standby: Server
) -> None:
    primary.sql(f"GRANT pg_read_all_stats TO {SERVERS}")  # as docs/postgresql.md has it
    with Server("fsync=on") as third:
        third.follow(primary, "third")
        states = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1"
        while primary.sql(states) != [("async",), ("sync",)]:
            time.sleep(0.02)
        with pytest.raises(Untrusted, match="no commit waits for it"):
            shared.reopen()
        primary.set_standby("ANY 1 (standby, third)")
        while primary.sql(states) != [("quorum",), ("quorum",)]:
            time.sleep(0.02)
        shared.reopen()
        primary.set_standby("standby")
    assert standby.data.exists()
    shared.reopen()


def test_a_hand_off_waits_for_a_lost_standby_and_is_answered_once_it_is_back(
    shared: World, standby: Server
) -> None:
    name = shared.request(2)
    shared.approve(name)
    payload = shared.hand_off(name, "ann", "carl", "NORTH")
    both = shared.both(payload, "ann", "carl")
    before = Checkpoint.of(shared.book.checkpoint()).size
    standby.stop(signal.SIGKILL)
    answered: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answered.append(signing.submit(shared.book, payload, both)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while True:
        with shared.book.read() as connection:
            if shared.book.database.waiting(connection) > timedelta():
                break
        time.sleep(0.02)
    assert not answered
    assert Checkpoint.of(shared.book.checkpoint()).size == before
    standby.start()
    for thread in threads:
        thread.join()
    assert len({(each.seq, each.event) for each in answered}) == 1
    assert len(answered) == 3
    assert Checkpoint.of(shared.book.checkpoint()).size == before + 2, "sent three times, there once"
    assert shared.consignment(name).state == "travelling"
