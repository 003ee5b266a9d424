"""What a contractor's people see: their own consignments, those whom they meet on them, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from custody import orders
from custody.acts import alarms, consignments, media, people
from custody.facts import Invited
from custody.readers import inventory, mtx
from custody.store import accounts, queries
from labels import identity

TITLE = "CANARY-TITLE-of-debts"
REASON = "CANARY-REASON-for-it"
SIGHTING = "CANARY-SIGHTING-in-the-park"
LISTING = """\
  Storage Changer /dev/sg5:0 Drives, 2 Slots ( 0 Import/Export )
      Storage Element 1:Full :VolumeTag=CANAR1L8
      Storage Element 2:Full :VolumeTag=CANAR2L8
"""
TABLE = f"volser,data set,title,people\nCANAR1L8,CANARYSET,{TITLE},4321\n"


@pytest.fixture(scope="module")
def scene(template: Any, furnished: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One consignment of FLEET's, presumed missing; one of the rival VAN's; and all that is not theirs."""
    world = template.copy(tmp_path_factory.mktemp("leaks"))
    book = world.book
    until = world.at + timedelta(days=300)
    people.admit_organisation(book, "P-1", orders.AdmitOrganisation(organisation="VAN", until=until))
    order = orders.Invite(
        name="Rival", address="vic@van.test", organisation="VAN", grants=(orders.Grant(role="courier"),)
    )
    fact: Invited = people.invitation(book, order)
    world.sign("ada", fact)
    world.ids["vic"] = fact.person
    world.enrol("vic", "dana")
    draw = lambda: identity.draw(book.random)  # noqa: E731 - given to two acts
    taken = media.take_in(book, "P-1", "NORTH", mtx.read(LISTING), inventory.read(TABLE.encode()), draw=draw)
    rivals = consignments.request(
        book,
        world.ids["ann"],
        orders.Request(
            route="N-S",
            carrier="VAN",
            pick_up_by=world.at + timedelta(minutes=60),
            media=tuple(taken.ids.values()),
        ),
    )
    ours = world.dispatch(2)
    world.approve(rivals, "sam")
    alarms.sight(book, next(iter(taken.ids.values())), SIGHTING)
    world.wait(minutes=95)
    with book.page("web") as page:
        decided = alarms.decision(page, "I-1", world.ids["hal"], "search", REASON)
    world.sign("hal", decided)
    office = furnished(world)
    office.ours, office.rivals, office.tapes = ours, rivals, taken.ids
    yield office
    book.engine.dispose()


def test_the_receipt_of_anothers_hand_off_is_not_there(scene: Any) -> None:
    head = scene.world.consignment(scene.ours).head
    address = f"/consignments/{scene.ours}/receipts/{head}.tlog-proof"
    assert scene.as_("carl").get(address).status_code == 200
    assert scene.as_("vic").get(address).status_code == 404


def canaries(office: Any) -> list[str]:
    """What only the house may read: the rival's trip, what is on tapes, who decided, everybody's address."""
    world = office.world
    strangers = [world.ids[name] for name in ("hal", "dora", "ivo", "olga", "vic")]
    names = [found.name for p in strangers if (found := accounts.find(world.book, person=p))]
    keys = [world.keys[name].public.id for name in ("hal", "vic", "ada")]
    alarm_of_rival = world.consignment(office.rivals).alarms
    rows = [TITLE, REASON, SIGHTING, "CANARYSET", "4,321", "@home.test", "VAN"]
    return [
        *rows,
        *names,
        *strangers,
        *keys,
        *office.tapes,
        *office.tapes.values(),
        office.rivals,
        *alarm_of_rival,
    ]


def every_address(office: Any) -> list[str]:
    """Each page of the house, about everything that there is."""
    world, app = office.world, office.app
    tapes = [*office.tapes.values(), *world.consignment(office.ours).media]
    alarms_ = [*world.consignment(office.ours).alarms, *world.consignment(office.rivals).alarms]
    names = {
        "consignments": [office.ours, office.rivals],
        "media": tapes,
        "alarms": alarms_,
        "incidents": ["I-1"],
        "found": tapes,
        "signing": [office.ours, office.rivals, "I-1"],
        "scanner": [office.ours, office.rivals],
    }
    found = []
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint in ("static", "bootstrap.static", "security.static"):
            continue
        for name in names.get(rule.endpoint.partition(".")[0], ["x"]):
            given = {"letter": "M", "token": "x" * 43, "person": "P-3", "event": "0" * 64, "name": name}
            given |= {"level": "0", "rest": "000.p/1"}
            with app.test_request_context():
                found.append(app.url_for(rule.endpoint, **{k: given[k] for k in rule.arguments}))
    return sorted(set(found))


