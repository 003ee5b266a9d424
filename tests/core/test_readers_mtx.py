"""The reader of `mtx status`: real listings, each trap by name, and what no listing may do to it."""

import contextlib
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custody.errors import Unreadable
from custody.readers import mtx
from custody.readers.mtx import Cartridge, Library, Slot

# A README of 2017: one drive, seven slots, and the library's complaint about having been switched on.
SEVEN = """\
mtx: Request Sense: Long Report=yes
mtx: Request Sense: Sense Key=Unit Attention
mtx: Request Sense: SKSV=no
Mode sense (0x1A) for Page 0x1D failed
  Storage Changer /dev/sg5:1 Drives, 7 Slots ( 0 Import/Export )
Data Transfer Element 0:Empty
      Storage Element 1:Full :VolumeTag=000711L4                        
      Storage Element 2:Full :VolumeTag=A00008L5                        
      Storage Element 3:Full :VolumeTag=A00034L5                        
      Storage Element 4:Full :VolumeTag=A00014L5                        
      Storage Element 5:Full :VolumeTag=A00036L5                        
      Storage Element 6:Full :VolumeTag=A00025L5                        
      Storage Element 7:Full :VolumeTag=000218L5                        
"""  # noqa: W291 - mtx pads each volser with blanks

# An IBM 3361 at a FreeBSD site, its long row of empty load ports made shorter: two tapes unlabelled.
PORTS = """\
  Storage Changer /dev/pass2:2 Drives, 7 Slots ( 5 Import/Export )
Data Transfer Element 0:Full (Storage Element 2 Loaded):VolumeTag = LT1000L3
Data Transfer Element 1:Full (Unknown Storage Element Loaded)
      Storage Element 1:Full :VolumeTag=CLN003L1
      Storage Element 2:Empty
      Storage Element 3 IMPORT/EXPORT:Full :VolumeTag=UN0101L3
      Storage Element 4 IMPORT/EXPORT:Empty
      Storage Element 5 IMPORT/EXPORT:Empty
      Storage Element 6 IMPORT/EXPORT:Full 
      Storage Element 7 IMPORT/EXPORT:Empty:VolumeTag=                                    
"""  # noqa: W291 - `Full ` is how mtx prints a tape without a label

HEAD = "  Storage Changer /dev/sg0:1 Drives, 3 Slots ( 0 Import/Export )\n"
BODY = """\
Data Transfer Element 0:Empty
      Storage Element 1:Full :VolumeTag=ABC001L6
      Storage Element 2:Empty
      Storage Element 3:Full :VolumeTag=ABC003L6
"""


