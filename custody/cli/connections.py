"""Twisted's connections as they are here: known to the crowd, and with a limit to what is kept of each.

Twisted itself waits for every client in one thread, keeps a request until it is whole, and ends a connection
on which nothing comes. But it has no limit for a body, and would keep a long one in a file, on a disk that a
stranger could fill so; and it encrypts an answer as it comes, which then takes five times its size until the
client has taken it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from twisted.python.threadpool import ThreadPool
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.wsgi import WSGIResource

from custody.cli.crowd import Crowd, Guest
from web.limits import subscriber

SILENCE: Final = 75.0
"""Seconds without a byte while a request is waited for: more than most proxies keep an idle connection."""
PIECE: Final = 64 * 1024
"""Bytes of an answer that are handed on at once."""


class Pages(Site):  # type: ignore[misc]  # Twisted's types are half there, and none of them is read
    """An application's connections: they share a crowd, and of each request's body `largest` bytes are kept.

    No request is logged.
    """

    def __init__(self, app: Any, reactor: Any, pool: ThreadPool, crowd: Crowd, largest: int) -> None:
        root = _Application(app, reactor, pool, crowd)
        super().__init__(root, _Exchange, timeout=SILENCE, reactor=reactor, parsePOSTFormSubmission=False)
        self.protocol = _Connection
        self.crowd = crowd
        self.getContentFile = lambda _length: _Body(largest)

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802 - Twisted's name
        """What is offered in a TLS handshake: HTTP/2 would want another class of connections."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """Twisted tells of a request."""


class _Connection(http.HTTPChannel):  # type: ignore[misc]  # as above
    """A connection, as the crowd knows it."""

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        super().connectionMade()
        self.guest = Guest(subscriber(str(self.transport.getPeer().host)), self.transport.abortConnection)
        self.site.crowd.enter(self.guest)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002, N802 - Twisted's
        """A line of the head is too long. Twisted's own would leave an encrypted connection open."""
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.loseConnection()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        self.site.crowd.leave(self.guest)
        super().connectionLost(reason)


class _Body(BytesIO):
    """The first `largest` bytes of a body; `length` counts all of them.

    It may be large, and garbage is searched for seldom: `done` lets it go, once no thread can be reading it.
    """

    done = BytesIO.close

    def __init__(self, largest: int) -> None:
        super().__init__()
        self._largest = largest
        self.length = 0

    def write(self, data: Any) -> int:
        self.length += len(data)
        return super().write(data[: self._largest - self.tell()])

    def close(self) -> None:
        """Its connection has ended, but a thread may be reading."""


class _Exchange(Request):  # type: ignore[misc]  # as above
    """A request and its answer, which is handed on as its client takes it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._unsent: deque[memoryview] = deque()
        self._whole = False

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Some of the body has come."""
        before = self.content.tell()
        super().handleContentChunk(data)
        self._keep(self.content.tell() - before)

    def process(self) -> None:
        """The request is whole."""
        headers = self.requestHeaders
        for name in [name for name, _ in headers.getAllRawHeaders() if b"_" in name]:
            headers.removeHeader(
                name
            )  # WSGI would take it for the one with a hyphen, which a proxy vouches for
        if headers.hasHeader(b"transfer-encoding"):  # without a length WSGI has no body
            headers.removeHeader(b"transfer-encoding")
            headers.setRawHeaders(b"content-length", [b"%d" % self.content.length])
        super().process()

    def write(self, data: bytes) -> None:
        """The application gives more of the answer."""
        if self.channel is None:  # its client has gone
            return
        if not self.startedWriting:
            self.responseHeaders.removeHeader(b"server")
            super().write(b"")
        if data and self.method != b"HEAD" and self.code not in http.NO_BODY_CODES:
            self._unsent.append(memoryview(data))
            self._keep(len(data))
            if self.producer is None:
                self.registerProducer(self, streaming=False)

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The client can take more."""
        data = self._unsent.popleft()
        piece, rest = bytes(data[:PIECE]), data[PIECE:]
        if rest:
            self._unsent.appendleft(rest)
        super().write(piece)
        self._keep(-len(piece))
        if not self._unsent:
            self.unregisterProducer()
            if self._whole:
                self.finish()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The client takes no more."""

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        """The client has gone."""
        self._unsent.clear()
        if self.content is not None and not self.channel.guest.served:
            self.content.done()
        super().connectionLost(reason)

    def finish(self) -> None:
        """The application has given all of the answer."""
        self._whole = True
        if self.producer is None and self.channel is not None:  # else its client has gone
            channel = self.channel
            super().finish()
            channel.site.crowd.answered(channel.guest)

    def _keep(self, more: int) -> None:
        self.channel.site.crowd.keep(self.channel.guest, more)


class _Application(Resource):  # type: ignore[misc]  # as above
    """The application: each request waits for its turn, and then has a thread."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, app: Any, reactor: Any, pool: ThreadPool, crowd: Crowd) -> None:
        super().__init__()
        self._app, self._reactor, self._pool, self._crowd = app, reactor, pool, crowd

    def _whole(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """An answer in one piece: for each, two threads would have to wait for each other."""
        pieces = self._app(environ, start_response)
        try:
            return [b"".join(pieces)]
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def render(self, request: Any) -> Any:
        """A request is whole."""
        turn = _Turn(self._reactor, self._pool, self._crowd, request)
        WSGIResource(self._reactor, turn, self._whole).render(request)
        return NOT_DONE_YET


class _Turn:
    """A guest's place before the pool of threads, in the pool's stead."""

    def __init__(self, reactor: Any, pool: ThreadPool, crowd: Crowd, request: Any) -> None:
        self._reactor, self._pool, self._crowd = reactor, pool, crowd
        self._guest, self._body = request.channel.guest, request.content

    def callInThread(self, run: Callable[[], object]) -> None:  # noqa: N802 - Twisted's name
        """Runs it when the turn has come, unless its client has gone by then."""

        def ended(_success: bool, _result: object) -> None:
            self._reactor.callFromThread(self._end)

        self._crowd.ask(self._guest, lambda: self._pool.callInThreadWithCallback(ended, run))

    def _end(self) -> None:
        self._body.done()
        self._crowd.done(self._guest)
