"""What remembers a ledger in a second place, and the way back for a book that has forgotten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rounds import go_round, watch
from store.test_book import full_disk
from world import World

from custody.acts import alarms
from custody.errors import NoRoom, Unreadable, Untrusted
from custody.facts import SiteOpened
from custody.ledger.merkle import EMPTY
from custody.ledger.note import Checkpoint, LogKey
from custody.rules.notices import Message
from custody.store import export
from custody.store.nouns import SHELVES
from custody.store.pin import Pin


class Taken:
    """A channel whose relay takes everything."""

    def send(self, message: Message) -> str:
        return f"250 {message.id}"

    def close(self) -> None:
        pass


@pytest.fixture
def old(loose: World, tmp_path: Path) -> Iterator[World]:
    """A backup of the company, restored: `loose` has gone on since."""
    backup = loose.copy(tmp_path / "backup")
    loose.reopen()
    loose.dispatch(2)
    yield backup
    backup.book.engine.dispose()


def test_a_pin_follows_the_book_and_is_never_set_back(loose: World, old: World, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    Pin(path, loose.folder).check(loose.book)
    assert not path.exists(), "looking makes no pin"
    Pin(path, old.folder).keep(old.book)
    Pin(path, loose.folder).keep(loose.book)
    assert path.read_text("utf-8") == loose.book.checkpoint()
    with pytest.raises(Untrusted, match="it is an older copy"):
        Pin(path, old.folder).keep(old.book)
    assert path.read_text("utf-8") == loose.book.checkpoint()
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_a_book_behind_its_pin_is_told_the_way_back(loose: World, old: World, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    Pin(path, loose.folder).keep(loose.book)
    with pytest.raises(Untrusted, match=r"has seen \d+ entries.*custody log restore --from MIRROR"):
        Pin(path, old.folder).check(old.book)


def test_a_book_of_another_history_is_refused_however_long_it_is(
    loose: World, old: World, tmp_path: Path
) -> None:
    path = tmp_path / "pin"
    Pin(path, loose.folder).keep(loose.book)
    old.register(1)
    old.dispatch(1)
    old.dispatch(1)
    assert Checkpoint.of(old.book.checkpoint()).size > Checkpoint.of(loose.book.checkpoint()).size
    with pytest.raises(Untrusted, match="another history than this book"):
        Pin(path, old.folder).check(old.book)


def test_what_is_no_pin_of_this_log_is_refused_and_stays(loose: World, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    stranger = LogKey(loose.book.origin, Ed25519PrivateKey.generate())
    for wrong in (b"frog", b"", stranger.sign(Checkpoint(loose.book.origin, 999, EMPTY)).encode()):
        path.write_bytes(wrong)
        with pytest.raises(Untrusted, match="no checkpoint of this log"):
            Pin(path, loose.folder).check(loose.book)
        with pytest.raises(Unreadable, match="no checkpoint of this log"):
            Pin(path, loose.folder).keep(loose.book)
        assert path.read_bytes() == wrong


@pytest.mark.parametrize(("line_end", "last"), [("\n", ""), ("\n", "\n\n"), ("\r\n", "\r\n"), ("\r\n", "")])
def test_a_note_out_of_a_mail_is_a_pin(loose: World, tmp_path: Path, line_end: str, last: str) -> None:
    note = loose.book.checkpoint().rstrip("\n").replace("\n", line_end) + last
    (tmp_path / "pin").write_bytes(note.encode())
    Pin(tmp_path / "pin", loose.folder).check(loose.book)
    loose.register(1)
    Pin(tmp_path / "pin", loose.folder).keep(loose.book)
    assert (tmp_path / "pin").read_text("utf-8") == loose.book.checkpoint()


def test_a_mirrors_checkpoint_is_not_overwritten_by_a_pin(loose: World, tmp_path: Path) -> None:
    """It would run ahead of the mirror's tiles."""
    export.export_tiles(loose.book, tmp_path)
    with pytest.raises(Untrusted, match="a file of its own"):
        Pin(tmp_path / "checkpoint", loose.folder).check(loose.book)


def test_a_disk_that_is_not_there_unpins_nothing(loose: World, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="Is its disk there"):
        Pin(tmp_path / "unmounted" / "pin", loose.folder).check(loose.book)
    (tmp_path / "folder").mkdir()
    with pytest.raises(Untrusted, match="Is its disk there"):
        Pin(tmp_path / "folder", loose.folder).check(loose.book)