def test_a_couriers_pages_hold_no_canary(scene: Any) -> None:
    client = scene.as_("mallory")
    seen = 0
    for address in every_address(scene):
        text = visible(client.get(address).get_data().decode("utf-8", "replace"), address)
        seen += scene.ours in text
        for canary in canaries(scene):
            assert not re.search(rf"(?<![\w-]){re.escape(canary)}(?![\w-])", text), (address, canary)
    assert seen >= 3, "board, consignment and alarm show what is theirs"


def visible(text: str, address: str) -> str:
    """The page without what the asker wrote into the address themself."""
    return text.replace(address, "").replace(address.rpartition("/")[2], "")


def test_the_canaries_sing_for_the_house(scene: Any) -> None:
    """The test above can fail: each canary stands on some page of somebody who may read it."""
    pages = [
        scene.as_(name).get(address).data.decode("utf-8", "replace")
        for name in ("dana", "ada", "hal")
        for address in every_address(scene)
    ]
    silent = [c for c in canaries(scene) if not any(c in page for page in pages)]
    assert set(silent) <= {SIGHTING, *(scene.world.keys[n].public.id for n in ("hal", "vic", "ada"))}


def test_a_name_is_known_to_those_who_meet_it(scene: Any) -> None:
    world = scene.world
    known = {}
    for eyes in ("mallory", "ann"):
        with queries.view(world.book, world.ids[eyes]) as view:
            known[eyes] = {name for name in world.ids if view.name(world.ids[name]) != world.ids[name]}
    assert known["ann"] == set(world.ids)
    assert known["mallory"] == {"mallory", "carl", "cora", "ann", "mona", "ben", "bea", "max"}


def test_what_is_not_theirs_answers_as_what_is_not_there(scene: Any) -> None:
    client = scene.as_("mallory")
    for theirs, nothing in (
        (f"/consignments/{scene.rivals}", "/consignments/C-99"),
        (f"/alarms/{scene.world.consignment(scene.rivals).alarms[0]}", "/alarms/A-99"),
        (f"/sign/taking/{scene.rivals}", "/sign/taking/C-99"),
    ):
        one, other = client.get(theirs), client.get(nothing)
        assert one.status_code == other.status_code == 404
        assert told(one, theirs) == told(other, nothing)


def told(answer: Any, address: str) -> str:
    """The page, but for the name that was asked for and the token, which is drawn anew each second."""
    text = answer.get_data(as_text=True).replace(address.rpartition("/")[2], "")
    return re.sub(r'<meta name="csrf".*?>', "", text)


def test_a_courier_cannot_prepare_or_acknowledge_what_is_not_theirs(scene: Any) -> None:
    client = scene.as_("mallory")
    form = {"what": "taking", "consignment": scene.rivals, "key": scene.world.keys["mallory"].public.id}
    assert scene.post(client, "/sign/prepare", **form).status_code == 404
    alarm = scene.world.consignment(scene.rivals).alarms[0]
    assert scene.post(client, f"/alarms/{alarm}/acknowledge").status_code == 404


def test_what_a_courier_types_is_not_looked_up(scene: Any) -> None:
    """An id that Mallory writes down as extra must not come back with the volser that goes with it."""
    world = scene.world
    tape = next(iter(scene.tapes.values()))
    made = scene.post(
        scene.as_("mallory"),
        "/sign/prepare",
        scripted=True,
        what="taking",
        consignment=scene.ours,
        giver=world.keys["carl"].public.id,
        key=world.keys["mallory"].public.id,
        site="SOUTH",
        extra=tape,
        **{"line-1": "read", "line-2": "read"},
    )
    assert made.status_code == 200
    assert set(made.get_json()["things"]) == set(world.consignment(scene.ours).media)
    assert set(made.get_json()["people"]) <= {world.ids[n] for n in ("ann", "mona", "carl", "mallory")}


def test_json_answers_have_the_fields_of_their_models_and_no_other(scene: Any) -> None:
    client = scene.as_("mona")
    name = scene.world.request(1)
    made = scene.post(client, "/sign/prepare", scripted=True, what="approval", consignment=name).get_json()
    assert sorted(made) == ["devices", "evidence", "payload", "people", "things"]
    assert sorted(scene.sign("mona", made["payload"]).get_json()) == ["event", "seq", "then", "waits_for"]
    refused = scene.post(client, "/sign/prepare", scripted=True, what="nothing")
    assert sorted(refused.get_json()) == ["refusal"]
