"""The book against itself: whole as it is, and each thing that is changed behind its back is named."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from insider import Insider
from sqlmodel import SQLModel
from world import World, new_key

from custody import audit
from custody.acts import alarms
from custody.facts import SiteOpened
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.merkle import EMPTY, Frontier, leaf_hash, perfect_root
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import WIDTH, Tile, hash_tiles
from custody.rules.people import Person
from custody.store import accounts, outbox, private
from custody.store.fsck import fsck
from custody.store.rows import Wrong


@pytest.fixture(scope="module")
def template(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company that has lived: a trip that arrived, one that rings, a find; a full tile and a bit."""
    world = template.copy(tmp_path_factory.mktemp("lived"))
    name = world.dispatch(2)
    world.hand(name, "carl", "ben")
    alarms.sight(world.book, world.consignment(world.dispatch(1)).media[0], "On a bench.")
    world.wait(minutes=95)
    while Checkpoint.of(world.book.checkpoint()).size < 260:
        world.register(1)
    return world


def change(world: World, statement: str, **given: object) -> None:
    """What the owner of the file, or of the tables, can do."""
    with world.unguarded() as owner:
        done = owner.execute(sa.text(statement), {"zeros": bytes(32), **given})
        assert done.rowcount, statement


def test_a_book_is_whole(loose: World) -> None:
    told: list[tuple[int, int]] = []
    assert fsck(loose.book, lambda done, of: told.append((done, of))) == []
    size = Checkpoint.of(loose.book.checkpoint()).size
    assert told == [(0, size), (0, size), (0, size), (256, size)]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE entry SET data = :zeros WHERE seq = 40", "Entry 40 "),
        ("UPDATE entry SET leaf_hash = :zeros WHERE seq = 41", "Entry 41 is not the one whose hash"),
        ("UPDATE entry SET event_id = 'f' WHERE seq = 42", "Entry 42 stands under another event's id."),
        ("DELETE FROM entry WHERE seq = 43", "Entry 43 is missing: the next one is numbered 44."),
        ("DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)", "The newest checkpoint is of "),
        ("UPDATE tile SET hashes = :zeros WHERE level = 0", "Tile 0 of level 0 is not the one"),
        ("UPDATE tile SET root = :zeros WHERE level = 0", "Tile 0 of level 0 is not the one"),
        ("DELETE FROM tile WHERE level = 0", "Tile 0 of level 0 is not the one"),
        ("INSERT INTO tile VALUES (1, 0, :zeros, :zeros)", "Tile 0 of level 1 is not the one"),
        ("DELETE FROM checkpoint WHERE size = 2", "The checkpoint of 2 entries is missing."),
        (
            "UPDATE outbox SET person = 'P-99' WHERE notice = (SELECT min(notice) FROM outbox)",
            "is addressed to another in the outbox than in the ledger.",
        ),
        (
            "UPDATE outbox SET not_before = '2099-01-01T00:00:00.000Z' WHERE priority = 0",
            "is put off in the outbox for longer than any attempt is.",
        ),
        ("UPDATE checkpoint SET root = :zeros WHERE size = 2", "The checkpoint of 2 entries is not"),
        ("UPDATE checkpoint SET note = 'frog' WHERE size = 2", "The checkpoint of 2 entries is not"),
        (
            "UPDATE checkpoint SET note = (SELECT max(note) FROM checkpoint WHERE size > 9) WHERE size = 2",
            "The checkpoint of 2 entries is not the log's over the entries here.",
        ),
        (
            "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)",
            "The newest checkpoint is of ",
        ),
        ("UPDATE consignment SET state = 'arrived' WHERE id = 'C-2'", "C-2 in the table consignment is not"),
        ("DELETE FROM alarm WHERE id = 'A-2'", "A-2 in the table alarm is not what the ledger says of it."),
        ("UPDATE person SET contact = 'c' WHERE id = 'P-4'", "P-4 in the table person is not"),
        ("UPDATE log SET last = '2020-01-01T00:00:00.000Z'", " in the table log is not"),
        ("DELETE FROM mention WHERE subject = 'C-1'", "The history of C-1 has entry "),
        ("INSERT INTO mention VALUES ('C-2', 3)", "The history of C-2 has entry 3 where it should not"),
        ("INSERT INTO mention VALUES ('C-2', 9999)", "The history of C-2 has entry 9999 where it should not"),
        ("INSERT INTO mention VALUES ('C-2', -1)", "The history of C-2 has entry -1 where it should not"),
        ("INSERT INTO site VALUES ('WEST', 'UTC')", "WEST in the table site is not what the ledger says"),
        ("INSERT INTO checkpoint VALUES (0, :zeros, 'frog')", "The checkpoint of 0 entries is not"),
        ("INSERT INTO checkpoint VALUES (3, :zeros, 'frog')", "The checkpoint of 3 entries is not"),
        ("INSERT INTO checkpoint VALUES (9999, :zeros, 'frog')", "The checkpoint of 9,999 entries is"),
        ("INSERT INTO tile VALUES (0, 1, :zeros, :zeros)", "Tile 1 of level 0 is not the one"),
        ("INSERT INTO tile VALUES (-1, 0, :zeros, :zeros)", "Tile 0 of level -1 is not the one"),
        ("INSERT INTO tile VALUES (100000, 0, :zeros, :zeros)", "Tile 0 of level 100000 is not the one"),
        ("UPDATE person SET number = 99 WHERE id = 'P-4'", "P-4 in the table person is not what the ledger"),
        ("UPDATE alarm SET number = 99 WHERE id = 'A-2'", "A-2 in the table alarm is not what the ledger"),
        ("UPDATE private SET text = 'In a safe.' WHERE text = 'On a bench.'", " was changed: the ledger "),
        ("DELETE FROM outbox WHERE notice = (SELECT min(notice) FROM outbox)", "The notice "),
    ],
)
def test_each_change_behind_its_back_is_named(loose: World, statement: str, named: str) -> None:
    change(loose, statement)
    found = fsck(loose.book)
    assert any(named in each.words for each in found), found


