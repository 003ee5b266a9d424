"""The reader of inventories: what a spreadsheet can do to a table, and that nothing comes in half."""

import contextlib
import csv
import io
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from custody.errors import Unreadable
from custody.readers import inventory
from custody.readers.inventory import Row

HEAD = "volser,data set,title,people,classification,copies,key\n"
PAYROLL = 'ABC001L6,PAY,Payroll 2008,"64,000-76,000",confidential,no,KEK-2008-1\n'


def refused(text: str | bytes) -> list[str]:
    """The problems, one a line."""
    with pytest.raises(Unreadable) as caught:
        inventory.read(text if isinstance(text, bytes) else text.encode())
    return str(caught.value).split("\n")


def people(cell: str) -> tuple[int, int] | None:
    return inventory.read(f'volser,data set,title,people\nABC001L6,PAY,Payroll,"{cell}"'.encode())[0].people


def test_a_row_with_everything() -> None:
    assert inventory.read((HEAD + PAYROLL).encode()) == (
        Row(2, "ABC001L6", "PAY", "Payroll 2008", (64000, 76000), "confidential", False, "KEK-2008-1"),
    )


def test_a_row_with_no_more_than_it_needs() -> None:
    assert inventory.read("volser,data set,title,people\nABC001L6,PAY,薪金,\n".encode()) == (
        Row(2, "ABC001L6", "PAY", "薪金", None, classification="", copies=None, key=""),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"People;TITLE;Data Set;Volser\r\n7;Trials; T1 ;ABC001L6\r\n\r\n;;;\r\n8;Trials;T2;ABC001L6\r\n",
        b"people\ttitle\tdata_set\tvolser\n7\tTrials\tT1\tABC001L6\n\n\n8\tTrials\tT2\tABC001L6",
        b'\xef\xbb\xbf"people",title, "data set",Volser\r7, "Trials",T1,ABC001L6\r\r\r8,Trials,T2,ABC001L6',
        b"sep=;\nvolser;dataset;title;people\nABC001L6;T1;Trials;7\nABC001L6;T2;Trials;8\n",
        b"\n,,,,\nvolser,data-set,title,people,\nABC001L6,T1,Trials,7,\n,,,,\nABC001L6,T2,Trials,8,\n",
    ],
)
def test_the_same_rows_however_it_was_saved(data: bytes) -> None:
    rows = inventory.read(data)
    assert [(row.volser, row.dataset, row.title, row.people) for row in rows] == [
        ("ABC001L6", "T1", "Trials", (7, 7)),
        ("ABC001L6", "T2", "Trials", (8, 8)),
    ]
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert [b"T1" in lines[rows[0].line - 1], b"T2" in lines[rows[1].line - 1]] == [True, True]


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("", None),
        (" Unknown ", None),
        ("0", (0, 0)),
        ("64000", (64000, 64000)),
        ("64,000", (64000, 64000)),
        ("1,264,000", (1264000, 1264000)),
        ("64 000", (64000, 64000)),
        ("64\u202f000", (64000, 64000)),
        ("64'000", (64000, 64000)),
        ("64000-76000", (64000, 76000)),
        ("64,000 \u2013 76,000", (64000, 76000)),
        ("0-5", (0, 5)),
    ],
)
def test_how_many_people(cell: str, meant: tuple[int, int] | None) -> None:
    assert people(cell) == meant


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "-",
            "-5",
            "5-",
            "1-2-3",
            "64k",
            "~64000",
            "64.000",
            "6.4E+04",
            "64000.0",
            "0,064",
            "64,00",
            "6,4000",
        ),
        *(
            "1,264 000",
            ",000",
            "64,000,",
            "many",
            "n/a",
            "1-May",
            "\u0666\u0664",
            "99999999999",
            "1,000,000,000,000",
        ),
    ],
)
def test_a_number_that_may_mean_another_is_refused(cell: str) -> None:
    assert refused(HEAD + f'ABC001L6,PAY,Payroll,"{cell}",,,')[1].startswith("Line 2, people: ")


