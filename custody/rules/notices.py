"""Which words a person is told.

An alert says what it must and no more: numbers, site codes, how many media, how late, and where to sign in.
Mail is read over shoulders and forwarded, so there is no name in it, no volser, nothing about what is on the
media: the functions here are given nothing that they could leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, cast

from custody.errors import NotFound
from custody.facts import Cause, Matter
from custody.rules.alarms import DEADLINES, Alarm, Beside, Notice
from custody.rules.consignments import Consignment
from custody.rules.daily import Pin, SelfAudit, added, day
from custody.rules.incidents import incident_of
from custody.rules.people import Person, may, of_the_house
from custody.rules.world import World


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one address. `id` is the Message-ID, the same each time that it is sent."""

    id: str
    to: str
    subject: str
    body: str


class Channel(Protocol):
    """A way to reach a person. Several threads may send at once."""

    def send(self, message: Message) -> str:
        """Hands the message over and returns the other side's words of acceptance.

        Returning means that the other side has taken responsibility for the message. Anything else raises
        Undelivered, within a bounded time (a relay may take ten minutes); an unsure end (the line broke
        before the answer) raises too, so that the message is sent again under the same id, and is never lost.
        """

    def close(self) -> None:
        """Ends what is kept open between messages. Sending after it opens it again."""


@dataclass(frozen=True, slots=True)
class Words:
    """A subject of one line, and a text."""

    subject: str
    body: str


_CAUSES: dict[Cause, str] = {
    "overdue": "has not arrived",
    "not-picked-up": "has not been picked up",
    "incomplete": "was handed over with something missing, refused, damaged or extra",
    "seal": "was handed over with its seal broken or exchanged",
    "disputed": "has a hand-off that is disputed",
    "sighted": "is not where it should be: a stranger has found something of it",
}


_NOT_YOU: Final = "If this was not you, or not with you, tell IT security now, by telephone."
_MATTERS: Final[dict[Matter, Words]] = {
    "device-enrolled": Words("A device was enrolled in your name", _NOT_YOU),
    "device-revoked": Words(
        "A device was revoked, yours or a senior manager's", f"What it signs counts no more. {_NOT_YOU}"
    ),
    "receiver-enrolled": Words(
        "A device was confirmed that can receive media",
        "You manage a site, or answer for all of them. Whoever holds this device can end a transit and its"
        " alarm there, from its second day on without a second person. See whose it is and who confirmed it."
        " If it should not be so, tell IT security now, by telephone: they can revoke it.",
    ),
    "account-linked": Words(
        "A one-time link to your account was made", f"Whoever uses it chooses your password. {_NOT_YOU}"
    ),
    "roles-changed": Words(
        "The roles of a person were changed",
        "You are told as that person, or as one whom alarms reach. If it should not be so, speak with the"
        " administrator and with IT security now.",
    ),
    "appointed": Words(
        "A person was given power: a manager's role, an administrator's, or another that alarms reach",
        "Alarms tell them from now on; the role counts when somebody else has confirmed a device for it. See"
        " who it is and who gave it. If you know nothing of it, confirm nothing for them, and speak with the"
        " head and with IT security now.",
    ),
    "invited": Words(
        "A person was invited",
        "See who takes part from now on, at which site, and who invited them. If nobody knows them there,"
        " speak with the administrator and with IT security.",
    ),
    "found": Words(
        "A stranger has found something with a label of ours",
        "It is not on its way, so no alarm rings. Read what the finder wrote, look whether the thing is in"
        " its place, and fetch it.",
    ),
    "disputed": Words(
        "A hand-off is disputed of a consignment that is not on its way",
        "It has arrived, or was never approved. Two devices signed a history that cannot be: see which, and"
        " look at once whether the media are in their place.",
    ),
    "clock-jumped": Words(
        "THE SERVER'S CLOCK WAS SET",
        "Alarms are told by it. For two minutes a jump is not believed; after that it is. Ahead, alarms ring"
        " too early; back, none rings before the clock has caught up with the log's time. Look at once what"
        " the time is on the server, and who set it.",
    ),
    "stuck": Words(
        "AN ALARM CANNOT CLIMB: nobody is told by it",
        "Its rung is due and the program cannot record it. Other alarms are told as ever. Watch this"
        " consignment by telephone, and have the administrator send the server's log to who maintains it.",
    ),
    "channel-failed": Words(
        "A person is not reached: their mailbox refuses what we send",
        "Alerts to them do not arrive, and others have them alone. See who it is, speak with them by"
        " telephone, and have the mailbox or the address mended. What waits for them is tried again, at least"
        " once a day, and at once when the mailbox takes something.",
    ),
}
"""Each matter beside the ladder, and what to do about it."""