@pytest.mark.parametrize(
    "change_of",
    [
        "priority = 99",
        "priority = -1",
        "priority = 2",
        "attempts = 9",
        "attempts = -1",
        "refused_at = '2026-03-02T09:00:00.000Z'",
        "message = 'all is well'",
        "message = '<0123456789abcdef0123456789abcdef@test.example>'",
    ],
)
def test_a_notice_that_waits_otherwise_than_it_was_put_there_is_named(loose: World, change_of: str) -> None:
    """What is put behind all others is sent after them, and under another's name is taken for another."""
    change(loose, f"UPDATE outbox SET {change_of} WHERE notice = (SELECT min(notice) FROM outbox)")  # noqa: S608
    (found,) = fsck(loose.book)
    assert "a priority, a count of attempts or a message in the outbox that do not follow" in found.words


def test_what_was_taken_up_and_not_sent_is_as_it_must_be(loose: World) -> None:
    for _ in range(2):
        assert outbox.take(loose.book, 9, 9)
        loose.at += timedelta(minutes=1)
    assert fsck(loose.book) == []


@pytest.mark.on("sqlite")  # the other has no bytes among texts
@pytest.mark.parametrize("kind", ["site", "alarm", "medium"])
def test_a_row_whose_name_is_no_text_is_named(loose: World, kind: str) -> None:
    """It would be found under no name, and yet be among all of its kind."""
    number = {"alarm": {"number": "99"}}.get(kind, {})
    with loose.unguarded() as owner:
        columns = [column.name for column in SQLModel.metadata.tables[kind].columns]
        values = [{"id": "cast(id AS BLOB)", **number}.get(name, f'"{name}"') for name in columns]
        owner.execute(sa.text(f"INSERT INTO {kind} SELECT {', '.join(values)} FROM {kind} LIMIT 1"))  # noqa: S608
    (found,) = fsck(loose.book)
    assert f"in the table {kind} is not what the ledger says" in found.words


def sam(world: World) -> Person:
    with world.book.world() as here:
        return here.get(Person, world.ids["sam"])


