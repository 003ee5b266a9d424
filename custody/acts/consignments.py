"""Consignments: requested here; approved and handed on by statements (`custody.acts.signing`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from custody import orders
from custody.errors import Conflict
from custody.facts import Approved, Handed, Packed, Party, Requested, Routed, Withdrawn
from custody.rules.consignments import DEFAULT_LADDER, Consignment, Route
from custody.rules.people import Organisation, require, with_role
from custody.rules.world import World
from custody.store.book import Book

AHEAD_MOST: Final = timedelta(days=92)


def request(book: Book, by: str, order: orders.Request, *, how: str = "web") -> str:
    """A manifest; gives the consignment's number. Nothing may leave before a manager has approved it."""
    with book.page(how) as page:
        route = page.world.get(Route, order.route)
        require(page.world, by, "request a consignment", site=route.origin_site)
        carrier = page.world.get(Organisation, order.carrier)
        if order.pick_up_by <= page.now:
            raise Conflict("The pick-up time has passed already.")
        if order.pick_up_by > page.now + AHEAD_MOST:
            raise Conflict(f"A pick-up is at most {AHEAD_MOST.days} days ahead.")
        if not any(p.organisation == carrier.id for p in with_role(page.world, "courier")):
            raise Conflict(f"{carrier.id} has no courier: nobody could pick it up. Choose the carrier.")
        if carrier.until is not None and carrier.until <= order.pick_up_by:
            raise Conflict(f"The contract of {carrier.id} ends before the pick-up.")
        name = f"C-{page.world.next_number(Consignment)}"
        page.record(
            Requested(by, name, route.id, carrier.id, order.pick_up_by, tuple(order.media), order.packing)
        )
        return name


def withdraw(book: Book, by: str, name: str, *, how: str = "web") -> None:
    """Takes a request back that nobody has approved; its media are free again."""
    with book.page(how) as page:
        consignment = page.world.get(Consignment, name)
        require(page.world, by, "request a consignment", site=consignment.from_site)
        page.record(Withdrawn(by, name))


def route(order: orders.SetRoute) -> Routed:
    """The route, with the default ladder, for a senior manager to sign."""
    if order.origin_site == order.destination:
        raise Conflict("A route leads from one site to another.")
    return Routed(order.route, order.origin_site, order.destination, order.transit, DEFAULT_LADDER)


def packing(site: str, case: str, seal: str, media: tuple[str, ...]) -> Packed:
    """What was read into the case and closed under the seal, for the one who packed to sign."""
    return Packed(site, case, seal, media)


def approval(world: World, name: str) -> tuple[Approved, str]:
    """The approval of a consignment as its route stands now, for a manager to sign; and what it is about."""
    consignment = world.get(Consignment, name)
    by_route = world.get(Route, consignment.route)
    fact = Approved(name, consignment.pick_up_by, by_route.transit, by_route.ladder)
    return fact, consignment.manifest


def hand_off(
    world: World, name: str, *, giver: Party, taker: Party, site: str, **seen: object
) -> tuple[Handed, str]:
    """The next hand-off of a consignment, for the taker and then the giver to sign; and what it is about.

    `seen` are the members of `Handed` that say what was read: `read`, `seal`, `missing`, `refused`,
    `damaged`, `extra`.
    """
    consignment = world.get(Consignment, name)
    if consignment.head is None:
        raise Conflict(f"{name} has not been approved: nothing of it may leave.")
    fact = Handed(
        consignment=name,
        giver=giver,
        taker=taker,
        previous=consignment.head,
        site=site,
        **{"read": "media", **seen},  # type: ignore[arg-type]  # members of Handed, judged when it is read
    )
    return fact, consignment.manifest
