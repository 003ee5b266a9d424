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
from labels.volser import Index, first_six, form, spine

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

    `flagged` says of each full element that was not registered which it is and what its label lacks: media
    that nobody can name yet. `service` are cartridges that clean or test drives. `spelt` are the volsers that
    the library spells otherwise, with how it does.
    """

    ids: dict[str, str]
    fresh: tuple[str, ...]
    flagged: tuple[str, ...]
    service: tuple[str, ...]
    spelt: dict[str, str]


def register(
    book: Book, by: str, site: str, things: Sequence[New], draw: Callable[[], str], *, how: str = "web"
) -> tuple[str, ...]:
    """New things at a site; gives their identities, in order. `draw` gives a fresh identity each time.

    Conflict where a volser names what is on the books at this site already, or two of them one cartridge.
    """
    named = [(spine(thing.volser, thing.form), thing) for thing in things if thing.volser]
    index = Index((volser, volser) for volser, _ in named)
    with book.page(how) as page:
        require(page.world, by, "register media")
        page.world.get(Site, site)
        known = _Known(page, site, [volser for volser, _ in named])
        for volser, thing in named:
            if len(found := index.find(volser)) > 1:
                raise Conflict(f"{found[0]} and {found[1]} could name one cartridge. Name each once.")
            if medium := known.here(volser):
                raise Conflict(
                    f"{thing.volser} is on the books at {site} already, as {medium.volser} with the label"
                    f" {medium.id}. Two cartridges with one volser at one site cannot be told apart."
                )
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

    A volser that is known at this site is the same medium, whether either of the two has the media id or not.
    One that is known at another site alone is a Conflict: two cartridges may bear it, and only their own
    labels can tell. NotFound, naming its line, for an inventory row whose volser the listing does not have.
    """
    tapes = [c.volser for c in library.cartridges if not c.cleaning]
    rows = _listed(inventory, tapes)  # before the writer's turn: it may be long
    with book.page(how) as page:
        require(page.world, by, "register media")
        require(page.world, by, "describe a data set")
        page.world.get(Site, site)
        known = _Known(page, site, tapes).each(tapes)
        fresh = [volser for volser in tapes if volser not in known]
        ids = _register(page, by, site, [New("medium", v, form(v)) for v in fresh], draw)
        found = known | dict(zip(fresh, ids, strict=True))
        _describe(page, by, rows, found)
        return TakenIn(
            ids=found,
            fresh=ids,
            flagged=tuple(slot.why for slot in library.unlabelled if not slot.diagnostic),
            service=(
                *(c.volser for c in library.cartridges if c.cleaning),
                *(slot.tag for slot in library.unlabelled if slot.diagnostic),
            ),
            spelt={c.volser: c.spelt for c in library.cartridges if c.spelt},
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


@dataclass(frozen=True, slots=True)
class _Medium:
    """What is on the books, as much of it as tells one cartridge from another."""

    id: str
    volser: str
    spine: str
    site: str


class _Known:
    """The media on the books that these volsers could mean."""

    def __init__(self, page: Page, site: str, volsers: Iterable[str]) -> None:
        columns = (_medium.c.id, _medium.c.volser, _medium.c.form, _medium.c.site)
        keys = sorted({first_six(volser) for volser in volsers})
        rows = page.connection.execute(
            sa.select(*columns).where(sa.func.substr(_medium.c.volser, 1, 6).in_(keys)).order_by(_medium.c.id)
        )
        media = [_Medium(row.id, row.volser, spine(row.volser, row.form), row.site) for row in rows]
        self._site = site
        self._here = Index((each.spine, each) for each in media if each.site == site)
        self._elsewhere = Index((each.spine, each) for each in media if each.site != site)

    def here(self, volser: str) -> _Medium | None:
        """The one at this site; Conflict where it could be any of several. One of exactly this name is it."""
        found = self._here.find(volser)
        found = [each for each in found if volser in (each.volser, each.spine)] or found
        if len(found) > 1:
            raise Conflict(
                f"{volser} could be any of {len(found)} media at {self._site}, with the labels"
                f" {', '.join(each.id for each in found[:5])}. Read their own labels."
            )
        return found[0] if found else None

    def each(self, volsers: Iterable[str]) -> dict[str, str]:
        """The identity of each that is known at this site; Conflict for what is known elsewhere alone."""
        known: dict[str, str] = {}
        elsewhere = []
        for volser in volsers:
            if medium := self.here(volser):
                known[volser] = medium.id
            elif self._elsewhere.find(volser):
                elsewhere.append(volser)
        if elsewhere:
            raise Conflict(
                f"{', '.join(sorted(elsewhere)[:5])} is on the books of another site. A volser can stand on"
                " two cartridges: scan the media's own labels, or move them by a consignment."
            )
        first: dict[str, str] = {}
        for volser, name in known.items():
            other = first.setdefault(name, volser)
            if other != volser:
                raise Conflict(f"{other} and {volser} could both be the medium {name}. Read its own label.")
        return known


def _listed(inventory: Sequence[Row], tapes: Iterable[str]) -> list[tuple[str, Row]]:
    """Each row with the volser that the listing has for its tape."""
    index = Index((tape, tape) for tape in tapes)
    rows = []
    for row in inventory:
        found = index.find(row.volser)
        if not found:
            raise NotFound(f"Line {row.line}: {row.volser} is not in the library's listing.")
        if len(found) > 1:
            raise Conflict(
                f"Line {row.line}: {row.volser} could be {found[0]} or {found[1]}: write it whole."
            )
        rows.append((found[0], row))
    return rows


def _describe(page: Page, by: str, rows: Sequence[tuple[str, Row]], found: dict[str, str]) -> None:
    sets: dict[str, list[tuple[str, Row]]] = {}
    for volser, row in rows:
        sets.setdefault(row.dataset, []).append((volser, row))
    for name, members in sets.items():
        first = members[0][1]
        if any((row.title, row.people) != (first.title, first.people) for _, row in members):
            raise Conflict(f"The data set {name} has different titles or numbers of people on its lines.")
        least, most = first.people or (None, None)
        page.record(
            Described(
                by=by,
                data_set=name,
                title=page.private(first.title),
                media=tuple(sorted({found[volser] for volser, _ in members})),
                people_least=least,
                people_most=most,
                other_copies=_COPIES[first.copies],
            )
        )
