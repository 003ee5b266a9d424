"""Lines are cut to the width there is, in characters that will be printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfbase.pdfmetrics import stringWidth

from labels import lettering


def shown(text: str, ems: float = 100) -> str:
    return "".join(letters for _, letters in lettering._fit(text, ems))


@given(st.text(), st.floats(1, 30))
def test_no_line_is_wider_than_its_room(text: str, ems: float) -> None:
    pieces = lettering._fit(text, ems)
    assert sum(stringWidth(letters, font, 1) for font, letters in pieces) <= ems + 1e-9


def test_only_a_line_that_is_too_long_is_cut_and_as_little_as_possible() -> None:
    text = "Room 12, third shelf"
    width = stringWidth(text, "Helvetica", 1)
    assert shown(text, width + 1e-9) == text
    assert shown(text, width - 0.01) == "Room 12, third sh…"
    assert shown("third shelf", stringWidth("third …", "Helvetica", 1)) == "third…"


@given(st.text("ab 12+\n-"), st.floats(1, 12))
def test_wrapped_words_are_all_there_and_no_line_is_too_wide(text: str, ems: float) -> None:
    lines = lettering.wrapped(text, ems)
    wide = any(stringWidth(word, "Helvetica", 1) > ems for word in text.split())
    assert (lines is None) == wide
    if lines is not None:
        assert " ".join(lines).split() == text.split()
        assert all(stringWidth(line, "Helvetica", 1) <= ems + 1e-9 for line in lines)


@pytest.mark.parametrize("text", ["Привет", "\u202e1234", "\u0661"])
def test_what_no_font_has_is_not_wrapped_but_refused(text: str) -> None:
    assert lettering.wrapped(text, 100) is None


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Case 12 \u2013 é €", [("Helvetica", "Case 12 \u2013 é €")]),
        ("e\u0301", [("Helvetica", "é")]),
        ("3 樓 B", [("Helvetica", "3 "), ("LabelChinese", "樓"), ("Helvetica", " B")]),
        ("深水埗 啓德", [("LabelChinese", "深水埗"), ("Helvetica", " "), ("LabelChinese", "啓德")]),
        ("Привет", [("Helvetica", "??????")]),
        ("\U000282cb", [("Helvetica", "?")]),
        ("a\u202eb\0c", [("Helvetica", "a?b?c")]),
        (" two\n lines ", [("Helvetica", "two lines")]),
        ("", []),
    ],
)
def test_each_character_is_in_a_font_that_has_it_or_shown_as_missing(
    text: str, pieces: list[tuple[str, str]]
) -> None:
    assert lettering._fit(text, 100) == pieces
