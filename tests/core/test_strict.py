"""One spelling for every value: what a reader accepts is exactly what the writer writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from custody.errors import Unreadable
from custody.facts import Grant, Granted, Statement, Subject
from custody.ledger.envelope import Envelope, Signature
from custody.strict import (
    Most,
    Text,
    Whole,
    base64text,
    codec,
    json_bytes,
    read_json,
    read_time,
    record,
    time_text,
    unbase64,
)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

# ------------------------------------------------------------------------------------------------- base64


@given(st.binary(max_size=70))
def test_base64_comes_back(data: bytes) -> None:
    assert unbase64(base64text(data)) == data


@given(st.text(ALPHABET + "=-_ \n\r\té", max_size=12))
@example("QQ==")
@example("QR==")  # the same byte with an unused bit set
@example("QQ")
@example("QQ=")
@example("QQ==\n")
@example("QQ==QQ==")
@example("-_-_")
def test_base64_has_one_spelling(text: str) -> None:
    try:
        data = unbase64(text)
    except Unreadable:
        return
    assert base64text(data) == text


# -------------------------------------------------------------------------------------------------- times

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=zones)  # noqa: DTZ001 - given zones


@given(moments)
def test_a_moment_comes_back_in_utc_without_what_is_finer_than_a_millisecond(moment: datetime) -> None:
    again = read_time(time_text(moment))
    assert again.tzinfo is UTC
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)


@given(moments.map(time_text), st.integers(0, 23), st.characters(max_codepoint=0x0669))
@example("2026-11-21T10:00:00.000Z", 0, "\u0662")  # an Arabic-Indic 2 is a digit to Python
@example("2026-11-21T10:00:00.000Z", 23, "z")
@example("2026-11-21T20:00:00.000Z", 12, "4")  # 24:00, which newer Pythons read
def test_a_time_has_one_spelling(text: str, at: int, character: str) -> None:
    changed = text[:at] + character + text[at + 1 :]
    try:
        moment = read_time(changed)
    except Unreadable:
        return
    assert time_text(moment) == changed


@pytest.mark.parametrize("year", [1, 999, 1999, 2100, 9999])
def test_a_clock_that_is_a_century_wrong_is_unreadable(year: int) -> None:
    with pytest.raises(Unreadable):
        time_text(datetime(year, 6, 1, tzinfo=UTC))
    with pytest.raises(Unreadable):
        read_time(f"{year:04d}-06-01T00:00:00.000Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00.000",
        "2026-11-21T10:00:00.000+00:00",
        "2026-11-21 10:00:00.000Z",
        "2026-11-21T10:00:00.000Z\n",
        "2026-02-30T10:00:00.000Z",
        "2026-11-21T10:00:60.000Z",
        "0000-01-01T00:00:00.000Z",
        "20261-1-21T10:00:00.000Z",
        "",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="is not a time"):
        read_time(text)


# --------------------------------------------------------------------------------------------------- JSON

values = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 10**15, 10**15 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_comes_back(value: Any) -> None:
    written = json_bytes(value)
    assert read_json(written) == value
    assert json_bytes(read_json(written)) == written


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b"1.0",
        b"1e3",
        b"-0.0",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"99999999999999999",
        b"9007199254740993",  # JavaScript reads 9007199254740992
        b'"\xc3\xa9"',
        b"\xef\xbb\xbf1",
        b"1 1",
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
    ],
    ids=lambda text: text[:20].decode("latin-1"),
)
def test_json_that_two_readers_could_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        read_json(text)


# ------------------------------------------------------------------------------------------------ records


@dataclass(frozen=True)
class Inner:
    role: Literal["ann", "ben"]
    site: Annotated[str, Text("[A-Z]{1,4}", "a site")] | None = None


@dataclass(frozen=True)
class Outer:
    name: Annotated[str, Text("[a-z]{1,5}", "a name")]
    count: Annotated[int, Whole(0, 9)]
    sure: bool
    at: datetime
    inners: Annotated[tuple[Inner, ...], Most(3)]
    plain: tuple[int, ...] = ()
    other: Annotated[int, Whole(0, 9)] = 0
    rising: Annotated[tuple[Annotated[int, Whole(0, 9)], ...], Most(3, ascending=True)] = ()


FULL: dict[str, Any] = {
    "name": "ann",
    "count": 1,
    "sure": True,
    "at": "2026-11-21T10:00:00.000Z",
    "inners": [{"role": "ann"}, {"role": "ben", "site": "HK"}],
    "plain": [1, 2],
    "other": 1,
    "rising": [1, 2],
}
odd = st.sampled_from(
    [None, True, False, 0, 1, 10, -1, "", "ann", "ann\n", "HK", [], [1], [True], {}, [{"role": "ann"}] * 2]
)


@given(st.lists(st.sampled_from(list(FULL)), unique=True), st.dictionaries(st.sampled_from(list(FULL)), odd))
def test_a_record_has_one_spelling(order: list[str], changed: dict[str, Any]) -> None:
    given_value = {name: changed.get(name, FULL[name]) for name in order}
    try:
        instance = record(Outer).read(given_value)
    except Unreadable:
        return
    assert json_bytes(record(Outer).write(instance)) == json_bytes(given_value)


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Unreadable:
        return Unreadable


@given(st.lists(st.sampled_from(list(FULL)), unique=True), st.dictionaries(st.sampled_from(list(FULL)), odd))
@example(list(FULL), {})
@example(list(FULL), {"other": 0})
@example(list(FULL), {"plain": []})
@example(list(FULL)[:5], {})
@example([name for name in FULL if name != "plain"], {})
def test_by_its_pattern_a_text_reads_as_by_its_members(order: list[str], changed: dict[str, Any]) -> None:
    value = {name: changed.get(name, FULL[name]) for name in order}
    by_members = outcome(lambda: record(Outer).read(value))
    assert outcome(lambda: record(Outer).read_text(json_bytes(value).decode())) == by_members


@settings(max_examples=300)
@given(st.data())
def test_by_its_pattern_a_mutated_text_is_refused_or_another_in_its_one_spelling(data: st.DataObject) -> None:
    text = data.draw(mutations(json_bytes(FULL))).decode("latin-1")
    read = outcome(lambda: record(Outer).read_text(text))
    assert read is Unreadable or json_bytes(record(Outer).write(read)).decode() == text


def test_the_full_record_reads() -> None:
    assert record(Outer).write(record(Outer).read(FULL)) == FULL


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"count": True}, "count: 'True' is not a whole number"),
        ({"sure": 1}, "sure: a bool stands here"),
        ({"plain": [True]}, "plain: a int stands here"),
        ({"plain": []}, "plain: the default is left out"),
        ({"other": 0}, "other: the default is left out"),
        ({"name": "ann\n"}, "name: 'ann\\\\n' is not a name"),
        ({"name": "änn"}, "is not a name"),
        ({"inners": []}, "from 1 to 3 stand here, each once"),
        ({"inners": [{"role": "ann", "site": s} for s in "ABCD"]}, "from 1 to 3 stand here, each once"),
        ({"rising": [2, 1]}, "these stand in ascending order"),
        ({"inners": [{"role": "ann"}, {"role": "ann"}]}, "from 1 to 3 stand here, each once"),
        ({"inners": [{"role": "ann", "site": None}]}, "the default is left out"),
        ({"inners": [{"site": "HK", "role": "ann"}]}, "in this order"),
        ({"inners": [{"role": "cid"}]}, "is none of ann, ben"),
        ({"inners": [["ann"]]}, "is a JSON object"),
        ({"inners": {"role": "ann"}}, "a JSON array stands here"),
        ({"more": 1}, "has the members name, count"),
        ({"at": 5}, "a time stands here"),
    ],
)
def test_what_a_record_is_not(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(why).replace(r"\\\\n", r"\\n")):
        record(Outer).read({**FULL, **change})


@given(st.permutations(list(FULL)))
def test_a_record_in_another_order_is_refused(order: list[str]) -> None:
    shuffled = {name: FULL[name] for name in order}
    if order == list(FULL):
        return
    with pytest.raises(Unreadable, match="in this order"):
        record(Outer).read(shuffled)


@pytest.mark.parametrize("hint", [float, dict[str, str], bytes, list[int]])
def test_a_fact_has_members_of_no_other_types_than_those_with_one_spelling(hint: Any) -> None:
    """A mistake of the program's, found when it starts and not when somebody signs."""
    with pytest.raises(TypeError, match="no strict form is defined for"):
        codec(hint)


