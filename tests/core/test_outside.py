"""Words of others: whatever they are made of, one printable line of them is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.outside import MOST, cleaned, is_here


def plain(text: str) -> bool:
    return text.replace("\u200c", "").replace("\u200d", "").isprintable()


any_text = st.text(st.characters(codec=None), max_size=40)


@pytest.mark.parametrize(
    ("words", "clean"),
    [
        (b"250 2.0.0 Ok: queued as 4F3", "250 2.0.0 Ok: queued as 4F3"),
        (b"250 o\x00k", r"250 o\x00k"),
        (b"550 5.1.1 no such user\r\n550 here", "550 5.1.1 no such user 550 here"),
        ("\x1b[2J\x1b]0;all is well\x07", r"\x1b[2J\x1b]0;all is well\x07"),
        ("paid\u202egnp.exe", r"paid\u202egnp.exe"),
        (b"caf\xe9", "caf\ufffd"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),  # a name of a file that is no UTF-8, as Python gives it
        ("  Grüße,\u00a0你好\u3000\n", "Grüße, 你好"),
        ("\U000e0041", r"\U000e0041"),  # a tag: no screen shows it
        ("क्\u200dष", "क्\u200dष"),
        (b"", ""),
    ],
)
def test_what_is_made_of_words(words: str | bytes, clean: str) -> None:
    assert cleaned(words) == clean


@given(any_text | st.binary(max_size=60), st.integers(1, 30))
def test_it_is_one_printable_line_of_that_length_and_stays_as_it_is(words: str | bytes, most: int) -> None:
    clean = cleaned(words, most)
    assert plain(clean)
    assert len(clean) <= most
    assert cleaned(clean, most) == clean


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_what_is_sent_here_passes_no_wire(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    ["", "mail.test", "localhost.evil.test", "127.0.0.1.evil.test", "127.1", "10.0.0.1", "::"],
)
def test_any_other_host_is_outside(host: str) -> None:
    assert not is_here(host)


@given(any_text, st.integers(1, 30))
def test_of_several_lines_each_is_one(words: str, most: int) -> None:
    clean = cleaned(words, most, lines=True)
    assert plain(clean.replace("\n", ""))
    assert len(clean) <= most
    assert cleaned(clean, most, lines=True) == clean


def test_what_was_cut_off_says_so() -> None:
    assert cleaned("x" * MOST) == "x" * MOST
    assert cleaned("x" * (MOST + 1)) == "x" * (MOST - 1) + "…"
    assert cleaned(b"\xf0\x9f\x93\xbc" * (MOST + 1)).endswith("📼…")
    assert cleaned(" " * (MOST + 1) + "x") == "…"
