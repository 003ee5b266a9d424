"""The auditor's report on paper: the verdict first, then what it is a verdict on, then all that was found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from reportlab.platypus import Flowable

from custody.audit.report import STEPS, Report
from custody.strict import time_text
from custody.writers import pdf
from custody.writers.pdf import Column

SHOWN: Final = 500
"""Findings that are printed: more than anybody reads, and the other forms have them all."""
MEANING: Final = {
    "weaker": "allowed by this log's own set-up, and weaker than the rule",
    "set-up": "a device that one person alone let in, before the set-up was closed",
    "waiting": "a hand-off whose predecessor has not come",
    "disputed": "a hand-off in which something cannot be: evidence that was kept, no fault of the ledger",
    "late": "a rung that was recorded late",
    "clock": "the log's time is not the one of people's own devices, or of its witnesses",
    "nobody": "a rung, or a role on it, with nobody who could be told",
    "untold": "who was left out of a rung, or added to it; what was owed and not recorded",
    "unsent": "notices that no relay has accepted",
    "note": "how far anything but the log itself vouches for it",
}
"""What the words at the head of a finding say."""


def audit_report(report: Report) -> bytes:
    """The PDF of a report, A4; the same bytes for the same report."""
    as_of = "no entry was judged" if report.last is None else f"judged up to {time_text(report.last)}"
    furniture = pdf.Furniture("Audit of a ledger", report.origin or "not read", as_of)
    return pdf.document(furniture, list(_blocks(report)))


def _blocks(report: Report) -> Iterator[Flowable]:
    yield pdf.title(f"Audit: {report.verdict}")
    head, _, rest = report.sentence.partition(", ")
    yield pdf.box(f"{head.upper()}: {rest}", _vouched(report), solid=not report.sound)
    yield pdf.fields(_facts(report))
    yield from pdf.heading("The eight steps")
    yield pdf.table(
        [Column("Step", 14), Column("Outcome", 36), Column("What it judges", 130)],
        [[str(step), outcome, about] for step, outcome, about in report.outcomes()],
    )
    yield from _findings(report)
    yield pdf.paragraph(
        "This sheet proves nothing by itself: whoever doubts it judges the same bundle again, with the policy"
        " and the hash of the genesis that came to them by another way than the bundle.",
        pdf.SMALL,
    )


def _vouched(report: Report) -> str:
    if report.failed is not None:
        return f"Step {report.failed}: {STEPS[report.failed]}."
    if not report.vouched:
        return "No pin and no witness: consistent, not proved to be the only history."
    if report.vouched < report.size:
        return f"A pin vouches for the first {report.vouched:,} entries, and nothing for those after them."
    return "A pin or the witnesses vouch that this is the only history."


def _facts(report: Report) -> Iterator[tuple[str, str | Flowable]]:
    yield "log", report.origin or "not read"
    known = f", {report.known:,} of them judged by an earlier audit" if report.known else ""
    yield "entries", f"{report.size:,}{known}"
    if report.first is not None and report.last is not None:
        yield "time", f"{time_text(report.first)} to {time_text(report.last)}"
    yield "witnesses", ", ".join(report.witnesses) or "none"
    yield "pins", ", ".join(f"{size:,} entries" for size in report.pins) or "none"
    yield "policy, SHA-256", pdf.digest(report.policy)
    if report.genesis:
        yield "genesis", pdf.digest(report.genesis)
    compared = "as given" if report.genesis_compared else "another than was given"
    yield "genesis on paper", compared if report.genesis_given else "not compared"


def _findings(report: Report) -> Iterator[Flowable]:
    found = report.findings()
    shown = list(islice(found, SHOWN))
    yield from pdf.heading("What was found beside the verdict")
    if not shown:
        yield pdf.paragraph("Nothing.")
        return
    yield pdf.table(
        [Column("Is", 18), Column("What was found", 162)], [[kind, words] for kind, words in shown]
    )
    rest = sum(1 for _ in found)
    if rest:
        yield pdf.paragraph(f"{pdf.count(rest, 'finding', 'findings')} more: --format text has them all.")
    kinds = dict.fromkeys(finding.kind for finding in shown)
    yield pdf.paragraph("; ".join(f"{kind}: {MEANING[kind]}" for kind in kinds) + ".", pdf.SMALL)
