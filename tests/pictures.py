"""Labels, and photographs of them, drawn and damaged here; photographs of others, where they lie."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import qrcode
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from reportlab.graphics.barcode.code39 import Standard39

TAPE = "HTTPS://LABEL.EXAMPLE.ORG/M/7H2KQ9TX4WBN5RD8"
VOLSER = "ABC001L6"
PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"


def qr(text: str | bytes = TAPE, module: int = 4, *, outline: bool = False) -> Image.Image:
    """A QR code; with `outline`, as a designer prints it: each module a ring."""
    code = qrcode.QRCode(border=4, mask_pattern=2)
    code.add_data(text)
    matrix = code.get_matrix()
    label = Image.new("L", (len(matrix) * module,) * 2, 255)
    draw = ImageDraw.Draw(label)
    for y, row in enumerate(matrix):
        for x, dark in enumerate(row):
            if dark:
                square = (x * module, y * module, (x + 1) * module - 1, (y + 1) * module - 1)
                draw.rectangle(square, outline=0, fill=None if outline else 0)
    return label


def code39(text: str = VOLSER, narrow: int = 3) -> Image.Image:
    """A spine label of the proportions of an LTO cartridge's: ratio 2.75, quiet zones of ten bars."""
    bars = Standard39(text, checksum=0)
    bars.validate()
    bars.encode()
    pieces = [(piece in "bB", narrow * (2.75 if piece.isupper() else 1)) for piece in bars.decompose()]
    quiet = 10 * narrow
    label = Image.new("L", (round(sum(width for _, width in pieces)) + 2 * quiet, 80 + 2 * quiet), 255)
    draw, left = ImageDraw.Draw(label), float(quiet)
    for dark, width in pieces:
        if dark:
            draw.rectangle((round(left), quiet, round(left + width) - 1, quiet + 80), fill=0)
        left += width
    return label


def photo(
    label: Image.Image,
    size: tuple[int, int] = (640, 480),
    at: tuple[int, int] | None = None,
    *,
    turn: int = 0,
    shadow: float = 0,
    glare: float = 0,
    contrast: float = 1,
    light: int = 0,
    blur: float = 0,
    grain: int = 0,
) -> Image.Image:
    """A label on grey, turned; its left half in shadow; under a lamp; dim or faint; out of focus; grainy."""
    sheet, mask = Image.new("L", size, 150), Image.new("L", label.size, 255)
    label, mask = (image.rotate(turn, Image.Resampling.BICUBIC, expand=True) for image in (label, mask))
    x, y = at or ((size[0] - label.width) // 2, (size[1] - label.height) // 2)
    sheet.paste(label, (x, y), mask)
    if shadow:
        dark = sheet.crop((0, 0, x + label.width // 2, size[1]))
        sheet.paste(dark.point(lambda value: value * shadow), (0, 0))
    if glare:
        spot = ImageChops.invert(Image.radial_gradient("L")).resize((label.width * 2, label.height * 2))
        lamp = Image.new("L", size)
        lamp.paste(spot.point(lambda value: value * glare), (x - label.width // 3, y - label.height // 3))
        sheet = ImageChops.add(sheet.point(lambda value: value * 0.5), lamp)
    sheet = sheet.point(lambda value: value * contrast + light).filter(ImageFilter.GaussianBlur(blur))
    noise = Image.frombytes("L", size, random.Random(5).randbytes(size[0] * size[1]))
    return ImageChops.add(sheet, noise.point(lambda value: value * grain / 128), 1, -grain)


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that announces this size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
