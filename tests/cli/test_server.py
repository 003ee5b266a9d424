"""The HTTP server on real sockets, with TLS and without: what it passes on, keeps, refuses; who stops it."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alarm.sink import Authority
from strangers import FIFTY, KINDS, LARGE, ONE, Strangers

from custody.cli.listening import listen

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
LARGEST = 100_000
"""Bytes of a request that this server keeps."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="the loopback has one address")


class Served:
    """`served.py` at work, behind a socket that listens from the first moment."""

    def __init__(self, folder: Path | None = None) -> None:
        listening = listen("127.0.0.1", 0, encrypted=False)
        self.port = int(listening.getsockname()[1])
        self.tls: ssl.SSLContext | None = None
        more = []
        if folder is not None:
            authority = Authority(folder)
            authority.context("localhost")
            self.pem = folder / "localhost.pem"
            self.pem.write_bytes(self.pem.read_bytes() + authority.file.read_bytes())
            self.tls = ssl.create_default_context(cafile=str(authority.file))
            more = [str(self.pem)]
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/cli/served.py", str(listening.fileno()), str(LARGEST), *more],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        listening.close()

    def line(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        where: dict[str, Any] = {"port": self.port, "timeout": PATIENCE, "source_address": (source, 0)}
        if self.tls:
            return http.client.HTTPSConnection("localhost", **where, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", **where)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[Any, bytes]:
        line = self.line()
        try:
            line.request(method, path, body, {name.replace("_", "-"): v for name, v in headers.items()})
            answer = line.getresponse()
            return answer, answer.read()
        finally:
            line.close()

    def raw(self, request: bytes) -> bytes:
        """All that comes back on a line, until the server ends it."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain:
            line = self.tls.wrap_socket(plain, server_hostname="localhost") if self.tls else plain
            line.sendall(request)
            parts = list(iter(lambda: line.recv(65536), b""))
            line.close()
        return b"".join(parts)

    def close(self) -> str:
        """Ends it, and gives what it logged."""
        self.process.kill()
        return self.process.communicate()[1]


@pytest.fixture(scope="module", params=["plain", "tls"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("tls") if request.param == "tls" else None)
    yield served
    assert served.close() == ""  # whatever strangers did, none of it is logged as a fault of the server


def told(answer: bytes) -> Any:
    return json.loads(answer)


def test_the_application_is_told_what_was_asked(served: Served) -> None:
    answer, body = served.ask("/echo?a=%2F&b", "POST", b"name=value", X_Forwarded_For="192.0.2.7")
    assert answer.status == 200
    assert answer.getheader("Server") is None
    assert answer.getheader("Transfer-Encoding") == "chunked"
    environ = told(body)
    assert environ["body"] == "name=value"
    assert environ["CONTENT_LENGTH"] == "10"
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["QUERY_STRING"] == "a=%2F&b"
    assert environ["wsgi.url_scheme"] == ("https" if served.tls else "http")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.7"
    assert environ["wsgi.multithread"] is True


def test_a_server_searches_seldom_for_garbage(served: Served) -> None:
    """Every request waits while Python searches, the longer the more a book has in memory."""
    assert told(served.ask("/echo")[1])["seldom"] > 10_000


def test_nobody_speaks_in_a_proxys_name_by_an_underscore(served: Served) -> None:
    """WSGI has one name for both; a proxy replaces only the one with the hyphen."""
    head = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX_Forwarded_For: 192.0.2.66\r\n"
    assert b"192.0.2.66" not in served.raw(head + b"\r\n")
    assert b"192.0.2.7" in served.raw(head + b"X-Forwarded-For: 192.0.2.7\r\n\r\n")


def test_a_body_in_chunks_arrives_with_its_length(served: Served) -> None:
    environ = told(served.ask("/echo", "POST", iter([b"some", b"thing"]))[1])
    assert environ["body"] == "something"
    assert environ["CONTENT_LENGTH"] == "9"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_a_body_that_is_too_large_is_told_and_not_kept(served: Served) -> None:
    whole = b"x" * (3 * LARGEST)
    for body in (whole, iter([whole])):  # with its length, and in chunks
        environ = told(served.ask("/echo", "POST", body)[1])
        assert len(environ["body"]) == LARGEST
        assert environ["CONTENT_LENGTH"] == str(3 * LARGEST)


def test_a_large_answer_arrives_whole(served: Served) -> None:
    first, second = (served.ask(LARGE.decode()) for _ in range(2))
    assert len(first[1]) == 1_000_000
    assert first[1] == second[1]


def test_head_has_no_body_and_http_1_0_and_pipelines_are_answered(served: Served) -> None:
    answer, body = served.ask(LARGE.decode(), "HEAD")
    assert (answer.getheader("Content-Length"), body) == ("1000000", b"")
    assert served.raw(b"GET / HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nok")
    many = served.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5 + b"GET / HTTP/1.0\r\n\r\n")
    assert many.count(b"HTTP/1.1 200") + many.count(b"HTTP/1.0 200") == 6


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nContent-Length: 5\r\n\r\n",
    ],
)
def test_what_two_servers_might_read_differently_is_refused(served: Served, nonsense: bytes) -> None:
    try:
        answer = served.raw(nonsense)
    except ConnectionError:  # it did not read all of it, and said so by a reset
        answer = b""
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""


@linux
@pytest.mark.parametrize("name", KINDS)
def test_two_hundred_strangers_stop_nobody(served: Served, name: str) -> None:
    """All of them are there before the others ask, and go after these were answered."""
    sources = ONE if served.tls else FIFTY
    with Strangers(KINDS[name], served.port, sources, tls=served.tls) as strangers:
        for _ in range(3):
            strangers.press()
            assert served.ask("/echo", "POST", b"a=b")[0].status == 200
        assert strangers.sockets.count(None) == 0
    assert served.process.poll() is None


@linux
@pytest.mark.parametrize("sources", [ONE, FIFTY], ids=["one", "fifty"])
def test_more_strangers_than_there_is_room_for_throw_out_themselves(sources: list[str]) -> None:
    """Somebody has half a form under way, while others open twice as many sockets as are kept."""
    served = Served()
    line = served.line("127.0.0.3")
    try:
        line.putrequest("POST", "/echo")
        line.putheader("Content-Length", "10")
        line.endheaders(b"name=")
        with Strangers(KINDS["headers"], served.port, sources, count=1000):
            line.send(b"value")
            assert told(line.getresponse().read())["body"] == "name=value"
            assert served.ask("/")[0].status == 200
    finally:
        line.close()
        served.close()


def test_what_was_asked_before_the_end_is_answered() -> None:
    """SIGTERM twice, as from a service manager and from a parent; nobody new is let in meanwhile."""
    served = Served()
    line = served.line()
    try:
        line.request("GET", "/hold")
        assert served.process.stdout is not None
        assert served.process.stdin is not None
        assert served.process.stdout.readline() == "held\n"
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while _listens(served.port):
            assert time.monotonic() < until
            time.sleep(0.05)
        served.process.stdin.write("go on\n")
        served.process.stdin.flush()
        assert line.getresponse().read() == b"answered"
        assert served.process.wait(PATIENCE) == 0
    finally:
        line.close()
        assert served.close() == ""


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def test_an_application_that_fails_is_logged_without_its_client() -> None:
    served = Served()
    assert served.ask("/broken")[0].status == 500
    assert served.ask("/")[1] == b"ok"
    logged = served.close()
    assert "ValueError: broken" in logged
    assert "127.0.0.1" not in logged


def test_lines_are_encrypted_as_one_does_today(tmp_path: Path) -> None:
    """With the whole chain, and nothing older than TLS 1.2."""
    served = Served(tmp_path)
    try:
        assert served.ask("/")[1] == b"ok"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(tmp_path / "authority.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", served.port), PATIENCE) as plain,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(plain, server_hostname="localhost")
        if (openssl := shutil.which("openssl")) is not None:
            client = [openssl, "s_client", "-connect", f"127.0.0.1:{served.port}", "-showcerts"]
            shown = subprocess.run(client, input=b"", capture_output=True, timeout=PATIENCE, check=False)
            assert shown.stdout.count(b"-BEGIN CERTIFICATE-") == 2
    finally:
        served.close()
