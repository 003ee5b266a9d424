"""No label leaves unread: a code drawn wrong, by whoever's mistake, is never handed out."""

from collections.abc import Callable
from typing import Any

import pytest
import qrcode
from hypothesis import given
from hypothesis import strategies as st
from qrcode.util import MODE_8BIT_BYTE, MODE_ALPHA_NUM, QRData
from reportlab.graphics.barcode import code39

from labels import symbols
from labels.sheet import STOCKS, Spine, sheet

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
VOLSER = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8)


SMALL = st.text(ALPHANUMERIC, max_size=47).map(lambda rest: f"https://{rest}")


@given(st.text(ALPHANUMERIC, min_size=1, max_size=61) | st.integers(1, 61).map(lambda n: "0" * n) | SMALL)
def test_any_text_that_fits_makes_a_code_of_one_size(text: str) -> None:
    runs = symbols.qr(text)
    assert {(0, 0, 7), (22, 0, 7), (0, 28, 7)} <= set(runs)
    assert all(0 <= x < x + length <= 29 and 0 <= y < 29 and length > 0 for x, y, length in runs)


@given(st.text(ALPHANUMERIC, min_size=1, max_size=61) | SMALL)
def test_what_is_added_up_is_what_qrcode_draws(text: str) -> None:
    code: Any = qrcode.QRCode(version=3, error_correction=qrcode.ERROR_CORRECT_M, mask_pattern=3)
    if text.startswith("https://"):
        code.add_data(QRData(b"https://", mode=MODE_8BIT_BYTE), optimize=0)
    rest = text.removeprefix("https://").encode("ascii")
    code.add_data(QRData(rest, mode=MODE_ALPHA_NUM), optimize=0)
    code.make(fit=False)
    black = {(x, y) for y, row in enumerate(code.modules) for x, module in enumerate(row) if module}
    assert {(x + n, y) for x, y, length in symbols.qr(text) for n in range(length)} == black


@pytest.mark.parametrize("text", ["A" * 62, "https://" + "A" * 48])
def test_a_text_that_does_not_fit_is_the_programs_mistake(text: str) -> None:
    with pytest.raises(AssertionError, match="longer than version 3-M can hold"):
        symbols.qr(text)


@given(VOLSER)
def test_any_volser_makes_bars_of_one_width(volser: str) -> None:
    runs = symbols.code39(volser)
    ends = [x + length for x, _, length in runs]
    assert (runs[0][0], ends[-1], len(runs)) == (0, symbols.code39_width(volser), 50)
    gaps = {x - end for (x, _, _), end in zip(runs[1:], ends, strict=False)}
    assert gaps == {4, 11} == {length for _, _, length in runs}


@pytest.mark.parametrize("module", [(10, 10), (14, 20), (28, 28)])
def test_one_wrong_module_is_enough_to_stop(module: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    make: Callable[..., None] = qrcode.QRCode.make

    def make_badly(code: Any, **how: Any) -> None:
        make(code, **how)
        row, column = module
        code.modules[row][column] = not code.modules[row][column]

    monkeypatch.setattr(qrcode.QRCode, "make", make_badly)
    monkeypatch.setattr(symbols, "_patterns", symbols._patterns.__wrapped__)
    with pytest.raises(symbols.Unread, match=r"does not read back\. Nothing was printed"):
        symbols.qr("HTTPS://LABELS.EXAMPLE/M/00000000000016JD")


def test_bars_that_say_something_else_stop_the_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(code39._patterns, "8", code39._patterns["9"])
    with pytest.raises(symbols.Unread, match="'ORC001L8' does not read back"):
        sheet([Spine("ORC001L9"), Spine("ORC001L8")], STOCKS["lto-spine"])
