"""The volser: what makers and libraries call a cartridge, and what the bars on its spine say.

Pattern, equivalence and message stand here and nowhere else: for the readers of listings and tables, for the
ledger, for the spine label and for what scanners read. `web/static/codes.js` says the same in the browser,
and `tests/vectors/codes.json` holds both to it.

**The pattern.** One to sixteen capital letters and digits, with hyphens, dots and underscores between them.
Sixteen is the longest label in a maker's guide (fourteen and the media id: Quantum Scalar i6000). On LTO,
3592 and T10000 cartridges makers allow letters and digits alone; the three marks are for what else is on the
books: old cartridges with labels of their own, disks, the names of virtual libraries. Code 39's other
characters (`$ / + %` and the blank) are refused, since scanners and spreadsheets change them. Small letters
are taken for capitals: Code 39 has no small ones, so no two cartridges differ in that alone.

**The equivalence.** An LTO, 3592 or T10000 label has eight characters: six and the *media id*. A library
reports all eight or the first six, as it is set (IBM `modifyVolserReporting`, Quantum "Standard", Oracle
"Trim Last Two Characters"), so both name one cartridge. Other cuts that a library can be set to make (the
first characters trimmed, the media id in front) are names of their own: nothing tells them from a volser.

**Cleaning cartridges** have a volser that begins with CLN (IBM, HPE, Dell, Quantum), or has CLEAN in it
(Oracle HSM), or a media id of the domain C: CU for every maker's drives (Oracle, Quantum, NEC), C and a digit
for one maker's (Oracle: C1 HP, C2 IBM, C3 Quantum; Quantum: "C1, C2, C3, C4, C5, CU, etc."). **Diagnostic
cartridges** begin with DG and a blank (IBM, Oracle), which makes them no volser.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from labels.unfit import Unfit

T = TypeVar("T")

PATTERN: Final = r"[A-Z0-9](?:[A-Z0-9._-]{0,14}[A-Z0-9])?"
RULE: Final = "one to sixteen capital letters and digits, with hyphens, dots or underscores between them"

_LONGEST = 16
_SHOWN = 40  # characters that a message repeats
_SIX = re.compile(r"[A-Z0-9]{6}")
_WITH_MEDIA_ID = re.compile(r"([A-Z0-9]{6})(L[1-9A-Z]|M8|J[A-Z]|T[12ST]|C[1-9U])")
_CLEANING = re.compile(r"CLN.*|.*CLEAN.*|[A-Z0-9]{6}C[1-9U]")
_DIAGNOSTIC = re.compile(r"DG .*")
_BARS = re.compile(r"\*(.*)\*")  # some scanners type the start and stop characters of Code 39, too
_CODE39_LTO = re.compile(r"[A-Z0-9]{6}(?:L[1-9A-Z]|M8)|CLN[A-Z0-9]{3}C[1-9U]")
# Full-width forms, which an input method types; and the small letters of ASCII, no others.
_CAPITALS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_CAPITALS |= {small: small & 0x5F for small in range(ord("a"), ord("z") + 1)}
_CAPITALS |= {small + 0xFEE0: small & 0x5F for small in range(ord("a"), ord("z") + 1)}

_FORMS: Final = {
    **{f"L{generation}": f"LTO-{generation}" for generation in range(1, 10)},
    **{f"L{letter}": f"LTO-{generation} WORM" for generation, letter in enumerate("TUVWXYZ", start=3)},
    "M8": "LTO-7 M8",
}
"""The kind of medium that an LTO media id says (IBM, Quantum, Oracle: the same table)."""
_MEDIA_IDS: Final = {form: media_id for media_id, form in _FORMS.items()}


class NotAVolser(Unfit):
    """The text is no volser; the message tells the person whose list it is what it lacks."""


def check(text: str) -> str:
    """The volser that a person, a table or a library wrote, in capitals; `NotAVolser` for anything else."""
    volser = _BARS.sub(r"\1", text.translate(_CAPITALS).strip())
    if not re.fullmatch(PATTERN, volser):
        raise NotAVolser(f"{_quoted(text)} is no volser: {RULE}; {_lack(volser)}.")
    return volser


def _lack(volser: str) -> str:
    if not volser:
        return "this is empty"
    if strange := re.search(r"[^A-Z0-9._-]", volser):
        return f"this one has {strange[0]!r}"
    if len(volser) > _LONGEST:
        return f"this one has {len(volser)} characters"
    return "this one begins or ends with such a mark"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def is_cleaning(volser: str) -> bool:
    """Whether a cartridge of this name cleans drives and holds no data."""
    return _CLEANING.fullmatch(volser) is not None


def is_diagnostic(tag: str) -> bool:
    """Whether a library means a maker's test cartridge by this."""
    return _DIAGNOSTIC.fullmatch(tag) is not None


def form(volser: str) -> str | None:
    """`LTO-8` from the media id that ends an LTO label; None where it does not say."""
    label = _WITH_MEDIA_ID.fullmatch(volser)
    return _FORMS.get(label[2]) if label else None


def spine(volser: str, form: str | None) -> str:
    """What the cartridge's own label says, as far as is known: the six characters and the media id.

    From six characters and a kind such as `LTO-6` it is told; all else is as it is.
    """
    media_id = _MEDIA_IDS.get(form or "", "")
    return volser + media_id if _SIX.fullmatch(volser) else volser


def is_lto_spine(volser: str) -> bool:
    """Whether the bars of an LTO cartridge's label can say this: six characters and an LTO media id."""
    return _CODE39_LTO.fullmatch(volser) is not None


def same(one: str, other: str) -> bool:
    """Whether the two can name one cartridge: alike, or one of them without the media id."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    label = _WITH_MEDIA_ID.fullmatch(long)
    return label is not None and label[1] == short


def first_six(volser: str) -> str:
    """What two names of one cartridge have in common: a key by which a store finds them together."""
    return volser[:6]


class Index(Generic[T]):
    """Things by their volser, to be found by another name of the same cartridge."""

    def __init__(self, things: Iterable[tuple[str, T]]) -> None:
        self._under: defaultdict[str, list[T]] = defaultdict(list)
        for volser, thing in things:
            self._under[volser].append(thing)
            if label := _WITH_MEDIA_ID.fullmatch(volser):
                self._under[_any_media_id(label[1])].append(thing)

    def find(self, volser: str) -> list[T]:
        """All that can be this cartridge, as `same` says; more than one is for a person to tell apart."""
        label = _WITH_MEDIA_ID.fullmatch(volser)
        other = label[1] if label else _any_media_id(volser)
        return [*self._under.get(volser, ()), *self._under.get(other, ())]


def _any_media_id(six: str) -> str:
    return f"{six}??"
