"""Publishing: each witness that the policy names is asked to cosign the newest checkpoint.

It runs beside the pages and the monitor, and waits for a witness under no lock: one that is away holds
nobody up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from custody.errors import Undelivered, Unreadable
from custody.ledger.note import Checkpoint, Note, VerifierKey
from custody.ledger.witness import AddCheckpoint, cosignatures, latest_size
from custody.outside import cleaned
from custody.store import witnesses
from custody.store.book import Book
from custody.store.tree import Tree

Submit = Callable[[str, bytes], tuple[int, bytes]]
"""Hands a request to the witness at this address: HTTP status and answer, or Undelivered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking a witness: how many entries it has cosigned, and if that is not all, why.

    One that had cosigned all of them before was not `asked`, which is no other news.
    """

    witness: str
    size: int
    why: str = ""
    asked: bool = field(default=True, compare=False)


def publish(book: Book, submit: Submit) -> list[Asked]:
    """Asks every witness that has an address and has not cosigned the newest checkpoint.

    One that says that it has seen more of this log than this book has, or another history, is believed by
    people alone: a false witness must not keep the others from being asked.
    """
    urls = book.trust.urls
    # one for all: a log that grows meanwhile would else never have two of them under one checkpoint
    note = Note.read(book.checkpoint().encode())
    return [_ask(book, note, each, submit, urls[each[0]]) for each in book.trust.witnesses if each[0] in urls]


def _ask(book: Book, note: Note, witness: tuple[str, VerifierKey], submit: Submit, url: str) -> Asked:
    name, key = witness
    with book.read() as connection:
        before = witnesses.cosigned(connection, name, key)
    size = Checkpoint.read(note.text).size
    if before >= size:
        return Asked(name, size, asked=False)
    try:
        status, answer = submit(url, _request(book, note, size, before))
        if status == 409 and (known := latest_size(answer)) <= size:  # not what we kept
            status, answer = submit(url, _request(book, note, size, known))
        if status == 200:
            for line in cosignatures(answer, note.text, [key]):
                witnesses.keep(book, size, name, str(line))
                return Asked(name, size)
            return Asked(name, before, "it answered with no cosignature of its key")
        words = cleaned(answer)
        if status in (409, 422):
            return Asked(
                name,
                before,
                f"it refuses the log of {size:,} entries ({status}: {words}): it has seen more of it, or"
                " another history. Either the witness is false, or this book was set back or written anew:"
                " compare it with another witness, a pin, a receipt or a manifest before you go on with it.",
            )
        return Asked(name, before, f"it answers {status}: {words}")
    except (Undelivered, Unreadable) as problem:
        return Asked(name, before, cleaned(str(problem)))


def _request(book: Book, note: Note, size: int, old: int) -> bytes:
    with book.read() as connection:
        proof = Tree(connection, size, book.tiles).consistency(old) if old else []
    return bytes(AddCheckpoint(old, tuple(proof), note))
