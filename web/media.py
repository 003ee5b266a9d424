"""Media: what is on the books, how it came there, what is on it, and its labels."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from flask import Blueprint, Response, flash, redirect, request, url_for

from custody import orders
from custody.acts import media
from custody.acts.media import TakenIn
from custody.errors import Unreadable
from custody.readers import inventory, mtx
from custody.rules.media import check_reprint
from custody.writers.labelling import labels_for
from labels import identity, volser
from labels.sheet import STOCKS, sheet
from web.room import book, filled, look, me, page, settings, show

blueprint = Blueprint("media", __name__)

BY_HAND_MOST: Final = 100
TOLD_MOST: Final = 40


@blueprint.get("/media")
def shelf() -> str:
    """What is on the books, by site and what is scanned or typed: a label, a volser, or their beginning."""
    site, words, what = (request.args.get(name, "").strip() for name in ("site", "words", "what"))
    try:
        wanted = identity.scanned(words)
    except identity.NotAnId:
        wanted = words.replace(" ", "").strip("*")
    with look() as view:
        found = view.media(site=site, words=wanted, what=what)
        return show("media.html", view, found=found, site=site, words=words, what=what)


@blueprint.get("/media/<name>")
def one(name: str) -> str:
    """A medium, a case or a seal: where it is, what is on it, and all that the ledger says of it."""
    with look() as view:
        thing = view.medium(name)
        return show(
            "medium.html",
            view,
            thing=thing,
            zone=view.zone(thing.site),
            data_sets=view.data_sets(name),
            trips=view.trips_of(name),
            history=view.history(name),
            reports=view.reports(name),
        )


@blueprint.route("/media/register", methods=["GET", "POST"])
def register() -> Any:
    """Takes in a library's listing and the table of what is on its tapes, whole or not at all."""
    if request.method == "POST":
        library = mtx.read(_upload("listing", "the output of `mtx status`"))
        rows = inventory.read(_upload("table", "the CSV")) if request.files.get("table") else ()
        _tell(media.take_in(book(), me(), request.form.get("site", ""), library, rows, draw=_draw))
        return redirect(url_for("media.register"))
    return page("register.html", most=BY_HAND_MOST)


def _tell(taken: TakenIn) -> None:
    """What came of it, and first of all what nobody can name."""
    if taken.flagged:
        flash(
            f"Flagged, and not registered: {_some(taken.flagged)}. Look at them, label them, and take the"
            " listing in again.",
            "refusal",
        )
    flash(f"{len(taken.fresh)} new, {len(taken.ids) - len(taken.fresh)} known before.")
    if taken.spelt:
        spelt = [f"{tag} as {volser}" for volser, tag in taken.spelt.items()]
        flash(f"Taken in with capital letters, as on a label: {_some(spelt, ', ')}.")
    if taken.service:
        flash(f"Cleaning and test cartridges, left out: {_some(taken.service, ', ')}.")


def _some(words: Sequence[str], between: str = "; ") -> str:
    more = len(words) - TOLD_MOST
    return between.join(words[:TOLD_MOST]) + (f" and {more} more" if more > 0 else "")


@blueprint.post("/media/register/by-hand")
def by_hand() -> Any:
    """A few things that no library lists: by volser, or a number of cases or seals."""
    form = filled("what", "form")
    volsers = re.findall(r"[^\s,;]+", request.form.get("volsers", ""))
    count = request.form.get("count", "").strip() or "1"
    if not volsers and not (count.isdecimal() and len(count) < 6):
        raise Unreadable("Say how many, as a whole number.")
    many = [{"volser": v} for v in volsers] or [{}] * min(int(count), BY_HAND_MOST + 1)
    if not 1 <= len(many) <= BY_HAND_MOST:
        raise Unreadable(f"By hand it is one to {BY_HAND_MOST} at once; more come from a listing.")
    things, problems = [], []
    for each in many:
        try:
            order = orders.read(orders.RegisterMedium, {**form, **each})
            things.append(media.New(order.what, order.volser, order.form or volser.form(order.volser or "")))
        except Unreadable as problem:
            problems.append(str(problem))
    if problems:
        raise Unreadable("\n".join(dict.fromkeys(problems)))
    site = request.form.get("site", "")
    media.register(book(), me(), site, things, _draw)
    flash(f"{len(things)} registered at {site}. Print their labels next.")
    return redirect(url_for("media.shelf", site=site))


@blueprint.route("/media/labels", methods=["GET", "POST"])
def labels() -> Any:
    """Chooses what to print, and prints it: a PDF, every code in it read back before it is handed out."""
    if request.method == "POST":
        return _print()
    site, what = request.args.get("site", ""), request.args.get("what", "")
    with look() as view:
        found = view.media(site=site, what=what)
        no_spine = {thing.id for thing in found if thing.volser and not volser.is_lto_spine(thing.spine)}
        shown = {"site": site, "what": what, "stocks": STOCKS, "host": _host(), "no_spine": no_spine}
        return show("labels.html", view, found=found, **shown)


def _host() -> tuple[bool, str]:
    """Whether QR labels can be printed with the host that is set, and what there is to say of it."""
    host = settings().label_host
    if not host:
        return False, (
            "No host for labels is set (CUSTODY_LABEL_HOST). It stands on every label for ever, so it is"
            " chosen first: a neutral name of your own."
        )
    try:
        return True, identity.judge_host(host)
    except identity.UnusableHost as problem:
        return False, f"{problem} It is set in CUSTODY_LABEL_HOST."


def _print() -> Response:
    stock = STOCKS.get(request.form.get("stock", ""))
    if stock is None:
        raise Unreadable("Choose the stock that lies in the printer.")
    start = request.form.get("start", "1")
    if not (start.isdecimal() and len(start) < 6):
        raise Unreadable("The first free label is a whole number, counted from 1.")
    names = request.form.getlist("items")
    reason = request.form.get("reason", "").strip() or None
    with look() as view:
        things = [view.medium(name) for name in names]
        check_reprint(view.world, names, reason)
    if not things:
        raise Unreadable("Tick what shall be printed.")
    chosen = labels_for(things, stock, settings().label_host, settings().found_phone)
    pdf = sheet(chosen.labels, stock, start=int(start))
    media.labelled(book(), me(), [t.id for t in chosen.things], stock.name.lower(), reason=reason)
    if chosen.left_out:  # it is told on the next page, since this answer is the file
        flash(f"Not printed: {_some(chosen.left_out, ' ')}", "refusal")
    headers = {"Content-Disposition": "attachment; filename=labels.pdf"}
    return Response(pdf, mimetype="application/pdf", headers=headers)


def _upload(field: str, what: str) -> bytes:
    file = request.files.get(field)
    data = b"" if file is None else file.read()
    if not data:
        raise Unreadable(f"Choose a file with {what}.")
    return data


def _draw() -> str:
    return identity.draw(secrets.token_bytes)
