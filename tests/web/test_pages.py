"""What the pages show and do: the board, media and labels, alarms and incidents, strangers, auditors."""

from __future__ import annotations

import html
import io
import re
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from postgresql import Server
from world import World

from custody import audit
from custody.acts import pulses
from custody.errors import Untrusted
from custody.guard import Guard
from custody.ledger.note import Checkpoint, Note, WitnessKey
from custody.rules.media import Medium
from custody.store import witnesses
from custody.store.verdict import VerdictFile
from web.limits import limiter

LISTING = """\
  Storage Changer /dev/sg5:1 Drives, 4 Slots ( 0 Import/Export )
Data Transfer Element 0:Empty
      Storage Element 1:Full :VolumeTag=ORO001L8
      Storage Element 2:Full :VolumeTag=ORO002L8
      Storage Element 3:Full
      Storage Element 4:Full :VolumeTag=CLN001L1
"""
TABLE = (
    "volser,data set,title,people\nORO001L8,DEBTS,Proofs of debt,60000-64000\nORO002L8,CASES,Cases,unknown\n"
)


def text(answer: Any) -> str:
    return html.unescape(re.sub(r"\s+", " ", answer.get_data(as_text=True)))


# ----------------------------------------------------------------------------------------------- the board


def test_the_board_counts_down_by_the_books_clock(office: Any) -> None:
    world = office.world
    name = world.dispatch(2)
    pulses.pulse(world.book, "monitor")
    board = text(office.as_("ann").get("/board"))
    assert f'data-now="{world.at.isoformat(timespec="milliseconds")}" data-pace="1.0"' in board
    assert "1 h 00 min left" in board
    assert "The monitor is watching" in board
    world.wait(minutes=67)
    pulses.pulse(world.book, "monitor")
    board = text(office.as_("ann").get("/board/now"))
    assert "7 min overdue" in board
    assert f"ALARM {world.alarm(name).id}" in board


def test_a_silent_monitor_is_said_in_red(office: Any) -> None:
    ann = office.as_("ann")
    assert "The monitor has never run: nobody would be told" in text(ann.get("/board"))
    pulses.pulse(office.world.book, "monitor")
    office.world.at += timedelta(seconds=90)
    assert "nobody would be told" not in text(ann.get("/board/now"))
    office.world.at += timedelta(seconds=1)
    assert "No sign of the monitor for 1 min: nobody would be told" in text(ann.get("/board/now"))
    office.world.book.pace = 100.0
    assert "nobody would be told" not in text(ann.get("/board/now")), (
        "a demo's clock runs faster than its monitor"
    )


def test_what_came_of_comparing_the_book_with_itself_is_said_to_the_house(office: Any) -> None:
    world, olga, carl = office.world, office.as_("olga"), office.as_("carl")
    assert "The book has not been compared with itself yet" in text(olga.get("/board/now"))
    Guard(world.book, VerdictFile(world.folder)).compare()
    assert re.search(
        r"compared with itself at <time.*>03 Mar 18:00 HKT<.*: whole\.", text(olga.get("/board/now"))
    )
    world.at += timedelta(hours=37)
    assert re.search(r"Nobody has looked since <time.*>03 Mar 18:00 HKT<", text(olga.get("/board/now")))
    edit = "UPDATE site SET zone = :zone WHERE id = 'NORTH'"
    with world.book.engine.begin() as connection:
        connection.execute(sa.text(edit), {"zone": "UTC"})
    world.reopen()
    Guard(world.book, VerdictFile(world.folder)).compare()
    with world.book.engine.begin() as connection:
        connection.execute(sa.text(edit), {"zone": "Asia/Hong_Kong"})
    page = text(olga.get("/board/now"))
    assert "The book is not whole:" in page
    assert "it differed from its own ledger once, first in the tables." in page
    page = text(carl.get("/board/now"))
    assert "book" not in page, "it is none of a contractor's business"


