"""The reader of photographs: pictures drawn here and damaged, photographs of others, and what is none."""

import contextlib
import io
import os
import random
import subprocess
import sys
from ctypes.util import find_library
from typing import Any

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import PHOTOS, TAPE, VOLSER, code39, file, photo, png, qr
from PIL import Image, ImageChops

from custody.errors import Unreadable
from scanner_app import decode

NO_HURRY = 60_000  # milliseconds, where a slow machine must not change what is read

needs_libzbar = pytest.mark.skipif(decode.libzbar() is None, reason="libzbar is not installed")


def texts(reading: decode.Reading) -> list[str]:
    return [code.text for code in reading.codes]


def refused(data: bytes | Image.Image) -> str:
    with pytest.raises(Unreadable) as caught:
        decode.read(data)
    return str(caught.value)


# --- what is read ---------------------------------------------------------------------------------------


@needs_libzbar
def test_a_qr_code_is_settled_by_the_first_pass() -> None:
    reading = decode.read(file(photo(qr(), at=(100, 200))), want=1)
    (code,) = reading.codes
    assert (code.text, code.symbology, code.reader) == (TAPE, "qr", "pyzbar")
    assert (code.passes, code.seen, code.settled) == (("pyzbar:middle",), 1, True)
    assert reading.ms > 0


@needs_libzbar
def test_a_code_39_is_settled_by_a_second_reader() -> None:
    (code,) = decode.read(photo(code39()), want=1).codes
    assert (code.text, code.symbology) == (VOLSER, "code39")
    assert (code.passes, code.seen, code.settled) == (("pyzbar:middle", "zxing-cpp:full"), 2, True)


