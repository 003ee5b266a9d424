"""Accounts: how a person signs in, and the one thing besides the outbox that is written without a fact.

An account belongs to one person number of the ledger and holds what must be erasable: a name, an address, a
password's hash. Nobody registers, and nobody sets another's password: an account begins without one, and a
one-time link lets its holder choose it. Links are opened by mail scanners as well as by people, so opening
one changes nothing; using one does, once.

Signing in is not signing. What a session alone can do is recorded; what counts as signed takes the key of
an enrolled device, which no account holds.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Conflict, Forbidden, NotFound
from custody.store.book import Book

INVITE_LASTS: Final = timedelta(days=3)
DEMO_LINK_LASTS: Final = timedelta(days=365)
"""A demo's clock may run a thousand times too fast."""
WRONG_MOST: Final = 10
WRONG_WITHIN: Final = timedelta(minutes=15)

Purpose = Literal["invite", "demo"]

_account, _link, _wrong = (SQLModel.metadata.tables[name] for name in ("account", "link", "wrong_password"))


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account. `session` is what their cookies name."""

    person: str
    name: str
    address: str
    password: str | None
    session: str


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link that can still be used, and whose it is."""

    person: str
    purpose: Purpose


def add(book: Book, person: str, name: str, address: str) -> None:
    """An account for this person, without a password. Conflict where they, or the address, have one."""
    check_free(book, address)
    with book.writing() as connection:
        if connection.scalar(sa.select(_account.c.person).where(_account.c.person == person)):
            raise Conflict(f"{person} has an account already.")
        row = {"person": person, "name": name, "address": address.lower(), "session": _draw(book)}
        connection.execute(sa.insert(_account).values(**row, password=None))


def check_free(book: Book, address: str) -> None:
    """Conflict where another account has this address: two people who share a mailbox share their alarms."""
    if find(book, address=address) is not None:
        raise Conflict(f"Another account has the address {address}. Each person has their own.")


def find(
    book: Book, *, person: str | None = None, address: str | None = None, session: str | None = None
) -> Account | None:
    """The account of this person, address or session, if there is one."""
    wanted = {"person": person, "address": address and address.lower(), "session": session}
    where = [_account.c[name] == value for name, value in wanted.items() if value is not None]
    with book.read() as connection:
        row = connection.execute(sa.select(_account).where(*where)).first() if where else None
    return None if row is None else Account(row.person, row.name, row.address, row.password, row.session)


def names(connection: sa.Connection) -> dict[str, str]:
    """The name of each person who has an account."""
    return {row.person: row.name for row in connection.execute(sa.select(_account.c.person, _account.c.name))}


def addresses(connection: sa.Connection) -> dict[str, str]:
    """The address of each person who has an account."""
    rows = connection.execute(sa.select(_account.c.person, _account.c.address))
    return {row.person: row.address for row in rows}


def rehash(book: Book, person: str, digest: str) -> None:
    """The same password under a newer hash; nobody's session ends for it."""
    with book.writing() as connection:
        connection.execute(sa.update(_account).where(_account.c.person == person).values(password=digest))


def end_sessions(book: Book, person: str) -> None:
    """Nobody is signed in to this account any more."""
    with book.writing() as connection:
        change = sa.update(_account).where(_account.c.person == person).values(session=_draw(book))
        connection.execute(change)


# ------------------------------------------------------------------------------------------------- links


def invite_link(book: Book, person: str) -> str:
    """The token of a one-time link with which this person chooses a password; older ones are void.

    NotFound where the person has no account.
    """
    with book.writing() as connection:
        return put_link(book, connection, person)


def put_link(book: Book, connection: sa.Connection, person: str) -> str:
    """`invite_link` within a transaction that has begun."""
    if connection.scalar(sa.select(_account.c.person).where(_account.c.person == person)) is None:
        raise NotFound(f"{person} has no account here.")
    older = sa.and_(_link.c.person == person, _link.c.purpose == "invite", _link.c.used_at.is_(None))
    connection.execute(sa.delete(_link).where(older))
    return _new_link(book, connection, person, "invite", INVITE_LASTS)


