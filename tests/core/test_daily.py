"""What is owed each day: a checkpoint for the seniors, and what came of comparing the book with itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from world import World

from custody import audit
from custody.acts import daily, people
from custody.errors import Impossible, NotFound
from custody.facts import Difference, Fact, Grant, Pinned, Recipient, SelfAudited
from custody.ledger.note import Checkpoint
from custody.rules import daily as rules
from custody.rules import world as nouns
from custody.rules.alarms import Notice
from custody.rules.daily import Pin, SelfAudit
from custody.rules.notices import Words, words
from custody.rules.people import Organisation, Person

SITE = "https://custody.test"
MORNING = datetime(2026, 3, 4, 6, 0, tzinfo=UTC)


def small_world(now: datetime = MORNING) -> nouns.World:
    """A log whose only person is its head."""
    world = nouns.World()
    world.put(nouns.Log("x", "", "HOME", "", "", "P-1", "", set_up=False, relaxed=(), last=now))
    world.put(Organisation("HOME", None))
    world.put(Person("P-1", "HOME", (Grant("head"),), "", "P-1", 0))
    return world


@pytest.mark.parametrize(
    ("now", "owed"),
    [
        (MORNING, True),
        (MORNING - timedelta(milliseconds=1), False),
        (MORNING.astimezone(timezone(timedelta(hours=8))), True),
        (MORNING.replace(hour=23), True),
    ],
)
def test_a_checkpoint_is_owed_from_its_hour_on(now: datetime, *, owed: bool) -> None:
    assert rules.is_owed(small_world(), now) is owed


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (MORNING, MORNING.replace(hour=2)),
        (MORNING.replace(hour=2), MORNING.replace(hour=2)),
        (MORNING.replace(hour=1, minute=59), MORNING.replace(hour=2) - timedelta(days=1)),
        (MORNING.astimezone(timezone(timedelta(hours=-8))), MORNING.replace(hour=2)),
        (datetime(2026, 3, 1, 1, 0, tzinfo=UTC), datetime(2026, 2, 28, 2, 0, tzinfo=UTC)),
    ],
)
def test_a_comparison_is_owed_since_two_in_the_night(now: datetime, since: datetime) -> None:
    assert rules.night(now) == since


def test_what_was_done_is_not_owed_again_until_the_next_day() -> None:
    world = small_world()
    world.put(Pin("2026-03-04", 2))
    assert not rules.is_owed(world, MORNING.replace(hour=23))
    assert not rules.is_owed(world, MORNING + timedelta(hours=23))
    assert rules.is_owed(world, MORNING + timedelta(days=1))
    assert rules.is_owed(world, MORNING + timedelta(days=9)), "and once, however long nobody looked"


def test_while_nobody_is_a_senior_the_founder_is_told() -> None:
    world = small_world()
    world.put(Person("P-1", "HOME", (Grant("admin"),), "", "P-1", 0))
    assert rules.pin(world, f"2 {ROOT}") == Pinned(f"2 {ROOT}", (Recipient("P-1", "email"),))
    assert [person.id for person in rules.seniors(world)] == ["P-1"]
    world.put(Person("P-2", "HOME", (Grant("senior-manager"),), "", "P-1", 0))
    assert rules.pin(world, f"2 {ROOT}") == Pinned(f"2 {ROOT}", (Recipient("P-2", "email"),))


def test_seniors_are_told_once_each() -> None:
    world = small_world()
    world.put(Person("P-2", "HOME", (Grant("head"), Grant("senior-manager")), "", "P-1", 0))
    told = (Recipient("P-2", "email"), Recipient("P-1", "email"))
    assert rules.self_audit(2, "tables", rules.seniors(world)) == SelfAudited(2, "tables", told)
    assert rules.self_audit(0, None, ()) == SelfAudited(0)


# ------------------------------------------------------------------------------------------- in the ledger

ROOT = "LWcJdboCDsbsYuCPHvBUkmEUg0bXOZnKC4qi4vZfjSw="
TOLD = (Recipient("P-1", "email"),)


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        (Pinned(f"2 {ROOT}", TOLD), "The checkpoint of 2 entries that is told is none of this log."),
        (Pinned(f"1 {ROOT}", TOLD), "The checkpoint of 1 entries that is told is none of this log."),
        (
            Pinned(f"999999 {ROOT}", TOLD),
            "The checkpoint of 999,999 entries that is told is none of this log.",
        ),
        (SelfAudited(1), "Where there are differences, the first of them is in something."),
        (SelfAudited(0, "book"), "Where there are differences, the first of them is in something."),
        (SelfAudited(1, "book", (Recipient("P-99", "email"),)), "There is no person P-99 here."),
    ],
)
def test_what_cannot_be_is_no_entry(shared: World, fact: Fact, why: str) -> None:
    with shared.unmoved(), pytest.raises(Impossible, match=re.escape(why)):
        shared.state(fact)


def test_a_checkpoint_is_told_once_a_day_at_most(box: World) -> None:
    seen = Checkpoint.of(box.book.checkpoint()).seen
    box.state(Pinned(seen, TOLD))
    box.at += timedelta(minutes=1)
    with box.unmoved(), pytest.raises(Impossible, match="2026-03-03 already"):
        box.state(Pinned(seen, TOLD))
    box.at += timedelta(hours=14)
    box.state(Pinned(seen, TOLD))
    assert box.get(Pin, "2026-03-04") == Pin("2026-03-04", int(seen.partition(" ")[0]))


def test_what_was_found_is_recorded_as_often_as_somebody_looked(box: World) -> None:
    """Else a row of that day, which anybody may have put there, would forbid it."""
    for count in (0, 3):
        box.at += timedelta(minutes=1)
        event = box.state(SelfAudited(count, "book" if count else None, TOLD if count else ()))
        assert box.get(SelfAudit, event) == SelfAudit(event, box.at, count, "book" if count else None)


# --------------------------------------------------------------------------------------------- in the mail


def mail(world: World, matter: str, name: str = "dana") -> Words:
    """The last mail of this matter to a person."""
    with world.book.world() as held:
        ours = [n for n in held.all(Notice) if (n.matter, n.person) == (matter, world.ids[name])]
        return words(held, [max(ours, key=lambda n: n.scheduled)], world.at, SITE)


def note_in(body: str) -> str:
    """The lines that an auditor saves in a file."""
    found = re.search(r"^test\.example/log\n[0-9]+\n.+\n\n— .+$", body, re.MULTILINE)
    assert found, body
    return found[0]


def test_the_mail_has_the_checkpoint_before_it_verbatim_and_says_what_it_is_for(box: World) -> None:
    before = box.book.checkpoint()
    assert daily.tell_checkpoint(box.book)
    said = mail(box, "pinned")
    size = Checkpoint.of(before).size
    assert said.subject == f"Checkpoint of 2026-03-03: the log has {size} entries, {size} of them new"
    assert before in f"{said.body}\n"
    assert "`custody audit --pin`" in said.body
    assert note_in(said.body) == before.rstrip()
    box.at += timedelta(days=2)
    now = Checkpoint.of(box.book.checkpoint()).size
    assert daily.tell_checkpoint(box.book)
    assert mail(box, "pinned").subject == (
        f"Checkpoint of 2026-03-05: the log has {now} entries, {now - size} of them new"
    )


def test_the_mail_is_the_same_whenever_it_is_sent(box: World) -> None:
    """The relay was away for two days: what was to be said on the first is said then."""
    daily.tell_checkpoint(box.book)
    said = mail(box, "pinned")
    with box.book.world() as held:
        (notice,) = (n for n in held.all(Notice) if n.matter == "pinned" and n.person == box.ids["dana"])
    box.dispatch(2)
    for _ in range(2):
        box.at += timedelta(days=1)
        daily.tell_checkpoint(box.book)
    with box.book.world() as held:
        assert words(held, [notice], box.at, SITE) == said


def test_what_was_mailed_is_a_pin(box: World) -> None:
    daily.tell_checkpoint(box.book)
    pin = note_in(mail(box, "pinned", "hal").body).encode()
    box.dispatch(1)
    report = box.audit(pins=(pin,))
    assert report.sound
    assert report.pins == [Checkpoint.of(pin + b"\n").size]


def test_another_history_contradicts_what_was_mailed(loose: World, template: World, tmp_path: Path) -> None:
    """The log's owner cuts off what came last, and goes on as if it had not been."""
    loose.register(1)
    daily.tell_checkpoint(loose.book)
    pin = note_in(mail(loose, "pinned").body).encode()
    other = template.copy(tmp_path / "other")
    for _ in range(3):
        other.register(1)
    report = other.audit(pins=(pin,))
    assert not report.sound
    assert (report.failed, "another history" in str(report.why)) == (3, True), audit.text(report)
    other.book.engine.dispose()