_ORDER: Final[tuple[Beside, ...]] = ("self-audited", "pinned", *_MATTERS)
DIGEST_EVERY: Final = timedelta(hours=1)
"""Of what comes as a digest the first is told at once, and what follows within so long together."""
ALERT_OF_A_SENIOR, _ALERT, _BESIDE, _POWERS = range(4)
_DIGESTS: Final[Mapping[Beside | None, int]] = {
    "appointed": _POWERS,
    "invited": _POWERS,
    "roles-changed": _POWERS,
    "receiver-enrolled": _POWERS,
}


def priority(world: World, notice: Notice) -> int:
    """Which notice goes first: that of the lower number.

    Seniors' alerts before all: G1 counts from the due time to the relay's word for the first of them.
    """
    if notice.is_alert:
        return ALERT_OF_A_SENIOR if world.get(Person, notice.person).senior else _ALERT
    return digest_of(notice) or _BESIDE


def digest_of(notice: Notice) -> int | None:
    """The priority of the digest in which it comes; None where it is told by itself."""
    return _DIGESTS.get(notice.matter)


def is_digest(of: int) -> bool:
    """Whether what has this priority comes as a digest."""
    return of > _BESIDE


def told_within(notice: Notice) -> timedelta:
    """For how long it may wait to be told, where all is well."""
    return timedelta() if digest_of(notice) is None else DIGEST_EVERY


def words(world: World, notices: list[Notice], now: datetime, site: str) -> Words:
    """What one person is told by these notices. `site` is the address at which they sign in, no slash."""
    if len(notices) == 1:
        return _one(world, notices[0], now, site)
    if all(notice.matter is not None for notice in notices):
        return _listed(world, notices, site)
    lines = [f"- {_line(world, notice, now)}\n  {_link(world, notice, site)}" for notice in notices]
    count = len(notices)
    return Words(
        f"{count} matters need you: {_line(world, notices[0], now)}, and {count - 1} more",
        f"{count} matters need you at once:\n\n" + "\n".join(lines) + "\n\n" + _HOW,
    )


_HOW = (
    "Sign in to see it and to acknowledge it. Acknowledging spares you the repeats for an hour; it stops"
    " nothing else. Only the media's arrival, signed by the receiving site, ends an alarm.\n"
)


def _one(world: World, notice: Notice, now: datetime, site: str) -> Words:
    line = _line(world, notice, now)
    link = _link(world, notice, site)
    if notice.matter is not None:
        return Words(line, f"{line}.\n\n{_beside(world, notice).body}\n\n{link}\n")
    if _has_come(world, notice):
        return Words(line, f"{line}. Nothing more needs to be done about it.\n\n{link}\n")
    return Words(line, f"{line}.\n\n{_facts(world, notice, now)}\n{link}\n\n{_HOW}")


def _listed(world: World, notices: list[Notice], site: str) -> Words:
    """What is told beside the ladder, each matter with what to do about it, once, and all its places."""
    found: dict[Words, list[Notice]] = {}
    for notice in sorted(notices, key=lambda each: _ORDER.index(cast("Beside", each.matter))):
        found.setdefault(_beside(world, notice), []).append(notice)
    parts = []
    for matter, some in found.items():
        links = "".join(f"  {link}\n" for link in dict.fromkeys(_link(world, each, site) for each in some))
        parts.append(f"{_times(matter.subject, len(some))}\n{links}\n{matter.body}\n")
    (first, some), more = next(iter(found.items())), len(found) - 1
    also = f", and {more} other matter{'s' if more > 1 else ''}" if more else ""
    return Words(_times(first.subject, len(some)) + also, "\n\n".join(parts))


def _times(line: str, count: int) -> str:
    return f"{count} times: {line}" if count > 1 else line


def _line(world: World, notice: Notice, now: datetime) -> str:
    if notice.matter is not None:
        return _beside(world, notice).subject
    alarm, consignment = _of(world, notice)
    name = f"{consignment.id} ({consignment.from_site} to {consignment.to_site})"
    if _has_come(world, notice):
        return f"All clear: {name} has arrived complete"
    if _reminds(notice, alarm):
        due = "is due for pick-up" if alarm.cause == "not-picked-up" else "is due"
        return f"Reminder: {name} {due}"
    late = _late(alarm, now)
    if incident_of(world, consignment.id) is not None:
        return f"PRESUMED MISSING: {name}, {len(consignment.media)} media, {late}"
    return f"ALARM {alarm.id}: {name} {_CAUSES[alarm.cause]}, {late}"


