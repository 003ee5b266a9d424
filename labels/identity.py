"""What a label says: an opaque id that can be scanned, typed and read out over the telephone.

An id is sixteen characters of Crockford's base 32 alphabet, which leaves out I, L, O and U: fifteen drawn
at random (75 bits) and one check character, the number modulo 37. Because 37 is a prime larger than the
alphabet, one wrong character, or two neighbours changed about, never gives another id. Crockford's five
extra check symbols `*~$=U` are hard to type and some will not go into a compact QR code, so an id that
would end in one of them is drawn again.

The QR code holds the id behind an address that a stranger's telephone can open. It is upper case and at
most 61 characters, which is what QR version 3 at error level M holds in its alphanumeric mode (ISO/IEC
18004, table 7); that keeps every label at 29 modules a side, whatever the host.

Source: Douglas Crockford, "Base 32", https://www.crockford.com/base32.html
"""

import re
import unicodedata
from collections.abc import Callable

from labels.unfit import Unfit

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS = ALPHABET + "*~$=U"
ID_LENGTH = 16
PATTERN = f"[0-9A-HJKMNP-TV-Z]{{{ID_LENGTH}}}"
LETTERS = "MCSL"
URL_LENGTH = 61
HOST_LENGTH = URL_LENGTH - len("HTTPS://") - len("/M/") - ID_LENGTH

_LOOKALIKES = str.maketrans("OIL", "011")
_NAME = "[A-Z0-9](?:[A-Z0-9-]*[A-Z0-9])?"
_HOST = rf"{_NAME}(?:\.{_NAME})*(?::[0-9]{{1,5}})?"
_URL = rf"HTTPS://{_HOST}/([{LETTERS}])/([0-9A-Z]{{{ID_LENGTH}}})"


class NotAnId(Unfit):
    """The text is not one of our ids; the message tells the person who typed or scanned it why."""


class UnusableHost(Unfit):
    """The host cannot stand on a label; the message tells the admin who set it why."""


def draw(random: Callable[[int], bytes]) -> str:
    """A new id; `random(n)` must give n unpredictable bytes, as `secrets.token_bytes` does."""
    while True:
        body = "".join(ALPHABET[byte % 32] for byte in random(ID_LENGTH - 1))
        assert len(body) == ID_LENGTH - 1, "random(n) gave too few bytes"
        if (last := _check_character(body)) in ALPHABET:
            return body + last


def check(text: str) -> str:
    """The id that a person typed or a scanner read, in its one written form.

    Lower case, full-width letters, O for 0, I or L for 1, hyphens and blanks are put right; anything else
    raises `NotAnId`.
    """
    if len(text) > 4 * ID_LENGTH:
        raise NotAnId(f"A label's id has {ID_LENGTH} letters and digits; this text is far longer.")
    # A Chinese input method types full-width letters, and a telephone makes a dash of a hyphen: to the
    # person who typed them both look right.
    plain = unicodedata.normalize("NFKC", text).upper().translate(_LOOKALIKES)
    found = "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Pd")
    if strange := next((c for c in found if c not in ALPHABET), None):
        raise NotAnId(f"A label's id has only digits and letters, never U; this one has {strange!r}.")
    if len(found) != ID_LENGTH:
        raise NotAnId(f"A label's id has {ID_LENGTH} letters and digits; this one has {len(found)}.")
    if _check_character(found[:-1]) != found[-1]:
        raise NotAnId(
            "This id has a wrong character somewhere: its last one, the check, does not fit the rest."
        )
    return found


def url(host: str, path_letter: str, id_: str, /) -> str:
    """The address that the label's QR code holds, upper case, at most 61 characters.

    `path_letter` is M for a medium, C for a case, S for a seal, L for a site or slot. A host that would
    make the address too long, or is no host name, raises `UnusableHost`; a wrong id raises `NotAnId`.
    """
    assert path_letter in tuple(LETTERS), path_letter
    if not (host.isascii() and re.fullmatch(_HOST, host.upper())):
        raise UnusableHost(
            f"The label host {host!r} is not a host name: it may have letters, digits, dots, hyphens and a"
            " port, such as labels.example.org. An international name is written in its xn-- form."
        )
    if len(host) > HOST_LENGTH:
        raise UnusableHost(
            f"The label host {host!r} has {len(host)} characters and a label's QR code has room for"
            f" {HOST_LENGTH}. Choose a shorter, permanent name."
        )
    return f"HTTPS://{host.upper()}/{path_letter}/{check(id_)}"


def read(text: str) -> tuple[str, str] | None:
    """The path letter and id in a label's address, upper or lower case, or None if it is no such address.

    Any host that `url` takes is read, for labels outlive host names. The host proves nothing, since whoever
    prints a label can print ours: what counts is whether the ledger knows the id.
    """
    address = text.strip().upper()
    if len(address) > URL_LENGTH or not (match := re.fullmatch(_URL, address)):
        return None
    try:
        return match[1], check(match[2])
    except NotAnId:
        return None


def _check_character(body: str) -> str:
    number = 0
    for character in body:
        number = number * 32 + ALPHABET.index(character)
    return CHECKS[number % 37]
