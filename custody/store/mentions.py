"""What a fact speaks of: the subjects under which it is found again, and the texts that it commits to."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, Final

from custody.facts import Fact, Item

_MEMBERS: Final = ("consignment", "case", "seal", "item", "alarm", "incident", "person", "hand_off")
_MANY: Final = ("media", "items", "extra")
_TEXTS: Final = ("answer", "contact", "reason", "report", "title")


def mentions(fact: Fact) -> set[str]:
    """The ids of media, cases, seals, consignments, alarms, incidents and people in this fact."""
    kind: Any = type(fact)
    one, many = _speaking(kind)
    subjects = {value for name in one if (value := getattr(fact, name)) is not None}
    for name in many:
        subjects.update(item.id if isinstance(item, Item) else item for item in getattr(fact, name))
    return subjects


@cache
def _speaking(kind: type[Fact]) -> tuple[list[str], list[str]]:
    names = [field.name for field in fields(kind)]
    return [name for name in names if name in _MEMBERS], [name for name in names if name in _MANY]


def commitments(fact: Fact) -> set[str]:
    """The commitments in this fact to texts that are kept outside the ledger."""
    return {text for name in _TEXTS if (text := getattr(fact, name, None)) is not None}
