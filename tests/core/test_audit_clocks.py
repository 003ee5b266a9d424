"""Whoever owns the server owns the log's time; people's devices and witnesses have clocks of their own."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from insider import Insider
from world import World, new_key

from custody import audit
from custody.acts import signing
from custody.audit.clocks import AHEAD, IDLE, Clocks, cosigned
from custody.audit.report import Report, as_json
from custody.facts import Approved, Packed, Revoked
from custody.ledger import bundle
from custody.ledger.envelope import pae
from custody.ledger.note import WitnessKey
from custody.strict import time_text
from custody.writers.audit import MEANING


def sign(world: World, by: str, made: datetime) -> None:
    """A person packs a case; `made` is what their telephone's clock says. Policy would refuse some of it."""
    site = "NORTH" if by in ("ann", "mona") else "SOUTH"
    (case,), (seal,), media = (world.register(1, site, what) for what in ("case", "seal", "medium"))
    fact = Packed(site, case, seal, media)
    payload = signing.statement(world.book, fact, made=made)
    world.admit(payload, {world.keys[by].public.id: world.keys[by].sign(pae(payload))})


def said(report: Report, kind: str = "clock") -> list[str]:
    assert report.sound, audit.text(report)
    return [finding.words for finding in report.findings() if finding.kind == kind]


def held(world: World) -> tuple[str, datetime]:
    """A trip is lost, and for 30 days the log's time stands, while people go on signing."""
    name = world.dispatch(1)
    real = world.at
    for _ in range(30):
        real += timedelta(days=1)
        sign(world, "ann", real)
        sign(world, "mona", real + timedelta(minutes=5))
    return name, real


def test_a_time_that_is_held_is_one_finding_and_nothing_is_on_time(loose: World) -> None:
    """Then the rungs are recorded as if an hour had passed."""
    first = loose.audit().size
    name, real = held(loose)
    loose.wait(minutes=155)
    report = loose.audit()
    (words,) = said(report)
    assert words.startswith(f"entries {first + 14} to {report.size - 1}, received ")
    assert words.endswith(
        f"the devices of {loose.ids['ann']} and {loose.ids['mona']} say a time up to 30 d 0 h later"
    )
    late = said(report, "late")
    rungs = [each for each in late if f"({name}) rung" in each]
    assert [each.partition("rung ")[2][:3] for each in rungs] == ["0.0", "1.0", "2.0", "3.0", "4.0", "4.1"]
    assert all(f"(by devices' own clocks not before {time_text(real)})" in each for each in rungs)


def test_a_rung_that_is_kept_back_is_named_by_the_devices_word(loose: World) -> None:
    """By the log's own time nothing is due yet."""
    name, real = held(loose)
    (words,) = [each for each in said(loose.audit(), "untold") if name in each]
    assert words.endswith(
        f"the ledger goes on without it (by devices' own clocks not before {time_text(real)})"
    )
    assert "notices were accepted by no relay" in "".join(said(loose.audit(), "unsent"))


def test_a_time_that_is_let_go_ends_the_stretch(loose: World) -> None:
    _, real = held(loose)
    loose.at = real - timedelta(minutes=3)
    loose.register(1)
    report = loose.audit()
    assert len(said(report)) == 1
    assert report.clocks.stretch is None
    assert report.clocks.words == ()
    assert any(f"to {report.size - 3}, received" in words for words in said(report)), "the last held entry"


def test_each_stretch_is_a_finding(loose: World) -> None:
    for _ in range(2):
        real = loose.at + timedelta(hours=1)
        sign(loose, "ann", real)
        sign(loose, "mona", real)
        loose.at = real
        sign(loose, "ann", real)
    assert len(said(loose.audit())) == 2


@pytest.mark.parametrize("who", [["ann"], ["ann", "ann"]])
def test_one_wrong_telephone_is_no_finding(loose: World, who: list[str]) -> None:
    """Though it says the year 2099, and whatever else is signed meanwhile."""
    loose.dispatch(1)
    for name in who:
        sign(loose, name, datetime(2099, 1, 1, tzinfo=UTC))
        sign(loose, "mona", loose.at)
    loose.wait(minutes=95)
    report = loose.audit()
    for kind in ("clock", "late", "untold"):
        assert said(report, kind) == []