def test_a_range_the_wrong_way_round() -> None:
    assert "begin with the smaller number" in refused(HEAD + "ABC001L6,PAY,Payroll,76000-64000,,,")[1]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (",PAY,Payroll,1,,,", "Line 2, volser: '' is no volser"),
        ("ABC001L6/,PAY,Payroll,1,,,", "Line 2, volser: 'ABC001L6/' is no volser: one to sixteen capital"),
        *(
            (
                f"{cell},PAY,Payroll,1,,,",
                f"Line 2, volser: '{cell}' looks like a volser that a spreadsheet took",
            )
            for cell in ("Mar-01", "01-Mrz", "1. Mai", "déc-01", "02.01.2024", "2024-01-02", "1.10", "12e45")
        ),
        ("ABC 001,PAY,Payroll,1,,,", "Line 2, volser: 'ABC 001' is no volser"),
        ("711,PAY,Payroll,1,,,", "Line 2, volser: '711' looks like a volser that a spreadsheet took"),
        ("1.23E+47,PAY,Payroll,1,,,", "Line 2, volser: '1.23E+47' looks like"),
        ("A" * 33 + ",PAY,Payroll,1,,,", "Line 2, volser: 33 characters, but at most 32"),
        ('"=""000711L4""",PAY,Payroll,1,,,', "Line 2, volser: '=\"000711L4\"' is a formula"),
        ("ABC001L6,PAY,=A2&B2,1,,,", "Line 2, title: '=A2&B2' is a formula"),
        ("ABC001L6,PAY,Payroll,=SUM(A1),,,", "Line 2, people: '=SUM(A1)' is a formula"),
        ("ABC001L6,#N/A,Payroll,1,,,", "Line 2, data set: '#N/A' is a spreadsheet's error"),
        ("ABC001L6,PAY,####,1,,,", "Line 2, title: '####' is a spreadsheet's error"),
        ("ABC001L6,,Payroll,1,,,", "Line 2, data set: must not be empty"),
        ("ABC001L6,PAY, ,1,,,", "Line 2, title: must not be empty"),
        ("ABC001L6,PAY," + "x" * 201 + ",1,,,", "Line 2, title: 201 characters, but at most 200"),
        ('ABC001L6,PAY,"Pay\nroll",1,,,', "Line 2, title: 'Pay\\nroll' holds a line end"),
        ("ABC001L6,PAY,Pay\u202eroll,1,,,", "Line 2, title: 'Pay\\u202eroll' holds a line end or another"),
        ("ABC001L6,PAY,Payroll,1,,maybe,", "Line 2, copies: 'maybe' should be 'yes', 'no' or 'unknown'"),
        ("ABC001L6,PAY,Payroll,64,000,,,", "Line 2 has 8 cells where the heading has 7"),
        ("ABC001L6,PAY,Payroll", "Line 2 has 3 cells where the heading has 7"),
    ],
)
def test_what_is_wrong_with_a_cell_is_told_by_line_and_column(cells: str, problem: str) -> None:
    told = refused(HEAD + cells)
    assert told[0] == "Nothing was taken in."
    assert told[1].startswith(problem)
    assert len(told) == 2


@pytest.mark.parametrize(
    ("cell", "volser"),
    [("abc001l6", "ABC001L6"), ("CTAPE-00001", "CTAPE-00001"), ("A01", "A01"), ("2024-001", "2024-001")],
)
def test_a_volser_is_the_one_that_a_library_would_report(cell: str, volser: str) -> None:
    (row,) = inventory.read((HEAD + f"{cell},PAY,Payroll,1,,,").encode())
    assert row.volser == volser


@pytest.mark.parametrize("answer", ["yes", "no", "unknown", "", "YES", "No"])
def test_whether_other_copies_exist(answer: str) -> None:
    (row,) = inventory.read((HEAD + f"ABC001L6,PAY,Payroll,1,,{answer},").encode())
    assert row.copies is {"yes": True, "no": False}.get(answer.lower())


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("volser,data set,title,people,phone\n", "Line 1: 'phone' is not a column of an inventory"),
        ("volser,data set,title\n", "Line 1: the column 'people' is missing from the heading."),
        ("volser,data set,title,people,Volser\n", "Line 1: the column 'volser' stands twice"),
        ("ABC001L6,PAY,Payroll,1\n", "Line 1: 'ABC001L6' is not a column"),
        ("", "Line 1: the column 'volser' is missing"),
        ("\n\nvolser|data set|title|people\n", "Line 3: 'volser|data set|title|people' is not a column"),
        (HEAD, "Line 1 is a heading, but no row follows it."),
    ],
)
def test_what_is_wrong_with_the_heading(head: str, problem: str) -> None:
    assert refused(head)[1].startswith(problem)


def test_a_value_under_no_heading() -> None:
    told = refused("volser,data set,title,people,\nABC001L6,PAY,Payroll,1,\nABC002L6,PAY,Payroll,1,secret\n")
    assert told[1:] == ["Line 3: 'secret' stands under no heading."]


