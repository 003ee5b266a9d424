"""The ledger for auditors: one bundle, the trust file, the newest checkpoint. Judges are elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

from flask import Blueprint, Response

from custody.store import export
from web.room import book, look, show

blueprint = Blueprint("audit", __name__)


@blueprint.get("/ledger")
def ledger() -> str:
    """How to take the ledger away and judge it."""
    with look() as view:
        return show("ledger.html", view, checkpoint=book().checkpoint(), origin=book().origin)


@blueprint.get("/ledger/bundle.zip")
def bundle() -> Response:
    """The whole ledger."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        export.export_bundle(book(), path)
        data = path.read_bytes()
    return _file(data, "bundle.zip", "application/zip")


@blueprint.get("/ledger/policy")
def policy() -> Response:
    """The auditor's trust file (C2SP tlog-policy), as `custody init` wrote it."""
    return _file(book().policy.encode(), "policy", "text/plain")


@blueprint.get("/ledger/checkpoint")
def checkpoint() -> Response:
    """The newest signed note: for any signed-in person to keep as a pin."""
    return _file(book().checkpoint().encode(), "checkpoint", "text/plain")


def _file(data: bytes, name: str, kind: str) -> Response:
    return Response(data, mimetype=kind, headers={"Content-Disposition": f"attachment; filename={name}"})