def test_what_keeps_the_sign_of_life_back_is_said_to_the_house(office: Any, furnished: Any) -> None:
    """Where a guard runs beside these pages."""
    world, file = office.world, VerdictFile(office.world.folder)
    assert "No sign of life" not in text(office.as_("olga").get("/board/now"))
    office = furnished(world, guard=file)
    assert "no guard has compared the book" in text(office.as_("olga").get("/board/now"))
    Guard(world.book, file).compare()
    assert "No sign of life" not in text(office.as_("olga").get("/board/now"))
    file.path.write_bytes(b"frog")
    page = text(office.as_("olga").get("/board/now"))
    assert "No sign of life is given to the outside: the guard's verdict cannot be read" in re.sub(
        "<.?b>", "", page
    )
    assert "No sign of life" not in text(office.as_("carl").get("/board/now"))


def test_times_are_the_sites_with_utc_to_be_seen(office: Any) -> None:
    name = office.world.dispatch(1)
    page = text(office.as_("ann").get(f"/consignments/{name}"))
    assert re.search(r'title="2026-03-03 18:00:00 HKT = 2026-03-03 10:00:00 UTC">03 Mar 18:00 HKT<', page)


# ------------------------------------------------------------------------------------------- consignments


def test_a_consignment_shows_what_each_may_do_now(office: Any) -> None:
    world = office.world
    name = world.request(2)

    def steps(who: str) -> list[str]:
        page = text(office.as_(who).get(f"/consignments/{name}"))
        return re.findall(r'class="btn btn-primary big" href="[^"]+">([^<]+)<', page)

    assert (steps("mona"), steps("dana"), steps("ann"), steps("max"), steps("carl")) == (
        ["Approve it"],
        ["Approve it"],
        [],
        [],
        [],
    )
    world.approve(name)
    assert (steps("carl"), steps("ben"), steps("ann")) == (["Pick it up"], [], [])
    world.hand(name, "ann", "carl", site="NORTH")
    assert (steps("carl"), steps("cora"), steps("ben")) == ([], ["Take it over"], ["Receive it"])
    world.hand(name, "carl", "ben", missing=(1,))
    assert (steps("ben"), steps("bea"), steps("cora")) == ([], ["Receive it again, complete"], [])
    assert "not complete" in text(office.as_("ann").get(f"/consignments/{name}"))


def test_a_request_is_made_and_withdrawn(office: Any) -> None:
    world, ann = office.world, office.as_("ann")
    tapes = world.register(3)
    form = {"route": "N-S", "carrier": "FLEET", "pick_up_by": "2026-03-03T20:00"}
    assert office.post(ann, "/consignments/new", **form).status_code == 422, "nothing was chosen"
    stays = office.post(
        ann, "/consignments/new", scripted=True, **{**form, "pick_up_by": "soon"}, media=[tapes[0]]
    )
    assert stays.get_json() == {"refusal": "Give a day and a time, such as 2026-03-02 18:30."}
    asked = office.post(ann, "/consignments/new", scripted=True, **form, media=list(tapes[:2]))
    name = asked.get_json()["to"].rpartition("/")[2]
    assert world.consignment(name).media == tapes[:2]
    assert f"{world.consignment(name).pick_up_by:%H:%M}" == "12:00", "the form's time is the site's"
    office.post(ann, f"/consignments/{name}/withdraw")
    assert world.consignment(name).state == "withdrawn"


# -------------------------------------------------------------------------------------------------- media


def upload(office: Any, listing: str, table: str | None = None) -> Any:
    files: dict[str, Any] = {"site": "NORTH", "listing": (io.BytesIO(listing.encode()), "mtx.txt")}
    if table is not None:
        files["table"] = (io.BytesIO(table.encode()), "tapes.csv")
    ada = office.as_("ada")
    answer = office.post(ada, "/media/register", **files)
    return ada.get("/media/register") if answer.status_code == 302 else answer


