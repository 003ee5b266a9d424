"""What is read: regular files, up to a length, and in a folder of others' making no link is followed."""

from __future__ import annotations

import ast
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from world import World

from custody import audit, files, mirror
from custody.audit.__main__ import main
from custody.errors import Unreadable
from custody.ledger import bundle
from custody.ledger.bundle import FILES_MOST
from custody.store import export

ROOT = Path(__file__).parents[2]
PACKAGES = ("custody", "web", "scanner_app", "labels")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    """To a file that never ends."""
    path.symlink_to("/dev/zero")


def link_to_a_copy(path: Path) -> None:
    """Nothing but the link is wrong."""
    path.symlink_to(next(above for above in path.parents if above.name == "tiles").with_name("was"))


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def talk(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        here = Path.cwd()
        os.chdir(path.parent)  # such a name has a hundred bytes at most
        try:
            line.bind(path.name)
        finally:
            os.chdir(here)


def sparse(path: Path) -> None:
    """Takes no room, and would take a terabyte of memory."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def folder(path: Path) -> None:
    path.mkdir()


KINDS: tuple[Callable[[Path], None], ...] = (
    pipe,
    link,
    link_to_a_copy,
    dangling,
    circle,
    talk,
    sparse,
    folder,
)


@pytest.fixture
def tiles(loose: World, tmp_path: Path) -> Iterator[Path]:
    loose.register(3)
    target = tmp_path / "tiles"
    export.export_tiles(loose.book, target)
    yield target
    assert Path("/dev/zero").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["checkpoint", "tile/0", "tile/entries"])
def test_a_folder_of_others_making_is_not_followed_anywhere(
    loose: World, tiles: Path, kind: Callable[[Path], None], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, it was waited for, or read until the memory was full."""
    at = tiles / where
    if at.is_dir():
        at = min(path for path in at.rglob("*") if path.is_file())
    at.rename(tiles.with_name("was"))
    kind(at)
    code = main([str(tiles), "--policy", str(loose.folder / "policy")])
    said = "".join(capsys.readouterr())
    assert code in (1, 2), said
    assert "sound, " not in said
    assert at.name in said
    if (where, kind) != ("tile/entries", sparse):  # which is for `check`
        with pytest.raises(Unreadable):
            mirror.state(tiles)
    with pytest.raises(Unreadable):
        mirror.check(tiles, loose.policy())
    with pytest.raises(Unreadable):
        export.restore(loose.book, tiles)


@pytest.mark.parametrize("kind", [pipe, link, dangling, talk])
def test_nor_is_what_lies_there_besides(loose: World, tiles: Path, kind: Callable[[Path], None]) -> None:
    kind(tiles / "tile" / "stray")
    assert audit.verify(tiles, loose.policy()).failed == 2
    with pytest.raises(Unreadable, match="tile/stray is a"):
        mirror.check(tiles, loose.policy())


def test_a_folder_in_it_that_is_a_link_leads_nowhere(loose: World, tiles: Path, tmp_path: Path) -> None:
    """A mirror would else be written to wherever that leads."""
    (tiles / "tile").rename(tmp_path / "elsewhere")
    (tiles / "tile").symlink_to(tmp_path / "elsewhere")
    before = sorted(path.name for path in (tmp_path / "elsewhere").rglob("*"))
    assert audit.verify(tiles, loose.policy()).failed == 2
    loose.register(5)
    with pytest.raises(Unreadable, match="tile is a link"):
        export.export_tiles(loose.book, tiles)
    assert sorted(path.name for path in (tmp_path / "elsewhere").rglob("*")) == before


def test_a_folder_without_an_end_is_left_where_the_longest_log_has_ended(
    loose: World, tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "FILES_MOST", 500)
    for number in range(600):
        (tiles / f"{number}.txt").touch()
    report = audit.verify(tiles, loose.policy())
    assert report.failed == 2
    assert "holds more than 500 files and folders" in report.why
    assert 1.9 * len(bundle.paths(bundle.ENTRIES_MOST)) < FILES_MOST


def test_a_name_in_it_gives_no_orders_to_a_screen(
    loose: World, tiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiles / "a\x1b[2J\nsound, 9 entries\u202e").touch()
    assert main([str(tiles), "--policy", str(loose.folder / "policy")]) == 1
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.split("\n"))
    assert "sound, 9 entries" not in said.split("\n")


@pytest.mark.parametrize("kind", [pipe, talk, sparse, folder, link])
def test_a_file_that_is_named_is_a_file(
    loose: World, tmp_path: Path, kind: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A link of the operator's own is followed, and what it leads to is judged."""
    (good := tmp_path / "bundle.zip").write_bytes(loose.bundle())
    policy = str(loose.folder / "policy")
    kind(odd := tmp_path / "odd")
    for arguments in (
        [str(odd), "--policy", policy],
        [str(good), "--policy", str(odd)],
        [str(good), "--policy", policy, "--pin", str(odd)],
        *([[str(good), "--policy", policy, "--notebook", str(odd)]] if kind is not sparse else []),
    ):
        if arguments[0] == str(odd) and kind is folder:
            continue  # a folder of tiles is what is asked for
        assert main(arguments) == 2, arguments
        said = capsys.readouterr().err
        assert "odd" in said
    (way := tmp_path / "way").symlink_to(good)
    assert main([str(way), "--policy", policy]) == 0


def test_a_device_is_not_opened() -> None:
    """Opening a tape's device may turn the tape."""
    with pytest.raises(Unreadable, match="is a device, and no file"):
        files.read(Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


READS = {"open", "read_bytes", "read_text", "glob", "rglob", "iterdir", "scandir", "listdir", "walk"}
ALLOWED = {
    ("custody/files.py", "open"),
    ("custody/files.py", "iterdir"),  # of a folder of ours, which is to be empty
    ("custody/files.py", "rglob"),  # of the book's own folder
    ("custody/files.py", "scandir"),
    ("custody/facts.py", "read_text"),  # of a statement, and no file
    ("custody/cli/demo.py", "iterdir"),  # whether it is empty
    ("custody/mirror.py", "glob"),  # parts that were left, which are removed and not read
    ("custody/audit/notebook.py", "glob"),  # the program's own source
    ("custody/audit/notebook.py", "read_bytes"),
    ("custody/store/database.py", "open"),  # the lock
    ("web/audit.py", "read_bytes"),  # a temporary file of our own
    ("scanner_app/decode.py", "open"),  # a picture in memory
}


def test_files_are_read_in_one_place() -> None:
    """So that what is true of reading there is true of it everywhere."""
    found = set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case (
                        ast.Call(func=ast.Name(id=name))
                        | ast.Call(func=ast.Attribute(value=ast.Name(id="os" | "io" | "Image"), attr=name))
                    ):
                        reads = name in READS
                    case ast.Call(func=ast.Attribute(attr=name)):
                        reads = name in READS - {"open"}
                    case _:
                        continue
                if reads:
                    found.add((path.relative_to(ROOT).as_posix(), name))
    assert found == ALLOWED
