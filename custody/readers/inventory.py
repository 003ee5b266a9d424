"""What is on the tapes: a table kept in a spreadsheet, saved as CSV.

One row says that a tape holds (part of) a data set, and about how many people that data set speaks.
These rows decide what a regulator is told when the tape is lost, so a file is taken in whole or not at
all: a number that a spreadsheet garbled must never come in as a smaller one, a blank never as 0. The
problems of a file are told together, by line, so that it can be mended in one go.

The heading line may have any order and case: `volser`, `data set` (its code), `title`, `people` and, if
wished, `classification`, `copies` (do other copies exist?), `key` (which key opens it).
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from custody.errors import Unreadable
from labels import volser


@dataclass(frozen=True, slots=True)
class Row:
    """One tape's share in one data set. `line` counts from 1, the heading being a line too.

    `people` is the least and the greatest number of persons, None where unknown. `copies` says whether
    other copies exist, None where unknown. `classification` and `key` are empty where nothing was said.
    """

    line: int
    volser: str
    dataset: str
    title: str
    people: tuple[int, int] | None
    classification: str = ""
    copies: bool | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its heading, what makes a value of a cell or raises ValueError, its cells' longest text."""

    heading: str
    read: Callable[[str], Any]
    longest: int
    required: bool = True


def read(data: bytes) -> tuple[Row, ...]:
    """The rows of an inventory in the file's order, at least one.

    Cells are parted by comma, semicolon or tab; a byte-order mark and any line ends are read over. Raises
    Unreadable, its text one line a problem and at most ten problems, where anything in the file cannot be
    taken exactly as it stands.
    """
    (head_line, head), *body = _table(_decode(data)) or [(1, [])]
    columns = _columns(head_line, head)
    problems: list[str] = []
    rows = [row for line, cells in body if (row := _row(line, cells, columns, problems))]
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        line = first.setdefault((row.volser, row.dataset), row.line)
        if line != row.line:
            problems.append(
                f"Line {row.line}: volser {row.volser} stands in line {line} already, "
                f"with the same data set {row.dataset}."
            )
    if not body:
        problems.append(f"Line {head_line} is a heading, but no row follows it.")
    _refuse(problems)
    return tuple(rows)


def _decode(data: bytes) -> str:
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"Line {line} is not UTF-8 text. In the spreadsheet, save the table as 'CSV UTF-8'. "
            "Nothing was taken in."
        ) from error


def _table(text: str) -> list[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of the line where it begins; cells without outer blanks.

    A quote that is never closed puts all that follows in doubt, so it is told alone.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True, strict=True
    )
    table, begins = [], 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            marker = begins == 1 and cells[:1] == ["sep="]  # how Excel notes the delimiter for itself
            if any(cells) and not marker:
                table.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(
            f"Line {begins} cannot be parted into cells ({error}): is a quotation mark left open? "
            "Nothing was taken in."
        ) from error
    return table


def _delimiter(text: str) -> str:
    """The one of comma, semicolon and tab that finds the most headings."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("sep="))
    head = next(lines, "")
    return max(",;\t", key=lambda mark: sum(_heading(cell) in _COLUMNS for cell in head.split(mark)))


def _heading(cell: str) -> str:
    """`"Data set"`, `data_set` and `DATASET` are the same column."""
    return re.sub(r"[\s\"_-]", "", cell).lower()


def _columns(line: int, head: list[str]) -> list[str]:
    """The columns' names from left to right, empty where a column has no heading."""
    names = [_heading(cell) for cell in head]
    known = ", ".join(f"'{column.heading}'" for column in _COLUMNS.values())
    problems = [
        f"Line {line}: {_quote(cell)} is not a column of an inventory; known are {known}."
        for cell, name in zip(head, names, strict=True)
        if name and name not in _COLUMNS
    ]
    for name, column in _COLUMNS.items():
        if column.required and name not in names:
            problems.append(f"Line {line}: the column '{column.heading}' is missing from the heading.")
        if names.count(name) > 1:
            problems.append(f"Line {line}: the column '{column.heading}' stands twice in the heading.")
    _refuse(problems)
    return names