def test_a_checkpoint_in_a_list_of_many_matters_is_there_whole(box: World) -> None:
    daily.tell_checkpoint(box.book)
    box.sign("ada", people.roles(box.ids["ivo"], ()))
    with box.book.world() as held:
        hers = [n for n in held.all(Notice) if n.person == box.ids["dana"]]
        said = words(held, hers, box.at, SITE)
    assert "pinned" in {n.matter for n in hers}
    assert said.subject.endswith("other matters")
    with box.book.world() as held:
        note = held.note_at(held.get(Pin, "2026-03-03").size)
    assert note_in(said.body) == str(note).rstrip()


def test_a_checkpoint_that_is_gone_is_not_passed_over() -> None:
    world = small_world()
    world.put(Pin("2026-03-04", 2))
    notice = Notice(f"E-{'ab' * 32}/P-1/email", "ab" * 32, "P-1", "email", MORNING, matter="pinned")
    with pytest.raises(NotFound, match="The checkpoint of 2 entries is gone from the book: run custody fsck"):
        words(world, [notice], MORNING, SITE)


@pytest.mark.parametrize(("count", "said"), [(1, "1 difference"), (1234, "1,234 differences")])
def test_a_book_that_is_not_whole_is_told_by_number_and_kind(count: int, said: str) -> None:
    world = small_world()
    first: Difference = "tables"
    world.put(SelfAudit("ab" * 32, MORNING, count, first))
    notice = Notice(f"E-{'ab' * 32}/P-1/email", "ab" * 32, "P-1", "email", MORNING, matter="self-audited")
    told = words(world, [notice], MORNING, SITE)
    assert told.subject == f"THE BOOK IS NOT WHOLE: {said} from its own ledger"
    assert "found the first in the tables" in told.body
    assert "`custody fsck`" in told.body
    assert told.body.endswith(f"\n\n{SITE}/events/{'ab' * 32}\n")


def test_alarms_that_stand_still_are_told_as_such() -> None:
    """It is no difference that `custody fsck` could name."""
    world = small_world()
    world.put(SelfAudit("ab" * 32, MORNING, 2, "alarms"))
    notice = Notice(f"E-{'ab' * 32}/P-1/email", "ab" * 32, "P-1", "email", MORNING, matter="self-audited")
    told = words(world, [notice], MORNING, SITE)
    assert told.subject == "ALARMS STAND STILL: nobody is told what is due"
    assert "by telephone" in told.body
    assert "fsck" not in told.body
