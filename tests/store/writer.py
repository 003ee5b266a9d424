"""One life of a process that writes: page after page, and a word after each that was acknowledged.

python -m store.writer FOLDER FIRST PAGES          the words go to standard output, a number a line
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from world import START

from custody.errors import NoRoom, Untrusted
from custody.facts import SiteOpened
from custody.store import home

EACH = 5
"""Events on a page."""
STOPPED = 3
"""The exit code of a process that trusts its book no more."""


def names(page: int) -> list[str]:
    return [f"S{page}-{number}" for number in range(EACH)]


def write(folder: str, first: int, pages: int, acknowledged: Callable[[int], Any]) -> None:
    """Opens the book and fills pages. Of a page that finds the disk full nothing stays; the next is tried."""
    try:
        _write(folder, first, pages, acknowledged)
    except Untrusted:
        sys.exit(STOPPED)


def _write(folder: str, first: int, pages: int, acknowledged: Callable[[int], Any]) -> None:
    book = home.open_book(Path(folder), lambda: START + timedelta(days=3), secrets.token_bytes)
    for number in range(first, first + pages):
        try:
            with book.page("console") as page:
                for name in names(number):
                    page.record(SiteOpened("P-1", name, "UTC"))
        except NoRoom:
            continue
        acknowledged(number)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), lambda number: os.write(1, b"%d\n" % number))
