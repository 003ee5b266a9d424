"""Consignments: asked for and looked at here; approved and handed on by signatures (`web.signing`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from custody import orders
from custody.acts import consignments, documents
from custody.errors import Conflict, NotFound, Unreadable
from custody.rules.consignments import Consignment, approves
from custody.rules.handoffs import DOUBTS, HandOff, second_person
from custody.rules.people import Device
from custody.store.queries import Trip, View
from custody.zones import read_local
from web.room import book, filled, look, me, page, show
from web.words import reading

blueprint = Blueprint("consignments", __name__)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that the person may do about a consignment now."""

    words: str
    address: str


@blueprint.get("/consignments/<name>")
def one(name: str) -> str:
    """Its manifest, its life, its hand-offs, and what the person may do about it now."""
    with look() as view:
        trip = view.consignment(name)
        c = trip.consignment
        hand_offs = view.hand_offs(c)
        return show(
            "consignment.html",
            view,
            trip=trip,
            c=c,
            media=view.manifest(c),
            packing=view.packing(c),
            hand_offs=hand_offs,
            readings={h.id: reading(view.told_of(h)) for h in hand_offs},
            alarms=view.alarms(c),
            history=view.history(c.id),
            steps=steps(view, trip),
            seconders=[name for h in hand_offs if h.receipt for name in seconders(view, c, h)]
            if set(DOUBTS) & set(c.flags) and c.state == "received"
            else None,
            doubts=DOUBTS,
            pending=[d for d in view.signed_by_me() if getattr(d.fact, "consignment", None) == c.id],
            withdrawable=c.state == "requested" and view.may("request a consignment", c.from_site),
        )


@blueprint.route("/consignments/new", methods=["GET", "POST"])
def new() -> Any:
    """Asks for a consignment: a route first, then what is free at its beginning."""
    if request.method == "POST":
        with look() as view:
            order = _order(view)
        name = consignments.request(book(), me(), order)
        flash(f"{name} is requested. Nothing of it may leave before a manager has approved it.")
        return redirect(url_for("consignments.one", name=name))
    with look() as view:
        routes = [r for r in view.routes() if view.may("request a consignment", r.origin_site)]
        chosen = (
            next((r for r in routes if r.id == request.args.get("route", routes[0].id)), None)
            if routes
            else None
        )
        return show(
            "consignment_new.html",
            view,
            routes=routes,
            route=chosen,
            free=[t for t in view.free(chosen.origin_site, "medium") if t.packing is None] if chosen else [],
            packings=view.packings(chosen.origin_site) if chosen else [],
            zone=view.zone(chosen.origin_site) if chosen else "UTC",
        )


@blueprint.post("/consignments/<name>/withdraw")
def withdraw(name: str) -> Any:
    """Takes a request back that nobody has approved."""
    with look() as view:
        view.consignment(name)
    consignments.withdraw(book(), me(), name)
    flash(f"{name} is withdrawn; its media are free again.")
    return redirect(url_for("board.home"))


@blueprint.get("/consignments/<name>/receipts/<event>.tlog-proof")
def receipt(name: str, event: str) -> Response:
    """The receipt of a hand-off, for both parties to keep (C2SP tlog-proof)."""
    with look() as view:
        if view.hand_off(event).consignment != name:
            raise NotFound(f"{name} has no such hand-off.")
        proof = str(view.receipt(event))
    file = f"attachment; filename={name}-{event[:12]}.tlog-proof"
    return Response(proof, mimetype="text/plain", headers={"Content-Disposition": file})


@blueprint.get("/consignments/<name>/manifest.pdf")
def manifest(name: str) -> Response:
    """The manifest that travels on paper, with the newest checkpoint on it."""
    with look() as view:
        found = view.consignment(name).consignment
    pdf = documents.manifest_pdf(book(), found.id)
    headers = {"Content-Disposition": f"inline; filename={found.id}.pdf"}
    return Response(pdf, mimetype="application/pdf", headers=headers)


@blueprint.get("/routes")
def routes() -> str:
    """The routes, with their longest transit and who is told when."""
    return page("routes.html")


def _order(view: View) -> orders.Request:
    packing = request.form.get("packing") or None
    if packing is None:
        media = tuple(request.form.getlist("media"))
    else:
        route = next((r for r in view.routes() if r.id == request.form.get("route")), None)
        packed = (
            next((p for p in view.packings(route.origin_site) if p.id == packing), None) if route else None
        )
        if packed is None:
            raise Conflict("This case travels on another consignment already, or was packed anew.")
        media = packed.media
    if not media:
        raise Unreadable("Choose the media that shall travel, or a packed case.")
    form = filled("route", "carrier")
    zone = next((view.zone(r.origin_site) for r in view.routes() if r.id == form.get("route")), "UTC")
    moment = read_local(request.form.get("pick_up_by", ""), zone)
    return orders.read(orders.Request, {**form, "pick_up_by": moment, "media": media, "packing": packing})


# ----------------------------------------------------------------------------------- what one may do now


def steps(view: View, trip: Trip) -> list[Step]:
    """What the person may do about this consignment now. The rules ask again when it is done."""
    c = trip.consignment
    found = [
        Step("Sign: I hand it over", url_for("signing.giving", event=d.id))
        for d in view.to_sign()
        if getattr(d.fact, "consignment", None) == c.id
    ]
    if c.state in ("requested", "approved") and c.requester != me() and approves(view.me, c):
        again = " anew, with the route as it is now" if c.state == "approved" else ""
        found.append(Step(f"Approve it{again}", url_for("signing.approval", name=c.id)))
    if c.open and takes(view, c):
        found.append(Step(_taking(view, c), url_for("signing.taking", name=c.id)))
    found += [
        Step("Stand by the receipt as a second person", url_for("signing.seconding", event=h.id))
        for h in view.hand_offs(c)
        if c.state == "received" and _seconds(view, c, h)
    ]
    if trip.incident is not None and view.may("decide on an incident"):
        found.append(Step("Decide on the incident", url_for("signing.decision", name=trip.incident.id)))
    return found


def takes(view: View, c: Consignment) -> bool:
    """Whether this person could be the next to have custody."""
    if not view.may("hand over") or c.holder == me():
        return False
    courier = view.me.holds("courier") and view.me.organisation == c.carrier and c.state != "received"
    return courier or (view.me.at(c.to_site) and c.picked_up_at is not None)


def givers(view: View, c: Consignment) -> list[Device]:
    """The devices of those who could hand it over now: its holder's, at first those of the sending site."""
    if c.holder is not None:
        return view.party_devices([c.holder])
    return view.party_devices([person.id for person in view.keepers(c.from_site)])


def _taking(view: View, c: Consignment) -> str:
    if c.picked_up_at is None:
        return "Pick it up"
    if not view.me.at(c.to_site):
        return "Take it over"
    return "Receive it" if c.state == "travelling" else "Receive it again, complete"


def _seconds(view: View, c: Consignment, hand_off: HandOff) -> bool:
    needed = hand_off.receipt and hand_off.complete and hand_off.status != "disputed"
    return needed and me() in seconders(view, c, hand_off)


def seconders(view: View, c: Consignment, hand_off: HandOff) -> list[str]:
    """Who can stand by this receipt now: who keeps the site and was no party, with a device that suffices."""
    others = [p.id for p in view.keepers(c.to_site) if second_person(p, hand_off, c)]
    return [name for name in others if view.receives(name, c.to_site)]