def test_a_library_is_taken_in_and_what_is_unlabelled_is_flagged(office: Any) -> None:
    page = text(upload(office, LISTING, TABLE))
    assert "2 new, 0 known before" in page
    assert "Flagged, and not registered: slot 3 (line 5) is full, but its label cannot be read." in page
    assert "Cleaning and test cartridges, left out: CLN001L1" in page
    shelf = text(office.as_("dana").get("/media?words=oro001"))
    assert "ORO001L8" in shelf
    assert "ORO002L8" not in shelf
    identity = re.findall(r'href="/media/([0-9A-Z]{16})"', shelf)[0]
    medium = text(office.as_("dana").get(f"/media/{identity}"))
    assert "Proofs of debt: about 60,000 to 64,000 people" in medium
    assert "Ada put it on the books" in medium
    assert "1 new" not in text(upload(office, LISTING)), "the same volser at the same site is the same tape"


def test_a_cartridge_is_found_by_its_spine_and_by_its_label(office: Any) -> None:
    upload(office, LISTING.replace("ORO001L8", "ORO001"))
    dana = office.as_("dana")

    def found(words: str) -> list[str]:
        return re.findall(r"<b>(\w+)</b>", text(dana.get("/media", query_string={"words": words})))

    assert found("ORO001L8") == found("*oro001l8*") == found("oro001") == ["ORO001"]
    name = re.findall(r'href="/media/([0-9A-Z]{16})"', text(dana.get("/media?words=oro001")))[0]
    assert found(f"HTTPSÖ--LABELS.TEST-M-{name}-") == found(name.lower()) == ["ORO001"]
    assert found("ORO009L8") == []


def test_what_is_no_volser_by_hand_is_told_all_at_once(office: Any) -> None:
    ada = office.as_("ada")
    form = {"site": "NORTH", "what": "medium", "form": "", "volsers": "ABC$1, ABC002L9; A/B ctape-01"}
    answer = office.post(ada, "/media/register/by-hand", scripted=True, **form)
    assert [line.partition(" is no")[0] for line in answer.get_json()["refusal"].split("\n")] == [
        "volser: 'ABC$1'",
        "volser: 'A/B'",
    ]
    office.post(ada, "/media/register/by-hand", **{**form, "volsers": "ABC002L9 ctape-01"})
    with office.world.book.world() as world:
        assert sorted((t.volser, t.form) for t in world.all(Medium)) == [
            ("ABC002L9", "LTO-9"),
            ("CTAPE-01", None),
        ]


def test_a_listing_with_a_problem_names_its_line_and_takes_nothing_in(office: Any) -> None:
    answer = upload(office, LISTING, TABLE.replace("60000-64000", "=SUM(A1)"))
    assert answer.status_code == 422
    assert "Line 2, people" in text(answer)
    assert upload(office, LISTING.replace("Element 2", "Element 7")).status_code == 422
    with office.world.book.world() as world:
        assert not list(world.all(Medium))


def test_a_few_things_are_registered_by_hand(office: Any) -> None:
    ada = office.as_("ada")
    office.post(
        ada, "/media/register/by-hand", site="NORTH", what="medium", form="LTO-9", volsers="abc001L9 ABC002L9"
    )
    office.post(ada, "/media/register/by-hand", site="NORTH", what="seal", volsers="", count="5")
    with office.world.book.world() as world:
        things = list(world.all(Medium))
    assert sorted(t.volser or t.what for t in things) == ["ABC001L9", "ABC002L9", *["seal"] * 5]
    for count in ("0", "101", "99999999999999999999", "-1", "x"):
        answer = office.post(
            ada, "/media/register/by-hand", site="NORTH", what="case", volsers="", count=count
        )
        assert answer.status_code == 422, count


