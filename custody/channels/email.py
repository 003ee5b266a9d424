"""E-mail, by a relay: one recipient a message, an encrypted line that is verified, an answer that counts.

`smtplib` sends to several recipients without complaint when some of them are refused, and starts TLS without
looking at the certificate unless it is given a context. Here it is given one, and one recipient.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from custody.channels.patience import cut_after
from custody.errors import Undelivered
from custody.rules.notices import Message

PERMANENT: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over. `tls` is `starttls`, `implicit`, or `none` for a relay on this machine.

    `timeout` is in real seconds, for each answer and for the hand-over of a message as a whole.
    """

    host: str
    port: int
    sender: str
    tls: str = "starttls"
    user: str = ""
    password: str = ""
    ca_file: str | None = None
    timeout: float = 10.0


class Email:
    """A `custody.rules.notices.Channel`. It keeps its line open from one message to the next."""

    def __init__(self, relay: Relay, clock: Callable[[], datetime]) -> None:
        self._relay = relay
        self._context = None if relay.tls == "none" else ssl.create_default_context(cafile=relay.ca_file)
        self._clock = clock
        self._line: smtplib.SMTP | None = None

    def send(self, message: Message) -> str:
        """The relay's words after its 250, or Undelivered."""
        try:
            mail = self._mail(message)
        except Exception as problem:  # the email package raises anything at all for a header it cannot read
            raise Undelivered(f"no mail can be made of this: {problem!r}", permanent=True) from problem
        try:
            if self._line is None:
                self._line = self._connect()
            with cut_after(self._relay.timeout, self._line.sock):
                return self._hand_over(self._line, message.to, mail)
        except smtplib.SMTPResponseException as problem:
            self.close()
            raise self._undelivered(problem.smtp_code, problem.smtp_error) from problem
        except smtplib.SMTPRecipientsRefused as problem:
            self.close()
            raise self._undelivered(*problem.recipients[message.to]) from problem
        except UnicodeError as problem:  # an address that cannot be written in SMTP
            self.close()
            raise Undelivered(f"this address cannot be mailed to: {problem}", permanent=True) from problem
        except (OSError, smtplib.SMTPException) as problem:
            self.close()
            reason = str(problem) or type(problem).__name__
            raise Undelivered(f"no answer from the relay: {reason}", silent=True) from problem

    def probe(self) -> str:
        """Connects, encrypts and signs in as for a message, and sends none. OSError or SMTPException."""
        line = self._connect()
        try:
            return f"{self._relay.host}:{self._relay.port} answers {line.noop()[0]}, {self._relay.tls}"
        finally:
            line.close()

    def close(self) -> None:
        """Hangs up. What the relay has accepted, it has accepted."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connect(self) -> smtplib.SMTP:
        relay = self._relay
        # our name for the greeting: left to itself, smtplib asks the DNS on every line, without a timeout
        us = relay.sender.rpartition("@")[2].rstrip(">")
        if relay.tls == "implicit":
            line: smtplib.SMTP = smtplib.SMTP_SSL(
                relay.host, relay.port, us, timeout=relay.timeout, context=self._context
            )
        else:
            line = smtplib.SMTP(relay.host, relay.port, us, timeout=relay.timeout)
        try:
            if relay.tls == "starttls":
                line.starttls(context=self._context)
            if relay.user:
                line.login(relay.user, relay.password)
        except BaseException:
            line.close()
            raise
        return line

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Message-ID"] = message.id
        mail["Date"] = format_datetime(self._clock())
        mail["From"] = self._relay.sender
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies to an alarm
        mail.set_content(message.body, cte="7bit" if message.body.isascii() else "quoted-printable")
        return mail

    @staticmethod
    def _hand_over(line: smtplib.SMTP, to: str, mail: EmailMessage) -> str:
        line.ehlo_or_helo_if_needed()
        code, words = line.mail(str(mail["From"]))
        if code != 250:
            raise smtplib.SMTPSenderRefused(code, words, str(mail["From"]))
        code, words = line.rcpt(to)
        if code not in (250, 251):
            raise smtplib.SMTPRecipientsRefused({to: (code, words)})
        # CRLF (RFC 5321, 2.3.8): smtplib does not mend bytes, and relays refuse a bare LF
        code, words = line.data(mail.as_bytes(policy=policy.SMTP))
        if code != 250:
            raise smtplib.SMTPDataError(code, words)
        return f"{code} {words.decode('utf-8', 'replace')}"

    @staticmethod
    def _undelivered(code: int, words: bytes | str) -> Undelivered:
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
        return Undelivered(f"{code} {said}", permanent=code in PERMANENT)
