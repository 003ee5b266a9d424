"""Signing: everything that counts is put in words here, and signed in the person's own browser.

    GET  /sign/approval/C-7     a page with a form, or with nothing but what is to be signed
    POST /sign/prepare          the form; gives the bytes to be signed, and the names that go with them
    POST /sign                  the bytes and the signature over them; recorded, or kept for the other party

The page's script reads the bytes, refuses what it does not know, and shows what they say; not what this
server says that they say. So each of `_MAKERS` gives bytes and no words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from flask import Blueprint, request, session, url_for
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from custody import orders
from custody.acts import alarms, consignments, people, signing
from custody.errors import Conflict, Forbidden, NotFound, Unreadable
from custody.facts import Approved, Enrolled, Fact, Handed, Invited, Party, Seconded, SetUpClosed, Statement
from custody.ledger.note import Checkpoint
from custody.rules.consignments import Consignment
from custody.rules.media import Medium
from custody.rules.people import Person, require
from custody.store import accounts
from custody.store.queries import View
from custody.strict import base64text, read_time, unbase64
from labels import identity
from web.consignments import givers, seconders, takes
from web.limits import limiter
from web.room import book, filled, look, me, reply, show

blueprint = Blueprint("signing", __name__)


class Prepared(BaseModel):
    """What is to be signed, and what helps to show it. All but `payload` is for the eye, and checked there.

    `evidence` are the signed bytes of events that the statement names, by event id; `people` are names by
    number, `devices` numbers by key id, `things` by id what people call them.
    """

    payload: str
    evidence: dict[str, str]
    people: dict[str, str]
    devices: dict[str, str]
    things: dict[str, str]


class Order(BaseModel):
    """A signature as a browser sends it: payload and signature in base64, the key's id."""

    model_config = ConfigDict(extra="forbid")
    payload: str = Field(max_length=48_000)
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(max_length=120)


class Signed(BaseModel):
    """What became of it: `seq` is the place in the ledger, None while it waits for the other party."""

    event: str
    seq: int | None
    waits_for: str | None
    then: str


# ------------------------------------------------------------------------------------------------- pages


@blueprint.get("/sign/approval/<name>")
def approval(name: str) -> str:
    """A manager approves a manifest."""
    with look() as view:
        trip = view.consignment(name)
        return show("sign_approval.html", view, c=trip.consignment, media=view.manifest(trip.consignment))


@blueprint.get("/sign/taking/<name>")
def taking(name: str) -> str:
    """Who takes custody says what they found, and signs first."""
    with look() as view:
        c = view.consignment(name).consignment
        if not takes(view, c):
            raise Conflict(f"{c.id} is not yours to take now.")
        return show(
            "sign_taking.html",
            view,
            c=c,
            media=view.manifest(c),
            packing=view.packing(c),
            givers=givers(view, c),
            here=c.from_site if c.picked_up_at is None else c.to_site if view.me.at(c.to_site) else None,
            receives=view.me.at(c.to_site) and c.picked_up_at is not None,
            alone=view.receives(me(), c.to_site),
        )


@blueprint.get("/sign/giving/<event>")
def giving(event: str) -> str:
    """Who gives custody away finds what the taker has signed, and signs it too."""
    with look() as view:
        draft = view.draft(event)
        return show(
            "sign_giving.html", view, draft=draft, c=view.consignment(draft.fact.consignment).consignment
        )


@blueprint.get("/sign/seconding/<event>")
def seconding(event: str) -> str:
    """A second person stands by a receipt."""
    with look() as view:
        hand_off = view.hand_off(event)
        c = view.consignment(hand_off.consignment).consignment
        if me() not in seconders(view, c, hand_off):
            raise Forbidden(
                f"It takes a second person who keeps {c.to_site}, no party of the hand-off, with a device"
                " that was confirmed for this site a day ago or more."
            )
        return show("sign_seconding.html", view, hand_off=hand_off)


@blueprint.get("/sign/packing")
def packing() -> str:
    """Media go into a case under a seal."""
    with look() as view:
        sites = [site for site in view.sites() if view.may("pack a case", site.id)]
        wanted = request.args.get("site", sites[0].id if sites else "")
        site = next((s for s in sites if s.id == wanted), None)
        free = {what: view.free(site.id, what) if site else [] for what in ("medium", "case", "seal")}
        return show("sign_packing.html", view, sites=sites, site=site, free=free)


@blueprint.get("/sign/route")
def route() -> str:
    """A senior manager sets a route."""
    with look() as view:
        wanted = request.args.get("route", "")
        return show("sign_route.html", view, route=next((r for r in view.routes() if r.id == wanted), None))


@blueprint.get("/sign/decision/<name>")
def decision(name: str) -> str:
    """What is done about an incident, by whom."""
    with look() as view:
        incident = view.incident(name)
        owners = [p for p in view.people() if p.senior]
        return show("sign_decision.html", view, incident=incident, owners=owners)


