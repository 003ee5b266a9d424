"""Strangers who hold a server up: sockets of one kind, from one address or many, that are opened and kept.

They obey no rule but TCP's (and TLS's), and whom the server throws out comes again.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

LARGE: Final = b"/bootstrap/static/icons/bootstrap-icons.svg"
"""The largest answer that a stranger can have of the pages: 1.1 MB."""
ONE: Final = ["127.0.0.2"]
FIFTY: Final = [f"127.0.1.{number}" for number in range(1, 51)]
"""Linux has all of 127/8 on its loopback; elsewhere there is 127.0.0.1 alone."""


@dataclass(frozen=True)
class Kind:
    """What each of them sends first, what again and again, and how many bytes it takes in between."""

    first: bytes = b""
    again: bytes = b""
    takes: int = 0
    encrypts: bool = True


def _get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: localhost", *headers, b"", b""])


def _post(*headers: bytes) -> bytes:
    form = b"Content-Type: application/x-www-form-urlencoded"
    return b"\r\n".join([b"POST /login HTTP/1.1", b"Host: localhost", form, *headers, b"", b""])


KINDS: Final = {
    "silent": Kind(),
    "headers": Kind(b"GET / HTTP/1.1\r\nHost: localhost\r\n", again=b"X-A: b\r\n"),
    "body": Kind(_post(b"Content-Length: 100000") + b"a=", again=b"a"),
    "chunks": Kind(_post(b"Transfer-Encoding: chunked"), again=b"1\r\na\r\n"),
    "reader": Kind(_get(LARGE) * 20, takes=1),
    "idle": Kind(_get(b"/healthz"), takes=4096),
    "lingers": Kind(_get(b"/healthz", b"Connection: close")),
    "handshake": Kind(b"\x16\x03\x01\x02\x00\x01", again=b"\x00", encrypts=False),
    "garbage": Kind(
        random.Random(1).randbytes(2000) + b"\r\n\r\n" + _get(b"/%zz", b"Content-Length: x") * 50
    ),
}


@dataclass
class Strangers:
    """So many sockets of a kind to a server on this machine, held from `with` to its end."""

    kind: Kind
    port: int
    sources: list[str]
    count: int = 200
    tls: ssl.SSLContext | None = None
    patience: float = 60.0
    sockets: list[socket.socket | None] = field(default_factory=list)

    def __enter__(self) -> Self:
        turns = itertools.islice(itertools.cycle(self.sources), self.count)
        self.sockets = [self._open(source) for source in turns]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self.sockets:
            if line is not None:
                line.close()

    def press(self) -> None:
        """Each sends and takes a little more; who was thrown out is here again."""
        for place, line in enumerate(self.sockets):
            if line is None or not self._more(line):
                if line is not None:
                    line.close()
                self.sockets[place] = self._open(self.sources[place % len(self.sources)])

    def renew(self, some: int) -> None:
        """So many of them close, and open again."""
        for place in random.sample(range(self.count), some):
            if (line := self.sockets[place]) is not None:
                line.close()
            self.sockets[place] = self._open(self.sources[place % len(self.sources)])

    def _open(self, source: str) -> socket.socket | None:
        line = socket.socket()
        try:
            line.settimeout(self.patience)
            if self.kind.takes == 1:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            line.bind((source, 0))
            line.connect(("127.0.0.1", self.port))
            if self.tls and self.kind.encrypts:
                line = self.tls.wrap_socket(line, server_hostname="localhost")
            line.setblocking(False)
            if self.kind.first:
                line.send(self.kind.first)
        except OSError:
            line.close()
            return None
        return line

    def _more(self, line: socket.socket) -> bool:
        """Whether the server still has this one."""
        wait = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        try:
            if self.kind.takes:
                with contextlib.suppress(*wait):
                    return line.recv(self.kind.takes) != b""
            if self.kind.again:
                with contextlib.suppress(*wait):
                    line.send(self.kind.again)
        except OSError:
            return False
        return True
