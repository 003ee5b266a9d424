"""Who may come in where: one table, and what does not stand in it is not there.

A route that somebody adds and forgets to list answers "not found" to everybody, and a test fails. The acts
behind the doors ask again, at the site in question; a door only keeps those out who have no business there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Flask, abort, redirect, request, session, url_for
from flask_security import current_user
from flask_security.utils import logout_user

from custody.rules.people import require
from custody.store import tokens
from web import signin
from web.room import book, look, me

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed-in"
Rule = str | tuple[str, ...]
"""PUBLIC, SIGNED_IN, or acts of `custody.rules.people.MAY`, one of which the person must be allowed."""

_LOOK: Final = ("see the board", "see their own consignments")
_HOUSE: Final = ("see the board",)

DOORS: Final[Mapping[str, Rule]] = {
    "static": PUBLIC,
    "bootstrap.static": PUBLIC,
    "board.healthz": PUBLIC,
    "security.login": PUBLIC,
    "signin.begin": PUBLIC,
    "found.page": PUBLIC,
    "security.logout": SIGNED_IN,
    "board.home": SIGNED_IN,
    "board.board": _LOOK,
    "board.now": _LOOK,
    "consignments.one": _LOOK,
    "consignments.new": ("request a consignment",),
    "consignments.manifest": _HOUSE,
    "consignments.receipt": _LOOK,
    "consignments.withdraw": ("request a consignment",),
    "consignments.routes": _HOUSE,
    "media.shelf": _HOUSE,
    "media.one": _HOUSE,
    "media.register": ("register media",),
    "media.by_hand": ("register media",),
    "media.labels": ("print labels",),
    "people.everyone": ("invite a person",),
    "people.one": ("invite a person",),
    "people.link": ("invite a person",),
    "people.account": ("invite a person",),
    "people.places": ("open a site", "admit an organisation"),
    "people.open_site": ("open a site",),
    "people.admit": ("admit an organisation",),
    "devices.mine": SIGNED_IN,
    "devices.revoke": SIGNED_IN,
    "devices.withdraw": SIGNED_IN,
    "signing.prepare": SIGNED_IN,
    "signing.sign": SIGNED_IN,
    "signing.approval": ("approve a consignment",),
    "signing.taking": ("hand over",),
    "signing.giving": ("hand over",),
    "signing.seconding": ("stand by a receipt",),
    "signing.packing": ("pack a case",),
    "signing.route": ("set a route",),
    "signing.decision": ("decide on an incident",),
    "signing.device": SIGNED_IN,
    "signing.set_up": ("close the set-up",),
    "signing.invitation": ("invite a person",),
    "signing.roles": ("change a person's roles",),
    "scanner.photograph": ("hand over",),
    "alarms.one": _LOOK,
    "alarms.acknowledge": ("acknowledge an alarm",),
    "incidents.every": ("see an incident",),
    "incidents.one": ("see an incident",),
    "incidents.report": ("see an incident",),
    "events.one": _HOUSE,
    "audit.ledger": ("export the ledger",),
    "audit.bundle": ("export the ledger",),
    "audit.policy": ("export the ledger",),
    "audit.checkpoint": SIGNED_IN,
    "log.checkpoint": SIGNED_IN,
    "log.hashes": SIGNED_IN,
    "log.entries": ("export the ledger",),
    "inbox.letters": SIGNED_IN,
}

TOKENS: Final[Mapping[str, tuple[tokens.Reader, ...]]] = {
    "log.checkpoint": ("witness", "mirror"),
    "log.hashes": ("witness", "mirror"),
    "log.entries": ("mirror",),
}
"""What a machine's token opens, without a session. A token that opens nothing here opens nothing at all."""


def hang(app: Flask) -> None:
    """Puts the guard before every view."""
    app.before_request(_guard)


def _guard() -> Any:
    if request.endpoint is None:
        return None  # Flask itself answers that there is no such page, or not by this method
    rule = DOORS.get(request.endpoint)
    if rule is None:
        abort(404)
    if rule == PUBLIC:
        return None
    if request.authorization is not None:
        return _open_by_token(request.authorization.token or "")
    if current_user.is_authenticated and signin.too_old():
        session.clear()  # else the sign-in page finds them signed in, and sends them back here
        return _to_sign_in()
    if not current_user.is_authenticated:
        return _to_sign_in()
    with look() as view:
        if not view.active:
            logout_user()
            return _to_sign_in()
        if isinstance(rule, tuple) and not any(view.may(act) for act in rule):
            require(view.world, me(), rule[0])
    session.permanent = True
    return None


def _open_by_token(token: str) -> None:
    """Whoever shows a token is judged by it alone, signed in or not."""
    if tokens.reader(book(), token) not in TOKENS.get(request.endpoint or "", ()):
        abort(401)


def _to_sign_in() -> Any:
    if request.method not in ("GET", "HEAD"):
        abort(401)
    return redirect(url_for("security.login", next=request.full_path.rstrip("?")))
