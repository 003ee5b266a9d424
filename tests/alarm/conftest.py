"""The monitor's log says nothing in these tests; `station` is a book with its monitor and its relay."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from alarm.station import Station, at_work
from world import World


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def station(box: World) -> Iterator[Station]:
    with at_work(box) as station:
        yield station
