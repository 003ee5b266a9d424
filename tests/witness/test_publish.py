"""Our own log and its witnesses: cosigned when they answer, delayed by none, stopped when set back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from witness.life import asked
from world import World

from custody import audit
from custody.acts.publishing import Asked, publish
from custody.cli.log import _asked
from custody.errors import Undelivered, Unreadable, Untrusted
from custody.ledger.note import Checkpoint, Policy, WitnessKey
from custody.mirror import pull
from custody.store import export, home, witnesses
from custody.store.book import Book
from custody.store.fsck import fsck
from custody.store.queries import view
from custody.witness import Witness


@dataclass
class Town:
    """The company, and two witnesses that know its log. Whoever is `away` answers nothing."""

    world: World
    folder: Path
    witnesses: dict[str, Witness]
    away: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def submit(self, url: str, body: bytes) -> tuple[int, bytes]:
        """As the channel does, without the network in between."""
        name = url.rpartition("/")[2]
        self.calls.append(name)
        if name in self.away:
            raise Undelivered(f"no answer from the witness at {url}: it is away", silent=True)
        status, _, answer = asked(self.witnesses[name], "POST", "/add-checkpoint", body)
        return status, answer

    def publish(self) -> list[Asked]:
        return publish(self.world.book, self.submit)

    def trust(self, quorum: str, of: int = 1) -> None:
        """The policy with both witnesses, and this quorum; `of` so many is the one that is called one."""
        lines = [f"log {self.world.log_key.verifier}"]
        lines += [f"witness {n} {w.vkey} https://town.test/{n}" for n, w in self.witnesses.items()]
        lines += [f"group one {of} a b", f"quorum {quorum}"]
        (self.world.folder / "policy").write_text("\n".join(lines) + "\n", "ascii")
        self.world.reopen()

    @property
    def size(self) -> int:
        return Checkpoint.of(self.world.book.checkpoint()).size


def new_witness(folder: Path, vkey: str) -> Witness:
    witness = Witness.create(
        folder, WitnessKey(f"town.test/{folder.name}", Ed25519PrivateKey.generate()), lambda: 1_800_000_000
    )
    witness.add(vkey)
    return witness


@pytest.fixture
def town(loose: World, tmp_path: Path) -> Iterator[Town]:
    vkey = str(loose.log_key.verifier)
    found = Town(loose, tmp_path, {name: new_witness(tmp_path / name, vkey) for name in ("a", "b")})
    found.trust("one")
    yield found
    found.world.book.engine.dispose()


def answering(status: int, answer: bytes) -> Callable[[str, bytes], tuple[int, bytes]]:
    """A witness that says the same whatever it is asked."""
    return lambda _url, _body: (status, answer)


def held(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def judge(town: Town) -> audit.Report:
    return audit.verify(BytesIO(town.world.bundle()), town.world.policy())


def test_a_cosigned_log_is_proved_to_be_the_only_history(town: Town) -> None:
    report = judge(town)
    assert (report.sound, report.failed) == (False, 1)
    assert "lacks the witnesses that the policy wants" in report.why
    assert town.publish() == [Asked("a", town.size), Asked("b", town.size)]
    report = judge(town)
    assert report.sound
    assert report.witnesses == ("a", "b")
    assert report.vouched == town.size


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("999999999", "'x'"),
        ("(SELECT max(size) FROM checkpoint)", "'x'"),
        ("-1", "'x'"),
        ("(SELECT max(size) FROM checkpoint)", "(SELECT max(line) FROM cosignature WHERE witness = 'a')"),
    ],
)
def test_a_line_that_a_witness_has_not_given_is_named_and_counts_for_nothing(
    town: Town, size: str, line: str
) -> None:
    """It would else never be asked again, and all that is given away would be refused."""
    town.publish()
    assert fsck(town.world.book) == []
    town.world.register(1)
    with town.world.unguarded() as owner:
        values = f"{size}, 'a', {line}, '2026-01-01T00:00:00.000Z'"
        owner.execute(sa.text(f"INSERT INTO cosignature (size, witness, line, at) SELECT {values}"))
    town.world.reopen()
    (found,) = fsck(town.world.book)
    assert found.words.startswith("The line of the witness a under the checkpoint of ")
    with view(town.world.book, town.world.ids["olga"]) as olgas:
        assert set(olgas.waiting_for()) == {"a", "b"}
    assert judge(town).sound
    assert town.publish() == [Asked("a", town.size), Asked("b", town.size)]
    assert judge(town).witnesses == ("a", "b")


def test_two_witnesses_cosign_one_checkpoint_of_a_log_that_grows_meanwhile(town: Town) -> None:
    town.trust("one", 2)

    def busy(url: str, body: bytes) -> tuple[int, bytes]:
        answer = town.submit(url, body)
        town.world.register(1)
        return answer

    for _ in range(2):
        before = town.size
        publish(town.world.book, busy)
        report = judge(town)
        assert (report.why, report.size, report.witnesses) == ("", before, ("a", "b"))


def test_who_has_cosigned_the_newest_is_not_asked_again(town: Town) -> None:
    assert [each.asked for each in town.publish()] == [True, True]
    town.calls.clear()
    again = town.publish()
    assert again == [Asked("a", town.size), Asked("b", town.size)]
    assert [each.asked for each in again] == [False, False]
    assert _asked(again[0]) == f"a had cosigned all {town.size:,} entries before; it was not asked."
    assert town.calls == []
    town.world.register(1)
    town.publish()
    assert town.calls == ["a", "b"]


def test_a_witness_that_is_away_holds_up_nothing_but_what_wants_it(town: Town) -> None:
    town.publish()
    published = town.size
    town.away = {"a", "b"}
    town.world.dispatch(1)
    (first, second) = town.publish()
    assert (first.size, second.size) == (published, published)
    assert "it is away" in first.why
    report = judge(town)
    assert report.sound, "what was published before is published still"
    assert report.size == published
    town.away = {"a"}
    town.publish()
    assert judge(town).witnesses == ("b",), "one of the two is the quorum"
    town.trust("a")
    assert judge(town).size == published
    town.away = set()
    town.publish()
    assert judge(town).size == town.size


def test_no_lock_is_held_while_a_witness_is_awaited(town: Town) -> None:
    """The hand-off is recorded while the witness still thinks."""
    before = town.size

    def slow(url: str, body: bytes) -> tuple[int, bytes]:
        if town.size == before:
            town.world.dispatch(1)
        return town.submit(url, body)

    assert publish(town.world.book, slow)[0] == Asked("a", before)
    assert town.size > before


def test_a_receipt_is_cosigned_as_soon_as_its_witnesses_have_been_asked(town: Town) -> None:
    name = town.world.dispatch(1)
    policy = Policy.read(town.world.policy())

    def receipt() -> Any:
        with view(town.world.book, town.world.ids["carl"]) as carls:
            return carls.receipt(town.world.consignment(name).head or "")

    with pytest.raises(Unreadable, match="lacks the witnesses"):
        receipt().check(policy)
    town.publish()
    assert receipt().check(policy).witnesses == ("a", "b")
    town.world.register(1)
    assert receipt().check(policy).witnesses == ("a", "b"), "an older checkpoint that covers it will do"


def test_a_book_that_forgot_what_was_cosigned_is_asked_for_the_proof_again(town: Town) -> None:
    """The table of cosignatures is no part of the ledger: a restored backup may lack some."""
    backup = town.world.copy(town.folder / "backup")
    town.world.reopen()
    town.publish()
    backup.register(1)
    again = publish(backup.book, town.submit)
    assert [each.why for each in again] == ["", ""]
    backup.book.engine.dispose()


def test_what_is_not_cosigned_yet_is_told_to_whoever_writes_it_down(town: Town) -> None:
    def said_of(folder: str) -> str:
        export.export_tiles(town.world.book, town.folder / folder)
        return witnesses.lacking(town.world.book, (town.folder / folder / "checkpoint").read_bytes())

    assert said_of("mirror").startswith("The checkpoint lacks the witnesses that the policy wants")
    town.publish()
    assert said_of("mirror") == ""
    published = town.size
    town.world.register(1)
    said = said_of("anew")
    assert said.startswith(f"It ends at {published:,} of {town.size:,} entries: what came later")


def test_a_restored_book_has_again_what_its_mirrors_witnesses_said(town: Town) -> None:
    """They may be gone; and without their word it would be published up to an older entry than the mirror."""
    town.publish()
    backup = town.world.copy(town.folder / "backup")
    town.world.reopen()
    town.world.dispatch(1)
    town.publish()
    mirror = town.folder / "mirror"
    export.export_tiles(town.world.book, mirror)
    export.restore(backup.book, mirror)
    report = audit.verify(
        BytesIO(backup.bundle()), backup.policy(), pins=[(mirror / "checkpoint").read_bytes()]
    )
    assert (report.why, report.size, report.witnesses) == ("", town.size, ("a", "b"))
    backup.book.engine.dispose()


@pytest.mark.parametrize("more", [0, 3])
def test_a_book_that_was_set_back_or_written_anew_is_told_by_its_witness(town: Town, more: int) -> None:
    backup = town.world.copy(town.folder / "backup")
    town.world.reopen()
    town.world.dispatch(1)
    town.publish()
    for _ in range(more):
        backup.register(1)
        backup.request(1)
    for each in publish(backup.book, town.submit):
        assert each.why.startswith("it refuses the log of")
        assert "this book was set back or written anew" in each.why
    with backup.book.read() as connection:
        assert witnesses.cosigned(connection, *town.world.book.trust.witnesses[0]) == 0
    backup.book.engine.dispose()


@pytest.mark.parametrize(("status", "answer"), [(422, b"another root\n"), (409, b"999999999\n")])
def test_a_false_witness_keeps_no_other_from_being_asked(town: Town, status: int, answer: bytes) -> None:
    def submit(url: str, body: bytes) -> tuple[int, bytes]:
        return (status, answer) if url.endswith("/a") else town.submit(url, body)

    first, second = publish(town.world.book, submit)
    assert "Either the witness is false, or this book was set back" in first.why
    assert second == Asked("b", town.size)
    assert judge(town).witnesses == ("b",), "a quorum of one"


def test_witnesses_that_never_cosigned_the_same_are_no_quorum(town: Town) -> None:
    town.trust("one", of=2)
    town.publish()
    agreed = town.size
    for away in "ab":
        town.world.register(1)
        town.away = {away}
        town.publish()
    report = judge(town)
    assert (report.sound, report.size, report.witnesses) == (True, agreed, ("a", "b"))


def test_a_witness_has_one_line_under_a_checkpoint_the_newest(town: Town) -> None:
    for line in ("older", "newer"):
        witnesses.keep(town.world.book, town.size, "a", line)
    with town.world.book.read() as connection:
        assert connection.execute(sa.text("SELECT line FROM cosignature")).all() == [("newer",)]


def test_a_witness_in_the_place_of_a_lost_one_is_asked_and_what_that_one_said_is_no_difference(
    town: Town,
) -> None:
    """README: where its folder is lost, make a new one; its new key goes into the policies."""
    town.publish()
    town.witnesses["a"] = new_witness(town.folder / "anew", str(town.world.log_key.verifier))
    town.trust("one", of=2)
    assert fsck(town.world.book) == []
    assert not judge(town).sound
    assert town.publish() == [Asked("a", town.size), Asked("b", town.size, asked=False)]
    assert judge(town).witnesses == ("a", "b")
    assert fsck(town.world.book) == []


def test_a_witness_with_another_key_cosigns_nothing_here(town: Town) -> None:
    town.witnesses["a"] = new_witness(town.folder / "impostor", str(town.world.log_key.verifier))
    first, second = town.publish()
    assert first == Asked("a", 0, "it answered with no cosignature of its key")
    assert second.size == town.size


def test_an_answer_that_is_none_is_told_and_nothing_is_kept(town: Town) -> None:
    for status, answer, why in (
        (200, b"frog\n", "not a signature line"),
        (200, b"", "an empty line and signature lines"),
        (404, b"This witness does not know this log.\n", "it answers 404: This witness does not know"),
        (503, b"busy\n", "it answers 503: busy"),
        (409, b"frog\n", "A size is a decimal number"),
    ):
        said = publish(town.world.book, answering(status, answer))[0]
        assert said.size == 0
        assert why in said.why, said
    with town.world.book.read() as connection:
        assert witnesses.cosigned(connection, *town.world.book.trust.witnesses[0]) == 0


def test_a_mirror_has_the_published_log_with_its_cosignatures(town: Town) -> None:
    town.publish()
    town.away = {"a", "b"}
    published = town.size
    town.world.register(1)
    assert export.export_tiles(town.world.book, town.folder / "mirror") == (0, published)
    assert audit.verify(town.folder / "mirror", town.world.policy()).witnesses == ("a", "b")
    town.away = set()
    town.publish()
    assert export.export_tiles(town.world.book, town.folder / "mirror") == (published, town.size)


def test_a_mirror_is_not_set_back_by_a_witness_that_is_slow(town: Town) -> None:
    """It was written before any quorum, and then an older checkpoint got one."""
    mirror = town.folder / "mirror"
    town.away = {"b"}

    def slow(url: str, body: bytes) -> tuple[int, bytes]:
        if not mirror.exists():
            town.world.register(1)
            export.export_tiles(town.world.book, mirror)
        return town.submit(url, body)

    publish(town.world.book, slow)
    kept = (mirror / "checkpoint").read_bytes()
    assert export.export_tiles(town.world.book, mirror) == (town.size, town.size)
    assert (mirror / "checkpoint").read_bytes() == kept
    town.away = set()
    town.publish()
    export.export_tiles(town.world.book, mirror)
    assert audit.verify(mirror, town.world.policy()).witnesses == ("a", "b")


@contextmanager
def counted(book: Book) -> Iterator[list[str]]:
    """The statements that the database is given meanwhile."""
    given: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        given.append(statement)

    sa.event.listen(book.engine, "before_cursor_execute", count)
    yield given
    sa.event.remove(book.engine, "before_cursor_execute", count)


def test_what_is_published_is_found_at_once_however_long_a_witness_has_been_away(town: Town) -> None:
    town.trust("one", of=2)
    town.publish()
    published = town.size
    town.away = {"b"}
    for _ in range(20):
        town.world.register(1)
        town.publish()
    with counted(town.world.book) as given, town.world.book.read() as connection:
        note = witnesses.published(town.world.book, connection)
    assert Checkpoint.of(note).size == published
    assert len(given) < 10, given
    assert judge(town).witnesses == ("a", "b")


def test_the_house_without_witnesses_asks_nothing_of_them(town: Town) -> None:
    (town.world.folder / "policy").write_text(f"log {town.world.log_key.verifier}\nquorum none\n", "ascii")
    town.world.reopen()
    with view(town.world.book, town.world.ids["dana"]) as danas, counted(town.world.book) as given:
        assert danas.waiting_for() == {}
    assert given == []


def test_the_house_sees_which_witness_waits_and_since_when(town: Town) -> None:
    town.publish()
    with view(town.world.book, town.world.ids["dana"]) as danas:
        assert danas.waiting_for() == {}
    town.away = {"a"}
    since = town.world.at
    town.world.register(1)
    town.publish()
    town.world.wait(minutes=6)
    town.world.register(1)
    town.publish()
    with view(town.world.book, town.world.ids["dana"]) as danas:
        assert danas.waiting_for() == {"a": since}


def test_a_policy_that_cannot_be_read_opens_no_book(town: Town) -> None:
    path = town.world.folder / "policy"
    path.write_text(path.read_text("ascii") + "frog\n", "ascii")
    with pytest.raises(Untrusted, match="Line 6 of the policy"):
        home.open_book(town.world.folder, town.world.clock, bytes)


def test_what_witnesses_said_is_not_lost_to_a_note_that_has_less(town: Town, tmp_path: Path) -> None:
    town.publish()
    policy = town.world.policy()
    export.export_tiles(town.world.book, tmp_path / "files")
    files = held(tmp_path / "files")
    bare = files | {"checkpoint": town.world.book.checkpoint().encode()}
    trust = policy.replace(b"quorum one", b"quorum none")
    for served in (bare, files, bare):
        pull(tmp_path / "mirror", served.__getitem__, trust)
    assert held(tmp_path / "mirror") == files
