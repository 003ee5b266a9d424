"""Every kind of fact: read back as it was written, small enough, and in the format of the golden vectors.

The vectors are made by this file: `python tests/core/test_facts.py` writes them anew. A difference that the
test shows is a change of a format that ledgers already have: it needs a new kind or a new version, never
a new file of vectors alone.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody import facts
from custody.errors import Unreadable
from custody.facts import KINDS, MANIFEST_MOST, Fact, Handed, Party, Statement, Subject
from custody.ledger.envelope import ENVELOPE_MOST, Envelope, Signature, event_id
from custody.strict import Most, Text, Whole, json_bytes, record

VECTORS = Path(__file__).parent.parent / "vectors" / "statements.json"

# ------------------------------------------------------------------- strategies, from the annotations


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of what this annotation stands for, as `custody.strict.codec` reads it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return of_rule(*arguments)
    if origin in (Union, types.UnionType):
        return st.none() | values(next(a for a in arguments if a is not types.NoneType))
    if origin is Literal:
        return st.sampled_from(arguments)
    if hint is datetime:
        moments = st.integers(0, 3_100_000_000_000)
        return moments.map(lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
    if hint is bool:
        return st.booleans()
    assert is_dataclass(hint), hint
    return instances(hint)


def of_rule(hint: Any, rule: Text | Whole | Most) -> st.SearchStrategy[Any]:
    if isinstance(rule, Text):
        ascii_only = st.characters(max_codepoint=126, min_codepoint=33)
        return st.from_regex(rule.pattern, fullmatch=True, alphabet=ascii_only | st.just(" "))
    if isinstance(rule, Whole):
        return st.integers(rule.low, rule.high)
    inner = values(get_args(hint)[0])
    least = min(rule.least, rule.count)
    lists = st.lists(inner, min_size=least, max_size=min(rule.count, 3), unique=True)
    return lists.map(lambda items: tuple(sorted(items, key=rank) if rule.ascending else items))


def rank(value: Any) -> Any:
    return json_bytes(record(type(value)).write(value)) if is_dataclass(value) else value


def instances(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, include_extras=True)
    return st.builds(cls, **{f.name: values(hints[f.name]) for f in fields(cls) if f.init})


def statements(kind: type[Fact]) -> st.SearchStrategy[Statement]:
    return st.builds(
        Statement,
        values(facts.Origin),
        values(datetime),
        instances(Subject),
        instances(kind),
        st.none() | values(facts.Seen),
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_comes_back(kind: type[Fact]) -> None:
    @settings(max_examples=10)
    @given(statements(kind))
    def comes_back(statement: Statement) -> None:
        payload = statement.payload()
        assert Statement.read(payload) == statement
        fact = record(kind)
        assert fact.read_text(json_bytes(fact.write(statement.fact)).decode()) == statement.fact
        value = json.loads(payload)
        predicate = value["predicate"]
        for name in predicate:
            without = {k: v for k, v in predicate.items() if k != name}
            with pytest.raises(Unreadable):
                Statement.read(
                    json.dumps({**value, "predicate": {**without, name: [predicate[name]]}}).encode()
                )
        with pytest.raises(Unreadable):
            Statement.read(json.dumps({**value, "predicate": {**predicate, "more": 1}}).encode())

    comes_back()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_says_who_signs_it_and_has_a_docstring(kind: type[Fact]) -> None:
    assert kind.signed in facts.Signed
    assert kind.__doc__
    assert kind.kind in KINDS


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_put_into_a_statement_makes_it_another_or_none(kind: str) -> None:
    """At each place behind its kind: whatever reads is in the one spelling that it has."""
    payload = next(example.payload() for example in EXAMPLES if example.fact.kind == kind)
    for place in range(payload.index(b'"predicateType"'), len(payload) + 1):
        for text in (b",", b"}", b" ", b"0", b"-", b'"', b",[]", b"\n", b"\xb2"):
            changed = payload[:place] + text + payload[place:]
            try:
                read = Statement.read(changed)
            except Unreadable:
                continue
            assert read.payload() == changed


def test_no_text_of_a_fact_can_need_an_escape() -> None:
    """So that where a text ends can be seen in the JSON without reading it."""
    for rule in [rule for kind in KINDS.values() for rule in texts(kind)]:
        assert "[^" not in rule.pattern, "it names what fits, and not what does not"
        fits = re.compile(rule.pattern, re.ASCII).fullmatch
        assert not any(fits(character * count) for character in '"\\\x1f\xe9' for count in (1, 16, 64))


def texts(hint: Any) -> Iterator[Text]:
    """The rules of all texts in what this annotation stands for."""
    if is_dataclass(hint):
        for member in get_type_hints(hint, include_extras=True).values():
            yield from texts(member)
    for part in get_args(hint):
        if isinstance(part, Text):
            yield part
        yield from texts(part)


def test_a_member_with_a_default_comes_after_those_without() -> None:
    """So that a kind's required members always stand first, whatever is left out."""
    for kind in KINDS.values():
        has_default = [f.default is not MISSING or f.default_factory is not MISSING for f in fields(kind)]
        assert has_default == sorted(has_default)


