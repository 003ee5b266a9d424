"""Sites, organisations, people and devices."""

from __future__ import annotations

from typing import Literal

from custody import orders
from custody.errors import Conflict, Forbidden
from custody.facts import (
    Granted,
    Invited,
    OrganisationAdmitted,
    Revoked,
    SiteOpened,
)
from custody.rules.people import Device, Organisation, Person, Site, check_roles, require
from custody.store.book import Book


def open_site(book: Book, by: str, order: orders.OpenSite, *, how: str = "web") -> None:
    """A new site. Conflict where its code is taken."""
    with book.page(how) as page:
        require(page.world, by, "open a site")
        if page.world.find(Site, order.site) is not None:
            raise Conflict(f"There is a site {order.site} already.")
        page.record(SiteOpened(by, order.site, order.zone))


def admit_organisation(book: Book, by: str, order: orders.AdmitOrganisation, *, how: str = "web") -> None:
    """A contractor whose people take part until its contract ends."""
    with book.page(how) as page:
        require(page.world, by, "admit an organisation")
        if order.until <= page.now:
            raise Conflict("The contract's end has passed.")
        page.record(OrganisationAdmitted(by, order.organisation, order.until))


def invite(book: Book, by: str, order: orders.Invite, *, how: str = "web") -> str:
    """A new person's number. The account and the link that goes with it are `custody.store.accounts`'."""
    with book.page(how) as page:
        require(page.world, by, "invite a person")
        grants = tuple(grant.fact() for grant in order.grants)
        check_roles(page.world, grants)
        page.world.get(Organisation, order.organisation)
        person = f"P-{page.world.next_number(Person)}"
        page.record(Invited(by, person, order.organisation, grants, page.private(order.address)))
        return person


def change_roles(
    book: Book, by: str, person: str, grants: tuple[orders.Grant, ...], *, how: str = "web"
) -> None:
    """All the roles that the person has from now on. Nobody changes their own."""
    with book.page(how) as page:
        require(page.world, by, "change a person's roles")
        if by == person:
            raise Forbidden("Nobody changes their own roles. Ask another administrator.")
        new = tuple(grant.fact() for grant in grants)
        check_roles(page.world, new)
        page.world.get(Person, person)
        page.record(Granted(by, person, new))


def revoke(
    book: Book, by: str, key: str, reason: Literal["lost", "stolen", "replaced", "left"], *, how: str = "web"
) -> None:
    """A device counts no more, from this moment. A person may always revoke their own."""
    with book.page(how) as page:
        device = page.world.get(Device, key)
        if device.person != by:
            require(page.world, by, "revoke a device")
        page.record(Revoked(by, key, reason))
