"""Devices: this browser's key, the person's other ones, and those that wait to be confirmed."""

from __future__ import annotations

from typing import Any, Final, Literal

from flask import Blueprint, flash, redirect, request, url_for

from custody.acts import people, signing
from custody.errors import Unreadable
from custody.facts import Enrolled
from web.room import book, look, me, show

blueprint = Blueprint("devices", __name__)

Reason = Literal["lost", "stolen", "replaced", "left"]
REASONS: Final[tuple[Reason, ...]] = ("lost", "stolen", "replaced", "left")


@blueprint.get("/devices")
def mine() -> str:
    """One's own devices, what one has signed that still waits, and whose devices wait for oneself."""
    with look() as view:
        devices = view.devices()
        return show(
            "devices.html",
            view,
            devices=devices,
            lacking=[device.id for device in devices if view.lacks(device)],
            waiting=[d for d in view.signed_by_me() if isinstance(d.fact, Enrolled)],
            confirmable=[d for d in view.to_sign() if isinstance(d.fact, Enrolled) and d.fact.person != me()],
            own=[d for d in view.to_sign() if isinstance(d.fact, Enrolled) and d.fact.person == me()],
            reasons=REASONS,
        )


@blueprint.post("/devices/<key>/revoke")
def revoke(key: str) -> Any:
    """A device counts no more: one's own, or for those who may, another's."""
    reason = next((each for each in REASONS if each == request.form.get("reason")), None)
    if reason is None:
        raise Unreadable("Say why: lost, stolen, replaced, or left.")
    with look() as view:
        own = key in {device.id for device in view.devices()}
    people.revoke(book(), me(), key, reason)
    flash("The device is revoked. What it signed before stays what it was.")
    return redirect(url_for("devices.mine") if own else url_for("people.everyone"))


@blueprint.post("/devices/drafts/<event>/withdraw")
def withdraw(event: str) -> Any:
    """Takes back what one has signed first, while the other party has not."""
    with look() as view:
        facts = [draft.fact for draft in view.signed_by_me() if draft.id == event]
    signing.withdraw(book(), me(), event)
    flash("Withdrawn. Nothing of it was recorded.")
    name = next((getattr(fact, "consignment", None) for fact in facts), None)
    return redirect(url_for("consignments.one", name=name) if name else url_for("devices.mine"))