@pytest.mark.on("sqlite")  # the other looks at what it is given
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE person SET grants = 'frog' WHERE id = 'P-4'", "P-4 in the table person is not"),
        ("UPDATE person SET grants = '{}' WHERE id = 'P-4'", "P-4 in the table person is not"),
        ("UPDATE alarm SET due = 'noon' WHERE id = 'A-2'", "A-2 in the table alarm is not"),
        ("UPDATE alarm SET due = 12 WHERE id = 'A-2'", "A-2 in the table alarm is not"),
        ("UPDATE site SET zone = cast(x'ff41' AS TEXT) WHERE id = 'NORTH'", "NORTH in the table site is not"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_no_other(loose: World, statement: str, named: str) -> None:
    change(loose, statement)
    (found,) = fsck(loose.book)
    assert named in found.words


FIRST = "WHERE notice = (SELECT min(notice) FROM outbox)"
BAD = "CAST(x'ff41' AS TEXT)"
"""Not UTF-8."""


@pytest.mark.on("sqlite")  # the other looks at what it is given
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("INSERT INTO site VALUES ({BAD}, 'UTC')", "A' in the table site is not"),
        ("UPDATE outbox SET not_before = 'noon' {FIRST}", "of the table outbox cannot be read: not_before."),
        ("UPDATE outbox SET lease = 'noon' {FIRST}", "of the table outbox cannot be read: lease."),
        ("UPDATE outbox SET notice = CAST(notice AS BLOB) {FIRST}", "outbox cannot be read: notice."),
        ("UPDATE outbox SET message = {BAD} {FIRST}", "of the table outbox cannot be read: message."),
        ("UPDATE outbox SET attempts = 'x' {FIRST}", "of the table outbox cannot be read: attempts."),
        ("UPDATE private SET text = {BAD}", "of the table private cannot be read: text."),
        ("UPDATE private SET text = x'ff'", "of the table private cannot be read: text."),
        ("UPDATE private SET salt = 'frog'", "of the table private cannot be read: salt."),
        ("UPDATE private SET salt = 9000000000000000", "of the table private cannot be read: salt."),
        ("UPDATE log SET last = 'frog'", "test.example/log in the table log is not"),
        ("UPDATE log SET last = x'ff'", "test.example/log in the table log is not"),
        ("INSERT INTO mention VALUES ({BAD}, 3)", "A' has entry 3 where it should not"),
        ("INSERT INTO mention VALUES (x'41', 3)", "The history of b'A' has entry 3 where it should not"),
        ("INSERT INTO mention VALUES (x'41', 9999)", "The history of b'A' has entry 9999 where it should"),
        ("INSERT INTO mention VALUES ('C-1', 'x')", "The history of C-1 has entry x where it should not"),
        ("INSERT INTO mention VALUES ('C-1', 3.5)", "The history of C-1 has entry 3.5 where it should not"),
        ("UPDATE checkpoint SET note = x'ff' WHERE size = 2", "The row 2 of the table checkpoint cannot"),
        ("UPDATE checkpoint SET note = {BAD} WHERE size = 2", "The row 2 of the table checkpoint cannot"),
        ("UPDATE checkpoint SET root = 'x' WHERE size = 2", "The row 2 of the table checkpoint cannot"),
        ("INSERT INTO checkpoint VALUES (-5, x'00', 'x')", "The checkpoint of -5 entries is not"),
        ("UPDATE entry SET event_id = x'ff' WHERE seq = 40", "Entry 40 stands under another event's id."),
        ("UPDATE entry SET event_id = {BAD} WHERE seq = 40", "Entry 40 stands under another event's id."),
        ("UPDATE entry SET leaf_hash = 'x' WHERE seq = 40", "Entry 40 is not the one whose hash stands"),
        ("INSERT INTO tile VALUES ('x', 0, x'00', x'00')", "Tile 0 of level x is not the one"),
        ("INSERT INTO tile VALUES (0, 'x', x'00', x'00')", "Tile x of level 0 is not the one"),
        ("UPDATE tile SET hashes = 'x'", "Tile 0 of level 0 is not the one"),
        ("UPDATE person SET contact = x'ff' WHERE id = 'P-4'", "P-4 in the table person is not"),
        ("UPDATE person SET grants = :deep WHERE id = 'P-4'", "P-4 in the table person is not"),
        ("UPDATE alarm SET number = x'ff' WHERE id = 'A-2'", "A-2 in the table alarm is not"),
        (
            "INSERT INTO pulse VALUES ('monitor', 'noon')",
            "monitor of the table pulse cannot be read: at",
        ),
        (
            "INSERT INTO account VALUES ('P-4', 'Mona', {BAD}, NULL, 's')",
            "The row P-4 of the table account cannot be read: address.",
        ),
    ],
)
def test_a_spoilt_row_is_named_and_hides_no_other_difference(
    loose: World, statement: str, named: str
) -> None:
    deep = {"deep": "[" * 100_000} if ":deep" in statement else {}
    change(loose, statement.format(BAD=BAD, FIRST=FIRST), **deep)
    assert named in " ".join(each.words for each in fsck(loose.book))
    change(loose, "UPDATE site SET zone = 'Asia/Tokyo' WHERE id = 'NORTH'")
    found = " ".join(each.words for each in fsck(loose.book))
    assert "NORTH in the table site is not what the ledger says of it." in found
    assert named in found
    assert found.encode(), "it can be shown"


@pytest.mark.on("sqlite")
def test_an_entry_that_is_no_bytes_is_named(loose: World) -> None:
    """What the ledger tells cannot be followed any more; what needs no entries is looked at."""
    change(loose, "UPDATE entry SET data = 'frog' WHERE seq = 40")
    change(loose, "UPDATE private SET text = 'In a safe.' WHERE text = 'On a bench.'")
    found = fsck(loose.book)
    assert found[0] == Wrong("entries", "Entry 40 is not the one whose hash stands beside it.")
    assert found[-1].place == "texts"