def refused(text: str | bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        mtx.read(text)
    return str(caught.value)


def volsers(library: Library) -> list[str]:
    return [cartridge.volser for cartridge in library.cartridges]


def test_a_full_library_after_complaints() -> None:
    library = mtx.read(SEVEN)
    assert (library.device, library.drives, library.slots) == ("/dev/sg5", 1, 7)
    assert library.unlabelled == ()
    assert library.cartridges[0] == Cartridge("000711L4", 1, "storage", cleaning=False, line=7)
    assert library.cartridges[6] == Cartridge("000218L5", 7, "storage", cleaning=False, line=13)


def test_drives_ports_cleaning_tapes_and_tapes_without_a_label() -> None:
    assert mtx.read(PORTS) == Library(
        drives=2,
        slots=7,
        cartridges=(
            Cartridge("LT1000L3", 0, "drive", cleaning=False, line=2, home=2),
            Cartridge("CLN003L1", 1, "storage", cleaning=True, line=4),
            Cartridge("UN0101L3", 3, "import/export", cleaning=False, line=6),
        ),
        unlabelled=(Slot(1, "drive", 3), Slot(6, "import/export", 9)),
        device="/dev/pass2",
    )


@pytest.mark.parametrize(
    "text",
    [
        HEAD + BODY,
        HEAD + BODY.replace("VolumeTag=", "VolumeTag = "),
        (HEAD + BODY).replace("\n", "\r\n"),
        "\ufeff" + HEAD + BODY,
        "\n\n" + HEAD + "\n" + BODY + "\n\n",
        (HEAD + BODY).rstrip(),
        HEAD + BODY.replace("L6", "L6:AlternateVolumeTag=ABC001L6"),
        HEAD + BODY.replace("2:Empty", "2:Empty:VolumeTag=ABC003L6"),
        HEAD + BODY + "mtx: Request Sense: Long Report=yes",
        "\n".join(line.strip() for line in (HEAD + BODY).splitlines()),
        (HEAD + BODY).encode(),
        b"\xef\xbb\xbf" + (HEAD + BODY).encode(),
    ],
)
def test_the_same_tapes_however_it_was_saved(text: str | bytes) -> None:
    assert volsers(mtx.read(text)) == ["ABC001L6", "ABC003L6"]


@pytest.mark.parametrize(
    ("head", "counts"),
    [
        ("Storage Changer /dev/sg0", (None, None)),
        ("  Storage Changer /dev/sg0:", (None, None)),
        ("Storage Changer /dev/sg0: Drives, Slots ( Import/Export )", (None, None)),
        ("Storage Changer /dev/sg0:1 Drives", (1, None)),
        ("Storage Changer /dev/sg0:1 Drives, 3 Slots", (1, 3)),
        ("Storage Changer /dev/pci-0000:03:00.0-changer:1 Drives, 3 Slots ( 0 Import/Export )", (1, 3)),
        ("Storage Changer /dev/pci-0000:03:00.0-changer", (None, None)),
    ],
)
def test_counts_the_head_line_leaves_out(head: str, counts: tuple[int | None, int | None]) -> None:
    library = mtx.read(head + "\n" + BODY)
    assert (library.drives, library.slots) == counts
    assert ":03" not in head or ":03:00.0-changer" in library.device


@pytest.mark.parametrize(
    ("tag", "lacks"),
    [
        ("????????", "this one has '?'"),
        ("NO LABEL", "this one has ' '"),
        ("--------", "this one begins or ends with such a mark"),
        ("-ABC003L6", "this one begins or ends with such a mark"),
        ("ABC$03L6", "this one has '$'"),
        ("A" * 17, "this one has 17 characters"),
        ("B" * 33, "this one has 33 characters"),
    ],
)
def test_what_cannot_be_a_volser_is_flagged_with_the_robots_own_words(tag: str, lacks: str) -> None:
    library = mtx.read(HEAD + BODY.replace("ABC003L6", tag))
    assert volsers(library) == ["ABC001L6"]
    assert library.unlabelled == (Slot(3, "storage", 5, tag),)
    assert library.unlabelled[0].why == (
        f"slot 3 (line 5) is full: {tag!r} is no volser: one to sixteen capital letters and digits, with"
        f" hyphens, dots or underscores between them; {lacks}"
    )


def test_all_that_cannot_be_a_volser_is_flagged_at_once_and_the_rest_is_taken_in() -> None:
    text = HEAD + BODY.replace("ABC003L6", "ABC/03L6").replace("0:Empty", "0:Full")
    library = mtx.read(text)
    assert volsers(library) == ["ABC001L6"]
    drive, slot = (each.why for each in library.unlabelled)
    assert drive == "drive 0 (line 2) is full, but its label cannot be read"
    assert slot.startswith("slot 3 (line 5) is full: 'ABC/03L6' is no volser")


@pytest.mark.parametrize(
    "tag", ["CTAPE-00001", "A01", "QSD121S", "vol_0001", "V.1", "CTAPE-00001-ABCDE"[:16]]
)
def test_labels_of_other_makers_and_of_virtual_libraries_are_volsers(tag: str) -> None:
    assert volsers(mtx.read(HEAD + BODY.replace("ABC003L6", tag))) == ["ABC001L6", tag.upper()]


def test_small_letters_are_taken_for_capitals_and_told() -> None:
    one, two = mtx.read(HEAD + BODY.replace("ABC003L6", "arch07l6")).cartridges
    assert (one.volser, one.spelt) == ("ABC001L6", "")
    assert (two.volser, two.spelt) == ("ARCH07L6", "arch07l6")
    assert "Lines 3 and 5 both list volser ABC001L6" in refused(HEAD + BODY.replace("ABC003L6", "abc001l6"))


@pytest.mark.parametrize(
    ("tag", "cleans"),
    [
        *(
            (tag, True)
            for tag in ("CLN011CU", "CLNU01L1", "CLN003L1", "CLNI07", "CLN012", "CLEAN01", "1CLEAN2")
        ),
        *((tag, True) for tag in ("ABC001CU", "ABC001C1", "ABC001C9")),
        *(
            (tag, False)
            for tag in ("ABC001LU", "ABC001C0", "CTAPE-C1", "AC1", "BKP1C1", "ABC0001CU", "CL0001L6")
        ),
    ],
)
def test_cleaning_cartridges_by_all_makers_marks(tag: str, cleans: bool) -> None:  # noqa: FBT001
    found = mtx.read(HEAD + BODY.replace("ABC003L6", tag)).cartridges[1]
    assert (found.volser, found.cleaning) == (tag, cleans)


def test_a_diagnostic_cartridge_is_called_so() -> None:
    (slot,) = mtx.read(HEAD + BODY.replace("ABC003L6", "DG 001L7")).unlabelled
    assert (slot.number, slot.tag, slot.diagnostic) == (3, "DG 001L7", True)
    (other,) = mtx.read(HEAD + BODY.replace("ABC003L6", "D G001L7")).unlabelled
    assert not other.diagnostic


def test_a_name_with_the_media_id_and_without_it_are_twins() -> None:
    said = refused(HEAD + BODY.replace("ABC003L6", "ABC001"))
    assert "Lines 3 and 5 list ABC001L6 and ABC001: these could name one cartridge" in said
    assert volsers(mtx.read(HEAD + BODY.replace("ABC003L6", "ABC001L7"))) == ["ABC001L6", "ABC001L7"]


def test_the_same_volser_twice_names_both_lines() -> None:
    twins = HEAD + BODY.replace("ABC003L6", "ABC001L6")
    assert "Lines 3 and 5 both list volser ABC001L6" in refused(twins)
    loaded = HEAD + BODY.replace("0:Empty", "0:Full (Storage Element 2 Loaded):VolumeTag = ABC001L6")
    assert "Lines 2 and 3 both list volser ABC001L6" in refused(loaded)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1 should begin with 'Storage Changer'"),
        ("\n \n", "line 1 should begin"),
        (BODY, "line 1 should begin with 'Storage Changer', but is 'Data Transfer Element 0:Empty'"),
        ("Product Type: Medium Changer\nVendor ID: 'IBM'\n", "not the output of `mtx status`: line 1"),
        ("mtx: Request Sense: BPV=no\nREAD ELEMENT STATUS Command Failed\n", "line 2 should begin"),
        (HEAD, "ends after its head line, line 1"),
        (HEAD + HEAD + BODY, "Line 2 is not a line of `mtx status`: 'Storage Changer"),
        (HEAD + BODY + HEAD + BODY, "Line 6 is not a line"),
        (HEAD + BODY + BODY, "Line 6 lists data transfer element 0 where data transfer element 1 was due"),
        (HEAD + BODY + "root@backup:~# ", "Line 6 is not a line of `mtx status`: 'root@backup:~#'"),
        (HEAD + BODY.replace("Full :", "Fall :"), "Line 3 is not a line"),
        (HEAD + BODY.replace("ABC001", "ABC\x1b01"), "Line 3 is not a line"),
        (HEAD + BODY.replace("Element 1:", "Element \u0661:"), "Line 3 is not a line"),
        (HEAD + BODY.replace("Element 1:", f"Element {'1' * 5000}:"), "Line 3 is not a line"),
        (HEAD + "x" * 5000, "Line 2 is not a line of `mtx status`: '" + "x" * 80 + "...'"),
        (HEAD.encode() + b"      Storage Element 1:Full :VolumeTag=\xff\xfe\n", "Line 2 is not plain text"),
        ((HEAD + BODY).encode("utf-16"), "Line 1 is not plain text"),
    ],
)
def test_what_is_no_whole_listing_is_refused_by_line(text: str | bytes, sentence: str) -> None:
    assert sentence in refused(text)


