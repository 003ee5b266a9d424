"""What stands on the label of each thing: the words for `labels.sheet`, which knows nothing of custody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from custody.errors import Conflict
from custody.rules.media import Medium
from labels import identity, volser
from labels.sheet import Label, Spine, Stock, Unprintable

LETTERS: Final = {"medium": "M", "case": "C", "seal": "S"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What can be printed of what was asked for, each thing with its label, and why the rest cannot."""

    things: tuple[Medium, ...]
    labels: tuple[Label | Spine, ...]
    left_out: tuple[str, ...]


def labels_for(things: Iterable[Medium], stock: Stock, host: str, phone: str) -> Chosen:
    """A label for each thing that this stock can carry.

    `phone` is printed on cases, for a finder without a scanner. Conflict where a QR code has no host yet, or
    nothing at all can be printed; `identity.UnusableHost` where the host cannot stand on a label.
    """
    if stock.kind == "qr":
        if not host:
            raise Conflict(
                "No host for labels is set (CUSTODY_LABEL_HOST): it is for ever, so choose it first."
            )
        identity.judge_host(host)
    found: list[tuple[Medium, Label | Spine]] = []
    left_out = []
    for thing in things:
        try:
            label = _spine(thing) if stock.kind == "code39" else _label(thing, host, phone)
            stock.check(label)
            found.append((thing, label))
        except Unprintable as problem:
            left_out.append(f"{thing.called} ({thing.id}): {problem}")
    if left_out and not found:
        raise Conflict("\n".join(left_out[:10]))
    return Chosen(tuple(t for t, _ in found), tuple(label for _, label in found), tuple(left_out))


def _label(thing: Medium, host: str, phone: str) -> Label:
    kind = thing.what.upper() if thing.what != "medium" else thing.form
    return Label(
        thing.id,
        identity.url(host, LETTERS[thing.what], thing.id),
        tuple(line for line in (kind, thing.site) if line),
        title=thing.volser or thing.short or "",
        phone=phone if thing.what == "case" else "",
    )


def _spine(thing: Medium) -> Spine:
    if thing.volser is None:
        raise Unprintable("It has no volser to print on a spine. Print it on another stock.")
    if not volser.is_lto_spine(thing.spine):
        lacks = "Its volser is none of an LTO cartridge, which has six letters or digits and the media id."
        if volser.is_lto_spine(f"{thing.spine}L1"):
            lacks = "The books have it without the media id (such as L8), and do not say which kind it is."
        raise Unprintable(f"{lacks} Print it on another stock.")
    return Spine(thing.spine)
