"""One grammar of volsers: what is one, which two are one cartridge, what a spine can say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labels import volser
from labels.volser import Index, NotAVolser

SIX = st.text("ABKZ0159", min_size=6, max_size=6)
NAMES = st.from_regex(volser.PATTERN, fullmatch=True) | SIX | st.builds("{}{}".format, SIX, st.just("L6"))


@given(st.from_regex(volser.PATTERN, fullmatch=True))
def test_what_fits_is_taken_however_it_is_typed(right: str) -> None:
    wide = right.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    for typed in (right, right.lower(), f" {right}\t", f"*{right}*", wide, wide.lower()):
        assert volser.check(typed) == right


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", "this is empty"),
        (" ", "this is empty"),
        ("ABC 001", "this one has ' '"),
        ("ABC$01", r"this one has '\$'"),
        ("ÄBC001", "this one has 'Ä'"),
        ("straße", "this one has 'ß'"),
        ("ABC001\u0301", "this one has '\u0301'"),
        ("A" * 17, "this one has 17 characters"),
        ("-ABC", "this one begins or ends with such a mark"),
        ("ABC.", "this one begins or ends with such a mark"),
        ("*ABC001", r"this one has '\*'"),
        ("\u0661\u0662\u0663", "this one has"),
    ],
)
def test_what_is_none_is_refused_with_what_it_lacks(text: str, lacks: str) -> None:
    with pytest.raises(NotAVolser, match=f"is no volser: one to sixteen capital letters.*; {lacks}"):
        volser.check(text)


@given(st.text(max_size=40))
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    try:
        found = volser.check(text)
    except NotAVolser:
        return
    assert re.fullmatch(volser.PATTERN, found, re.ASCII)
    assert volser.check(found) == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BKP101", "BKP101L6"),
        ("BKP101", "BKP101M8"),
        ("BKP101", "BKP101LY"),
        ("BKP101", "BKP101JE"),
        ("BKP101", "BKP101T2"),
        ("A01", "A01"),
    ],
)
def test_the_media_id_may_be_left_out(one: str, other: str) -> None:
    assert volser.same(one, other)
    assert volser.same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BKP101L5", "BKP101L6"),
        ("BKP101", "BKP102L6"),
        ("BKP101", "BKP101Q6"),
        ("BKP101", "BKP101L0"),
        ("BKP101", "BKP101L"),
        ("QSD121", "QSD121S"),
        ("BKP10", "BKP10L6"),
        ("BKP1012", "BKP1012L6"),
        ("BK-101", "BK-101L6"),
        ("L6BKP101", "BKP101L6"),
    ],
)
def test_other_names_are_other_cartridges(one: str, other: str) -> None:
    assert not volser.same(one, other)
    assert not volser.same(other, one)


@given(st.lists(NAMES, max_size=12), NAMES)
def test_a_index_finds_what_is_the_same_and_nothing_else(names: list[str], wanted: str) -> None:
    index = Index((name, place) for place, name in enumerate(names))
    assert sorted(index.find(wanted)) == [k for k, name in enumerate(names) if volser.same(name, wanted)]
    key = volser.first_six(wanted)
    assert all(volser.first_six(names[k]) == key for k in index.find(wanted)), (
        "a store finds them by this key"
    )


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("ORC001L1", "LTO-1"),
        ("ORC001L9", "LTO-9"),
        ("ORC001LT", "LTO-3 WORM"),
        ("ORC001LZ", "LTO-9 WORM"),
        ("ORC001M8", "LTO-7 M8"),
    ],
)
def test_the_media_id_and_the_kind_of_medium_say_each_other(name: str, form: str) -> None:
    assert volser.form(name) == form
    assert volser.spine("ORC001", form) == name


@pytest.mark.parametrize(
    ("name", "form"),
    [("ORC001", None), ("ORC001", "RDX"), ("ORC001L7", "LTO-8"), ("QSD121S", "LTO-8"), ("OR-001", "LTO-8")],
)
def test_what_the_spine_says_is_not_made_up(name: str, form: str | None) -> None:
    assert volser.spine(name, form) == name


@pytest.mark.parametrize("name", ["ORC001", "QSD121S", "ORC001LA", "JAG001JD", "CTAPE-00001"])
def test_where_no_kind_of_medium_is_told_none_is(name: str) -> None:
    assert volser.form(name) is None
