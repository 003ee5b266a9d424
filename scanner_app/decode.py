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
        """Whether no further pass is needed: a QR code at once, a Code 39 when seen twice."""
        return self.symbology == "qr" or self.seen > 1


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
    a stranger's code on the box, is left out and not counted. One text is one code, however often it
    stands in the picture.

    Raises Unreadable where `image` is no picture, is cut off or damaged, has more than 50 million pixels, or
    would take more than 300 MB. A picture without codes is an empty reading. What comes from others is read
    by `scanner_app.apart`.
    """
    begun = time.perf_counter()
    ms = 0.0
    found: dict[tuple[str, Symbology], Code] = {}
    for number, (reader, picture) in enumerate(_passes(_open(image)), start=1):
        once = {(code.text, code.symbology): code for code in reader(picture) if accept(code)}
        for key, code in once.items():
            before = found.get(key)
            found[key] = replace(before, passes=before.passes + code.passes) if before else code
        ms = (time.perf_counter() - begun) * 1000
        enough = want is not None and sum(code.settled for code in found.values()) >= want
        if enough or (ms > budget_ms and number >= _ALWAYS):
            break
    return Reading(tuple(found.values()), ms)


def libzbar() -> str | None:
    """Where libzbar was found, None where it is missing and zxing-cpp reads alone."""
    loaded = _zbar()
    return loaded[0] if loaded else None


# --- the photograph -------------------------------------------------------------------------------------


def _open(image: bytes | Image.Image) -> Image.Image:
    """The photograph in grey, upright, at least one pixel large."""
    if isinstance(image, bytes) and image.count(_SCAN) > _MOST_SCANS:
        raise Unreadable(TOO_LARGE)
    try:
        photo = image if isinstance(image, Image.Image) else Image.open(io.BytesIO(image), formats=_FORMATS)
        grey = _grey(photo)
    except UnidentifiedImageError:
        raise Unreadable(_HEIC if _is_heic(image) else _NO_PICTURE) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable(TOO_LARGE) from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's parsers raise anything at all for a broken file
        raise Unreadable("The picture arrived cut off or damaged: send it again.") from error
    if not all(grey.size):
        raise Unreadable("The picture is empty: take it again.")
    return grey


def _grey(photo: Image.Image) -> Image.Image:
    # Asked before a pixel is unpacked: some kilobytes of PNG can announce gigabytes.
    pixels = photo.width * photo.height
    moving = photo.format in {"PNG", "WEBP"} and getattr(photo, "n_frames", 1) > 1
    if pixels > _MOST_PIXELS or pixels * _COST.get(photo.format or "", _COST_ELSE) > _MOST_ROOM:
        raise Image.DecompressionBombError
    if max(photo.size) > _LONGEST_SIDE or moving:
        raise Image.DecompressionBombError
    if photo.format in {"JPEG", "MPO"}:
        photo.draft("L", photo.size)  # luminance straight out of the file
    photo.load()
    grey = photo if photo.mode == "L" and not photo.has_transparency_data else _in_bands(photo)
    grey.info = photo.info  # says which way is up
    return ImageOps.exif_transpose(grey)


def _in_bands(photo: Image.Image) -> Image.Image:
    """The grey of a picture made band by band: on the way a pixel may take ten times its room."""
    grey = Image.new("L", photo.size)
    for top in range(0, photo.height, _BAND):
        band = photo.crop((0, top, photo.width, min(top + _BAND, photo.height)))
        grey.paste(_grey_of(band), (0, top))
    return grey


def _grey_of(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I;16"):  # 16 bits a pixel; convert() would make all but black white
        return band.convert("I").point([value >> 8 for value in range(1 << 16)], "L")
    if band.has_transparency_data:
        white = Image.new("RGBA", band.size, "white")
        white.alpha_composite(band.convert("RGBA"))
        band = white
    return band.convert("L")


def _is_heic(image: bytes | Image.Image) -> bool:
    """By the file type box's brand (ISO/IEC 23008-12)."""
    brands = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return isinstance(image, bytes) and image[4:8] == b"ftyp" and image[8:12] in brands