def test_two_devices_of_one_person_are_one_clock(loose: World) -> None:
    sign(loose, "ann", loose.at + timedelta(hours=1))
    loose.enrol("ann", "ann", key := new_key())
    assert loose.keys["ann"] is key
    sign(loose, "ann", loose.at + timedelta(hours=2))
    assert said(loose.audit()) == []


@pytest.mark.parametrize(("ahead", "found"), [(AHEAD, 0), (AHEAD + timedelta(milliseconds=1), 1)])
def test_ten_minutes_are_allowed(loose: World, ahead: timedelta, found: int) -> None:
    for name in ("ann", "mona"):
        sign(loose, name, loose.at + ahead)
    assert len(said(loose.audit())) == found


def test_who_says_the_right_time_takes_back_no_others_word(loose: World) -> None:
    """One who helps the server's owner could else end each stretch before it begins."""
    for number in range(3):
        sign(loose, "ann", loose.at + timedelta(hours=1))
        sign(loose, "max", loose.at)
        sign(loose, "mona", loose.at + timedelta(hours=2 + number))
        sign(loose, "max", loose.at)
    (words,) = said(loose.audit())
    assert "up to 1 h 00 min later" in words, "more than that only one of them has said"
    sign(loose, "ann", loose.at)
    assert loose.audit().clocks.stretch is None, "but one's own"


def test_the_clock_of_a_hand_off_is_the_takers(loose: World) -> None:
    """He draws it up; the giver reads it. Two hand-offs to one courier are one clock."""
    for _ in range(2):
        name = loose.request(1)
        loose.approve(name)
        payload = loose.hand_off(name, "ann", "carl", site="NORTH")
        late = time_text(loose.at + timedelta(hours=1)).encode()
        payload = payload.replace(b'"made":"' + time_text(loose.at).encode(), b'"made":"' + late)
        loose.admit(payload, loose.both(payload, "ann", "carl"))
    assert said(loose.audit()) == []
    assert [word.person for word in loose.audit().clocks.words] == [loose.ids["carl"]]
    sign(loose, "ann", loose.at + timedelta(hours=1))
    (words,) = said(loose.audit())
    assert f"devices of {loose.ids['carl']} and {loose.ids['ann']} say" in words


def test_a_revoked_device_has_no_say(loose: World) -> None:
    name = loose.request(1)
    loose.approve(name)
    payload = loose.hand_off(name, "ann", "carl", site="NORTH")
    late = time_text(loose.at + timedelta(hours=1)).encode()
    payload = payload.replace(b'"made":"' + time_text(loose.at).encode(), b'"made":"' + late)
    loose.state(Revoked("P-1", loose.keys["carl"].public.id, "stolen"))
    loose.admit(payload, loose.both(payload, "ann", "carl"))
    assert loose.audit().clocks.words == ()


def test_of_many_people_a_few_are_named(loose: World) -> None:
    for name in ("ann", "mona", "ben", "bea", "max"):
        sign(loose, name, loose.at + timedelta(minutes=25))
    (words,) = said(loose.audit())
    names = [loose.ids[name] for name in ("ann", "mona", "ben")]
    assert f"the devices of {', '.join(names)} and 2 more say a time up to 25 min later" in words


@pytest.mark.parametrize("cut", [2, 31, 60])
def test_an_audit_that_goes_on_finds_the_same(loose: World, tmp_path: Path, cut: int) -> None:
    """What was said before the notebook's end is not forgotten."""
    loose.dispatch(1)
    insider = Insider(loose)
    held(loose)
    whole = Insider(loose)
    kept = tmp_path / "notebook"
    done = len(insider.transactions) + cut
    ahead, whole.transactions = whole.transactions[done:], whole.transactions[:done]
    first = audit.verify(io.BytesIO(whole.bundle()), loose.policy(), notebook=kept)
    assert first.sound
    first.world.close()
    whole.transactions += ahead
    assert whole.bundle() == loose.bundle()
    on = audit.verify(io.BytesIO(loose.bundle()), loose.policy(), notebook=kept)
    fresh = loose.audit()
    assert on.known
    assert said(on) == said(fresh)
    assert said(on, "untold") == said(fresh, "untold")
    assert on.clocks.words == fresh.clocks.words


def test_every_form_of_the_report_knows_it(loose: World) -> None:
    held(loose)
    report = loose.audit()
    assert "\nclock     entries " in audit.text(report)
    assert {each["kind"] for each in as_json(report)["findings"]} <= set(MEANING)
    assert "clock" in {each["kind"] for each in as_json(report)["findings"]}


