"""What others say, before it is kept, logged or shown: a relay's answer, a witness's, the name of a file.

Whoever writes such words chooses each character of them. A NUL is refused by PostgreSQL, with all else that
is written beside it; an escape sequence paints over the screen of whoever reads the log; a line end begins
a line that we never wrote; U+202E turns the rest of the line around. So they are spelt out.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 500
"""Characters of what was said that are kept: a few sentences."""


def cleaned(words: str | bytes, most: int = MOST, *, lines: bool = False) -> str:
    r"""The words as one line of at most `most` characters, all of them printable (`str.isprintable`).

    Bytes are read as UTF-8, and what is none becomes U+FFFD. Blanks and line ends are one blank; in place of
    any other character that is not printable stands its escape: `\x00`, `\u202e`. What is too long ends in
    `…`. With `lines` each line is cleaned by itself, and there may be several. What is clean stays as it is.
    """
    text = words[: 4 * (most + 1)].decode("utf-8", "replace") if isinstance(words, bytes) else words
    text = _cut(text, most)
    clean = "\n".join(map(_line, text.splitlines())).strip("\n") if lines else _line(text)
    return _cut(clean, most)


def _line(text: str) -> str:
    return "".join(map(_printable, " ".join(text.split())))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
