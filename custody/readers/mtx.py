"""What `mtx status` says stands in a tape library.

The text comes from a program on the backup server (mtx 1.3, `Status` in its mtx.c), saved to a file or
pasted into a form. It opens with a head line that counts drives and slots, then has one line an element,
drives from 0 and slots from 1, none left out. That order is what makes a lost line visible: a listing
that skips a number, ends early or is cut in mid-volser is refused whole, since a tape that silently
drops out of an inventory is exactly the loss this system exists to notice.

A cartridge whose label the robot could not read, or read as something that is no volser (`labels.volser` has
the rule), is no reason to refuse: it is in `unlabelled`, to be looked at by a person.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from custody.errors import Unreadable
from labels import volser as volsers

Kind = Literal["storage", "import/export", "drive"]


@dataclass(frozen=True, slots=True)
class Cartridge:
    """A cartridge with a readable label.

    `slot` is the number mtx gives the element: slots from 1, drives from 0. `home` is the slot that a
    cartridge in a drive came from, None where the library does not know. `line` counts from 1. `spelt` is how
    the library spells the volser, where it does so otherwise than in capitals.
    """

    volser: str
    slot: int
    kind: Kind
    cleaning: bool
    line: int
    home: int | None = None
    spelt: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """An element that is full without a label that could be a volser; `tag` is what stood there, if any."""

    number: int
    kind: Kind
    line: int
    tag: str = ""

    @property
    def diagnostic(self) -> bool:
        """Whether it holds a maker's test cartridge."""
        return volsers.is_diagnostic(self.tag)

    @property
    def why(self) -> str:
        """Which element it is, and what its label lacks: a sentence for whoever can look at it."""
        place = f"{'drive' if self.kind == 'drive' else 'slot'} {self.number} (line {self.line})"
        if not self.tag:
            return f"{place} is full, but its label cannot be read"
        try:
            volsers.check(self.tag)
        except volsers.NotAVolser as problem:
            return f"{place} is full: {str(problem).rstrip('.')}"
        raise AssertionError(f"{self.tag} is a volser")


@dataclass(frozen=True, slots=True)
class Library:
    """One listing. `drives` and `slots` are the head line's counts, None where it has none.

    `slots` counts the import/export slots too, as mtx does.
    """

    drives: int | None
    slots: int | None
    cartridges: tuple[Cartridge, ...]
    unlabelled: tuple[Slot, ...]
    device: str


@dataclass(frozen=True, slots=True)
class _Element:
    """One element's line, taken apart."""

    number: int
    kind: Kind
    line: int
    full: bool
    tag: str
    home: int | None


# The alternate tag names the other side of an optical disk; a tape has no other side.
# All patterns see a line with its runs of blanks made one. Counts stay short: int() refuses long ones.
_TAGS = r" ?(?::VolumeTag ?= ?(?P<tag>[ -9;-~]*?))? ?(?::AlternateVolumeTag ?= ?[ -9;-~]*)?"
_HEAD = re.compile(
    r"Storage Changer (?P<device>\S+?)"
    r"(?::(?: ?(?P<drives>[0-9]{1,6})? ?Drives?)?,?(?: ?(?P<slots>[0-9]{1,6})? ?Slots?)?"
    r"(?: ?\( ?[0-9]* ?Import/Export ?\))?)?"
)
_DRIVE = re.compile(
    r"Data Transfer Element (?P<number>[0-9]{1,6}):(?P<state>Empty|Full)"
    r"(?: ?\((?:Storage Element (?P<home>[0-9]{1,6})|Unknown Storage Element) Loaded\))?" + _TAGS
)
_SLOT = re.compile(
    r"Storage Element (?P<number>[0-9]{1,6})(?P<port> IMPORT/EXPORT)?:(?P<state>Empty|Full)" + _TAGS
)
# mtx's complaints to standard error, harmless where a listing follows.
_NOISE = ("mtx: Request Sense:", "Mode sense (0x1A) for Page 0x1D failed")
_LTO_LABEL = re.compile(r"[A-Z0-9]{6}[LM][A-Z0-9]")
_SHOWN = 80  # characters of a line that an error repeats


