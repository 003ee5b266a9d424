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
    """A label for each thing on this stock; spines only of what has a volser.

    `phone` is printed on cases, for a finder without a scanner. Conflict where a QR code has no host yet.
    """
    if stock.kind == "code39":
        return [Spine(thing.volser) for thing in things if thing.volser]
    if not host:
        raise Conflict("No host for labels is set (CUSTODY_LABEL_HOST): it is for ever, so choose it first.")
    return [
        Label(thing.id, identity.url(host, LETTERS[thing.what], thing.id), _lines(thing, phone))
        for thing in things
    ]


def _lines(thing: Medium, phone: str) -> tuple[str, ...]:
    kind = thing.what.upper() if thing.what != "medium" else thing.volser
    return tuple(
        line for line in (kind, thing.form, thing.site, phone if thing.what == "case" else "") if line
    )