def test_the_monitor_keeps_the_pin_and_goes_on_without_it(loose: World, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "pin"
    monitor = watch(loose.book, Taken(), pin=Pin(path, loose.folder))
    go_round(monitor)
    path.parent.mkdir()
    go_round(monitor)
    assert path.read_text("utf-8") == loose.book.checkpoint()
    loose.register(1)
    path.write_bytes(b"junk that somebody wrote to stop the alarm")
    go_round(monitor)
    export.export_tiles(loose.book, tmp_path / "mirror")
    shutil.copy(tmp_path / "mirror" / "checkpoint", path)
    loose.register(1)
    go_round(monitor)
    assert path.read_text("utf-8") == loose.book.checkpoint()


def test_a_pin_that_is_gone_is_not_begun_anew_from_whatever_book_there_is(
    loose: World, old: World, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    Pin(disk / "pin", old.folder).keep(old.book)
    disk.rename(tmp_path / "unmounted")
    disk.mkdir()
    with pytest.raises(Untrusted, match="is gone, and this book has had one there"):
        Pin(disk / "pin", old.folder).check(old.book)
    with pytest.raises(Unreadable, match="is gone, and this book has had one there"):
        Pin(disk / "pin", old.folder).keep(old.book)
    go_round(watch(old.book, Taken(), pin=Pin(disk / "pin", old.folder)))
    assert list(disk.iterdir()) == []
    Pin(tmp_path / "unmounted" / "pin", old.folder).check(old.book)
    (disk / "pin").write_text(loose.book.checkpoint(), "utf-8")
    with pytest.raises(Untrusted, match="another history than this book"):
        Pin(disk / "pin", old.folder).check(old.book)


NAMED_ANEW = """
import platform, secrets, sys
from datetime import UTC, datetime
from pathlib import Path
platform.node = lambda: "f3a9c1d2e4b5"
from custody.errors import Untrusted
from custody.store.home import open_book
from custody.store.pin import Pin
folder, pin = map(Path, sys.argv[1:])
book = open_book(folder, lambda: datetime.now(UTC), secrets.token_bytes)
try:
    Pin(pin, folder).check(book)
except Untrusted as problem:
    print(problem)
"""


def test_a_machine_that_is_named_anew_is_the_same(loose: World, tmp_path: Path) -> None:
    """As a container is each time that it is made; its volumes, with the book's folder, stay."""
    Pin(tmp_path / "pin", loose.folder).keep(loose.book)
    (tmp_path / "pin").unlink()
    command = [sys.executable, "-c", NAMED_ANEW, str(loose.folder), str(tmp_path / "pin")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is gone, and this book has had one there" in done.stdout


def test_app_servers_may_name_their_pins_alike(loose: World, tmp_path: Path) -> None:
    """Each has a folder of its own for the one book, and a disk of its own."""
    second = tmp_path / "second"
    shutil.copytree(loose.folder, second)
    Pin(tmp_path / "pin", loose.folder).keep(loose.book)
    (tmp_path / "pin").unlink()
    Pin(tmp_path / "pin", second).check(loose.book)
    Pin(tmp_path / "pin", second).keep(loose.book)
    assert (tmp_path / "pin").read_text("utf-8") == loose.book.checkpoint()


def test_a_pin_is_the_same_by_whatever_way_it_is_reached(loose: World, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    (tmp_path / "to-the-pin").symlink_to(disk / "pin")
    ways = [disk / "pin", link / "pin", disk / ".." / "disk" / "pin", tmp_path / "to-the-pin"]
    for begun in ways:
        (disk / "pin").write_text(loose.book.checkpoint(), "utf-8")
        Pin(begun, loose.folder).keep(loose.book)
        (disk / "pin").unlink()
        for way in ways:
            with pytest.raises(Untrusted, match="is gone, and this book has had one there"):
                Pin(way, loose.folder).check(loose.book)
    circle = disk / "pin"
    circle.symlink_to(circle)
    with pytest.raises(Untrusted, match="is gone, and this book has had one there"):
        Pin(circle, loose.folder).check(loose.book)


def test_a_pin_that_is_up_to_date_is_remembered(loose: World, tmp_path: Path) -> None:
    """It was put there by hand, or the monitor was killed between writing and remembering it."""
    (tmp_path / "pin").write_text(loose.book.checkpoint(), "utf-8")
    Pin(tmp_path / "pin", loose.folder).keep(loose.book)
    (tmp_path / "pin").unlink()
    with pytest.raises(Untrusted, match="is gone, and this book has had one there"):
        Pin(tmp_path / "pin", loose.folder).check(loose.book)


def test_what_is_no_file_is_no_pin(loose: World, tmp_path: Path) -> None:
    """Nobody waits for what comes out of a pipe."""
    os.mkfifo(tmp_path / "pin")
    with pytest.raises(Untrusted, match="is no file"):
        Pin(tmp_path / "pin", loose.folder).check(loose.book)
    with pytest.raises(Unreadable, match="is no file"):
        Pin(tmp_path / "pin", loose.folder).keep(loose.book)


def test_a_monitor_whose_book_was_set_back_ends(loose: World, old: World, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    Pin(path, loose.folder).keep(loose.book)
    with pytest.raises(Untrusted, match=r"than this book|it is an older copy"):
        go_round(watch(old.book, Taken(), pin=Pin(path, old.folder)))


# -------------------------------------------------------------------------------------------- the way back


def test_a_restored_backup_comes_to_the_mirrors_root(loose: World, old: World, tmp_path: Path) -> None:
    name = loose.dispatch(1)
    loose.hand(name, "carl", "ben")
    mirror = tmp_path / "mirror"
    _, size = export.export_tiles(loose.book, mirror)
    told: list[tuple[int, int]] = []
    before = Checkpoint.of(old.book.checkpoint()).size
    restored = export.restore(old.book, mirror, lambda done, of: told.append((done, of)))
    assert (restored.entries, restored.size) == (size - before, size)
    assert told[-1] == (size - before, size - before)
    assert old.book.checkpoint() == loose.book.checkpoint(), "the very note: Ed25519 is deterministic"
    assert tables(old) == tables(loose)
    old.at = loose.at
    old.check()
    old.register(1, what="case")
    old.check()
    assert export.restore(loose.book, mirror) == export.Restored(0, size, 0)


@pytest.mark.on("sqlite")
def test_a_disk_that_fills_up_meanwhile_is_told_with_what_came_back(
    loose: World, old: World, tmp_path: Path
) -> None:
    for number in range(20):
        loose.state(*(SiteOpened("P-1", f"S-{number}-{each}", "UTC") for each in range(5)))
    mirror = tmp_path / "mirror"
    _, size = export.export_tiles(loose.book, mirror)
    before = Checkpoint.of(old.book.checkpoint()).size
    with full_disk(old, 6), pytest.raises(NoRoom) as caught:
        export.restore(old.book, mirror)
    back = Checkpoint.of(old.book.checkpoint()).size - before
    assert 0 < back < size - before
    assert f"{back:,} entries came back, {size - before - back:,} are still missing" in str(caught.value)
    assert export.restore(old.book, mirror).entries == size - before - back
    assert old.book.checkpoint() == loose.book.checkpoint()


def tables(world: World) -> dict[str, list[str]]:
    """What is folded from the ledger, table by table."""
    with world.book.world() as nouns:
        return {kind.__name__: sorted(map(repr, nouns.all(kind))) for kind in SHELVES}


def test_texts_that_did_not_come_back_are_counted(loose: World, old: World, tmp_path: Path) -> None:
    (medium,) = loose.register(1)
    alarms.sight(loose.book, medium, "It lies in the canteen.")
    mirror = tmp_path / "mirror"
    export.export_tiles(loose.book, mirror)
    assert export.restore(old.book, mirror).texts == 1


def test_a_mirror_that_is_not_sound_gives_nothing(loose: World, old: World, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    export.export_tiles(loose.book, mirror)
    target = next((mirror / "tile/entries").rglob("*/*"))
    data = bytearray(target.read_bytes())
    data[-40] ^= 1
    target.write_bytes(bytes(data))
    before = old.book.checkpoint()
    with pytest.raises(Unreadable, match="The mirror is not sound, and nothing was taken from it"):
        export.restore(old.book, mirror)
    assert old.book.checkpoint() == before


def test_a_book_that_went_another_way_takes_nothing(loose: World, old: World, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    export.export_tiles(loose.book, mirror)
    old.register(1)
    before = old.book.checkpoint()
    with pytest.raises(Unreadable, match="not an older state of this mirror"):
        export.restore(old.book, mirror)
    assert old.book.checkpoint() == before
    shutil.rmtree(mirror)
    old.dispatch(3)
    with pytest.raises(Unreadable):
        export.restore(old.book, mirror)
