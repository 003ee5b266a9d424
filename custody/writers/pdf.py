"""The page that all our documents share: A4, a head, a foot with "page x of y", tables that break well.

A document is a list of blocks, top to bottom: `heading`, `paragraph`, `fields`, `table`, `box`, `Code`.
`document` sets them and gives the same bytes for the same blocks: no time and no chance is in the file.

Western European text is set in Helvetica, Chinese in the reader's own Traditional Chinese font (see
`labels.lettering`); a character that neither has is shown as `?`, never as a blank.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from typing import Any, Final
from xml.sax.saxutils import escape

import qrcode
import zxingcpp
from qrcode.util import MODE_8BIT_BYTE, QRData
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor, black, white
from reportlab.lib.fonts import addMapping
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Table,
)
from zxingcpp import BarcodeFormat, BarcodeFormats

from custody.rules.world import DEMO_ORIGIN
from custody.zones import local
from labels import lettering

# A setting of the whole process, which `labels.sheet` makes too: whether that module was imported before
# must not decide which bytes a document has.
rl_config.useA85 = 0
for _bold, _italic in ((0, 0), (0, 1), (1, 0), (1, 1)):  # a Chinese word in bold text has its one weight
    addMapping(lettering.CHINESE, _bold, _italic, lettering.CHINESE)

SIDE: Final = 15 * mm
TOP: Final = 24 * mm
BOTTOM: Final = 19 * mm
WIDTH: Final = A4[0] - 2 * SIDE
"""Points between the margins: 180 mm."""

_GREY: Final = HexColor(0x595959)
_RULE: Final = HexColor(0xBFBFBF)
_SHADE: Final = HexColor(0xF2F2F2)

TEXT: Final = ParagraphStyle("text", fontName=lettering.LATIN, fontSize=9.5, leading=13, spaceAfter=5)
SMALL: Final = ParagraphStyle("small", TEXT, fontSize=8, leading=10.6, spaceAfter=4)
_CELL: Final = ParagraphStyle("cell", TEXT, fontSize=8, leading=10, spaceAfter=0)
_FIELD: Final = ParagraphStyle("field", TEXT, fontSize=9.5, leading=12.5, spaceAfter=0)
_LABEL: Final = ParagraphStyle("label", _FIELD, textColor=_GREY)
_COLUMN: Final = ParagraphStyle("column", _CELL, fontName="Helvetica-Bold")
_MONO: Final = ParagraphStyle("mono", _CELL, fontName="Courier", fontSize=8.4, leading=10.6)
_TITLE: Final = ParagraphStyle("title", TEXT, fontName="Helvetica-Bold", fontSize=17, leading=22)
_HEADING: Final = ParagraphStyle(
    "heading", TEXT, fontName="Helvetica-Bold", fontSize=12, leading=16, spaceBefore=10
)
_VERDICT: Final = ParagraphStyle(
    "verdict", TEXT, fontName="Helvetica-Bold", fontSize=12, leading=16, spaceAfter=0
)


@dataclass(frozen=True, slots=True)
class Furniture:
    """What stands around each page. `foot` is the left of the foot: as of when this is."""

    title: str
    origin: str
    foot: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, its width in mm, and whether its characters are all of one width."""

    title: str
    width: float
    mono: bool = False


# ------------------------------------------------------------------------------------------------ words


def grouped(identity: str) -> str:
    """A printed identity in groups of four, as it is read aloud and typed."""
    return " ".join(identity[start : start + 4] for start in range(0, len(identity), 4))


def short(event: str) -> str:
    """The first 12 digits of an event id: enough to find it by, not enough to prove it."""
    return event[:12]


def moment(at: datetime, zone: str) -> str:
    """`2026-03-02 17:00:00 (UTC 09:00:00)`: a site's wall clock first, and what every other site means."""
    here, utc = local(at, zone), at.astimezone(UTC)
    if here.tzinfo is UTC:
        return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    day = "" if here.date() == utc.date() else f"{utc:%Y-%m-%d} "
    return f"{here:%Y-%m-%d %H:%M:%S} (UTC {day}{utc:%H:%M:%S})"


def count(number: int, one: str, many: str) -> str:
    """`1 medium`, `7 media`."""
    return f"{number:,} {one if number == 1 else many}"


@lru_cache(maxsize=4096)
def _font(character: str) -> str:
    """The font that has this character, or nothing. Big5's Greek and Cyrillic are blank in many viewers."""
    if not character.isprintable():
        return ""
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        pass
    else:
        return lettering.LATIN
    try:
        character.encode("big5hkscs")
    except UnicodeEncodeError:
        return ""
    wide = unicodedata.east_asian_width(character) in {"W", "F"} and character <= "\uffff"
    return lettering.CHINESE if wide else ""


