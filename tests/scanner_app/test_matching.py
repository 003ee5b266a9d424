"""Codes held against a manifest: what counts, what is read again, what does not belong there."""

from __future__ import annotations

import pytest

from custody.rules.cases import Packing
from custody.rules.media import Medium
from labels import identity
from scanner_app.decode import Code
from scanner_app.matching import Matched, match

A, B, CASE, SEAL, OTHER = (identity.draw(lambda n, k=k: bytes([k]) * n) for k in (1, 2, 3, 4, 5))
MEDIA = [
    Medium(A, "medium", "NORTH", "ORO001L8", "LTO-8"),
    Medium(B, "medium", "NORTH", "ORO002L8", "LTO-8"),
]
PACKING = Packing("0" * 64, CASE, SEAL, (A, B), "NORTH", "P-2")


def qr(letter: str, name: str) -> Code:
    return Code(identity.url("LABELS.TEST", letter, name), "qr", ("pyzbar:middle",), (0, 0, 9, 9))


def spine(text: str, times: int = 2) -> Code:
    return Code(text, "code39", ("zxing-cpp:full",) * times, (0, 0, 9, 9))


def test_a_label_is_one_line() -> None:
    assert match([qr("M", B)], MEDIA, None) == Matched((2,), False, False, (), ())


def test_a_spine_counts_when_it_was_read_twice_alike() -> None:
    assert match([spine("ORO001L8")], MEDIA, None).lines == (1,)
    once = match([spine("ORO001L8", 1)], MEDIA, None)
    assert once.lines == ()
    assert once.unsure == ("ORO001L8 was read only once: take it again, closer",)


def test_label_and_spine_of_one_tape_leave_nothing_unsure() -> None:
    found = match([spine("ORO001L8", 1), qr("M", A)], MEDIA, None)
    assert (found.lines, found.unsure) == ((1,), ())


def test_of_volser_twins_the_label_must_be_read() -> None:
    twins = [*MEDIA, Medium(OTHER, "medium", "NORTH", "ORO001L8", "LTO-8")]
    found = match([spine("ORO001L8")], twins, None)
    assert found.lines == ()
    assert found.unsure == ("ORO001L8 could be any of 2 lines: read the label",)
    assert match([spine("ORO001L8"), qr("M", A), qr("M", OTHER)], twins, None).unsure == ()


@pytest.mark.parametrize(
    ("volser", "form"), [("ORO001", None), ("ORO001", "LTO-8"), ("ORO001L8", None), ("ORO001L8", "LTO-8")]
)
def test_six_characters_on_the_books_and_eight_on_the_spine_are_one_cartridge(
    volser: str, form: str | None
) -> None:
    line = Medium(A, "medium", "NORTH", volser, form)
    assert match([spine("ORO001L8")], [line, MEDIA[1]], None) == Matched((1,), False, False, (), ())


def test_another_media_id_is_another_cartridge() -> None:
    found = match([spine("ORO001L7")], [Medium(A, "medium", "NORTH", "ORO001", "LTO-8"), *MEDIA], None)
    assert (found.lines, found.strange) == ((), ("ORO001L7",))


def test_a_spine_that_two_lines_could_be_counts_for_neither() -> None:
    found = match([spine("ORO001L8")], [Medium(OTHER, "medium", "NORTH", "ORO001", None), *MEDIA], None)
    assert (found.lines, found.unsure) == ((), ("ORO001L8 could be any of 2 lines: read the label",))


def test_case_and_seal_are_seen_as_what_they_are() -> None:
    found = match([qr("C", CASE), qr("S", SEAL)], MEDIA, PACKING)
    assert (found.case, found.seal, found.lines, found.strange) == (True, True, (), ())
    assert match([qr("C", CASE)], MEDIA, None).strange == (CASE,)


def test_what_is_not_on_the_manifest_is_told_and_the_boxs_own_codes_are_not() -> None:
    parcel = Code("https://parcel.example/123", "qr", ("pyzbar:middle",), (0, 0, 9, 9))
    found = match([qr("M", OTHER), spine("XYZ999L8"), spine("SHIP TO", 2), parcel], MEDIA, None)
    assert found.strange == ("XYZ999L8", OTHER)
    assert found.lines == ()
