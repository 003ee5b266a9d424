"""Names: people's own are taken, in whatever script; what could be read as a number is not."""

from __future__ import annotations

import itertools
import random

import pytest
from confusable_homoglyphs.confusables import confusables_data
from hypothesis import given
from hypothesis import strategies as st

from custody import orders
from custody.errors import Unreadable
from custody.names import fault, is_number


@pytest.mark.parametrize(
    "name",
    [
        "Ann An",
        "Mary-Jane O'Neill",
        "D\u2019Angelo",
        "O\u00b4Brien",
        "José Álvarez",
        "Jose\u0301 A\u0301lvarez",
        "Þórður Ólafsson",
        "Øystein Å",
        "Łukasz",
        "Nguyễn Văn A",
        "Hawai\u02bbi Kai",
        "J-P Dupont",
        "P-O Enquist",
        "P.-O. Enquist",
        "Ann P. I. Lee",
        "A-Lin Li",
        "Müller & Co",
        "Henry VIII",
        "Henry 8",
        "Ann B. 2nd",
        "Gate A 2",
        "Night shift 2",
        "Courier 12",
        "Анна Петрова",
        "Анна (Anna) Petrova",
        "Ж.-П. Сартр",
        "Я. Ли",
        "Ελένη Παπαδοπούλου",
        "陳大文",
        "Peter Chan 陳大文",
        "田中 太郎",
        "田中・タロウ",
        "佐々木たなか",
        "김철수",
        "金철수",
        "王-三",
        "محمد علی",
        "علی\u200cرضا",
        "क\u094d\u200dष कुमार",
        "สมชาย ใจดี",
        "ד\u05f3ר דוד בן-גוריון",
    ],
)
def test_a_name_is_taken(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "P-7",
        "p 7",
        "P.7",
        "P7",
        "Ann (P-7)",
        "C-7",
        "a-12",
        "I - 3",
        "1-7",
        "P-I",
        "P-l",
        "P-Il1",
        "P\u20117",
        "P\u20147",
        "P_7",
        "Ꮲ-7",
        "Ann Ꮲ-7",
        "ᑭ-7",
        "\u0420-7",
        "\u0420-\u0417",
        "\u0420-\u0417\u0417",
        "\u24c5-7",
        "P\u20e3-7",
        "P-\u2466",
        "𝐏-𝟕",
        "P-٧",
        "P ٧",
        "P-\u05c0",
    ],
)
def test_what_looks_like_a_number_is_none(name: str) -> None:
    assert "does not look like a number" in fault(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Ann\nAn", "no line breaks"),
        ("Ann\u2028An", "no line breaks"),
        ("Ann\u202eAn", "no invisible characters"),
        ("Ann\u200bAn", "no invisible characters"),
        ("An\u200dn", "no invisible characters"),
        ("\u200dعلی", "no invisible characters"),
        ("P\u00ad-7", "no invisible characters"),
        ("\u2117-7", "no symbols"),
        ("P-|", "no symbols"),
        ("Ann 🙂", "no symbols"),
        ("\u0410nn An", "two scripts in one word"),
        ("P一7", "two scripts in one word"),
        ("P-7\u04175", "look like a number"),
    ],
)
def test_what_turns_the_line_or_is_of_two_scripts_is_none(name: str, why: str) -> None:
    assert why in fault(name)


def alike(letter: str) -> list[str]:
    """All that UTS #39 says looks like it, over as many steps as it takes, itself among them."""
    found, waiting = {letter}, [letter]
    while waiting:
        for entry in confusables_data.get(waiting.pop(), []):
            other = str(entry["c"]).replace("\u200e", "")  # stands around what is written to the left
            if other and other not in found:
                found.add(other)
                waiting.append(other)
    return sorted(found)


LETTERS = [each for letter in "PCAI" for each in alike(letter)]
DIGITS = [each for digit in "123456789" for each in alike(digit)]
DASHES = alike("-")


def test_whatever_unicode_takes_for_a_number_is_none() -> None:
    assert "Ꮲ" in LETTERS
    assert min(map(len, (LETTERS, DIGITS))) > 100
    assert len(DASHES) > 10
    dice = random.Random(39)
    drawn = [(dice.choice(LETTERS), dice.choice(DASHES), dice.choice(DIGITS)) for _ in range(5_000)]
    for letter, dash, digit in itertools.chain(
        itertools.product(LETTERS, DASHES, "17"),
        itertools.product(LETTERS, "-", DIGITS),
        itertools.product("PCAI", DASHES, DIGITS),
        drawn,
    ):
        assert fault(f"{letter}{dash}{digit}"), ascii((letter, dash, digit))


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_is_judged(text: str) -> None:
    assert fault(text) == "" or fault(text).startswith("a name ")


@given(st.sampled_from("PCAI"), st.integers(1, 999_999_999), st.sampled_from(["", "Ann ", "Ann(", "-"]))
def test_no_number_is_a_name(letter: str, number: int, before: str) -> None:
    assert fault(f"{before}{letter}-{number}")


@pytest.mark.parametrize("code", ["P-7", "C-7", "A-12", "I-3", "1-7", "P-I", "P--7", "P-07"])
def test_a_code_is_no_number(code: str) -> None:
    assert is_number(code)
    for model, form in (
        (orders.OpenSite, {"site": code, "zone": "UTC"}),
        (orders.AdmitOrganisation, {"organisation": code, "until": "2030-01-01T00:00:00Z"}),
        (orders.SetRoute, {"route": code, "origin_site": "A", "destination": "B", "transit": 60}),
    ):
        with pytest.raises(Unreadable, match="looks like a number"):
            orders.read(model, form)


@pytest.mark.parametrize("code", ["NORTH", "A1", "R-1", "N-S", "SITE-A-1", "P", "7", "NORTH-7", "P-N"])
def test_any_other_code_may_be(code: str) -> None:
    assert not is_number(code)
