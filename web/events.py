"""One event of the ledger: what it says, who signed it, and the pages of what it speaks of."""

from __future__ import annotations

from flask import Blueprint, url_for

from custody.facts import Sighted
from custody.store.mentions import mentions
from custody.store.queries import View
from labels.identity import ID_LENGTH
from web.room import look, show

blueprint = Blueprint("events", __name__)


@blueprint.get("/events/<event>")
def one(event: str) -> str:
    """The event of this id."""
    with look() as view:
        told = view.told(event)
        return show(
            "event.html",
            view,
            told=told,
            pages=sorted(page for name in mentions(told.fact) if (page := _page(view, name))),
            report=view.text(told.fact.report) if isinstance(told.fact, Sighted) else None,
        )


def _page(view: View, name: str) -> tuple[str, str] | None:
    """What a fact speaks of, with the address of its page, where these eyes may open it."""
    if len(name) == ID_LENGTH:
        return name, url_for("media.one", name=name)
    kind = name.partition("-")[0]
    if kind == "C":
        return name, url_for("consignments.one", name=name)
    if kind == "A":
        return name, url_for("alarms.one", name=name)
    if kind == "I" and view.may("see an incident"):
        return name, url_for("incidents.one", name=name)
    if kind == "P" and view.may("invite a person"):
        return name, url_for("people.one", person=name)
    return None
