"""Who may what, and whose device counts: the rule that keeps an administrator from inventing a receiver."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import START, World, new_key

from custody import audit, orders
from custody.acts import alarms, consignments, media, people, signing
from custody.errors import Conflict, Forbidden, Forged, Impossible, NotFound, Refusal
from custody.facts import (
    Enrolled,
    Genesis,
    Grant,
    Granted,
    Invited,
    Linked,
    OrganisationAdmitted,
    Revoked,
    Role,
    SetUpClosed,
    SiteOpened,
    Statement,
    Subject,
)
from custody.ledger.envelope import Envelope, Signature, pae
from custody.ledger.keys import SigningKey
from custody.ledger.note import LogKey
from custody.rules import world as rules
from custody.rules.history import evolve
from custody.rules.people import (
    APART,
    MAY,
    YOUNG,
    Device,
    Organisation,
    Person,
    Site,
    check_overseers,
    check_roles,
    may,
    require,
    with_role,
)
from custody.rules.world import DEMO_ORIGIN, Event, Log
from custody.store import home

ROLES: tuple[Role, ...] = get_args(Role)


def order(name: str, *roles: tuple[Role, str | None], organisation: str = "HOME") -> orders.Invite:
    grants = tuple(orders.Grant(role=role, site=site) for role, site in roles)
    return orders.Invite(name=name, address=f"{name}@home.test", organisation=organisation, grants=grants)


def invite(world: World, name: str, *roles: tuple[Role, str | None], organisation: str = "HOME") -> None:
    fact = people.invitation(world.book, order(name, *roles, organisation=organisation))
    world.sign("ada", fact)
    world.ids[name] = fact.person


def grant(world: World, by: str, name: str, *roles: tuple[Role, str | None]) -> None:
    """Roles as the ledger takes them, whatever today's policy says."""
    grants = tuple(Grant(role, site) for role, site in sorted(roles))
    payload = signing.statement(world.book, Granted(world.ids[name], grants))
    key = world.keys[by]
    with world.book.page("web") as page:
        page.admit(Envelope(payload, (Signature(key.public.id, key.sign(pae(payload))),)))


# -------------------------------------------------------------------------------------------- enrolment


