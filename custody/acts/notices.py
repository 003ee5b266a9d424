"""One message: what it says, to whom it goes, and what became of it.

Send, then mark. A crash between the two sends the message once more, under the same Message-ID; the other
way round a crash would lose it, and a lost alarm is what this system is there to prevent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from custody.acts.telling import tell
from custody.errors import Undelivered, Untrusted
from custody.facts import Attempted
from custody.outside import cleaned
from custody.rules.alarms import Notice
from custody.rules.incidents import expect_alarms
from custody.rules.notices import Channel, Message, words
from custody.rules.overdue import overseers
from custody.rules.people import Person
from custody.rules.world import World
from custody.store import outbox, private
from custody.store.book import Book, Page
from custody.store.outbox import Parcel

PAUSE_MOST: Final = timedelta(seconds=60)
"""Between two attempts on a notice that the relay put off; there is no last attempt."""
REFUSED_LEAST: Final = timedelta(minutes=1)
"""A mailbox that refuses is tried again after as long as it has refused already: so long at least."""

log = structlog.get_logger("custody.notices")


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of an attempt: the outcome, and the other side's words, clean and short.

    `silent` where nobody answered at all; `left` is whether a message of this id may have left the house.
    """

    outcome: Literal["accepted", "deferred", "refused"]
    answer: str
    silent: bool = False
    left: bool = True


def send(book: Book, channels: Mapping[str, Channel], parcel: Parcel, site: str) -> Sent:
    """Hands the message over, or says why not. `site` is where people sign in.

    A mistake in the program that one parcel meets keeps back no other.
    """
    try:
        message = _message(book, parcel, site)
        if message is None:
            return Sent("refused", "the address is not the one that the ledger commits to", left=False)
        return Sent("accepted", cleaned(channels[parcel.channel].send(message)))
    except Undelivered as problem:
        outcome: Literal["deferred", "refused"] = "refused" if problem.permanent else "deferred"
        return Sent(outcome, cleaned(str(problem)), silent=problem.silent)
    except Untrusted:
        raise
    except Exception as problem:
        log.exception("a message broke", message=parcel.message, person=parcel.person)
        return Sent("deferred", cleaned(f"the program broke: {problem!r}"))


def _message(book: Book, parcel: Parcel, site: str) -> Message | None:
    """None where the address is not the one that the ledger commits to."""
    with book.world() as world:
        world.expect(Notice, parcel.notices)
        notices = [world.get(Notice, key) for key in parcel.notices]
        expect_alarms(world, [notice.about for notice in notices if notice.matter is None])
        text = words(world, notices, book.clock(), site)
        address = _address(book, world, parcel.person)
    return None if address is None else Message(parcel.message, address, text.subject, text.body)


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


def pause(parcel: Parcel) -> timedelta:
    """Real time between this attempt, if it was put off, and the next."""
    return min(timedelta(seconds=2 ** min(parcel.attempts, 6)), PAUSE_MOST)


def mark(book: Book, parcel: Parcel, sent: Sent) -> None:
    """Records what came of it, and when it is tried again where it was not accepted."""
    with book.page("monitor") as page:
        recorded = page.record(
            Attempted(
                notices=parcel.notices,
                outcome=sent.outcome,
                at=page.now,
                answer=page.private(sent.answer),
                message=parcel.message if sent.left else None,
            )
        )
        now = book.clock()
        since = outbox.refusing_since(page.connection, parcel.person, parcel.channel)
        match sent.outcome:
            case "deferred":
                outbox.give_back(page.connection, parcel.notices, now, pause(parcel) * book.pace)
            case "refused":
                again = min(
                    max(now - (since or now), REFUSED_LEAST * book.pace), outbox.REFUSED_MOST * book.pace
                )
                outbox.refused(page.connection, parcel, now, again)
                if since is None:
                    _tell_overseers(page, recorded.event, parcel.person)
            case "accepted" if since is not None:
                outbox.taken_again(page.connection, parcel.person, parcel.channel, now)


def _tell_overseers(page: Page, event: str, person: str) -> None:
    """That this person's mailbox takes nothing: those who can mend it, and not that mailbox."""
    grants = page.world.get(Person, person).grants
    told = overseers(page.world, *(grant.site for grant in grants if grant.site is not None))
    if others := [each for each in told if each != person]:
        tell(page, event, "channel-failed", others)
