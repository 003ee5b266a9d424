"""What is signed over the wire: the bytes, the key, the session, and that each is the right one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from world import new_key

from custody import orders
from custody.acts import consignments, people, signing
from custody.facts import Enrolled, Statement, Subject
from custody.ledger.envelope import Envelope, event_id, pae
from custody.ledger.note import Policy
from custody.ledger.receipt import Receipt
from custody.rules.incidents import Incident
from custody.rules.people import Device, Person
from custody.store import accounts, queries
from custody.strict import base64text, unbase64


def test_a_trip_over_the_wire(office: Any) -> None:
    world = office.world
    name = world.request(3)
    approval = office.prepare(office.as_("mona"), what="approval", consignment=name)
    assert office.sign("mona", approval).get_json()["then"] == f"/consignments/{name}"
    ticks = {f"line-{n}": "read" for n in (1, 2, 3)}
    for giver, taker, site in (("ann", "carl", "NORTH"), ("carl", "ben", "SOUTH")):
        draft = office.prepare(office.as_(taker), **taking(world, name, giver, taker, site), **ticks)
        waits = office.sign(taker, draft).get_json()
        assert waits["seq"] is None
        assert waits["waits_for"] == giver.capitalize()
        page = office.as_(giver).get("/board").get_data(as_text=True)
        assert f"/sign/giving/{waits['event']}" in page
        assert office.prepare(office.as_(giver), what="giving", event=waits["event"]) == draft
        assert office.sign(giver, draft).get_json()["event"] == waits["event"]
    assert world.consignment(name).state == "arrived"


def taking(world: Any, name: str, giver: str, taker: str, site: str) -> dict[str, str]:
    return {
        "what": "taking",
        "consignment": name,
        "giver": world.keys[giver].public.id,
        "key": world.keys[taker].public.id,
        "site": site,
    }


def test_every_line_is_ticked_by_itself(office: Any) -> None:
    name = office.world.request(2)
    office.world.approve(name)
    form = taking(office.world, name, "ann", "carl", "NORTH")
    answer = office.post(office.as_("carl"), "/sign/prepare", scripted=True, **form, **{"line-1": "read"})
    assert answer.status_code == 422
    assert "line 2" in answer.get_json()["refusal"]
    found = {"line-1": "missing", "line-2": "damaged"}
    payload = office.prepare(office.as_("carl"), **form, **found)
    fact: Any = Statement.read(unbase64(payload)).fact
    assert (fact.missing, fact.damaged) == ((1,), (2,))


def test_a_packed_case_is_taken_by_its_seal(office: Any) -> None:
    world = office.world
    tapes = world.register(2)
    case, seal = world.register(1, what="case") + world.register(1, what="seal")
    packing = office.prepare(
        office.as_("ann"), what="packing", site="NORTH", case=case, seal=seal, media=list(tapes)
    )
    packed = office.sign("ann", packing).get_json()["event"]
    form = {"route": "N-S", "carrier": "FLEET", "pick_up_by": "2026-03-03T20:00", "packing": packed}
    asked = office.post(office.as_("ann"), "/consignments/new", **form)
    name = asked.location.rpartition("/")[2]
    assert world.consignment(name).packing == packed
    world.approve(name)
    form = taking(world, name, "ann", "carl", "NORTH")
    unread = office.post(office.as_("carl"), "/sign/prepare", **form, read="case", seal="intact")
    assert unread.status_code == 422, "an intact seal has a number that somebody read"
    spelled = f"https://labels.test/s/{seal.lower()}"
    payload = office.prepare(office.as_("carl"), **form, read="case", seal="intact", seal_read=spelled)
    office.sign("carl", payload)
    office.sign("ann", payload)
    assert world.consignment(name).state == "travelling"
    assert not [a for a in world.consignment(name).alarms if world.alarm(name).rings]


def test_a_seal_is_read_by_its_number_and_no_other_is_told_to_a_courier(office: Any) -> None:
    world = office.world
    world.register(2, what="seal")  # S-1 and S-2, which never travel
    packing = world.pack()
    order = orders.Request(
        route="N-S",
        carrier="FLEET",
        pick_up_by=world.at + timedelta(hours=1),
        media=packing.media,
        packing=packing.id,
    )
    name = consignments.request(world.book, world.ids["ann"], order)
    world.approve(name)

    def read(taker: str, typed: str, **form: str) -> Any:
        form = {**taking(world, name, "ann", taker, "NORTH"), "read": "case", "seal": "intact", **form}
        return office.post(office.as_(taker), "/sign/prepare", scripted=True, **form, seal_read=typed)

    for typed in ("S-3", "s3", " S-3 ", packing.seal, f"HTTPSÖ--LABELS.TEST-S-{packing.seal}"):
        payload = unbase64(read("carl", typed).get_json()["payload"])
        fact: Any = Statement.read(payload).fact
        assert fact.seal_read == packing.seal
    for typed in ("S-1", "S-9", "K-1000"):
        refused = read("carl", typed, seal="different")
        assert refused.status_code == 404
        assert f"There is no {typed} here. Scan its label" in refused.get_json()["refusal"]
    assert "could not be read" in read("carl", "S 3 !").get_json()["refusal"]


def test_a_session_signs_with_its_own_persons_key(office: Any) -> None:
    name = office.world.request(1)
    payload = office.prepare(office.as_("mona"), what="approval", consignment=name)
    assert office.sign("mona", payload, by="dana").status_code == 403
    assert office.sign("dana", payload, by="mona").status_code == 403
    changed = base64text(unbase64(payload).replace(b'"transit":60', b'"transit":61'))
    good = office.sign("mona", payload)
    assert good.status_code == 200
    order = {
        "payload": changed,
        "key": office.world.keys["mona"].public.id,
        "signature": base64text(b"x" * 64),
    }
    assert office.send(office.as_("mona"), "/sign", order).status_code == 403


@pytest.mark.parametrize(
    "order",
    [
        {},
        [],
        {"payload": "e30=", "key": "0" * 64, "signature": "AAAA", "more": 1},
        {"payload": "e30", "key": "0" * 64, "signature": "AAAA"},
        {"payload": "e30=", "key": "0" * 64, "signature": "AAAA"},
        {"payload": "e30=", "key": "<script>", "signature": "AAAA"},
        {"payload": 7, "key": None, "signature": []},
    ],
)
def test_what_is_no_signature_is_a_sentence(office: Any, order: Any) -> None:
    answer = office.send(office.as_("mona"), "/sign", order)
    assert answer.status_code == 422
    assert answer.get_json()["refusal"].endswith(".")


def test_nothing_unknown_is_prepared(office: Any) -> None:
    for what in ("genesis", "", "received"):
        assert office.post(office.as_("ada"), "/sign/prepare", what=what).status_code == 404


def test_one_who_may_not_prepares_nothing(office: Any) -> None:
    name = office.world.request(1)
    office.world.wait(minutes=1)
    for who, form in (
        ("ben", {"what": "approval", "consignment": name}),
        ("mallory", {"what": "packing", "site": "NORTH"}),
        ("mallory", {"what": "roles", "person": "P-2"}),
        (
            "ann",
            {
                "what": "invitation",
                "name": "X",
                "address": "x@y.zz",
                "organisation": "HOME",
                "role": "admin",
                "site": "",
            },
        ),
    ):
        assert office.post(office.as_(who), "/sign/prepare", **form).status_code in (403, 404), (who, form)


def test_a_person_is_invited_with_a_name_an_account_and_a_link(office: Any) -> None:
    client = office.as_("ada")
    form = {"what": "invitation", "name": "Nia Ng", "address": "Nia@home.test", "organisation": "HOME"}
    payload = office.prepare(client, **form, role=["site-operator", ""], site=["NORTH", ""])
    key = office.world.keys["ada"]
    outcome = office.send(client, "/sign", signed(key, payload)).get_json()
    person = outcome["then"].rpartition("/")[2]
    account = accounts.find(office.world.book, person=person)
    assert account is not None
    assert (account.name, account.address) == ("Nia Ng", "nia@home.test")
    page = office.post(client, f"/people/{person}/link").get_data(as_text=True)
    link = re.search(r"http://127\.0\.0\.1(/begin/[\w-]{43})", page)
    assert link is not None
    assert b"Nia Ng" in office.stranger().get(link[1]).data
    assert "nia" not in payload_text(payload), "no name and no address goes into the ledger"
    taken = office.post(client, "/sign/prepare", **form, role="courier", site="")
    assert taken.status_code == 409, "one mailbox, one person"


def test_an_account_that_was_lost_on_the_way_is_made_later(office: Any) -> None:
    payload = office.prepare(
        office.as_("ada"),
        what="invitation",
        name="Oz",
        address="oz@home.test",
        organisation="HOME",
        role="auditor",
        site="",
    )
    outcome = office.sign("ada", payload).get_json()  # in another session: the name did not come along
    person = outcome["then"].rpartition("/")[2]
    assert b"has no account yet" in office.as_("ada").get(f"/people/{person}").data
    office.post(office.as_("ada"), f"/people/{person}/account", name="Oz Ong")
    account = accounts.find(office.world.book, person=person)
    assert account is not None
    assert account.address == "oz@home.test"


def test_roles_change_by_an_administrators_signature(office: Any) -> None:
    form = {"what": "roles", "person": office.world.ids["ivo"], "role": ["auditor", ""]}
    assert office.post(office.as_("ada"), "/sign/prepare", **form).status_code == 422, (
        "half a form is no form"
    )
    payload = office.prepare(office.as_("ada"), **form, site=["", ""])
    office.sign("ada", payload)
    assert office.world.get(Person, office.world.ids["ivo"]).holds("auditor")


def test_a_decision_keeps_its_reason_beside_the_ledger(office: Any) -> None:
    office.world.dispatch(1)
    office.world.wait(minutes=95)
    form = {"what": "decision", "incident": "I-1", "owner": office.world.ids["hal"], "decision": "search"}
    payload = office.prepare(office.as_("hal"), **form, reason="We call every depot <b>tonight</b>.")
    assert "depot" not in payload_text(payload)
    assert office.sign("hal", payload).get_json()["then"] == "/incidents/I-1"
    assert office.world.get(Incident, "I-1").owner == office.world.ids["hal"]
    page = office.as_("dana").get("/incidents/I-1").get_data(as_text=True)
    assert "We call every depot &lt;b&gt;tonight&lt;/b&gt;." in page


def test_a_route_is_set_by_a_senior_managers_signature(office: Any) -> None:
    form = {"route": "S-N", "origin_site": "SOUTH", "destination": "NORTH", "transit": "45"}
    office.sign("dana", office.prepare(office.as_("dana"), what="route", **form))
    assert "S-N: SOUTH → NORTH" in office.as_("ann").get("/routes").get_data(as_text=True)
    wrong = office.post(office.as_("dana"), "/sign/prepare", what="route", **{**form, "transit": "0"})
    assert wrong.status_code == 422


def test_a_device_is_confirmed_by_the_site_manager_and_named_by_its_fingerprint(office: Any) -> None:
    key = new_key()
    payload = office.prepare(office.as_("ann"), what="enrolment", spki=key.public.spki)
    waits = office.send(office.as_("ann"), "/sign", signed(key, payload)).get_json()
    assert waits["waits_for"] == "somebody who may confirm it"
    shown = " ".join(key.public.id[i : i + 4].upper() for i in range(0, 16, 4))
    for name, sees in (("mona", True), ("max", False), ("ada", False), ("mallory", False)):
        page = office.as_(name).get("/devices").get_data(as_text=True)
        assert (shown in page) == sees, name
        status = office.as_(name).get(f"/sign/device/{waits['event']}").status_code
        assert status == (200 if sees else 404)
    assert office.prepare(office.as_("mona"), what="device", event=waits["event"]) == payload
    assert office.sign("mona", payload).get_json()["seq"] is not None
    assert shown in office.as_("ann").get("/devices").get_data(as_text=True)


def test_a_device_is_confirmed_anew_for_a_role_that_came_later(office: Any) -> None:
    """Each page says for what it speaks: the person's own, the administrator's, and the one to confirm on."""
    world, key = office.world, office.world.keys["ann"]
    roles = (
        orders.Grant(role="site-operator", site="NORTH"),
        orders.Grant(role="site-operator", site="SOUTH"),
    )
    world.sign("ada", people.roles(world.ids["ann"], roles))
    mine = office.as_("ann").get("/devices").get_data(as_text=True)
    assert f'data-lacking="{key.public.id}"' in mine
    assert "It speaks for: site operator at NORTH." in mine
    lacks = "Not confirmed for: site operator at SOUTH."
    assert lacks in mine
    assert lacks in office.as_("ada").get(f"/people/{world.ids['ann']}").get_data(as_text=True)
    payload = office.prepare(office.as_("ann"), what="enrolment", spki=key.public.spki)
    event = office.sign("ann", payload).get_json()["event"]
    for name, sees in (("max", True), ("dana", True), ("mona", False), ("ann", False)):
        assert office.as_(name).get(f"/sign/device/{event}").status_code == (200 if sees else 404), name
    asked = office.as_("max").get(f"/sign/device/{event}").get_data(as_text=True)
    assert "With your signature it speaks for: <b>site operator at SOUTH</b>." in asked
    assert "Not for:" not in asked
    assert (
        office.sign("max", office.prepare(office.as_("max"), what="device", event=event)).status_code == 200
    )
    mine = office.as_("ann").get("/devices").get_data(as_text=True)
    assert "It speaks for: site operator at NORTH, site operator at SOUTH." in mine
    assert 'data-lacking=""' in mine


def test_who_confirms_for_one_site_is_told_what_it_is_not_for(office: Any) -> None:
    world, key = office.world, new_key()
    roles = (
        orders.Grant(role="site-operator", site="NORTH"),
        orders.Grant(role="site-operator", site="SOUTH"),
    )
    world.sign("ada", people.roles(world.ids["ann"], roles))
    payload = office.prepare(office.as_("ann"), what="enrolment", spki=key.public.spki)
    event = office.send(office.as_("ann"), "/sign", signed(key, payload)).get_json()["event"]
    asked = office.as_("mona").get(f"/sign/device/{event}").get_data(as_text=True)
    assert "it speaks for: <b>site operator at NORTH</b>. Not for: site operator at SOUTH;" in asked


def test_a_receipt_by_a_device_of_another_site_wants_a_second_person(office: Any) -> None:
    world = office.world
    roles = (
        orders.Grant(role="site-operator", site="NORTH"),
        orders.Grant(role="site-operator", site="SOUTH"),
    )
    world.sign("ada", people.roles(world.ids["ann"], roles))
    name = world.dispatch(1)
    asked = office.as_("ann").get(f"/sign/taking/{name}").get_data(as_text=True)
    assert "or not for SOUTH" in asked
    receipt = world.hand(name, "carl", "ann")
    page = office.as_("ben").get(f"/consignments/{name}").get_data(as_text=True)
    assert "does not suffice alone: nobody had confirmed the receiver&#39;s device for this site." in page
    assert f"/sign/seconding/{receipt}" in page


def test_a_device_with_a_wrong_clock_is_told_so(office: Any) -> None:
    name = office.world.request(1)
    for made in ("2026-03-02T00:00:00.000Z", "2026-03-03T11:00:00.000Z"):  # it is 10:00 on the third
        form = {"what": "approval", "consignment": name, "made": made}
        answer = office.sign("mona", office.prepare(office.as_("mona"), **form))
        assert answer.status_code == 409
        assert "clock is wrong" in answer.get_json()["refusal"]
    assert office.post(office.as_("mona"), "/sign/prepare", **{**form, "made": "soon"}).status_code == 422


def test_a_receipt_by_a_young_device_wants_a_second_person(office: Any) -> None:
    world = office.world
    name = world.dispatch(1)
    world.enrol("ben", "max")
    receipt = world.hand(name, "carl", "ben")
    assert world.consignment(name).state == "received"
    page = office.as_("bea").get(f"/consignments/{name}").get_data(as_text=True)
    assert f"/sign/seconding/{receipt}" in page
    assert "something is still open: the receiver&#39;s device was less than a day old: armed" in page
    assert "A-1</a> was not picked up: disarmed" in page
    assert "1 line<" in page
    assert "/sign/seconding/" not in office.as_("ben").get(f"/consignments/{name}").get_data(as_text=True)
    assert office.as_("bea").get(f"/sign/seconding/{receipt}").status_code == 200
    payload = office.prepare(office.as_("bea"), what="seconding", hand_off=receipt)
    assert office.sign("bea", payload).status_code == 200
    assert world.consignment(name).state == "arrived"


def test_both_parties_fetch_the_receipt_and_nobody_else_outside(office: Any) -> None:
    world = office.world
    name, other = world.dispatch(1), world.dispatch(1)
    head = world.consignment(name).head
    for party in ("ann", "carl", "olga"):
        page = office.as_(party).get(f"/consignments/{name}").get_data(as_text=True)
        assert f"/consignments/{name}/receipts/{head}.tlog-proof" in page
        answer = office.as_(party).get(f"/consignments/{name}/receipts/{head}.tlog-proof")
        kept = Receipt.read(answer.get_data())
        assert kept.check(Policy.read(world.policy())).checkpoint.origin == world.book.origin
        assert event_id(Envelope.read(kept.entry).payload) == head
        assert f"{name}-{head[:12]}.tlog-proof" in answer.headers["Content-Disposition"]
    assert office.as_("ann").get(f"/consignments/{other}/receipts/{head}.tlog-proof").status_code == 404
    assert office.as_("ann").get(f"/consignments/{name}/receipts/{'0' * 64}.tlog-proof").status_code == 404
    with world.book.read() as connection:
        seized = connection.scalar(sa.text("SELECT event_id FROM entry WHERE seq = 0"))
    assert office.as_("ann").get(f"/consignments/{name}/receipts/{seized}.tlog-proof").status_code == 404


def test_the_founder_closes_the_set_up(office: Any) -> None:
    payload = office.prepare(office.as_("ada"), what="set-up")
    assert office.sign("ada", payload).get_json()["then"] == "/devices"
    payload = office.prepare(office.as_("dana"), what="set-up")
    assert office.sign("dana", payload).status_code == 403


def test_what_one_has_signed_first_can_be_taken_back(office: Any) -> None:
    world = office.world
    name = world.request(1)
    world.approve(name)
    form = taking(world, name, "ann", "carl", "NORTH")
    event = office.sign("carl", office.prepare(office.as_("carl"), **form, **{"line-1": "read"})).get_json()[
        "event"
    ]
    assert office.post(office.as_("mallory"), f"/devices/drafts/{event}/withdraw").status_code == 404
    answer = office.post(office.as_("carl"), f"/devices/drafts/{event}/withdraw")
    assert answer.location == f"/consignments/{name}"
    assert office.as_("ann").get(f"/sign/giving/{event}").status_code == 404


def test_revoking_needs_a_reason_and_ones_own_device_or_a_role(office: Any) -> None:
    world = office.world
    key = world.keys["cora"].public.id
    assert office.post(office.as_("mallory"), f"/devices/{key}/revoke", reason="stolen").status_code == 403
    assert office.post(office.as_("cora"), f"/devices/{key}/revoke", reason="because").status_code == 422
    assert office.post(office.as_("cora"), f"/devices/{key}/revoke", reason="lost").location == "/devices"
    assert world.get(Device, key).revoked_at is not None


def payload_text(payload: str) -> str:
    return json.dumps(json.loads(unbase64(payload))).lower()


def signed(key: Any, payload: str) -> dict[str, str]:
    """An order that brings a key's signature over a payload."""
    signature = base64text(key.sign(pae(unbase64(payload))))
    return {"payload": payload, "key": key.public.id, "signature": signature}