def test_labels_are_printed_and_again_only_with_a_reason(office: Any) -> None:
    tapes = office.world.register(2)
    mona = office.as_("mona")
    stock = re.findall(
        r'<option value="([^"]+)">[^<]*\(QR', mona.get("/media/labels").get_data(as_text=True)
    )[0]
    form = {"stock": stock, "start": "1", "items": list(tapes), "reason": ""}
    pdf = office.post(mona, "/media/labels", **form)
    assert pdf.mimetype == "application/pdf"
    assert pdf.data.startswith(b"%PDF")
    assert office.world.get(Medium, tapes[0]).prints == 1
    assert office.post(mona, "/media/labels", **form).status_code == 409
    assert office.post(mona, "/media/labels", **{**form, "reason": "torn off"}).status_code == 200
    for change in ({"stock": "none"}, {"start": "x"}, {"start": "0"}, {"start": "999"}, {"items": []}):
        answer = office.post(mona, "/media/labels", **{**form, "reason": "again", **change})
        assert answer.status_code == 422, change


def test_what_a_stock_cannot_carry_costs_only_itself(office: Any) -> None:
    ada, mona = office.as_("ada"), office.as_("mona")
    form = {"site": "NORTH", "what": "medium", "volsers": "QSD121S BKP101 ORO001L8"}
    office.post(ada, "/media/register/by-hand", **form)
    with office.world.book.world() as world:
        things = {thing.volser: thing for thing in world.all(Medium)}
    assert text(mona.get("/media/labels")).count("no LTO spine") == 2
    wanted = {"stock": "lto-spine", "start": "1", "reason": ""}
    pdf = office.post(mona, "/media/labels", **wanted, items=[thing.id for thing in things.values()])
    assert pdf.mimetype == "application/pdf"
    prints = {volser: office.world.get(Medium, thing.id).prints for volser, thing in things.items()}
    assert prints == {"QSD121S": 0, "BKP101": 0, "ORO001L8": 1}
    told = html.unescape(text(mona.get("/media/labels")))
    assert "Not printed: QSD121S" in told
    assert f"BKP101 ({things['BKP101'].id}): The books have it without the media id" in told
    assert f"QSD121S ({things['QSD121S'].id}): Its volser is none of an LTO cartridge" in told
    alone = office.post(mona, "/media/labels", scripted=True, **wanted, items=[things["QSD121S"].id])
    assert alone.status_code == 409
    assert "Print it on another stock" in alone.get_json()["refusal"]


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("", "No host for labels is set (CUSTODY_LABEL_HOST)"),
        ("https://labels.test/", "is an address; give the host in it alone: labels.test."),
        ("香港.example", "give it in the form that begins with xn--: xn--j6w193g.example."),
        ("x" * 35, "has 35 characters and a label's QR code has room for 34."),
    ],
)
def test_a_host_that_cannot_stand_on_a_label_is_a_sentence(
    furnished: Any, world: World, host: str, sentence: str
) -> None:
    office = furnished(world, label_host=host)
    (tape,) = world.register(1)
    mona = office.as_("mona")
    page = html.unescape(text(mona.get("/media/labels")))
    assert sentence in page
    assert "Until then only spine labels can be printed" in page
    form = {"stock": "L7160", "start": "1", "reason": "", "items": [tape]}
    refused = office.post(mona, "/media/labels", scripted=True, **form)
    assert refused.status_code in {409, 422}
    assert sentence in refused.get_json()["refusal"]
    assert office.post(mona, "/media/labels", **{**form, "stock": "lto-spine"}).status_code == 200


def test_a_host_that_makes_all_of_a_code_capitals_is_told(furnished: Any, world: World) -> None:
    mona = furnished(world, label_host="x" * 30).as_("mona")
    assert "The label host has 30 characters. With 28 or fewer" in text(mona.get("/media/labels"))


def test_a_telephone_that_no_label_can_carry_costs_the_cases_alone(furnished: Any, world: World) -> None:
    office = furnished(world, found_phone="+" + "1234567890" * 6)
    things = world.register(1, what="case") + world.register(1, what="seal")
    mona = office.as_("mona")
    form = {"stock": "L7160", "start": "1", "reason": "", "items": list(things)}
    assert office.post(mona, "/media/labels", **form).status_code == 200
    assert [world.get(Medium, name).prints for name in things] == [0, 1]
    assert "cannot stand whole on stock" in text(mona.get("/media/labels"))


