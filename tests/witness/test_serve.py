"""`custody witness serve` as it is run: a process, a client of ours, and kill -9."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from core.otherlog import OtherLog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.channels.witness import submit
from custody.cli.witness import witness as command
from custody.errors import Conflict, Undelivered
from custody.ledger.merkle import consistency, nodes
from custody.ledger.note import Checkpoint, LogKey, Note, Policy, WitnessKey
from custody.ledger.witness import AddCheckpoint, cosignatures, cosigned_at, latest_size
from custody.witness import BODY_MOST, Witness

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that anything may take; a machine that is busy takes longer and fails nothing."""
LOG = OtherLog("example.com/log42", most=60)
OURS = LogKey("custody.example/log", Ed25519PrivateKey.generate())


class Service:
    """A witness of LOG and of a log of ours, served; `begin` again after an end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        witness = Witness.create(
            folder, WitnessKey("witness.example/a", Ed25519PrivateKey.generate()), lambda: int(time.time())
        )
        self.vkey = witness.vkey
        witness.add(LOG.vkey)
        witness.add(str(OURS.verifier))
        self.begin()

    def begin(self) -> None:
        while True:  # another process may take the port in between
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            with (self.folder.parent / "said").open("ab") as said:
                self.process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "custody",
                        "witness",
                        "serve",
                        str(self.folder),
                        "--port",
                        str(port),
                    ],
                    env={**os.environ, "PYTHONPATH": str(ROOT), "CUSTODY_THREADS": "4"},
                    stderr=said,
                    start_new_session=True,
                )
            if self._answers(time.monotonic() + PATIENCE):
                return

    def _answers(self, end: float) -> bool:
        while self.process.poll() is None:
            with contextlib.suppress(Undelivered):
                return submit(self.url, b"")[0] == 400
            assert time.monotonic() < end, "it never answered"
            time.sleep(0.05)
        return False

    def kill(self) -> None:
        """Kill -9, master and worker."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def get(self, path: str) -> tuple[int, str, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:  # noqa: S310 - our own
                return answer.status, answer.headers["Cache-Control"], answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.status, refusal.headers["Cache-Control"], refusal.read().decode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("served") / "home")
    yield service
    service.kill()


def test_a_log_of_ours_is_cosigned_and_its_policy_is_content(service: Service) -> None:
    leaves = [hashlib.sha256(b"%d" % n).digest() for n in range(9)]

    def subtree(height: int, number: int) -> bytes:
        return nodes(leaves[number << height : number + 1 << height])[-1][0]

    policy = Policy.read(f"log {OURS.verifier}\nwitness a {service.vkey}\nquorum a\n".encode())
    old = 0
    for size in (4, 8, 8):
        roots = [subtree(2, 0), subtree(3, 0)]
        note = OURS.sign(Checkpoint(OURS.verifier.name, size, roots[size == 8]))
        proof = tuple(consistency(old, size, subtree)) if old else ()
        request = AddCheckpoint(old, proof, Note.read(note.encode()))
        before = int(time.time())
        status, answer = submit(service.url, bytes(request))
        assert status == 200, answer
        found = cosignatures(answer, request.note.text, [key for _, key in policy.witnesses])
        assert policy.open(f"{note}{''.join(map(str, found))}".encode()).witnesses == ("a",)
        assert before <= cosigned_at(found[0]) <= time.time()
        old = size
    name = hashlib.sha256(OURS.verifier.name.encode()).hexdigest()
    status, keeping, text = service.get(f"/{name}/checkpoint")
    assert (status, keeping) == (200, "no-store")
    assert policy.open(text.encode()).checkpoint.size == 8


def test_refusals_travel_with_their_status(service: Service) -> None:
    assert submit(service.url, b"nonsense")[0] == 400
    assert submit(service.url, OtherLog("nobody.example/added").ask(0, 3))[0] == 404
    assert submit(service.url, OtherLog(LOG.origin, key="stolen").ask(0, 3))[0] == 403
    assert submit(service.url, LOG.ask(0, 3, [bytes(32)]))[0] == 422
    status, answer = submit(service.url, LOG.ask(2, 3))
    assert (status, latest_size(answer)) == (409, 0)
    assert submit(service.url, bytes(BODY_MOST + 1))[0] == 413
    assert service.get(f"/{'0' * 64}/checkpoint")[:2] == (404, "no-store")


def test_clients_that_are_slow_on_purpose_do_not_stop_it(service: Service) -> None:
    """More than it has threads send half a request each, and never the rest."""
    host, port = service.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as held:
        for _ in range(3):
            slow = held.enter_context(socket.create_connection((host, int(port))))
            slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 900\r\n\r\nold 0\n")
        assert submit(service.url, b"", timeout=PATIENCE)[0] == 400


def test_killed_in_the_midst_it_never_kept_less_than_it_answered(service: Service) -> None:
    """A log grows as fast as it is cosigned, until kill -9: a checkpoint may be kept and not answered."""
    answered, some = [0], threading.Event()

    def grow() -> None:
        with contextlib.suppress(Undelivered):
            for size in range(1, 55):
                assert submit(service.url, LOG.ask(size - 1, size))[0] == 200
                answered.append(size)
                if size == 12:
                    some.set()

    growing = threading.Thread(target=grow)
    growing.start()
    assert some.wait(PATIENCE)
    service.kill()
    growing.join()
    service.begin()
    status, answer = submit(service.url, LOG.ask(57, 58))
    kept = latest_size(answer)
    assert status == 409
    assert answered[-1] <= kept <= answered[-1] + 1
    assert submit(service.url, OtherLog(LOG.origin, entries="rewritten", most=60).ask(kept, 58))[0] == 422
    assert submit(service.url, LOG.ask(kept, 58))[0] == 200
    assert Checkpoint.of(service.get(f"/{LOG.hash}/checkpoint")[2]).size == 58


def test_its_log_names_nobody(service: Service) -> None:
    """Not even who sends nonsense, which a server's own log might."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as rude:
        rude.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert rude.recv(100).startswith(b"HTTP/1.1 400")
    said = (service.folder.parent / "said").read_text()
    assert "answers on 127.0.0.1" in said
    assert said.count("127.0.0.1") == said.count("answers on 127.0.0.1"), said


def test_one_folder_is_served_once(service: Service) -> None:
    """A witness at work in two places would be made to contradict itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    run = CliRunner().invoke(command, ["serve", str(service.folder), "--port", str(port)])
    assert isinstance(run.exception, Conflict)
    assert "is served already, by another process" in str(run.exception)
    vkey = OtherLog("example.com/added").vkey
    assert "is watched" in CliRunner().invoke(command, ["add", str(service.folder), vkey]).stdout


def test_a_port_that_is_taken_is_a_sentence(service: Service) -> None:
    port = service.url.rpartition(":")[2]
    run = CliRunner().invoke(command, ["serve", str(service.folder), "--port", port])
    assert run.exit_code == 2
    assert f"Port {port} on 127.0.0.1 cannot be had" in run.stderr
