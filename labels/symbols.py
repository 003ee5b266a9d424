"""The two codes a label may carry, as runs of black, each read back before anyone gets to print it.

A symbol is a list of runs `(x, y, length)` on a grid, from its top left corner. For a QR code the grid is its
modules. For Code 39 it is a single row of quarters of the narrow bar, since IBM's wide bar is 2.75 narrow
ones. What is read back are these very runs, the ones that go onto the page, so nothing between the encoder
and the paper goes unseen; and the reader (zxing-cpp) is by other hands than the writers (qrcode, reportlab),
so that it does not share their mistakes.

Sources: ISO/IEC 18004 (QR), ISO/IEC 16388 (Code 39), IBM's library guides (wide to narrow 2.75 to 1).
"""

import re
from functools import cache
from typing import Any

import qrcode
import zxingcpp
from qrcode.base import rs_blocks
from qrcode.util import BitBuffer, create_bytes
from reportlab.graphics.barcode.code39 import Standard39
from zxingcpp import BarcodeFormat, BarcodeFormats

from labels.identity import SCHEME

Run = tuple[int, int, int]

QR_SIDE = 29
CODEWORDS = 44
QR_QUIET = 4
BAR_UNITS = 4
WIDE_UNITS = 11
CODE39_QUIET = 10 * BAR_UNITS

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_UNREAD = "The code drawn for {!r} does not read back. Nothing was printed; please report this."


class Unread(RuntimeError):  # noqa: N818 - what happened, in the word the house uses
    """A code was drawn that does not read back as its text: nothing may be printed of it."""


def qr(text: str) -> list[Run]:
    """QR version 3-M, 29 x 29 modules without quiet zone, of up to 61 of its alphanumeric characters.

    Or of `https://`, which is not among these, and up to 47 of them.

    The mask is fixed: choosing the best of eight takes most of the time, and was read no better in
    synthetic photographs (150 of each). Raises `Unread` if it does not read back without any correction.
    """
    blank, of_bit = _patterns()
    modules, bits = blank, _data(text)
    while bits:
        lowest = bits & -bits
        modules ^= of_bit[lowest.bit_length() - 1]
        bits ^= lowest
    # The rows in one string, with a white column between them, so that no run goes over a row's end.
    columns = QR_SIDE + 1
    drawn = f"{modules:0{QR_SIDE * columns}b}"
    spans = map(re.Match.span, re.finditer("1+", drawn))
    runs = [(start % columns, start // columns, end - start) for start, end in spans]
    # zxing-cpp 3.1 knows a pure picture's code as QRCode only, not as the stricter QRCodeModel2.
    extra = _read_back(text, runs, (QR_SIDE, QR_SIDE), QR_QUIET, BarcodeFormat.QRCode)
    # UEC is the share of the error correction that was not needed: at 1 every module is right.
    if extra["UEC"] != 1:
        raise Unread(_UNREAD.format(text))
    return runs


def _data(text: str) -> int:
    """The 44 data codewords of version 3-M as a number (ISO/IEC 18004, 7.4).

    `https://` is a segment of its own in byte mode, all else one in alphanumeric mode.
    """
    bits, length = 0, 0
    if text.startswith(SCHEME):
        bits = 0b0100 << 8 | len(SCHEME)
        bits = bits << 8 * len(SCHEME) | int.from_bytes(SCHEME.encode("ascii"))
        length = 12 + 8 * len(SCHEME)
    values = [_ALPHANUMERIC.index(character) for character in text.removeprefix(SCHEME)]
    bits, length = bits << 13 | 0b0010 << 9 | len(values), length + 13
    for pair in range(0, len(values) - 1, 2):
        bits, length = bits << 11 | 45 * values[pair] + values[pair + 1], length + 11
    if len(values) % 2:
        bits, length = bits << 6 | values[-1], length + 6
    assert length <= 8 * CODEWORDS, "this is longer than version 3-M can hold"
    end = min(4, 8 * CODEWORDS - length)  # the terminator, and then whole codewords
    length += end
    bits, length = bits << end + -length % 8, length + -length % 8
    for filler in range(CODEWORDS - length // 8):
        bits = bits << 8 | (0x11 if filler % 2 else 0xEC)
    return bits


@cache
def _patterns() -> tuple[int, list[int]]:
    """The modules where every data bit is 0, and those that each data bit, lowest first, turns over.

    At a fixed version and mask a QR code is an affine function of its data bits, since its error correction
    is linear. So `qrcode` draws each bit once, and a label takes a fifth of the time.
    """
    last, first = 1, 1 << 8 * CODEWORDS - 1
    base = _drawn(first)
    of_bit = [base ^ _drawn(first | 1 << bit) for bit in range(8 * CODEWORDS - 1)]
    # qrcode 8.2 stops with `glog(0)` at a block of nothing but zeros, so the first bit is never drawn alone.
    of_bit.append(_drawn(last) ^ _drawn(last | first))
    return base ^ of_bit[-1], of_bit


def _drawn(data: int) -> int:
    """What `qrcode` draws of these data codewords, row by row with a white column after each, as a number."""
    buffer = BitBuffer()
    for codeword in data.to_bytes(CODEWORDS, "big"):
        buffer.put(codeword, 8)
    code: Any = qrcode.QRCode(version=3, error_correction=qrcode.ERROR_CORRECT_M, mask_pattern=3)
    code.data_cache = create_bytes(buffer, rs_blocks(3, qrcode.ERROR_CORRECT_M))
    code.make(fit=False)
    return int("".join("".join("01"[bool(module)] for module in row) + "0" for row in code.modules), 2)


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