# ---------------------------------------------------------------------------------- alarms and incidents


def test_an_alarm_is_acknowledged_by_its_button_alone(office: Any) -> None:
    name = office.world.dispatch(1)
    office.world.wait(minutes=61)
    alarm = office.world.alarm(name).id
    dana = office.as_("dana")
    for _ in range(3):
        page = text(dana.get(f"/alarms/{alarm}"))
    assert "It spares you the repeats for an hour" in page
    assert office.world.alarm(name).acknowledgements == ()
    assert office.post(dana, f"/alarms/{alarm}/acknowledge").location == f"/alarms/{alarm}"
    assert [a.person for a in office.world.alarm(name).acknowledgements] == [office.world.ids["dana"]]
    assert office.post(office.as_("hal"), f"/alarms/{alarm}/acknowledge").status_code == 403, (
        "he was not told"
    )
    assert "does not spare you" in text(office.as_("carl").get(f"/alarms/{alarm}"))


def test_an_incident_says_who_had_it_last_and_calls_unknown_unknown(office: Any) -> None:
    upload(office, LISTING, TABLE)
    world = office.world
    with world.book.world() as looked:
        tapes = [m.id for m in looked.all(Medium)]
    form = {"route": "N-S", "carrier": "FLEET", "pick_up_by": "2026-03-03T20:00", "media": tapes}
    name = office.post(office.as_("ann"), "/consignments/new", **form).location.rpartition("/")[2]
    world.approve(name)
    world.hand(name, "ann", "carl", site="NORTH")
    world.wait(minutes=95)
    page = text(office.as_("hal").get("/incidents/I-1"))
    assert "<b>Carl</b>" in page
    assert "unknown, and at least 60,000" in page
    assert "No escrow record" in page
    assert "Nobody has decided anything yet" in page
    assert "I-1 opened by itself: presumed missing" in page
    assert office.as_("hal").get("/incidents/I-1/incident.pdf").status_code == 404
    assert "incident.pdf" not in page


def test_the_report_comes_from_whoever_writes_it(template: World, furnished: Any, tmp_path: Path) -> None:
    office = furnished(template.copy(tmp_path), incident_pdf=lambda _book, name: f"%PDF {name}".encode())
    office.world.dispatch(1)
    office.world.wait(minutes=95)
    assert office.as_("hal").get("/incidents/I-1/incident.pdf").data == b"%PDF I-1"
    assert office.as_("ann").get("/incidents/I-1/incident.pdf").status_code == 403
    office.world.book.engine.dispose()


# ---------------------------------------------------------------------------------------------- strangers


def test_a_stranger_learns_nothing_but_whom_to_call(office: Any) -> None:
    name = office.world.dispatch(1)
    tape = office.world.consignment(name).media[0]
    pages = set()
    wrong = tape[:-1] + ("0" if tape[-1] != "0" else "1")
    for identity in (tape, tape.lower(), f"{tape}/", "0" * 16, "nonsense", wrong):
        for letter in "MmCcSsLl":
            answer = office.stranger().get(f"/{letter}/{identity}")
            assert answer.status_code == 200
            pages.add(re.sub(r'(name="csrf_token" value|name="csrf" content)="[^"]*"', "", text(answer)))
    assert len(pages) == 1
    assert "+852 5555 0100" in pages.pop()


def test_a_find_is_an_alarm_and_the_answer_tells_nothing(office: Any) -> None:
    world = office.world
    name = world.dispatch(1)
    tape = world.consignment(name).media[0]
    before = len(world.consignment(name).alarms)
    answers = set()
    for identity in (tape, "0" * 16, "nonsense"):
        client = office.stranger()
        csrf = office.token(client, f"/M/{identity}")
        answer = client.post(
            f"/M/{identity}", data={"csrf_token": csrf, "report": "on a bench <i>in</i> the park"}
        )
        answers.add(re.sub(r'(value|content)="[^"]*"', "", text(answer)))
    assert len(answers) == 1
    assert "Thank you" in answers.pop()
    assert len(world.consignment(name).alarms) == before + 1