# ------------------------------------------------------------------------------------------ step by step


@dataclass
class Slow:
    """The same said slowly, from all that was said so far."""

    words: dict[str, int] = field(default_factory=dict)
    stretches: list[tuple[int, int]] = field(default_factory=list)
    within: bool = False

    def step(self, number: int, at: int, told: list[tuple[str, int]]) -> None:
        for person, made in told:
            self.words.pop(person, None)
            if made - at > 10:
                self.words[person] = made
        self.words = {person: made for person, made in self.words.items() if made - at > 10}
        if len(self.words) > 1:
            if self.within:
                self.stretches[-1] = (self.stretches[-1][0] + 1, number)
            else:
                self.stretches.append((1, number))
        self.within = len(self.words) > 1


TOLD = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 15), TOLD), max_size=12))
def test_the_stretches_are_those_of_a_slower_reading(steps: list[tuple[int, list[tuple[str, int]]]]) -> None:
    clocks, slow, at, ended = Clocks(), Slow(), 0, []
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, (later, told) in enumerate(steps):
        at += later
        now = start + timedelta(minutes=at)
        for person, made in told:
            clocks.hear(person, start + timedelta(minutes=at - 15 + made), number, now)
        slow.step(number, at, [(person, at - 15 + made) for person, made in told])
        clocks = Clocks(clocks.words, clocks.stretch)  # as an audit does that goes on
        if words := clocks.settle(number, now):
            ended.append(words)
        second = sorted([0, 0, *slow.words.values()])[-2]
        assert clocks.by(now) == max(now, start + timedelta(minutes=second))
    open_ = [] if clocks.stretch is None else [clocks.stretch.words]
    assert [int(words.split(" ")[3][:-1]) for words in ended + open_] == [last for _, last in slow.stretches]


# ------------------------------------------------------------------------------------------- witnesses


def witnessed(world: World, moment: datetime) -> Report:
    """The ledger, cosigned at this moment by a witness that the policy wants."""
    witness = WitnessKey("witness.example", Ed25519PrivateKey.generate())
    policy = world.policy().decode().replace("quorum none\n", "")
    policy += f"witness W {witness.verifier}\nquorum W\n"
    note = world.book.checkpoint()
    members = dict(bundle.read(io.BytesIO(world.bundle())))
    text = note.partition("\n\n")[0] + "\n"
    members["checkpoint"] = (note + witness.cosign(text, int(moment.timestamp()))).encode()
    out = io.BytesIO()
    bundle.write(out, members.items())
    return audit.verify(io.BytesIO(out.getvalue()), policy.encode())


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (timedelta(), None),
        (timedelta(hours=26), None),
        (timedelta(days=30), "30 d 0 h after its last entry says"),
        (-timedelta(minutes=10), None),
        (-timedelta(minutes=11), "11 min before its last entry says"),
        (-timedelta(days=365), "365 d 0 h before its last entry says"),
    ],
)
def test_a_witness_has_a_clock_of_its_own(loose: World, after: timedelta, words: str | None) -> None:
    loose.register(1)
    found = said(witnessed(loose, loose.at + after))
    assert len(found) == (words is not None)
    for each in found:
        assert each.startswith(f"W cosigned the checkpoint at {loose.at + after:%Y-%m-%d %H:%M:%S} UTC, ")
        assert each.endswith(f"{words} that it was received")


@pytest.mark.parametrize("second", [1, 2**40, 2**63 - 1])
def test_no_second_of_a_witness_is_too_early_or_too_late_to_be_told(second: int) -> None:
    assert cosigned("W", second, datetime(2026, 1, 1, tzinfo=UTC)).startswith("W cosigned the checkpoint at ")
    assert timedelta(days=1) < IDLE


def test_who_was_ahead_is_said_of_whole_transactions_alone(loose: World) -> None:
    """An audit that ends at a bad entry says nothing of the witness's time, which is of the last one."""
    bad = Insider(loose)
    bad.append(bad.speak(Approved("C-99", loose.at, 60, ()), loose.keys["mona"]))
    report = audit.verify(io.BytesIO(bad.bundle()), loose.policy())
    assert not report.sound
    assert [finding for finding in report.findings() if finding.kind == "clock"] == []
