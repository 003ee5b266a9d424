"""`custody demo`: the story, then its pages on this machine until Ctrl-C."""

from __future__ import annotations

import base64
import email
import email.policy
import logging
import re
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import structlog
from aiosmtpd.controller import Controller
from werkzeug.serving import make_server

from custody import audit as auditor
from custody import files
from custody.acts import documents
from custody.channels.email import Relay
from custody.cli.listening import listen
from custody.cli.pages import pages
from custody.cli.story import CAST, FOUND_PHONE, LABEL_HOST, Clock, Story
from custody.ledger.bundle import BYTES_MOST
from custody.rules.world import DEMO_ORIGIN
from custody.store import accounts
from web.app import Letter, WebSettings

SENDER = "custody@demo.invalid"


@dataclass
class Inbox:
    """A real mail server on this machine that keeps what it is sent, as files and for the inbox page."""

    folder: Path
    now: Clock | None = None
    letters: list[Letter] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - aiosmtpd's name
        """Aiosmtpd hands a message over."""
        number = len(self.letters) + 1
        to = envelope.rcpt_tos[0]
        name = f"{number:03d}-{re.sub('[^a-z0-9]', '', to.partition('@')[0])}.eml"
        (self.folder / name).write_bytes(envelope.content)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        at = self.now() if self.now else datetime.fromtimestamp(0).astimezone()
        text = message.get_content()
        self.letters.append(Letter(at=at, to=to, subject=str(message["Subject"]), body=str(text)))
        return "250 kept"

    def newest_first(self) -> list[Letter]:
        """What the inbox page shows."""
        return self.letters[::-1]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--once", is_flag=True, help="Stop after the story.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--smtp", metavar="HOST:PORT", help="A mail relay of your own, in place of the built-in one.")
def demo(out: Path, once: bool, port: int, smtp: str | None) -> None:
    """Replay a loss, from a real tape list to a senior manager's inbox, and look at it in a browser.

    Seven backup tapes leave for another building and never arrive. Nobody reports anything.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if not once:
        listen("127.0.0.1", port, encrypted=False).close()
    _make_room(out)
    inbox = Inbox(out / "mail")
    with _relay(inbox, smtp) as relay:
        story = Story(out, relay, click.echo, f"http://127.0.0.1:{port}")
        inbox.now = story.clock
        story.tell()
        _close(out, story)
        if once:
            return
        with story.watching():
            _serve(out, story, inbox, port)


def _make_room(out: Path) -> None:
    """An earlier demo is replaced; anything else is left alone."""
    policy = out / "book" / "policy"
    if out.exists() and any(out.iterdir()):
        if not policy.is_file() or not files.read(policy).startswith(f"log {DEMO_ORIGIN}+".encode()):
            raise click.UsageError(
                f"{out} holds something that is no demo. Choose another folder with --out."
            )
        shutil.rmtree(out)
    files.make_folder(out)
    files.make_folder(out / "mail")


@contextmanager
def _relay(inbox: Inbox, smtp: str | None) -> Iterator[Relay]:
    if smtp is not None:
        host, _, port = smtp.rpartition(":")
        if not host or not port.isdigit():
            raise click.UsageError("--smtp takes a host and a port, such as mail.example.org:25.")
        yield Relay(host, int(port), SENDER, tls="none")
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=free)
    server.start()
    try:
        yield Relay("127.0.0.1", free, SENDER, tls="none")
    finally:
        server.stop()


def _close(out: Path, story: Story) -> None:
    """What it came to, the auditor's verdict, and how to see that a changed byte is found."""
    seconds = story.told_senior_after().total_seconds()
    click.echo(
        f"\nFrom the deadline to senior management's mail: {seconds:.2f} seconds. It took 30 days in 2024."
    )
    with files.opened(out / "bundle.zip", BYTES_MOST) as bundle:
        report = auditor.verify(bundle, files.read(out / "policy"), genesis=story.genesis)
    click.echo(f"The auditor, offline, from {out}/bundle.zip: {report.sentence}")
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python.name
    judge = f"{shown} -m custody.audit {out}/bundle.zip --policy {out}/policy --genesis {story.genesis}"
    flip = (
        f"{shown} -c \"p='{out}/bundle.zip'; b=bytearray(open(p,'rb').read());"
        " b[b.find(b'payload', len(b)//2)+99]^=1; open(p,'wb').write(b)\""
    )
    click.echo(f"Judge it yourself:\n  {judge}\nChange one byte, and judge it again:\n  {flip}")
    if not report.sound:
        sys.exit(1)


def _serve(out: Path, story: Story, inbox: Inbox, port: int) -> None:
    settings = WebSettings(
        secret_key=secrets.token_hex(32),
        base_url=story.base_url,
        secure_cookies=False,
        label_host=LABEL_HOST,
        found_phone=FOUND_PHONE,
        inbox=inbox.newest_first,
        incident_pdf=lambda book, name: documents.incident_pdf(book, name, story.name_of),
    )
    server = make_server("127.0.0.1", port, pages(story.book, settings), threaded=True)
    story.clock.skip_to(story.third_is_due_in(minutes=3))
    click.echo(f"\nServing {story.base_url} until Ctrl-C. Files: {out}/\nOne-time links, a person each:")
    everybody = {"ada": ("Ada An", "HOME", [("admin", None)])} | CAST
    for name, (full, _, roles) in everybody.items():
        key = base64.urlsafe_b64encode(story.keys[name].pkcs8()).decode().rstrip("=")
        link = f"{story.base_url}/begin/{accounts.demo_link(story.book, story.ids[name])}#k={key}"
        click.echo(f"  {full:9} {roles[0][0]:24} {link}")
    click.echo(
        "\nC-3 falls due in three minutes. Sign in as Cora and as Ben, in two browsers, and receive it;"
    )
    click.echo(f"or let it pass, and watch the board and {story.base_url}/inbox.")
    stop = threading.Event()
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    try:
        stop.wait()
    except KeyboardInterrupt:
        click.echo("\nStopped.")
    finally:
        server.shutdown()
