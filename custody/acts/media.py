"""Media, cases, seals and data sets: on the books, described, labelled.

Two hundred tapes are one act: what a listing and an inventory name goes in whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Conflict, NotFound
from custody.facts import Described, Item, Labelled, Registered
from custody.readers.inventory import Row
from custody.readers.mtx import Library
from custody.rules.media import check_reprint
from custody.rules.people import Site, require
from custody.store.book import Book, Page

ITEMS_IN_A_FACT: Final = 150
"""So many items fit one envelope with room to spare."""

_COPIES: Final[dict[bool | None, Literal["yes", "no", "unknown"]]] = {
    True: "yes",
    False: "no",
    None: "unknown",
}

_medium = SQLModel.metadata.tables["medium"]


@dataclass(frozen=True, slots=True)
class New:
    """A thing to be registered, before it has an identity."""

    what: Literal["medium", "case", "seal"] = "medium"
    volser: str | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of taking in a listing: the identity of each volser, new or known, and what was left out.

    `unlabelled` are the listing's full slots without a volser: media nobody can name. They are flagged here
    and not registered; label them first.
    """

    ids: dict[str, str]
    fresh: tuple[str, ...]
    unlabelled: tuple[str, ...]
    cleaning: tuple[str, ...]


def register(
    book: Book, by: str, site: str, things: Sequence[New], draw: Callable[[], str], *, how: str = "web"
) -> tuple[str, ...]:
    """New things at a site; gives their identities, in order. `draw` gives a fresh identity each time."""
    with book.page(how) as page:
        require(page.world, by, "register media")
        page.world.get(Site, site)
        return _register(page, by, site, things, draw)


def take_in(
    book: Book,
    by: str,
    site: str,
    library: Library,
    inventory: Sequence[Row],
    *,
    draw: Callable[[], str],
    how: str = "web",
) -> TakenIn:
    """Registers a library's tapes and describes what is on them, as one act.

    A volser that is known at this site is the same medium. One that is known at another site is a
    Conflict: two cartridges may bear it, and only their own labels can tell. NotFound, naming its line,
    for an inventory row whose volser the listing does not have.
    """
    tapes = [c for c in library.cartridges if not c.cleaning]
    _check_listed(inventory, {tape.volser for tape in tapes})  # before the writer's turn: it may be long
    with book.page(how) as page:
        require(page.world, by, "register media")
        require(page.world, by, "describe a data set")
        page.world.get(Site, site)
        known = _known(page, site, [tape.volser for tape in tapes])
        fresh = [tape.volser for tape in tapes if tape.volser not in known]
        ids = _register(page, by, site, [New("medium", v, _form(v)) for v in fresh], draw)
        found = known | dict(zip(fresh, ids, strict=True))
        _describe(page, by, inventory, found)
        return TakenIn(
            ids=found,
            fresh=ids,
            unlabelled=tuple(f"slot {slot.number}" for slot in library.unlabelled),
            cleaning=tuple(c.volser for c in library.cartridges if c.cleaning),
        )


def labelled(
    book: Book, by: str, items: Sequence[str], stock: str, *, reason: str | None = None, how: str = "web"
) -> None:
    """Labels of these were printed. Conflict where one was printed before and no reason is given."""
    with book.page(how) as page:
        require(page.world, by, "print labels")
        check_reprint(page.world, items, reason)
        commitment = page.private(reason) if reason else None
        page.record(Labelled(by, tuple(sorted(items)), stock, commitment))


def _register(
    page: Page, by: str, site: str, things: Sequence[New], draw: Callable[[], str]
) -> tuple[str, ...]:
    ids = tuple(draw() for _ in things)  # of 75 random bits: one that is taken is refused with all the rest
    items = [
        Item(name, thing.what, site, thing.volser, thing.form)
        for name, thing in zip(ids, things, strict=True)
    ]
    for start in range(0, len(items), ITEMS_IN_A_FACT):
        page.record(Registered(by, tuple(items[start : start + ITEMS_IN_A_FACT])))
    return ids


def _known(page: Page, site: str, volsers: Iterable[str]) -> dict[str, str]:
    wanted = set(volsers)
    rows = page.connection.execute(
        sa.select(_medium.c.id, _medium.c.volser, _medium.c.site).where(_medium.c.volser.in_(wanted))
    ).all()
    elsewhere = sorted(row.volser for row in rows if row.site != site)
    if elsewhere:
        raise Conflict(
            f"{', '.join(elsewhere[:5])} is on the books of another site. A volser can stand on two"
            " cartridges: scan the media's own labels, or move them by a consignment."
        )
    return {row.volser: row.id for row in rows}


def _form(volser: str) -> str | None:
    """`LTO-8` from the media id that ends an LTO volser; None where it does not say."""
    return f"LTO-{volser[-1]}" if len(volser) == 8 and volser[-2] == "L" and volser[-1].isdigit() else None


def _check_listed(inventory: Sequence[Row], listed: set[str]) -> None:
    for row in inventory:
        if row.volser not in listed:
            raise NotFound(f"Line {row.line}: {row.volser} is not in the library's listing.")


def _describe(page: Page, by: str, inventory: Sequence[Row], found: dict[str, str]) -> None:
    sets: dict[str, list[Row]] = {}
    for row in inventory:
        sets.setdefault(row.dataset, []).append(row)
    for name, rows in sets.items():
        first = rows[0]
        if any((row.title, row.people) != (first.title, first.people) for row in rows):
            raise Conflict(f"The data set {name} has different titles or numbers of people on its lines.")
        least, most = first.people or (None, None)
        page.record(
            Described(
                by=by,
                data_set=name,
                title=page.private(first.title),
                media=tuple(sorted({found[row.volser] for row in rows})),
                people_least=least,
                people_most=most,
                other_copies=_COPIES[first.copies],
            )
        )
