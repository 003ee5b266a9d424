"""Silence is visible: each day the seniors are mailed a checkpoint, by however many monitors, and once.

The relay is a real one on a real socket; the clock is moved by hand.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alarm.life import Interrupted
from alarm.sink import OK, Delivery, Sink
from rounds import go_round, watch
from world import World

from custody.audit.__main__ import main
from custody.channels.email import Email, Relay
from custody.monitor import Monitor
from custody.store import home
from custody.store.book import Book

SENIORS = {"dana@home.test", "sam@home.test", "hal@home.test"}
NOTE = re.compile(r"^test\.example/log\n([0-9]+)\n.+\n\n— .+\n", re.MULTILINE)


@pytest.fixture
def sink(box: World) -> Iterator[Sink]:
    """A relay to which everything has been told that was to be told so far, but for the day's checkpoint."""
    box.at = box.at.replace(hour=5) + timedelta(days=1)
    with Sink(box.clock) as sink:
        go_round(monitor(box.book, sink))
        sink.deliveries.clear()
        yield sink


def monitor(book: Book, sink: Sink) -> Monitor:
    relay = Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=60)
    return watch(book, Email(relay, book.clock))


def notes(deliveries: list[Delivery]) -> set[str]:
    """The lines that an auditor saves in a file. A line of a mail ends in CRLF on its way."""
    return {found[0] for each in deliveries if (found := NOTE.search(each.body.replace("\r\n", "\n")))}


def test_two_monitors_over_three_days_send_one_mail_a_day(box: World, sink: Sink, tmp_path: Path) -> None:
    """Nothing happens on the first two. Every hour both go round, one of them newly started."""
    three_days: list[set[str]] = []
    for day in range(3):
        for _ in range(24):
            box.at += timedelta(hours=1)
            twin = home.open_book(box.folder, box.clock, secrets.token_bytes)
            for book in (twin, box.book):
                go_round(monitor(book, sink))
            twin.engine.dispose()
        assert Counter(d.to for d in sink.deliveries) == dict.fromkeys(SENIORS, 1)
        assert {d.at for d in sink.deliveries} == {box.at.replace(hour=6) - timedelta(days=1)}
        three_days.append(notes(sink.deliveries))
        sink.deliveries.clear()
        if day == 1:
            box.register(1)
    pins = [note for day in three_days for note in day]
    assert len(set(pins)) == len(pins) == 3, "the same for all on one day, and another on the next"
    (tmp_path / "bundle.zip").write_bytes(box.bundle())
    arguments = [f"{tmp_path}/bundle.zip", "--policy", f"{box.folder}/policy", "--genesis", box.genesis]
    for number, pin in enumerate(pins):
        (tmp_path / f"pin-{number}").write_text(pin, "utf-8")
        arguments += ["--pin", f"{tmp_path}/pin-{number}"]
    assert main(arguments) == 0


def test_another_monitor_in_the_midst_of_it_tells_nothing_twice(box: World, sink: Sink) -> None:
    box.at += timedelta(hours=1)
    twin = home.open_book(box.folder, box.clock, secrets.token_bytes)
    real = Email(Relay("127.0.0.1", sink.port, "alarms@test.example", "none", timeout=60), box.clock)
    go_round(watch(box.book, Interrupted(real, monitor(twin, sink))))
    twin.engine.dispose()
    assert Counter(d.to for d in sink.deliveries) == dict.fromkeys(SENIORS, 1)


def test_after_a_week_of_sleep_it_is_told_once(box: World, sink: Sink) -> None:
    box.at += timedelta(days=7, hours=3)
    for _ in range(3):
        go_round(monitor(box.book, sink))
        box.at += timedelta(minutes=5)
    assert Counter(d.to for d in sink.deliveries) == dict.fromkeys(SENIORS, 1)


def test_each_attempt_is_the_same_mail(box: World, sink: Sink) -> None:
    """The relay does not take it until the next day's is due, too; other things happen meanwhile."""
    box.at += timedelta(hours=1)
    expected = box.book.checkpoint()
    sink.on_data = lambda _: "451 4.3.0 later"
    for _ in range(5):
        go_round(monitor(box.book, sink))
        box.register(1)
        box.at += timedelta(minutes=2)
    box.at += timedelta(days=1)
    sink.on_data = lambda _: OK
    go_round(monitor(box.book, sink))
    first_day = [d for d in sink.deliveries if notes([d]) == {expected}]
    assert {(d.subject, d.body) for d in first_day} == {(first_day[0].subject, first_day[0].body)}
    assert Counter(d.to for d in first_day) == dict.fromkeys(SENIORS, 6)
    assert len({d.message for d in first_day}) == 3
    assert Counter(d.to for d in sink.accepted()) == dict.fromkeys(SENIORS, 2)
    assert len(notes(sink.accepted())) == 2


def test_it_comes_after_the_alarms(box: World, sink: Sink) -> None:
    box.dispatch(1)
    box.at += timedelta(minutes=61)
    go_round(monitor(box.book, sink))
    hers = [d.subject for d in sink.deliveries if d.to == "dana@home.test"]
    assert hers[0].startswith("ALARM")
    assert hers[-1].startswith("Checkpoint of ")
