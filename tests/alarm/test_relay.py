"""A relay that is down, defers, refuses, hangs, lies or is somebody else's: the attempts never end.

The relay is a real SMTP server on a real socket (`sink.py`); the clock is moved by hand, so that an hour of
451 takes a moment.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alarm.life import Interrupted
from alarm.sink import DRIP, DROP, HANG, OK, Authority, Sink
from alarm.station import PATIENCE, Station, email, overdue
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import ENDS_WITHIN, go_round, watch
from world import START, World

from custody import orders
from custody.acts import deliveries, people
from custody.channels.email import Email, Relay
from custody.errors import NoRoom, Undelivered, Unreadable
from custody.rules.notices import Message
from custody.store import home, outbox, tables

SENIORS = {"dana@home.test", "sam@home.test", "hal@home.test"}


# ------------------------------------------------------------------------------------- it does not take it


def test_a_relay_that_is_down_loses_nothing(station: Station) -> None:
    overdue(station)
    station.sink.shut()
    station.rounds(90)
    assert not any(n.accepted_at for n in station.notices().values() if "/1.0/" in n.id)
    station.sink.open()
    station.rounds(61)
    assert station.waiting() == 0
    assert Counter(d.to for d in station.sink.accepted())["dana@home.test"] == 1


def test_an_hour_of_451_is_an_hour_of_attempts(station: Station) -> None:
    overdue(station)
    station.sink.on_data = lambda _: "451 4.3.0 later"
    began = station.world.at
    station.rounds(14 * 60 + 59, least=1)
    tries: dict[str, list[float]] = {}
    for delivery in station.sink.deliveries:
        tries.setdefault(delivery.message, []).append((delivery.at - began).total_seconds())
    assert len(tries) == 5, "Carl, Mona, Max, Dana, Sam"
    for moments in tries.values():
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        assert gaps[:5] == [2, 4, 8, 16, 32]
        assert set(gaps[5:]) == {60}
    station.rounds(45 * 60, least=600)
    station.sink.on_data = lambda _: OK
    station.rounds(61)
    assert station.waiting() == 0
    assert {d.message for d in station.sink.accepted()} >= set(tries)
    assert {n.outcome for n in station.notices().values()} == {"accepted"}


@pytest.mark.parametrize("mood", [HANG, DROP, DRIP])
def test_a_relay_that_never_answers_stops_nobody(station: Station, mood: str) -> None:
    """Dana's message gets no answer, and the others are told. It is tried again, under the same id."""
    overdue(station)
    station.monitor = watch(station.world.book, email(station.sink, station.world, answer=0.5))
    station.sink.on_data = lambda to: mood if to == "dana@home.test" else OK
    go_round(station.monitor)
    others = {f"{name}@home.test" for name in ("carl", "mona", "max", "sam")}
    assert {d.to for d in station.sink.accepted()} == others
    assert station.notices()[f"A-2/1.0/{station.world.ids['dana']}/email"].outcome == "deferred"
    station.sink.on_data = lambda _: OK
    station.rounds(61)
    assert len({d.message for d in station.sink.deliveries if d.to == "dana@home.test"}) == 1


# ---------------------------------------------------------------------------------------- whose relay it is


def say(sink: Sink, **relay: Any) -> str:
    """One message, straight through the channel."""
    with Sink():  # nobody's
        channel = Email(
            Relay("127.0.0.1", sink.port, "alarms@test.example", timeout=PATIENCE, **relay), sink._clock
        )
        try:
            return channel.send(Message(f"<{'0' * 32}@test.example>", "dana@home.test", "Alarm", "Text\n"))
        finally:
            channel.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_relay_of_our_own_authority_is_trusted(tmp_path: Path, tls: str) -> None:
    ours = Authority(tmp_path / "ours")
    with Sink(tls=ours.context("127.0.0.1"), implicit=tls == "implicit") as sink:
        assert say(sink, tls=tls, ca_file=str(ours.file)) == OK
        assert len(sink.accepted()) == 1


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("wrong", ["another authority", "another host", "no authority named"])
def test_another_relay_gets_nothing(tmp_path: Path, tls: str, wrong: str) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    host = "relay.elsewhere.test" if wrong == "another host" else "127.0.0.1"
    context = (theirs if wrong == "another authority" else ours).context(host)
    trusted = None if wrong == "no authority named" else str(ours.file)
    with Sink(tls=context, implicit=tls == "implicit") as sink:
        with pytest.raises(Undelivered, match="certificate verify failed"):
            say(sink, tls=tls, ca_file=trusted)
        assert sink.recipients == []


