"""Killed, or failed by the disk: what was acknowledged is there, and no act is there by half."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pytest
from processes import FORK
from store.writer import EACH, STOPPED, names, write
from world import World

from custody.rules.people import Site

WRITERS = 3
TESTS = Path(__file__).parents[1]


def there(world: World, pages: range) -> set[int]:
    """The pages whose events the book has; each has all of them, or none."""
    with world.book.world() as told:
        told.expect(Site, [name for page in pages for name in names(page)])
        found = {page: sum(told.find(Site, name) is not None for name in names(page)) for page in pages}
    assert set(found.values()) <= {0, EACH}, "a page is there by half"
    return {page for page, count in found.items() if count}


# ----------------------------------------------------------------------------------------------- kill -9


def live(folder: str, first: int, pipe: Connection) -> None:
    write(folder, first, 10_000, pipe.send)


def round_of_kills(world: World, dice: random.Random, first: int, most: int) -> set[int]:
    """Writers at work at the same time, each killed once it has acknowledged some; what they acknowledged."""
    lives = {}
    for number in range(WRITERS):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=live, args=(str(world.folder), first + number * 10_000, theirs))
        process.start()
        theirs.close()
        lives[ours] = (process, dice.randint(1, most))
    said: set[int] = set()
    counts = dict.fromkeys(lives, 0)
    waiting = list(lives)
    while waiting:
        for pipe in wait(waiting):
            assert isinstance(pipe, Connection)
            try:
                said.add(pipe.recv())
                counts[pipe] += 1
            except EOFError:
                waiting.remove(pipe)
            if counts[pipe] == lives[pipe][1]:
                lives[pipe][0].kill()
    for process, _ in lives.values():
        process.join()
        assert process.exitcode == -9
    return said


def survive(world: World, dice: random.Random, events: int, most: int) -> None:
    """Until so many events were acknowledged, by writers that are killed after `most` pages at most."""
    said: set[int] = set()
    first = 0
    while len(said) * EACH < events:
        said |= (now := round_of_kills(world, dice, first, most))
        world.reopen()
        for number in range(WRITERS):
            start = first + number * 10_000
            pages = range(start, max([start, *(page for page in now if page < start + 10_000)]) + 100)
            assert now & set(pages) <= there(world, pages), "what was acknowledged is lost"
        first += WRITERS * 10_000
    world.check()


def test_writers_that_are_killed_lose_nothing_that_they_acknowledged(loose: World) -> None:
    survive(loose, random.Random(1), 600, 30)


@pytest.mark.torture
def test_fifty_thousand_acknowledged_events_and_none_lost(loose: World) -> None:
    survive(loose, random.Random(2), 50_000, 300)


# ----------------------------------------------------------------------------------- a disk that fails

FAULTS = [
    *(("pwrite64", "ENOSPC", when) for when in ("2", "40", "150", "90+")),
    *(("pwrite64", "EIO", when) for when in ("20", "70", "150+")),
    *(("fdatasync", "EIO", when) for when in ("1", "2", "9", "7+")),
]
"""System calls that fail: which, how, and at which time; `7+` is each from the seventh on."""


def suffer(world: World, call: str, error: str, when: str, folder: Path) -> None:
    """A writer's life on a disk that fails so; what it acknowledged is there, and the book is whole."""
    if shutil.which("strace") is None:
        sentence = "strace is missing (Debian: strace), which makes a disk fail"
        assert os.environ.get("CI") != "true", sentence
        pytest.skip(sentence)
    done = subprocess.run(
        [
            *("strace", "-f", "--seccomp-bpf", "-qq", "-o", str(folder / "trace")),
            *("-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"),
            *(sys.executable, "-m", "store.writer", str(world.folder), "1", "12"),
        ],
        cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, STOPPED), done.stderr
    assert "INJECTED" in (folder / "trace").read_text()
    said = {int(line) for line in done.stdout.split()}
    world.reopen()
    found = there(world, range(1, 13))
    assert said <= found, "what was acknowledged is lost"
    assert len(found - said) <= 1, "of commits whose end the disk did not tell, one may have come about"
    world.register(1)
    world.check()


@pytest.mark.on("sqlite")
@pytest.mark.parametrize(("call", "error", "when"), FAULTS, ids=str)
def test_a_disk_that_fails_loses_nothing_that_was_acknowledged(
    loose: World, tmp_path: Path, call: str, error: str, when: str
) -> None:
    suffer(loose, call, error, when, tmp_path)


@pytest.mark.on("sqlite")
@pytest.mark.torture
@pytest.mark.parametrize("when", range(1, 190, 5))
@pytest.mark.parametrize("on", ["", "+"], ids=["once", "from then on"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_at_any_write(loose: World, tmp_path: Path, error: str, when: int, on: str) -> None:
    suffer(loose, "pwrite64", error, f"{when}{on}", tmp_path)


@pytest.mark.on("sqlite")
@pytest.mark.torture
@pytest.mark.parametrize("when", range(1, 15))
def test_a_disk_that_fails_at_any_sync(loose: World, tmp_path: Path, when: int) -> None:
    suffer(loose, "fdatasync", "EIO", str(when), tmp_path)
