"""A demo's inbox: every letter that its monitor has sent. Outside a demo there is no such page."""

from __future__ import annotations

from flask import Blueprint, abort

from web.room import page, settings

blueprint = Blueprint("inbox", __name__)


@blueprint.get("/inbox")
def letters() -> str:
    """The letters, newest first."""
    source = settings().inbox
    if source is None:
        abort(404)
    return page("inbox.html", letters=source())
