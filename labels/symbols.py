"""The two codes a label may carry, as runs of black, each read back before anyone gets to print it.

A symbol is a list of runs `(x, y, length)` on a grid, from its top left corner. For a QR code the grid is its
modules. For Code 39 it is a single row of quarters of the narrow bar, since IBM's wide bar is 2.75 narrow
ones. What is read back are these very runs, the ones that go onto the page, so nothing between the encoder
and the paper goes unseen; and the reader (zxing-cpp) is by other hands than the writers (qrcode, reportlab),
so that it does not share their mistakes.

Sources: ISO/IEC 18004 (QR), ISO/IEC 16388 (Code 39), IBM's library guides (wide to narrow 2.75 to 1).
"""

import re
from typing import Any

import qrcode
import zxingcpp
from qrcode.util import MODE_ALPHA_NUM, QRData
from reportlab.graphics.barcode.code39 import Standard39
from zxingcpp import BarcodeFormat, BarcodeFormats

Run = tuple[int, int, int]

QR_SIDE = 29
QR_QUIET = 4
BAR_UNITS = 4
WIDE_UNITS = 11
CODE39_QUIET = 10 * BAR_UNITS

_UNREAD = "The code drawn for {!r} does not read back. Nothing was printed; please report this."


class Unread(RuntimeError):  # noqa: N818 - what happened, in the word the house uses
    """A code was drawn that does not read back as its text: nothing may be printed of it."""


def qr(text: str) -> list[Run]:
    """QR version 3-M, 29 x 29 modules without quiet zone, of up to 61 of its alphanumeric characters.

    The mask is fixed: choosing the best of eight takes most of the time, and was read no better in
    synthetic photographs (150 of each). Raises `Unread` if it does not read back without any correction.
    """
    # qrcode 8.2 stops with `glog(0)` at a block of nothing but zeros. Version 3-M has one block, which
    # begins with mode and length: it is never all zeros.
    code: Any = qrcode.QRCode(version=3, error_correction=qrcode.ERROR_CORRECT_M, mask_pattern=3)
    code.add_data(QRData(text.encode("ascii"), mode=MODE_ALPHA_NUM), optimize=0)
    code.make(fit=False)
    # The rows in one string, with a white column between them, so that no run goes over a row's end.
    modules = b"\0".join(map(bytes, code.modules))
    columns = QR_SIDE + 1
    spans = map(re.Match.span, re.finditer(rb"\x01+", modules))
    runs = [(start % columns, start // columns, end - start) for start, end in spans]
    # zxing-cpp 3.1 knows a pure picture's code as QRCode only, not as the stricter QRCodeModel2.
    extra = _read_back(text, runs, (QR_SIDE, QR_SIDE), QR_QUIET, BarcodeFormat.QRCode)
    # UEC is the share of the error correction that was not needed: at 1 every module is right.
    if extra["UEC"] != 1:
        raise Unread(_UNREAD.format(text))
    return runs


def code39(text: str) -> list[Run]:
    """The bars of Code 39, with start and stop characters and without quiet zones or check digit.

    Raises `Unread` if the bars do not read back.
    """
    runs: list[Run] = []

    class Pen:
        """Stands where reportlab's barcode expects a canvas, and keeps the bars it draws."""

        def rect(self, x: float, y: float, width: float, height: float, **_: object) -> None:
            del y, height
            runs.append((int(x), 0, int(width)))

    code: Any = Standard39(
        text, barWidth=BAR_UNITS, ratio=WIDE_UNITS / BAR_UNITS, gap=BAR_UNITS, checksum=0, quiet=0
    )
    code.canv = Pen()
    code.draw()
    _read_back(text, runs, (code39_width(text), 1), CODE39_QUIET, BarcodeFormat.Code39)
    return runs


def code39_width(text: str) -> int:
    """The width of Code 39 for `text`, in quarters of the narrow bar, without quiet zones."""
    characters = len(text) + 2
    return characters * (6 * BAR_UNITS + 3 * WIDE_UNITS) + (characters - 1) * BAR_UNITS


def _read_back(text: str, runs: list[Run], size: tuple[int, int], quiet: int, kind: BarcodeFormat) -> Any:
    """What else zxing-cpp knows of the runs, painted one pixel a unit, if it reads them as `text`."""
    columns, rows = (side + 2 * quiet for side in size)
    picture = bytearray(b"\xff" * columns * rows)
    for x, y, length in runs:
        start = (quiet + y) * columns + quiet + x
        picture[start : start + length] = bytes(length)
    image = memoryview(picture).cast("B", (rows, columns))
    found = zxingcpp.read_barcodes(image, BarcodeFormats(kind), is_pure=True)
    if [code.text for code in found] != [text]:
        raise Unread(_UNREAD.format(text))
    return found[0].extra