def _beside(world: World, notice: Notice) -> Words:
    """What a notice beside the ladder is about, and what to do about it."""
    if notice.matter == "pinned":
        return _pinned(world, world.get(Pin, day(notice.scheduled)))
    if notice.matter == "self-audited":
        return _self_audited(world.get(SelfAudit, notice.about))
    return _MATTERS[cast("Matter", notice.matter)]


def _pinned(world: World, pin: Pin) -> Words:
    note = world.note_at(pin.size)
    if note is None:
        raise NotFound(f"The checkpoint of {pin.size:,} entries is gone from the book: run custody fsck.")
    return Words(
        f"Checkpoint of {pin.id}: the log has {pin.size:,} entries, {added(world, pin):,} of them new",
        "Keep this mail. A log that is cut or written anew contradicts the lines below, and an auditor who"
        " saves them in a file and gives it to `custody audit --pin` sees it. One comes each day: if none"
        f" does, ask why.\n\n{note.rstrip()}",
    )


def _self_audited(found: SelfAudit) -> Words:
    if found.first == "alarms":
        return Words(
            "ALARMS STAND STILL: nobody is told what is due",
            "An alarm owes something for more than a minute, and has not climbed. The monitor stands still,"
            " or something keeps it from recording. Watch what is on its way by telephone, and have the"
            " administrator look at once: the server's log says which alarm it is.",
        )
    count = "1 difference" if found.differences == 1 else f"{found.differences:,} differences"
    return Words(
        f"THE BOOK IS NOT WHOLE: {count} from its own ledger",
        f"Who compared the book with its ledger found the first in the {found.first}. A disk fails, or"
        " somebody changed the database. Have it seen to at once: `custody fsck` names each difference, and"
        " changes nothing. You are told each night until none is left.",
    )


def _facts(world: World, notice: Notice, now: datetime) -> str:
    alarm, consignment = _of(world, notice)
    incident = incident_of(world, consignment.id)
    rows = [
        ("Alarm", alarm.id),
        ("Consignment", consignment.id),
        ("From", consignment.from_site),
        ("To", consignment.to_site),
        ("Media", str(len(consignment.media))),
        (
            "Due" if alarm.cause in DEADLINES else "Since",
            f"{alarm.due:%Y-%m-%d %H:%M} UTC, {_late(alarm, now)}",
        ),
        *([("Incident", incident.id)] if incident else []),
    ]
    return "".join(f"{label + ':':13}{value}\n" for label, value in rows)


def _link(world: World, notice: Notice, site: str) -> str:
    if notice.matter is not None:
        person = world.get(Person, notice.person)
        house = of_the_house(world, person) and may(world, person.id, "see the board")
        return f"{site}/events/{notice.about}" if house else f"{site}/devices"
    alarm, consignment = _of(world, notice)
    incident = incident_of(world, consignment.id)
    if incident is not None and may(world, notice.person, "see an incident"):
        return f"{site}/incidents/{incident.id}"
    return f"{site}/alarms/{alarm.id}"


def _of(world: World, notice: Notice) -> tuple[Alarm, Consignment]:
    alarm = world.get(Alarm, notice.about)
    return alarm, world.get(Consignment, alarm.consignment)


def _has_come(world: World, notice: Notice) -> bool:
    """Whether everything has arrived by now; an alert that was deferred until then is an all-clear, too."""
    alarm, consignment = _of(world, notice)
    return alarm.ended_at is not None and consignment.state == "arrived"


def _reminds(notice: Notice, alarm: Alarm) -> bool:
    rung = int(notice.id.split("/")[1].partition(".")[0])
    return alarm.ladder[rung].after < 0


def _late(alarm: Alarm, now: datetime) -> str:
    minutes = (now - alarm.due) // timedelta(minutes=1)
    if alarm.cause not in DEADLINES:
        return f"raised {_minutes(minutes)} ago"
    if minutes < 0:
        return f"due in {_minutes(-minutes)}"
    return f"{_minutes(minutes)} overdue"


def _minutes(count: int) -> str:
    return "1 minute" if count == 1 else f"{count} minutes"