def test_other_statements_are_refused() -> None:
    payload = EXAMPLES[0].payload()
    value = json.loads(payload)
    for change in (
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://media-custody.invalid/genesis/v2"},
        {"predicateType": "genesis"},
        {"predicateType": "https://media-custody.invalid/frog/v1"},
        {"subject": value["subject"] * 2},
        {"subject": []},
        {"subject": [{**value["subject"][0], "uri": "x"}]},
        {"subject": [{"name": "event", "digest": {"sha256": "ab" * 32, "sha512": "cd" * 64}}]},
        {"more": 1},
    ):
        with pytest.raises(Unreadable):
            Statement.read(json.dumps({**value, **change}, separators=(",", ":")).encode())


# -------------------------------------------------------------------------------------------------- sizes

AT = datetime(2026, 3, 2, 9, 30, 0, 123_000, tzinfo=UTC)
ROOT = "LWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw="
HANDED = Handed(
    consignment="C-71",
    giver=Party("ab" * 32, f"12345 {ROOT}"),
    taker=Party("cd" * 32, f"12301 {ROOT}"),
    previous="ef" * 32,
    site="SOUTH",
    read="media",
)


def test_the_usual_hand_off_fits_a_qr_code_that_a_cheap_phone_reads() -> None:
    usual = Statement("custody.example/log", AT, Subject("event", "01" * 32), HANDED)
    assert len(usual.payload()) <= 720


def hand_off(lines: int) -> Statement:
    """One with the longest names, and this many lines of a full manifest's end missing."""
    worst = replace(
        HANDED,
        consignment="C-999999999",
        giver=Party("ab" * 32, f"{'9' * 15} {ROOT}"),
        taker=Party("cd" * 32, f"{'9' * 15} {ROOT}"),
        site="S" * 24,
        seal="different",
        seal_read="0" * 16,
        missing=tuple(range(MANIFEST_MOST - lines + 1, MANIFEST_MOST + 1)),
    )
    return Statement("l" * 100, AT, Subject("event", "01" * 32), worst)


def test_a_hand_off_with_two_hundred_lines_missing_travels_in_2000_bytes() -> None:
    """LEDGER.md: offline it travels as QR codes; what is longer, as a sequence of them."""
    assert len(hand_off(200).payload()) <= 2000


def test_that_nothing_came_of_a_thousand_can_be_signed() -> None:
    statement = hand_off(MANIFEST_MOST)
    assert Statement.read(statement.payload()) == statement
    assert len(statement.payload()) <= 6200


FULL_ITEMS = tuple(facts.Item(f"{n:016d}", "medium", "S" * 24, "V" * 16, "F" * 24) for n in range(150))
IDS = tuple(f"{n:016d}" for n in range(MANIFEST_MOST))
ALL = tuple(facts.Recipient(f"P-{999_999_999 - n}", "email") for n in range(facts.TOLD_MOST))
FULLEST: list[Fact] = [
    facts.Received(tuple(f"{n:064x}" for n in range(facts.EVENTS_MOST)), AT, "console"),
    facts.Registered("P-999999999", FULL_ITEMS),
    facts.Described("P-999999999", "D" * 24, "ab" * 32, IDS, 10**10, 10**10, "no"),
    facts.Labelled("P-999999999", IDS, "s" * 24, "ab" * 32),
    facts.Packed("S" * 24, "0" * 16, "1" * 16, IDS),
    facts.Requested("P-999999999", "C-999999999", "R" * 24, "O" * 24, AT, IDS, "ab" * 32),
    facts.Climbed("A-999999999", "not-picked-up", "C-999999999", 11, 10**10, AT, ALL, more=True),
    facts.Cleared("A-999999999", ALL, more=True),
    facts.Informed("ab" * 32, "device-enrolled", ALL),
    facts.Pinned(f"{'9' * 15} {ROOT}", ALL),
    facts.SelfAudited(10**9, "checkpoints", ALL),
    facts.Attempted(
        tuple(f"A-{999_999_999 - n}/11.100000/P-999999999/email" for n in range(100)),
        "accepted",
        AT,
        "ab" * 32,
        f"<{'0' * 32}@{'m' * 100}>",
    ),
]


@pytest.mark.parametrize("fact", FULLEST, ids=lambda fact: fact.kind)
def test_the_fullest_fact_of_its_kind_fits_one_envelope(fact: Fact) -> None:
    """What the format allows can also be recorded: otherwise an act fails only when it is long."""
    assert record(type(fact)).read(record(type(fact)).write(fact)) == fact
    payload = Statement("l" * 100, AT, Subject("event", "01" * 32), fact, f"{'9' * 15} {ROOT}").payload()
    leaf = Envelope(payload, tuple(Signature(c * 64, bytes(72)) for c in "ab")).leaf()
    assert len(leaf) <= ENVELOPE_MOST


# ---------------------------------------------------------------------------------------- golden vectors

