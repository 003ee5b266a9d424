"""Media on the books: registered once, described by those who know, printed twice only for a reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from world import World

from custody.acts import media
from custody.errors import Conflict, Forbidden, Impossible, NotFound, Unreadable
from custody.facts import Described, Item, Labelled, Registered
from custody.rules import world as rules
from custody.rules.media import DataSet, Exposure, Medium, check_reprint, exposure, medium

TITLE = "ab" * 32


# ------------------------------------------------------------------------------------------- on the books


def test_things_are_at_their_site_and_free(shared: World) -> None:
    new = Item("3" * 16, "medium", "SOUTH", "V00007L8", "LTO-8")
    shared.state(Registered(shared.ids["ada"], (new,)))
    assert shared.get(Medium, new.id) == Medium(new.id, "medium", "SOUTH", "V00007L8", "LTO-8")


def test_an_identity_is_given_once_and_a_volser_may_be_given_again(shared: World) -> None:
    first, second = Item("1" * 16, "medium", "NORTH", "V00007L8"), Item("2" * 16, "medium", "NORTH")
    shared.state(Registered("P-1", (first,)))
    for wrong in (Registered("P-1", (second, first)), Registered("P-1", (replace(first, site="SOUTH"),))):
        with shared.unmoved(), pytest.raises(Impossible, match=f"There is a medium {first.id} already"):
            shared.state(wrong)
    shared.state(Registered("P-1", (replace(second, volser=first.volser),)))
    assert {shared.get(Medium, each.id).volser for each in (first, second)} == {"V00007L8"}


def test_a_thing_is_registered_at_a_site_that_is_there(shared: World) -> None:
    wrong = Registered("P-1", (Item("0" * 16, "medium", "NORTH"), Item("1" * 16, "seal", "WEST")))
    with shared.unmoved(), pytest.raises(Impossible, match="There is no site WEST here"):
        shared.state(wrong)
    with pytest.raises(NotFound):
        shared.get(Medium, "0" * 16)


def test_a_case_or_a_seal_is_no_medium(shared: World) -> None:
    (tape,), (case,), (seal,) = (shared.register(1, what=what) for what in ("medium", "case", "seal"))
    with shared.book.world() as world:
        assert medium(world, tape).id == tape
        for name, what in ((case, "case"), (seal, "seal")):
            with pytest.raises(Impossible, match=f"{name} is a {what}, not a medium"):
                medium(world, name)
        with pytest.raises(NotFound):
            medium(world, "0" * 16)


def test_cases_and_seals_are_numbered_in_the_order_of_registration(box: World) -> None:
    """By the ledger alone: `box` is audited afterwards, and its tables compared with the auditor's fold."""
    box.register(2, what="seal")
    names = [name * 16 for name in "123456"]
    whats = ("case", "medium", "seal", "case", "seal", "medium")
    items = tuple(
        Item(name, what, "NORTH" if place % 2 else "SOUTH")
        for place, (name, what) in enumerate(zip(names, whats, strict=True))
    )
    box.state(Registered("P-1", items[:3]), Registered("P-1", items[3:]))
    assert [box.get(Medium, name).short for name in names] == ["K-1", None, "S-3", "K-2", "S-4", None]
    assert [box.get(Medium, name).called for name in names[:2]] == ["K-1", "medium"]
    (last,) = box.register(1, what="case")
    assert box.get(Medium, last).short == "K-3"


def test_what_is_refused_takes_no_number(shared: World) -> None:
    (seal,) = shared.register(1, what="seal")
    wrong = Registered("P-1", (Item("7" * 16, "seal", "NORTH"), Item(seal, "seal", "NORTH")))
    with shared.unmoved(), pytest.raises(Impossible):
        shared.state(wrong)
    number = int((shared.get(Medium, seal).short or "").removeprefix("S-"))
    (following,) = shared.register(1, what="seal")
    assert shared.get(Medium, following).short == f"S-{number + 1}"