def test_strangers_are_slowed_down(template: World, furnished: Any, tmp_path: Path) -> None:
    office = furnished(template.copy(tmp_path))
    limiter.enabled = True
    try:
        client = office.stranger()
        csrf = office.token(client, "/M/X")
        codes = [
            client.post("/M/X", data={"csrf_token": csrf, "report": "here it is"}).status_code
            for _ in range(8)
        ]
    finally:
        limiter.enabled = False
    assert codes[:6] == [200] * 6
    assert codes[6:] == [429, 429]
    office.world.book.engine.dispose()


# ----------------------------------------------------------------------------------------------- auditors


def test_what_is_downloaded_is_sound(office: Any) -> None:
    office.world.dispatch(1)
    olga = office.as_("olga")
    bundle, policy = olga.get("/ledger/bundle.zip").data, olga.get("/ledger/policy").data
    assert policy == office.world.policy()
    report = audit.verify(io.BytesIO(bundle), policy, genesis=office.world.genesis)
    assert report.sound, audit.text(report)
    note = olga.get("/ledger/checkpoint").get_data(as_text=True)
    assert note == office.world.book.checkpoint()


# ------------------------------------------------------------------------------------------------- places


def test_sites_and_contractors(office: Any) -> None:
    ada = office.as_("ada")
    assert office.post(ada, "/places/site", site="EAST", zone="Asia/Tokyo").location == "/places"
    assert office.post(ada, "/places/site", site="EAST", zone="Asia/Tokyo").status_code == 409
    assert office.post(ada, "/places/site", site="WEST", zone="Asia/Nowhere").status_code == 422
    assert office.post(ada, "/places/site", site="no such code!", zone="Asia/Tokyo").status_code == 422
    office.post(ada, "/places/organisation", organisation="VAN", until="2026-12-31")
    assert office.post(ada, "/places/organisation", organisation="VAN", until="2020-01-01").status_code == 409
    assert office.post(ada, "/places/organisation", organisation="VAN", until="never").status_code == 422
    page = text(ada.get("/places"))
    assert "<b>EAST</b> Asia/Tokyo: <b>nobody keeps it yet</b>" in page
    assert "<b>VAN</b> until" in page


def test_the_board_says_since_when_a_witness_is_away(template: Any, furnished: Any, tmp_path: Path) -> None:
    world = template.copy(tmp_path)
    witness = WitnessKey("witness.test/a", Ed25519PrivateKey.generate())
    policy = world.folder / "policy"
    policy.write_text(
        policy.read_text("ascii") + f"witness a {witness.verifier} https://witness.test\n", "ascii"
    )
    world.reopen()
    office = furnished(world)
    words = "The witness <b>a</b> has cosigned nothing that came since"
    assert words in text(office.as_("ann").get("/board"))
    note = Note.read(world.book.checkpoint().encode())
    line = witness.cosign(note.text, 1_800_000_000)
    witnesses.keep(world.book, Checkpoint.read(note.text).size, "a", line)
    world.register(1)
    assert "The witness" not in text(office.as_("ann").get("/board"))
    world.wait(minutes=6)
    assert words in text(office.as_("ann").get("/board"))
    assert "The witness" not in text(office.as_("carl").get("/board"))
    world.book.engine.dispose()