def _set(text: str, style: ParagraphStyle) -> Paragraph:
    """The text as written, in letters that a reader has; what it may hold of mark-up is shown, not obeyed."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    shown = "".join(c if _font(c) else "?" for c in words)
    if all(_font(c) == lettering.LATIN for c in shown):
        return Paragraph(escape(shown), style)
    parts = [(font, escape("".join(letters))) for font, letters in groupby(shown, _font)]
    markup = "".join(
        part if font == lettering.LATIN else f'<font name="{font}">{part}</font>' for font, part in parts
    )
    return Paragraph(markup, ParagraphStyle(f"{style.name}-chinese", style, wordWrap="CJK"))


# ----------------------------------------------------------------------------------------------- blocks


class Heading(Paragraph):  # type: ignore[misc]  # reportlab has no types
    """A heading that is also in the reader's outline, from which it can be jumped to."""

    def __init__(self, text: str, style: ParagraphStyle) -> None:
        super().__init__(escape(text), style)
        self._plain = text

    def draw(self) -> None:
        """Called by reportlab, on the page where the heading has come to stand."""
        key = f"{self.canv.getPageNumber()}/{self._plain}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(self._plain, key)
        super().draw()


class Box(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A small empty square, to be ticked with a pen."""

    def __init__(self, side: float = 3.4 * mm) -> None:
        super().__init__()
        self.width = self.height = side

    def draw(self) -> None:
        """Called by reportlab."""
        self.canv.setLineWidth(0.7)
        self.canv.rect(0, 0, self.width, self.height)


class Code(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A QR code of any text, `side` points wide with its quiet zone, read back before it is drawn.

    The code's symbols are runs of vectors. Its size in modules follows from the text, with correction M;
    the mask is fixed, so that the same text is the same code.
    """

    def __init__(self, text: str, side: float) -> None:
        super().__init__()
        self.width = self.height = side
        code: Any = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, mask_pattern=3, border=4)
        code.add_data(QRData(text.encode(), mode=MODE_8BIT_BYTE), optimize=0)
        code.make(fit=True)
        self._rows: list[list[bool]] = code.get_matrix()
        _read_back(text, self._rows)

    def draw(self) -> None:
        """Called by reportlab. All runs of black are one path, in whole modules under one matrix."""
        boxes = []
        for y, row in enumerate(self._rows):
            x = 0
            for dark, run in groupby(row):
                length = len(list(run))
                if dark:
                    boxes.append(f"{x} {y} {length} 1 re")
                x += length
        unit = self.width / len(self._rows)
        self.canv.addLiteral(f"q {unit:.6f} 0 0 {-unit:.6f} 0 {self.height:.6f} cm {' '.join(boxes)} f Q")


def _read_back(text: str, rows: list[list[bool]]) -> None:
    """A code that was drawn and does not read is a mistake of the program, found here and not at the gate."""
    side = len(rows)
    picture = bytes(0 if dark else 255 for row in rows for dark in row)
    image = memoryview(picture).cast("B", (side, side))
    found = zxingcpp.read_barcodes(image, BarcodeFormats(BarcodeFormat.QRCode), is_pure=True)
    if [code.bytes for code in found] != [text.encode()]:
        raise AssertionError("a QR code was drawn that does not read back as its text")


def title(text: str) -> Flowable:
    """The document's own name, at the top of its first page."""
    return Heading(text, _TITLE)


def heading(text: str) -> tuple[Flowable, Flowable]:
    """The name of a part. It is never the last thing on a page."""
    return CondPageBreak(40 * mm), Heading(text, _HEADING)


def paragraph(text: str, style: ParagraphStyle = TEXT) -> Flowable:
    """Running text."""
    return _set(text, style)


def mono(text: str) -> Flowable:
    """A command or a signed text, line by line, to be copied letter by letter."""
    return Paragraph(escape(text).replace("\n", "<br/>"), ParagraphStyle("command", _MONO, spaceAfter=6))


def digest(text: str) -> Flowable:
    """64 hexadecimal digits in groups of eight, to be compared by eye."""
    return Paragraph(" ".join(text[start : start + 8] for start in range(0, len(text), 8)), _MONO)


def box(*lines: str, solid: bool = False) -> Flowable:
    """What must not be overlooked, in a frame; `solid` prints it white on black."""
    first = ParagraphStyle("first", _VERDICT, textColor=white if solid else black)
    rest = ParagraphStyle("rest", _FIELD, textColor=white if solid else black)
    rows = [[_set(line, rest if index else first)] for index, line in enumerate(lines)]
    framed = Table(rows, [WIDTH], spaceAfter=3 * mm)
    framed.setStyle(
        [
            ("BOX", (0, 0), (-1, -1), 1.4, black),
            ("BACKGROUND", (0, 0), (-1, -1), black if solid else white),
            ("LEFTPADDING", (0, 0), (-1, -1), 9),
            ("TOPPADDING", (0, 0), (-1, 0), 7),
            ("TOPPADDING", (0, 1), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -2), 2),
            ("BOTTOMPADDING", (0, -1), (-1, -1), 8),
        ]
    )
    return framed