# ------------------------------------------------------------------------------ what a stolen session tries


def test_nobody_piles_up_statements_that_wait(office: Any) -> None:
    """Each would stand on the pages of everybody who could confirm it, and bury what matters."""
    keys = [new_key() for _ in range(5)]
    for key in keys:
        payload = office.prepare(office.as_("carl"), what="enrolment", spki=key.public.spki)
        assert office.sign("carl", payload, key).status_code == 200
    with queries.view(office.world.book, office.world.ids["carl"]) as view:
        assert [draft.key for draft in view.signed_by_me()] == [keys[-1].public.id]


def test_what_waits_too_long_goes(office: Any) -> None:
    payload = office.prepare(office.as_("carl"), what="enrolment", spki=(old := new_key()).public.spki)
    office.sign("carl", payload, old)
    office.world.at += signing.KEPT_FOR + timedelta(minutes=1)
    payload = office.prepare(office.as_("cora"), what="enrolment", spki=(key := new_key()).public.spki)
    office.sign("cora", payload, key)
    with queries.view(office.world.book, office.world.ids["carl"]) as view:
        assert view.signed_by_me() == []


def test_a_statement_about_anything_is_no_way_to_read_the_ledger(office: Any) -> None:
    """Carl signs an enrolment that claims to be about another event, to be shown that event as evidence."""
    world, key = office.world, new_key()
    with world.book.read() as connection:
        other = connection.execute(sa.text("SELECT event_id FROM entry WHERE seq = 9")).scalar_one()
    honest = Statement.read(signing.statement(world.book, Enrolled(world.ids["carl"], key.public.spki)))
    payload = replace(honest, about=Subject("event", other)).payload()
    answer = office.sign("carl", base64text(payload), key)
    assert answer.status_code == 409
    assert "about another" in answer.get_json()["refusal"]