@pytest.mark.on("postgresql")
def test_the_board_says_that_commits_wait_for_the_standby(
    loose: Any, furnished: Any, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read while nothing can be written."""
    monkeypatch.setattr("web.board.STANDBY_LATE", timedelta())
    ann = furnished(loose).as_("ann")
    words = "The database waits for its standby: nothing can be recorded now."
    assert words not in text(ann.get("/board"))
    postgresql.set_standby("ghost")
    act = threading.Thread(target=loose.register, args=(1,))
    act.start()
    try:
        while words not in text(ann.get("/board")):
            time.sleep(0.05)
    finally:
        postgresql.set_standby("")
        act.join()
    assert words not in text(ann.get("/board"))


def test_the_board_says_that_the_ledger_was_opened_to_changes(loose: Any, furnished: Any) -> None:
    office = furnished(loose)
    words = "The ledger is not guarded as it was when the server began."
    assert words not in text(office.as_("ann").get("/board"))
    with loose.owner() as owner:
        loose.drop(owner, "entry_keeps")
    assert "The trigger entry_keeps is missing" in text(office.as_("ann").get("/board"))
    assert words in text(office.as_("ann").get("/board/now"))
    assert words not in text(office.as_("carl").get("/board"))


# ---------------------------------------------------------------------------------- how every answer leaves


def test_every_answer_has_its_headers(office: Any) -> None:
    for address in ("/board", "/nothing", "/login", "/M/X", "/static/sign.js"):
        headers = office.as_("ann").get(address, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert (headers["Cache-Control"] == "no-store") == ("static" not in address)
    first, second = (office.as_("ann").get("/board") for _ in range(2))
    nonces = [
        re.findall(r"'nonce-([\w-]+)'", a.headers["Content-Security-Policy"])[0] for a in (first, second)
    ]
    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0]}"' in first.get_data(as_text=True)


def test_no_page_has_a_script_or_a_style_in_it_or_from_elsewhere() -> None:
    templates = Path(__file__).parents[2] / "web" / "templates"
    for path in templates.rglob("*.html"):
        page = path.read_text("utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page), path
        assert not re.search(r"""(?:src|href)=["']https?:""", page), path
        assert "|safe" not in page, path
        assert all("csrf_token" in form or "token()" in form or 'id="ask"' in form for form in posts(page)), (
            path
        )


def posts(page: str) -> list[str]:
    """The forms of a page that are sent by POST, each up to its end."""
    forms = re.findall(r"<form.*?</form>", page, re.DOTALL)
    return [f for f in forms if 'method="post"' in f and "hidden_tag()" not in f]


def test_what_is_typed_comes_back_as_text(office: Any) -> None:
    nasty = "<script>alert(1)</script>"
    for answer in (
        office.as_("ada").get("/media", query_string={"words": nasty}),
        office.as_("ada").get(f"/consignments/{nasty}"),
        office.post(office.as_("ada"), "/places/site", site=nasty, zone=nasty),
        office.stranger().get("/login", query_string={"next": nasty}),
    ):
        assert nasty.encode() not in answer.data


def test_what_breaks_is_told_by_a_reference_and_logged(
    office: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks() -> str:
        raise RuntimeError("the secret reason")

    office.app.view_functions["board.board"] = breaks
    answer = office.as_("ann").get("/board")
    assert answer.status_code == 500
    assert b"secret" not in answer.data
    reference = re.search(r"reference: ([0-9A-F]{8})", text(answer))
    assert reference is not None
    assert reference[1] in capsys.readouterr().out


def test_a_book_that_cannot_be_trusted_ends_the_process(
    template: World, furnished: Any, tmp_path: Path
) -> None:
    ended: list[bool] = []
    office = furnished(template.copy(tmp_path), stop=lambda: ended.append(True))

    def breaks() -> str:
        raise Untrusted("The ledger is not the one that its checkpoint signs.")

    office.app.view_functions["board.board"] = breaks
    answer = office.as_("ann").get("/board")
    assert answer.status_code == 503
    assert "not the one that its checkpoint signs" in answer.get_data(as_text=True)
    assert ended == [True]
    office.world.book.engine.dispose()


def test_health(office: Any) -> None:
    assert office.stranger().get("/healthz").data == b"ok\n"
