"""What comes out of the printer: rendered, measured and read again by two readers."""

import ctypes
import re
import zlib
from dataclasses import replace
from hashlib import shake_128
from itertools import count, pairwise
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pypdfium2.raw import FPDF_PAGEOBJ_PATH, FPDF_PAGEOBJ_TEXT, FPDFTextObj_GetFontSize
from pyzbar import pyzbar

from labels import identity
from labels.sheet import STOCKS, Label, Spine, Stock, Unprintable, calibration, sheet

QR, SPINES = STOCKS["L7160"], STOCKS["lto-spine"]
CODES = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2, zxingcpp.BarcodeFormat.Code39])
LINES = ("ORC001L8", "中環總行 3 樓機房 Room 3F, behind the door", "W" * 80)
STROKE = 0.21  # pdfium counts a line's width into its bounds

Box = tuple[float, float, float, float]


def label(number: int, *lines: str) -> Label:
    draws = (shake_128(f"{number} {draw}".encode()).digest(15) for draw in count())
    drawn = identity.draw(lambda _: next(draws))
    return Label(drawn, identity.url("labels.example.gov.hk", "M", drawn), lines)


def labels(stock: Stock, number: int) -> list[Label | Spine]:
    return [label(k, *LINES) if stock is QR else Spine(f"ORC{k:03}L8") for k in range(number)]


def said(thing: Label | Spine) -> str:
    return thing.url if isinstance(thing, Label) else thing.volser


def rendered(pdf: bytes, dpi: int) -> list[Image.Image]:
    return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in pypdfium2.PdfDocument(pdf)]


def part(page: Image.Image, box: Box) -> Image.Image:
    """What is inside a box in mm, on a rendered A4 page."""
    left, top, right, bottom = (round(side * page.width / 210) for side in box)
    return page.crop((left, top, right, bottom))


def cut(page: Image.Image, stock: Stock, place: int) -> Image.Image:
    """One sticker, peeled off the rendered page."""
    (left, top), (width, height) = stock.place(place), stock.label
    return part(page, (left, top, left + width, top + height))


def is_white(image: Image.Image) -> bool:
    return image.getextrema() == (255, 255)


def shapes(pdf: bytes) -> list[Box]:
    """Left, top, right and bottom of every path on the first page, in mm from its top left corner."""
    page = pypdfium2.PdfDocument(pdf)[0]
    found = []
    for path in page.get_objects(filter=[FPDF_PAGEOBJ_PATH]):
        left, bottom, right, top = path.get_bounds()
        height = page.get_height()
        found.append(tuple(25.4 / 72 * side for side in (left, height - top, right, height - bottom)))
    return found


def contents(pdf: bytes) -> bytes:
    """What the pages draw, in PDF's own words."""
    streams = re.findall(rb"stream\n(.+?)endstream", pdf, re.DOTALL)
    return b"".join(map(zlib.decompress, streams))


@pytest.mark.parametrize("dpi", [300, 203])
@pytest.mark.parametrize("stock", [QR, SPINES])
def test_every_label_is_read_from_whole_pages(stock: Stock, dpi: int) -> None:
    things = labels(stock, stock.capacity + 5)
    first, second = rendered(sheet(things, stock), dpi)
    assert sorted(c.text for c in zxingcpp.read_barcodes(first, CODES)) == sorted(map(said, things[:-5]))
    assert sorted(c.text for c in zxingcpp.read_barcodes(second, CODES)) == sorted(map(said, things[-5:]))


@pytest.mark.parametrize("dpi", [300, 203])
@pytest.mark.parametrize(
    "host", ["m.example", "custody.example-bank.gov.hks", "custody-labels.example-bank.gov.hk"]
)
def test_both_readers_read_either_spelling_of_an_address(host: str, dpi: int) -> None:
    drawn = [label(number).id for number in range(QR.capacity)]
    urls = [identity.url(host, "MCSL"[number % 4], name) for number, name in enumerate(drawn)]
    (page,) = rendered(sheet([Label(n, url) for n, url in zip(drawn, urls, strict=True)], QR), dpi)
    for place, url in enumerate(urls):
        sticker = cut(page, QR, place)
        assert [c.data.decode() for c in pyzbar.decode(sticker, [pyzbar.ZBarSymbol.QRCODE])] == [url]
        assert [c.text for c in zxingcpp.read_barcodes(sticker, CODES)] == [url]
        assert identity.read(url) == ("MCSL"[place % 4], drawn[place])


