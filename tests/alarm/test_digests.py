"""Power is told to whoever answers for it, and not so often that nobody reads it any more."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from rounds import go_round, watch
from world import World

from custody import orders
from custody.acts import people
from custody.rules.alarms import Notice
from custody.rules.notices import Message
from custody.rules.people import UNCONFIRMED_MOST
from custody.store import digests, outbox
from custody.store.fsck import fsck

ANSWER_FOR_NORTH = ("dana", "sam", "hal", "mona")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Mailboxes:
    """A channel that takes everything at once."""

    def __init__(self) -> None:
        self.letters: list[Message] = []
        self._lock = threading.Lock()

    def send(self, message: Message) -> str:
        with self._lock:
            self.letters.append(message)
        return "250 taken"

    def close(self) -> None:
        pass

    def names(self) -> set[str]:
        return {letter.to.partition("@")[0] for letter in self.letters}

    def of(self, name: str) -> list[Message]:
        return [letter for letter in self.letters if letter.to == f"{name}@home.test"]


class Post:
    """A company, its monitor, and what everybody has in their mailbox since it began."""

    def __init__(self, box: World) -> None:
        self.box, self.mail = box, Mailboxes()
        self.monitor = watch(box.book, self.mail)
        box.at += 2 * HOUR
        self.goes()
        self.mail.letters.clear()

    def goes(self) -> None:
        go_round(self.monitor)
        go_round(self.monitor)

    def wait(self, duration: timedelta, step: timedelta = MINUTE) -> None:
        until = self.box.at + duration
        while self.box.at < until:
            self.box.at = min(self.box.at + step, until)
            self.goes()

    def told(self, name: str, matter: str) -> int:
        """Of how many events a person's mailbox has taken word."""
        with self.box.book.world() as world:
            mine = [n for n in world.all(Notice) if (n.person, n.matter) == (self.box.ids[name], matter)]
            return sum(n.accepted_at is not None for n in mine)


@pytest.fixture
def post(box: World) -> Post:
    return Post(box)


def invite(box: World, number: int, role: str = "site-manager", site: str | None = "NORTH") -> None:
    grants = (orders.Grant.model_validate({"role": role, "site": site}),)
    name = f"decoy{number}"
    order = orders.Invite(name=name, address=f"{name}@home.test", organisation="HOME", grants=grants)
    fact = people.invitation(box.book, order)
    box.sign("ada", fact)
    box.ids[name] = fact.person


def subjects(letters: list[Message]) -> list[str]:
    return [letter.subject for letter in letters]


def test_four_hundred_decoys_cannot_come_without_the_seniors_mail(post: Post) -> None:
    """In fifteen seconds, as it was done: once they filled an audience, and no alarm climbed any more."""
    before = {name: post.told(name, "appointed") for name in ANSWER_FOR_NORTH}
    for number in range(400):
        post.box.at += timedelta(milliseconds=37)
        invite(post.box, number)
        if number % 25 == 0:
            go_round(post.monitor)
    post.goes()
    for name in ANSWER_FOR_NORTH:
        first = post.mail.of(name)
        assert "A person was given power" in first[0].subject
        assert len(first) <= 2, "what came before the first was taken may follow it"
    assert [w.words for w in fsck(post.box.book)] == [], "a digest that is held is nothing odd"
    assert not [f for f in post.box.audit().findings() if f.kind == "unsent"]
    post.wait(HOUR, 5 * MINUTE)
    for name in ANSWER_FOR_NORTH:
        assert post.told(name, "appointed") == before[name] + 400
        assert len(post.mail.of(name)) <= 2 + 400 // outbox.LISTED_MOST
    assert post.mail.of("max") == []
    assert len(post.mail.names()) <= len(ANSWER_FOR_NORTH) + UNCONFIRMED_MOST, (
        "decoys are not told of each other"
    )


def test_one_a_minute_is_a_digest_each_hour(post: Post) -> None:
    for number in range(150):
        invite(post.box, number, "courier", None)
        post.wait(MINUTE)
    post.wait(HOUR)
    mail = post.mail.of("dana")
    assert subjects(mail) == [
        "A person was invited",
        "59 times: A person was invited",
        "60 times: A person was invited",
        "30 times: A person was invited",
    ]
    assert len(re.findall("https://custody.test/events/", mail[1].body)) == 59
    assert mail[1].body.count("See who takes part from now on") == 1
    assert post.mail.of("mona") == [], "a courier is of no site"


def test_after_a_quiet_hour_the_next_is_told_at_once(post: Post) -> None:
    invite(post.box, 1)
    post.goes()
    post.wait(HOUR)
    invite(post.box, 2)
    post.goes()
    assert len(post.mail.of("dana")) == 2


def test_a_digest_begins_with_what_matters_most(post: Post) -> None:
    invite(post.box, 0, "courier", None)
    post.goes()
    for number in (1, 2, 3):
        invite(post.box, number, "courier", None)
    invite(post.box, 4, "senior-manager", None)
    post.box.sign("ada", people.roles(post.box.ids["decoy1"], (orders.Grant(role="auditor"),)))
    post.box.enrol("ann", "mona")
    post.wait(HOUR)
    (_, digest) = post.mail.of("dana")
    assert digest.subject == ("A device was confirmed that can receive media, and 3 other matters")
    lines = [
        line
        for line in digest.body.splitlines()
        if line
        in (
            "A device was confirmed that can receive media",
            "A person was given power: a manager's role, an administrator's, or another that alarms reach",
            "3 times: A person was invited",
            "The roles of a person were changed",
        )
    ]
    assert len(lines) == 4


def test_nobodys_name_or_address_is_in_a_digest(post: Post) -> None:
    for number in range(3):
        invite(post.box, number)
    post.wait(HOUR)
    for letter in post.mail.letters:
        assert "decoy" not in f"{letter.subject}{letter.body}"


def test_the_managers_of_the_site_from_which_a_role_is_taken_are_told(post: Post) -> None:
    here = (orders.Grant(role="site-operator", site="NORTH"),)
    post.box.sign("ada", people.roles(post.box.ids["ben"], here))
    post.goes()
    assert post.mail.names() == {"ben", "dana", "sam", "hal", "mona", "max"}


def test_a_keeper_of_every_site_is_told_to_every_sites_manager(post: Post) -> None:
    invite(post.box, 1, "site-operator", None)
    post.goes()
    assert post.mail.names() == {"dana", "sam", "hal", "mona", "max"}


def test_no_alarm_waits_for_a_digest(post: Post) -> None:
    invite(post.box, 1)
    post.goes()
    invite(post.box, 2)
    name = post.box.dispatch(1)
    post.wait(timedelta(minutes=60, seconds=1), 10 * MINUTE)
    alerts = [letter for letter in post.mail.of("dana") if letter.subject.startswith("ALARM")]
    assert [name in letter.subject for letter in alerts] == [True]


def test_a_digest_that_a_wrong_clock_has_put_off_for_years_is_told_at_once(post: Post) -> None:
    wrong = post.box.at + timedelta(days=4000)
    right, post.box.at = post.box.at, wrong
    with post.box.book.writing() as connection:
        assert digests.held(connection, some(post), wrong) == {}
        held = digests.held(connection, some(post), wrong)
        assert set(held.values()) == {wrong + HOUR}
        assert digests.held(connection, some(post), right) == {}
        assert set(digests.held(connection, some(post), right).values()) == {right + HOUR}
    post.box.at = right


def some(post: Post) -> list[Notice]:
    dana = post.box.ids["dana"]
    return [Notice(f"E-{'0' * 64}/{dana}/email", "0" * 64, dana, "email", post.box.at, "invited")]
