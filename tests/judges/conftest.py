"""What judges are given: a book's export with older checkpoints, as an auditor would have them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from judges.evidence import HERE, Evidence, checkpoint, lacking
from world import World

from custody.facts import SiteOpened

MODULES = Path("/usr/share/gocode")
"""Where Debian's packages put Go's libraries."""
GO = {"GO111MODULE": "off", "GOPATH": str(MODULES), "CGO_ENABLED": "0"}


@pytest.fixture(scope="session")
def evidence(setting_out: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """A real book of more than one tile, with a whole trip and three pins. Copy it; never write to it."""
    folder = tmp_path_factory.mktemp("evidence")
    world = setting_out.copy(folder)
    pins = [checkpoint(world, folder / "pin0")]
    world.state(*(SiteOpened("P-1", f"STOP-{number}", "Asia/Hong_Kong") for number in range(250)))
    pins.append(checkpoint(world, folder / "pin1"))
    receipt = world.hand("C-1", "carl", "ben")
    pins.append(checkpoint(world, folder / "pin2"))
    yield Evidence.export(world, folder / "log", pins, receipt)
    world.check()
    world.book.engine.dispose()


@pytest.fixture(scope="session")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Gives the verdict of the Go program on a folder and pins."""
    if shutil.which("go") is None:
        lacking("golang-go")
    if not (MODULES / "src" / "golang.org" / "x" / "mod" / "sumdb" / "tlog").exists():
        lacking("golang-golang-x-mod-dev")
    program = tmp_path_factory.mktemp("go") / "verify"
    with (tmp_path_factory.getbasetemp().parent / "go.lock").open("w") as lock:
        # Where Go's own library comes as source, one worker compiles it for all.
        fcntl.flock(lock, fcntl.LOCK_EX)
        build = ["go", "build", "-o", str(program), str(HERE / "verify.go")]
        subprocess.run(build, env={**os.environ, **GO}, check=True)

    def run(*arguments: str | Path) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        (verdict,) = done.stdout.splitlines()
        assert done.returncode == {"ok": 0, "FAIL:": 1}[verdict.split()[0]], done
        return verdict

    return run