SPKI = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ=="  # noqa: E501 - a key's one spelling
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
H = "0123456789abcdef" * 4
T1, T2, CASE, SEAL = "4AWRX8C3GSVS8AC0", "JE5GQG7YC560MJ2G", "P5PGMFRQCR0ABC2N", "94QZ3DWE58PJ55WR"
LADDER = (
    facts.Rung(-15, ("carrier", "receiving-site")),
    facts.Rung(0, ("senior-on-call", "site-managers")),
    facts.Rung(30, ("head",), presume=True),
    facts.Rung(60, ("head", "senior-managers"), repeat=30),
)
_FACTS: list[Fact] = [
    facts.Genesis("HOME", VKEY, SPKI, "P-1", SPKI, H),
    facts.Genesis("HOME", VKEY, SPKI, "P-1", SPKI, H, ("combined-roles", "outside-senior")),
    facts.Received((H, "ab" * 32), AT, "web"),
    facts.SiteOpened("P-1", "NORTH", "Asia/Hong_Kong"),
    facts.OrganisationAdmitted("P-1", "FLEET", AT),
    facts.Invited("P-2", "HOME", (facts.Grant("courier"), facts.Grant("site-operator", "NORTH")), H),
    facts.Granted("P-2", ()),
    facts.Enrolled("P-2", SPKI),
    facts.Revoked("P-1", H, "stolen"),
    facts.SetUpClosed(),
    facts.Routed("N-S", "NORTH", "SOUTH", 60, LADDER),
    facts.Registered(
        "P-1", (facts.Item(T1, "medium", "NORTH", "T00001L8", "LTO-8"), facts.Item(T2, "seal", "NORTH"))
    ),
    facts.Described("P-1", "PAYROLL", H, (T1, T2), 10, 2000, "yes"),
    facts.Described("P-1", "PAYROLL", H, (T1,)),
    facts.Labelled("P-1", (T1, T2), "avery-l7160", H),
    facts.Packed("NORTH", CASE, SEAL, (T1, T2)),
    facts.Requested("P-2", "C-7", "N-S", "FLEET", AT, (T1, T2), H),
    facts.Withdrawn("P-2", "C-7"),
    facts.Approved("C-7", AT, 60, LADDER),
    HANDED,
    replace(
        HANDED,
        read="case",
        seal="broken",
        seal_read=SEAL,
        missing=(1,),
        refused=(2, 3),
        damaged=(4,),
        extra=(T1,),
    ),
    facts.Seconded("C-7", H),
    facts.Climbed("A-7", "overdue", "C-7", 1, 0, AT, (facts.Recipient("P-2", "email"),)),
    facts.Climbed("A-7", "overdue", "C-7", 4, 3, AT, (facts.Recipient("P-2", "email"),), more=True),
    facts.Attempted(("A-7/1.0/P-2/email",), "deferred", AT, H, f"<{'0f' * 16}@home.test>"),
    facts.Attempted(("A-7/1.0/P-2/email", "A-8/0.0/P-2/email"), "refused", AT, H),
    facts.Cleared("A-7", (facts.Recipient("P-2", "email"), facts.Recipient("P-3", "email"))),
    facts.Cleared("A-7", (facts.Recipient("P-2", "email"),), more=True),
    facts.ClockJumped(-86_400),
    facts.Linked("P-1", "P-2"),
    facts.Informed(H, "device-enrolled", (facts.Recipient("P-2", "email"),)),
    facts.Pinned(f"1234 {ROOT}", (facts.Recipient("P-2", "email"), facts.Recipient("P-3", "email"))),
    facts.SelfAudited(0),
    facts.SelfAudited(3, "tables", (facts.Recipient("P-2", "email"),)),
    facts.Acknowledged("P-2", "A-7", 1),
    facts.Opened("I-7", "A-7", "C-7"),
    facts.Decided("I-7", "P-10", "search", H),
    facts.Sighted(T1, H),
]
EXAMPLES = [
    Statement(
        "test.example/log",
        AT,
        Subject.log(VKEY) if isinstance(fact, facts.Genesis) else Subject("event", H),
        fact,
        f"1234 {ROOT}" if fact.signed is facts.Signed.PERSON or isinstance(fact, facts.Enrolled) else None,
    )
    for fact in _FACTS
]


def vectors() -> list[dict[str, str]]:
    """Each example's kind, its payload as text, and its event id."""
    payloads = [(example.fact.kind, example.payload()) for example in EXAMPLES]
    return [{"kind": k, "payload": p.decode("ascii"), "event_id": event_id(p)} for k, p in payloads]


def test_the_vectors_have_every_kind() -> None:
    assert {vector["kind"] for vector in vectors()} == set(KINDS)


def test_the_format_is_that_of_the_golden_vectors() -> None:
    golden = json.loads(VECTORS.read_text("ascii"))
    assert golden == vectors()
    for vector in golden:
        statement = Statement.read(vector["payload"].encode("ascii"))
        assert statement.fact.kind == vector["kind"]
        assert statement.payload().decode("ascii") == vector["payload"]


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n", "ascii")
