"""Sheets of labels as PDF, at their exact size, every code read back before the file is handed out.

A *label* carries our QR code, what people call the thing, its id and a few words; it goes on a tape's own
case, a transport case, a seal, a slot. A *spine* carries a volser in Code 39, for the one place where a tape
library looks and where nothing else may stick: the recess of an LTO cartridge. Both are printed on a *stock*,
the sheet of stickers that was bought, which is data.

Everything is measured in millimetres from the page's top left corner; one transformation a page turns them
into PDF's points, which go upwards (hence the minus signs), and puts right a printer that shifts or shrinks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Literal

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from labels import identity, lettering, symbols, volser
from labels.unfit import Unfit

# reportlab wraps pages in base 85, for mail that carried seven bits: a tenth of a sheet's time and a fifth of
# its size. It has this setting for the whole process only; all it does to other PDFs is make them smaller.
rl_config.useA85 = 0

Millimetres = tuple[float, float]

SMALLEST_MODULE = 0.42  # five dots at 300 dpi; by arithmetic, 2.9 pixels of a 1080p camera at 20 cm
QR_SIDE = symbols.QR_SIDE + 2 * symbols.QR_QUIET
SPINE_BARS = symbols.code39_width("VOLSERL1") / symbols.BAR_UNITS
SPINE_QUIET = symbols.CODE39_QUIET / symbols.BAR_UNITS
BAR_HEIGHT = 11.2  # IBM asks for 11.1 or more
ABOVE_BARS, BELOW_BARS = 4.7, 1.0
EDGE = 2.5  # a sheet is not fed more exactly than this
COURIER_EM = 0.6
ID_WIDTH = 15.0  # nine characters of 2.8 mm
TITLE_SIZE, TITLE_LEADING = 7.0, 1.2
ID_SIZE, ID_LEADING = 2.9, 1.15
LARGE_ID_SIZE = 4.4
LINE_SIZE, LINE_LEADING = 2.9, 1.24
PHONE_SIZES = (2.9, 2.6, 2.3, 2.0)
"""From what is comfortable to the smallest print that a finder can be asked to read."""
HAIRLINE = 0.1
DOT = 25.4 / 300  # of a printer of 300 dpi

_ADVICE = """\
Calibration page for stock {}. Print it on plain paper at 100 % (actual size) and measure the rulers: if
100 mm on them are 98 mm, the scale is 100 / 98 = 1.02. Then hold page and labels against the light: the
offset is how far, in mm, the outlines have to move right and down; left and up count as minus.
"""


class Unprintable(Unfit):
    """This cannot be printed as asked; the message says why and what to do. Nothing was printed."""


@dataclass(frozen=True)
class Label:
    """A QR label: its id, the address in its code (see `identity.url`), and lines of text for people.

    `title` is what people call the thing, in large letters; without one the id is the large line. `phone` is
    whom a finder calls, and is never cut. Raises `Unprintable` unless the address is one of ours and leads to
    this very id.
    """

    id: str
    url: str
    lines: tuple[str, ...] = ()
    title: str = ""
    phone: str = ""

    def __post_init__(self) -> None:
        found = identity.read(self.url)
        if found is None or found[1] != self.id or not identity.is_printable(self.url):
            raise Unprintable(f"{self.url!r} is not the address of the label {self.id!r} as a code holds it.")


@dataclass(frozen=True)
class Spine:
    """An LTO cartridge's spine label: six characters and the cartridge's type, such as ORC001L8.

    The types are L and a digit or letter (L1 to L9; LT to LZ for WORM; more with each generation), M8, and
    for a cleaning cartridge, whose volser begins with CLN, CU or C1 to C9. Raises `Unprintable` for others.
    """

    volser: str

    def __post_init__(self) -> None:
        if not volser.is_lto_spine(self.volser):
            raise Unprintable(
                f"{self.volser!r} is no volser for an LTO spine label: that is six capital letters or digits"
                " and the cartridge's type, such as ORC001L8, ORC001M8 or CLN001CU."
            )


@dataclass(frozen=True)
class Stock:
    """A sheet of stickers, in mm: where they are, and which code goes on them.

    `grid` is columns and rows; `margins` are left and top; `pitch` is from one label's left or top edge to
    the next one's; `module` is the width of the code's narrowest element. `trim` draws marks outside the
    labels to cut along, for a sheet that is one large sticker. Raises `Unprintable` where labels overlap,
    leave the page, or are too small for their code.
    """

    name: str
    kind: Literal["qr", "code39"]
    page: Millimetres
    label: Millimetres
    grid: tuple[int, int]
    margins: Millimetres
    pitch: Millimetres
    module: float
    trim: bool = False

    def __post_init__(self) -> None:
        width, height = self.label
        if self.kind == "qr":
            needed = (QR_SIDE * self.module + ID_WIDTH + EDGE, QR_SIDE * self.module)
        else:
            needed = ((SPINE_BARS + 2 * SPINE_QUIET) * self.module, ABOVE_BARS + BAR_HEIGHT + BELOW_BARS)
        if not (self.module >= SMALLEST_MODULE and width >= needed[0] and height >= needed[1]):
            raise Unprintable(f"The labels of stock {self.name!r} are too small for their code.")
        if not (min(self.grid) >= 1 and self.pitch[0] >= width and self.pitch[1] >= height):
            raise Unprintable(f"The labels of stock {self.name!r} overlap.")
        self.fit((0, 0), 1)

    def check(self, label: Label | Spine) -> None:
        """Raise `Unprintable` if this stock cannot carry the label."""
        wanted, others = (Label, "spine labels") if self.kind == "qr" else (Spine, "QR labels")
        if not isinstance(label, wanted):
            raise Unprintable(f"Stock {self.name!r} does not take {others}. Please choose another stock.")
        if isinstance(label, Label):
            _text(self, label)

    @property
    def end(self) -> Millimetres:
        """Right and bottom edge of the last label."""
        left, top = self.place(self.capacity - 1)
        return left + self.label[0], top + self.label[1]

    @property
    def capacity(self) -> int:
        """How many labels are on a sheet."""
        return self.grid[0] * self.grid[1]

    def place(self, index: int) -> Millimetres:
        """Left and top edge of a label, counted from 0 in reading order."""
        row, column = divmod(index, self.grid[0])
        return self.margins[0] + column * self.pitch[0], self.margins[1] + row * self.pitch[1]

    def fit(self, offset_mm: Millimetres, scale: float) -> None:
        """Raise `Unprintable` if, so shifted and scaled, a label would not be wholly on the page."""
        for page, margin, end, shift in zip(self.page, self.margins, self.end, offset_mm, strict=True):
            if not (margin * scale + shift >= 0 and end * scale + shift <= page):
                raise Unprintable(
                    f"With an offset of {offset_mm[0]:g} and {offset_mm[1]:g} mm and a scale of {scale:g},"
                    f" labels of stock {self.name!r} would leave the page."
                    " Please measure its calibration page again."
                )


def _largest_module(width: float, height: float) -> float:
    """The module with which a QR code fills a label of this size: whole dots, and room for text."""
    room = min(height, width - ID_WIDTH - EDGE) / QR_SIDE
    return room // DOT * DOT


STOCKS: Mapping[str, Stock] = {
    # Avery L7160 and its many namesakes: 21 to an A4 sheet.
    "L7160": Stock(
        name="L7160",
        kind="qr",
        page=(210, 297),
        label=(63.5, 38.1),
        grid=(3, 7),
        margins=(7.2, 15.15),
        pitch=(66, 38.1),
        module=_largest_module(63.5, 38.1),
    ),
    # An A4 sheet of matt sticker without cuts. Five dots of a 300 dpi printer a narrow bar.
    "lto-spine": Stock(
        name="lto-spine",
        kind="code39",
        page=(210, 297),
        label=(79, 17),
        grid=(2, 15),
        margins=(26, 21),
        pitch=(79, 17),
        module=0.423,
        trim=True,
    ),
}


def sheet(
    labels: Sequence[Label | Spine],
    stock: Stock,
    *,
    start: int = 1,
    offset_mm: Millimetres = (0.0, 0.0),
    scale: float = 1.0,
) -> bytes:
    """The PDF of these labels, the same bytes for the same labels; print it at 100 %, "actual size".

    `start` is the first sticker still on the first sheet, counted from 1 in reading order. `offset_mm` shifts
    everything right and down; `scale` (0.9 to 1.1) enlarges it from the page's top left corner; both come
    from measuring the `calibration` page. Raises `Unprintable` for what cannot be printed, and
    `symbols.Unread` if a code drawn does not read back: then there is no PDF at all.
    """
    _judge(labels, stock, start)
    _judge_scale(scale)
    stock.fit(offset_mm, scale)
    file = BytesIO()
    canvas = _canvas(file, stock, f"Labels on {stock.name}")
    places: list[Label | Spine | None] = [None] * (start - 1) + list(labels)
    for first in range(0, len(places), stock.capacity):
        _begin_page(canvas, stock, offset_mm, scale)
        for index, label in enumerate(places[first : first + stock.capacity]):
            match label:
                case Label():
                    _draw_label(canvas, stock, label, stock.place(index))
                case Spine():
                    _draw_spine(canvas, stock, label, stock.place(index))
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def calibration(stock: Stock, *, offset_mm: Millimetres = (0.0, 0.0), scale: float = 1.0) -> bytes:
    """The PDF of one page for plain paper: every label's outline and number, two rulers, and what to do.

    With the offset and scale found, the page printed again shows whether they are right.
    """
    _judge_scale(scale)
    stock.fit(offset_mm, scale)
    file = BytesIO()
    canvas = _canvas(file, stock, f"Calibration page for {stock.name}")
    _begin_page(canvas, stock, offset_mm, scale)
    for index in range(stock.capacity):
        left, top = stock.place(index)
        canvas.rect(left, -top, stock.label[0], -stock.label[1])
        lettering.write(canvas, str(index + 1), left + 1.5, -top - 4, size=3.5, width=10)
    _draw_rulers(canvas, stock)
    for number, line in enumerate(_ADVICE.format(stock.name).splitlines()):
        lettering.write(canvas, line, 10, -6 - 3.5 * number, size=2.5, width=stock.page[0] - 20)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def _judge(labels: Sequence[Label | Spine], stock: Stock, start: int) -> None:
    """Raise `Unprintable` for what no sheet of this stock can be asked to do."""
    if not labels:
        raise Unprintable("There are no labels to print.")
    for label in labels:
        stock.check(label)
    if not 1 <= start <= stock.capacity:
        raise Unprintable(
            f"A sheet of stock {stock.name!r} has labels 1 to {stock.capacity}: it cannot start at {start}."
        )


def _judge_scale(scale: float) -> None:
    if not 0.9 <= scale <= 1.1:
        raise Unprintable(f"A scale of {scale:g} is outside 0.9 to 1.1. Please print at 100 % first.")


def _canvas(file: BytesIO, stock: Stock, title: str) -> Canvas:
    width, height = stock.page
    # `invariant` leaves out the time, so that the same labels give the same bytes. PDF 1.5 is the first
    # version that knows the map of Chinese characters which `lettering` names.
    canvas = Canvas(
        file, pagesize=(width * mm, height * mm), invariant=1, pageCompression=1, pdfVersion=(1, 5)
    )
    canvas.setTitle(title)
    canvas.setCreator("media-custody")
    # Viewers shrink pages to the printer's margins unless told not to.
    canvas.setViewerPreference("PrintScaling", "None")
    return canvas


def _begin_page(canvas: Canvas, stock: Stock, offset_mm: Millimetres, scale: float) -> None:
    """Rule the new page in millimetres from its top left corner, and draw the trim marks."""
    canvas.translate(offset_mm[0] * mm, (stock.page[1] - offset_mm[1]) * mm)
    canvas.scale(scale * mm, scale * mm)
    canvas.setLineWidth(HAIRLINE)
    if not stock.trim:
        return
    (left, top), (right, bottom) = stock.margins, stock.end
    for column in range(stock.grid[0]):
        x = left + column * stock.pitch[0]
        for edge in (x, x + stock.label[0]):
            canvas.line(edge, -top + 2, edge, -top + 7)
            canvas.line(edge, -bottom - 2, edge, -bottom - 7)
    for row in range(stock.grid[1]):
        y = top + row * stock.pitch[1]
        for edge in (y, y + stock.label[1]):
            canvas.line(left - 7, -edge, left - 2, -edge)
            canvas.line(right + 2, -edge, right + 7, -edge)


@dataclass(frozen=True)
class _Line:
    """A line of text beside a code, and the height that it takes."""

    text: str
    size: float
    height: float
    typed: bool = False


def _text(stock: Stock, label: Label) -> tuple[_Line, ...]:
    """What stands beside the label's code, from top to bottom. `Unprintable` where it has no room there."""
    width = stock.label[0] - QR_SIDE * stock.module - EDGE
    height = stock.label[1] - 2 * EDGE
    lines = []
    id_size, line_size = min(LARGE_ID_SIZE, width / 9 / COURIER_EM), LINE_SIZE
    if label.title:
        large = min(TITLE_SIZE, width / len(label.title) / COURIER_EM)
        lines.append(_Line(label.title, large, TITLE_LEADING * large, typed=True))
        id_size, line_size = min(ID_SIZE, 0.8 * large), min(LINE_SIZE, 0.9 * large)
    halves = (f"{half[:4]} {half[4:]}" for half in (label.id[:8], label.id[8:]))
    lines += [_Line(half, id_size, ID_LEADING * id_size, typed=True) for half in halves]
    lines += [_Line(line, line_size, LINE_LEADING * line_size) for line in label.lines]
    free = height - sum(line.height for line in lines)
    if free < 0:
        raise Unprintable(
            f"The label {label.id} has {len(label.lines)} lines of text, more than fit on {stock.name!r}."
        )
    return tuple(lines + _phone(label.phone, width, free, stock))