def test_a_courier_of_another_carrier_learns_nothing_by_signing(office: Any) -> None:
    """The answer about a rival's consignment is the one about a consignment that is not there."""
    world = office.world
    until = world.at + timedelta(days=300)
    people.admit_organisation(world.book, "P-1", orders.AdmitOrganisation(organisation="VAN", until=until))
    grants = (orders.Grant(role="courier"),)
    order = orders.Invite(name="Vic", address="vic@van.test", organisation="VAN", grants=grants)
    invited = people.invitation(world.book, order)
    world.sign("ada", invited)
    world.ids["vic"] = invited.person
    world.enrol("vic", "dana")
    accounts.add(world.book, invited.person, "Vic", "vic@van.test")
    name = world.request(1)
    world.approve(name)
    there = office.sign("vic", base64text(world.hand_off(name, "ann", "vic", "NORTH")))
    assert there.status_code == 404
    assert there.get_json()["refusal"] == f"There is no consignment {name} here."


def test_an_acknowledgement_is_not_repeated_at_will(office: Any) -> None:
    name = office.world.dispatch(1)
    office.world.wait(minutes=61)
    alarm = office.world.alarm(name).id
    client = office.as_("mona")
    assert office.post(client, f"/alarms/{alarm}/acknowledge").status_code == 302
    again = office.post(client, f"/alarms/{alarm}/acknowledge")
    assert again.status_code == 409
    assert "acknowledged this already" in again.get_data(as_text=True)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"\xff", b'{"payload":1}', b"null"])
def test_what_is_no_signature_gets_a_sentence(office: Any, body: bytes) -> None:
    client = office.as_("ann")
    headers = {"X-Custody-Script": "1", "X-CSRFToken": office.token(client)}
    answer = client.post("/sign", data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 422
    assert "not a signature" in answer.get_json()["refusal"]


def test_the_account_of_one_who_was_invited_has_the_address_that_was_signed(office: Any) -> None:
    """Two forms are open in one session; the first is signed. Alerts and account must not differ."""
    world, client = office.world, office.as_("ada")
    form = {"what": "invitation", "organisation": "HOME", "role": "auditor", "site": ""}
    first = office.prepare(client, **form, name="First", address="first@home.test")
    office.prepare(client, **form, name="Second", address="second@home.test")
    headers = {"X-Custody-Script": "1", "X-CSRFToken": office.token(client)}
    key = world.keys["ada"]
    order = {"payload": first, "key": key.public.id, "signature": base64text(key.sign(pae(unbase64(first))))}
    answer = client.post("/sign", json=order, headers=headers)
    person = Statement.read(unbase64(first)).fact.person
    assert answer.status_code == 200
    assert accounts.find(world.book, person=person) is None, "it is made on the person's page"