def _row(line: int, cells: list[str], columns: list[str], problems: list[str]) -> Row | None:
    """The row, or None where it has a problem, which is then noted."""
    # Never made to fit: 64,000 without quotation marks is two cells, and would come in as 64 people.
    if len(cells) != len(columns):
        problems.append(
            f"Line {line} has {len(cells)} cells where the heading has {len(columns)}: "
            "does a cell hold a comma without quotation marks?"
        )
        return None
    before = len(problems)
    found: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        try:
            if name:
                found[name] = _value(_COLUMNS[name], cell)
            elif cell:
                problems.append(f"Line {line}: {_quote(cell)} stands under no heading.")
        except ValueError as problem:
            problems.append(f"Line {line}, {_COLUMNS[name].heading}: {problem}")
    return Row(line, **found) if len(problems) == before else None


def _value(column: _Column, cell: str) -> Any:
    if len(cell) > column.longest:
        raise ValueError(f"{len(cell)} characters, but at most {column.longest} are kept.")
    if cell.startswith("="):
        raise ValueError(f"{_quote(cell)} is a formula; put its value there.")
    if _SPREADSHEET_ERROR.fullmatch(cell):
        raise ValueError(f"{_quote(cell)} is a spreadsheet's error, not a value.")
    if any(unicodedata.category(letter) in _INVISIBLE for letter in cell):
        raise ValueError(f"{_quote(cell)} holds a line end or another invisible character.")
    return column.read(cell)


def _volser(cell: str) -> str:
    if _GARBLED.fullmatch(cell):
        raise ValueError(
            f"{_quote(cell)} looks like a volser that a spreadsheet took for a number or a date; "
            "format the column as text and type it anew."
        )
    return volser.check(cell)


def _name(cell: str) -> str:
    if not cell:
        raise ValueError("must not be empty.")
    return cell


def _people(cell: str) -> tuple[int, int] | None:
    if cell.casefold() in {"", "unknown"}:
        return None
    bounds = re.split(r"\s*[-\u2013]\s*", cell)
    if len(bounds) > 2 or not all(_NUMBER.fullmatch(bound) for bound in bounds):
        raise ValueError(
            f"{_quote(cell)} should be a whole number (64000), a range (64000-76000) or 'unknown'."
        )
    least, most = (int(re.sub(r"[^0-9]", "", bound)) for bound in (bounds[0], bounds[-1]))
    if least > most:
        raise ValueError(f"the range {_quote(cell)} should begin with the smaller number.")
    return least, most


def _copies(cell: str) -> bool | None:
    answers = {"yes": True, "no": False, "unknown": None, "": None}
    if cell.casefold() not in answers:
        raise ValueError(f"{_quote(cell)} should be 'yes', 'no' or 'unknown'.")
    return answers[cell.casefold()]


def _refuse(problems: list[str]) -> None:
    if problems:
        more = [f"And {len(problems) - _TOLD} more problems."] if len(problems) > _TOLD else []
        raise Unreadable("\n".join(["Nothing was taken in.", *problems[:_TOLD], *more]))


def _quote(cell: str) -> str:
    return repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "...")


_COLUMNS = {
    "volser": _Column("volser", _volser, 32),
    "dataset": _Column("data set", _name, 64),
    "title": _Column("title", _name, 200),
    "people": _Column("people", _people, 64),
    "classification": _Column("classification", str, 64, required=False),
    "copies": _Column("copies", _copies, 64, required=False),
    "key": _Column("key", str, 200, required=False),
}
_TOLD = 10  # problems in one answer
_SHOWN = 40  # characters of a cell that a problem repeats
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}
_SPREADSHEET_ERROR = re.compile(r"#(?:#+|N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!)")
# 000711 became 711, 123E45 1.23E+47, 1-2-24 02.01.2024, 1.10 a decimal number; MAR001 became Mar-01 or in
# another language 1. Mrz, a mark beside a small letter: a volser with marks is written in capitals.
_GARBLED = re.compile(
    r"[0-9]{1,5}|[0-9]+(?:[.,][0-9]+)?[Ee]\+?[0-9]+|[0-9]+[.,][0-9]+|[0-9]{1,4}([-./])[0-9]{1,2}\1[0-9]{1,4}"
    r"|(?=.*[-./ ])(?=.*[^\W\d_A-Z]).*"
)
# 64000, or in threes 64,000. Not 0,064 and not 64.000: those may be fractions.
_NUMBER = re.compile(
    r"[0-9]{1,10}|[1-9][0-9]{0,2}(?P<mark>[,' \u00a0\u2009\u202f\u2019])[0-9]{3}(?:(?P=mark)[0-9]{3}){0,2}"
)
