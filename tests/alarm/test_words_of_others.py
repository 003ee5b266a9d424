"""What comes from outside is clean before it is kept, logged or shown, by whichever way it comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from alarm.sink import Sink
from stub import Stub, http
from world import World

from custody import orders
from custody.acts.publishing import _ask
from custody.channels.email import Email, Relay
from custody.channels.witness import submit
from custody.cli.main import _log_as_json
from custody.errors import Undelivered
from custody.ledger.note import Note, VerifierKey
from custody.rules.notices import Message
from web.limits import subscriber

EVIL = "all is well\x00\x1b[2J\x9b1A\u202e\x07\u2028\x7f"
SPELT = r"all is well\x00\x1b[2J\x9b1A\u202e\x07 \x7f"
MESSAGE = Message("<1@custody.test>", "dana@home.test", "ALARM", "C-7 has not arrived.")


def email(port: int, world: World) -> Email:
    return Email(Relay("127.0.0.1", port, "alarms@test.example", "none", timeout=60), world.clock)


@pytest.mark.parametrize("code", ["250", "250-", "451", "550"])
@pytest.mark.parametrize("when", ["on_rcpt", "on_data"])
def test_what_a_relay_answers(loose: World, code: str, when: str) -> None:
    evil = "all is well\x00\x1b[2J\x07\x7f"  # the sink speaks ASCII
    answer = f"{code}{evil}\r\n250 {evil}" if code.endswith("-") else f"{code} {evil}"
    with Sink() as sink:
        setattr(sink, when, lambda _: answer)
        line = email(sink.port, loose)
        try:
            said = line.send(MESSAGE)
        except Undelivered as problem:
            said = str(problem)
        line.close()
    assert said.isprintable()
    assert r"all is well\x00\x1b[2J\x07\x7f" in said or when == "on_rcpt", said


def test_an_endless_answer_is_kept_in_part(loose: World) -> None:
    with Sink() as sink:
        sink.on_data = lambda _: "\r\n".join(["550-" + "x" * 400] * 100 + ["550 end"])
        with pytest.raises(Undelivered) as told:
            email(sink.port, loose).send(MESSAGE)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("status", ["200 OK", "409 Conflict", "422 No", "500 Oops"])
def test_what_a_witness_answers(loose: World, stub: Callable[..., Stub], status: str) -> None:
    witness = stub(http(status, EVIL.encode() + b"\nsecond line\n"))
    name, key = "w", VerifierKey.read(str(loose.log_key.verifier))
    note = Note.read(loose.book.checkpoint().encode())
    asked = _ask(loose.book, note, (name, key), submit, witness.url)
    assert asked.why
    assert asked.why.isprintable()


def test_a_status_line_that_is_none(stub: Callable[..., Stub]) -> None:
    with pytest.raises(Undelivered) as told:
        submit(stub(EVIL.encode() + b"\r\n\r\n").url, b"")
    assert str(told.value).isprintable()


def test_whatever_is_logged_is_one_line_without_orders_to_a_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        _log_as_json()
        log = structlog.get_logger("any")
        log.warning("it was said", why=EVIL, path="/x" * 20_000)
        log.error("a message broke", exc_info=ValueError(EVIL))
    finally:
        structlog.configure(**before)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        for value in json.loads(line).values():
            assert value.replace("\n", "").isprintable()
            assert len(value) <= 1 << 14
    assert json.loads(lines[0])["why"] == SPELT
    assert SPELT in json.loads(lines[1])["exception"].replace("\n", " ")


def test_an_address_that_a_proxy_wrote_down() -> None:
    assert subscriber("203.0.113.4:5555") == "203.0.113.4"
    assert subscriber(EVIL) == SPELT
    assert len(subscriber("x" * 10_000)) == 64


def test_what_a_finder_writes_keeps_its_lines_and_no_more() -> None:
    order = orders.read(orders.Sight, {"report": f"In the tram.\nSeat 4. {EVIL}"})
    assert order.report == f"In the tram.\nSeat 4. {SPELT}".replace("\\x07 ", "\\x07\n")
    long: dict[str, Any] = {"report": "\x00" * 1999 + "x"}
    assert orders.read(orders.Sight, long).report == r"\x00" * 1999 + "x", "nothing of it is lost"
