"""What stands on the label of each thing: the words for `labels.sheet`, which knows nothing of custody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from custody.errors import Conflict
from custody.rules.media import Medium
from labels import identity
from labels.sheet import Label, Spine, Stock

LETTERS: Final = {"medium": "M", "case": "C", "seal": "S"}


def labels_for(things: Iterable[Medium], stock: Stock, host: str, phone: str) -> list[Label] | list[Spine]:
    """A label for each thing on this stock.

    `phone` is printed on cases, for a finder without a scanner. Conflict where a QR code has no host yet, or
    where a spine is asked of what has no volser.
    """
    if stock.kind == "code39":
        return [Spine(_volser(thing)) for thing in things]
    if not host:
        raise Conflict("No host for labels is set (CUSTODY_LABEL_HOST): it is for ever, so choose it first.")
    return [
        Label(thing.id, identity.url(host, LETTERS[thing.what], thing.id), _lines(thing, phone))
        for thing in things
    ]


def _volser(thing: Medium) -> str:
    if thing.volser is None:
        raise Conflict(f"{thing.id} has no volser to print on a spine. Print it on another stock.")
    return thing.volser


def _lines(thing: Medium, phone: str) -> tuple[str, ...]:
    kind = thing.what.upper() if thing.what != "medium" else thing.volser
    return tuple(
        line for line in (kind, thing.form, thing.site, phone if thing.what == "case" else "") if line
    )
