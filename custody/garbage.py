"""How seldom Python searches for garbage that refers to itself; whatever else is garbage goes at once.

A search goes through what lives, and every thread waits for it: 130 ms where a book has kept its nouns in
memory, which by themselves never refer to each other. An audit spent a tenth of its time on it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Final

SELDOM: Final = 100_000
"""New objects from one search to the next, where Python has 700."""


def search_seldom() -> None:
    """For as long as this process lives."""
    gc.set_threshold(SELDOM)


@contextlib.contextmanager
def searched_seldom() -> Iterator[None]:
    """For as long as the block lasts."""
    before = gc.get_threshold()
    search_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
