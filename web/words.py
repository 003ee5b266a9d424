"""What the screens call things: events in sentences, times in the site's zone, keys as fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Final

from flask import Flask
from markupsafe import Markup

from custody import facts
from custody.facts import Cause
from custody.rules.alarms import DEADLINES, Alarm, Notice
from custody.rules.consignments import Consignment
from custody.rules.media import Exposure
from custody.rules.people import RELAXATIONS
from custody.store.queries import View
from custody.zones import local
from labels import identity

CAUSES: Final[Mapping[Cause, str]] = {
    "overdue": "has not arrived",
    "not-picked-up": "was not picked up",
    "incomplete": "something was missing, refused, damaged or extra",
    "seal": "the seal was broken, exchanged or gone",
    "disputed": "a hand-off is disputed",
    "sighted": "a stranger found something of it",
}
STATES: Final = {
    "requested": "waits for approval",
    "withdrawn": "withdrawn",
    "approved": "waits for pick-up",
    "travelling": "on its way",
    "received": "received, something is open",
    "arrived": "arrived",
}
AUDIENCES: Final = {
    "carrier": "the courier",
    "receiving-site": "the receiving site",
    "site-managers": "both site managers",
    "senior-on-call": "the senior managers, all on call",
    "senior-managers": "all senior managers",
    "data-protection-officer": "the data protection officer",
    "it-security": "IT security",
    "head": "the head",
}
DECISIONS: Final = {
    "search": "Search on",
    "report-to-police": "Report to the police",
    "notify": "Notify the people concerned",
    "do-not-notify": "Do not notify (the head alone)",
}
_OUTCOMES: Final = {
    "accepted": "accepted by the relay",
    "deferred": "put off by the relay",
    "refused": "refused",
}


def teach(app: Flask) -> None:
    """Gives the templates these words."""
    app.jinja_env.filters.update(
        moment=moment,
        fingerprint=fingerprint,
        spoken=spoken,
        left=left,
        role=role,
        grants=grants,
        ident=identity_in_groups,
        outcome=lambda outcome: _OUTCOMES.get(outcome, "not sent yet"),
        on_rung=on_rung,
    )
    app.jinja_env.globals.update(
        trouble=trouble,
        how_late=how_late,
        DEADLINES=DEADLINES,
        CAUSES=CAUSES,
        STATES=STATES,
        AUDIENCES=AUDIENCES,
        DECISIONS=DECISIONS,
        RELAXATIONS=RELAXATIONS,
        tell=tell,
        range_of_people=range_of_people,
        silence=silence,
        has_inbox=lambda: "inbox" in app.blueprints,
        blueprints=app.blueprints,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def trouble(alarm: Alarm, consignment: Consignment) -> str:
    """What an alarm is about, as things stand now."""
    if alarm.cause in DEADLINES and alarm.ended_at is None and consignment.state == "received":
        return "was received, and something is still open: " + "; ".join(consignment.flags)
    return CAUSES[alarm.cause]


def moment(at: datetime | None, zone: str, *, day: bool = True) -> str:
    """A time in the site's zone, with the zone's name, and UTC to be seen when pointed at."""
    if at is None:
        return "-"
    here = local(at, zone)
    shown = f"{here:%d %b %H:%M %Z}" if day else f"{here:%H:%M:%S %Z}"
    exact = f"{here:%Y-%m-%d %H:%M:%S %Z} = {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="milliseconds"), exact, shown
    )


def left(due: datetime, now: datetime) -> str:
    """`42 min left` or `7 min overdue`; the same words as `static/board.js`."""
    seconds = (due - now).total_seconds()
    if seconds >= 0:
        return f"{_span(seconds)} left"
    return f"{_span(-seconds)} overdue"


def how_late(alarm: Alarm, now: datetime) -> str:
    """`7 min overdue` for what did not come in time, `raised 7 min ago` for what happened."""
    if alarm.cause in DEADLINES:
        return left(alarm.due, now)
    return f"raised {_span((now - alarm.due).total_seconds())} ago"


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


def silence(span: timedelta | None) -> str:
    """How long the monitor has given no sign."""
    return (
        "The monitor has never run"
        if span is None
        else f"No sign of the monitor for {_span(span.total_seconds())}"
    )


def fingerprint(key: str) -> str:
    """The beginning of a key id in groups, short enough to read out; `static/keys.js` writes the same."""
    return " ".join(key[start : start + 4].upper() for start in range(0, 16, 4))


def identity_in_groups(name: str) -> str:
    """A label's id as it is printed: in fours."""
    if len(name) != identity.ID_LENGTH:
        return name
    return " ".join(name[start : start + 4] for start in range(0, len(name), 4))


def role(name: str) -> str:
    """`site-manager` as a person says it."""
    return "IT security" if name == "it-security" else name.replace("-", " ")


def grants(held: Iterable[facts.Grant]) -> str:
    """`site manager at NORTH, custodian`."""
    return ", ".join(role(g.role) + (f" at {g.site}" if g.site else "") for g in held) or "no role"


def spoken(state: str) -> str:
    """A consignment's state in words."""
    return STATES.get(state, state)