@pytest.mark.parametrize("dpi", [300, 203])
@pytest.mark.parametrize("stock", [QR, SPINES])
def test_every_label_is_read_on_its_sticker(stock: Stock, dpi: int) -> None:
    things = labels(stock, stock.capacity)
    (page,) = rendered(sheet(things, stock), dpi)
    symbols = [pyzbar.ZBarSymbol.QRCODE, pyzbar.ZBarSymbol.CODE39]
    for place, thing in enumerate(things):
        sticker = cut(page, stock, place)
        assert [c.data.decode() for c in pyzbar.decode(sticker, symbols)] == [said(thing)]
        assert [c.text for c in zxingcpp.read_barcodes(sticker, CODES)] == [said(thing)]


@pytest.mark.parametrize("start", [1, 2, 4, 21])
def test_a_used_sheet_starts_at_its_first_sticker_left(start: int) -> None:
    things = [label(1), label(2)]
    pages = rendered(sheet(things, QR, start=start), 203)
    stickers = [cut(page, QR, place) for page in pages for place in range(QR.capacity)]
    read = [[c.text for c in zxingcpp.read_barcodes(sticker, CODES)] for sticker in stickers]
    assert read[start - 1 : start + 1] == [[said(thing)] for thing in things]
    assert all(is_white(s) for k, s in enumerate(stickers) if k not in {start - 1, start})
    assert len(pages) == (1 if start < 21 else 2)


@pytest.mark.parametrize("place", [0, 10, 20])
def test_nothing_of_a_label_comes_near_its_edge_or_its_code(place: int) -> None:
    (page,) = rendered(sheet([label(1, *LINES, "four", "five")], QR, start=place + 1), 600)
    ink = ImageOps.invert(page).getbbox()
    assert ink is not None
    left, top, right, bottom = (side * 210 / page.width for side in ink)
    x, y = QR.place(place)
    assert left == pytest.approx(x + 4 * QR.module, abs=0.05)
    assert y + 2.5 <= top < bottom <= y + QR.label[1] - 2.5
    assert right <= x + QR.label[0] - 2.5 + 0.05
    code_right, quiet_right = x + 33 * QR.module, x + 37 * QR.module
    assert is_white(part(page, (code_right + 0.05, y, quiet_right - 0.05, y + QR.label[1])))


def test_qr_codes_have_their_exact_size_and_place() -> None:
    found = shapes(sheet([label(k) for k in range(QR.capacity)], QR))
    side = 29 * QR.module
    assert side == pytest.approx(29.464)
    for place, box in enumerate(found):
        left, top = QR.place(place)
        top += (QR.label[1] - side) / 2
        left += 4 * QR.module
        assert box == pytest.approx((left, top, left + side, top + side), abs=0.001)
    assert len(found) == QR.capacity


def test_spine_labels_have_ibms_dimensions() -> None:
    pdf = sheet(labels(SPINES, 30), SPINES)
    codes = [box for box in shapes(pdf) if box[2] - box[0] > 50]
    assert len(codes) == 30
    for place, (left, top, right, bottom) in enumerate(codes):
        x, y = SPINES.place(place)
        assert right - left == pytest.approx((10 * 6 + 10 * 3 * 2.75 + 9) * 0.423, abs=0.001)
        assert bottom - top >= 11.1
        assert y < top < bottom < y + 17
        assert min(left - x, x + 79 - right) >= 10 * 0.423
    # Quarters of the narrow bar, 0.423 mm: narrow ones of four, wide ones of eleven.
    units = re.findall(rb"q ([\d.]+) 0 0 -11\.2\d* [-\d. ]+ cm ([\d re]+) f Q", contents(pdf))
    assert len(units) == 30
    assert {float(unit) for unit, _ in units} == {0.423 / 4}
    assert {width for _, bars in units for width in re.findall(rb"(\d+) 1 re", bars)} == {b"4", b"11"}


def test_offset_and_scale_move_everything_as_measured() -> None:
    (plain,) = shapes(sheet([label(1)], QR))
    (moved,) = shapes(sheet([label(1)], QR, offset_mm=(1.5, -2), scale=1.02))
    shift = (1.5, -2, 1.5, -2)
    assert moved == pytest.approx(
        [1.02 * side + by for side, by in zip(plain, shift, strict=True)], abs=0.001
    )


def test_words_can_be_read_in_the_file() -> None:
    text = (
        pypdfium2.PdfDocument(sheet([label(1, "ORC001L8", "中環總行 Room 3")], QR))[0]
        .get_textpage()
        .get_text_bounded()
    )
    written = label(1).id
    groups = [written[k : k + 4] for k in range(0, 16, 4)]
    assert text.split() == [*groups, "ORC001L8", "中環總行", "Room", "3"]