FILE_MOST = 1 << 26
"""Bytes of a photograph's file: a PNG of 50 million pixels has less than so many."""
_FORMATS = ("JPEG", "PNG", "WEBP")  # not all that Pillow knows: some of it starts other programs
_MOST_PIXELS = 50_000_000
_MOST_ROOM = 300_000_000
"""Bytes that a picture may take while it is unpacked."""
_COST, _COST_ELSE = {"WEBP": 17}, 5
"""Bytes that a pixel takes then at the most, by the file's format. Measured: libwebp holds several copies."""
_BAND = 256
_LONGEST_SIDE = 16_000
_SCAN, _MOST_SCANS = b"\xff\xda", 100  # a progressive JPEG of many empty scans takes hours for a megabyte
_NO_PICTURE = "This file is no picture that can be read here: send a JPEG, PNG or WebP photograph."
_HEIC = (
    "This picture is in Apple's HEIC format, which cannot be read here. On the iPhone choose Settings, "
    "Camera, Formats, Most Compatible, and take it again."
)
TOO_LARGE = (
    f"The picture has more than {_MOST_PIXELS // 1_000_000} million pixels, or is built as no camera builds "
    "one, and takes too much memory: take it again at a lower resolution."
)


# --- the pictures made of it ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Picture:
    """The photograph or a copy of it, and the way back.

    `scale` is the photograph's pixels per pixel, `turned` the degrees counter-clockwise about the middle.
    """

    name: str
    image: Image.Image
    photo: tuple[int, int]
    scale: float = 1
    turned: int = 0

    def box(self, corners: Iterable[tuple[float, float]]) -> Box:
        """The upright box around these corners, in the photograph's pixels."""
        turn = radians(self.turned)
        across, down = [], []
        for x, y in corners:
            right = (x - self.image.width / 2) * self.scale
            below = (y - self.image.height / 2) * self.scale
            across.append(round(self.photo[0] / 2 + cos(turn) * right - sin(turn) * below))
            down.append(round(self.photo[1] / 2 + sin(turn) * right + cos(turn) * below))
        return min(across), min(down), max(across) - min(across), max(down) - min(down)


_Reader = Callable[[_Picture], list[Code]]


def _passes(photo: Image.Image) -> Iterator[tuple[_Reader, _Picture]]:
    """Readers and pictures in the order in which they are tried, each picture made when its turn comes."""
    middle = _fit(photo, _MIDDLE)
    yield _zbar_reads, _Picture("middle", middle, photo.size, photo.width / middle.width)
    yield _zxing_reads, _Picture("full", photo, photo.size)
    for reader, name, repair, degrees in _REPAIRS:
        image = repair(middle)
        # The same pixels shown twice to a reader would make it seem that two passes agree.
        if image is middle and not degrees:
            continue
        scale = photo.width / image.width
        if degrees:
            image = image.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=255)
        yield reader, _Picture(name, image, photo.size, scale, degrees)


def _fit(image: Image.Image, longest: int) -> Image.Image:
    """The image, made smaller where its longer side has more pixels than this."""
    factor = longest / max(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1)


def _as_it_is(middle: Image.Image) -> Image.Image:
    return middle


def _small(middle: Image.Image) -> Image.Image:
    """Fewer pixels: grain averages out."""
    return _fit(middle, _SMALL)


def _double(middle: Image.Image) -> Image.Image:
    """More pixels, where there are few: modules of one or two."""
    if max(middle.size) > _SMALL:
        return middle
    return middle.resize((middle.width * 2, middle.height * 2), Image.Resampling.BICUBIC)


def _sharp(middle: Image.Image) -> Image.Image:
    """Edges raised: out of focus, or moved."""
    return middle.filter(ImageFilter.UnsharpMask(4, 300, 0))


def _bright(middle: Image.Image) -> Image.Image:
    """Shadows opened: a label half in the dark."""
    return middle.point([round(255 * (value / 255) ** 0.4) for value in range(256)])