def test_the_sites_manager_confirms(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    key = box.enrol("nina", "mona")
    device = box.get(Device, key.public.id)
    assert (device.person, device.confirmed_by, device.set_up) == (box.ids["nina"], box.ids["mona"], False)
    assert key.public.id[:16] not in audit.text(box.audit())


@pytest.mark.parametrize("confirmer", ["ada", "max", "ann", "carl", "olga", "ivo", "mallory"])
def test_nobody_else_confirms_for_a_person_of_a_site(box: World, confirmer: str) -> None:
    """Ada invited them and founded the book; the others manage another site, or nothing."""
    invite(box, "nina", ("site-operator", "NORTH"))
    before = box.book.checkpoint()
    with pytest.raises((Impossible, Forbidden)):
        box.enrol("nina", confirmer)
    assert box.book.checkpoint() == before


@pytest.mark.parametrize("confirmer", ["dana", "hal"])
def test_senior_management_confirms_for_everybody(box: World, confirmer: str) -> None:
    """Else nobody could confirm the first manager of a new site."""
    invite(box, "wes", ("site-manager", "NORTH"), ("auditor", None))
    key = box.enrol("wes", confirmer)
    assert box.get(Device, key.public.id).grants == box.get(Person, box.ids["wes"]).grants


def test_a_senior_manager_confirms_for_a_person_of_no_site(box: World) -> None:
    invite(box, "carla", ("courier", None), organisation="FLEET")
    for confirmer in ("ada", "mona", "max", "carl", "ivo", "mallory"):
        with pytest.raises((Impossible, Forbidden)):
            box.enrol("carla", confirmer)
    box.enrol("carla", "dana")


def test_ones_own_older_device_confirms_until_it_is_revoked(box: World) -> None:
    first = box.keys["ann"]
    second = box.enrol("ann", "ann")
    assert box.get(Device, second.public.id).confirmed_by == box.ids["ann"]
    people.revoke(box.book, box.ids["ann"], first.public.id, "lost")
    box.keys["ann"] = first
    with pytest.raises((Impossible, Forbidden)):
        box.enrol("ann", "ann")
    box.keys["ann"] = second
    box.enrol("ann", "ann")


def test_a_confirmer_whose_device_was_revoked_confirms_nobody(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    people.revoke(box.book, box.ids["ivo"], box.keys["mona"].public.id, "stolen")
    with pytest.raises(Forbidden, match="was revoked"):
        box.enrol("nina", "mona")
    key, mona = new_key(), box.keys["mona"]
    payload = signing.statement(box.book, Enrolled(box.ids["nina"], key.public.spki))
    both = {k.public.id: k.sign(pae(payload)) for k in (key, mona)}
    with pytest.raises(Impossible, match="one that is enrolled already"):
        box.admit(payload, both)


def test_the_inviter_does_not_confirm_whatever_they_have_become(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    invite(box, "carla", ("courier", None), organisation="FLEET")
    invite(box, "abe", ("admin", None))
    box.enrol("abe", "dana")
    grant(
        box, "abe", "ada", ("admin", None), ("head", None), ("senior-manager", None), ("site-manager", None)
    )
    box.enrol("ada", "dana", box.keys["ada"])
    for name in ("nina", "carla"):
        with pytest.raises(Impossible, match="never who gave them their roles"):
            box.enrol(name, "ada")


def both(world: World, person: str, key: SigningKey, *hands: SigningKey) -> None:
    """An enrolment brought in with both signatures, past every check of policy."""
    payload = signing.statement(world.book, Enrolled(world.ids[person], key.public.spki))
    world.admit(payload, {k.public.id: k.sign(pae(payload)) for k in hands})


def test_an_enrolment_past_the_web_is_judged_by_the_same_rule(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    key, stranger = new_key(), new_key()
    for confirmer in ("ada", "max", "ben"):
        with pytest.raises(Impossible):
            both(box, "nina", key, key, box.keys[confirmer])
    with pytest.raises(Forged, match="not enrolled"):
        both(box, "nina", key, key, stranger)
    with pytest.raises(Impossible):
        both(box, "nina", key, key, box.book.keys.server)
    with pytest.raises(Refusal):
        both(box, "nina", key, box.keys["mona"], box.keys["max"])
    both(box, "nina", key, key, box.keys["mona"])


def test_the_new_device_proves_that_it_has_its_key(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    key, mona = new_key(), box.keys["mona"]
    payload = signing.statement(box.book, Enrolled(box.ids["nina"], key.public.spki))
    signatures = {key.public.id: mona.sign(pae(payload)), mona.public.id: mona.sign(pae(payload))}
    with pytest.raises(Forged, match="does not hold"):
        box.admit(payload, signatures)


def test_a_key_is_enrolled_once(box: World) -> None:
    """Not for somebody else, and not anew after it was revoked."""
    ann = box.keys["ann"]
    with pytest.raises(Impossible, match="already"):
        both(box, "mona", ann, ann, box.keys["mona"])
    people.revoke(box.book, box.ids["ivo"], ann.public.id, "stolen")
    for person in ("ann", "mona"):
        with pytest.raises(Impossible, match="already"):
            both(box, person, ann, ann, box.keys["mona"])


def test_the_servers_key_is_no_persons(box: World) -> None:
    server = box.book.keys.server
    with pytest.raises(Impossible):
        both(box, "ann", server, server, box.keys["mona"])


def test_only_the_person_begins_an_enrolment(box: World) -> None:
    invite(box, "nina", ("site-operator", "NORTH"))
    key = new_key()
    payload = signing.statement(box.book, Enrolled(box.ids["nina"], key.public.spki))
    with pytest.raises(Forbidden, match="for themself"):
        signing.sign(box.book, box.ids["mona"], payload, key.public.id, key.sign(pae(payload)))
    mona = box.keys["mona"]
    with pytest.raises(Conflict, match="signs first"):
        signing.sign(box.book, box.ids["mona"], payload, mona.public.id, mona.sign(pae(payload)))


def test_a_device_is_young_for_a_day(box: World) -> None:
    key = box.enrol("ann", "mona")
    device = box.get(Device, key.public.id)
    assert device.young(box.at)
    assert device.young(box.at + YOUNG - timedelta(milliseconds=1))
    assert not device.young(box.at + YOUNG)


def test_revoked_stays_revoked_since_the_first_time(box: World) -> None:
    key = box.keys["ben"].public.id
    people.revoke(box.book, box.ids["ivo"], key, "lost")
    when = box.at
    box.at += timedelta(hours=1)
    box.state(Revoked(box.ids["dana"], key, "stolen"))
    assert box.get(Device, key).revoked_at == when


def test_a_key_that_was_revoked_invites_nobody(box: World) -> None:
    fact = people.invitation(box.book, order("nina", ("site-operator", "NORTH")))
    people.revoke(box.book, box.ids["ivo"], box.keys["ada"].public.id, "stolen")
    with box.unmoved(), pytest.raises(Impossible, match="not signed by an enrolled device that still counts"):
        box.force("ada", fact)


def test_people_are_numbered_in_the_order_in_which_they_come(shared: World) -> None:
    fact = people.invitation(shared.book, order("nina", ("site-operator", "NORTH")))
    number = f"P-{len(shared.ids) + 1}"
    assert fact.person == number
    for wrong in ("P-1", shared.ids["ann"], f"P-{len(shared.ids) + 2}"):
        with (
            shared.unmoved(),
            pytest.raises(Impossible, match=f"The next person's number is {number}, not {wrong}"),
        ):
            shared.force("ada", replace(fact, person=wrong))


def test_only_an_administrator_invites_and_gives_roles(shared: World) -> None:
    fact = people.invitation(shared.book, order("nina", ("site-operator", "NORTH")))
    for name in ("mona", "dana", "hal", "olga"):
        for wrong in (fact, Granted(shared.ids["ann"], (Grant("head"),))):
            with (
                shared.unmoved(),
                pytest.raises(Impossible, match=f"{shared.ids[name]} is not an administrator"),
            ):
                shared.force(name, wrong)


def test_who_is_invited_is_of_an_organisation_that_is_here(shared: World) -> None:
    fact = people.invitation(shared.book, order("nina", ("site-operator", "NORTH")))
    with shared.unmoved(), pytest.raises(Impossible, match="There is no organisation EVIL here"):
        shared.force("ada", replace(fact, organisation="EVIL"))


# --------------------------------------------------------------------------------------------- the beginning


ORIGIN = "young.example"
LOG_KEY = str(LogKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32))).verifier)
OTHER_KEY = str(LogKey("old.example", Ed25519PrivateKey.from_private_bytes(bytes(32))).verifier)
SERVER, FOUNDER = new_key().public, new_key().public


def beginning(*, seq: int = 0, signers: tuple[str, ...] = (), origin: str = ORIGIN, **change: Any) -> Event:
    """The event of a genesis that can be, but for what is changed in it."""
    fact = Genesis("HOME", LOG_KEY, SERVER.spki, "P-1", FOUNDER.spki, "ab" * 32)
    about = change.pop("about", Subject.log(change.get("log_key", LOG_KEY)))
    statement = Statement(origin, START, about, replace(fact, **change))
    return Event(seq, "cd" * 32, statement, signers or (SERVER.id, FOUNDER.id), START)


def test_the_genesis_makes_the_log_its_organisation_and_its_founder() -> None:
    world = rules.World()
    evolve(world, beginning())
    log = world.log
    assert (log.id, log.genesis, log.organisation, log.set_up, log.last) == (
        ORIGIN,
        "cd" * 32,
        "HOME",
        True,
        START,
    )
    assert (log.server_key, log.founder, log.founder_key) == (SERVER.id, "P-1", FOUNDER.id)
    assert world.get(Organisation, "HOME").until is None
    assert world.get(Person, "P-1").holds("admin")
    assert world.get(Device, FOUNDER.id).person == "P-1"
    assert not log.is_demo
    assert replace(log, id=DEMO_ORIGIN).is_demo


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (beginning(seq=1), "A log has one genesis, and it stands first."),
        (
            beginning(origin="old.example"),
            "The genesis names the log by its own key, and the founder as P-1.",
        ),
        (beginning(log_key=OTHER_KEY), "The genesis names the log by its own key, and the founder as P-1."),
        (beginning(founder="P-2"), "The genesis names the log by its own key, and the founder as P-1."),
        (beginning(about=Subject.log(OTHER_KEY)), "The genesis is about the log's key."),
        (beginning(about=Subject("event", "ab" * 32)), "The genesis is about the log's key."),
        (beginning(signers=(FOUNDER.id, SERVER.id)), "is signed by the server's key and by the founder's."),
        (beginning(signers=(SERVER.id,)), "is signed by the server's key and by the founder's."),
        (
            beginning(founder_key=SERVER.spki, signers=(SERVER.id, SERVER.id)),
            "is signed by the server's key and by the founder's.",
        ),
    ],
)
def test_a_genesis_that_cannot_be(event: Event, why: str) -> None:
    world = rules.World()
    with pytest.raises(Impossible, match=why):
        evolve(world, event)
    assert list(world.all(Log)) == list(world.all(Person)) == []


