"""The board: every consignment that is open, with the minutes that it has left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from flask import Blueprint, Response, redirect, url_for

from custody.acts.pulses import SILENT_MOST, absent
from custody.store.queries import View
from web.room import book, look, room, show

blueprint = Blueprint("board", __name__)

STANDBY_LATE: Final = timedelta(seconds=5)
"""So long the database's standby may take to have what is recorded."""
SELF_AUDIT_LATE: Final = timedelta(hours=36)
"""So long ago the last comparison of the book with itself may be: it is made every night."""


@blueprint.get("/")
def home() -> Any:
    """Where a person begins: the board, or their own devices where they see no board."""
    with look() as view:
        sees = view.may("see the board") or view.may("see their own consignments")
    return redirect(url_for("board.board" if sees else "devices.mine"))


@blueprint.get("/board")
def board() -> str:
    """The board."""
    with look() as view:
        return _show("board.html", view)


@blueprint.get("/board/now")
def now() -> str:
    """What the board's script fetches every ten seconds."""
    with look() as view:
        return _show("board_now.html", view)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Whether this process can read its book."""
    book().checkpoint()
    return Response("ok\n", mimetype="text/plain")


def _guard(view: View) -> str:
    """Why the guard keeps the sign of life back; empty where it does not, or runs elsewhere."""
    verdict = room().settings.guard
    return "" if verdict is None else verdict.silences(view.now)


def _show(template: str, view: View) -> str:
    silent = view.silent_for("monitor")
    return show(
        template,
        view,
        trips=view.board(),
        arrived=view.arrived(5),
        silent=silent,
        alive=silent is not None and silent <= SILENT_MOST,
        pace=book().pace,
        unclimbed=view.unclimbed() if view.carrier is None else [],
        waits=view.commits_wait() > STANDBY_LATE,
        absent=absent(view) if view.carrier is None else {},
        unguarded=view.unguarded() if view.carrier is None else "",
        guard=_guard(view) if view.carrier is None else "",
        audit=view.self_audit() if view.carrier is None else None,
        audit_late=view.now - SELF_AUDIT_LATE,
    )