def test_a_relay_without_starttls_gets_nothing(tmp_path: Path) -> None:
    """Somebody in between has taken the word STARTTLS out of the greeting."""
    with Sink() as sink:
        with pytest.raises(Undelivered, match="STARTTLS"):
            say(sink, tls="starttls", ca_file=str(Authority(tmp_path / "ours").file))
        assert sink.recipients == []


# ------------------------------------------------------------------------------------------- what is sent


def test_each_message_has_one_recipient_and_says_what_it_is(station: Station) -> None:
    overdue(station)
    go_round(station.monitor)
    assert len(station.sink.deliveries) == len({d.message for d in station.sink.deliveries}) == 5
    for delivery in station.sink.deliveries:
        assert delivery.raw.count(b"@home.test") == 1
        assert b"Auto-Submitted: auto-generated" in delivery.raw
        assert delivery.subject.startswith("ALARM A-2: C-1 (NORTH to SOUTH) has not arrived")


def test_seniors_are_told_first(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "QUICK", 1)  # one worker: what is begun first comes first
    overdue(station, trips=5)
    station.world.at += timedelta(minutes=15)
    go_round(station.monitor)
    told = [d.to in SENIORS for d in station.sink.deliveries]
    assert any(told)
    assert told == sorted(told, reverse=True)


def test_twenty_one_matters_come_as_one_message(station: Station) -> None:
    overdue(station, trips=21)
    go_round(station.monitor)
    assert Counter(d.to for d in station.sink.deliveries) == {
        f"{name}@home.test": 1 for name in ("carl", "mona", "max", "dana", "sam")
    }
    message = next(d for d in station.sink.deliveries if d.to == "dana@home.test")
    assert message.subject.startswith("21 matters need you")
    assert set(re.findall(r"/alarms/(A-\d+)", message.body)) == {f"A-{2 * n}" for n in range(1, 22)}
    hers = [n for n in station.notices().values() if n.person == station.world.ids["dana"]]
    assert {n.message for n in hers} == {message.message}
    assert len(hers) == 21


def test_twenty_matters_come_one_by_one(station: Station) -> None:
    overdue(station, trips=20)
    go_round(station.monitor)
    assert set(Counter(d.to for d in station.sink.deliveries).values()) == {20}


def test_what_was_begun_as_one_message_stays_one(station: Station) -> None:
    """A list that was deferred goes again with the same matters under the same id, whatever came since."""
    overdue(station, trips=21)
    station.sink.on_data = lambda _: "451 4.3.0 later"
    go_round(station.monitor)
    first = {d.message: re.findall(r"/(A-\d+)\n", d.body) for d in station.sink.deliveries}
    station.world.at += timedelta(minutes=15)
    station.sink.on_data = lambda _: OK
    station.rounds(3)
    again = {d.message: re.findall(r"/(A-\d+)\n", d.body) for d in station.sink.accepted()}
    assert {message: again[message] for message in first} == first
    assert station.waiting() == 0


def test_a_list_is_taken_up_whole(loose: World) -> None:
    """More waits than is taken up at once. A list that was begun is not torn: its id stands for one text."""
    singles = [_waiting("P-2", n, None) for n in range(150)]
    lists = [_waiting(f"P-{3 + n % 2}", 1000 + n, f"<{n % 2:032x}@test.example>") for n in range(200)]
    with loose.book.engine.begin() as connection:
        connection.execute(sa.delete(tables.Outbox))
        connection.execute(sa.insert(tables.Outbox), singles + lists)
    taken = outbox.take(loose.book, 400, 400)
    assert {len(p.notices) for p in taken if p.message.startswith("<0000")} == {100}
    assert [p.person for p in taken if p.person != "P-2"] == ["P-3"]


def _waiting(person: str, number: int, message: str | None) -> dict[str, Any]:
    key = f"A-{number}/1.0/{person}/email"
    return {
        "notice": key,
        "person": person,
        "channel": "email",
        "message": message,
        "priority": 0,
        "not_before": START,
        "set_at": START,
        "attempts": 0,
        "lease": None,
        "refused_at": None,
    }


# ------------------------------------------------------------------------ what could go wrong on our own side


def test_an_edited_address_gets_nothing(loose: World) -> None:
    """Whoever can write to the database sends no alarm to themself."""
    loose.dispatch(1)
    commitment = "SELECT contact FROM person WHERE id = :person"
    with loose.book.engine.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE private SET text = 'mallory@evil.test' WHERE commitment = ({commitment})"),  # noqa: S608 - ours
            {"person": loose.ids["dana"]},
        )
    with Sink(loose.clock) as sink:
        station = Station(loose, sink, watch(loose.book, email(sink, loose)))
        station.rounds(130 * 60, least=60)
        assert "dana@home.test" not in sink.recipients
        assert "mallory@evil.test" not in sink.recipients
        hers = [n for n in station.notices().values() if n.person == loose.ids["dana"]]
        assert {(n.outcome, n.accepted_at, n.message) for n in hers} == {("refused", None, None)}
        assert sum(n.attempts for n in hers) > 2
    loose.check()


