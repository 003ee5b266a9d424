"""What scanners and people enter: a label's id is found through any keyboard, or none is; never another."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keyboards import LAYOUTS, typed

from labels import identity, volser
from labels.identity import NotAnId
from labels.volser import NotAVolser

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "codes.json").read_text("utf-8"))
LABELS = st.builds(lambda seed: identity.draw(random.Random(seed).randbytes), st.integers(0))
HOSTS = st.sampled_from(["labels.example.org", "q-w.zya.example:8443", "m.example", "azerty.example.gov.hk"])
ENDS = st.sampled_from(["M/{}", "C/{}/", "S/{}", "L/{}/"])
LIKE_ANOTHER = {"German", "Hungarian", "Italian", "Spanish", "Swedish"}
"""Letters and digits are on the keys of another layout, whose reading may pass the check as well."""


def read(text: str) -> str | None:
    try:
        return identity.scanned(text)
    except NotAnId:
        return None


@pytest.mark.parametrize(("text", "meant"), VECTORS["labels"])
def test_the_vectors_of_labels(text: str, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(NotAnId):
            identity.scanned(text)
    else:
        assert identity.scanned(text) == meant


@pytest.mark.parametrize(("text", "meant"), VECTORS["volsers"])
def test_the_vectors_of_volsers(text: str, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(NotAVolser):
            volser.check(text)
    else:
        assert volser.check(text) == meant


@pytest.mark.parametrize(("one", "other", "alike"), VECTORS["same"])
def test_the_vectors_of_one_cartridge(one: str, other: str, alike: bool) -> None:  # noqa: FBT001
    assert volser.same(one, other) is alike


@given(LABELS, ENDS, HOSTS, st.sampled_from([str, str.lower]))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_keyboard_makes_another_label_of_one(
    layout: str, drawn: str, end: str, host: str, case: type[str]
) -> None:
    found = read(typed(case(f"https://{host.upper()}/{end.format(drawn)}"), layout))
    assert found == drawn or (found is None and layout in LIKE_ANOTHER)


@given(LABELS, st.integers(0, 15), st.sampled_from(identity.ALPHABET), ENDS)
def test_one_wrong_character_in_an_address_makes_no_other_label(
    drawn: str, place: int, other: str, end: str
) -> None:
    assume(drawn[place] != other)
    wrong = drawn[:place] + other + drawn[place + 1 :]
    assert read(f"https://LABELS.EXAMPLE.ORG/{end.format(wrong)}") is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nearly_every_label_is_read_through_every_keyboard(layout: str) -> None:
    seed = random.Random(1)
    drawn = [identity.draw(seed.randbytes) for _ in range(500)]
    found = [read(typed(f"https://LABELS.EXAMPLE.ORG/M/{each}", layout)) for each in drawn]
    assert sum(each is not None for each in found) >= (480 if layout in LIKE_ANOTHER else 500)


@given(
    st.text(max_size=90) | st.from_regex(r"[A-Z]{4,6}\W{3}[A-Z.]{3,9}\W[MCSL?,]\W[\w\W]{16}", fullmatch=True)
)
def test_no_text_does_worse_than_not_be_read(text: str) -> None:
    try:
        found = identity.scanned(text)
    except NotAnId:
        return
    assert identity.check(found) == found
