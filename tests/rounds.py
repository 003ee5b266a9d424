"""A monitor whose two clocks are moved by the same hand, and rounds that end when all that they began has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from custody.acts.deliveries import Deliveries
from custody.monitor import Monitor
from custody.rules.notices import Channel
from custody.store.book import Book

SITE = "https://custody.test"
ENDS_WITHIN = 120.0
"""Real seconds for what is under way: a busy machine is no hang."""


def watch(book: Book, channel: Channel, **more: Any) -> Monitor:
    """A monitor that reaches people by this channel."""
    channels = {"email": channel}
    return Monitor(book, channels, SITE, steady=lambda: book.clock().timestamp(), **more)


def go_round(monitor: Monitor) -> datetime | None:
    """One round to its end. When the next was due at its beginning."""
    try:
        return monitor.round()
    finally:
        assert monitor.deliveries.settle(ENDS_WITHIN), "a delivery did not end"


def deliver(book: Book, channels: Mapping[str, Channel]) -> None:
    """Sends all that is due."""
    deliveries = Deliveries(book, channels, SITE, lambda: book.clock().timestamp())
    deliveries.hand_out()
    assert deliveries.settle(ENDS_WITHIN), "a delivery did not end"