def sizes(pdf: bytes) -> dict[str, float]:
    """Each run of text on the first page, and its letters' size in mm."""
    page = pypdfium2.PdfDocument(pdf)[0]
    textpage = page.get_textpage()
    found = {}
    for run in page.get_objects(filter=[FPDF_PAGEOBJ_TEXT]):
        left, bottom, right, top = run.get_bounds()
        said = textpage.get_text_bounded(left, bottom, right, top).strip()
        size = ctypes.c_float()
        assert FPDFTextObj_GetFontSize(run.raw, size)
        found[said] = size.value
    return found


@pytest.mark.parametrize("title", ["ORC001L8", "K-7", "S-10482", "QSD121S", "A", "CTAPE-00001-ABCD"])
def test_what_people_call_it_is_the_large_line_and_the_id_the_small_one(title: str) -> None:
    thing = label(1)
    pdf = sheet([replace(thing, title=title, lines=("LTO-8", "TOWER"))], QR)
    said = sizes(pdf)
    assert said[title] == max(said.values())
    assert said[f"{thing.id[:4]} {thing.id[4:8]}"] == said[f"{thing.id[8:12]} {thing.id[12:]}"] < said[title]
    alone = sizes(sheet([thing], QR))
    assert alone[f"{thing.id[:4]} {thing.id[4:8]}"] == pytest.approx(4.33, abs=0.1), "it is all there is"


@pytest.mark.parametrize("stock", [stock for stock in STOCKS.values() if stock.kind == "qr"])
def test_a_code_fills_the_height_that_the_stock_has(stock: Stock) -> None:
    dot = 25.4 / 300
    assert (stock.module / dot) == pytest.approx(round(stock.module / dot)), "whole dots of a 300 dpi printer"
    with pytest.raises(Unprintable, match="too small for their code"):
        replace(stock, module=stock.module + dot)


@given(st.text("0123456789+ ()", max_size=90), st.sampled_from(["K-1", "K-123456789"]))
def test_a_finders_telephone_is_printed_whole_or_refused(phone: str, title: str) -> None:
    thing = replace(label(1), title=title, lines=("CASE", "TOWER"), phone=phone)
    try:
        pdf = sheet([thing], QR)
    except Unprintable as problem:
        assert "is never cut" in str(problem)  # noqa: PT017 - either outcome is right
        assert len(phone) > 20
        return
    text = "".join(pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_bounded().split())
    assert "".join(phone.split()) in text


def test_a_telephone_is_wrapped_before_it_is_shrunk_and_shrunk_before_it_is_refused() -> None:
    def fits(phone: str) -> dict[str, float]:
        return sizes(sheet([replace(label(1), title="K-1", lines=("CASE",), phone=phone)], QR))

    assert fits("+852 2867 0000")["+852 2867 0000"] == pytest.approx(2.9)
    assert {"+852 2867 0000", "(day and night)"} <= set(fits("+852 2867 0000 (day and night)"))
    assert 2 <= fits("+85228670000123456")["+85228670000123456"] < 2.9
    for phone in ("+852286700001234567890", "+852 \u0662\u0661", "1 " * 200):
        with pytest.raises(Unprintable, match="cannot stand whole on stock 'L7160', and is never cut"):
            fits(phone)


def test_chinese_is_mapped_by_its_own_font() -> None:
    pdf = sheet([label(1, "中環")], QR)
    assert b"/Encoding /UniCNS-UTF16-H" in pdf
    assert b"UniGB" not in pdf
    assert b"LabelChinese" not in sheet([label(1, "Central")], QR)


def test_the_same_labels_give_the_same_file() -> None:
    things = labels(QR, 3)
    pdf = sheet(things, QR)
    assert sheet(things, QR) == pdf
    document = pypdfium2.PdfDocument(pdf)
    assert document.get_metadata_value("Title") == "Labels on L7160"
    assert document.get_metadata_value("CreationDate").startswith("D:2000")
    assert b"/PrintScaling /None" in pdf


@pytest.mark.parametrize("stock", STOCKS.values())
def test_the_calibration_page_shows_every_sticker_and_two_true_rulers(stock: Stock) -> None:
    pdf = calibration(stock, offset_mm=(0.5, 1))
    assert len(pypdfium2.PdfDocument(pdf)) == 1
    found = shapes(pdf)
    for place in range(stock.capacity):
        left, top = stock.place(place)
        outline = (left + 0.5, top + 1, left + 0.5 + stock.label[0], top + 1 + stock.label[1])
        assert any(box == pytest.approx(outline, abs=STROKE) for box in found)
    sizes = [(right - left, bottom - top) for left, top, right, bottom in found]
    assert any(size == pytest.approx((180, 0), abs=STROKE) for size in sizes)
    assert any(size == pytest.approx((0, 260), abs=STROKE) for size in sizes)
    text = pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_bounded()
    assert {str(number) for number in range(1, stock.capacity + 1)} <= set(text.split())
    assert stock.name in text


