"""The manifest on paper: what goes along with the case, to be counted by, and kept as a pin.

Nothing here says what is on the media: who reads over a courier's shoulder learns numbers and no more. There
is no line to sign, since no signature on paper counts; each hand-off is signed on both parties' own devices.
What the sheet is worth as evidence is its code: the log's newest signed checkpoint, in many hands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from custody.ledger.note import Checkpoint
from custody.writers import pdf
from custody.writers.pdf import Column


@dataclass(frozen=True, slots=True)
class Line:
    """One medium. `number` is its line, by which a hand-off names it when something is wrong with it."""

    number: int
    id: str
    volser: str | None
    form: str | None


@dataclass(frozen=True, slots=True)
class Signed:
    """Somebody's act: who by number and role, when it was received, its event id and its entry."""

    by: str
    at: datetime
    event: str
    seq: int


@dataclass(frozen=True, slots=True)
class Packing:
    """The case, the seal that closed it, and the packing that read each cartridge into it.

    `case` and `seal` are what stands on their labels for people: the number and the id in groups.
    """

    case: str
    seal: str
    packed: Signed


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that stands on a manifest.

    `zone` is the sending site's; `transit` is in minutes, None until the approval has frozen it, as is
    `approved`. `checkpoint` is the text of the newest signed note, and `genesis` the event id of entry 0.
    """

    origin: str
    genesis: str
    checkpoint: str
    as_of: datetime
    zone: str
    consignment: str
    withdrawn: bool
    route: str
    from_site: str
    to_site: str
    carrier: str
    pick_up_by: datetime
    transit: int | None
    packing: Packing | None
    media: tuple[Line, ...]
    requested: Signed
    approved: Signed | None


CODE_SIDE = 46 * mm


def manifest(sheet: Sheet) -> bytes:
    """The PDF of a manifest, A4, as many pages as its media need; the same bytes for the same sheet."""
    printed = f"Manifest {sheet.requested.event[:16]}, printed as of {pdf.moment(sheet.as_of, sheet.zone)}"
    furniture = pdf.Furniture(f"Manifest of {sheet.consignment}", sheet.origin, printed)
    return pdf.document(furniture, list(_blocks(sheet)))


def _blocks(sheet: Sheet) -> Iterator[Flowable]:
    yield pdf.title(f"{sheet.consignment}: {sheet.from_site} to {sheet.to_site}")
    if sheet.withdrawn:
        yield pdf.box("WITHDRAWN: the request was taken back, and nothing of it leaves the site.")
    elif sheet.approved is None:
        yield pdf.box(
            "NOT APPROVED: nothing of this may leave the site.", "A manager's signed approval comes first."
        )
    yield pdf.beside([_facts(sheet)], list(_pin(sheet)), CODE_SIDE + 4 * mm)
    yield from pdf.heading(f"{pdf.count(len(sheet.media), 'medium', 'media')} on this manifest")
    yield pdf.table(
        [
            Column("Seen", 14),
            Column("Line", 14),
            Column("Identity on the label", 60, mono=True),
            Column("Volser", 42, mono=True),
            Column("Form", 50),
        ],
        [
            [
                pdf.Box(),
                str(line.number),
                pdf.grouped(line.id),
                line.volser or "none",
                line.form or "not given",
            ]
            for line in sheet.media
        ],
    )
    yield pdf.paragraph(
        "The boxes help to count; a tick proves nothing. Anything missing, refused, damaged or extra is"
        " stated by its line number in the hand-off that both parties sign on their own devices.",
        pdf.SMALL,
    )
    yield from _signed(sheet)
    yield from _how_to_verify(sheet)


def _facts(sheet: Sheet) -> Flowable:
    rows = [
        ("Route", f"{sheet.route}: from {sheet.from_site} to {sheet.to_site}"),
        ("Carrier", sheet.carrier),
        ("Pick-up by", pdf.moment(sheet.pick_up_by, sheet.zone)),
        ("Due", _due(sheet)),
    ]
    if sheet.packing is None:
        rows.append(("Case and seal", "none: the media travel loose"))
    else:
        rows += [("Case", sheet.packing.case), ("Seal", sheet.packing.seal)]
    return pdf.fields(rows, width=pdf.WIDTH - CODE_SIDE - 8 * mm, label=27)


def _due(sheet: Sheet) -> str:
    if sheet.transit is None:
        return "set by the approval, which has not been given"
    latest = pdf.moment(sheet.pick_up_by + timedelta(minutes=sheet.transit), sheet.zone)
    return (
        f"{pdf.count(sheet.transit, 'minute', 'minutes')} after the signed pick-up, at the latest {latest}."
        " From then on the alarm rings by itself, until the receiving site's own signed receipt."
    )


def _pin(sheet: Sheet) -> Iterator[Flowable]:
    yield pdf.Code(sheet.checkpoint, CODE_SIDE)
    size = Checkpoint.of(sheet.checkpoint).size
    yield pdf.paragraph(
        f"A pin: the log's newest signed checkpoint, over {pdf.count(size, 'entry', 'entries')}, this"
        " manifest among them. Keep the sheet: a history that is rewritten or cut short later does not"
        " fit it.",
        pdf.SMALL,
    )


def _signed(sheet: Sheet) -> Iterator[Flowable]:
    """Who stands behind it, and why there is nothing to sign."""
    yield from pdf.heading("Signed in the system, not here")
    steps = [] if sheet.packing is None else [("Packed and sealed", sheet.packing.packed)]
    steps.append(("Requested (this manifest)", sheet.requested))
    if sheet.approved is not None:
        steps.append(("Approved", sheet.approved))
    yield pdf.table(
        [
            Column("What", 30),
            Column("Who", 36),
            Column("Received", 32),
            Column("Entry", 14),
            Column("Event id", 68),
        ],
        [
            [what, done.by, pdf.moment(done.at, sheet.zone), f"{done.seq:,}", pdf.digest(done.event)]
            for what, done in steps
        ],
    )
    yield pdf.paragraph(
        "There are no lines for signatures, because a signature on paper would count for nothing:"
        " packing, approval and each hand-off are signed with keys on people's own enrolled devices, the"
        " request is recorded for a person who was signed in. An event id is the SHA-256 of what was"
        " signed (its DSSE PAE); the manifest's is the one that every hand-off names.",
        pdf.SMALL,
    )


def _how_to_verify(sheet: Sheet) -> Iterator[Flowable]:
    yield from pdf.heading("How to verify")
    yield pdf.paragraph(
        "Read the code above with any QR reader and save its text, unchanged and with its last line's"
        " end, as the file pin. Then, with the bundle that the head or an auditor exports, and the policy"
        " and the genesis' hash that you were given by another way:",
        pdf.SMALL,
    )
    yield pdf.mono(
        f"python -m custody.audit bundle.zip --policy policy --pin pin \\\n--genesis {sheet.genesis}"
    )
    yield pdf.paragraph(
        "Compare the hash in this command with the one on your own paper before you use it. The answer"
        " begins with the steps that hold and ends with the verdict.",
        pdf.SMALL,
    )
