"""Sending: a notice is made with the fact that calls for it, sent, and then marked.

Send, then mark. A crash between the two sends the message once more, under the same Message-ID; the other
way round a crash would lose it, and a lost alarm is what this system is there to prevent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from custody.errors import Undelivered, Untrusted
from custody.facts import Attempted
from custody.rules.alarms import Notice
from custody.rules.incidents import expect_alarms
from custody.rules.notices import Channel, Message, words
from custody.rules.people import Person
from custody.rules.world import World
from custody.store import outbox, private
from custody.store.book import Book
from custody.store.outbox import Parcel

PAUSE_MOST: Final = timedelta(seconds=60)
"""Between two attempts on one notice; there is no last attempt."""

UNTRIED: Final = timedelta(seconds=5)
"""After a relay that gave no answer, what was not tried waits so long."""
ROUND_MOST: Final = 0.6 * outbox.LEASE.total_seconds()
"""Seconds that one round may take: nothing is ever sent under a lease that has run out."""

log = structlog.get_logger("custody.notices")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round of sending came to, in messages."""

    accepted: int = 0
    failed: int = 0


def deliver(book: Book, channels: Mapping[str, Channel], site: str) -> Tally:
    """Takes up what is due, hands it over, and records each outcome. `site` is where people sign in.

    A relay that does not answer ends the round: what was taken up is given back, due again shortly.
    """
    accepted = failed = 0
    began = time.monotonic()
    parcels = outbox.take(book, book.now())
    try:
        while parcels and time.monotonic() - began < ROUND_MOST:
            parcel, *parcels = parcels
            sent = _try(book, channels, parcel, site)
            # A crash here, after the relay's 250 and before the mark, sends this one message again.
            _mark(book, parcel, sent)
            accepted, failed = accepted + (sent.outcome == "accepted"), failed + (sent.outcome != "accepted")
            if sent.silent:
                break
    finally:
        _give_back(book, parcels)
        for channel in channels.values():
            channel.close()
    return Tally(accepted, failed)


@dataclass(frozen=True, slots=True)
class _Sent:
    outcome: Literal["accepted", "deferred", "refused"]
    answer: str
    silent: bool = False
    left: bool = True
    """Whether a message of this id may have left the house."""


def _try(book: Book, channels: Mapping[str, Channel], parcel: Parcel, site: str) -> _Sent:
    """`_send`, so that a mistake in the program that one parcel meets does not keep back all the others."""
    try:
        return _send(book, channels[parcel.channel], parcel, site)
    except Untrusted:
        raise
    except Exception as problem:
        log.exception("a message broke", message=parcel.message, person=parcel.person)
        return _Sent("deferred", f"the program broke: {problem!r}")


def _send(book: Book, channel: Channel, parcel: Parcel, site: str) -> _Sent:
    with book.world() as world:
        world.expect(Notice, parcel.notices)
        notices = [world.get(Notice, key) for key in parcel.notices]
        expect_alarms(world, [notice.about for notice in notices if notice.matter is None])
        text = words(world, notices, book.clock(), site)
        address = _address(book, world, parcel.person)
    if address is None:
        return _Sent("refused", "the address is not the one that the ledger commits to", left=False)
    try:
        return _Sent("accepted", channel.send(Message(parcel.message, address, text.subject, text.body)))
    except Undelivered as problem:
        outcome: Literal["deferred", "refused"] = "refused" if problem.permanent else "deferred"
        return _Sent(outcome, str(problem), silent=problem.silent)


def _address(book: Book, world: World, person: str) -> str | None:
    """The person's address, if it is still the one that the ledger commits to.

    Whoever can write to the database could else send every alarm to themself.
    """
    commitment = world.get(Person, person).contact
    with book.read() as connection:
        try:
            return private.read(connection, commitment)
        except private.Changed:
            return None


def _mark(book: Book, parcel: Parcel, sent: _Sent) -> None:
    with book.page("monitor") as page:
        page.record(
            Attempted(
                notices=parcel.notices,
                outcome=sent.outcome,
                at=page.now,
                answer=page.private(sent.answer),
                message=parcel.message if sent.left else None,
            )
        )
        if sent.outcome != "accepted":
            pause = min(timedelta(seconds=2 ** min(parcel.attempts, 6)), PAUSE_MOST)
            outbox.give_back(page.connection, parcel.notices, page.now + pause)


def _give_back(book: Book, parcels: list[Parcel]) -> None:
    if parcels:
        with book.writing() as connection:
            for parcel in parcels:
                outbox.give_back(connection, parcel.notices, book.now() + UNTRIED * book.pace)