@blueprint.get("/sign/device/<event>")
def device(event: str) -> str:
    """Confirming that a new device is a person's own."""
    with look() as view:
        draft = view.draft(event)
        vouched, known = view.vouched(draft), view.device(draft.key)
        held = view.world.get(Person, draft.fact.person).grants
        beyond = [g for g in held if g not in vouched and not (known and known.speaks_for(g))]
        return show("sign_device.html", view, draft=draft, vouched=vouched, beyond=beyond)


@blueprint.get("/sign/set-up")
def set_up() -> str:
    """The founder gives up confirming alone."""
    with look() as view:
        return show("sign_set_up.html", view)


@blueprint.get("/sign/invitation")
def invitation() -> str:
    """An administrator invites a person."""
    with look() as view:
        return show("sign_invitation.html", view)


@blueprint.get("/sign/roles/<person>")
def roles(person: str) -> str:
    """An administrator changes a person's roles."""
    with look() as view:
        return show("sign_roles.html", view, person=view.world.get(Person, person))


# ------------------------------------------------------------------------------------- preparing, signing


@blueprint.post("/sign/prepare")
@limiter.limit("120/minute")
def prepare() -> Any:
    """The bytes that this form comes to."""
    maker = _MAKERS.get(request.form.get("what", ""))
    if maker is None:
        raise NotFound("There is nothing of that kind to be signed.")
    made = maker()
    payload = made if isinstance(made, bytes) else signing.statement(book(), *made, _made())
    with look() as view:
        return reply(_shown(view, payload))


@blueprint.post("/sign")
@limiter.limit("120/minute")
def sign() -> Any:
    """Takes one signature."""
    try:
        order = Order.model_validate_json(request.get_data())
    except ValidationError:
        raise Unreadable("This is not a signature. Load the page again, and sign again.") from None
    payload = unbase64(order.payload)
    outcome = signing.sign(book(), me(), payload, order.key, unbase64(order.signature))
    fact = Statement.read(payload).fact
    if isinstance(fact, Invited) and outcome.seq is not None:
        _open_account(fact)
    with look() as view:
        waits = None if outcome.waits_for is None else _waits(view, outcome.waits_for)
    return reply(Signed(event=outcome.event, seq=outcome.seq, waits_for=waits, then=_then(fact)))


def _made() -> datetime | None:
    text = request.form.get("made")
    return None if text is None else read_time(text)


def _shown(view: View, payload: bytes) -> Prepared:
    """The names that go with a statement, as far as these eyes may know them."""
    statement = Statement.read(payload)
    events = _evidence(view, statement)
    found = {event: view.event(event) for event in events}
    evidence = {event: bytes_ for event, bytes_ in found.items() if bytes_ is not None}
    text = b" ".join((payload, *evidence.values())).decode("ascii")
    devices = [d for key in set(re.findall(r'"([0-9a-f]{64})"', text)) if (d := view.device(key))]
    mentioned = set(re.findall(r'"(P-[0-9]+)"', text)) | {d.person for d in devices}
    return Prepared(
        payload=base64text(payload),
        evidence={event: base64text(bytes_) for event, bytes_ in evidence.items()},
        people={person: view.name(person) for person in sorted(mentioned)},
        devices={d.id: d.person for d in devices},
        things=_things(view, text if view.carrier is None else b" ".join(evidence.values()).decode("ascii")),
    )


def _evidence(view: View, statement: Statement) -> list[str]:
    """The events that help to read this one: of consignments that these eyes may see, and no others."""
    match statement.fact:
        case Approved() | Handed():
            return [view.consignment(statement.fact.consignment).consignment.manifest]
        case Seconded():
            return [view.hand_off(statement.fact.hand_off).id]
    return []


def _things(view: View, text: str) -> dict[str, str]:
    """What the ids in these bytes stand for. What a courier types is not among these bytes."""
    ids = set(re.findall(r'"([0-9A-HJKMNP-TV-Z]{16})"', text))
    found = [thing for name in sorted(ids) if (thing := view.world.find(Medium, name))]
    return {thing.id: thing.called for thing in found}


def _waits(view: View, person: str) -> str:
    return view.name(person) if person else "somebody who may confirm it"


def _then(fact: Fact) -> str:
    """Where the person goes from here."""
    if consignment := getattr(fact, "consignment", None):
        return url_for("consignments.one", name=consignment)
    if incident := getattr(fact, "incident", None):
        return url_for("incidents.one", name=incident)
    if isinstance(fact, Enrolled | SetUpClosed):
        return url_for("devices.mine")
    if person := getattr(fact, "person", None):
        return url_for("people.one", person=person)
    return url_for("board.home")


# ------------------------------------------------------------------------- from a form to what is signed

Made = tuple[Fact, str | None] | bytes


def _approve() -> Made:
    with look() as view:
        name = view.consignment(_text("consignment")).consignment.id
        require(view.world, me(), "approve a consignment")
        return consignments.approval(view.world, name)