def test_the_same_tape_twice_for_one_data_set_names_both_lines() -> None:
    told = refused(HEAD + PAYROLL + PAYROLL.replace("PAY,", "TAX,") + PAYROLL)
    assert told[1:] == ["Line 4: volser ABC001L6 stands in line 2 already, with the same data set PAY."]


def test_all_problems_are_told_at_once_but_not_more_than_ten() -> None:
    rows = "".join(f"ABC{number:03}L6,PAY,,many,,,\n" for number in range(6))
    told = refused(HEAD + rows)
    assert told[1].startswith("Line 2, title")
    assert told[2].startswith("Line 2, people")
    assert told[10].startswith("Line 6, people")
    assert told[11:] == ["And 2 more problems."]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    told = refused(HEAD + 'ABC001L6,PAY,"Pay\n\nroll",1,,,\n' + PAYROLL + "ABC001L6,TAX,Tax,many,,,\n")
    assert [problem.partition(",")[0] for problem in told[1:]] == ["Line 2", "Line 6"]


def test_one_wrong_row_keeps_all_others_out() -> None:
    assert len(refused(HEAD + PAYROLL + "ABC002L6,PAY,Payroll,many,,,\n")) == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ((HEAD + "ABC001L6,PAY,Löhne,1,,,").encode("latin-1"), "Line 2 is not UTF-8 text"),
        ((HEAD + PAYROLL).encode("utf-16"), "Line 1 is not UTF-8 text"),
        ((HEAD + PAYROLL + 'ABC002L6,PAY,"Payroll,1,,,\n' + PAYROLL).encode(), "Line 3 cannot be parted"),
        ((HEAD + 'ABC001L6,PAY,"Pay" roll,1,,,\n').encode(), "Line 2 cannot be parted"),
        ((HEAD + "ABC001L6,PAY," + "x" * 200_000 + ",1,,,\n").encode(), "Line 2 cannot be parted"),
    ],
)
def test_what_is_no_table_of_text(data: bytes, problem: str) -> None:
    assert refused(data)[0].startswith(problem)


# --- any inventory at all -------------------------------------------------------------------------------

ALPHANUMERIC = string.ascii_uppercase + string.digits
WORD = st.text(string.ascii_letters + " ,;\t\"'薪金-", max_size=20).map(
    lambda text: f"x{text}x".replace("\t", ";")
)
PEOPLE = st.none() | st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(
    lambda pair: (min(pair), max(pair))
)
ROW = st.builds(
    Row,
    line=st.just(0),
    volser=st.text(ALPHANUMERIC, min_size=3, max_size=6).map(lambda text: text + "L6"),
    dataset=WORD,
    title=WORD,
    people=PEOPLE,
    classification=WORD | st.just(""),
    copies=st.sampled_from([True, False, None]),
    key=WORD | st.just(""),
)


@given(
    st.lists(ROW, min_size=1, max_size=5, unique_by=lambda row: (row.volser, row.dataset)),
    st.permutations(["volser", "data set", "title", "people", "classification", "copies", "key"]),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_any_inventory_is_read_back(
    rows: list[Row], heading: list[str], delimiter: str, line_end: str, encoding: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(heading)
    for row in rows:
        cells = {
            "people": "" if row.people is None else f"{row.people[0]}-{row.people[1]}",
            "copies": {True: "yes", False: "no", None: "unknown"}[row.copies],
            "data set": row.dataset,
        }
        writer.writerow(cells[name] if name in cells else getattr(row, name) for name in heading)
    found = inventory.read(out.getvalue().encode(encoding))
    assert [row.line for row in found] == list(range(2, len(rows) + 2))
    assert [(r.volser, r.dataset, r.title, r.people, r.classification, r.copies, r.key) for r in found] == [
        (r.volser, r.dataset, r.title, r.people, r.classification, r.copies, r.key) for r in rows
    ]


CELLS = [
    "volser",
    "data set",
    "title",
    "people",
    "ABC001L6",
    "7",
    '"',
    ",",
    ",",
    ",",
    ";",
    "\n",
    "\r",
    "\0",
    "=",
    "x",
]


@given(st.binary() | st.lists(st.sampled_from(CELLS)).map(lambda pieces: "".join(pieces).encode()))
@example(b"\0")
@example(b'"')
@example(HEAD.encode() + b"," * 100_000)
def test_nothing_but_rows_or_a_refusal_comes_of_other_bytes(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert inventory.read(data)