def test_a_shelf_of_labels_in_one_frame() -> None:
    shelf = Image.new("L", (1400, 900), 150)
    wanted = {f"ABC{number:03}L6" for number in range(8)} | {f"{TAPE[:-1]}{number}" for number in range(4)}
    for number in range(8):
        shelf.paste(code39(f"ABC{number:03}L6"), (20 + 700 * (number % 2), 20 + 160 * (number // 2)))
    for number in range(4):
        shelf.paste(qr(f"{TAPE[:-1]}{number}"), (20 + 300 * number, 700))
    reading = decode.read(shelf)
    assert set(texts(reading)) == wanted
    assert all(code.settled for code in reading.codes)
    assert set(texts(decode.read(shelf, want=12))) == wanted


def test_one_text_is_one_code_however_often_it_stands_there() -> None:
    twins = photo(qr(), at=(20, 20))
    twins.paste(qr(), (300, 200))
    (code,) = decode.read(twins).codes
    assert len(set(code.passes)) == code.seen


@needs_libzbar
def test_what_is_not_accepted_is_left_out_and_does_not_end_the_search() -> None:
    both = photo(qr("HTTP://STRANGER.EXAMPLE"), at=(20, 20))
    both.paste(photo(qr(), (300, 300), shadow=0.05), (300, 150))

    def ours(code: decode.Code) -> bool:
        return code.text.startswith("HTTPS://LABEL.")

    (code,) = decode.read(both, want=1, accept=ours, budget_ms=NO_HURRY).codes
    assert code.text == TAPE
    assert code.passes[0] not in {"pyzbar:middle", "zxing-cpp:full"}


@pytest.mark.parametrize(
    ("orientation", "way_back"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_the_box_is_in_the_upright_photograph(orientation: int, way_back: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = photo(qr(), at=(100, 50)).transpose(way_back)
    near(decode.read(file(turned, "JPEG", exif=exif), want=1).codes[0], (100, 50, 148, 148))


def near(code: decode.Code, label: decode.Box) -> None:
    """The code's box lies in the label's, no more than its quiet zone of 4 modules inside."""
    (left, top, width, height), (x, y, wide, high) = code.box, label
    inside = (left - x, top - y, x + wide - left - width, y + high - top - height)
    assert all(0 <= margin <= 20 for margin in inside), (code.box, label)


def test_the_box_of_a_large_photograph_and_of_a_turned_pass() -> None:
    large = photo(qr(module=10), (2400, 1800), at=(1900, 300))
    box = decode.read(large, want=1).codes[0].box
    assert all(abs(found - drawn) < 10 for found, drawn in zip(box, (1940, 340, 290, 290), strict=True)), box
    label = code39(narrow=2)
    (code,) = decode.read(photo(label, (960, 720), at=(600, 20), turn=-43), want=1, budget_ms=NO_HURRY).codes
    assert "turned" in code.passes[0]
    left, top, width, height = code.box
    wide, high = label.rotate(-43, expand=True).size
    assert abs(left + width / 2 - (600 + wide / 2)) < 30, code.box
    assert abs(top + height / 2 - (20 + high / 2)) < 30, code.box


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F"])
def test_pictures_of_any_mode(mode: str) -> None:
    assert texts(decode.read(photo(qr()).convert(mode), want=1)) == [TAPE]


def test_a_scanner_with_sixteen_bits_a_pixel() -> None:
    deep = photo(qr(), contrast=0.5, light=40).convert("I").point(lambda value: value * 256).convert("I;16")
    assert texts(decode.read(file(deep), want=1)) == [TAPE]


def test_black_on_transparent_is_black_on_white() -> None:
    label = qr()
    clear = Image.new("LA", label.size, 0)
    clear.putalpha(ImageChops.invert(label))
    assert texts(decode.read(file(clear), want=1)) == [TAPE]


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 60}), ("WEBP", {}), ("MPO", {"save_all": True})]
)
def test_the_formats_of_phones(kind: str, options: dict[str, Any]) -> None:
    assert texts(decode.read(file(photo(qr()).convert("RGB"), kind, **options), want=1)) == [TAPE]


@pytest.mark.parametrize("volser", ["PP9RJ3", "KJWTLD", "XMWXGQ"])
def test_a_volser_of_six_characters_is_no_pharmacists_code(volser: str) -> None:
    # Each is a valid Code 32 too: A726982147 and the like.
    (code,) = decode.read(photo(code39(volser))).codes
    assert code.text == volser
    assert {name.partition(":")[0] for name in code.passes} >= {"zxing-cpp"}


def test_zbars_guess_at_a_character_set_is_not_believed() -> None:
    name = "ﾃﾞｻﾞｲﾝ"  # zbar: 蹬靼翌
    (code,) = decode.read(photo(qr(name.encode("shift-jis") + b"QR", 8))).codes
    assert (code.text, code.reader) == (name + "QR", "zxing-cpp")


def test_both_readers_spell_control_characters_alike() -> None:
    (code,) = decode.read(photo(qr(b"\x01\x10AD:SUB:;;"))).codes
    assert code.text == "\x01\x10AD:SUB:;;"


def test_no_reader_is_shown_the_same_pixels_twice() -> None:
    (code,) = decode.read(photo(code39(), (800, 600))).codes
    assert "zxing-cpp:full" in code.passes
    assert "zxing-cpp:small" not in code.passes


def test_micro_qr_is_none_of_ours() -> None:
    micro = Image.fromarray(
        zxingcpp.create_barcode("878", zxingcpp.BarcodeFormat.MicroQRCode).to_image(scale=6)
    )
    assert decode.read(photo(micro)).codes == ()


def test_grain_is_no_code() -> None:
    assert decode.read(Image.frombytes("L", (640, 480), random.Random(3).randbytes(640 * 480))).codes == ()


# --- repairs --------------------------------------------------------------------------------------------

# For each pass after the first two a picture that none before it reads.
REPAIRED: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "zxing-cpp:small": (qr(module=3, outline=True), {"size": (1280, 960), "turn": 20, "grain": 5}),
    "zxing-cpp:bright": (qr(module=3), {"shadow": 0.21, "contrast": 0.92, "blur": 1}),
    "zxing-cpp:sharp": (qr(module=6), {"size": (1280, 960), "blur": 3, "contrast": 0.23}),
    "zxing-cpp:soft even": (code39(), {"contrast": 0.12, "grain": 16}),
    "zxing-cpp:double": (qr(module=3, outline=True), {"turn": 14, "contrast": 0.3}),
    "zxing-cpp:even": (qr(module=5), {"contrast": 0.08, "grain": 2, "glare": 1}),
    "zxing-cpp:stark": (code39(narrow=4), {"shadow": 0.17, "contrast": 0.86, "grain": 8, "blur": 1}),
    "zxing-cpp:soft": (qr(module=6, outline=True), {"turn": 20, "grain": 15, "blur": 0.8}),
    "zxing-cpp:turned 15": (code39(narrow=2), {"turn": -18, "grain": 14}),
    "zxing-cpp:turned -15": (code39(narrow=4), {"turn": 22}),
    "zxing-cpp:turned 30": (code39(narrow=2), {"size": (960, 720), "turn": -43, "grain": 16}),
    "pyzbar:even": (code39(narrow=4), {"size": (960, 720), "shadow": 0.18, "contrast": 0.4, "blur": 2}),
    "pyzbar:stark": (code39(), {"size": (960, 720), "shadow": 0.3, "contrast": 0.61, "grain": 8, "turn": 10}),
    "pyzbar:soft": (code39(narrow=4), {"size": (960, 720), "shadow": 0.15, "contrast": 0.63, "grain": 8}),
    "pyzbar:turned 30": (code39(narrow=4), {"turn": -35, "contrast": 0.15}),
}


@needs_libzbar
@pytest.mark.parametrize("name", REPAIRED)
def test_each_repair_reads_what_nothing_before_it_could(name: str) -> None:
    label, damage = REPAIRED[name]
    reading = decode.read(photo(label, **damage), want=1, budget_ms=NO_HURRY)
    assert [code.passes[0] for code in reading.codes] == [name]
    assert texts(reading)[0] in {TAPE, VOLSER}


def test_every_repair_is_shown_to_matter() -> None:
    readers = {"_zxing_reads": "zxing-cpp", "_zbar_reads": "pyzbar"}
    assert set(REPAIRED) == {f"{readers[reader.__name__]}:{name}" for reader, name, *_ in decode._REPAIRS}


@needs_libzbar
def test_when_the_time_is_up_each_reader_has_had_one_look() -> None:
    dim = photo(qr(module=6), (1280, 960), blur=3.0, contrast=0.23)
    assert texts(decode.read(dim, want=1, budget_ms=NO_HURRY)) == [TAPE]
    assert texts(decode.read(dim, want=1, budget_ms=0)) == []
    (code,) = decode.read(photo(code39()), budget_ms=0).codes
    assert code.passes == ("pyzbar:middle", "zxing-cpp:full")


# --- what is no photograph ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "This file is no picture"),
        (b"volser,title\nABC001L6,Payroll\n", "This file is no picture"),
        (b"%PDF-1.7\n", "This file is no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "This file is no picture"),
        (file(photo(qr()), "TIFF"), "This file is no picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "Apple's HEIC format"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isom" + bytes(99), "This file is no picture"),
        (png(7100, 7100), "more than 50 million pixels"),
        (png(12_000, 9_000), "more than 50 million pixels"),
        (png(60_000, 60_000), "more than 50 million pixels"),
        (png(640, 480), "cut off or damaged"),
        (png(0, 480), "This file is no picture"),
        (Image.new("L", (0, 5)), "The picture is empty"),
        (Image.new("L", (7100, 7100)), "more than 50 million pixels"),
    ],
    ids=range(14),
)
def test_what_is_no_photograph_is_refused_in_words(data: bytes | Image.Image, sentence: str) -> None:
    assert sentence in refused(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photograph_cut_off_is_refused_wherever_it_is_cut(kind: str) -> None:
    whole = file(photo(qr(), grain=8), kind)
    for cut in (20, 100, len(whole) // 2, len(whole) * 9 // 10):
        assert refused(whole[:cut]).startswith(("The picture arrived cut off", "This file is no picture"))


SMALL = {kind: file(qr(module=2), kind) for kind in ("PNG", "JPEG", "WEBP")}


@given(st.binary(max_size=300))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        decode.read(data, budget_ms=0)


@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6),
    st.integers(0, 40),
)
@pytest.mark.filterwarnings("ignore")  # Pillow's, about what is wrong inside
def test_a_picture_with_flipped_bytes_is_read_or_refused(
    kind: str, flips: list[tuple[int, int]], lost: int
) -> None:
    data = bytearray(SMALL[kind])
    for place, value in flips:
        data[place % len(data)] = value
    with contextlib.suppress(Unreadable):
        decode.read(bytes(data[: len(data) - lost]), budget_ms=0)


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_pictures_of_any_size(width: int, height: int, dice: random.Random) -> None:
    assert decode.read(Image.frombytes("L", (width, height), dice.randbytes(width * height))).codes == ()


def test_a_picture_of_one_line() -> None:
    assert decode.read(Image.new("L", (16_000, 1))).codes == ()


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.new("L", (1, 20_000)), "PNG"),
        saved(Image.new("L", (20_000, 1)), "PNG"),
        saved(Image.new("RGB", (4_300, 4_200)), "WEBP"),
        saved(Image.new("L", (9, 9)), "PNG", save_all=True, append_images=[Image.new("L", (9, 9), 255)]),
        saved(Image.new("L", (9, 9)), "JPEG") + b"\xff\xda" * 101,
    ],
    ids=["tall", "wide", "several copies", "moving", "scans"],
)
def test_a_picture_as_no_camera_builds_one_is_not_unpacked(data: bytes) -> None:
    """Some kilobytes of each take a gigabyte, or hours."""
    with pytest.raises(Unreadable, match="as no camera builds one"):
        decode.read(data)