def _phone(phone: str, width: float, height: float, stock: Stock) -> list[_Line]:
    """Wrapped, and in smaller print if need be; but whole."""
    for size in PHONE_SIZES:
        lines = lettering.wrapped(phone, width / size)
        if lines is not None and len(lines) * LINE_LEADING * size <= height:
            return [_Line(line, size, LINE_LEADING * size) for line in lines]
    raise Unprintable(
        f"The finder's telephone {phone!r} cannot stand whole on stock {stock.name!r}, and is never cut. Give"
        " a shorter one (CUSTODY_FOUND_PHONE), or choose larger labels."
    )


def _draw_label(canvas: Canvas, stock: Stock, label: Label, place: Millimetres) -> None:
    """The code at the left, in the label's middle; beside it the words for people."""
    (left, top), height, module = place, stock.label[1], stock.module
    code = symbols.QR_SIDE * module
    quiet = symbols.QR_QUIET * module
    _draw_symbol(canvas, symbols.qr(label.url), (left + quiet, top + (height - code) / 2), (module, module))
    lines = _text(stock, label)
    text_left, width = left + QR_SIDE * module, stock.label[0] - QR_SIDE * module - EDGE
    bottom = top + (height - sum(line.height for line in lines)) / 2
    for line in lines:
        bottom += line.height
        if line.typed:
            canvas.setFont("Courier-Bold", line.size)
            canvas.drawString(text_left, -bottom + 0.3 * line.size, line.text)
        else:
            baseline = -bottom + 0.3 * line.size
            lettering.write(canvas, line.text, text_left, baseline, size=line.size, width=width + 1e-6)


