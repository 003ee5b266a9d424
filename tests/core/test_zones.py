"""The time at a site: a form's time is one moment or refused, and what is shown says of which zone it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.errors import Unreadable
from custody.zones import local, read_local

BERLIN = "Europe/Berlin"
MOMENTS = st.integers(0, 15_000_000).map(lambda n: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(minutes=n))
"""Each minute of twenty-eight years."""


def test_the_hour_that_is_left_out_is_refused() -> None:
    with pytest.raises(Unreadable, match="02:30 is left out on 29 March 2026 in Europe/Berlin"):
        read_local("2026-03-29T02:30", BERLIN)
    assert read_local("2026-03-29T03:30", BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_the_hour_that_comes_twice_is_refused_unless_it_says_which() -> None:
    with pytest.raises(Unreadable) as refused:
        read_local("2026-10-25T02:30", BERLIN)
    assert "2026-10-25 02:30+02:00 (CEST) or 2026-10-25 02:30+01:00 (CET)" in str(refused.value)
    assert read_local("2026-10-25 02:30+02:00", BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert read_local("2026-10-25 02:30+01:00", BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-03-02T18:30+09:00", "2026-03-02T09:30Z", "2026-03-02 09:30+00:00"])
def test_an_offset_is_honoured(text: str) -> None:
    assert read_local(text, "Asia/Hong_Kong") == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "18:30", "2026-02-30T10:00"])
def test_what_is_no_time_is_a_sentence(text: str) -> None:
    with pytest.raises(Unreadable, match="Give a day and a time"):
        read_local(text, BERLIN)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\0"])
def test_a_zone_that_is_not_known_here_is_a_sentence_and_is_shown_as_utc(name: str) -> None:
    with pytest.raises(Unreadable, match="does not know the time zone"):
        read_local("2026-03-02T18:30", name)
    assert f"{local(datetime(2026, 3, 2, 18, 30, tzinfo=UTC), name):%H:%M %Z}" == "18:30 UTC"


def test_what_looks_alike_is_told_apart_by_the_zones_name() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [f"{local(first + timedelta(hours=n), BERLIN):%H:%M %Z}" for n in (0, 1)] == [
        "02:30 CEST",
        "02:30 CET",
    ]


@given(MOMENTS, st.sampled_from([BERLIN, "Asia/Hong_Kong", "America/New_York", "Australia/Lord_Howe", "UTC"]))
def test_each_moment_is_read_as_it_was_shown_or_refused(at: datetime, name: str) -> None:
    shown = local(at, name)
    twice = shown.utcoffset() != shown.replace(fold=1 - shown.fold).utcoffset()
    if twice:
        with pytest.raises(Unreadable, match="comes twice"):
            read_local(f"{shown:%Y-%m-%dT%H:%M}", name)
    else:
        assert read_local(f"{shown:%Y-%m-%dT%H:%M}", name) == shown
    assert read_local(shown.isoformat(), name) == shown