def test_a_full_disk_while_marking_loses_nothing(station: Station) -> None:
    """SQLite may not grow: the mark of what was sent cannot be written. It is marked when it can be."""
    overdue(station)

    def no_room(raw: Any, _: object) -> None:
        raw.execute(f"PRAGMA max_page_count={raw.execute('PRAGMA page_count').fetchone()[0]}")

    engine = station.world.book.engine
    sa.event.listen(engine, "connect", no_room)
    engine.dispose()
    run(station, rounds=3)
    sa.event.remove(engine, "connect", no_room)
    engine.dispose()
    station.rounds(61)
    assert station.waiting() == 0
    assert Counter(d.to for d in station.sink.deliveries) == {
        f"{n}@home.test": 1 for n in ("carl", "mona", "max", "dana", "sam")
    }


@pytest.mark.parametrize("statement", ["INSERT", "UPDATE", "DELETE"])
def test_a_disk_that_takes_nothing_ends_no_monitor(station: Station, statement: str) -> None:
    """Every write of a kind fails for a while, as on a full disk, wherever in the round it stands."""
    overdue(station)
    engine = station.world.book.engine

    def refuse(_cursor: object, sql: str, *_: object) -> None:
        if sql.startswith(statement):
            full()

    for kind in ("do_execute", "do_executemany"):
        sa.event.listen(engine, kind, refuse)
    run(station, rounds=3)
    for kind in ("do_execute", "do_executemany"):
        sa.event.remove(engine, kind, refuse)
    station.rounds(61)
    assert station.waiting() == 0


def full(*_: object) -> None:
    """What SQLite says, with its code."""
    problem = sqlite3.OperationalError("database or disk is full")
    problem.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise problem


def test_a_commit_that_fails_leaves_no_lock_behind(loose: World) -> None:
    """SQLite leaves the transaction open when COMMIT meets a full disk. Everybody else would wait for it."""
    engine = loose.book.engine
    commit, engine.dialect.do_commit = engine.dialect.do_commit, full  # type: ignore[method-assign]  # a full disk
    try:
        with pytest.raises(NoRoom):
            loose.register(1)
    finally:
        engine.dialect.do_commit = commit  # type: ignore[method-assign]  # room again
    again = engine.raw_connection()
    left_open = again.dbapi_connection.in_transaction
    again.rollback()
    again.close()
    assert not left_open


def run(station: Station, rounds: int) -> None:
    """The monitor's own loop, so many rounds of it, a minute apart."""

    class Rounds(threading.Event):
        left = rounds

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - this clock is moved by hand
            assert station.monitor.deliveries.settle(ENDS_WITHIN)
            station.world.at += timedelta(minutes=1)
            self.left -= 1
            if not self.left:
                self.set()
            return self.is_set()

    station.monitor.run(Rounds())


def test_two_monitors_tell_nothing_twice(station: Station) -> None:
    """Another process goes round in the midst of each message of this one."""
    overdue(station, trips=5)
    twin = home.open_book(station.world.folder, station.world.clock, secrets.token_bytes)
    other = watch(twin, email(station.sink, station.world))
    channel = Interrupted(email(station.sink, station.world), other)
    go_round(watch(station.world.book, channel))
    station.world.at += timedelta(minutes=15)
    go_round(watch(station.world.book, channel))
    twin.engine.dispose()
    assert station.waiting() == 0
    assert set(Counter(d.message for d in station.sink.deliveries).values()) == {1}
    assert len(station.sink.deliveries) == 5 * (5 + 4)


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[Sink, Email]]:
    """A relay, and a channel to it."""
    with Sink() as sink:
        channel = Email(
            Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=PATIENCE), sink._clock
        )
        yield sink, channel
        channel.close()


