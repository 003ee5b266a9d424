"""Names, which people read beside numbers before they sign: none may look like a number, or turn the line.

`P-7` says who signs and `C-7` what; a name is what somebody typed. Letters of other scripts look like ours,
and each version of Unicode has more of them (UTS #39, "Unicode Security Mechanisms", section 4). So a name is
judged by its shape, and not by a table of what looks alike: a letter that stands alone beside a digit, and is
none of the plain Latin ones, is taken for any that it may look like.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_SYMBOLS: Final = ("Sc", "Sm", "So")
_JOINERS: Final = "\u200c\u200d"
_EAST_ASIAN: Final = ("BOPOMOFO", "CJK", "HANGUL", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA")
"""Scripts that stand together in one word, and of which no letter looks like one of ours."""
_SIGNS: Final = ".,'()/&\"\u2018\u2019\u201c\u201d\u05f3\u05f4\u060c\u00b7\u30fb"
"""Signs of names that look like no dash and no digit: quotation marks, Hebrew's geresh, middle dots."""
_DASHES: Final = "\u2cba\u2cbb"
"""The only letters that look like one (Coptic)."""
_NUMBER: Final = re.compile(
    r"""(?<![A-Za-z?#17]) (?:
        [Pp?#] [ ,!-]* [17#]                               # P-7, and P 7
      | [AaCcIil1?#!] [ ]* [!-]+ [ ]* [17#]                # A-7, C-7, I-7
      | [AaCcIil1Pp?#!] [ ]* [!-]+ [ ]* [Iil?!17#]{1,4} (?![A-Za-z?#17])    # P-I: letters for digits
    )""",
    re.VERBOSE,
)


def fault(name: str) -> str:
    """What is wrong with it, as part of a sentence; empty where nothing is."""
    seen = "".join(_without_joiners(name))
    if any(unicodedata.category(letter) in _INVISIBLE for letter in seen):
        return "a name has no line breaks and no invisible characters"
    plain = unicodedata.normalize("NFKC", seen)
    if any(unicodedata.category(letter) in _SYMBOLS for letter in plain):
        return "a name has no symbols"
    for scripts in _words(plain):
        if len(scripts) > 1:
            return "a name has no letters of two scripts in one word"
    if _NUMBER.search("".join(_shapes(plain))):
        return "a name does not look like a number such as P-7 or C-7"
    return ""


def is_number(code: str) -> bool:
    """Whether a code (capitals, digits, hyphens) could be taken for the number of something else."""
    return re.fullmatch(r"[PCAI1]-+[0-9IO]+", code) is not None


def _without_joiners(name: str) -> Iterator[str]:
    """Persian, Hindi and others are written with them, between two letters and nowhere else."""
    for before, letter, after in zip(f" {name}", name, f"{name[1:]} ", strict=False):
        if letter not in _JOINERS or not (_joins(before) and _joins(after)):
            yield letter


def _joins(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LM" and _script(letter) != "LATIN"


def _words(plain: str) -> Iterator[set[str]]:
    """The scripts of each run of letters."""
    letters = (c for c in plain if not unicodedata.category(c).startswith("M"))
    for is_word, run in itertools.groupby(letters, _is_letter):
        if is_word:
            yield set(map(_script, run))


def _shapes(plain: str) -> Iterator[str]:
    """Each character as what it may look like.

    A plain Latin letter; `z` for one that looks like none of these, `?` for one that may look like any; `1`
    or `7` for our digits, `#` for others; a dash, a blank, `,` for another plain sign, `!` for one that may
    look like a dash or a digit. Marks are part of their letter.
    """
    after_letter = False
    for letter in plain:
        if unicodedata.category(letter).startswith("M") and after_letter:
            continue
        after_letter = _is_letter(letter)
        yield _shape_of_letter(letter) if after_letter else _shape_of_sign(letter)


def _shape_of_letter(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if base.isascii() else "z" if _script(letter) == "CJK" else "?"


def _shape_of_sign(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind[0] in "NM":
        return "#" if not letter.isascii() else "1" if letter == "1" else "7"
    if kind == "Pd" or letter in _DASHES:
        return "-"
    return " " if kind == "Zs" else "," if letter in _SIGNS else "!"


def _is_letter(letter: str) -> bool:
    """An apostrophe is none that counts as a letter (`MODIFIER LETTER APOSTROPHE`)."""
    is_one = unicodedata.category(letter).startswith("L") and letter not in _DASHES
    return is_one and _script(letter) != "MODIFIER"


def _script(letter: str) -> str:
    """By the first word of its name, which is finer than Unicode's property and needs no table of it."""
    first = re.split("[ -]", unicodedata.name(letter, ""), maxsplit=1)[0]
    return "CJK" if first in _EAST_ASIAN else first
