"""A relay that drips, or says what no relay should: the attempt ends in time, and its words can be kept.

The relay is a script on a real socket: one answer for each step of a delivery, of any bytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.channels import patience
from custody.channels.email import Email, Relay
from custody.channels.heartbeat import Heartbeat
from custody.channels.patience import RESOLVING_MOST, Patience
from custody.errors import Undelivered
from custody.outside import MOST
from custody.rules.notices import Message

MESSAGE = Message(f"<{'0' * 32}@test.example>", "dana@home.test", "Alarm", "Text\n")
SCRIPT = {
    "greeting": b"220 relay.test\r\n",
    "ehlo": b"250-relay.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    "starttls": b"220 go on\r\n",
    "auth": b"235 you are\r\n",
    "mail": b"250 ok\r\n",
    "rcpt": b"250 ok\r\n",
    "data": b"354 go on\r\n",
    "dot": b"250 taken\r\n",
}
TAKEN = "250 taken"


class Script:
    """A relay that answers each step as it is written in `answers`, and drips at the step `drips`."""

    def __init__(self, drips: str = "", **answers: bytes) -> None:
        self.answers = {**SCRIPT, **answers}
        self._drips = drips
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as said, contextlib.suppress(OSError):
            self._say(line, "greeting")
            while command := said.readline():
                step = command[:4].decode("ascii", "replace").strip().lower().replace("star", "starttls")
                self._say(line, step)
                if step == "data":
                    while said.readline() not in (b".\r\n", b""):
                        pass
                    self._say(line, "dot")
                if step == "starttls":
                    self._drip(line, b"\x16\x03\x03\x40\x00")

    def _say(self, line: socket.socket, step: str) -> None:
        answer = self.answers.get(step, b"250 ok\r\n")
        if step == self._drips:
            self._drip(line, answer[:4].replace(b" ", b"-"))
        line.sendall(answer)

    @staticmethod
    def _drip(line: socket.socket, begun: bytes) -> None:
        """A byte now and then, for as long as it is listened to."""
        line.sendall(begun)
        gone = threading.Event()
        while not gone.wait(0.02):
            line.sendall(b"x")


def send(relay: Script, **more: Any) -> str:
    settings: dict[str, Any] = {"tls": "none", "timeout": 60.0, "answer": 60.0, **more}
    channel = Email(Relay("127.0.0.1", relay.port, "us@test.example", **settings), lambda: datetime.now(UTC))
    try:
        return channel.send(MESSAGE)
    finally:
        channel.close()


# ------------------------------------------------------------------------------ a deadline for all together


@pytest.mark.parametrize("step", ["greeting", "ehlo", "starttls", "tls", "auth", "mail", "rcpt", "data"])
def test_before_the_dot_all_of_it_has_one_deadline(step: str) -> None:
    """It drips for as long as it is listened to: without an end to the whole this test would have none."""
    tls = "starttls" if step in ("starttls", "tls") else "none"
    sign_in = {"user": "us", "password": "secret"} if step == "auth" else {}
    with Script(drips=step) as relay, pytest.raises(Undelivered, match="took too long") as problem:
        send(relay, timeout=0.4, tls=tls, **sign_in)
    assert problem.value.silent, "nothing was sent"


def test_the_hand_shake_of_a_line_that_is_encrypted_from_its_beginning_is_bounded_too() -> None:
    with Script(drips="greeting") as relay, pytest.raises(Undelivered, match=r"took too long|WRONG_VERSION"):
        send(relay, timeout=0.4, tls="implicit")


def test_the_answer_to_the_dot_has_a_longer_one_of_its_own() -> None:
    with Script(drips="dot") as relay, pytest.raises(Undelivered, match="may have arrived") as problem:
        send(relay, answer=0.4)
    assert not problem.value.silent, "the relay is there"
    with Script() as relay:
        assert send(relay) == TAKEN


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_switch_that_drips_holds_the_heartbeat_no_longer(scheme: str) -> None:
    with Script(drips="greeting", greeting=b"\x16\x03\x03\x40\x00") as switch:
        heartbeat = Heartbeat(f"{scheme}://127.0.0.1:{switch.port}/beat?id=1", timeout=0.4)
        with pytest.raises(Undelivered, match="no answer from the outside switch") as problem:
            heartbeat.beat()
    assert "id=1" not in str(problem.value), "it is often a password"


def test_a_name_that_nobody_finds_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver hangs. Those who ask give up in time, and there are never many who hang there."""
    found = threading.Event()
    asked: list[str] = []

    def hang(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        found.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(patience, "_RESOLVING", threading.BoundedSemaphore(RESOLVING_MOST))
    for _ in range(RESOLVING_MOST + 3):
        with pytest.raises(TimeoutError, match=r"in time|already"), Patience(0.02) as waits:
            waits.connect("relay.test", 25)
    assert len(asked) == RESOLVING_MOST
    found.set()


def test_an_address_that_is_silent_does_not_hide_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network without IPv6 does it, which drops what it does not know."""
    with Script() as relay, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue = [socket.create_connection(full.getsockname())]  # its queue is full: no other is answered
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", relay.port))]
        silent = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: silent + here)
        with Patience(1) as waits, contextlib.closing(waits.connect("relay.test", 25)) as wire:
            assert wire.getpeername()[1] == relay.port
        for each in queue:
            each.close()


# -------------------------------------------------------------------------------------- whatever it answers


@pytest.fixture(scope="module")
def parrot() -> Iterator[Script]:
    with Script() as relay:
        yield relay


@given(
    step=st.sampled_from(sorted(set(SCRIPT) - {"starttls", "auth"})),
    code=st.sampled_from([b"", b"2", b"250 ", b"250-", b"354 ", b"451 ", b"550 ", b"550-", b"999 "]),
    words=st.binary(max_size=40) | st.binary(min_size=1, max_size=3).map(lambda each: each * 40_000),
)
@settings(max_examples=100, derandomize=True)
def test_any_answer_is_words_that_can_be_kept(parrot: Script, step: str, code: bytes, words: bytes) -> None:
    """It is accepted, or Undelivered, and what was said is one line that every table and log can hold."""
    parrot.answers = {**SCRIPT, step: code + words + b"\r\n", "gone": b""}
    try:
        said = send(parrot, timeout=0.3, answer=0.3)
    except Undelivered as problem:
        said = str(problem)
    assert said.isprintable()
    assert len(said) <= MOST + 80


@pytest.mark.parametrize(
    ("step", "answer", "permanent"),
    [
        ("rcpt", "550 5.1.1 no such user", True),
        ("rcpt", "550 no such user", True),
        ("rcpt", "551 user not local", True),
        ("rcpt", "553 5.1.10 RESOLVER.ADR.RecipientNotFound", True),
        ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", True),
        ("rcpt", "552 5.2.2 mailbox full", True),
        ("dot", "552 5.2.2 mailbox full", True),
        ("data", "554 no valid recipients", True),
        ("rcpt", "450 4.2.1 greylisted", False),
        ("dot", "451 4.3.0 later", False),
        # of us, of the relay, of what is sent: nothing about the mailbox
        ("rcpt", "554 5.7.1 Relay access denied", False),
        ("rcpt", "550 5.7.60 Client does not have permissions to send as this sender", False),
        ("rcpt", "553 5.1.8 Sender address rejected: Domain not found", False),
        ("rcpt", "550-5.7.23 SPF\r\n550 5.7.23 failed", False),
        ("dot", "554 5.6.0 malformed", False),
        ("dot", "552 5.3.4 message size exceeds fixed limit", False),
        ("mail", "550 5.1.0 sender refused", False),
        ("mail", "501 5.1.7 bad sender", False),
        ("ehlo", "550 go away", False),
        ("greeting", "554 no service for you", False),
        ("auth", "535 5.7.8 wrong password", False),
        ("auth", "550 5.1.1 no such user", False),
    ],
)
def test_permanent_is_what_is_said_of_the_recipient(step: str, answer: str, *, permanent: bool) -> None:
    sign_in = {"user": "us", "password": "secret"} if step == "auth" else {}
    answers = {step: f"{answer}\r\n".encode(), "helo": b"550 no\r\n"}
    with Script(**answers) as relay, pytest.raises(Undelivered) as problem:
        send(relay, **sign_in)
    assert problem.value.permanent == permanent
    assert not problem.value.silent
