"""What is outside of this machine, and what is said there: a relay's answer, a witness's, a file's name.

Whoever writes such words chooses each character of them. A NUL is refused by PostgreSQL, with all else that
is written beside it; an escape sequence paints over the screen of whoever reads the log; a line end begins
a line that we never wrote; U+202E turns the rest of the line around. So they are spelt out before they are
kept, logged or shown.
"""

from __future__ import annotations

import ipaddress
from typing import Final

MOST: Final = 500
"""Characters of what was said that are kept: a few sentences."""
_JOINERS: Final = "\u200c\u200d"


def is_here(host: str) -> bool:
    """Whether this is a name or an address of the machine itself: what is sent there passes no wire.

    A name is believed for `localhost` alone (RFC 6761, section 6.3).
    """
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def cleaned(words: str | bytes, most: int = MOST, *, lines: bool = False) -> str:
    r"""The words as one line of at most `most` characters, all of them printable (`str.isprintable`).

    Bytes are read as UTF-8, and what is none becomes U+FFFD. Blanks and line ends are one blank; in place of
    any other character that is not printable stands its escape, `\x00` or `\u202e`, but for the joiners with
    which Persian, Hindi and emoji are written. What is too long ends in `…`. With `lines` each line is spelt
    by itself, its blanks as they are. What is clean stays as it is.
    """
    text = words[: 4 * (most + 1)].decode("utf-8", "replace") if isinstance(words, bytes) else words
    text = _cut(text, most)
    if lines:
        return _cut("\n".join(_spelt(line).rstrip() for line in text.splitlines()).strip("\n"), most)
    return _cut(_spelt(" ".join(text.split())), most)


def _spelt(text: str) -> str:
    return "".join(map(_printable, text))


def _printable(letter: str) -> str:
    if letter.isspace():
        return " "
    plain = letter.isprintable() or letter in _JOINERS
    return letter if plain else letter.encode("unicode_escape").decode("ascii")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