def _take() -> Made:
    with look() as view:
        c = view.consignment(_text("consignment")).consignment
        if not takes(view, c):
            raise Conflict(f"{c.id} is not yours to take now. It may have moved on.")
        giver, own = _text("giver"), _text("key")
        if giver not in {device.id for device in givers(view, c)}:
            raise Conflict("Choose the person who hands it over to you. They need an enrolled device.")
        if own not in {device.id for device in view.devices() if device.revoked_at is None}:
            raise Forbidden("This browser's key is not enrolled for you. Enrol it first (page Devices).")
        seen = Checkpoint.of(book().checkpoint()).seen
        return consignments.hand_off(
            view.world,
            c.id,
            giver=Party(giver, seen),
            taker=Party(own, seen),
            site=_text("site"),
            **_read(view, c),
        )


def _read(view: View, c: Consignment) -> dict[str, object]:
    """What the taker says was read. Every line is ticked one by one: there is no button for all of them."""
    packing = view.packing(c)
    found: dict[str, object] = {"read": "media" if packing is None else _text("read")}
    if packing is not None:
        found["seal"] = _text("seal")
        if found["seal"] != "none":
            found["seal_read"] = _identity(view, _text("seal_read"))
    if extra := request.form.get("extra", "").split():
        found["extra"] = tuple(sorted({_identity(view, word) for word in extra}))
    if found["read"] == "media":
        ticks = {number: request.form.get(f"line-{number}") for number in range(1, len(c.media) + 1)}
        open_lines = [str(number) for number, tick in ticks.items() if tick not in _TICKS]
        if open_lines:
            raise Unreadable(
                f"Say what you found on line {', '.join(open_lines[:10])}: each is ticked by itself."
            )
        for word in ("missing", "refused", "damaged"):
            found[word] = tuple(number for number, tick in ticks.items() if tick == word)
    return found


def _identity(view: View, text: str) -> str:
    """The id of what was scanned or typed: a label, or the number of a case or a seal."""
    if re.fullmatch(r"[KS]-?[1-9][0-9]{0,8}", text.upper()):
        return view.numbered(f"{text[0].upper()}-{text[1:].removeprefix('-')}").id
    return identity.scanned(text)


_TICKS: Final = ("read", "missing", "refused", "damaged")


def _draft() -> Made:
    with look() as view:
        return view.draft(_text("event")).payload


def _second() -> Made:
    with look() as view:
        hand_off = view.hand_off(_text("hand_off"))
        return Seconded(hand_off.consignment, hand_off.id), None


def _pack() -> Made:
    with look() as view:
        require(view.world, me(), "pack a case", site=_text("site"))
    media = tuple(request.form.getlist("media"))
    if not media:
        raise Unreadable("Tick each medium as it goes into the case.")
    return consignments.packing(_text("site"), _text("case"), _text("seal"), media), None


def _set_route() -> Made:
    order = orders.read(orders.SetRoute, filled("route", "origin_site", "destination", "transit"))
    return consignments.route(order), None


def _decide() -> Made:
    order = orders.read(orders.Decide, filled("incident", "owner", "decision", "reason"))
    with look() as view:
        require(view.world, me(), "decide on an incident")
        view.incident(order.incident)
    with book().page("web") as page:
        return alarms.decision(page, order.incident, order.owner, order.decision, order.reason), None


def _enrol() -> Made:
    return Enrolled(me(), _text("spki")), None


def _invite() -> Made:
    form = filled("name", "address", "organisation")
    form["address"] = form.get("address", "").lower()  # a phone begins every field with a capital
    order = orders.read(orders.Invite, {**form, "grants": _grants()})
    with look() as view:
        require(view.world, me(), "invite a person")
    accounts.check_free(book(), order.address)
    fact = people.invitation(book(), order)
    session["invited"] = {"contact": fact.contact, "name": order.name, "address": order.address}
    return fact, None


def _open_account(fact: Invited) -> None:
    """The account of the person who was just invited. Lost with the session, it is made on their page."""
    invited = session.pop("invited", {})
    if invited.get("contact") == fact.contact:
        accounts.add(book(), fact.person, invited["name"], invited["address"])


def _change_roles() -> Made:
    with look() as view:
        require(view.world, me(), "change a person's roles")
        person = view.world.get(Person, _text("person"))
    return people.roles(person.id, _grants()), None


def _grants() -> tuple[orders.Grant, ...]:
    roles, sites = request.form.getlist("role"), request.form.getlist("site")
    if len(roles) != len(sites):
        raise Unreadable("Each role stands beside its site, or beside an empty one.")
    return tuple(
        orders.read(orders.Grant, {"role": role, "site": site or None})
        for role, site in zip(roles, sites, strict=True)
        if role
    )


def _text(name: str) -> str:
    return request.form.get(name, "").strip()


_MAKERS: Final[Mapping[str, Callable[[], Made]]] = {
    "approval": _approve,
    "taking": _take,
    "giving": _draft,
    "device": _draft,
    "seconding": _second,
    "packing": _pack,
    "route": _set_route,
    "decision": _decide,
    "enrolment": _enrol,
    "set-up": lambda: (SetUpClosed(), None),
    "invitation": _invite,
    "roles": _change_roles,
}
