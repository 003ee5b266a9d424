"""The log as static files: C2SP tlog-tiles, read-only, for whom the table of doors names.

Checkpoints and hashes tell nothing but how much there is; entries say what moves where. So the former are for
every signed-in person and every witness, the latter for auditors and mirrors alone.
"""

from __future__ import annotations

import gzip

from flask import Blueprint, Response, request

from custody.errors import NotFound, Unreadable
from custody.ledger.tiles import Tile
from custody.store.tree import Tree
from custody.store.witnesses import published
from web.room import book

blueprint = Blueprint("log", __name__, url_prefix="/log")

FOR_EVER = "private, max-age=31536000, immutable"
"""A tile never changes. It is kept by who fetched it, and by no cache between us that others share."""


@blueprint.get("/checkpoint")
def checkpoint() -> Response:
    """The newest signed note that the policy believes."""
    with book().read() as connection:
        return Response(published(book(), connection), content_type="text/plain; charset=utf-8")


@blueprint.get("/tile/<int:level>/<path:rest>")
def hashes(level: int, rest: str) -> Response:
    """A tile of hashes."""
    return _answer(f"{level}/{rest}")


@blueprint.get("/tile/entries/<path:rest>")
def entries(rest: str) -> Response:
    """A bundle of entries, compressed where the client can take it."""
    answer = _answer(f"entries/{rest}")
    if request.accept_encodings.best_match(["gzip"]):
        answer.set_data(gzip.compress(answer.get_data(), mtime=0))
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    return answer


def _answer(path: str) -> Response:
    try:
        tile = Tile.read(f"tile/{path}")
    except Unreadable:
        raise NotFound("The log has no such tile.") from None
    with book().read() as connection:
        data = Tree(connection, kept=book().tiles).tile(tile)
    answer = Response(data, content_type="application/octet-stream")
    answer.headers["Cache-Control"] = FOR_EVER
    return answer
