"""No secret leaves this machine in the clear: passwords, tokens, and the address that gives signs of life."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.command import custody
from pydantic import ValidationError
from stub import Stub, http

from custody.channels.email import Relay
from custody.channels.heartbeat import Heartbeat
from custody.channels.tiles import fetcher
from custody.errors import Refusal, Undelivered
from custody.settings import Settings
from custody.store.database import at

SECRETS: dict[str, Callable[[str, Path], object]] = {
    "the relay's password": lambda host, _: Relay(host, 25, "a@b.test", "none", "custody", "hunter2"),
    "the relay's user": lambda host, _: Relay(host, 25, "a@b.test", "none", user="custody"),
    "a relay that is encrypted by a name that we do not know": lambda host, _: Relay(
        host, 25, "a@b.test", "ssl", password="hunter2"
    ),
    "a mirror's token": lambda host, _: fetcher(f"http://{host}/log", "hunter2"),
    "the sign of life": lambda host, _: Heartbeat(f"http://{host}/ping/hunter2"),
    "where people sign in": lambda host, _: Settings(base_url=f"http://{host}:8080"),
    "the database's password": lambda host, folder: at(f"postgresql://custody@{host}/custody", folder),
    "the second host's": lambda host, folder: at(f"postgresql://custody@127.0.0.1,{host}/custody", folder),
    "an address beside the host": lambda host, folder: at(
        f"postgresql://custody@localhost/custody?hostaddr={host}", folder
    ),
    "a line that may be in the clear": lambda host, folder: at(
        f"postgresql://custody@{host}/custody?sslmode=prefer", folder
    ),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("host", ["10.0.0.7", "mail.test", "localhost.test"])
def test_a_secret_for_another_machine_wants_an_encrypted_line(
    secret: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    with pytest.raises((Undelivered, Refusal, ValidationError), match="in the clear") as told:
        SECRETS[secret](host, tmp_path)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_within_this_machine_it_may_be_plain(
    secret: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    SECRETS[secret](host, tmp_path)


def test_an_encrypted_line_takes_it_anywhere_and_a_relay_without_a_password_may_be_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Relay("mail.test", 25, "a@b.test", "starttls", "custody", "hunter2")
    Relay("mail.test", 25, "a@b.test", "implicit", "custody", "hunter2")
    Relay("mail.test", 25, "a@b.test", "none")
    Heartbeat("https://switch.test/ping/hunter2?status=up")
    Settings(base_url="https://custody.test")
    at("postgresql://custody@db1,db2/custody?sslmode=verify-full", tmp_path)
    at("postgresql:///custody?host=/run/postgresql", tmp_path)
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    at("postgresql://custody@db1/custody", tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CUSTODY_SMTP_TLS", "none"),
        ("CUSTODY_HEARTBEAT_URL", "http://switch.test/ping/hunter2"),
        ("CUSTODY_BASE_URL", "http://custody.test"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "monitor"])
def test_the_command_says_which_setting_it_is_and_does_not_begin(
    setting: str, value: str, command: str, tmp_path: Path
) -> None:
    custody(
        "init", "--book", str(tmp_path / "book"), "--name", "Ada An", "--address", "a@b.test",
        "--origin", "small.example/log",
    )  # fmt: skip
    relay = {"CUSTODY_SMTP_HOST": "mail.test", "CUSTODY_MAIL_FROM": "a@b.test"}
    relay |= {"CUSTODY_SMTP_USER": "custody", "CUSTODY_SMTP_PASSWORD": "hunter2", setting: value}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    said = custody(command, "--book", str(tmp_path / "book"), code=2, **relay, CUSTODY_LISTEN=listen)
    assert f"{setting}: " in said
    assert "in the clear" in said
    assert "Traceback" not in said
    assert "hunter2" not in said


def test_a_sign_of_life_is_a_post_to_the_whole_address(stub: Callable[..., Stub]) -> None:
    switch = stub(http("200 OK", b"OK"))
    Heartbeat(f"{switch.url}/ping/hunter2?status=up").beat()
    (asked,) = switch.asked
    assert asked.startswith(b"POST /ping/hunter2?status=up HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        http("404 Not Found", b""),
        http("503 hunter2 \x1b[2J", b""),
        http("200 OK", b"x" * (1 << 17)),
        b"HTTP/1.1 \x00\x1b[2J hunter2\r\n\r\n",
        b"",
    ],
)
def test_a_sign_of_life_that_was_not_taken_is_told_without_its_address(
    stub: Callable[..., Stub], answer: bytes
) -> None:
    switch = stub(answer)
    with pytest.raises(Undelivered, match="the outside switch") as told:
        Heartbeat(f"{switch.url}/ping/S3CRET").beat()
    assert "S3CRET" not in str(told.value)
    assert switch.url not in str(told.value)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_switch_cannot_send_the_sign_of_life_elsewhere(stub: Callable[..., Stub], status: str) -> None:
    """An order to go on in the clear would show the address to whoever listens."""
    elsewhere = stub(http("200 OK", b""))
    switch = stub(http(status, b"", f"Location: {elsewhere.url}/ping/hunter2"))
    with pytest.raises(Undelivered, match="sends elsewhere"):
        Heartbeat(f"{switch.url}/ping/hunter2").beat()
    assert elsewhere.asked == []


def test_a_switch_that_drips_holds_nobody_up(stub: Callable[..., Stub]) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        gone = threading.Event()
        while not gone.wait(0.05):
            connection.sendall(b"x")

    with pytest.raises(Undelivered, match="took too long"):
        Heartbeat(f"{stub(drip).url}/ping", timeout=0.5).beat()
