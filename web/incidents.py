"""Incidents: what is presumed missing, who had it last, whom it concerns, and what was decided."""

from __future__ import annotations

from flask import Blueprint, Response

from custody.errors import NotFound
from custody.rules.media import exposure
from web.room import book, look, settings, show

blueprint = Blueprint("incidents", __name__)


@blueprint.get("/incidents")
def every() -> str:
    """Every incident, newest first."""
    with look() as view:
        return show("incidents.html", view, incidents=view.incidents())


@blueprint.get("/incidents/<name>")
def one(name: str) -> str:
    """One incident, on one page."""
    with look() as view:
        incident = view.incident(name)
        c = view.consignment(incident.consignment).consignment
        found = exposure(view.world, c.media)
        return show(
            "incident.html",
            view,
            incident=incident,
            c=c,
            zone=view.zone(c.to_site),
            media=view.manifest(c),
            exposure=found,
            data_sets=view.described(found),
            last=view.last_proven(c),
            history=view.history(c.id, incident.id, *c.alarms),
            reports=view.reports(*c.media),
            report=settings().incident_pdf is not None,
        )


@blueprint.get("/incidents/<name>/incident.pdf")
def report(name: str) -> Response:
    """The case file as PDF, where this application was made with a writer of it."""
    make = settings().incident_pdf
    with look() as view:
        incident = view.incident(name)
    if make is None:
        raise NotFound("The report cannot be made here: this server was started without its writer.")
    headers = {"Content-Disposition": f"inline; filename={incident.id}.pdf"}
    return Response(make(book(), incident.id), mimetype="application/pdf", headers=headers)
