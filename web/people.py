"""People, for administrators: who takes part, with which roles; and the places and organisations.

What makes a person or a role is signed (`web.signing`). Accounts and their one-time links are only kept here.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import available_timezones

from flask import Blueprint, flash, redirect, request, url_for

from custody import orders
from custody.acts import people
from custody.errors import Conflict, Unreadable
from custody.rules.people import Person
from custody.store import accounts
from web.room import book, filled, look, me, page, settings, show

blueprint = Blueprint("people", __name__)


@blueprint.get("/people")
def everyone() -> str:
    """Everyone, with their roles and devices."""
    with look() as view:
        devices = {person.id: view.devices(person.id) for person in view.people()}
        return show("people.html", view, devices=devices, addresses=view.addresses())


@blueprint.get("/people/<person>")
def one(person: str) -> str:
    """One person."""
    return _one(person)


@blueprint.post("/people/<person>/link")
def link(person: str) -> str:
    """Makes a one-time link and shows it, once: only its hash is kept."""
    token = people.link(book(), me(), person)
    return _one(person, link=f"{settings().base_url}{url_for('signin.begin', token=token)}")


@blueprint.post("/people/<person>/account")
def account(person: str) -> Any:
    """An account for somebody who is in the ledger without one. The address is the one committed to there."""
    with look() as view:
        address = view.text(view.world.get(Person, person).contact)
    if address is None:
        raise Conflict("The address of this person has been erased.")
    order = orders.read(orders.Contact, {"name": request.form.get("name", ""), "address": address})
    accounts.add(book(), person, order.name, order.address)
    return redirect(url_for("people.one", person=person))


@blueprint.get("/places")
def places() -> str:
    """Sites and organisations."""
    return page("places.html", zones=sorted(available_timezones()))


@blueprint.post("/places/site")
def open_site() -> Any:
    """A new site."""
    order = orders.read(orders.OpenSite, filled("site", "zone"))
    people.open_site(book(), me(), order)
    flash(f"The site {order.site} is open.")
    return redirect(url_for("people.places"))


@blueprint.post("/places/organisation")
def admit() -> Any:
    """A contractor, or the new end of its contract."""
    try:
        day = datetime.fromisoformat(request.form.get("until", "")).date()
    except ValueError:
        raise Unreadable("Give the last day of the contract.") from None
    until = datetime.combine(day, time(23, 59, 59), UTC)
    order = orders.read(orders.AdmitOrganisation, {**filled("organisation"), "until": until})
    people.admit_organisation(book(), me(), order)
    flash(f"{order.organisation} takes part until {day}.")
    return redirect(url_for("people.places"))


def _one(name: str, link: str | None = None) -> str:
    with look() as view:
        person = view.world.get(Person, name)
        return show(
            "person.html",
            view,
            person=person,
            devices=view.devices(person.id),
            address=view.addresses().get(person.id),
            has_account=view.has_account(person.id),
            link=link,
        )