# ------------------------------------------------------------------------------------------- what is on it


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"people_least": 3}, "A number of people is known from least to most, or it is unknown."),
        ({"people_most": 3}, "A number of people is known from least to most, or it is unknown."),
        ({"people_least": 4, "people_most": 3}, "The least number of people is above the most."),
        ({"media": ("0" * 16,)}, "There is no medium 0000000000000000 here."),
        ({"by": "P-99"}, "There is no person P-99 here."),
    ],
)
def test_a_description_that_cannot_be(shared: World, change: dict[str, Any], why: str) -> None:
    right = Described("P-1", "PAYROLL", TITLE, shared.register(1))
    with shared.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        shared.state(replace(right, **change))
    with pytest.raises(NotFound):
        shared.get(DataSet, "PAYROLL")


def test_no_data_set_is_on_a_seal(shared: World) -> None:
    (seal,) = shared.register(1, what="seal")
    with shared.unmoved(), pytest.raises(Impossible, match=f"{seal} is a seal, not a medium"):
        shared.state(Described("P-1", "PAYROLL", TITLE, (seal,)))


def test_what_was_described_last_counts(shared: World) -> None:
    names = tuple(sorted(shared.register(2)))
    shared.state(Described("P-1", "PENSIONS", TITLE, names, 7, 9, "yes"))
    for people in ((None, None), (0, 0), (3, 3), (3, 4)):
        shared.state(Described("P-1", "PENSIONS", TITLE, names[:1], *people))
        assert shared.get(DataSet, "PENSIONS") == DataSet("PENSIONS", TITLE, names[:1], *people, "unknown")


def data_set(name: str, on: str, least: int | None = None, most: int | None = None) -> DataSet:
    return DataSet(name, TITLE, tuple(on), least, most, "unknown")


SMALL, LARGE, UNKNOWN = data_set("B", "ab", 1, 10), data_set("A", "bc", 5, 100), data_set("C", "d")
OTHER = data_set("D", "z", 1000, 9000)


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ("", Exposure((), (), None, 0)),
        ("a", Exposure((SMALL,), (), 1, 10)),
        ("ab", Exposure((LARGE, SMALL), (), 5, 110)),
        ("c", Exposure((LARGE,), (), 5, 100)),
        ("ad", Exposure((SMALL, UNKNOWN), (), 1, None)),
        ("d", Exposure((UNKNOWN,), (), None, None)),
        ("ax", Exposure((SMALL,), ("x",), 1, None)),
        ("yx", Exposure((), ("x", "y"), None, None)),
    ],
)
def test_how_many_people_a_loss_is_about(lost: str, found: Exposure) -> None:
    """From the largest set to the sum of all; what is not known is not nothing."""
    world = rules.World()
    for each in (SMALL, LARGE, UNKNOWN, OTHER):
        world.put(each)
    assert exposure(world, lost) == found


# ------------------------------------------------------------------------------------------------- labels


def test_each_print_is_counted_and_a_second_one_needs_a_reason(shared: World) -> None:
    one, two = sorted(shared.register(2))
    media.labelled(shared.book, "P-1", [one], "a4")
    with (
        shared.unmoved(),
        pytest.raises(Conflict, match=f"{one} has been printed before. A second label of one"),
    ):
        media.labelled(shared.book, "P-1", [two, one], "a4")
    assert [shared.get(Medium, name).prints for name in (one, two)] == [1, 0]
    media.labelled(shared.book, shared.ids["mona"], [two, one], "a4", reason="it came off")
    assert [shared.get(Medium, name).prints for name in (one, two)] == [2, 1]
    with shared.book.world() as world:
        for reason in (None, ""):
            with pytest.raises(Conflict, match=f"{two} has been printed before"):
                check_reprint(world, [two], reason)
        check_reprint(world, [two], "it came off")


def test_labels_are_of_things_that_are_there(shared: World) -> None:
    (name,) = shared.register(1)
    with shared.unmoved(), pytest.raises(NotFound):
        media.labelled(shared.book, "P-1", [name, "0" * 16], "a4")
    with shared.unmoved(), pytest.raises(Impossible, match="There is no medium 0000000000000000 here"):
        shared.state(Labelled("P-1", ("0" * 16, name), "a4"))
    with shared.unmoved(), pytest.raises(Unreadable, match="each once"):
        shared.state(Labelled("P-1", (name, name), "a4"))
    with shared.unmoved(), pytest.raises(Forbidden):
        media.labelled(shared.book, shared.ids["ann"], [name], "a4")
    assert shared.get(Medium, name).prints == 0
