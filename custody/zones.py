"""The time at a site: shown with the name of its zone, and read only where it says one moment.

Which zones there are is the machine's table, or else the one that `tzdata` brings. Nothing in the ledger
depends on it: times there are UTC, and a zone is a name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from custody.errors import Unreadable


def zone(name: str) -> ZoneInfo | None:
    """The time zone of this name (IANA); None where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local(at: datetime, name: str) -> datetime:
    """This moment at a site: `%Z` names its zone, which is UTC where the site's is not known here."""
    return at.astimezone(zone(name) or UTC)


def read_local(text: str, name: str) -> datetime:
    """The moment that a form's `2026-03-02T18:30` means at a site, or one with an offset anywhere.

    Unreadable where it is no time, where the site's zone is not known here, and where clocks are changed:
    in spring an hour is left out, in autumn one comes twice, and nobody can tell which of them is meant.
    """
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Unreadable("Give a day and a time, such as 2026-03-02 18:30.") from None
    if given.tzinfo is not None:
        return given
    where = zone(name)
    if where is None:
        raise Unreadable(
            f"This server does not know the time zone {name}. Give the time with its offset from UTC, such as"
            f" {given:%Y-%m-%d %H:%M}+08:00, and tell your administrator: the package tzdata is too old."
        )
    first, second = (given.replace(tzinfo=where, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(where).replace(tzinfo=None) != given:
        raise Unreadable(
            f"{given:%H:%M} is left out on {given:%d %B %Y} in {name}: clocks go forward over it. Give"
            " another time."
        )
    both = [f"{each.isoformat(' ', 'minutes')} ({each:%Z})" for each in (first, second)]
    raise Unreadable(
        f"{given:%H:%M} comes twice on {given:%d %B %Y} in {name}: clocks go back over it. Give a time"
        f" before or after it, or one with its offset: {' or '.join(both)}."
    )
