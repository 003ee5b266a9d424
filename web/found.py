"""What a stranger sees who scans a label: whom to call, and a form to say where the thing is.

The page is the same whether the id is ours or not, and so is the answer: nobody learns here what exists.
"""

from __future__ import annotations

import contextlib
from typing import Any

from flask import Blueprint, render_template, request

from custody import orders
from custody.acts import alarms
from custody.errors import NotFound
from labels import identity
from web.limits import limiter
from web.room import book, settings

blueprint = Blueprint("found", __name__)


@blueprint.route(
    "/<any(M, m, C, c, S, s, L, l):letter>/<name>", methods=["GET", "POST"], strict_slashes=False
)
@limiter.limit("60/minute")
@limiter.limit("6/minute;30/hour", methods=["POST"])
def page(letter: str, name: str) -> Any:
    """Found property."""
    thanked = request.method == "POST"
    if thanked:
        order = orders.read(orders.Sight, {"report": request.form.get("report", "")})
        with contextlib.suppress(NotFound, identity.NotAnId):
            alarms.sight(book(), identity.check(name), order.report)
    shown = {"phone": settings().found_phone, "thanked": thanked, "letter": letter.upper(), "name": name}
    return render_template("found.html", **shown)
