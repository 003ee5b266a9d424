"""Which lines of a manifest were read, by the codes in a photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from custody.rules.cases import Packing
from custody.rules.media import Medium
from labels import identity, volser
from scanner_app.decode import Code


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

    Code 39 has no check character. So a spine counts only if it was read twice alike, and if it can be one
    line alone. A line may have the volser with the media id or without (`labels.volser.same`).
    """
    line_of = {thing.id: number for number, thing in enumerate(media, start=1)}
    spines = volser.Index((thing.spine, line_of[thing.id]) for thing in media if thing.spine)
    case, seal = (packing.case, packing.seal) if packing else ("", "")
    read, ids, strange = set(), set(), []
    unsure: list[tuple[list[int], str]] = []
    for code in codes:
        if code.symbology == "qr":
            if (label := identity.read(code.text)) is not None:
                ids.add(label[1])
            continue
        lines = spines.find(code.text)
        if len(lines) > 1:
            unsure.append((lines, f"{code.text} could be any of {len(lines)} lines: read the label"))
        elif lines and code.settled:
            read.add(lines[0])
        elif lines:
            unsure.append((lines, f"{code.text} was read only once: take it again, closer"))
        elif code.settled and _is_volser(code.text):
            strange.append(code.text)
    strange += sorted(ids - line_of.keys() - {case, seal})
    read |= {line_of[name] for name in ids & line_of.keys()}
    again = tuple(words for lines, words in unsure if not read.issuperset(lines))
    return Matched(tuple(sorted(read)), case in ids, seal in ids, again, tuple(strange))


def _is_volser(text: str) -> bool:
    """Whether it could stand on a cartridge, which then does not belong there."""
    try:
        return volser.check(text) == text
    except volser.NotAVolser:
        return False
