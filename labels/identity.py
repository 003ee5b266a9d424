"""What a label says: an opaque id that can be scanned, typed and read out over the telephone.

An id is sixteen characters of Crockford's base 32 alphabet, which leaves out I, L, O and U: fifteen drawn
at random (75 bits) and one check character, the number modulo 37. Because 37 is a prime larger than the
alphabet, one wrong character, or two neighbours changed about, never gives another id. Crockford's five
extra check symbols `*~$=U` are hard to type and some will not go into a compact QR code, so an id that
would end in one of them is drawn again.

The QR code holds the id behind an address that a stranger's telephone can open, and every label is of QR
version 3 at error level M, 29 modules a side, whatever the host. Its 352 bits (ISO/IEC 18004, table 7) hold
`https://` in byte mode (76 bits) and 47 characters in the alphanumeric one (13 + 259), so a host of up to 28.
With a longer one, up to 34, all of it is upper case, 61 characters (13 + 336 bits), and some telephones show
an address in capitals as a text, which cannot be tapped. Either spelling is read for ever.

A scanner that acts as a keyboard sends the keys of an American one, and a computer that is set to another
layout types something else: `HTTPSÖ--` for `HTTPS://` in German, `È` for 7 in French. `scanned` mends that
where the check character says which layout it was. `web/static/codes.js` does the same in the browser, and
`tests/vectors/codes.json` holds both to it.

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
SCHEME = "https://"
URL_LENGTH = 61
HOST_LENGTH = URL_LENGTH - len(SCHEME) - len("/M/") - ID_LENGTH
SMALL_URL_LENGTH = len(SCHEME) + 47
SMALL_HOST_LENGTH = SMALL_URL_LENGTH - len(SCHEME) - len("/M/") - ID_LENGTH
"""The longest address that begins in small letters, and its host."""

_LOOKALIKES = str.maketrans("OIL", "011")
_BETWEEN = re.compile("[\\s\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff-]")
"""Blanks and dashes of all kinds, which people put between the groups of an id, and telephones change."""
_NAME = "[A-Z0-9](?:[A-Z0-9-]*[A-Z0-9])?"
_HOST = rf"{_NAME}(?:\.{_NAME})*(?::[0-9]{{1,5}})?"
_URL = rf"HTTPS://{_HOST}/([{LETTERS}])/([0-9A-Z]{{{ID_LENGTH}}})"
_MENDED = re.compile(rf".+[^0-9A-Z][{LETTERS}][^0-9A-Z]([0-9A-Z]{{{ID_LENGTH}}})[^0-9A-Z]*", re.DOTALL)
_LONGEST = 200


def _layout(typed: str, meant: str) -> dict[int, str]:
    """What the keys that typed this are on an American keyboard; small letters and capitals alike."""
    pairs = list(zip(typed, meant, strict=True))
    return {ord(form): key for name, key in pairs for form in {name, name.lower()}}


_AZERTY, _QWERTY = "AQWZ?,", "QAZWMM"
_DIGITS, _SHIFTED = "1234567890", "!@#$%^&*()"
LAYOUTS = (
    _layout("", ""),  # letters and digits where an American keyboard has them: British, Spanish, Nordic, ...
    _layout("YZß", "ZY-"),  # German, Austrian, Swiss
    _layout("YZÖ", "ZY0"),  # Hungarian
    _layout(f"YZ+ĚŠČŘŽÝÁÍÉĽŤ{_DIGITS}", f"ZY123456789025{_SHIFTED}"),  # Czech, Slovak
    _layout(_AZERTY, _QWERTY),  # French and Belgian with the digits locked
    _layout(f"{_AZERTY}&É\"'(-È_ÇÀ){_DIGITS}", f"{_QWERTY}{_DIGITS}-{_SHIFTED}"),  # French
    _layout(f"{_AZERTY}&É\"'(§È!ÇÀ){_DIGITS}", f"{_QWERTY}{_DIGITS}-{_SHIFTED}"),  # Belgian
)
"""Keyboard layouts: each says which key of an American keyboard types a character, as far as ids need it."""


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
    # A Chinese input method types full-width letters: to the person who typed them they look right.
    plain = unicodedata.normalize("NFKC", text).upper().translate(_LOOKALIKES)
    found = _BETWEEN.sub("", plain)
    if strange := next((c for c in found if c not in ALPHABET), None):
        raise NotAnId(f"A label's id has only digits and letters, never U; this one has {strange!r}.")
    if len(found) != ID_LENGTH:
        raise NotAnId(f"A label's id has {ID_LENGTH} letters and digits; this one has {len(found)}.")
    if _check_character(found[:-1]) != found[-1]:
        raise NotAnId(
            "This id has a wrong character somewhere: its last one, the check, does not fit the rest."
        )
    return found


def scanned(text: str) -> str:
    """The id in what a scanner, as a keyboard, or a person has entered: an address, or the id alone.

    What another keyboard layout made of an address is mended if one id alone can have been meant: if its
    check character fits in one layout. `NotAnId` for all else.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if len(plain) > _LONGEST:
        raise NotAnId(f"A label's id has {ID_LENGTH} letters and digits; this text is far longer.")
    if address := read(plain):
        return address[1]
    alone = plain.strip("*/")
    if re.fullmatch("[0-9A-Z]*", _BETWEEN.sub("", alone.upper())):
        return check(alone)
    layouts = LAYOUTS[:1] if "://" in plain else LAYOUTS  # as on an American keyboard: a wrong id is wrong
    meant = {found for layout in layouts if (found := _meant(plain.translate(layout).upper()))}
    if len(meant) == 1:
        return meant.pop()
    raise NotAnId(
        "This could not be read as a label: scan it again, or type the 16 letters and digits beside the code."
    )


