"""The vectors that Python reads are read by the browser, too; and the line that was meant is found."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keyboards import LAYOUTS, typed
from playwright.sync_api import Browser, Page, Route

from labels import identity, volser

STATIC = Path(__file__).parents[2] / "web" / "static"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "codes.json").read_text("utf-8"))

CALL = """async ([name, each]) => {
  const found = await import("http://127.0.0.1/codes.js");
  return each.map((values) => found[name](...values));
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that may load this module, and nothing else."""
    context = browser.new_context()
    page = context.new_page()

    def serve(route: Route) -> None:
        if route.request.url.endswith("/codes.js"):
            code = (STATIC / "codes.js").read_text("utf-8")
            route.fulfill(body=code, content_type="text/javascript; charset=utf-8")
        else:
            route.fulfill(body="<title>empty</title>", content_type="text/html")

    page.route("**/*", serve)
    page.goto("http://127.0.0.1/")
    yield page
    context.close()


def call(page: Page, name: str, *each: tuple[Any, ...]) -> Any:
    """What the module's function says of each of these."""
    return page.evaluate(CALL, [name, [list(values) for values in each]])


@pytest.mark.parametrize(("name", "vectors"), [("label", "labels"), ("volser", "volsers"), ("same", "same")])
def test_the_browser_reads_the_same(page: Page, name: str, vectors: str) -> None:
    found = call(page, name, *(values[:-1] for values in VECTORS[vectors]))
    assert found == [values[-1] for values in VECTORS[vectors]]


A, B, C, D = (identity.draw(random.Random(k).randbytes) for k in range(4))
LINES = [
    {"id": A, "spine": "BKP101"},
    {"id": B, "spine": "BKP102L6"},
    {"id": C, "spine": ""},
    {"id": D, "spine": "YXZ103L6"},
]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"https://LABELS.TEST/M/{C}", 2, " ".join(C[k : k + 4] for k in range(0, 16, 4))),
        (f"https://LABELS.TEST/M/{A}/", 0, "BKP101"),
        (typed(f"HTTPS://LABELS.TEST/M/{B}", "French"), 1, "BKP102L6"),
        (B.lower(), 1, "BKP102L6"),
        ("BKP101L6", 0, "BKP101"),
        ("*bkp102L6*", 1, "BKP102L6"),
        ("BKP102", 1, "BKP102L6"),
        (typed("*YXZ103L6*", "French"), 3, "YXZ103L6"),
        (typed("*YXZ103L6*", "Czech"), 3, "YXZ103L6"),
        ("BKP102L7", None, "BKP102L7 is NOT on this list."),
        ("A01", None, "A01 is NOT on this list."),
        ("BKP1O2L6", None, "BKP1O2L6 could not be read for certain. Is it BKP102L6? Read its label."),
        (
            typed("YXZ103L6", "German"),
            None,
            "ZXY103L6 could not be read for certain. Is it YXZ103L6? Read its label.",
        ),
        (identity.draw(random.Random(9).randbytes), None, "is NOT on this list."),
        (typed("HTTPS://LABELS.TEST/M/00000000000016JE", "German"), None, "This could not be read."),
        ("00000000000016JE", None, "This could not be read."),
        ("00000000000016J", None, "This could not be read."),
        ("https://parcel.example/123", None, "This could not be read."),
        ("$$$", None, "This could not be read."),
        ("", None, "This could not be read."),
    ],
)
def test_the_line_that_was_meant(page: Page, text: str, line: int | None, said: str) -> None:
    (found,) = call(page, "find", (text, LINES))
    assert found["line"] == line
    assert said in found["said"]


def test_of_volser_twins_the_label_is_asked_for(page: Page) -> None:
    twins = [*LINES, {"id": "0" * 16, "spine": "BKP101L6"}, {"id": "1" * 16, "spine": "ZXY103L6"}]
    for text, name in (("BKP101L6", "BKP101L6"), ("YXZ103L6", "YXZ103L6"), ("(YXZ103L6(", "(YXZ103L6(")):
        (found,) = call(page, "find", (text, twins))
        assert found == {"line": None, "said": f"{name} could be any of 2 lines: read the label."}
    (found,) = call(page, "find", (f"https://LABELS.TEST/M/{A}", twins))
    assert found["line"] == 0


def test_no_keyboard_ticks_another_line_nor_calls_one_that_is_there_missing(page: Page) -> None:
    """A box of forty, scanned by spine and by label through every keyboard; codes as scanners send them."""
    seed = random.Random(7)
    names = ["".join(seed.choices("AQWZYM0168", k=6)) + seed.choice(["L6", "L8", ""]) for _ in range(34)]
    names += ["CTAPE-00001", "VOL.1", "A01", "QSD121S", "X_1", "ZY-Q8"]
    lines = [{"id": identity.draw(seed.randbytes), "spine": name} for name in dict.fromkeys(names)]
    asked = [
        (layout, number, code)
        for layout in LAYOUTS
        for number, line in enumerate(lines)
        for code in (line["spine"], f"*{line['spine']}*", f"https://LABELS.EXAMPLE.ORG/M/{line['id']}")
    ]
    found = call(page, "find", *((typed(code, layout), lines) for layout, _, code in asked))
    for (layout, number, code), answer in zip(asked, found, strict=True):
        if answer["line"] is None:
            assert "NOT on this list" not in answer["said"], (layout, code, answer)
        else:
            assert volser.same(lines[answer["line"]]["spine"], lines[number]["spine"]), (layout, code, answer)
    plain = [a["line"] == n for (layout, n, _), a in zip(asked, found, strict=True) if layout == "American"]
    assert all(plain)