def read(text: str | bytes) -> Library:
    """The library of one `mtx status` listing, whole.

    Raises Unreadable, naming the line, for anything that is not one complete listing: a line of another
    shape, an element left out or listed twice, other counts than the head line's, a volser met twice,
    bytes that are not UTF-8.
    """
    text = _decode(text) if isinstance(text, bytes) else text
    lines = _lines(text)
    number, line = next(lines, (1, ""))
    head = _HEAD.fullmatch(line)
    if not head:
        raise Unreadable(
            f"This is not the output of `mtx status`: line {number} should begin with 'Storage Changer', "
            f"but is {_quote(line)}."
        )
    elements = [_element(number, line) for number, line in lines]
    drives = [element for element in elements if element.kind == "drive"]
    slots = [element for element in elements if element.kind != "drive"]
    if not elements:
        raise Unreadable(f"The listing ends after its head line, line {number}: no drive, no slot.")
    _check_order(drives, "data transfer element")
    _check_order(slots, "storage element")
    announced = {what: int(head[what]) if head[what] else None for what in ("drives", "slots")}
    _check_count(announced["drives"], drives, "drives", number)
    _check_count(announced["slots"], slots, "slots", number)
    _check_end(text, elements[-1])
    return Library(
        announced["drives"],
        announced["slots"],
        _cartridges(elements),
        tuple(
            Slot(element.number, element.kind, element.line, element.tag)
            for element in elements
            if element.full and _volser(element.tag) is None
        ),
        head["device"],
    )


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"Line {line} is not plain text (UTF-8). Save the output of `mtx status` as text."
        ) from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that say something, each run of blanks made one."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        plain = " ".join(line.split())
        if plain and not plain.startswith(_NOISE):
            yield number, plain


def _element(number: int, line: str) -> _Element:
    drive, slot = _DRIVE.fullmatch(line), _SLOT.fullmatch(line)
    found = drive or slot
    if not found:
        raise Unreadable(
            f"Line {number} is not a line of `mtx status`: {_quote(line)}. Nothing was taken in."
        )
    kind: Kind = "drive" if drive else "import/export" if found["port"] else "storage"
    home = drive["home"] if drive else None
    return _Element(
        number=int(found["number"]),
        kind=kind,
        line=number,
        full=found["state"] == "Full",
        tag=(found["tag"] or "").strip(),
        home=int(home) if home else None,
    )


def _check_order(elements: list[_Element], word: str) -> None:
    """Element numbers start at 0 or 1 and leave none out."""
    due = min(elements[0].number, 1) if elements else 0
    for element in elements:
        if element.number != due:
            raise Unreadable(
                f"Line {element.line} lists {word} {element.number} where {word} {due} was due: "
                "lines are missing, or two listings were put together. Nothing was taken in."
            )
        due += 1


def _check_count(announced: int | None, elements: list[_Element], word: str, head: int) -> None:
    if announced is None or announced == len(elements):
        return
    last = elements[-1].line if elements else head
    raise Unreadable(
        f"Line {head} announces {announced} {word}, but only {len(elements)} are listed up to line {last}: "
        "the listing was cut off. Nothing was taken in."
        if len(elements) < announced
        else f"Line {head} announces {announced} {word}, but {len(elements)} are listed up to line {last}. "
        "Nothing was taken in."
    )


def _check_end(text: str, last: _Element) -> None:
    """Refuse a last line that may have been cut in its volser.

    mtx ends each line, and blanks often pad the volser. Text pasted into a form may lack both, so there
    a whole LTO label (six characters and the media id) counts as proof too.
    """
    ended = last.line <= text.count("\n")
    padded = last.tag and text[-1].isspace()
    if last.full and not (ended or padded or _LTO_LABEL.fullmatch(last.tag)):
        raise Unreadable(
            f"Line {last.line}, the last, has no line end, so its volser may be cut short. "
            "If it is complete, put a line end after it. Nothing was taken in."
        )


def _volser(tag: str) -> str | None:
    """What a robot reports for a label it could not read (`????????`, `NO LABEL`) is no volser."""
    try:
        return volsers.check(tag)
    except volsers.NotAVolser:
        return None


def _cartridges(elements: list[_Element]) -> tuple[Cartridge, ...]:
    # An empty slot may carry a tag: the library remembers what belongs there. The tape is elsewhere.
    found = tuple(
        Cartridge(
            volser=volser,
            slot=element.number,
            kind=element.kind,
            cleaning=volsers.is_cleaning(volser),
            line=element.line,
            home=element.home,
            spelt="" if element.tag == volser else element.tag,
        )
        for element in elements
        if element.full and (volser := _volser(element.tag)) is not None
    )
    index = volsers.Index((each.volser, each) for each in found)
    for each in found:
        for other in index.find(each.volser):
            if other is not each:
                _refuse_twins(each, other)
    return found


def _refuse_twins(one: Cartridge, other: Cartridge) -> None:
    """Two full elements are two cartridges, and both would answer to what one of them is called."""
    first, second = sorted((one, other), key=lambda each: each.line)
    lines = f"Lines {first.line} and {second.line}"
    if one.volser == other.volser:
        raise Unreadable(
            f"{lines} both list volser {one.volser}: two tapes carry the same label, or two listings were put"
            " together. Nothing was taken in."
        )
    raise Unreadable(
        f"{lines} list {first.volser} and {second.volser}: these could name one cartridge, with its media id"
        " and without. Set the library to report all labels in one way. Nothing was taken in."
    )


def _quote(line: str) -> str:
    return repr(line if len(line) <= _SHOWN else line[:_SHOWN] + "...")
