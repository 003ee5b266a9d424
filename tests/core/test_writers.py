"""The documents as a reader has them: text taken out of the PDF, pages rendered, codes read back."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image, ImageOps

from custody.ledger.note import Checkpoint, LogKey
from custody.rules.world import DEMO_ORIGIN
from custody.writers import incident as case
from custody.writers import manifest as sheet
from custody.writers import pdf
from custody.writers.incident import incident
from custody.writers.manifest import manifest

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVENT = "0123456789abcdef" * 4
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def note(origin: str = "custody.example/log", size: int = 1234) -> str:
    return LogKey(origin, KEY).sign(Checkpoint(origin, size, bytes(range(32))))


def pages(data: bytes) -> list[str]:
    """The text of each page, every run of white space as one blank."""
    return [" ".join(page.get_textpage().get_text_bounded().split()) for page in pypdfium2.PdfDocument(data)]


def rendered(data: bytes, dpi: int = 110) -> list[Image.Image]:
    return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in pypdfium2.PdfDocument(data)]


def codes(image: Image.Image) -> list[str]:
    formats = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])
    return [code.bytes.decode() for code in zxingcpp.read_barcodes(image, formats)]


SHEET = sheet.Sheet(
    origin="custody.example/log",
    genesis="ab" * 32,
    checkpoint=note(),
    as_of=NOON,
    zone="Asia/Hong_Kong",
    consignment="C-7",
    withdrawn=False,
    route="N-S",
    from_site="NORTH",
    to_site="SOUTH",
    carrier="FLEET",
    pick_up_by=NOON + timedelta(hours=1),
    transit=45,
    packing=sheet.Packing("K-3, CASE 0001", "S-41, SEAL 0001", sheet.Signed("P-2", NOON, "aa" * 32, 88)),
    media=tuple(sheet.Line(n, f"ABCD0000EFGH{n:04}", f"T{n:05}L8", "LTO-8") for n in range(1, 8)),
    requested=sheet.Signed("P-2, site operator of NORTH", NOON, "bb" * 32, 90),
    approved=sheet.Signed("P-3, site manager of NORTH", NOON, "cc" * 32, 92),
)

SET = case.DataSet("CASES", "Bankruptcy cases", 64_000, 64_000, 7, 7, "yes")

REPORT = case.Report(
    incident="I-1",
    opened=case.Line(157, EVENT, NOON, "incident I-1 opened by itself", (), signed=False),
    presumed_by="by rung 3 of alarm A-1 (entry 156)",
    state="travelling",
    arrived_at=None,
    flags=(),
    consignment="C-7",
    route="N-S",
    from_site="NORTH",
    to_site="SOUTH",
    carrier="FLEET",
    case="K-3, CASE 0001",
    seal="S-41, SEAL 0001",
    zone="Asia/Hong_Kong",
    as_of=NOON + timedelta(hours=2),
    alarm="A-1",
    cause="overdue",
    alarm_due=NOON - timedelta(minutes=30),
    due=NOON - timedelta(minutes=30),
    holder=case.Holder("P-7", "NORTH", NOON - timedelta(hours=2), EVENT, 98),
    least=64_000,
    most=64_000,
    undescribed=0,
    senior=case.Reached("P-10", NOON, timedelta(seconds=2)),
    head=None,
    people=(case.Person("P-7", "courier from FLEET"), case.Person("P-10", "senior manager", "Dana Chan")),
    media=tuple(
        case.Medium(n, f"ABCD0000EFGH{n:04}", f"T{n:05}L8", "LTO-8", ("CASES",)) for n in range(1, 8)
    ),
    data_sets=(SET,),
    timeline=(case.Line(98, EVENT, NOON, "hand-off at NORTH", ("P-7",), signed=True),),
    told=(),
    acknowledgements=(),
    decisions=(),
    hand_offs=(),
    clocks=(
        case.Clock("GIRO", NOON, "rung 1", NOON + timedelta(hours=1), "ISPG-SM02"),
        case.Clock("GDPR", NOON, "rung 1", NOON + timedelta(hours=72), "Art. 33"),
        case.Clock("PCPD: no statutory limit", NOON, "rung 1", None, "guidance"),
    ),
    found=(),
    proof=case.Proof("custody.example/log", "ab" * 32, "cd" * 32, "vkey", 1234, note()),
)


def decision(**more: Any) -> case.Decision:
    return replace(
        case.Decision(187, EVENT, NOON, "P-10", "P-10", "search", "He does not answer.", NOON), **more
    )


# ---------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize(("write", "what"), [(manifest, SHEET), (incident, REPORT)])
def test_the_same_thing_gives_the_same_bytes(write: Callable[[Any], bytes], what: Any) -> None:
    assert write(what) == write(what)


def test_another_process_gives_the_same_bytes_whatever_it_imported_first() -> None:
    script = (
        "import sys, hashlib; sys.path[:0] = ['tests/core', 'tests'];{}"
        "import test_writers as t; print(hashlib.sha256(t.incident(t.REPORT)).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script.format(first)], capture_output=True, text=True, check=True
        ).stdout
        for first in ("", "import labels.sheet;")
    }
    assert len(seen) == 1


def test_every_page_says_which_of_how_many_it_is() -> None:
    many = replace(
        SHEET, media=tuple(sheet.Line(n, f"ABCD0000EFGH{n:04}", None, None) for n in range(1, 201))
    )
    said = pages(manifest(many))
    assert len(said) == 6
    for number, text in enumerate(said, 1):
        assert f"page {number} of 6" in text
        assert "Manifest of C-7" in text
        assert "log custody.example/log" in text


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (NOON, "Asia/Hong_Kong", "2026-03-02 20:00:00 (UTC 12:00:00)"),
        (NOON + timedelta(hours=6), "Asia/Hong_Kong", "2026-03-03 02:00:00 (UTC 2026-03-02 18:00:00)"),
        (NOON, "UTC", "2026-03-02 12:00:00 (UTC 12:00:00)"),
        (NOON, "No/Where", "2026-03-02 12:00:00 UTC"),
        (NOON, "//", "2026-03-02 12:00:00 UTC"),
    ],
)
def test_a_moment_is_told_by_the_sites_clock_and_by_utc(at: datetime, zone: str, words: str) -> None:
    assert pdf.moment(at, zone) == words


def test_chinese_is_set_and_what_no_font_has_is_marked() -> None:
    report = replace(REPORT, data_sets=(replace(SET, title="破產個案紀錄 Юлия \x07"),))
    first, *_ = pages(incident(report))
    assert "CASES (破產個案紀錄 ???? ?)" in first


def test_a_text_that_looks_like_markup_is_shown_as_it_was_written() -> None:
    words = "<b>near</b> & <font color=white>hidden</font>"
    report = replace(REPORT, decisions=(decision(reason=words),))
    assert words in " ".join(pages(incident(report)))


def test_nothing_runs_over_the_margins() -> None:
    long = "W" * 300 + " " + "破產" * 200
    report = replace(
        REPORT,
        data_sets=(replace(SET, code="W" * 24, title=long),),
        decisions=(decision(reason=long * 3),),
        people=(case.Person("P-7", "courier " * 40, long), case.Person("P-10", "W" * 200, "W" * 200)),
        timeline=(case.Line(9_999_999, EVENT, NOON, long, ("P-7", "P-10"), signed=True),) * 3,
        media=tuple(case.Medium(n, "W" * 16, "W" * 16, "W" * 24, ("W" * 24,) * 9, long) for n in (1, 1000)),
    )
    for image in rendered(incident(report)):
        ink = ImageOps.invert(image).getbbox()
        assert ink is not None
        left, _, right, _ = (side / image.width * 210 for side in ink)
        assert left >= 14.5
        assert right <= 195.5


def test_a_demo_says_on_every_page_that_it_is_one() -> None:
    real = manifest(SHEET)
    shown = manifest(replace(SHEET, origin=DEMO_ORIGIN, checkpoint=note(DEMO_ORIGIN)))
    assert all("DEMONSTRATION: NOTHING IN THIS IS REAL" in page for page in pages(shown))
    assert not any("DEMONSTRATION" in page for page in pages(real))


# ------------------------------------------------------------------------------------------ the manifest


def test_the_manifest_of_two_hundred_media_names_each_of_them_once() -> None:
    media = tuple(sheet.Line(n, f"ABCD0000EFGH{n:04}", f"T{n:05}L8", "LTO-8") for n in range(1, 201))
    text = " ".join(pages(manifest(replace(SHEET, media=media))))
    lines = re.findall(r"(\d+) ABCD 0000 EFGH (\d{4}) T(\d{5})L8 LTO-8", text)
    assert [tuple(map(int, line)) for line in lines] == [(n, n, n) for n in range(1, 201)]


def test_the_manifest_says_what_travels_when_and_who_stands_behind_it() -> None:
    (text,) = pages(manifest(SHEET))
    for words in (
        "C-7: NORTH to SOUTH",
        "FLEET",
        "Pick-up by 2026-03-02 21:00:00 (UTC 13:00:00)",
        "45 minutes after the signed pick-up, at the latest 2026-03-02 21:45:00 (UTC 13:45:00)",
        "K-3, CASE 0001",
        "S-41, SEAL 0001",
        "7 media on this manifest",
        "P-3, site manager of NORTH",
        " ".join(["cccccccc"] * 8),
        " ".join(["bbbbbbbb"] * 8),
        "over 1,234 entries",
        f"--genesis {'ab' * 32}",
        "There are no lines for signatures",
    ):
        assert words in text, words
    assert "NOT APPROVED" not in text


def test_a_manifest_that_nobody_approved_cannot_be_taken_for_one_that_may_leave() -> None:
    (text,) = pages(manifest(replace(SHEET, approved=None, transit=None)))
    assert "NOT APPROVED: nothing of this may leave the site." in text
    assert "set by the approval, which has not been given" in text
    (text,) = pages(manifest(replace(SHEET, approved=None, transit=None, withdrawn=True)))
    assert "WITHDRAWN" in text


@pytest.mark.parametrize("origin", ["a", "custody.example/log", "x" * 100])
def test_the_code_on_paper_is_exactly_the_signed_note(origin: str) -> None:
    checkpoint = note(origin, 10**14)
    first = rendered(manifest(replace(SHEET, origin=origin, checkpoint=checkpoint)))[0]
    assert codes(first) == [checkpoint]
    last = rendered(incident(replace(REPORT, proof=replace(REPORT.proof, checkpoint=checkpoint))))[-1]
    assert codes(last) == [checkpoint]


# ------------------------------------------------------------------------------------------ the case file


@pytest.mark.parametrize(
    ("least", "most", "sets", "undescribed", "words"),
    [
        (
            64_000,
            76_000,
            2,
            0,
            "at least 64,000, at most 76,000 (the largest data set, and all of them added up)",
        ),
        (64_000, 64_000, 1, 0, "at least 64,000, at most 64,000"),
        (0, 0, 1, 0, "at least 0, at most 0"),
        (64_000, None, 1, 3, "at least 64,000, at most unknown: 3 media have no data set on record"),
        (64_000, None, 1, 1, "at least 64,000, at most unknown: 1 medium has no data set on record"),
        (None, None, 0, 7, "unknown"),
    ],
)
def test_people_are_a_range_and_unknown_is_never_nought(
    least: int | None, most: int | None, sets: int, undescribed: int, words: str
) -> None:
    report = replace(REPORT, least=least, most=most, data_sets=(SET,) * sets, undescribed=undescribed)
    assert case.people_words(report) == words
    assert f"People concerned {words}" in pages(incident(report))[0]


def test_a_data_set_without_a_number_makes_the_whole_unknown() -> None:
    unknown = replace(SET, code="STAFF", least=None, most=None)
    report = replace(REPORT, least=64_000, most=None, data_sets=(SET, unknown))
    first, *rest = pages(incident(report))
    assert (
        "People concerned at least 64,000, at most unknown: no number is on record for 1 of 2 data sets"
        in first
    )
    assert "STAFF Bankruptcy cases unknown 7 of 7" in " ".join(rest)


def test_the_first_page_answers_what_the_head_asks_at_night() -> None:
    first = pages(incident(REPORT))[0]
    for words in (
        "PRESUMED MISSING: 7 media of C-7, NORTH to SOUTH",
        "Missing since 2026-03-02 20:00:00 (UTC 12:00:00)",
        "Last proven holder P-7 (courier from FLEET), since 2026-03-02 18:00:00",
        "by hand-off 0123456789ab (entry 98) signed by both parties",
        "no escrow record",
        "P-10 Dana Chan: message accepted by the relay",
        "2 s after the alarm's due time",
        "Head NOT TOLD",
        "NONE: nobody owns this incident and nothing is decided",
        "HAS RUN OUT GIRO: 2026-03-02 21:00:00",
        "Runs out next GDPR: 2026-03-05 20:00:00",
    ):
        assert words in first, words
    assert "Timeline" not in first


def test_the_first_page_stays_one_page_however_much_there_is() -> None:
    sets = tuple(replace(SET, code=f"SET-{n}" + "X" * 16, title="破產個案 " * 60) for n in range(40))
    report = replace(
        REPORT,
        data_sets=sets,
        most=10**10,
        undescribed=0,
        flags=("disputed", "not complete", "picked up late", "received before its predecessor came"),
        decisions=(decision(),),
    )
    first, second, *_ = pages(incident(report))
    assert "and 36 more" in first
    assert "what came later is not in here" in first
    assert second.startswith("Case file of incident I-1") or "Timeline, out of the ledger" in second


def test_nobody_is_said_to_hold_what_nobody_signed_for() -> None:
    first = pages(incident(replace(REPORT, holder=None)))[0]
    assert "nobody has signed for a pick-up: the media were last proven to be at NORTH" in first


@pytest.mark.parametrize(
    ("state", "cause", "says", "not_says"),
    [
        ("travelling", "overdue", "Nobody reported this: silence did.", "ARRIVED"),
        ("travelling", "sighted", "PRESUMED MISSING", "Nobody reported this"),
        ("received", "incomplete", "RECEIVED, NOT COMPLETE", "PRESUMED MISSING"),
        ("arrived", "overdue", "ARRIVED LATE", "PRESUMED MISSING"),
    ],
)
def test_the_verdict_is_the_consignments_state(state: str, cause: str, says: str, not_says: str) -> None:
    arrived = NOON + timedelta(hours=1) if state == "arrived" else None
    first = pages(incident(replace(REPORT, state=state, cause=cause, arrived_at=arrived)))[0]
    assert says in first
    assert not_says not in first


def test_what_was_erased_says_so() -> None:
    found = case.Found(189, EVENT, NOON, "ABCD0000EFGH0001", None)
    report = replace(
        REPORT, data_sets=(replace(SET, title=None),), decisions=(decision(reason=None),), found=(found,)
    )
    first, *rest = pages(incident(report))
    assert "CASES (erased)" in first
    assert "Reason erased" in " ".join(rest)
    assert "(UTC 12:00:00)): erased" in " ".join(rest)


def test_a_decision_that_has_lapsed_is_called_so() -> None:
    held = replace(REPORT, decisions=(decision(lapses=REPORT.as_of + timedelta(seconds=1)),))
    assert "lapses 2026-03-02 22:00:01" in pages(incident(held))[0]
    gone = replace(REPORT, decisions=(decision(lapses=REPORT.as_of),))
    assert "LAPSED 2026-03-02 22:00:00" in pages(incident(gone))[0]


def test_who_was_told_is_told_with_its_delay_and_failures_stand_out() -> None:
    single = case.Told(
        alarm="A-1",
        rung="rung 1",
        due=NOON,
        person="P-10",
        channel="email",
        scheduled=NOON,
        accepted=NOON + timedelta(seconds=3),
        slowest=timedelta(seconds=3),
        attempts=2,
        message="<0123456789abcdef0123456789abcdef@custody.example>",
        times_accepted=1,
    )
    refused = replace(single, accepted=None, slowest=None, attempts=14, times_accepted=0)
    fresh = replace(refused, attempts=0)
    repeats = replace(single, rung="rung 4, repeated", times=48, times_accepted=47, attempts=60)
    text = " ".join(pages(incident(replace(REPORT, told=(single, refused, fresh, repeats)))))
    row = "email 0123456789abcdef 2026-03-02 20:00:00 (UTC 12:00:00)"
    assert f"{row} 2026-03-02 20:00:03 (UTC 12:00:03), 2 tries 0:00:03 0:00:03" in text
    assert f"{row} NOT ACCEPTED, 14 tries" in text
    assert "NOT SENT YET" in text
    assert "47 of 48, 60 tries at most 0:00:03" in text


def test_the_last_page_says_how_to_verify_and_what_is_not_proved() -> None:
    last = pages(incident(REPORT))[-1]
    for words in (
        "How to verify this",
        "python -m custody.audit bundle.zip --policy policy --pin pin",
        f"--genesis {'ab' * 32}",
        " ".join(["cdcdcdcd"] * 8),
        "entries 0 to 1,233 of the log custody.example/log",
        "A scan proves that a label was read",
        "A time is the server's word",
        "signed by nobody",
    ):
        assert words in last, words
