"""Which lines of a manifest were read, by the codes in a photograph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from custody.rules.cases import Packing
from custody.rules.media import Medium
from labels import identity
from scanner_app.decode import Code

_VOLSER = re.compile(r"[A-Z0-9]{4,16}")
"""What could be a volser (`custody.facts.Volser`), and so a cartridge that does not belong there."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What a photograph shows of a consignment.

    `lines` are numbers of the manifest's lines, ascending. `case` and `seal` tell whether theirs were seen.
    `unsure` are codes to be read again, each with why; `strange` are labels and volsers that are not on the
    manifest. A code that is neither ours nor a cartridge's is left out: boxes are full of those.
    """

    lines: tuple[int, ...]
    case: bool
    seal: bool
    unsure: tuple[str, ...]
    strange: tuple[str, ...]


def match(codes: Iterable[Code], media: Sequence[Medium], packing: Packing | None) -> Matched:
    """Holds the codes against the manifest: a label by its id, a spine by its volser.

    Code 39 has no check character. So a spine counts only if it was read twice alike, and if one line alone
    has this volser.
    """
    line_of = {thing.id: number for number, thing in enumerate(media, start=1)}
    case, seal = (packing.case, packing.seal) if packing else ("", "")
    lines, ids, unsure, strange = set(), set(), [], []
    for code in codes:
        if code.symbology == "qr":
            if (label := identity.read(code.text)) is not None:
                ids.add(label[1])
            continue
        spines = [number for number, thing in enumerate(media, start=1) if thing.volser == code.text]
        if len(spines) > 1:
            unsure.append(f"{code.text} stands on {len(spines)} lines: read the label")
        elif spines and code.settled:
            lines.add(spines[0])
        elif spines:
            unsure.append(f"{code.text} was read only once: take it again, closer")
        elif code.settled and _VOLSER.fullmatch(code.text):
            strange.append(code.text)
    strange += sorted(ids - line_of.keys() - {case, seal})
    lines |= {line_of[name] for name in ids & line_of.keys()}
    still_open = {thing.volser for number, thing in enumerate(media, start=1) if number not in lines}
    unsure = [words for words in unsure if words.partition(" ")[0] in still_open]
    return Matched(tuple(sorted(lines)), case in ids, seal in ids, tuple(unsure), tuple(strange))