def test_a_listing_cut_off_is_refused_with_the_line_where_it_ends() -> None:
    lines = (HEAD + BODY).splitlines(keepends=True)
    assert "Line 1 announces 3 slots, but only 2 are listed up to line 4" in refused("".join(lines[:-1]))
    assert "Line 1 announces 3 slots, but only 0 are listed up to line 1" in refused("".join(lines[:2]))
    assert "Line 1 announces 1 drives, but only 0" in refused("".join(lines[:1] + lines[2:]))
    assert "announces 2 slots, but 3 are listed" in refused((HEAD + BODY).replace("3 Slots", "2 Slots"))


def test_a_lost_line_shows_even_where_the_head_line_counts_nothing() -> None:
    lines = BODY.splitlines(keepends=True)
    sentence = refused("Storage Changer /dev/sg0\n" + "".join(lines[:2] + lines[3:]))
    assert "Line 4 lists storage element 3 where storage element 2 was due" in sentence
    assert "where storage element 1 was due" in refused("Storage Changer /dev/sg0\n" + "".join(lines[2:]))


@pytest.mark.parametrize("cut", ["ABC003L", "ABC0", "", " ", "ABC003"])
def test_a_volser_cut_short_at_the_end_is_refused(cut: str) -> None:
    text = (HEAD + BODY).rstrip().removesuffix("ABC003L6") + cut
    assert "Line 5, the last, has no line end" in refused(text)


