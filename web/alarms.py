"""Alarms: the ladder, who was told when, and the button that says that somebody knows."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, url_for

from custody.acts import alarms
from web.room import book, look, me, show

blueprint = Blueprint("alarms", __name__)


@blueprint.get("/alarms/<name>")
def one(name: str) -> str:
    """An alarm. Opening this page acknowledges nothing: mail scanners open links, too."""
    with look() as view:
        alarm = view.alarm(name)
        c = view.consignment(alarm.consignment).consignment
        return show(
            "alarm.html",
            view,
            alarm=alarm,
            c=c,
            zone=view.zone(c.to_site),
            notices=view.notices(alarm),
            acknowledgeable=me() in alarm.told and alarm.ended_at is None,
            spared=me() not in c.chain,
            history=view.history(alarm.id) if view.carrier is None else [],
            reports=view.reports(*c.media) if view.carrier is None else [],
        )


@blueprint.post("/alarms/<name>/acknowledge")
def acknowledge(name: str) -> Any:
    """The signed-in person knows of it."""
    with look() as view:
        view.alarm(name)
    alarms.acknowledge(book(), me(), name)
    flash("Acknowledged. It spares you the repeats for an hour, and it stops nothing else.")
    return redirect(url_for("alarms.one", name=name))
