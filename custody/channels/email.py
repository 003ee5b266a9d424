"""E-mail, by a relay: one recipient a message, an encrypted line that is verified, an answer that counts.

`smtplib` sends to several recipients without complaint when some of them are refused, and starts TLS without
looking at the certificate unless it is given a context. Here it is given one, and one recipient.

A relay that is slow is not dead. RFC 5321 (4.5.3.2.6) gives it ten minutes for its answer to the dot that
ends a message, since a client that gives up before that, and comes again, makes copies of what was delivered.
Until the dot nothing was sent, and all of that together has half a minute.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from custody.channels.patience import Patience
from custody.errors import Undelivered
from custody.outside import cleaned, is_here
from custody.rules.notices import Message

KEPT_FOR: Final = 10.0
"""Seconds for which a line is kept that nobody needs: relays hang up on the idle."""
_OF_OTHERS: Final = re.compile(r"5\.(?:1\.[78]|[3567]\.\d{1,3})\b")
"""Enhanced status codes (RFC 3463) of refusals that do not mean the recipient's mailbox: the sender's
address, the relay's own state, the protocol, the message's form, and policy."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over. `tls` is `starttls`, `implicit`, or `none` for a relay on this machine.

    In real seconds: `timeout` is for all that comes before the end of a message, from the relay's name on,
    and `answer` for what it says to that. Undelivered where a password would leave this machine in the clear.
    """

    host: str
    port: int
    sender: str
    tls: str = "starttls"
    user: str = ""
    password: str = ""
    ca_file: str | None = None
    timeout: float = 30.0
    answer: float = 600.0

    def __post_init__(self) -> None:
        clear = self.tls not in ("starttls", "implicit") and not is_here(self.host)
        if clear and (self.user or self.password):
            raise Undelivered(f"the password would travel to {self.host} in the clear", permanent=True)


class Email:
    """A `custody.rules.notices.Channel`. It keeps lines open from one message to the next."""

    def __init__(self, relay: Relay, clock: Callable[[], datetime]) -> None:
        self._relay = relay
        self._context = None if relay.tls == "none" else ssl.create_default_context(cafile=relay.ca_file)
        self._clock = clock
        self._idle: deque[tuple[_Line, float]] = deque()

    def send(self, message: Message) -> str:
        """The relay's words after its 250, or Undelivered."""
        try:
            mail = self._mail(message)
        except Exception as problem:  # the email package raises anything at all for a header it cannot read
            raise Undelivered(f"no mail can be made of this: {problem!r}", permanent=True) from problem
        line: _Line | None = None
        try:
            with Patience(self._relay.timeout) as patience:
                line = self._line(patience)
                line.give(self._relay.sender, message.to, mail)
            with Patience(self._relay.answer) as patience:
                words = line.taken(patience)
        except (OSError, ValueError, smtplib.SMTPException) as problem:
            if line is not None:
                line.close()
            raise _undelivered(problem, given=line is not None and line.given) from problem
        self._idle.append((line, time.monotonic()))
        return words

    def probe(self) -> None:
        """All that a message needs, up to its text: one to the sender itself, and none is sent.

        OSError or smtplib.SMTPException where the relay does not take it.
        """
        with (
            Patience(self._relay.timeout) as patience,
            contextlib.closing(_Line(self._relay, self._context, patience)) as line,
        ):
            line.address(self._relay.sender, self._relay.sender)
            line.rset()

    def close(self) -> None:
        """Hangs up where nothing is under way. What the relay has accepted, it has accepted."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.popleft()[0].close()

    def _line(self, patience: Patience) -> _Line:
        """One that is kept, if it is not too old, or a new one."""
        with contextlib.suppress(IndexError):
            while True:
                line, since = self._idle.pop()
                if time.monotonic() - since < KEPT_FOR and line.sock is not None:
                    patience.hold(line.sock)
                    return line
                line.close()
        return _Line(self._relay, self._context, patience)

    def _mail(self, message: Message) -> bytes:
        message.to.encode("ascii")  # as SMTP wants it
        mail = EmailMessage()
        mail["Message-ID"] = message.id
        mail["Date"] = format_datetime(self._clock())
        mail["From"] = self._relay.sender
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies to an alarm
        mail.set_content(message.body, cte="7bit" if message.body.isascii() else "quoted-printable")
        # CRLF (RFC 5321, 2.3.8): smtplib does not mend bytes, and relays refuse a bare LF
        return mail.as_bytes(policy=policy.SMTP)


class _Line(smtplib.SMTP):
    """A line to the relay, encrypted and signed in. `given` says whether a message was sent to its end."""

    def __init__(self, relay: Relay, context: ssl.SSLContext | None, patience: Patience) -> None:
        self._patience = patience
        self._implicit = context if relay.tls == "implicit" else None
        self.given = False
        # our name for the greeting: left to itself, smtplib asks the DNS on every line, without a timeout
        super().__init__(relay.host, relay.port, relay.sender.rpartition("@")[2].rstrip(">"))
        try:
            if relay.tls == "starttls":
                self.starttls(context=context)
            if relay.user:
                self.login(relay.user, relay.password)
        except BaseException:
            self.close()
            raise

    def _get_socket(self, host: str, port: int, _timeout: object) -> socket.socket:
        """As in smtplib's own classes; but the greeting that follows is waited for with patience, too."""
        wire = self._patience.connect(host, port)
        return wire if self._implicit is None else self._implicit.wrap_socket(wire, server_hostname=host)

    def address(self, sender: str, to: str) -> None:
        """Says from whom and to whom a message is."""
        self.ehlo_or_helo_if_needed()
        code, words = self.mail(sender)
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, words, sender)
        code, words = self.rcpt(to)
        if code not in (250, 251):
            raise smtplib.SMTPRecipientsRefused({to: (code, words)})

    def give(self, sender: str, to: str, mail: bytes) -> None:
        """Hands a message over, up to the dot at its end."""
        self.given = False
        self.address(sender, to)
        code, words = self.docmd("DATA")
        if code != 354:
            raise smtplib.SMTPDataError(code, words)
        self.given = True  # of a line that breaks from here on nobody knows what has arrived
        self.send(re.sub(rb"(?m)^\.", b"..", mail) + b".\r\n")

    def taken(self, patience: Patience) -> str:
        """What the relay says when it has taken responsibility for the message."""
        if self.sock is not None:
            patience.hold(self.sock)
        code, words = self.getreply()
        if code != 250:
            raise smtplib.SMTPDataError(code, words)
        return _said(code, words)


def _undelivered(problem: Exception, *, given: bool) -> Undelivered:
    """What became of a message. Permanent is what was said of its recipient, and not of us."""
    match problem:
        case smtplib.SMTPRecipientsRefused():
            ((code, words),) = problem.recipients.values()
            return _refused(code, words)
        case smtplib.SMTPDataError():
            return _refused(problem.smtp_code, problem.smtp_error)
        case smtplib.SMTPResponseException():
            return Undelivered(_said(problem.smtp_code, problem.smtp_error))
        case smtplib.SMTPNotSupportedError():
            reason = f"the relay does not offer what is asked of it: {problem}"
            return Undelivered(cleaned(reason), silent=True)
    reason = cleaned(str(problem)) or type(problem).__name__
    if given:
        return Undelivered(f"no answer from the relay to the message, which may have arrived: {reason}")
    return Undelivered(f"no answer from the relay: {reason}", silent=True)


def _refused(code: int, words: bytes | str) -> Undelivered:
    said = _said(code, words)
    return Undelivered(said, permanent=500 <= code < 600 and not _OF_OTHERS.match(said[4:]))


def _said(code: int, words: bytes | str) -> str:
    return f"{code} {cleaned(words)}".rstrip()
