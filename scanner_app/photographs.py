"""A photograph sent in by a signed-in person: which lines of a manifest it shows.

It ticks lines and signs nothing: what counts is what the person signs on the page of the hand-off. Who is
signed in, and what they may see, is the business of the application that this stands beside.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from flask import Blueprint, Response, render_template, request
from pydantic import BaseModel

from custody.errors import Conflict, Unreadable
from custody.store.queries import View
from scanner_app import apart, decode
from scanner_app.matching import Matched, match

BUSY_FOR: Final = 3.0
"""Seconds to wait for one's turn."""

_reader = apart.Reader()
atexit.register(_reader.close)
_turn = threading.BoundedSemaphore(1)
"""One photograph at a time: each takes a second of a processor and up to half a gigabyte."""


class Read(BaseModel):
    """What a script is told: the fields of `Matched`."""

    lines: tuple[int, ...]
    case: bool
    seal: bool
    unsure: tuple[str, ...]
    strange: tuple[str, ...]


def blueprint(look: Callable[[], AbstractContextManager[View]]) -> Blueprint:
    """The page, for an application whose `look()` gives what the signed-in person may see."""
    part = Blueprint("scanner", __name__, template_folder="templates")

    @part.route("/scan/<name>", methods=["GET", "POST"])
    def photograph(name: str) -> Any:
        """A photograph of a consignment's labels; NotFound where the person may not see the consignment."""
        with look() as view:
            consignment = view.consignment(name).consignment
            media, packing = view.manifest(consignment), view.packing(consignment)
        found = None
        if request.method == "POST":
            found = match(_read(), media, packing)
            if request.headers.get("X-Custody-Script") == "1":
                return _told(found)
        with look() as view:
            shown = {"c": consignment, "media": media, "packing": packing, "found": found}
            return render_template("scan.html", view=view, **shown)

    return part


def _read() -> tuple[decode.Code, ...]:
    file = request.files.get("photograph")
    data = b"" if file is None else file.read()
    if not data:
        raise Unreadable("Choose or take a photograph.")
    if not _turn.acquire(timeout=BUSY_FOR):
        raise Conflict("Other photographs are being read. Send yours again in a moment, or type the code.")
    try:
        return _reader.read(data).codes
    finally:
        _turn.release()


def _told(found: Matched) -> Response:
    fields = {name: getattr(found, name) for name in Read.model_fields}
    return Response(Read(**fields).model_dump_json(), mimetype="application/json")
