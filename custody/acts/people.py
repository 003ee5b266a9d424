"""Sites, organisations, people and devices."""

from __future__ import annotations

from typing import Literal

from custody import orders
from custody.acts.telling import tell
from custody.errors import Conflict
from custody.facts import (
    Grant,
    Granted,
    Invited,
    Linked,
    OrganisationAdmitted,
    Revoked,
    SiteOpened,
)
from custody.rules.overdue import overseers
from custody.rules.people import (
    Device,
    Organisation,
    Person,
    Site,
    check_contract,
    check_roles,
    check_senior_device,
    require,
)
from custody.store import accounts
from custody.store.book import Book
from custody.strict import json_bytes, record


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
        known = page.world.find(Organisation, order.organisation)
        if known is not None and known.until is not None and order.until < known.until:
            check_contract(page.world, known)
        page.record(OrganisationAdmitted(by, order.organisation, order.until))


def invitation(book: Book, order: orders.Invite) -> Invited:
    """The invitation of a new person with the next number, for an administrator to sign.

    The address goes where it can be erased. The account and its one-time link are `custody.store.accounts`'.
    """
    grants = tuple(sorted((grant.fact() for grant in order.grants), key=_as_written))
    with book.world() as world:
        check_roles(world, grants, order.organisation)
        world.get(Organisation, order.organisation)
        person = f"P-{world.next_number(Person)}"
    with book.page("web") as page:
        return Invited(person, order.organisation, grants, page.private(order.address))


def roles(person: str, grants: tuple[orders.Grant, ...]) -> Granted:
    """All the roles that the person has from now on, for an administrator to sign."""
    return Granted(person, tuple(sorted((grant.fact() for grant in grants), key=_as_written)))


def _as_written(grant: Grant) -> bytes:
    return json_bytes(record(Grant).write(grant))


def revoke(
    book: Book, by: str, key: str, reason: Literal["lost", "stolen", "replaced", "left"], *, how: str = "web"
) -> None:
    """A device counts no more, from this moment. A person may always revoke their own."""
    with book.page(how) as page:
        device = page.world.get(Device, key)
        if device.person != by:
            require(page.world, by, "revoke a device")
        if device.revoked_at is not None:
            raise Conflict("This device has been revoked already.")
        owner = page.world.get(Person, device.person)
        if owner.senior and owner.id != by:
            check_senior_device(page.world, device)
        revoked = page.record(Revoked(by, key, reason))
        told = [owner.id, *overseers(page.world)] if owner.senior else [owner.id]
        tell(page, revoked.event, "device-revoked", told)


def link(book: Book, by: str, person: str, *, how: str = "web") -> str:
    """The token of a one-time link to a person's account. They are told: another might use it."""
    with book.page(how) as page:
        if person != by:
            require(page.world, by, "invite a person")
        token = accounts.put_link(book, page.connection, person)
        made = page.record(Linked(by, person))
        tell(page, made.event, "account-linked", [person])
        return token
