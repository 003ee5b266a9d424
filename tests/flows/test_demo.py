"""The README's first promise: one command, from a tape list to a senior manager's inbox."""

import email
import os
import re
import socket
import subprocess
import sys
from email.policy import default
from pathlib import Path

import pytest

from custody.audit.__main__ import main

ROOT = Path(__file__).parents[2]


def custody(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, "-m", "custody", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The story told once, into a folder."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    run = custody("demo", "--once", "--out", str(folder))
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def test_it_leaves_everything_that_it_promises(told: tuple[Path, str]) -> None:
    folder, _ = told
    for name in ("labels.pdf", "manifest.pdf", "incident.pdf"):
        assert (folder / name).read_bytes().startswith(b"%PDF"), name
    for name in ("bundle.zip", "log/checkpoint", "policy", "genesis.txt", "timeline.txt"):
        assert (folder / name).stat().st_size, name


def test_senior_management_is_told_by_the_clock_within_seconds(told: tuple[Path, str]) -> None:
    folder, said = told
    (seconds,) = re.findall(r"to senior management's mail: ([0-9.]+) seconds", said)
    assert float(seconds) <= 15
    lines = (folder / "timeline.txt").read_text("utf-8").splitlines()
    deadline = next(i for i, line in enumerate(lines) if "deadline of C-1 (7 tapes)" in line)
    senior = next(i for i, line in enumerate(lines) if "rung 1: mail to senior manager" in line)
    assert lines[deadline].startswith("10:30:0")
    assert lines[senior].startswith("10:30:")
    assert deadline < senior
    assert any(line.startswith("10:34") and "acknowledged by senior manager" in line for line in lines)
    assert any(line.startswith("11:00") and "presumed missing" in line for line in lines)


def test_the_mails_are_real_and_say_nothing_that_should_not_be_in_a_mail(told: tuple[Path, str]) -> None:
    folder, _ = told
    mails = [
        email.message_from_bytes(p.read_bytes(), policy=default) for p in (folder / "mail").glob("*.eml")
    ]
    alarms = [m for m in mails if "ALARM" in str(m["Subject"])]
    assert {str(m["To"]) for m in alarms} >= {"dana@demo.invalid", "sam@demo.invalid"}
    for mail in mails:
        assert "ORO00" not in mail.as_string()
        assert "CREDITORS" not in mail.as_string()
    quiet = [m for m in mails if "C-2" in mail_text(m)]
    assert quiet == [], "a consignment that arrives in time is nobody's business"


def mail_text(mail: email.message.EmailMessage) -> str:
    return f"{mail['Subject']}\n{mail.get_content()}"


def test_the_auditor_finds_it_sound_and_a_changed_byte_at_its_entry(
    told: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, said = told
    genesis = (folder / "genesis.txt").read_text("ascii").strip()
    judge = ["--policy", str(folder / "policy"), "--genesis", genesis]
    assert main([str(folder / "bundle.zip"), *judge]) == 0
    assert re.search(r"sound, [0-9]+ entries", capsys.readouterr().out)
    assert main([str(folder / "log"), *judge]) == 0
    (command,) = re.findall(r"-c \"(.*)\"\n", said)
    spoilt = tmp_path / "bundle.zip"
    spoilt.write_bytes((folder / "bundle.zip").read_bytes())
    command = command.replace(str(folder / "bundle.zip"), str(spoilt))
    subprocess.run([sys.executable, "-c", command], check=True)
    assert main([str(spoilt), *judge]) == 1
    assert re.search(r"tampered, entry [0-9]+: ", capsys.readouterr().out)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    run = custody("demo", "--once", "--out", str(tmp_path))
    assert run.returncode == 2
    assert "is no demo" in run.stderr
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_port_in_use_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = custody("demo", "--out", str(tmp_path / "demo"), "--port", port)
    assert run.returncode == 2
    assert f"Port {port}" in run.stderr
    assert not (tmp_path / "demo").exists()
