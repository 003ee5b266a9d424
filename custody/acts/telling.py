"""Telling people of an event beside the ladder: recorded with the event, sent like every notice."""

from __future__ import annotations

from collections.abc import Iterable

from custody.facts import TOLD_MOST, Informed, Matter, Recipient
from custody.store.book import Page


def tell(page: Page, event: str, matter: Matter, people: Iterable[str]) -> None:
    """Each of these people, by number and once, is to be told of this event."""
    told = tuple(Recipient(person, "email") for person in dict.fromkeys(people))
    for start in range(0, len(told), TOLD_MOST) or (0,):
        page.record(Informed(event, matter, told[start : start + TOLD_MOST]))
