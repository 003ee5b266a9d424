"""The pins install what they name, with the oldest pip and the newest, whatever was published since."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cli.command import ROOT
from packaging.requirements import Requirement

PINS = ("requirements.txt", "requirements-test.txt", ".ci/build.txt")
PIPS = sorted((ROOT / ".venv" / "pips").glob("*/*.whl"))
LATER = "99999"
"""A release that was not there on the day of pinning."""


def pinned(file: str) -> list[Requirement]:
    """What a file of pins names and this machine would install."""
    lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    found = [Requirement(line.split("--hash")[0].strip()) for line in lines if line.strip()]
    return [each for each in found if each.marker is None or each.marker.evaluate()]


def wheel(folder: Path, name: str, version: str) -> str:
    """An empty package that needs what the real one needs; its SHA-256."""
    known = metadata.distribution(name).metadata
    kept = [
        f"{field}: {value}"
        for field in ("Requires-Dist", "Provides-Extra")
        for value in known.get_all(field) or []
    ]
    about = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *kept, ""])
    plain = re.sub(r"[-_.]+", "_", name).lower()
    path = folder / f"{plain}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        inside = f"{plain}-{version}.dist-info"
        out.writestr(f"{inside}/METADATA", about)
        out.writestr(
            f"{inside}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        out.writestr(f"{inside}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Each pinned release, and beside it a later one that nobody has pinned."""
    folder = tmp_path_factory.mktemp("index")
    everything = {pin.name: str(pin.specifier)[2:] for file in PINS for pin in pinned(file)}
    for name in everything:
        wheel(folder, name, LATER)
    return folder, {name: wheel(folder, name, version) for name, version in everything.items()}


def install(pip: Path, index: Path, pins: Path) -> Any:
    """What this pip would install, name by name; its words where it refuses."""
    run = subprocess.run(
        [
            *(sys.executable, str(pip / "pip"), "--isolated", "install", "--dry-run", "--ignore-installed"),
            *("--quiet", "--no-index", "--find-links", str(index), "--require-hashes"),
            *("--report", "-", "--requirement", str(pins)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        return run.stderr
    return {
        each["metadata"]["name"]: each["metadata"]["version"] for each in json.loads(run.stdout)["install"]
    }


def write(folder: Path, lines: list[tuple[str, Requirement]], hashes: dict[str, str]) -> Path:
    path = folder / "pins.txt"
    path.write_text("".join(f"{pin} --hash=sha256:{hashes[each.name]}\n" for pin, each in lines))
    return path


def test_there_are_two_pips() -> None:
    assert [path.parent.name for path in PIPS] == ["newest", "oldest"]


@pytest.mark.parametrize("file", PINS)
@pytest.mark.parametrize("pip", PIPS, ids=lambda path: path.parent.name)
def test_a_later_release_changes_nothing(
    index: tuple[Path, dict[str, str]], pip: Path, file: str, tmp_path: Path
) -> None:
    folder, hashes = index
    pins = pinned(file)
    written = write(tmp_path, [(str(pin), pin) for pin in pins], hashes)
    assert install(pip, folder, written) == {pin.name: str(pin.specifier)[2:] for pin in pins}


def test_without_its_extras_a_pin_is_not_enough(index: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """What was met: it shows that the test above can fail."""
    folder, hashes = index
    pins = [(f"{pin.name}{pin.specifier}", pin) for pin in pinned("requirements-test.txt")]
    oldest = PIPS[-1]
    assert "must have their versions pinned" in install(oldest, folder, write(tmp_path, pins, hashes))