# --- libzbar --------------------------------------------------------------------------------------------

PROBE = """
import ctypes.util, sys
find, hidden = ctypes.util.find_library, sys.argv[1] == "hidden"
ctypes.util.find_library = lambda name: None if hidden else find(name)
from scanner_app import decode
reading = decode.read(sys.stdin.buffer.read(), want=1, budget_ms=60_000)
print(decode.libzbar(), [(code.text, code.reader, code.settled) for code in reading.codes])
"""


def probe(system: str, variable: str, label: Image.Image) -> str:
    """What another Python says, whose system has no libzbar if `hidden`."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, system],
        input=file(photo(label)),
        env=os.environ | {"CUSTODY_LIBZBAR": variable},
        capture_output=True,
        check=True,
    )
    return run.stdout.decode().strip()


@pytest.mark.parametrize(("label", "text"), [(qr(), TAPE), (code39(), VOLSER)], ids=["qr", "code39"])
def test_without_libzbar_zxing_carries_on(label: Image.Image, text: str) -> None:
    assert probe("hidden", "", label) == f"None [('{text}', 'zxing-cpp', True)]"


@needs_libzbar
def test_libzbar_is_looked_for_where_the_variable_says() -> None:
    assert (
        probe("hidden", find_library("zbar") or "", qr())
        == f"{find_library('zbar')} [('{TAPE}', 'pyzbar', True)]"
    )


@needs_libzbar
@pytest.mark.parametrize("wrong", ["/nowhere/libzbar.so", __file__, find_library("c")])
def test_a_wrong_variable_is_passed_over(wrong: str) -> None:
    assert probe("", wrong, qr()) == f"{find_library('zbar')} [('{TAPE}', 'pyzbar', True)]"


# --- photographs of others ------------------------------------------------------------------------------

# In these pictures stands a second code that their labels do not tell of; the last label lacks a letter,
# as both readers find.
BESIDE = {
    "code39-3/02": "001EC947D49B",
    "code39-3/08": "001EC9476B0A",
    "qrcode-2/16": "[内側QRコード]\n\n*ダブルQR*\nhttp://d-qr.net/ex/",
    "qrcode-2/13": "The 2005 USGS aerial photography of the Washington Monument is censored.",
}


@needs_libzbar
@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}")
def test_photographs_of_others() -> None:
    pictures = sorted(PHOTOS.glob("*/*.png"))
    unread, misread = [], []
    for picture in pictures:
        name = f"{picture.parent.name}/{picture.stem}"
        label = picture.with_suffix(".txt").read_bytes().decode().replace("\r\n", "\n").strip()
        found = [
            text.replace("\r\n", "\n").strip()
            for text in texts(decode.read(picture.read_bytes(), want=1, budget_ms=NO_HURRY))
        ]
        misread += [(name, text) for text in found if text not in {label, BESIDE.get(name)}]
        unread += [] if found else [name]
    assert misread == []
    # All 76 were read when this was written.
    assert len(unread) <= len(pictures) * 0.04, unread
