"""Reads the codes in a photograph: QR on cases and labels, Code 39 on the spines of cartridges.

Two readers look at it, each as it sees best: zbar (by pyzbar) at no more than 1600 pixels, zxing-cpp at
full size. They fail on different pictures, so both are kept. What neither reads is shown to them again,
repaired for one kind of damage after the other, until enough codes are read or the time is used up.

A QR code checks and corrects itself. Code 39 has no check character, so a caller should believe one only
if it fits the label's pattern, is expected, and was `seen` twice or more.

libzbar is a library of the system (Debian: libzbar0, Homebrew: zbar). Where it is missing zxing-cpp reads
alone, and `libzbar()` tells.
"""

import importlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from ctypes import cdll
from ctypes.util import find_library
from dataclasses import dataclass, replace
from functools import cache
from math import cos, radians, sin
from typing import Any, Literal

import zxingcpp
from PIL import Image, ImageChops, ImageFilter, ImageOps, UnidentifiedImageError
from pyzbar import zbar_library

from custody.errors import Unreadable

Symbology = Literal["qr", "code39"]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Code:
    """One code and how it was read.

    `passes` names the passes that read this text, in order, as reader and picture: `zxing-cpp:sharp`.
    `box` is left, top, width and height in pixels of the photograph held upright (as its EXIF
    orientation says), as the first of these passes found it; zbar's is rough.
    """

    text: str
    symbology: Symbology
    passes: tuple[str, ...]
    box: Box

    @property
    def reader(self) -> str:
        """`pyzbar` or `zxing-cpp`: the one that read it first."""
        return self.passes[0].partition(":")[0]

    @property
    def seen(self) -> int:
        """The number of passes that read it, all alike."""
        return len(self.passes)

    @property
    def settled(self) -> bool:
        """Whether reading it once more would add nothing: a QR code at once, a Code 39 when seen twice."""
        return self.symbology == "qr" or self.seen >= _ALIKE


@dataclass(frozen=True, slots=True)
class Reading:
    """The codes of one photograph in the order in which they were read, and the milliseconds it took."""

    codes: tuple[Code, ...]
    ms: float


def read(
    image: bytes | Image.Image,
    *,
    want: int | None = None,
    budget_ms: float = 1500,
    accept: Callable[[Code], bool] = lambda _: True,
) -> Reading:
    """The codes in a photograph: the bytes of a JPEG, PNG or WebP file, or an opened picture.

    Stops once `want` codes are settled. With None every pass is made, for a shelf of tapes in one frame.
    After `budget_ms` no further pass begins, though each reader has its first. What `accept` turns down,
    a stranger's code on the box, is left out and not counted.

    Raises Unreadable where `image` is no picture, is cut off or damaged, or has more than 50 million
    pixels. A picture without codes is an empty reading.
    """
    begun = time.perf_counter()
    found: dict[tuple[str, Symbology], Code] = {}
    ms = 0.0
    for number, (reader, picture) in enumerate(_passes(_open(image)), start=1):
        for code in filter(accept, reader(picture)):
            before = found.get((code.text, code.symbology))
            # Two stickers alike, or one found twice, are one code: a pass counts once.
            if before is None:
                found[code.text, code.symbology] = code
            elif code.passes[0] not in before.passes:
                found[code.text, code.symbology] = replace(before, passes=before.passes + code.passes)
        ms = (time.perf_counter() - begun) * 1000
        enough = want is not None and sum(code.settled for code in found.values()) >= want
        if enough or (ms > budget_ms and number >= len(_FIRST)):
            break
    return Reading(tuple(found.values()), ms)


def libzbar() -> str | None:
    """Where libzbar was found, None where it is missing and zxing-cpp reads alone."""
    loaded = _zbar()
    return loaded[0] if loaded else None


# --- the photograph ---------------------------------------------------------------------------------------


def _open(image: bytes | Image.Image) -> Image.Image:
    """The photograph in grey, upright, on white where it was transparent."""
    if isinstance(image, bytes) and image[4:8] == b"ftyp" and image[8:12] in _HEIC:
        raise Unreadable(
            "This picture is in Apple's HEIC format, which cannot be read here. On the iPhone choose Settings, "
            "Camera, Formats, Most Compatible, and take it again."
        )
    try:
        photo = Image.open(io.BytesIO(image), formats=_FORMATS) if isinstance(image, bytes) else image
        pixels = photo.width * photo.height
        grey = _grey(photo) if 0 < pixels <= _MOST_PIXELS else None
    except UnidentifiedImageError:
        raise Unreadable("This file is no photograph: send a JPEG, PNG or WebP picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        grey, pixels = None, _MOST_PIXELS + 1
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise anything at all for a broken file
        raise Unreadable("The picture arrived cut off or damaged: send it again.") from error
    if not pixels:
        raise Unreadable("The picture is empty: take it again.")
    if grey is None:
        raise Unreadable(
            f"The picture has more than {_MOST_PIXELS // 1_000_000} million pixels: take it with a lower resolution."
        )
    return grey
