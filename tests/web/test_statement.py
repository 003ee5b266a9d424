"""The vectors that Python reads are read by the browser's modules, too: the same bytes, the same events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from custody.facts import KINDS, Signed

STATIC = Path(__file__).parents[2] / "web" / "static"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "statements.json").read_text("utf-8"))
PEOPLE = {kind for kind, fact in KINDS.items() if fact.signed in (Signed.PERSON, Signed.TWO)}

CALL = """async ([module, name, text, more]) => {
  const found = await import(`http://127.0.0.1/${module}`);
  const payload = new TextEncoder().encode(text);
  try {
    if (name === "read") return found.read(payload);
    if (name === "words") return await found.words(found.read(payload), more);
    return await found[name](payload);
  } catch (problem) { return { refusal: problem.message }; }
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that may load our modules, and nothing else."""
    context = browser.new_context()
    page = context.new_page()

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name:
            route.fulfill(body=(STATIC / name).read_text("utf-8"), content_type="text/javascript")
        else:
            route.fulfill(body="<title>empty</title>", content_type="text/html")

    page.route("**/*", serve)
    page.goto("http://127.0.0.1/")
    yield page
    context.close()


def call(page: Page, module: str, name: str, text: str, more: Any = None) -> Any:
    return page.evaluate(CALL, [module, name, text, more or {}])


def test_there_is_a_vector_for_all_that_people_sign() -> None:
    assert {vector["kind"] for vector in VECTORS} >= PEOPLE


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["kind"])
def test_the_browser_counts_the_same_events(page: Page, vector: Any) -> None:
    assert call(page, "dsse.js", "eventId", vector["payload"]) == vector["event_id"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["kind"])
def test_the_browser_shows_what_people_sign_and_refuses_the_rest(page: Page, vector: Any) -> None:
    found = call(page, "statement.js", "words", vector["payload"])
    if vector["kind"] not in PEOPLE:
        assert "does not know" in found["refusal"]
        return
    assert found["title"]
    shown = json.dumps(found["rows"])
    predicate = json.loads(vector["payload"])["predicate"]
    assert predicate["origin"] in shown
    for name in ("person", "consignment", "site", "organisation", "transit"):
        if name in predicate:
            assert str(predicate[name]) in found["title"] + shown, name


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] in PEOPLE], ids=lambda v: v["kind"])
def test_a_member_that_is_not_known_is_refused(page: Page, vector: Any) -> None:
    value = json.loads(vector["payload"])
    for change in (
        {"predicate": {**value["predicate"], "unheard_of": 1}},
        {"more": 1},
        {"predicateType": value["predicateType"].replace("/v1", "/v2")},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"subject": value["subject"] * 2},
    ):
        found = call(page, "statement.js", "words", json.dumps({**value, **change}))
        assert "Do not sign it" in found["refusal"], change


def test_differences_are_never_passed_over(page: Page) -> None:
    vector = next(v for v in VECTORS if v["kind"] == "handed")
    value = json.loads(vector["payload"])
    value["predicate"].update(missing=[1], refused=[2], damaged=[3], extra=["0" * 16], seal="different")
    rows = call(page, "statement.js", "words", json.dumps(value))["rows"]
    odd = {row[0] for row in rows if len(row) > 2 and row[2]}
    assert odd == {"Missing", "Refused", "Damaged", "Not on the manifest", "Seal"}
    value["predicate"].update(read="something else")
    assert "does not know" in call(page, "statement.js", "words", json.dumps(value))["refusal"]
