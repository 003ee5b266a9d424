"""Tokens with which machines read the log: witnesses its checkpoints and hashes, mirrors its entries, too.

A token is made on the server's console, where everything could be read anyway, and shown once. It opens the
log's files and nothing else. Only its SHA-256 is kept.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Conflict, NotFound
from custody.store.book import Book

Reader = Literal["witness", "mirror"]

_token = SQLModel.metadata.tables["token"]


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was made: under which name, for whom, when, and whether it is revoked."""

    name: str
    reader: Reader
    made_at: datetime
    revoked_at: datetime | None


def make(book: Book, name: str, reader: Reader) -> str:
    """A fresh token under this name, shown this once. Conflict where there is one of that name."""
    token = base64.urlsafe_b64encode(book.random(32)).decode().rstrip("=")
    row = {"name": name, "reader": reader, "digest": _digest(token), "made_at": book.clock()}
    with book.writing() as connection:
        if connection.scalar(sa.select(_token.c.name).where(_token.c.name == name)):
            raise Conflict(f"There is, or was, a token {name}. Take another name.")
        connection.execute(sa.insert(_token).values(**row, revoked_at=None))
    return token


def revoke(book: Book, name: str) -> None:
    """From now on it opens nothing. NotFound where there is none of that name in use."""
    with book.writing() as connection:
        mine = sa.and_(_token.c.name == name, _token.c.revoked_at.is_(None))
        if not connection.execute(sa.update(_token).where(mine).values(revoked_at=book.clock())).rowcount:
            raise NotFound(f"There is no token {name} in use.")


def every(book: Book) -> list[Token]:
    """All that were ever made, oldest first."""
    with book.read() as connection:
        rows = connection.execute(sa.select(_token).order_by(_token.c.made_at, _token.c.name))
        return [Token(row.name, row.reader, row.made_at, row.revoked_at) for row in rows]


def reader(book: Book, token: str) -> Reader | None:
    """Who reads with this token; None where it is none, or revoked."""
    with book.read() as connection:
        held = sa.and_(_token.c.digest == _digest(token), _token.c.revoked_at.is_(None))
        return cast("Reader | None", connection.scalar(sa.select(_token.c.reader).where(held)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
