"""A library's tapes on the books: each cartridge once, whichever of its names the library reports."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pytest
from world import World

from custody.acts import media
from custody.acts.media import New, TakenIn
from custody.errors import Conflict, NotFound
from custody.readers import inventory, mtx
from custody.rules.media import DataSet, Medium
from labels import identity


def draw() -> str:
    return identity.draw(secrets.token_bytes)


def listing(*tags: str) -> mtx.Library:
    slots = "".join(f"Storage Element {n}:Full :VolumeTag={tag}\n" for n, tag in enumerate(tags, start=1))
    return mtx.read(f"Storage Changer /dev/sg3:0 Drives, {len(tags)} Slots\n{slots}")


def take(world: World, *tags: str, site: str = "NORTH", table: str = "") -> TakenIn:
    rows: Sequence[inventory.Row] = inventory.read(table.encode()) if table else ()
    return media.take_in(world.book, "P-1", site, listing(*tags), rows, draw=draw)


@pytest.mark.parametrize(
    ("first", "then"), [(("BKA101", "BKA102"), ("BKA101L6", "BKA102L6")), (("BKB101L6",), ("BKB101",))]
)
def test_six_characters_and_eight_are_one_cartridge_registered_once(
    shared: World, first: tuple[str, ...], then: tuple[str, ...]
) -> None:
    before = take(shared, *first)
    assert len(before.fresh) == len(first)
    after = take(shared, *then)
    assert after.fresh == ()
    assert after.ids == {later: before.ids[sooner] for sooner, later in zip(first, then, strict=True)}
    assert take(shared, *first).fresh == ()


def test_the_kind_of_a_medium_tells_its_media_id(shared: World) -> None:
    (name,) = media.register(shared.book, "P-1", "NORTH", [New("medium", "BKC101", "LTO-6")], draw)
    assert shared.get(Medium, name).spine == "BKC101L6"
    assert take(shared, "BKC101L6").ids == {"BKC101L6": name}
    assert len(take(shared, "BKC101L7").fresh) == 1


def test_where_either_of_two_could_be_meant_their_own_labels_are_read(shared: World) -> None:
    (six,) = take(shared, "BKD101").fresh
    with (
        shared.unmoved(),
        pytest.raises(Conflict, match=f"BKD101L6 and BKD101L7 could both be the medium {six}"),
    ):
        take(shared, "BKD101L6", "BKD101L7")
    take(shared, "BKE101L6", "BKE101L7")
    with shared.unmoved(), pytest.raises(Conflict, match="BKE101 could be any of 2 media at NORTH"):
        take(shared, "BKE101")


def test_a_name_that_is_known_at_another_site_alone_is_asked_about(shared: World) -> None:
    take(shared, "BKF101", site="SOUTH")
    with shared.unmoved(), pytest.raises(Conflict, match="BKF101L6 is on the books of another site"):
        take(shared, "BKF101L6")
    (name,) = media.register(shared.book, "P-1", "NORTH", [New("medium", "BKF101L6", "LTO-6")], draw)
    assert take(shared, "BKF101L6").ids == {"BKF101L6": name}, "here it is known, and meant"


def test_a_table_may_leave_the_media_id_out(shared: World) -> None:
    head = "volser,data set,title,people\n"
    taken = take(shared, "BKG101L6", "BKG102L6", table=f"{head}BKG101,SIX,Payroll,4200\n")
    assert shared.get(DataSet, "SIX").media == (taken.ids["BKG101L6"],)
    take(shared, "BKG101", "BKG102", table=f"{head}BKG102L6,EIGHT,Claims,76000\n")
    assert shared.get(DataSet, "EIGHT").media == (taken.ids["BKG102L6"],)
    with pytest.raises(NotFound, match="Line 2: BKG103 is not in the library's listing"):
        take(shared, "BKG101L6", table=f"{head}BKG103,SIX,Payroll,4200\n")
    with pytest.raises(Conflict, match="Line 2: BKG101 could be BKG101L6 or BKG101L7: write it whole"):
        take(shared, "BKG101L6", "BKG101L7", table=f"{head}BKG101,SIX,Payroll,4200\n")


@pytest.mark.parametrize(
    ("volsers", "why"),
    [
        (("BKH101L6",), "BKH101L6 is on the books at NORTH already, as BKH101 with the label"),
        (("BKH101",), "BKH101 is on the books at NORTH already"),
        (("BKH102", "BKH102L6"), "could name one cartridge. Name each once"),
        (("BKH103L6", "BKH103L6"), "BKH103L6 and BKH103L6 could name one cartridge"),
    ],
)
def test_by_hand_a_cartridge_is_registered_once_too(
    shared: World, volsers: tuple[str, ...], why: str
) -> None:
    take(shared, "BKH101")
    with shared.unmoved(), pytest.raises(Conflict, match=why):
        media.register(shared.book, "P-1", "NORTH", [New("medium", each) for each in volsers], draw)


def test_what_was_left_out_and_what_was_spelt_otherwise_is_told(shared: World) -> None:
    taken = take(shared, "arch07l6", "CLN011CU", "BKI/01", "A01", "DG 001L7")
    assert sorted(taken.ids) == ["A01", "ARCH07L6"]
    assert taken.spelt == {"ARCH07L6": "arch07l6"}
    assert taken.service == ("CLN011CU", "DG 001L7")
    assert len(taken.flagged) == 1
    assert taken.flagged[0].startswith("slot 3 (line 4) is full: 'BKI/01' is no volser")