def test_an_account_whose_address_is_not_the_committed_one_is_named(loose: World) -> None:
    """Links would go there, and with them the account."""
    with loose.book.read() as connection:
        contact = private.read(connection, sam(loose).contact)
    accounts.add(loose.book, sam(loose).id, "Sam So", str(contact).upper())
    assert fsck(loose.book) == []
    change(loose, "UPDATE account SET address = 'sam@elsewhere.test'")
    words = f"The account of {sam(loose).id} has another address than the ledger commits to."
    assert fsck(loose.book) == [Wrong("texts", words)]


def test_an_address_that_is_gone_is_named_while_its_person_has_roles(loose: World) -> None:
    change(loose, "DELETE FROM private WHERE commitment = :contact", contact=sam(loose).contact)
    words = f"The address of {sam(loose).id} is gone or changed: no alert reaches them."
    assert fsck(loose.book) == [Wrong("texts", words)]


def test_an_address_that_was_changed_is_named_by_its_person_too(loose: World) -> None:
    new, contact = "sam@elsewhere.test", sam(loose).contact
    change(loose, "UPDATE private SET text = :new WHERE commitment = :contact", new=new, contact=contact)
    assert [each.words for each in fsck(loose.book)] == [
        f"The address of {sam(loose).id} is gone or changed: no alert reaches them.",
        f"The text under {contact[:12]} was changed: the ledger commits to another one.",
    ]


def test_a_forged_checkpoint_of_the_logs_own_key_is_named(loose: World) -> None:
    """Signed truly, over a tree that is not this one."""
    note = loose.log_key.sign(Checkpoint(loose.book.origin, 2, EMPTY))
    change(loose, "UPDATE checkpoint SET note = :note WHERE size = 2", note=note)
    words = "The checkpoint of 2 entries is not the log's over the entries here."
    assert fsck(loose.book) == [Wrong("checkpoints", words)]


def rewritten(world: World, leaves: list[bytes]) -> None:
    """All that the owner of file and keys can make fit: entries, tiles and a checkpoint over them."""
    tree = Frontier()
    for leaf in map(leaf_hash, leaves):
        tree.add(leaf)
    note = world.log_key.sign(Checkpoint(world.book.origin, tree.size, tree.root()))
    entries = [
        (seq, event_id(Envelope.read(leaf).payload), leaf_hash(leaf), leaf) for seq, leaf in enumerate(leaves)
    ]
    made = [(Tile.read(path), data) for path, data in hash_tiles(map(leaf_hash, leaves))]
    full = [
        (tile.level, tile.number, perfect_root([data[at : at + 32] for at in range(0, len(data), 32)]), data)
        for tile, data in made
        if tile.width == WIDTH
    ]
    kept = {"entry": entries, "tile": full, "checkpoint": [(tree.size, tree.root(), note)]}
    with world.unguarded() as owner:
        for name, rows in kept.items():
            table = SQLModel.metadata.tables[name]
            columns = [column.name for column in table.columns]
            owner.execute(sa.delete(table))
            owner.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


def test_what_breaks_a_step_of_an_audit_is_named(loose: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However well it was made to fit: here, by a key that nobody has enrolled; and also with helpers."""
    insider = Insider(loose)
    insider.append(insider.speak(SiteOpened("P-1", "EAST", "UTC"), new_key()))
    leaves = insider.entries()
    rewritten(loose, leaves)
    why = "This is signed by a key that is not enrolled here."
    found = [Wrong("entries", f"Entry {len(leaves) - 2} breaks step 6 of an audit: {why}")]
    assert fsck(loose.book)[-1:] == found
    monkeypatch.setattr(audit, "HELPED", 1)
    assert fsck(loose.book)[-1:] == found


@pytest.mark.on("sqlite")
def test_looking_changes_nothing(loose: World) -> None:
    before = (loose.folder / "book.db").read_bytes()
    fsck(loose.book)
    assert (loose.folder / "book.db").read_bytes() == before


def test_one_entry_that_is_missing_is_one_sentence(loose: World) -> None:
    change(loose, "DELETE FROM entry WHERE seq = 43")
    assert sum("is missing" in each.words for each in fsck(loose.book)) == 1


def test_each_checkpoint_that_is_missing_is_named(loose: World) -> None:
    newest = Checkpoint.of(loose.book.checkpoint()).size
    with loose.book.read() as connection:
        count = connection.scalar(sa.text("SELECT count(*) FROM checkpoint"))
    change(loose, "DELETE FROM checkpoint WHERE size < :newest", newest=newest)
    found = fsck(loose.book)
    assert len(found) == count - 1
    assert found[0] == Wrong("checkpoints", "The checkpoint of 2 entries is missing.")