def _meant(text: str) -> str | None:
    """The id at the end of what looks like an address, its marks aside."""
    found = _MENDED.fullmatch(text)
    try:
        return check(found[1]) if found else None
    except NotAnId:
        return None


def judge_host(host: str) -> str:
    """What to know before this host stands on labels for ever: a sentence, or nothing.

    `UnusableHost` where it cannot stand there: an address in place of a host, an international name, no name
    at all, or one that is too long.
    """
    plain = host.upper()
    if found := re.fullmatch(r"(?:[A-Z]+:)?//([^/?#@]+)(?:[/?#].*)?|([^/?#@:]+(?::[0-9]+)?)/.*", plain):
        inside = (found[1] or found[2]).lower()
        raise UnusableHost(f"The label host {host!r} is an address; give the host in it alone: {inside}.")
    if not host.isascii():
        raise UnusableHost(
            f"The label host {host!r} is an international name; give it in the form that begins with xn--"
            f"{_in_ascii(host)}."
        )
    if not re.fullmatch(_HOST, plain):
        raise UnusableHost(
            f"The label host {host!r} is not a host name: it may have letters, digits, dots, hyphens and a"
            " port, such as labels.example.org."
        )
    if len(host) > HOST_LENGTH:
        raise UnusableHost(
            f"The label host {host!r} has {len(host)} characters and a label's QR code has room for"
            f" {HOST_LENGTH}. Choose a shorter, permanent name."
        )
    if len(host) > SMALL_HOST_LENGTH:
        return (
            f"The label host has {len(host)} characters. With {SMALL_HOST_LENGTH} or fewer the codes begin"
            " with https://; with more they are all in capitals, and some telephones show that to a finder as"
            " a text in place of opening it."
        )
    return ""


def _in_ascii(host: str) -> str:
    """`: xn--j6w193g.example` where there is one such form of the name."""
    try:
        written = host.encode("idna").decode()
    except UnicodeError:
        return ""
    # The old rules that Python knows make another name of some, such as those with an ß.
    return f": {written}" if written.encode().decode("idna") == host.lower() else ""


def url(host: str, path_letter: str, id_: str, /) -> str:
    """The address that the label's QR code holds: its beginning in small letters, if there is room.

    `path_letter` is M for a medium, C for a case, S for a seal, L for a site or slot. A host that cannot
    stand on a label raises `UnusableHost`; a wrong id raises `NotAnId`.
    """
    assert path_letter in tuple(LETTERS), path_letter
    judge_host(host)
    scheme = SCHEME if len(host) <= SMALL_HOST_LENGTH else SCHEME.upper()
    return f"{scheme}{host.upper()}/{path_letter}/{check(id_)}"


def is_printable(address: str) -> bool:
    """Whether a label's code can hold this address, letter by letter."""
    rest = address.removeprefix(SCHEME)
    longest = URL_LENGTH if rest == address else SMALL_URL_LENGTH
    return rest == rest.upper() and len(address) <= longest and bool(re.fullmatch(_URL, address.upper()))


def read(text: str) -> tuple[str, str] | None:
    """The path letter and id in a label's address, upper or lower case, or None if it is no such address.

    A slash at its end, which some scanners and browsers add, is no other address.

    Any host that `url` takes is read, for labels outlive host names. The host proves nothing, since whoever
    prints a label can print ours: what counts is whether the ledger knows the id.
    """
    address = text.strip().upper().removesuffix("/")
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
