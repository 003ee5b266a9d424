"""What alerts must never say: mail is read over shoulders, forwarded, and kept by others.

Words that give themselves away are put wherever the system keeps words; then all that can be told is told.
"""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from alarm.test_relay import full
from prose import prose
from rounds import go_round, watch
from world import CAST, World

from custody import orders
from custody.acts import alarms, consignments, media, people
from custody.readers.inventory import Row
from custody.readers.mtx import Cartridge, Library
from custody.rules.incidents import incident_of
from custody.rules.notices import Message
from custody.store import tables
from labels import identity

ADDRESS = "quetzal.halibut@zephyr.test"
CANARIES = ("zanzibar", "quetzal", "halibut", "zephyr", "qzx", "oncology", "halloumi", "pomelo", "wombat")
"""A name, an address, volsers, a data set's title, a decision's reason, a relay's answer, a find's words."""


class Notebook:
    """A channel that takes everything and writes it down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> str:
        self.messages.append(message)
        return "250 2.0.0 Pomelo queued"

    def close(self) -> None:
        pass


def populate(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One more senior manager with a telling address, and media with telling volsers and data sets."""
    monkeypatch.setitem(CAST, "zoe", ("HOME", [("senior-manager", None)]))
    grants = (orders.Grant(role="senior-manager"),)
    order = orders.Invite(name="Zoe Zanzibar", address=ADDRESS, organisation="HOME", grants=grants)
    invited = people.invitation(world.book, order)
    world.sign("ada", invited)
    world.ids["zoe"] = invited.person
    world.enrol("zoe", "dana")
    volsers = [f"QZX{n:03d}L8" for n in range(25)]
    tapes = tuple(Cartridge(v, n, "slot", cleaning=False, line=n) for n, v in enumerate(volsers, start=1))
    library = Library(1, 25, tapes, (), "/dev/sg0")
    inventory = [Row(n, v, "WOMBAT-SET", "Oncology patients", (7, 9)) for n, v in enumerate(volsers, start=1)]
    taken = media.take_in(
        world.book, "P-1", "NORTH", library, inventory, draw=lambda: identity.draw(secrets.token_bytes)
    )
    return list(taken.ids.values())


def travel(world: World, item: str) -> str:
    order = orders.Request(
        route="N-S", carrier="FLEET", pick_up_by=world.at + timedelta(minutes=5), media=(item,)
    )
    name = consignments.request(world.book, world.ids["ann"], order)
    world.approve(name)
    world.hand(name, "ann", "carl", site="NORTH")
    return name


def test_no_message_says_more_than_it_must(box: World, monkeypatch: pytest.MonkeyPatch) -> None:
    items = populate(box, monkeypatch)
    notebook = Notebook()
    monitor = watch(box.book, notebook)
    go_round(monitor)
    trips = [travel(box, item) for item in items[:22]]
    alarms.sight(box.book, items[0], "A Wombat carries it through Halloumi street")
    for _ in range(20):
        box.at += timedelta(minutes=10)
        go_round(monitor)
    with box.book.world() as world:
        incident = incident_of(world, trips[0])
    assert incident is not None
    with box.book.page("web") as page:
        decided = alarms.decision(page, incident.id, box.ids["zoe"], "search", "Halloumi: the Wombat has it")
    box.sign("zoe", decided)
    box.hand(trips[1], "carl", "ben", missing=(1,))
    box.hand(trips[2], "carl", "ben")
    for _ in range(5):
        box.at += timedelta(minutes=30)
        go_round(monitor)
    _nothing_shows(notebook.messages)
    with box.book.read() as connection:
        kept = " ".join(connection.scalars(sa.select(tables.Private.text))).lower()
    assert all(word in kept for word in ("quetzal", "oncology", "halloumi", "pomelo")), (
        "the words are there to leak"
    )


def _nothing_shows(messages: list[Message]) -> None:
    kinds = (
        "Reminder",
        "ALARM",
        "PRESUMED MISSING",
        "All clear",
        "matters need you",
        "A device was enrolled",
        "Checkpoint of",
    )
    for kind in kinds:
        assert any(kind in m.subject for m in messages), f"{kind} was to be told"
    assert ADDRESS in {m.to for m in messages}
    for message in messages:
        said = prose(f"{message.subject} {message.body}").lower()
        assert [word for word in CANARIES if word in said] == []
        assert "@" not in f"{message.subject} {message.body}"


def test_a_refused_round_logs_no_more(
    loose: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is read by many. A round that fails is told there without what was in its hands."""
    structlog.reset_defaults()
    items = populate(loose, monkeypatch)
    travel(loose, items[0])
    loose.at += timedelta(hours=3)

    def refuse(_cursor: object, sql: str, *_: Any) -> None:
        if sql.startswith('INSERT INTO "checkpoint"'):
            full()

    for kind in ("do_execute", "do_executemany"):
        sa.event.listen(loose.book.engine, kind, refuse)
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: stop.set())
    watch(loose.book, Notebook()).run(stop)
    said = "".join(capsys.readouterr()).lower()
    assert "the disk is full" in said
    assert [word for word in CANARIES if word in prose(said)] == []
    assert "private" not in said