def test_ten_millimetres_on_the_ruler_are_ten() -> None:
    lines = [box for box in shapes(calibration(QR)) if box[3] - box[1] == pytest.approx(4, abs=STROKE)]
    ticks = sorted((left + right) / 2 for left, _, right, _ in lines)
    assert len(ticks) == 19
    assert [b - a for a, b in pairwise(ticks)] == pytest.approx([10] * 18, abs=0.001)


def test_stickers_lie_where_the_makers_sheet_has_them() -> None:
    assert (QR.place(0), QR.label, QR.capacity) == ((7.2, 15.15), (63.5, 38.1), 21)
    assert QR.end == pytest.approx((202.7, 281.85))
    assert (SPINES.label, SPINES.end) == ((79, 17), (184, 276))


@pytest.mark.parametrize("stock", STOCKS.values())
def test_stickers_lie_apart_and_on_the_page(stock: Stock) -> None:
    boxes = [
        (x, y, x + stock.label[0], y + stock.label[1]) for x, y in map(stock.place, range(stock.capacity))
    ]
    assert all(x >= 0 and y >= 0 and r <= stock.page[0] and b <= stock.page[1] for x, y, r, b in boxes)
    near = 1e-9
    for k, one in enumerate(boxes):
        for two in boxes[:k]:
            apart = one[0] >= two[2] - near or two[0] >= one[2] - near or one[1] >= two[3] - near
            assert apart


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pitch": (63, 38.1)}, "overlap"),
        ({"pitch": (66, 38)}, "overlap"),
        ({"grid": (0, 7)}, "overlap"),
        ({"grid": (4, 7)}, "leave the page"),
        ({"margins": (-1, 15)}, "leave the page"),
        ({"margins": (7.2, float("nan"))}, "leave the page"),
        ({"module": 0.41}, "too small"),
        ({"module": 1.1}, "too small"),
        ({"label": (38.1, 38.1)}, "too small"),
        ({"kind": "code39", "label": (63.5, 38.1), "module": 0.423}, "too small"),
    ],
)
def test_a_stock_that_cannot_be_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Unprintable, match=why):
        replace(QR, **change)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"labels": []}, "no labels"),
        ({"stock": SPINES}, "does not take QR labels"),
        ({"labels": [Spine("ORC001L8")]}, "does not take spine labels"),
        ({"start": 0}, "labels 1 to 21: it cannot start at 0"),
        ({"start": 22}, "cannot start at 22"),
        ({"offset_mm": (-7.3, 0)}, "leave the page"),
        ({"offset_mm": (0, 15.2)}, "leave the page"),
        ({"offset_mm": (0, float("nan"))}, "leave the page"),
        ({"scale": 1.06}, "leave the page"),
        ({"scale": 0.5}, "outside 0.9 to 1.1"),
        ({"scale": float("nan")}, "outside 0.9 to 1.1"),
        ({"labels": [label(1, *"123456789")]}, "9 lines of text, more than fit"),
    ],
)
def test_what_cannot_be_printed_is_refused_with_the_reason(arguments: dict[str, Any], why: str) -> None:
    asked: dict[str, Any] = {"labels": [label(1)], "stock": QR} | arguments
    with pytest.raises(Unprintable, match=why):
        sheet(**asked)


def test_a_label_whose_code_leads_elsewhere_is_refused() -> None:
    one, two = label(1), label(2)
    longer = f"https://{'X' * 29}/M/{one.id}"
    mixed = one.url.replace("https", "Https")
    elsewhere = f"HTTPS://LABELS.EXAMPLE/X/{one.id}"
    for url in (two.url, one.url.lower(), mixed, one.url + " ", one.url + "/", longer, elsewhere, one.id):
        with pytest.raises(Unprintable, match="is not the address of the label"):
            Label(one.id, url)
    assert Label(one.id, one.url.upper()), "printed before, it is printed again as it was"


@pytest.mark.parametrize(
    "volser", ["ORC001L1", "000000L9", "ABCDEFLA", "ORC001LT", "ORC001M8", "CLNU01L1", "CLN001CU"]
)
def test_volsers_of_every_generation_are_taken(volser: str) -> None:
    assert Spine(volser).volser == volser


@pytest.mark.parametrize(
    "volser",
    [
        "",
        "ORC001",
        "orc001l8",
        "ORC001L0",
        "ORC001M7",
        "ORC001CU",
        "ORC0001L8",
        "ORC-01L8",
        "ORC001L8\n",
        "ORC\uff10\uff10\uff11L8",
    ],
)
def test_other_volsers_are_refused(volser: str) -> None:
    with pytest.raises(Unprintable, match="no volser for an LTO spine label"):
        Spine(volser)
