"""Digests: of what is not urgent the first is told at once, and what follows within an hour together.

So four hundred invitations in a minute, or one in each, are told the seniors once at once and then once an
hour, and never four hundred times: what comes too often is read by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.rules.alarms import Notice
from custody.rules.notices import DIGEST_EVERY, digest_of
from custody.store.database import upsert
from custody.store.world import ASKED_AT_ONCE
from custody.strict import time_text

_digest = SQLModel.metadata.tables["digest"]


def held(connection: sa.Connection, notices: Iterable[Notice], now: datetime) -> dict[str, datetime]:
    """Until when each of these fresh notices waits, by its id. What is not here goes at once."""
    ids = {n.id: f"{n.person}/{digest}" for n in notices if (digest := digest_of(n)) is not None}
    if not ids:
        return {}
    known = _known(connection, set(ids.values()))
    due = {each: _due(known.get(each), now) for each in dict.fromkeys(ids.values())}
    upsert(connection, _digest, ("id", "at"), [(each, time_text(at)) for each, at in due.items()])
    return {notice: due[each] for notice, each in ids.items() if due[each] > now}


def _due(last: datetime | None, now: datetime) -> datetime:
    """When the next message is due, the last being of then. What lies far ahead a wrong clock has written."""
    if last is None or not now - DIGEST_EVERY < last <= now + DIGEST_EVERY:
        return now
    return last if last > now else last + DIGEST_EVERY


def _known(connection: sa.Connection, ids: set[str]) -> dict[str, datetime]:
    rest, known = iter(sorted(ids)), dict[str, datetime]()
    while some := list(islice(rest, ASKED_AT_ONCE)):
        rows = connection.execute(sa.select(_digest).where(_digest.c.id.in_(some)))
        known.update((row.id, row.at) for row in rows)
    return known
