"""Words on a label, for people: cut to the width there is or wrapped in it, in letters that the printer has.

Western European text is set in Helvetica, which every PDF viewer has. Chinese is set in MSung-Light, Adobe's
name for "the Traditional Chinese font of this computer": it is not embedded, so the computer that prints must
have one. What neither has (Cyrillic, Arabic, a Chinese character outside Big5 and Hong Kong's additions to
it) is shown as `?`. A label's identity does not depend on these lines.
"""

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

LATIN = "Helvetica"
CHINESE = "LabelChinese"


def write(canvas: Canvas, text: str, x: float, y: float, *, size: float, width: float) -> None:
    """Write one line with its baseline's left end at (x, y), cut with an ellipsis where `width` ends."""
    line = canvas.beginText(x, y)
    for font, letters in _fit(text, width / size):
        line.setFont(font, size)
        line.textOut(letters)
    canvas.drawText(line)


@lru_cache(maxsize=1024)
def wrapped(text: str, ems: float) -> tuple[str, ...] | None:
    """The text in lines of at most `ems` times the font's size, parted at its blanks.

    None where a word is wider than that, or has a letter that no font here has: then nothing of it is shown.
    """
    lines: list[str] = []
    for word in unicodedata.normalize("NFC", text).split():
        if not all(map(_font, word)) or _width(word) > ems:
            return None
        if lines and _width(f"{lines[-1]} {word}") <= ems:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


@lru_cache(maxsize=1024)  # many lines stand on every label of a sheet
def _fit(text: str, ems: float) -> list[tuple[str, str]]:
    """As much of the text as fits into `ems` times the font's size: fonts, and what to write in each."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    shown = "".join(c if _font(c) else "?" for c in words)
    if _width(shown) > ems:
        room = ems - _advance("…")
        ends = accumulate(map(_advance, shown))
        shown = shown[: bisect_right(list(ends), room)].rstrip() + "…"
    return [(font, "".join(letters)) for font, letters in groupby(shown, _font)]


@lru_cache(maxsize=4096)
def _font(character: str) -> str:
    """The font that has this character, or nothing."""
    if character.isprintable():
        if _has("cp1252", character):
            return LATIN
        # Big5 has Greek and Cyrillic too, which stand-ins for MSung-Light leave blank, as pdfium does all
        # characters beyond the basic plane.
        wide = unicodedata.east_asian_width(character) in {"W", "F"} and character <= "\uffff"
        if wide and _has("big5hkscs", character):
            return CHINESE
    return ""


def _width(text: str) -> float:
    """In ems."""
    return sum(map(_advance, text))


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    width: float = pdfmetrics.stringWidth(character, _font(character), 1)
    return width


def _has(codec: str, character: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _chinese() -> Any:
    """MSung-Light with the map of its own characters.

    reportlab 5.1 gives this Traditional font the map of the Simplified ones (UniGB-UCS2-H): Ghostscript, and
    so most printers on Linux, then draws wrong characters, and poppler draws none. With UniCNS-UTF16-H both
    and pdfium draw what was meant for all of Big5; of Hong Kong's additions Ghostscript 10 still gets some
    45 rare ones wrong. A name of its own keeps it apart from reportlab's.
    """
    font = UnicodeCIDFont("MSung-Light")
    font.encodingName = "UniCNS-UTF16-H"
    font.name = font.fontName = CHINESE
    return font


pdfmetrics.registerFont(_chinese())
