"""Handing over to a witness that does not behave: it is not followed, and not waited for beyond its time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from stub import Stub, http

from custody.channels.witness import ANSWER_MOST, submit
from custody.errors import Undelivered


@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", b"a line\n"), ("409 Conflict", b"5\n"), ("503 Service Unavailable", b""), ("204 None", b"")],
)
def test_any_answer_is_handed_back_as_it_came(stub: Callable[..., Stub], status: str, body: bytes) -> None:
    witness = stub(http(status, body))
    assert submit(witness.url, b"old 0\n") == (int(status[:3]), body)
    (asked,) = witness.asked
    assert asked.startswith(b"POST /add-checkpoint HTTP/1.1\r\n")
    assert asked.endswith(b"\r\n\r\nold 0\n")


@pytest.mark.parametrize("prefix", ["/w/a", "/w/a/"])
def test_the_address_is_a_prefix(stub: Callable[..., Stub], prefix: str) -> None:
    witness = stub(http("200 OK", b""))
    submit(witness.url + prefix, b"")
    assert witness.asked[0].startswith(b"POST /w/a/add-checkpoint HTTP/1.1\r\n")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(stub: Callable[..., Stub], status: str) -> None:
    elsewhere = stub(http("200 OK", b"a line\n"))
    witness = stub(http(status, b"", f"Location: {elsewhere.url}/add-checkpoint"))
    with pytest.raises(Undelivered, match="sends elsewhere"):
        submit(witness.url, b"")
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "headers", [f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]
)
def test_an_endless_answer_is_cut_off(stub: Callable[..., Stub], headers: str) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(headers.encode())
        while True:
            connection.sendall(bytes(1 << 16))

    with pytest.raises(Undelivered, match=f"more than {ANSWER_MOST} bytes"):
        submit(stub(pour).url, b"", timeout=60)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_byte_now_and_then_puts_nothing_off(stub: Callable[..., Stub], begun: bytes) -> None:
    """It drips for as long as it is listened to: without an end to the whole this test would have none."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(begun)
        gone = threading.Event()
        while not gone.wait(0.05):
            connection.sendall(b"x")

    with pytest.raises(Undelivered, match="took too long") as problem:
        submit(stub(drip).url, b"", timeout=0.5)
    assert problem.value.silent


def test_a_witness_that_hangs_up_or_is_not_there_or_speaks_otherwise(stub: Callable[..., Stub]) -> None:
    ok = b"HTTP/1.1 200 OK\r\n"
    short = ok + b"Content-Length: 9\r\n\r\nshort"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    for answer in (b"", b"SSH-2.0-OpenSSH\r\n", short, chunked + b"-5\r\n", chunked + b"frog\r\n"):
        with pytest.raises(Undelivered, match="no answer from the witness"):
            submit(stub(answer).url, b"")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(Undelivered, match="no answer from the witness") as problem:
        submit(gone, b"")
    assert problem.value.silent


def test_https_is_spoken_where_it_is_asked_for(stub: Callable[..., Stub]) -> None:
    def hang_up(_: socket.socket) -> None:
        pass

    witness = stub(hang_up)
    with pytest.raises(Undelivered, match="no answer from the witness at https"):
        submit(witness.url.replace("http:", "https:"), b"the request", timeout=0.5)
    assert all(b"the request" not in each for each in witness.asked)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "witness.example",
        "ftp://witness.example/",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://w.example:99999/",
        "http://w.example:x/",
        "http://w.example/?token=1",
        "http://w.example/#a",
        "http://w example/",
        "http://w..example/",
        f"http://{'w' * 64}.example/",
        "http://127.0.0.1:1/a b",
        "http://127.0.0.1:1/\u00e4",
    ],
)
def test_what_is_no_address_is_said_so(url: str) -> None:
    with pytest.raises(Undelivered, match="is no http or https address of the witness"):
        submit(url, b"", timeout=1)
