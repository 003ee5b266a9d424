"""A mail relay that keeps what it is given, and misbehaves when told to.

    with Sink() as sink:
        Relay("127.0.0.1", sink.port, "alarms@test.example", tls="none")

It is a real SMTP server in a thread of its own, on a port that the system chose. `on_line`, `on_mail`,
`on_rcpt` and `on_data` are asked for each connection, sender, recipient and message; they give the reply, or
HANG, HOLD, DROP or DRIP.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = "250 taken"
HANG = "hang"
"""The message is kept, and nothing more is said on this line."""
HOLD = "hold"
"""The message is kept, and accepted when the sink is told to `release` what it holds."""
DROP = "drop"
"""The message is kept, and the line breaks before the answer."""
DRIP = "drip"
"""A byte of an answer now and then, and never the end of it."""

BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True)
class Delivery:
    """One message as it came. `accepted` says whether the reply was to be a 250."""

    at: datetime
    message: str
    to: str
    subject: str
    body: str
    accepted: bool
    raw: bytes


class Sink:
    """See the module's story. `clock` stamps what comes; `tls` is offered and demanded, if given."""

    def __init__(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.recipients: list[str] = []
        self.on_line: Callable[[], str] = lambda: OK
        self.on_mail: Callable[[str], str] = lambda _: OK
        self.on_rcpt: Callable[[str], str] = lambda _: OK
        self.on_data: Callable[[str], str] = lambda _: OK
        self._clock = clock
        self._tls, self._implicit = tls, implicit
        self._released = asyncio.Event()
        self._sessions: set[int] = set()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sink", daemon=True)
        self._socket = _reserved(0)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.AbstractServer | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._socket.close()
        self._do(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """From here on it answers."""
        self._server = self._do(self._listen())

    def shut(self) -> None:
        """From here on connections are refused; the port stays ours. Open lines break."""
        if self._server is not None:
            self._server = self._do(self._stop(self._server))
            self.quiet()
            self._socket = _reserved(self.port)

    def quiet(self) -> None:
        """Returns when no line is open any more: what is here then is all that came."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._sessions, timeout=60), "a line is still open"

    def until(self, what: Callable[[], bool]) -> None:
        """Returns when this is so; it is looked at after each message that came."""
        with self._changed:
            assert self._changed.wait_for(what, timeout=120), "what was to come did not"

    def release(self) -> None:
        """What is held is accepted, and nothing is held from here on."""
        self._loop.call_soon_threadsafe(self._released.set)

    def accepted(self) -> list[Delivery]:
        """What it said 250 to."""
        return [each for each in self.deliveries if each.accepted]

    # ------------------------------------------------------------------------------ on the sink's own thread

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _listen(self) -> asyncio.AbstractServer:
        context = self._tls if self._implicit else None
        return await self._loop.create_server(self._protocol, sock=self._socket, ssl=context)

    async def _stop(self, server: asyncio.AbstractServer) -> None:
        server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        for line in list(_Line.open_lines.get(self.port, ())):
            line.transport.abort()
            line.closed()  # in the midst of a TLS handshake nobody calls connection_lost

    def _protocol(self) -> asyncio.Protocol:
        if self.on_line() == HANG:
            return _Mute(self)
        offered = None if self._implicit else self._tls
        return _Line(self, loop=self._loop, tls_context=offered, require_starttls=offered is not None)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.on_mail(address)
        if reply == OK:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        self.recipients.append(address)
        reply = self.on_rcpt(address)
        if reply == OK:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        raw = envelope.content
        assert isinstance(raw, bytes)
        if BARE.search(raw):
            return "550 5.6.11 a bare CR or LF"  # what Exchange Online and Postfix say since SMTP smuggling
        reply = self.on_data(envelope.rcpt_tos[0])
        mail = message_from_bytes(raw, policy=policy.default)
        with self._changed:
            self.deliveries.extend(
                Delivery(
                    at=self._clock(),
                    message=str(mail["Message-ID"]),
                    to=to,
                    subject=str(mail["Subject"]),
                    body=str(mail.get_content()),
                    accepted=reply in (OK, HOLD),
                    raw=raw,
                )
                for to in envelope.rcpt_tos
            )
            self._changed.notify_all()
        if reply == HOLD:
            await self._released.wait()
            return OK
        if reply == DROP:
            server.transport.abort()
        while reply == DRIP:
            await server.push("250-wait")
            await asyncio.sleep(0.02)
        if reply in (HANG, DROP):
            await asyncio.Event().wait()
        return reply

    def begun(self, line: int) -> None:
        with self._changed:
            self._sessions.add(line)

    def ended(self, line: int) -> None:
        with self._changed:
            self._sessions.discard(line)
            self._changed.notify_all()


class _Line(SMTP):
    """One connection, which tells its sink when it begins and when it has ended."""

    open_lines: dict[int, set[_Line | _Mute]] = {}  # noqa: RUF012 - all sinks of this process

    def __init__(self, sink: Sink, **more: Any) -> None:
        super().__init__(sink, hostname="relay.test", **more)
        self._sink = sink

    def connection_made(self, transport: Any) -> None:
        self._sink.begun(id(self))
        self.open_lines.setdefault(self._sink.port, set()).add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.closed()

    def closed(self) -> None:
        self.open_lines[self._sink.port].discard(self)
        self._sink.ended(id(self))


class _Mute(asyncio.Protocol):
    """One connection that nobody ever greets."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._sink.begun(id(self))
        _Line.open_lines.setdefault(self._sink.port, set()).add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed()

    def closed(self) -> None:
        _Line.open_lines[self._sink.port].discard(self)
        self._sink.ended(id(self))


def _reserved(port: int) -> socket.socket:
    """Bound and not listening: nobody else gets the port, and who connects is refused."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", port))
    return reserved


class Authority:
    """A certificate authority of our own. `file` is its certificate, for those who shall trust it."""

    def __init__(self, folder: Path, name: str = "An authority of our own") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / "authority.pem"
        self.file.write_bytes(_pem(self._certificate(self._name, self._key, None)))

    def context(self, host: str) -> ssl.SSLContext:
        """What a server called `host` (a name, or an IP address) answers with."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")]), key, host
        )
        file = self._folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
