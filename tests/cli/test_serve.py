"""`custody serve` as a service: pages, the monitor beside them, slow clients, and the end of both."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from alarm.sink import Sink
from strangers import KINDS, ONE, Strangers

from custody.cli import parts
from custody.cli.listening import check_certificate
from custody.settings import Settings

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that anything may take; a machine that is busy takes longer and fails nothing."""


def until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Service:
    """A book, and `custody serve` over it with four threads."""

    def __init__(self, folder: Path, relay: int) -> None:
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CUSTODY_")},
            "PYTHONPATH": str(ROOT),
            "CUSTODY_BOOK": str(folder / "book"),
            "CUSTODY_THREADS": "4",
            "CUSTODY_SMTP_HOST": "127.0.0.1",
            "CUSTODY_SMTP_PORT": str(relay),
            "CUSTODY_SMTP_TLS": "none",
            "CUSTODY_MAIL_FROM": "alarms@serve.test",
            "CUSTODY_LABEL_HOST": "TAPES.EXAMPLE",
        }
        self.logged = folder / "log"
        self.run("init", "--origin", "serve.test/log", "--name", "Ada", "--address", "ada@serve.test")
        while not self.begins():  # another process may have taken the port in between
            pass

    def begins(self) -> bool:
        self.port = free_port()
        self.environment["CUSTODY_LISTEN"] = f"127.0.0.1:{self.port}"
        with self.logged.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "custody", "serve"],
                cwd=ROOT,
                env=self.environment,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.process.poll() is not None or self.healthy())
        return self.process.poll() is None

    def run(self, *arguments: str, code: int | None = 0, **more: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "custody", *arguments],
            cwd=ROOT,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or run.returncode == code, run.stdout + run.stderr
        return run.stdout + run.stderr

    def healthy(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            line.request("GET", "/healthz")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()

    def child(self, word: str) -> int | None:
        """The process of a part, found as an administrator would: by its command."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words and f"{self.process.pid}".encode() in words:
                return int(folder.name)
        return None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Sink(parts.clock) as sink:
        service = Service(tmp_path_factory.mktemp("serve"), sink.port)
        yield service
        service.process.kill()
        service.process.wait()


PARTS = ["--socket", "monitor", "--nightly"]
"""A word of each part's command: the pages, the monitor, the guard."""
needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found by /proc")


def test_the_doctor_finds_everything_well(service: Service) -> None:
    for part in ("monitor", "guard"):
        until(lambda part=part: f"ok   {part}" in service.run("doctor", code=None))
    said = service.run("doctor")
    assert "BAD" not in said
    assert "127.0.0.1" in said


def test_the_doctor_tries_what_a_message_would(service: Service) -> None:
    """A relay that answers is not yet one that takes mail so: this one offers no encryption."""
    assert "BAD  mail" in service.run("doctor", code=1, CUSTODY_SMTP_TLS="starttls")


def test_settings_that_cannot_be_are_named(service: Service) -> None:
    said = service.run("doctor", code=2, CUSTODY_SMTP_PORT="abc", CUSTODY_SMTP_TLS="maybe")
    assert "CUSTODY_SMTP_PORT: " in said
    assert "CUSTODY_SMTP_TLS: " in said
    assert "Traceback" not in said
    assert "an address and a port" in service.run("serve", code=2, CUSTODY_LISTEN="8080")


def test_a_port_that_is_taken_is_a_sentence(service: Service) -> None:
    said = service.run("serve", code=2)
    assert f"Port {service.port} on 127.0.0.1 cannot be had" in said


def test_a_book_without_its_policy_says_what_a_backup_has(service: Service, tmp_path: Path) -> None:
    service.run(
        "init",
        "--book",
        str(tmp_path / "b"),
        "--origin",
        "x.test/log",
        "--name",
        "A",
        "--address",
        "a@x.test",
    )
    (tmp_path / "b" / "policy").unlink()
    assert "policy is missing" in service.run("export", "--book", str(tmp_path / "b"), "out.zip", code=2)


@needs_proc
@pytest.mark.parametrize("word", PARTS)
def test_a_part_that_was_killed_is_started_again(service: Service, word: str) -> None:
    first = until(lambda: service.child(word))
    os.kill(first, signal.SIGKILL)
    until(lambda: service.child(word) not in (None, first))
    assert service.healthy()


def test_a_part_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """For want of memory, say: here the program is not there at first."""
    program = tmp_path / "part"
    code = (
        "from threading import Event; from custody.cli.serving import Supervisor;"
        f"Supervisor('part', [{str(program)!r}], Event()).run()"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert b"could not be started" in supervisor.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
        (tmp_path / "written").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n", "ascii")
        (tmp_path / "written").chmod(0o700)
        (tmp_path / "written").rename(program)
        until((tmp_path / "started").exists)
    finally:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.communicate()


@needs_proc
@pytest.mark.parametrize("name", KINDS)
def test_two_hundred_strangers_stop_nobody(service: Service, name: str) -> None:
    """As test_server.py has it with TLS and from fifty addresses; and none of it ends the pages."""
    before = until(lambda: service.child("--socket"))
    with Strangers(KINDS[name], service.port, ONE) as strangers:
        for _ in range(3):
            strangers.press()
            assert service.healthy()
    assert service.child("--socket") == before


@needs_proc
def test_when_the_server_ends_its_parts_end(service: Service) -> None:
    until(lambda: all(map(service.child, PARTS)))
    service.process.terminate()
    assert service.process.wait(PATIENCE) == 0
    until(lambda: not any(map(service.child, PARTS)))


@needs_proc
def test_an_orderly_end_of_the_whole_group_is_no_fault(service: Service) -> None:
    """As systemd ends a service: every process is told at once, and each part ends by itself."""
    while not service.begins():
        pass
    until(lambda: all(map(service.child, PARTS)))
    before = len(service.logged.read_bytes())
    os.killpg(service.process.pid, signal.SIGTERM)
    assert service.process.wait(PATIENCE) == 0
    until(lambda: not any(map(service.child, PARTS)))
    assert service.logged.read_bytes()[before:] == b""


@needs_proc
def test_when_the_server_is_killed_its_parts_end(service: Service) -> None:
    while not service.begins():
        pass
    until(lambda: all(map(service.child, PARTS)))
    service.process.kill()
    service.process.wait()
    until(lambda: not any(map(service.child, PARTS)))


@needs_proc
def test_the_guard_ends_with_what_it_last_found(service: Service, tmp_path: Path) -> None:
    """Where it is a service of its own: 0 while the book is whole, and else 1."""
    book = tmp_path / "b"
    service.run("init", "--book", str(book), "--origin", "x.test/log", "--name", "A", "--address", "a@x.test")
    for code in (0, 1):
        guard = subprocess.Popen(
            [sys.executable, "-m", "custody", "fsck", "--nightly", "--book", str(book)],
            cwd=ROOT,
            env=service.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until((book / "verdict").exists)
        guard.terminate()
        assert guard.wait(PATIENCE) == code
        (book / "verdict").unlink()
        with sqlite3.connect(book / "book.db") as owner:
            owner.execute("UPDATE person SET appointed_by = 'P-9'")


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("nowhere.pem", "nowhere.pem", "nowhere.pem cannot be used: No such file"),
        ("garbage", "garbage", "cannot be used: .SSL"),
        ("garbage", None, "go together"),
    ],
)
def test_a_certificate_that_could_encrypt_nothing_is_refused(
    tmp_path: Path, certificate: str, key: str | None, words: str
) -> None:
    (tmp_path / "garbage").write_text("no certificate", "ascii")
    settings = Settings(tls_certificate=tmp_path / certificate, tls_key=tmp_path / key if key else None)
    with pytest.raises(click.UsageError, match=words):
        check_certificate(settings)


def test_a_setting_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_PIN", "")
    assert Settings().pin is None