# --- any library at all ---------------------------------------------------------------------------------

Element = tuple[str, int, str, int | None]  # kind, number, tag, home
Listing = tuple[list[Element], tuple[int | None, int | None], str]

ALPHANUMERIC = string.ascii_uppercase + string.digits
VOLSER = st.builds(
    "{}{}{}".format,
    st.sampled_from(["CLN", "", "A"]),
    st.text(ALPHANUMERIC, min_size=3, max_size=6),
    st.sampled_from(["L5", "M8", ""]),
)


@st.composite
def listings(draw: st.DrawFn, *, counted: bool = False) -> Listing:
    """The full elements of a library, the counts that its head line tells, and its listing."""
    drives, slots = draw(st.integers(0, 3)), draw(st.integers(0, 12))
    total = drives + slots or 1
    slots = total - drives
    ports = draw(st.integers(0, slots))
    full = draw(st.lists(st.booleans(), min_size=total, max_size=total))
    tags = draw(st.lists(VOLSER, min_size=total, max_size=total, unique_by=lambda tag: tag[:6]))
    pad = " " * draw(st.sampled_from([0, 24]))
    lines, elements = [], []
    for index, tag in enumerate(tags):
        kind, number, home = "drive", index, draw(st.none() | st.integers(1, 99)) if full[index] else None
        loaded = f"Storage Element {home}" if home else "Unknown Storage Element"
        place, state, equals = f"Data Transfer Element {number}", f"Full ({loaded} Loaded)", " = "
        if index >= drives:
            number, home = index - drives + 1, None
            kind = "import/export" if number > slots - ports else "storage"
            port = " IMPORT/EXPORT" if kind == "import/export" else ""
            place, state, equals = f"      Storage Element {number}{port}", "Full ", "="
        seen = "" if draw(st.integers(0, 4)) == 0 else tag
        label = f":VolumeTag{equals}{seen}{pad}" if seen else ""
        lines.append(f"{place}:{state if full[index] else 'Empty'}{label}\n")
        if full[index]:
            elements.append((kind, number, seen, home))
    tells = counted or draw(st.booleans())
    head = f"{drives} Drives, {slots} Slots ( {ports} Import/Export )\n" if tells else "\n"
    return elements, (drives, slots) if tells else (None, None), head + "".join(lines)


def whole(rendered: str) -> str:
    return "  Storage Changer /dev/sg0:" + rendered


@given(listings())
def test_any_library_is_read_back(case: Listing) -> None:
    elements, counts, rendered = case
    library = mtx.read(whole(rendered))
    assert (library.drives, library.slots) == counts
    found = [(c.kind, c.slot, c.volser, c.home) for c in library.cartridges]
    assert found == [element for element in elements if element[2]]
    assert [(s.kind, s.number) for s in library.unlabelled] == [e[:2] for e in elements if not e[2]]
    assert all(c.cleaning for c in library.cartridges if c.volser.startswith("CLN"))
    lines = whole(rendered).split("\n")
    assert all(c.volser in lines[c.line - 1] for c in library.cartridges)


@given(listings(counted=True), st.data())
def test_no_part_of_a_counted_listing_passes_for_the_whole(case: Listing, data: st.DataObject) -> None:
    *_, rendered = case
    text = whole(rendered)
    lines = text.splitlines(keepends=True)
    drop = data.draw(st.integers(1, len(lines) - 1))
    refused("".join(lines[:drop] + lines[drop + 1 :]))
    refused("".join(lines[:drop]))
    refused("".join(lines[drop:]))


@given(listings(counted=True), st.data())
def test_a_listing_cut_anywhere_is_refused_or_says_the_same(case: Listing, data: st.DataObject) -> None:
    *_, rendered = case
    text = whole(rendered)
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        library = mtx.read(cut)
    except Unreadable:
        return
    assert library == mtx.read(text)


PIECES = re.findall(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]", SEVEN + PORTS)


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join) | st.binary())
@example("Storage Changer " + ":" * 3000)
@example("Storage Changer x:1" + " " * 3000 + "x")
@example(HEAD + "Data Transfer Element 0:Full (Storage Element 1 Loaded)" + " " * 3000 + ":VolumeTag")
@example(HEAD + "Storage Element 1:Full :VolumeTag=" + "A " * 3000 + ":")
def test_nothing_but_a_refusal_comes_of_other_text(text: str | bytes) -> None:
    with contextlib.suppress(Unreadable):
        mtx.read(text)
