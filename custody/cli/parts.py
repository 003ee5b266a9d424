"""The real parts: the machine's clock and randomness, the book in its folder, the channels, the keys."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from custody.channels.email import Email, Relay
from custody.channels.heartbeat import Heartbeat
from custody.clock import Clock
from custody.errors import Undelivered
from custody.ledger.keys import SigningKey
from custody.rules.notices import Channel
from custody.settings import Settings
from custody.store import home
from custody.store.book import Book
from custody.store.database import MAY_LOSE
from custody.store.pin import Pin
from labels import identity

book_option = click.option(
    "--book",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    envvar="CUSTODY_BOOK",
    default=Path("book"),
    show_default=True,
    help="The folder of the book.",
)

owner_option = click.option(
    "--owner",
    metavar="URL",
    help="With PostgreSQL: the address of a role that may take on the rights of the database's owner.",
)


clock: Final = Clock()
"""The machine's time, for all of this process."""


def open_book(folder: Path, *, pinned: bool = True) -> Book:
    """The book in this folder, on the machine's clock; Untrusted where it is behind its pin."""
    settings = Settings()
    book = home.open_book(folder, clock, secrets.token_bytes, may_lose=settings.standby == MAY_LOSE)
    if pinned and (kept := pin(settings, folder)):
        kept.check(book)
    return book


def pin(settings: Settings, folder: Path) -> Pin | None:
    """What remembers the newest checkpoint of the book in this folder, if these settings name a file."""
    return Pin(settings.pin, folder) if settings.pin else None


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the screen, and what to tell it: how many are done, of how many."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=0, label=label, file=sys.stderr, hidden=hidden) as bar:

        def tell(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        yield tell


def new_key() -> SigningKey:
    """A fresh P-256 key."""
    return SigningKey(generate_private_key(SECP256R1()))


def draw_identity() -> str:
    """A fresh identity for a medium, a case or a seal."""
    return identity.draw(secrets.token_bytes)


def channels(settings: Settings, now: Callable[[], datetime]) -> dict[str, Channel]:
    """The ways to reach people that these settings give; UsageError as `relay`."""
    return {"email": Email(relay(settings), now)}


def relay(settings: Settings) -> Relay:
    """The mail relay of these settings; UsageError where they name none, or one that is not to be used."""
    if not settings.smtp_host or not settings.mail_from:
        raise click.UsageError(
            "No alert can leave without a mail relay: set CUSTODY_SMTP_HOST and CUSTODY_MAIL_FROM."
        )
    with _said_of("CUSTODY_SMTP_TLS"):
        return Relay(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.mail_from,
            tls=settings.smtp_tls,
            user=settings.smtp_user,
            password=settings.smtp_password,
            ca_file=settings.smtp_ca or None,
        )


def heartbeat(settings: Settings) -> Callable[[], None] | None:
    """The sign of life to the outside switch, if one is set; UsageError where it is not to be used."""
    with _said_of("CUSTODY_HEARTBEAT_URL"):
        return Heartbeat(settings.heartbeat_url).beat if settings.heartbeat_url else None


@contextlib.contextmanager
def _said_of(setting: str) -> Iterator[None]:
    """What a channel refuses from the beginning is said of the setting that it comes from."""
    try:
        yield
    except Undelivered as problem:
        raise click.UsageError(f"{setting}: {problem}.") from None