@given(
    address=st.one_of(
        st.from_regex(r'[^@\s,;<>"]{1,30}@[^@\s,;<>"]{1,30}', fullmatch=True),
        st.sampled_from(
            ["j\xf6rg@home.test", "=?utf-8?q?x?=@home.test", "a(b)@home.test", "x:y@home.test", "\0@x"]
        ),
    ),
    known=st.booleans(),
)
@settings(max_examples=40, derandomize=True)
def test_no_address_that_the_form_lets_in_ends_the_monitor(
    line: tuple[Sink, Email], address: str, *, known: bool
) -> None:
    """It is told, or it is Undelivered. Anything else would end the telling of everybody else, too."""
    sink, channel = line
    form = {"name": "A", "address": address, "organisation": "HOME", "grants": [{"role": "head"}]}
    try:
        to = orders.read(orders.Invite, form).address
    except Unreadable:
        return
    sink.on_rcpt = lambda _: OK if known else "550 5.1.1 never"
    with contextlib.suppress(Undelivered):
        channel.send(
            Message(f"<{hashlib.sha256(to.encode()).hexdigest()[:32]}@test.example>", to, "S", "B\n")
        )


def test_the_all_clear_is_the_last_word(station: Station) -> None:
    """The relay was down while it rang, and while it arrived. Nobody hears of a loss after the all-clear."""
    overdue(station)
    station.sink.on_rcpt = lambda _: "451 4.3.0 later"
    station.rounds(100)
    station.world.hand("C-1", "carl", "ben")
    go_round(station.monitor)
    station.sink.on_rcpt = lambda _: OK
    station.rounds(130)
    assert station.waiting() == 0
    for who in ("dana", "mona", "max", "carl"):
        subjects = [d.subject for d in station.sink.accepted() if d.to == f"{who}@home.test"]
        assert subjects[-1].startswith("All clear")


# ------------------------------------------------------------------------------------ what a round costs (G1)


def test_a_round_looks_at_what_is_due_and_at_nothing_else(station: Station) -> None:
    """No statement of a round, due or idle, goes through a whole table of what there are many of."""
    overdue(station, trips=3)
    seen: dict[str, Any] = {}
    engine = station.world.book.engine

    def note(_c: object, _k: object, sql: str, parameters: Any, _x: object, many: object) -> None:
        seen[sql] = parameters[0] if many else parameters

    sa.event.listen(engine, "before_cursor_execute", note)
    station.rounds(31 * 60)
    sa.event.remove(engine, "before_cursor_execute", note)
    assert len(seen) > 20
    many = {
        "entry",
        "checkpoint",
        "medium",
        "consignment",
        "hand_off",
        "alarm",
        "notice",
        "outbox",
        "private",
    }
    with engine.connect() as connection:
        for sql, parameters in seen.items():
            if not sql.startswith(("SELECT", "UPDATE", "DELETE")):
                continue
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters):
                scans = re.match(r"SCAN (\w+)(?! USING)", row.detail)
                assert scans is None or scans[1] not in many or "USING" in row.detail, (sql, row.detail)


# ------------------------------------------------------------------------------- what no mail can be made of


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q??=@x200.test",
        "=?us-ascii?q?=0a?=@x.test",
        "=?utf-8?q?=2c_x=40y=2c?=@x.test",
        "a,b@x.test",
        "a@x.test\nBcc: all@x.test",
        "(c)@x.test",
        '"quoted"@x.test',
        ".a@x.test",
        "a@-x.test",
        "a@x..test",
        "a b@x.test",
    ],
)
def test_an_address_that_a_header_could_read_otherwise_is_refused(address: str) -> None:
    with pytest.raises(Unreadable, match="not a mail address such as"):
        orders.read(orders.Contact, {"name": "Eve", "address": address})


@pytest.mark.parametrize("name", ["Hal\nHo", "Hal \u202e oH", "Hal Ho (P-3)", "\u2028", "P-1"])
def test_a_name_that_could_pass_for_another_is_refused(name: str) -> None:
    with pytest.raises(Unreadable, match="name"):
        orders.read(orders.Contact, {"name": name, "address": "hal@x.test"})


def test_a_message_that_cannot_be_made_keeps_no_other_back(station: Station) -> None:
    """A poisonous address stands in the book, from before such were refused. All others are told."""
    world = station.world
    poison = "=?utf-8?q??=@x200"
    with world.book.page("web") as page:
        contact = page.private(poison)
    fact = people.invitation(
        world.book,
        orders.Invite(
            name="Eve", address="eve@x.test", organisation="FLEET", grants=(orders.Grant(role="courier"),)
        ),
    )
    world.sign("ada", replace(fact, contact=contact))
    world.ids["eve"] = fact.person
    world.enrol("eve", "dana")
    name = world.dispatch(1, courier="eve")
    world.at += timedelta(minutes=61)
    station.rounds(60)
    notices = station.notices().values()
    alarm = world.alarm(name).id
    assert {n.outcome for n in notices if n.about == alarm and n.person == fact.person} == {"refused"}
    assert all(n.accepted_at for n in notices if n.about == alarm and n.person != fact.person)