# ------------------------------------------------------------------------------ statements and envelopes

STATEMENT = Statement(
    "test.example/log",
    datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    Subject("event", "ab" * 32),
    Granted("P-2", (Grant("courier"), Grant("site-operator", "NORTH"))),
    "7 LWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw=",
).payload()
LEAF = Envelope(STATEMENT, (Signature("cd" * 32, b"\x30\x06\x02\x01\x01\x02\x01\x01"),)).leaf()


@st.composite
def mutations(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with one to three of them replaced, inserted or taken out."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        what = draw(st.sampled_from(["replace", "insert", "remove", "double"]))
        if what == "replace":
            data[at] = draw(st.integers(0, 255) | st.sampled_from(b' "{}[],:0=\\'))
        elif what == "insert":
            data[at:at] = draw(st.sampled_from([b" ", b"\n", b"\\u0061", b",", b'"', b"0"]))
        elif what == "remove":
            del data[at]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 30))]
    return bytes(data)


@settings(max_examples=300)
@given(mutations(STATEMENT))
def test_a_mutated_statement_is_refused_or_is_another_in_its_one_spelling(data: bytes) -> None:
    try:
        statement = Statement.read(data)
    except Unreadable:
        return
    assert statement.payload() == data


@settings(max_examples=300)
@given(mutations(LEAF))
def test_a_mutated_envelope_is_refused_or_is_another_in_its_one_spelling(data: bytes) -> None:
    try:
        envelope = Envelope.read(data)
    except Unreadable:
        return
    assert envelope.leaf() == data


@given(values)
def test_any_json_is_a_statement_or_refused(value: Any) -> None:
    """No JSON of any shape makes the reader crash."""
    base = json.loads(STATEMENT)
    for name in base:
        with pytest.raises(Unreadable):
            Statement.read(json_bytes({**base, name: value}))
    with pytest.raises(Unreadable):
        Statement.read(json_bytes(value))


@given(values)
@example([])
@example(None)
@example({})
@example(5)
def test_any_json_is_an_envelope_or_refused(value: Any) -> None:
    """A key id is a text of 64 hexadecimal digits and nothing else: it is looked up among the keys."""
    base = json.loads(LEAF)
    signature = base["signatures"][0]
    for name in signature:
        with pytest.raises(Unreadable):
            Envelope.read(json_bytes({**base, "signatures": [{**signature, name: value}]}))
    for name in base:
        changed = json_bytes({**base, name: value})
        try:
            envelope = Envelope.read(changed)  # a payload may be any bytes
        except Unreadable:
            continue
        assert envelope.leaf() == changed