def test_a_genesis_has_seen_nothing() -> None:
    event = beginning()
    seen = replace(event, statement=replace(event.statement, seen=f"1 {'A' * 43}="))
    with pytest.raises(Impossible, match="The genesis is about the log's key"):
        evolve(rules.World(), seen)


def test_a_log_has_one_genesis() -> None:
    world = rules.World()
    evolve(world, beginning())
    with pytest.raises(Impossible, match="A log has one genesis"):
        evolve(world, beginning(organisation="AWAY"))
    assert world.log.organisation == "HOME"


def test_nothing_comes_before_the_genesis() -> None:
    world = rules.World()
    opened = Statement(ORIGIN, START, Subject("event", "cd" * 32), SiteOpened("P-1", "NORTH", "UTC"))
    with pytest.raises(Impossible, match="Nothing can come before the genesis"):
        evolve(world, Event(0, "ef" * 32, opened, (SERVER.id,), START))
    assert list(world.all(Site)) == []


# ---------------------------------------------------------------------------------------------- the set-up


def test_only_the_founder_closes_the_set_up(box: World, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        box.sign("mona", SetUpClosed())
    keys = {"ada": new_key(), "abe": new_key()}
    log = LogKey("young.example", Ed25519PrivateKey.generate())
    founding = home.Founding("young.example", "HOME", "ada@home.test", log, new_key(), keys["ada"])
    young = World.__new__(World)
    young.at, young.folder, young.log_key = START, tmp_path / "young", log
    young.keys, young.ids = keys, {"ada": "P-1"}
    young.book, young.genesis = home.create(young.folder, founding, young.clock, secrets.token_bytes)
    invite(young, "abe", ("admin", None))
    young.enrol("abe", "ada", keys["abe"])
    with pytest.raises(Impossible, match="The founder closes"):
        young.sign("abe", SetUpClosed())
    assert "The set-up is not closed" in audit.text(young.audit())
    young.sign("ada", SetUpClosed())
    text = audit.text(young.audit())
    assert "The set-up is not closed" not in text
    assert f"P-2's device {keys['abe'].public.id[:16]} was confirmed by the founder alone" in text
    young.check()


def test_the_audit_lists_every_device_that_the_founder_confirmed_alone(box: World) -> None:
    report = box.audit()
    listed = {
        line.split()[1].removesuffix("'s") for line in audit.text(report).splitlines() if "set-up" in line
    }
    assert listed == set(box.ids.values()) - {"P-1"}
    assert not report.world.log.set_up


# --------------------------------------------------------------------------------------------------- roles


def small_world(*relaxed: str) -> rules.World:
    """Enough of a world to ask about roles."""
    world = rules.World()
    world.put(
        rules.Log(
            "x",
            "",
            "HOME",
            "",
            "",
            "P-1",
            "",
            set_up=False,
            relaxed=relaxed,
            last=START,  # type: ignore[arg-type]
        )
    )
    world.put(Organisation("HOME", None))
    world.put(Organisation("FLEET", START + timedelta(days=1)))
    world.put(Site("NORTH", "UTC"))
    world.put(Site("SOUTH", "UTC"))
    return world


@pytest.mark.parametrize("apart", APART, ids=lambda pair: "+".join(sorted(pair)))
def test_roles_that_are_kept_apart(apart: frozenset[Role]) -> None:
    grants = tuple(Grant(role) for role in sorted(apart))
    with pytest.raises(Conflict, match="One person is not"):
        check_roles(small_world(), grants, "HOME")
    split = tuple(Grant(g.role, "NORTH" if i else "SOUTH") for i, g in enumerate(grants))
    with pytest.raises(Conflict, match="One person is not"):
        check_roles(small_world(), split, "HOME")
    check_roles(small_world("combined-roles"), grants, "HOME")
    check_roles(small_world(), grants[:1], "HOME")


@pytest.mark.parametrize("role", ["senior-manager", "head", "admin"])
def test_who_can_stop_an_alarm_being_one_is_of_the_home_organisation(role: Role) -> None:
    with pytest.raises(Conflict, match="of the home organisation"):
        check_roles(small_world(), (Grant(role),), "FLEET")
    check_roles(small_world("outside-senior"), (Grant(role),), "FLEET")


def test_a_role_at_a_site_that_is_not_there() -> None:
    with pytest.raises(NotFound):
        check_roles(small_world("combined-roles"), (Grant("site-operator", "WEST"),), "HOME")


def test_nobody_gives_themself_a_role_and_apart_is_apart(box: World) -> None:
    with pytest.raises(Impossible, match="roles to themself"):
        box.sign("ada", people.roles("P-1", (orders.Grant(role="auditor"),)))
    roles = (orders.Grant(role="courier"), orders.Grant(role="site-operator", site="NORTH"))
    with pytest.raises(Conflict, match="One person is not courier and site-operator"):
        box.sign("ada", people.roles(box.ids["ann"], roles))
    with pytest.raises(Conflict, match="One person is not"):
        invite(box, "nina", ("admin", None), ("head", None))


@pytest.mark.parametrize("role", ["senior-manager", "head"])
def test_the_last_one_whom_an_alarm_reaches_keeps_the_role(role: Role) -> None:
    world = small_world()
    only = Person("P-2", "HOME", (Grant(role), Grant("auditor")), "", "P-1", 0)
    world.put(only)
    with pytest.raises(
        Conflict, match=f"P-2 is the only {role.replace('-', ' ')}: alarms would reach nobody"
    ):
        check_overseers(world, only, (Grant("auditor"),))
    check_overseers(world, only, (Grant(role),))
    world.put(Person("P-3", "HOME", (Grant(role),), "", "P-1", 0))
    check_overseers(world, only, ())


def test_a_link_is_made_to_somebodys_account(shared: World) -> None:
    with shared.unmoved(), pytest.raises(Impossible, match="There is no person P-99 here"):
        shared.state(Linked("P-1", "P-99"))
    before = shared.get(Person, shared.ids["ann"])
    shared.state(Linked("P-1", shared.ids["ann"]))
    assert shared.get(Person, shared.ids["ann"]) == before


@pytest.mark.parametrize("act", MAY)
def test_the_table_and_nothing_else(act: str) -> None:
    world = small_world()
    for number, role in enumerate(ROLES, 2):
        world.put(Person(f"P-{number}", "HOME", (Grant(role),), "", "P-1", 0))
        assert may(world, f"P-{number}", act) == (role in MAY[act])
    world.put(Person("P-99", "HOME", (), "", "P-1", 0))
    for nobody in ("P-99", "P-100", "", "frog"):
        with pytest.raises(Forbidden, match="may not"):
            require(world, nobody, act)


def test_what_is_not_in_the_table_may_be_done_by_nobody() -> None:
    world = small_world()
    world.put(Person("P-2", "HOME", tuple(Grant(role) for role in ROLES), "", "P-1", 0))
    with pytest.raises((KeyError, Forbidden)):
        require(world, "P-2", "burn the tapes")


def test_a_role_at_a_site_is_not_one_at_another() -> None:
    world = small_world()
    world.put(Person("P-2", "HOME", (Grant("site-manager", "NORTH"),), "", "P-1", 0))
    assert may(world, "P-2", "pack a case", site="NORTH")
    assert not may(world, "P-2", "pack a case", site="SOUTH")
    assert may(world, "P-2", "pack a case")
    assert [p.id for p in with_role(world, "site-manager", "SOUTH")] == []
    assert [p.id for p in with_role(world, "site-manager", "NORTH")] == ["P-2"]


def test_mallory_may_do_nothing_of_all_this(box: World) -> None:
    mallory, book = box.ids["mallory"], box.book
    name = box.dispatch(2)
    waiting = box.request(1, minutes=600)
    route = orders.SetRoute(route="N-S", origin_site="NORTH", destination="SOUTH", transit=600)
    box.wait(hours=2)
    before = book.checkpoint()
    alarm = box.alarm(name).id
    wanted = orders.Request(
        route="N-S",
        carrier="FLEET",
        pick_up_by=box.at + timedelta(hours=1),
        media=box.consignment(name).media,
    )
    grants = (orders.Grant(role="head"),)
    evil = order("m", ("courier", None), organisation="FLEET")
    attempts = [
        lambda: people.open_site(book, mallory, orders.OpenSite(site="WEST", zone="UTC")),
        lambda: people.admit_organisation(
            book, mallory, orders.AdmitOrganisation(organisation="EVIL", until=box.at + timedelta(days=1))
        ),
        lambda: box.sign("mallory", people.invitation(book, evil)),
        lambda: box.sign("mallory", people.roles(mallory, grants)),
        lambda: people.revoke(book, mallory, box.keys["ann"].public.id, "lost"),
        lambda: media.register(book, mallory, "NORTH", [media.New()], lambda: "0" * 16),
        lambda: media.labelled(book, mallory, [box.consignment(name).media[0]], "a4"),
        lambda: consignments.request(book, mallory, wanted),
        lambda: alarms.acknowledge(book, mallory, alarm),
        lambda: box.sign("mallory", consignments.route(route)),
        lambda: box.approve(waiting, by="mallory"),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()
        assert book.checkpoint() == before


def test_roles_that_are_taken_away_given_and_taken_away_again(box: World) -> None:
    """Each is a new event, though it says the same as an older one."""
    operator = (orders.Grant(role="site-operator", site="NORTH"),)
    for _ in range(2):
        for roles in ((), operator):
            box.sign("ada", people.roles(box.ids["ann"], roles))
            assert box.get(Person, box.ids["ann"]).grants == tuple(role.fact() for role in roles)


# ----------------------------------------------------------------------------------------------- contracts


def test_the_home_organisation_has_no_contract(shared: World) -> None:
    with (
        shared.unmoved(),
        pytest.raises(Impossible, match="The home organisation has no contract that could end"),
    ):
        shared.state(OrganisationAdmitted("P-1", "HOME", shared.at + timedelta(days=1)))
    assert shared.get(Organisation, "HOME").until is None


def test_a_site_is_opened_once(shared: World) -> None:
    with shared.unmoved(), pytest.raises(Impossible, match="There is a site NORTH already"):
        shared.state(SiteOpened("P-1", "NORTH", "UTC"))
    assert shared.get(Site, "NORTH").zone == "Asia/Hong_Kong"


def test_when_the_contract_has_ended_its_people_may_nothing() -> None:
    world = small_world()
    world.put(Person("P-2", "FLEET", (Grant("courier"),), "", "P-1", 0))
    assert may(world, "P-2", "hand over")
    world.put(Organisation("FLEET", START))
    with pytest.raises(Forbidden, match="contract has ended"):
        require(world, "P-2", "hand over")


def test_whom_alarms_reach_is_not_silenced_by_an_earlier_end(tmp_path: Path) -> None:
    """An administrator signs nothing for a contract: with its end, who would be told must not fall silent."""
    world = World(tmp_path, relaxed=("outside-senior",))

    def until(**later: float) -> None:
        end = world.at + timedelta(**later)
        people.admit_organisation(
            world.book, "P-1", orders.AdmitOrganisation(organisation="FLEET", until=end)
        )

    until(days=30)
    manager, senior = orders.Grant(role="site-manager", site="SOUTH"), orders.Grant(role="senior-manager")
    for role in (manager, senior):
        world.sign("ada", people.roles(world.ids["carl"], (role,)))
        with pytest.raises(Conflict, match="alarms reach them"):
            until(days=10)
        assert world.get(Organisation, "FLEET").until == world.at + timedelta(days=30)
    until(days=30)
    world.sign("ada", people.roles(world.ids["carl"], (orders.Grant(role="courier"),)))
    until(minutes=1)
    world.check()


def test_a_contract_ends_by_the_clock_and_not_by_the_next_entry(box: World) -> None:
    """Nothing was written since: the ledger's last time is before the end, and the clock is after it."""
    name = box.request(1, minutes=600)
    box.approve(name)
    end = box.at + timedelta(minutes=30)
    people.admit_organisation(box.book, "P-1", orders.AdmitOrganisation(organisation="FLEET", until=end))
    payload = box.hand_off(name, "ann", "carl", "NORTH")
    box.at = end + timedelta(hours=3)
    key = box.keys["carl"]
    with pytest.raises(Forbidden, match="contract has ended"):
        signing.sign(box.book, box.ids["carl"], payload, key.public.id, key.sign(pae(payload)))


def test_no_role_is_at_a_site_that_nobody_has_opened(box: World) -> None:
    grants = (Grant("site-manager", "NOWHERE"),)
    with box.unmoved(), pytest.raises(Impossible, match="There is no site NOWHERE here"):
        box.force("ada", Granted(box.ids["ben"], grants))
    invited = Invited(f"P-{len(box.ids) + 1}", "HOME", grants, "ab" * 32)
    with box.unmoved(), pytest.raises(Impossible, match="There is no site NOWHERE here"):
        box.force("ada", invited)