def demo_link(book: Book, person: str) -> str:
    """The token of a one-time link that signs this person in without a password; Forbidden but in a demo."""
    _check_demo(book)
    _get(book, person)
    with book.writing() as connection:
        return _new_link(book, connection, person, "demo", DEMO_LINK_LASTS)


def open_link(book: Book, token: str) -> Link:
    """What this link is for; changes nothing. NotFound where it never was, was used, or has expired."""
    with book.read() as connection:
        row = connection.execute(sa.select(_link).where(_link.c.digest == _digest(token))).first()
    if row is None or row.used_at is not None or row.expires <= book.clock():
        raise NotFound("This link has been used, or has expired. Ask whoever gave it to you for a new one.")
    return Link(row.person, row.purpose)


def begin(book: Book, token: str, password: str) -> Account:
    """Uses up an invitation: the account has this password hash now, and all its older sessions ended."""
    person = _check_link(book, token, "invite")
    change = {"password": password, "session": _draw(book)}
    with book.writing() as connection:  # both or neither: a crash leaves no link used up for nothing
        _use_up(book, connection, token)
        connection.execute(sa.update(_account).where(_account.c.person == person).values(**change))
    return _get(book, person)


def enter(book: Book, token: str) -> Account:
    """Uses up a demo's link: whose it is. Forbidden in a book that is no demo, whatever its tables say."""
    _check_demo(book)
    person = _check_link(book, token, "demo")
    with book.writing() as connection:
        _use_up(book, connection, token)
    return _get(book, person)


def _check_link(book: Book, token: str, purpose: Purpose) -> str:
    link = open_link(book, token)
    if link.purpose != purpose:
        raise Forbidden("This link is for something else.")
    return link.person


def _use_up(book: Book, connection: sa.Connection, token: str) -> None:
    unused = sa.and_(_link.c.digest == _digest(token), _link.c.used_at.is_(None))
    used = connection.execute(sa.update(_link).where(unused).values(used_at=book.clock()))
    if not used.rowcount:  # two tabs, or a thief: the first one has it
        raise NotFound("This link has been used. Ask whoever gave it to you for a new one.")


def _new_link(book: Book, connection: sa.Connection, person: str, purpose: Purpose, lasts: timedelta) -> str:
    token = _draw(book)
    row = {"digest": _digest(token), "person": person, "purpose": purpose}
    connection.execute(sa.insert(_link).values(**row, expires=book.clock() + lasts, used_at=None))
    return token


def _check_demo(book: Book) -> None:
    if not book.is_demo:
        raise Forbidden("Links that sign in without a password exist in a demo and nowhere else.")


# ------------------------------------------------------------------------------------------- the lock-out


def locked(book: Book, address: str, source: str) -> bool:
    """Whether ten wrong passwords came for this account from this address within a quarter of an hour.

    An address alone is never locked, nor is an account: a whole office behind one address would be, and a
    stranger could lock out the head of department while an alarm rings.
    """
    with book.read() as connection:
        count = connection.scalar(
            sa.select(sa.func.count())
            .select_from(_wrong)
            .where(
                _wrong.c.account == _digest(address.lower()),
                _wrong.c.source == source,
                _wrong.c.at > book.clock() - WRONG_WITHIN,
            )
        )
    return int(count or 0) >= WRONG_MOST


def note_wrong(book: Book, address: str, source: str) -> None:
    """Writes down a sign-in that failed, and forgets those that no longer count."""
    now: datetime = book.clock()
    with book.writing() as connection:
        connection.execute(sa.delete(_wrong).where(_wrong.c.at <= now - WRONG_WITHIN))
        row = {"account": _digest(address.lower()), "source": source, "at": now}
        connection.execute(sa.insert(_wrong).values(**row))


def _get(book: Book, person: str) -> Account:
    account = find(book, person=person)
    if account is None:
        raise NotFound(f"{person} has no account here.")
    return account


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _draw(book: Book) -> str:
    return base64.urlsafe_b64encode(book.random(32)).decode("ascii").rstrip("=")
