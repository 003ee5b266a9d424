"""Texts that may be erased, each under the commitment that stands in the ledger."""

from __future__ import annotations

import hashlib
from typing import Final

import sqlalchemy as sa

from custody.store import tables

CHANGED: Final = "(not shown: it was changed, and is not the text that the ledger commits to)"


class Changed(ValueError):  # noqa: N818 - what was done to the text
    """The table holds another text than the one that was committed to."""


def commitment_of(salt: bytes, text: str) -> str:
    """Hexadecimal SHA-256 of a 32-byte salt and the text."""
    return hashlib.sha256(salt + text.encode()).hexdigest()


def read(connection: sa.Connection, commitment: str) -> str | None:
    """The text, None where it was erased; Changed where somebody wrote another one in its place."""
    row = connection.execute(sa.select(tables.Private).where(sa.column("commitment") == commitment)).first()
    if row is None:
        return None
    if commitment_of(row.salt, row.text) != commitment:
        raise Changed(CHANGED)
    return str(row.text)


def shown(connection: sa.Connection, commitment: str) -> str | None:
    """`read` for pages and documents: in place of a changed text, the words that it is one."""
    try:
        return read(connection, commitment)
    except Changed:
        return CHANGED