def fields(rows: Iterable[tuple[str, str | Flowable]], width: float = WIDTH, label: float = 38) -> Flowable:
    """Labels of `label` mm, each with its value beside it."""
    cells = [
        [_set(name, _LABEL), _set(value, _FIELD) if isinstance(value, str) else value] for name, value in rows
    ]
    listed = Table(cells, [label * mm, width - label * mm], hAlign="LEFT", spaceAfter=2 * mm)
    listed.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 1.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, _RULE),
        ]
    )
    return listed


def beside(left: Sequence[Flowable], right: Sequence[Flowable], width: float) -> Flowable:
    """Blocks next to each other, the right ones `width` points wide."""
    pair = Table([[list(left), list(right)]], [WIDTH - width, width])
    pair.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
        ]
    )
    return pair


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Flowable]]) -> Flowable:
    """A table whose head stands again on each page; a row is never cut in two unless it fills a page."""
    head: list[Any] = [_set(column.title, _COLUMN) for column in columns]
    styles = [_MONO if column.mono else _CELL for column in columns]
    cells = [
        [
            _set(cell, style) if isinstance(cell, str) else cell
            for cell, style in zip(row, styles, strict=True)
        ]
        for row in rows
    ]
    widths = [column.width * mm for column in columns]
    # Beyond this many points a row is split; one that is shorter than a page goes to the next one whole.
    ruled = Table([head, *cells], widths, repeatRows=1, hAlign="LEFT", spaceAfter=3 * mm, splitInRow=1)
    ruled.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 2),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, black),
            ("LINEBELOW", (0, 1), (-1, -1), 0.3, _RULE),
        ]
    )
    return ruled


# ------------------------------------------------------------------------------------------ the document


class _Canvas(Canvas):  # type: ignore[misc]  # reportlab has no types
    """Knows how many pages there are only at the end, when it draws the number that every foot refers to."""

    def save(self) -> None:
        """Ends the file."""
        self.beginForm("pages", 0, -3, 40, 10)
        self.setFont(lettering.LATIN, 8)
        self.setFillColor(_GREY)
        self.drawString(0, 0, f" {self.getPageNumber() - 1}")
        self.endForm()
        super().save()


def document(furniture: Furniture, blocks: Sequence[Flowable]) -> bytes:
    """The PDF of these blocks, the same bytes for the same blocks."""
    file = BytesIO()
    template = BaseDocTemplate(
        file,
        pagesize=A4,
        invariant=1,
        pageCompression=1,
        title=furniture.title,
        creator="media-custody",
        lang="en",
    )
    frame = Frame(SIDE, BOTTOM, WIDTH, A4[1] - TOP - BOTTOM, 0, 0, 0, 0)

    def furnish(canvas: Any, _template: Any) -> None:
        _furnish(canvas, furniture)

    template.addPageTemplates(PageTemplate("page", [frame], onPage=furnish))

    def canvas(*arguments: Any, **options: Any) -> _Canvas:
        # PDF 1.5 is the first version that knows the map of Chinese characters which `lettering` names.
        return _Canvas(*arguments, **{**options, "pdfVersion": (1, 5)})

    template.build(list(blocks), canvasmaker=canvas)
    return file.getvalue()


def _furnish(canvas: Any, furniture: Furniture) -> None:
    """Head and foot of one page."""
    right, head, foot = A4[0] - SIDE, A4[1] - 14 * mm, 11 * mm
    canvas.saveState()
    canvas.setStrokeColor(_RULE)
    canvas.setLineWidth(0.5)
    canvas.line(SIDE, head - 4, right, head - 4)
    canvas.line(SIDE, foot + 11, right, foot + 11)
    _write(canvas, furniture.title, (SIDE, head), _GREY)
    canvas.setFont(lettering.LATIN, 8)
    canvas.drawRightString(right, head, f"log {furniture.origin}")
    if furniture.origin == DEMO_ORIGIN:
        canvas.setFont("Helvetica-Bold", 9)
        canvas.drawCentredString(A4[0] / 2, head, "DEMONSTRATION: NOTHING IN THIS IS REAL")
    _write(canvas, furniture.foot, (SIDE, foot), _GREY)
    canvas.drawRightString(right - 16, foot, f"page {canvas.getPageNumber()} of")
    canvas.translate(right - 16, foot)
    canvas.doForm("pages")
    canvas.restoreState()


def _write(canvas: Any, text: str, place: tuple[float, float], colour: Color) -> None:
    canvas.setFillColor(colour)
    lettering.write(canvas, text, *place, size=8, width=WIDTH * 0.8)
    canvas.setFont(lettering.LATIN, 8)
