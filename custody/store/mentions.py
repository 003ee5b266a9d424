"""What a fact speaks of: the subjects under which it is found again, and the texts that it commits to."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from custody.facts import Fact, Item

_MEMBERS: Final = ("consignment", "case", "seal", "item", "alarm", "incident", "person", "hand_off")
_MANY: Final = ("media", "items", "extra")
_TEXTS: Final = ("answer", "contact", "reason", "report", "title")


def mentions(fact: Fact) -> set[str]:
    """The ids of media, cases, seals, consignments, alarms, incidents and people in this fact."""
    subjects: set[str] = set()
    for field in fields(fact):
        value = getattr(fact, field.name)
        if field.name in _MEMBERS and value is not None:
            subjects.add(value)
        elif field.name in _MANY:
            subjects.update(item.id if isinstance(item, Item) else item for item in value)
    return subjects


def commitments(fact: Fact) -> set[str]:
    """The commitments in this fact to texts that are kept outside the ledger."""
    return {text for name in _TEXTS if (text := getattr(fact, name, None)) is not None}
