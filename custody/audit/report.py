"""What the auditor found, in words and as JSON. FORMAT.md, "The report", has the JSON's members."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from custody import facts
from custody.audit.clocks import Clocks, cosigned
from custody.audit.notebook import Finding, Notebook
from custody.facts import Cleared, Climbed
from custody.rules import overdue
from custody.rules.alarms import Alarm, Notice
from custody.rules.consignments import Consignment
from custody.rules.handoffs import HandOff
from custody.rules.notices import told_within
from custody.rules.people import RELAXATIONS, Device, reachable
from custody.rules.world import Log
from custody.strict import time_text

STEPS: Final = {
    1: "the checkpoint's signatures and witnesses",
    2: "the root and the tiles, from the entries",
    3: "the pinned checkpoints",
    4: "each entry reads",
    5: "each event may follow its predecessors",
    6: "each signature, by a device enrolled at that entry",
    7: "the quorum of each key release",
    8: "time and what was seen",
}

LATE: Final = timedelta(minutes=5)
"""After so long the report says that a rung was recorded late: a monitor goes round every second."""


@dataclass
class Report:
    """What the auditor found.

    `sound` is the verdict; where it is False, `failed` is the step, `why` the sentence and `entry` the
    first bad entry, if it is about one; `newer` that this program is too old to judge it. The first
    `judged` entries hold, whole transactions of them, and `world` is what they tell, with findings about
    alarms that told late, or not those whom the ladder names: no tampering, and yet what a server's owner
    could do. The first `known` of them were judged by an earlier audit, whose notebook this one went on in.
    `cosigned` is when the witnesses say that they did, in POSIX seconds; `clocks` what devices say of time.
    """

    policy: str = ""
    origin: str = ""
    genesis: str = ""
    size: int = 0
    first: datetime | None = None
    last: datetime | None = None
    witnesses: tuple[str, ...] = ()
    cosigned: tuple[int, ...] = ()
    pins: list[int] = field(default_factory=list)
    genesis_given: bool = False
    sound: bool = False
    failed: int | None = None
    entry: int | None = None
    why: str = ""
    newer: bool = False
    judged: int = 0
    known: int = 0
    world: Notebook = field(default_factory=Notebook)
    clocks: Clocks = field(default_factory=Clocks)

    @property
    def vouched(self) -> int:
        """How many entries a pin or the witnesses vouch for: of these there is no second history."""
        return self.size if self.witnesses else max(self.pins, default=0)

    @property
    def telling(self) -> list[Finding]:
        """Where a rung was recorded late, or told others than those whom the ladder names."""
        return list(self.world.findings())

    def findings(self) -> Iterator[Finding]:
        """All that is to be said beside the verdict, sound or not."""
        yield from _weaknesses(self)
        yield from _disputes(self)
        yield from self.world.findings()
        yield from _times(self)
        yield from _owed(self)
        if self.sound:
            yield from _reach(self)

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        """Of each step its number, what became of it, and what it is about."""
        for step, about in STEPS.items():
            yield step, _outcome(self, step), about

    @property
    def verdict(self) -> str:
        """`sound`, `tampered`, or `not judged` by so old a program."""
        return "sound" if self.sound else "not judged" if self.newer else "tampered"

    @property
    def sentence(self) -> str:
        """The verdict: how many entries are sound, or which one is not, and why."""
        if self.sound:
            return f"sound, {self.size:,} entries"
        where = f"entry {self.entry}: " if self.entry is not None else ""
        held = f" Entries 0 to {self.judged - 1} hold." if self.judged and not self.newer else ""
        return f"{self.verdict}, {where}{self.why}{held}"

    @property
    def genesis_compared(self) -> bool:
        """Whether the genesis is the one whose hash was given."""
        other = self.failed == 5 and not self.judged
        return self.genesis_given and bool(self.genesis) and not other


# ------------------------------------------------------------------------------------------- its forms


def lines(report: Report) -> Iterator[str]:
    """The report in words, one finding a line, the verdict last."""
    yield f"policy    sha256 {report.policy}"
    yield f"genesis   {report.genesis or 'not read'}{_given(report)}"
    yield f"log       {report.size:,} entries{_known(report)}"
    if report.first is not None and report.last is not None:
        yield f"time      {time_text(report.first)} to {time_text(report.last)}"
    for step, outcome, about in report.outcomes():
        yield f"step {step}    {outcome:11}  {about}"
    for kind, words in report.findings():
        yield f"{kind:9} {words}"
    yield report.sentence


def text(report: Report) -> str:
    """The same as one text."""
    return "\n".join(lines(report))


def as_json(report: Report) -> dict[str, Any]:
    """The report for a program, with all that the words say. A later one may have more members."""
    failure = {"step": report.failed, "entry": report.entry, "why": report.why}
    return {
        "report": "media-custody audit",
        "version": 1,
        "verdict": report.verdict,
        "sentence": report.sentence,
        "policy": report.policy,
        "origin": report.origin or None,
        "genesis": report.genesis or None,
        "genesis_as_given": report.genesis_compared if report.genesis_given else None,
        "entries": report.size,
        "judged": report.judged,
        "judged_before": report.known,
        "vouched": report.vouched,
        "first": None if report.first is None else time_text(report.first),
        "last": None if report.last is None else time_text(report.last),
        "witnesses": list(report.witnesses),
        "pins": report.pins,
        "steps": [
            {"step": step, "outcome": outcome, "about": about} for step, outcome, about in report.outcomes()
        ],
        "failure": None if report.failed is None else failure,
        "findings": [finding._asdict() for finding in report.findings()],
    }


def json_text(report: Report) -> str:
    """The same as one text."""
    return json.dumps(as_json(report), indent=1)


def _given(report: Report) -> str:
    if not report.genesis_given:
        return ", not compared"
    return ", as given" if report.genesis_compared else ""


def _known(report: Report) -> str:
    return f", {report.known:,} of them judged before" if report.known else ""


def _outcome(report: Report, step: int) -> str:
    if report.failed == step:
        return "FAILED"
    if report.failed is not None and report.failed < min(step, 4):
        return "not reached"
    if step == 7:
        return "none here"
    if step == 3 and not report.pins:
        return "none given"
    if report.failed is not None and step >= 4:
        return "up to it" if report.judged else "not reached"
    return "holds"


# ------------------------------------------------------------------------------- what it says of alarms


def telling(world: Notebook, fact: Climbed, at: datetime, by: datetime) -> Iterator[Finding]:
    """Where a rung was recorded late, or told others than those whom the ladder names at that moment.

    It was recorded `at` that time by the log's clock, and by devices' own it was `by` then at least.
    """
    alarm, consignment = world.find(Alarm, fact.alarm), world.find(Consignment, fact.consignment)
    if alarm is None or alarm.next_at is None or consignment is None or fact.rung != alarm.rung:
        return  # a ledger that says so is not sound, and judged as such
    where = f"{alarm.id} ({consignment.id}) rung {fact.rung}.{fact.repeat}"
    if _late(alarm, by):
        skipped = f", {fact.repeat - alarm.repeat} repeats skipped" if fact.repeat > alarm.repeat else ""
        due = time_text(alarm.next_at)
        yield Finding("late", f"{where} was due {due} and recorded {time_text(at)}{_said(at, by)}{skipped}")
    yield from _nobody(world, fact, alarm, consignment, where)
    wanted, told = set(overdue.told(world, alarm, consignment, at)), set(fact.told)
    if wanted - told and not fact.more:
        yield Finding("untold", f"{where}: {_named(wanted - told)} were to be told, and were not")
    if told - wanted:
        yield Finding("untold", f"{where}: {_named(told - wanted)} were told, and were not to be")


def _nobody(
    world: Notebook, fact: Climbed, alarm: Alarm, consignment: Consignment, where: str
) -> Iterator[Finding]:
    """Where an alert had nobody who could be reached, or when first climbed nobody in one of its roles."""
    rung = alarm.ladder[fact.rung]
    if rung.after < 0 or alarm.part:
        return
    held = {who: overdue.holders(world, who, consignment) for who in rung.who}
    empty = {who: people for who, people in held.items() if not any(reachable(world, p) for p in people)}
    words = ", ".join(f"{who} {_gone([p.id for p in people])}" for who, people in empty.items())
    if len(empty) == len(held):
        yield Finding("nobody", f"{where}: there was nobody to be told: {words}")
    elif empty and not fact.repeat:
        yield Finding("nobody", f"{where}: others were told, but {words}")


def _gone(people: list[str]) -> str:
    return f"was {', '.join(people)}, whose contract has ended" if people else "was nobody"


def _said(at: datetime, by: datetime) -> str:
    return f" (by devices' own clocks not before {time_text(by)})" if by > at else ""


def _late(alarm: Alarm, now: datetime) -> bool:
    """Whether what it owes next should have been recorded by now. Nothing is owed before it was armed."""
    return alarm.next_at is not None and now - max(alarm.next_at, alarm.armed_at) > LATE


def _named(told: set[facts.Recipient]) -> str:
    return ", ".join(sorted(f"{each.person} by {each.channel}" for each in told))


def _owed(report: Report) -> Iterator[Finding]:
    """What was owed by the end, the log's or the devices' own, and what no relay has accepted."""
    if report.last is None:
        return
    end = report.clocks.by(report.last)
    said = _said(report.last, end)
    for alarm in report.world.where(Alarm, "next_at", None, same=False):
        where = f"{alarm.id} ({alarm.consignment})"
        match overdue.owed(report.world, alarm, end):
            case facts.Opened():
                yield Finding(
                    "untold", f"{where}: its media are presumed missing, and no incident has opened"
                )
            case Cleared() if _late(alarm, end):
                since = time_text(alarm.next_at or end)
                yield Finding("untold", f"{where} owes an all-clear since {since}{said}")
            case Climbed() as fact if _late(alarm, end):
                since = time_text(alarm.next_at or end)
                words = f"{where} rung {fact.rung} was due {since}; the ledger goes on without it{said}"
                yield Finding("untold", words)
    unsent, oldest = 0, end
    for notice in report.world.where(Notice, "accepted_at", None):
        if end - notice.scheduled > LATE + told_within(notice):
            unsent, oldest = unsent + 1, min(oldest, notice.scheduled)
    if unsent:
        words = f"{unsent:,} notices were accepted by no relay, the oldest of {time_text(oldest)}"
        yield Finding("unsent", words)


# -------------------------------------------------------------------------------- what else it points at


def _reach(report: Report) -> Iterator[Finding]:
    """How far anything but the log itself vouches that this is the only history."""
    if not report.vouched:
        yield Finding("note", "no pin and no witness: consistent, not proved to be the only history")
    elif report.vouched < report.size:
        yield Finding(
            "note",
            f"pinned up to entry {report.vouched - 1}: what came after is consistent, not proved to"
            " be the only history",
        )


def _times(report: Report) -> Iterator[Finding]:
    """Where devices and witnesses say another time than the log, to its very end."""
    if report.clocks.stretch is not None:
        yield Finding("clock", report.clocks.stretch.words)
    if report.last is not None and report.judged == report.size:
        for witness, second in zip(report.witnesses, report.cosigned, strict=True):
            if words := cosigned(witness, second, report.last):
                yield Finding("clock", words)


def _weaknesses(report: Report) -> Iterator[Finding]:
    """What was weakened or done by one person alone while the log was set up: allowed, and always shown."""
    for log in report.world.all(Log):
        yield from (Finding("weaker", RELAXATIONS[name]) for name in log.relaxed)
        if log.set_up:
            words = "The set-up is not closed: the founder may still confirm devices alone."
            yield Finding("weaker", words)
    for device in report.world.all(Device):
        if device.set_up and device.person != device.confirmed_by:
            words = f"{device.person}'s device {device.id[:16]} was confirmed by the founder alone"
            yield Finding("set-up", words)


def _disputes(report: Report) -> Iterator[Finding]:
    for hand_off in report.world.where(HandOff, "status", "recorded", same=False):
        why = "; ".join(hand_off.why)
        yield Finding(hand_off.status, f"{hand_off.consignment} {time_text(hand_off.at)}: {why}")
