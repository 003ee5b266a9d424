"""A book, its monitor, and a relay between it and the people; the clock is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from alarm.sink import Sink
from rounds import go_round, watch
from world import World

from custody.channels.email import Email, Relay
from custody.monitor import Monitor
from custody.rules.alarms import Notice
from custody.store import tables


@dataclass
class Station:
    """A book, its monitor, and the relay between it and the people."""

    world: World
    sink: Sink
    monitor: Monitor

    def rounds(self, seconds: float, least: float = 5) -> None:
        """Time passes, and the monitor goes round when it said that something would be due."""
        until = self.world.at + timedelta(seconds=seconds)
        due: datetime | None = self.world.at
        while self.world.at < until:
            soonest = self.world.at + timedelta(seconds=least)
            self.world.at = min(max(due or until, soonest), until)
            go_round(self.monitor)
            due = go_round(self.monitor)

    def notices(self) -> dict[str, Notice]:
        with self.world.book.world() as world:
            return {n.id: n for n in world.all(Notice) if n.id.startswith("A-")}

    def waiting(self) -> int:
        with self.world.book.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(tables.Outbox)) or 0)


PATIENCE = 60.0
"""Real seconds for an answer. A busy machine is no relay that hangs, and another attempt is another copy."""


def email(sink: Sink, world: World, **seconds: float) -> Email:
    """A channel to the sink; `seconds` are the relay's `timeout` and `answer`."""
    patience = {"timeout": PATIENCE, **seconds}
    return Email(Relay("127.0.0.1", sink.port, "alarms@test.example", "none", **patience), world.clock)


@contextmanager
def at_work(world: World) -> Iterator[Station]:
    """A station to whose people everything has been told that was to be told so far."""
    with Sink(world.clock) as sink:
        station = Station(world, sink, watch(world.book, email(sink, world)))
        go_round(station.monitor)
        sink.deliveries.clear()
        sink.recipients.clear()
        yield station


ON_RUNG_1 = {"carl", "mona", "max", "dana", "sam"}


def overdue(station: Station, trips: int = 1) -> None:
    """Trips that are due now; their reminders have been sent."""
    for _ in range(trips):
        station.world.dispatch(1)
    station.world.at += timedelta(minutes=50)
    go_round(station.monitor)
    station.sink.deliveries.clear()
    station.world.at += timedelta(minutes=10)
