"""It takes two to make a power: one gives the role, another vouches that a device may speak for it.

Each test of the first part is an attack: an administrator and somebody below senior management, who would
receive at SOUTH what Carl never brought there.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from world import World, new_key

from custody import orders
from custody.acts import consignments, people, signing
from custody.errors import Forbidden, Impossible
from custody.facts import Enrolled, Grant, Granted, Role, Seconded
from custody.ledger.envelope import pae
from custody.rules.alarms import Notice
from custody.rules.handoffs import DOUBTS
from custody.rules.people import Device

SENIORS = {"dana", "sam", "hal"}
DAY = timedelta(hours=25)
Roles = tuple[Role, str | None]


def order(name: str, *roles: Roles) -> orders.Invite:
    held = tuple(orders.Grant(role=role, site=site) for role, site in roles)
    return orders.Invite(name=name, address=f"{name}@home.test", organisation="HOME", grants=held)


def invite(box: World, name: str, *roles: Roles) -> None:
    fact = people.invitation(box.book, order(name, *roles))
    box.sign("ada", fact)
    box.ids[name] = fact.person


def give(box: World, name: str, *roles: Roles) -> None:
    held = tuple(orders.Grant(role=role, site=site) for role, site in roles)
    box.sign("ada", people.roles(box.ids[name], held))


def speaks_for(box: World, name: str) -> set[Roles]:
    device = box.get(Device, box.keys[name].public.id)
    return {(grant.role, grant.site) for grant in device.grants}


def told(box: World, matter: str) -> set[str]:
    """Who is told of the newest event of this matter, by name."""
    names = {number: name for name, number in box.ids.items()}
    with box.book.world() as world:
        found = [n for n in world.all(Notice) if n.matter == matter]
        newest = max(n.scheduled for n in found)
        return {names[n.person] for n in found if n.scheduled == newest}


def forge(box: World, receiver: str) -> str:
    """A day after everything is in place: Carl and the receiver sign that all has arrived at SOUTH."""
    box.at += DAY
    name = box.dispatch(2)
    box.hand(name, "carl", receiver)
    return name


def check_that_it_rings(box: World, name: str) -> None:
    """The forged receipt stands in the ledger, ends nothing, and the seniors hear of it."""
    consignment = box.consignment(name)
    assert consignment.state == "received"
    assert set(consignment.flags) & set(DOUBTS)
    box.wait(minutes=62)
    assert box.alarm(name).rings
    assert {"dana", "max"} <= {person for person, _ in box.told(name)}


# ------------------------------------------------------------------------------------------- the attacks


def test_a_manager_of_the_sending_site_makes_no_receiver(box: World) -> None:
    invite(box, "eve", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    box.enrol("eve", "mona")
    assert speaks_for(box, "eve") == {("site-operator", "NORTH")}
    check_that_it_rings(box, forge(box, "eve"))


def test_a_role_that_is_given_after_the_device_was_confirmed_makes_no_receiver(box: World) -> None:
    invite(box, "eve", ("site-operator", "NORTH"))
    box.enrol("eve", "mona")
    give(box, "eve", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    check_that_it_rings(box, forge(box, "eve"))


def test_no_more_does_a_role_at_every_site(box: World) -> None:
    invite(box, "eve", ("site-operator", "NORTH"))
    box.enrol("eve", "mona")
    give(box, "eve", ("site-operator", None))
    assert speaks_for(box, "eve") == {("site-operator", "NORTH")}
    check_that_it_rings(box, forge(box, "eve"))


def test_nor_does_a_device_that_a_senior_confirmed_for_something_else(box: World) -> None:
    invite(box, "eve", ("auditor", None))
    box.enrol("eve", "dana")
    give(box, "eve", ("site-manager", "SOUTH"))
    assert speaks_for(box, "eve") == set()
    check_that_it_rings(box, forge(box, "eve"))


def test_nor_does_an_older_device_of_ones_own(box: World) -> None:
    invite(box, "eve", ("site-operator", "NORTH"))
    box.enrol("eve", "mona")
    give(box, "eve", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    box.enrol("eve", "eve")
    assert speaks_for(box, "eve") == {("site-operator", "NORTH")}
    check_that_it_rings(box, forge(box, "eve"))


@pytest.mark.parametrize("power", [("site-manager", "SOUTH"), ("senior-manager", None), ("head", None)])
def test_nor_does_whoever_was_given_the_power_to_confirm(box: World, power: Roles) -> None:
    """Neither Ann, whom the administrator has raised, nor Eve, whom Ann would confirm."""
    give(box, "ann", ("site-operator", "NORTH"), power)
    invite(box, "eve", ("site-operator", "SOUTH"))
    with box.unmoved(), pytest.raises(Forbidden, match="Have it confirmed for that role first"):
        box.enrol("eve", "ann")
    key, ann = box.keys["carl"], box.keys["ann"]
    payload = signing.statement(box.book, Enrolled(box.ids["eve"], key.public.spki))
    with box.unmoved(), pytest.raises(Impossible, match="cannot confirm a device"):
        box.admit(payload, {each.public.id: each.sign(pae(payload)) for each in (key, ann)})


def test_two_whom_nobody_has_confirmed_do_not_stand_by_each_other(box: World) -> None:
    for name in ("eve", "joe"):
        invite(box, name, ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
        box.enrol(name, "mona")
    name = forge(box, "eve")
    receipt = Seconded(name, box.consignment(name).receipts[-1])
    with box.unmoved(), pytest.raises(Forbidden, match="Have it confirmed for that role first"):
        box.sign("joe", receipt)
    with box.unmoved(), pytest.raises(Impossible, match="a second person who keeps the receiving site"):
        box.force("joe", receipt)
    check_that_it_rings(box, name)


def test_a_role_that_was_taken_and_given_again_is_confirmed_again(box: World) -> None:
    give(box, "ben")
    give(box, "ben", ("site-operator", "SOUTH"))
    check_that_it_rings(box, forge(box, "ben"))


def test_nobody_vouches_for_roles_that_came_after_what_they_sign_was_written(box: World) -> None:
    """Dana reads "operator at NORTH", and the administrator adds SOUTH before she signs."""
    invite(box, "eve", ("site-operator", "NORTH"))
    key, dana = new_key(), box.keys["dana"]
    payload = signing.statement(box.book, Enrolled(box.ids["eve"], key.public.spki))
    give(box, "eve", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    with box.unmoved(), pytest.raises(Impossible, match="were changed since this was written"):
        box.admit(payload, {each.public.id: each.sign(pae(payload)) for each in (key, dana)})
    box.enrol("eve", "dana", key)


def test_whoever_gave_the_roles_confirms_no_device_for_them(box: World) -> None:
    """In a small organisation an administrator may be a manager, too: not for whom they raised."""
    invite(box, "abe", ("admin", None))
    box.enrol("abe", "dana")
    box.force("abe", Granted("P-1", (Grant("admin"), Grant("head"))))
    box.enrol("ada", "dana", box.keys["ada"])
    box.at += DAY
    fact = people.invitation(box.book, order("eve", ("site-operator", "SOUTH")))
    box.sign("abe", fact)
    box.ids["eve"] = fact.person
    give(box, "eve", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    with box.unmoved(), pytest.raises(Impossible, match="never who gave them their roles"):
        box.enrol("eve", "ada")


def test_what_a_power_signs_before_it_is_confirmed_is_refused(box: World) -> None:
    give(box, "ann", ("site-operator", "NORTH"), ("senior-manager", None))
    route = consignments.route(
        orders.SetRoute(route="N-S", origin_site="NORTH", destination="SOUTH", transit=600)
    )
    with box.unmoved(), pytest.raises(Forbidden, match="Have it confirmed for that role first"):
        box.sign("ann", route)
    with box.unmoved(), pytest.raises(Impossible, match="is not a senior manager"):
        box.force("ann", route)
    box.enrol("ann", "dana", box.keys["ann"])
    box.sign("ann", route)


# -------------------------------------------------------------------------------------------- what holds


def test_each_site_vouches_for_its_own_roles(box: World) -> None:
    """Two managers, one after the other: the same key, and no new one."""
    invite(box, "nina", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    key = box.enrol("nina", "mona")
    box.at += DAY
    box.enrol("nina", "max", key)
    device = box.get(Device, key.public.id)
    assert speaks_for(box, "nina") == {("site-operator", "NORTH"), ("site-operator", "SOUTH")}
    assert (device.confirmed_by, device.enrolled_at) == (box.ids["max"], box.at)
    name = box.dispatch(1)
    box.hand(name, "carl", "nina")
    assert box.consignment(name).state == "received", "the site has a day in which to read its mail"
    box.at += DAY
    box.hand(name, "nina", "ben")
    assert box.consignment(name).state == "arrived"


def test_a_senior_vouches_for_all_roles_and_a_day_later_the_receipts_count(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    box.enrol("nina", "dana")
    box.at += DAY
    name = box.dispatch(1)
    box.hand(name, "carl", "nina")
    assert box.consignment(name).state == "arrived"


def test_a_second_person_of_the_site_makes_the_receipt_count(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    box.enrol("nina", "mona")
    name = forge(box, "nina")
    box.sign("bea", Seconded(name, box.consignment(name).receipts[-1]))
    assert box.consignment(name).state == "arrived"


def test_a_device_of_the_set_up_speaks_for_the_roles_of_that_moment(box: World) -> None:
    give(box, "ben", ("site-manager", "SOUTH"), ("site-operator", "SOUTH"))
    name = forge(box, "ben")
    assert box.consignment(name).state == "arrived", "he kept the site before, and it was confirmed"
    invite(box, "eve", ("site-operator", "SOUTH"))
    with box.unmoved(), pytest.raises(Forbidden, match="Have it confirmed for that role first"):
        box.enrol("eve", "ben")


def test_a_device_is_confirmed_again_only_for_more(box: World) -> None:
    with box.unmoved(), pytest.raises(Impossible, match="which this would not add to"):
        box.enrol("ann", "dana", box.keys["ann"])
    with box.unmoved(), pytest.raises(Forbidden, match="not enrolled for you"):
        box.enrol("bea", "max", box.keys["ben"])
    give(box, "ann", ("auditor", None), ("site-operator", "NORTH"))
    people.revoke(box.book, box.ids["ann"], box.keys["ann"].public.id, "lost")
    with box.unmoved(), pytest.raises(Forbidden, match="was revoked"):
        box.enrol("ann", "dana", box.keys["ann"])


def test_of_a_role_everywhere_a_site_is_left_when_the_rest_is_taken(box: World) -> None:
    invite(box, "nina", ("site-operator", None))
    box.enrol("nina", "dana")
    give(box, "nina", ("site-operator", "SOUTH"))
    assert speaks_for(box, "nina") == {("site-operator", "SOUTH")}
    give(box, "nina", ("site-operator", "NORTH"))
    assert speaks_for(box, "nina") == set()


# ---------------------------------------------------------------------------------------- who is told of it


def test_a_new_receiver_is_told_to_the_seniors_and_the_sites_manager(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"), ("site-operator", "SOUTH"))
    box.enrol("nina", "dana")
    assert told(box, "receiver-enrolled") == SENIORS | {"mona", "max"}
    box.at += DAY
    box.enrol("ben", "max")
    assert told(box, "receiver-enrolled") == SENIORS | {"max"}


def test_who_receives_nothing_is_no_receiver(box: World) -> None:
    box.at += DAY
    box.enrol("carl", "carl")
    with box.book.world() as world:
        assert "receiver-enrolled" not in {n.matter for n in world.all(Notice) if n.scheduled == box.at}