def _draw_spine(canvas: Canvas, stock: Stock, spine: Spine, place: Millimetres) -> None:
    """The bars at the bottom; each character above its own bars, so that the quiet zones stay white."""
    (left, top), (width, height), module = place, stock.label, stock.module
    bars = left + (width - SPINE_BARS * module) / 2
    bars_top = top + height - BELOW_BARS - BAR_HEIGHT
    _draw_symbol(
        canvas, symbols.code39(spine.volser), (bars, bars_top), (module / symbols.BAR_UNITS, BAR_HEIGHT)
    )
    canvas.setFont("Helvetica-Bold", 3.6)
    character = (SPINE_BARS + 1) / (len(spine.volser) + 2)
    for number, letter in enumerate(spine.volser, 1):
        middle = (number + 0.5) * character - 0.5
        canvas.drawCentredString(bars + middle * module, -bars_top + 1.1, letter)


def _draw_symbol(canvas: Canvas, runs: list[symbols.Run], place: Millimetres, unit: Millimetres) -> None:
    """Draw the runs as one filled path, each of them one row high, from the symbol's top left corner.

    It goes straight into the content stream, in whole units under one matrix: through the canvas's own paths
    it took three times as long and as much room.
    """
    boxes = " ".join(map(_box, runs))
    canvas.addLiteral(f"q {unit[0]:.6f} 0 0 {-unit[1]:.6f} {place[0]:.6f} {-place[1]:.6f} cm {boxes} f Q")


@cache  # there are no more than 12,615 runs on a QR code's grid, and a label has over 200
def _box(run: symbols.Run) -> str:
    x, y, length = run
    return f"{x} {y} {length} 1 re"


def _draw_rulers(canvas: Canvas, stock: Stock) -> None:
    """A ruler across the page and one down, where the least of the outlines and numbers is in their way."""
    left, top = stock.place(stock.grid[1] // 2 * stock.grid[0])
    across = (stock.page[0] / 2, top + 0.8 * stock.label[1])
    down = (left + 0.7 * stock.label[0], stock.page[1] / 2)
    for middle, page, angle in zip((across, down), stock.page, (0, -90), strict=True):
        length = int(page - 30) // 10 * 10
        canvas.saveState()
        canvas.translate(middle[0], -middle[1])
        canvas.rotate(angle)
        canvas.translate(-length / 2, 0)
        canvas.line(0, 0, length, 0)
        canvas.setFont(lettering.LATIN, 2.6)
        for tick in range(length + 1):
            canvas.line(tick, 0, tick, 4 if tick % 10 == 0 else 3 if tick % 5 == 0 else 2)
            if tick % 10 == 0:
                canvas.drawCentredString(tick, 4.6, str(tick))
        canvas.restoreState()