def _even(middle: Image.Image) -> Image.Image:
    """The light's slow changes taken away: glare, a lamp at one side."""
    radius = max(15, max(middle.size) // 25)
    flat = ImageChops.subtract(middle, middle.filter(ImageFilter.BoxBlur(radius)), 1, 128)
    return ImageOps.autocontrast(flat, cutoff=1)


def _soft_even(middle: Image.Image) -> Image.Image:
    """The same after a little blur, or the stretching raises the grain too."""
    return _even(middle.filter(ImageFilter.GaussianBlur(1)))


def _stark(middle: Image.Image) -> Image.Image:
    """Black and white by what surrounds each pixel: faint print, hard shadows."""
    radius = max(7, max(middle.size) // 50)
    local = ImageChops.subtract(middle, middle.filter(ImageFilter.BoxBlur(radius)), 1, 135)
    return local.point([0] * 128 + [255] * 128)


def _soft(middle: Image.Image) -> Image.Image:
    """Blurred: modules printed as dots, rings or outlines close up."""
    return middle.filter(ImageFilter.GaussianBlur(1.5))


# --- the two readers ------------------------------------------------------------------------------------


def _zbar_reads(picture: _Picture) -> list[Code]:
    loaded = _zbar()
    if not loaded:
        return []
    pyzbar = loaded[1]
    symbols = pyzbar.decode(
        (picture.image.tobytes(), *picture.image.size),
        [pyzbar.ZBarSymbol.QRCODE, pyzbar.ZBarSymbol.CODE39],
    )
    return [
        Code(
            symbol.data.decode(),
            "qr" if symbol.type == "QRCODE" else "code39",
            (f"pyzbar:{picture.name}",),
            picture.box(symbol.polygon),
        )
        for symbol in symbols
        # zbar guesses the character set of what is not ASCII, and often wrongly.
        if symbol.data.isascii()
    ]


def _zxing_reads(picture: _Picture) -> list[Code]:
    """What zxing-cpp finds.

    The formats are as narrow as can be: `QRCode` would read Micro QR into film grain, and `Code39` takes
    one six-character volser in fifteen for an Italian pharmacist's Code 32 and changes its text.
    """
    width, height = picture.image.size
    symbols = zxingcpp.read_barcodes(
        memoryview(picture.image.tobytes()).cast("B", (height, width)),
        formats=_KINDS,
        text_mode=zxingcpp.TextMode.Plain,
    )
    return [
        Code(
            symbol.text,
            "code39" if symbol.symbology == zxingcpp.BarcodeFormat.Code39 else "qr",
            (f"zxing-cpp:{picture.name}",),
            picture.box(
                (corner.x, corner.y)
                for corner in (
                    symbol.position.top_left,
                    symbol.position.top_right,
                    symbol.position.bottom_right,
                    symbol.position.bottom_left,
                )
            ),
        )
        for symbol in symbols
    ]


_KINDS = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2, zxingcpp.BarcodeFormat.Code39Std])


@cache
def _zbar() -> tuple[str, Any] | None:
    """Where libzbar is, and pyzbar around it.

    pyzbar itself asks find_library only, which on Apple silicon does not look where Homebrew installs
    (NaturalHistoryMuseum/pyzbar#131).
    """
    for path in (os.environ.get("CUSTODY_LIBZBAR"), find_library("zbar"), *_HOMEBREW):
        if path:
            try:
                library = cdll.LoadLibrary(path)
                zbar_library.load = lambda library=library: (library, [])
                return path, importlib.import_module("pyzbar.pyzbar")
            except (OSError, AttributeError):  # no such library, or one of another name
                continue
    return None


_HOMEBREW = ("/opt/homebrew/lib/libzbar.dylib", "/usr/local/lib/libzbar.dylib")
_MIDDLE, _SMALL = 1600, 1000  # pixels of the longer side
_ALWAYS = 2  # passes, whatever the time: each reader's first
# zxing-cpp's turns first, since it is several times quicker. Each pass has read pictures that none before
# it could; the tests keep one of each.
_REPAIRS: tuple[tuple[_Reader, str, Callable[[Image.Image], Image.Image], int], ...] = (
    (_zxing_reads, "small", _small, 0),
    (_zxing_reads, "bright", _bright, 0),
    (_zxing_reads, "sharp", _sharp, 0),
    (_zxing_reads, "soft even", _soft_even, 0),
    (_zxing_reads, "double", _double, 0),
    (_zxing_reads, "even", _even, 0),
    (_zxing_reads, "stark", _stark, 0),
    (_zxing_reads, "soft", _soft, 0),
    (_zxing_reads, "turned 15", _as_it_is, 15),
    (_zxing_reads, "turned -15", _as_it_is, -15),
    (_zxing_reads, "turned 30", _as_it_is, 30),
    (_zbar_reads, "even", _even, 0),
    (_zbar_reads, "stark", _stark, 0),
    (_zbar_reads, "soft", _soft, 0),
    (_zbar_reads, "turned 30", _as_it_is, 30),
)
