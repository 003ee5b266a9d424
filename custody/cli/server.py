"""The HTTP server as it runs here, for the pages and for a witness, which shall not load the pages to run.

Twisted waits for the clients, all of them in one thread: it keeps a request until it is whole, and an answer
until it has been taken. The application runs in threads beside it, and none of them ever waits for a client.
Whose connections are kept when there are too many says `custody.cli.crowd`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from cryptography import x509
from OpenSSL import crypto
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.ssl import CertificateOptions
from twisted.logger import LogLevel, formatEvent, globalLogBeginner
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.threadpool import ThreadPool

from custody import files
from custody.cli.connections import Pages
from custody.cli.crowd import Crowd
from custody.garbage import search_seldom
from custody.settings import Settings

log = structlog.get_logger("custody.serve")
GRACE: Final = 20.0
"""Seconds that an orderly stop waits for what has been asked already."""


class Server:
    """An application's HTTP server: one process, `settings.threads` requests at once.

    Of a request's body `largest` bytes are kept; the application is told its whole length, and refuses it.
    Lines are encrypted (TLS 1.2 or newer) where the settings name a certificate, which `check_certificate`
    found well.
    """

    def __init__(self, make_app: Callable[[], Any], settings: Settings, largest: int) -> None:
        self._encryption = _encryption(settings)
        self._make_app = make_app
        self._threads = settings.threads
        self._largest = largest

    def run(self, listening: socket.socket, stop: threading.Event) -> None:
        """Serves on this socket until `stop` is set; what was asked by then is still answered."""
        from twisted.internet import reactor  # noqa: PLC0415 - to import it is to install it

        search_seldom()
        globalLogBeginner.beginLoggingTo([_tell], redirectStandardIO=False)
        crowd = Crowd(self._threads, self._largest)
        pool = ThreadPool(self._threads, self._threads, "requests")
        pool.threadFactory = partial(threading.Thread, daemon=True)  # one that hangs does not hold up an end
        pool.start()
        site = Pages(self._make_app(), reactor, pool, crowd, self._largest)
        if self._encryption is not None:
            site = TLSMemoryBIOFactory(self._encryption, isClient=False, wrappedFactory=site)
        listening.setblocking(False)
        port = reactor.adoptStreamPort(listening.fileno(), listening.family, site)
        listening.close()  # Twisted has its own copy
        task.LoopingCall(crowd.patrol).start(1)
        reactor.addSystemEventTrigger("before", "shutdown", _wind_down, port, crowd)
        threading.Thread(target=_await, args=(stop, reactor), daemon=True).start()
        reactor.run(installSignalHandlers=False)


def _encryption(settings: Settings) -> CertificateOptions | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    chain = x509.load_pem_x509_certificates(files.read(settings.tls_certificate))
    first, *others = map(crypto.X509.from_cryptography, chain)
    key = crypto.load_privatekey(crypto.FILETYPE_PEM, files.read(settings.tls_key))
    return CertificateOptions(privateKey=key, certificate=first, extraCertChain=others)


def _await(stop: threading.Event, reactor: Any) -> None:
    stop.wait()
    reactor.callFromThread(reactor.stop)


def _wind_down(port: Any, crowd: Crowd) -> Deferred[Any]:
    """Takes no more connections; fires when nobody is owed an answer, or after GRACE seconds."""
    port.stopListening()
    end = time.monotonic() + GRACE

    def look() -> None:
        if not crowd.owes or time.monotonic() > end:
            watch.stop()

    watch = task.LoopingCall(look)
    return watch.start(0.1)


def _tell(event: Any) -> None:
    """Hands on what Twisted logs as an error, and no more: beside it stand the addresses of clients."""
    if event["log_level"] >= LogLevel.error:
        failure = event.get("log_failure")
        log.error("the server failed", what=formatEvent(event), exception=failure and failure.getTraceback())