def range_of_people(found: Exposure) -> str:
    """How many people it is about: a range, and what is unknown is called so."""
    if not found.data_sets:
        return "unknown: no data set is described on these media"
    least, most = found.least, found.most
    if least is None or most is None:
        known = [s.least for s in found.data_sets if s.least is not None]
        return f"unknown, and at least {max(known):,}" if known else "unknown"
    return f"{least:,}" if least == most else f"from {least:,} to {most:,}"


def on_rung(notices: Sequence[Notice], rung: int) -> list[Notice]:
    """Those of an alarm's notices that belong to this rung, its repeats among them."""
    return [n for n in notices if n.id.split("/")[1].partition(".")[0] == str(rung)]


# ----------------------------------------------------------------------------------- events in sentences


def tell(fact: facts.Fact, view: View, signers: tuple[str, ...] = ()) -> str:
    """An event of the ledger as a sentence, with the names that these eyes may know."""
    match fact:
        case facts.Handed():
            return _handed(fact, view)
        case facts.Climbed():
            return _climbed(fact)
        case facts.Decided():
            done = DECISIONS[fact.decision].lower()
            return f"{holder(view, signers[0])} decided: {done}; owner {view.name(fact.owner)}"
    values = {field.name: getattr(fact, field.name) for field in fields(fact)}
    for member in ("by", "person"):
        values[member] = view.name(values.get(member, ""))
    values["events_count"] = len(values.get("events") or ())
    values["notices_count"] = len(values.get("notices") or ())
    values["count"] = len(values.get("media") or values.get("told") or ())
    values["roles"] = grants(values.get("grants") or ())
    first, *others = (holder(view, key) for key in (*signers, ""))
    return _SENTENCES.get(type(fact), fact.kind).format(
        signer=first, confirmer=others and others[0], **values
    )


def holder(view: View, key: str) -> str:
    """Whose device this is, as far as these eyes may know."""
    device = view.device(key)
    return "somebody" if device is None else view.name(device.person)


_SENTENCES: Final[Mapping[type[facts.Fact], str]] = {
    facts.Genesis: "The log of {organisation} began, founded by {founder}",
    facts.Received: "The end of a transaction: {how}, {events_count} entries",
    facts.SiteOpened: "{by} opened the site {site}",
    facts.OrganisationAdmitted: "{by} admitted {organisation} until {until:%d %b %Y}",
    facts.SetUpClosed: "{signer} closed the set-up",
    facts.Routed: "{signer} set the route {route}, {origin_site} to {destination}, {transit} minutes at most",
    facts.Informed: "{count} people are told of another event ({matter})",
    facts.Pinned: "The checkpoint of the day is told to {count} people",
    facts.ClockJumped: "The server's clock was set, {ahead} seconds ahead",
    facts.SelfAudited: "The book was compared with itself: {differences} differences from the ledger",
    facts.Attempted: "A message was {outcome} by the relay: {notices_count} notices",
    facts.Invited: "{signer} invited {person} of {organisation}: {roles}",
    facts.Granted: "{signer} changed the roles of {person}, who is from then on: {roles}",
    facts.Linked: "{by} made a one-time link to the account of {person}",
    facts.Revoked: "{by} revoked a device ({reason})",
    facts.Enrolled: "A device of {person} was enrolled, confirmed by {confirmer}",
    facts.Registered: "{by} put it on the books",
    facts.Described: "{by} described the data set {data_set}",
    facts.Labelled: "{by} printed labels ({stock})",
    facts.Packed: "{signer} packed {count} media at {site} and sealed the case",
    facts.Requested: "{by} requested {consignment}: {count} media",
    facts.Withdrawn: "{by} withdrew {consignment}",
    facts.Approved: "{signer} approved {consignment}; the alarm is armed",
    facts.Seconded: "{signer} stands by the receipt as a second person",
    facts.Cleared: "The all-clear for {alarm} goes to {count} people",
    facts.Acknowledged: "{by} acknowledged {alarm}",
    facts.Opened: "{incident} opened by itself: presumed missing",
    facts.Sighted: "A stranger scanned the label and wrote where it is",
}


def reading(fact: facts.Handed) -> str:
    """What the taker read, and what was not as it should be: `each medium read, 2 missing`."""
    counts = {"missing": fact.missing, "refused": fact.refused, "damaged": fact.damaged, "extra": fact.extra}
    blemishes = [f"{len(lines)} {word}" for word, lines in counts.items() if lines]
    if fact.seal in ("broken", "different"):
        blemishes.append(f"seal {fact.seal}")
    read = "each medium read" if fact.read == "media" else "case and seal read"
    return ", ".join((read, *blemishes))


def _handed(fact: facts.Handed, view: View) -> str:
    giver, taker = holder(view, fact.giver.key), holder(view, fact.taker.key)
    return f"{giver} handed over to {taker} at {fact.site}; {reading(fact)}"


def _climbed(fact: facts.Climbed) -> str:
    again = f", repeat {fact.repeat}" if fact.repeat else ""
    rung = f"{fact.alarm} ({CAUSES[fact.cause]}) reached rung {fact.rung}{again}"
    return f"{rung}: {len(fact.told)} people to be told{', more follow' if fact.more else ''}"
