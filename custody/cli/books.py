"""Making a book, filling it from files, and writing it out."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody import files, orders
from custody.acts import media, people, signing
from custody.acts.pulses import SILENT_MOST
from custody.cli import parts
from custody.errors import Conflict
from custody.facts import Relaxation
from custody.ledger.envelope import pae
from custody.ledger.keys import SigningKey
from custody.ledger.note import LogKey
from custody.readers import inventory, mtx
from custody.settings import Settings
from custody.store import accounts, home, queries, witnesses
from custody.store import export as exports
from custody.store import move as moving
from custody.store.book import Book
from custody.store.database import at as database_at

SMALL: Final[tuple[Relaxation, ...]] = ("combined-roles", "outside-senior", "two-of-three-custodians")


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the five people of a small organisation: who they are, and what they hold."""

    title: str
    organisation: str
    roles: tuple[tuple[str, str | None], ...]


SEATS: Final = (
    Seat(
        "owner",
        "HOME",
        (("senior-manager", None), ("head", None), ("data-protection-officer", None), ("custodian", None)),
    ),
    Seat("deputy", "DEPUTY", (("senior-manager", None), ("it-security", None), ("custodian", None))),
    Seat("office keeper", "HOME", (("site-manager", "OFFICE"), ("custodian", None))),
    Seat("store keeper", "HOME", (("site-manager", "STORE"),)),
    Seat("courier", "HOME", (("courier", None),)),
)
"""`custody init --small`: a company of twenty, two sites, an outside deputy as the second senior manager."""


@click.command()
@parts.book_option
@click.option(
    "--database", "address", metavar="URL", help="A PostgreSQL database, as the servers sign in to it."
)
@parts.owner_option
@click.option("--origin", required=True, help="The log's name for ever, such as custody.example.org/log.")
@click.option("--organisation", default="HOME", show_default=True, help="The home organisation's code.")
@click.option("--name", prompt="Your name", help="The first administrator's name.")
@click.option("--address", "mail", prompt="Your e-mail address", help="The first administrator's address.")
@click.option(
    "--small",
    is_flag=True,
    help="A company of twenty: five people beside you, two sites.",
)
@click.option("--zone", default="UTC", show_default=True, help="With --small, the sites' time zone.")
@click.option("--seat", "seats", multiple=True, metavar="'Name <address>'", help="With --small, five times.")
def init(
    folder: Path,
    address: str | None,
    owner: str | None,
    origin: str,
    organisation: str,
    name: str,
    mail: str,
    small: bool,
    zone: str,
    seats: tuple[str, ...],
) -> None:
    """Make a new book.

    Prints the hash of its first entry, which belongs on paper in the auditor's hands, and a one-time link
    with which the first administrator signs in and enrols a browser. There is no default account.
    """
    settings = Settings()
    if origin.endswith(".invalid"):
        raise click.UsageError("A name that ends in .invalid is for demos: custody demo.")
    if (address is None) != (owner is None):
        raise click.UsageError(
            "--database and --owner go together: as whom servers come, and who makes the tables."
        )
    place = home.Place(address, owner) if address is not None and owner is not None else None
    files.check_empty(folder, home.BOOK)
    form = {"origin": origin, "name": name, "address": mail, "organisation": organisation}
    order = orders.read(orders.Founder, form)
    if zone not in available_timezones():
        raise click.UsageError(f"{zone} is not a time zone, such as Asia/Hong_Kong.")
    named = _named(seats) if small else []
    addresses = [order.address, *(address_ for _, _, address_ in named)]
    if twice := next((each for each in addresses if addresses.count(each) > 1), None):
        raise click.UsageError(f"{twice} is given twice. Each person has an address of their own, you too.")
    founder = parts.new_key()
    founding = home.Founding(
        origin=order.origin,
        organisation=order.organisation,
        contact=order.address,
        log_key=LogKey(order.origin, Ed25519PrivateKey.generate()),
        server_key=parts.new_key(),
        founder_key=founder,
        relaxed=SMALL if small else (),
    )
    with home.making(folder, founding, parts.clock, secrets.token_bytes, place) as (book, genesis):
        accounts.add(book, "P-1", order.name, order.address)
        links = [(order.name, link(book, settings.base_url, "P-1", founder.pkcs8()))]
        if small:
            links += _small(book, settings, founder, named, zone)
        click.echo(f"A new book stands in {folder}.\n")
        click.echo(
            f"Print this hash and give it to your auditor by another way than the bundle:\n  {genesis}\n"
        )
        for who, address_ in links:
            click.echo(f"One-time link for {who}, good for three days:\n  {address_}\n")
        click.echo("Whoever has a link is that person until it is used. Hand each over yourself.")


def link(book: Book, base_url: str, person: str, pkcs8: bytes | None = None) -> str:
    """A one-time link. What stands behind the # never reaches a server: it is the older device's key."""
    token = people.link(book, "P-1", person, how="console")
    key = base64.urlsafe_b64encode(pkcs8).decode().rstrip("=") if pkcs8 else ""
    return f"{base_url}/begin/{token}" + (f"#k={key}" if key else "")


def _named(seats: tuple[str, ...]) -> list[tuple[Seat, str, str]]:
    if seats and len(seats) != len(SEATS):
        raise click.UsageError(f"--small sets up {len(SEATS)} people: {', '.join(s.title for s in SEATS)}.")
    found = []
    for seat, given in zip(SEATS, seats or ("",) * len(SEATS), strict=True):
        text = given or click.prompt(f"The {seat.title}, as Name <address>")
        name, _, address = text.rpartition("<")
        order = orders.read(orders.Contact, {"name": name.strip(), "address": address.rstrip("> ")})
        found.append((seat, order.name, order.address))
    return found


def _small(
    book: Book, settings: Settings, founder: SigningKey, named: list[tuple[Seat, str, str]], zone: str
) -> list[tuple[str, str]]:
    """Two sites, the deputy's organisation for five years, and the five people; a link for each."""
    now = book.clock()
    for site in ("OFFICE", "STORE"):
        people.open_site(book, "P-1", orders.OpenSite(site=site, zone=zone), how="console")
    contract = orders.AdmitOrganisation(organisation="DEPUTY", until=_years(now, 5))
    people.admit_organisation(book, "P-1", contract, how="console")
    links = []
    for seat, name, address in named:
        home_code = _home(book) if seat.organisation == "HOME" else seat.organisation
        grants = tuple(orders.Grant.model_validate({"role": r, "site": s}) for r, s in seat.roles)
        order = orders.Invite(name=name, address=address, organisation=home_code, grants=grants)
        invited = people.invitation(book, order)
        payload = signing.statement(book, invited)
        signing.sign(book, "P-1", payload, founder.public.id, founder.sign(pae(payload)), how="console")
        person = invited.person
        accounts.add(book, person, name, address)
        links.append((f"{name} ({seat.title})", link(book, settings.base_url, person)))
    return links


def _home(book: Book) -> str:
    with book.world() as world:
        return world.log.organisation


def _years(now: datetime, years: int) -> datetime:
    return now + timedelta(days=365 * years)


@click.group("db")
def db() -> None:
    """The tables of a book."""


@db.command("upgrade")
@parts.book_option
@parts.owner_option
def upgrade(folder: Path, owner: str | None) -> None:
    """Bring the tables up to this program's version. Stop the server, and make a backup, before you do."""
    before, after = home.upgrade(folder, owner)
    parts.open_book(folder)
    click.echo(
        f"The tables were of version {before}, and are of {after}." if before != after else "Nothing to do."
    )


@db.command("move")
@parts.book_option
@parts.owner_option
@click.argument("source")
@click.argument("target")
def move(folder: Path, owner: str | None, source: str, target: str) -> None:
    """Move a book from the database SOURCE, where it is, to TARGET, which is empty.

    Each is sqlite:NAME.db, a file in the book's folder, or postgresql://... as the servers sign in. Stop all
    servers of the book before. The old database stays as it is: keep it away from them.
    """
    database_at(target, folder)  # what is no address is told before anybody waits
    book = parts.open_book(folder)
    if book.database.address != source:
        raise click.UsageError(f"The book is not in {source}: it is in {book.database.address}.")
    with book.read() as connection:
        at = queries.pulse(connection, "monitor")
    if at is not None and book.clock() - at < SILENT_MOST:
        raise Conflict("A monitor was at work on this book just now. Stop all servers, and wait two minutes.")
    with parts.progress("Entries") as tell:
        entries = moving.move(book, folder, target, owner, tell)
    click.echo(f"{entries:,} entries are in {target}, with the same root, and nothing differs.")


@click.command("export")
@parts.book_option
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--tiles", is_flag=True, help="A folder of static files (tlog-tiles) in place of a bundle.")
def export(folder: Path, target: Path, tiles: bool) -> None:
    """Write the whole ledger to TARGET: bundle.zip, or with --tiles a folder."""
    book = parts.open_book(folder)
    if tiles:
        exports.export_tiles(book, target)
        note = files.read(target / "checkpoint")
    else:
        note = exports.export_bundle(book, target)
    click.echo(
        f"Wrote {target}. Judge it elsewhere: python -m custody.audit {target} --policy policy\n"
        f"The policy is {folder / 'policy'}: an auditor keeps a copy, received by another way."
    )
    if words := witnesses.lacking(book, note):
        click.echo(words)


@click.command("import")
@parts.book_option
@click.option("--site", required=True, help="The site at which the library stands.")
@click.option("--as", "by", default="P-1", show_default=True, help="The person who does it.")
@click.option("--mtx", "listing", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--csv", "table", type=click.Path(path_type=Path, exists=True), help="What is on the tapes.")
def import_(folder: Path, site: str, by: str, listing: Path, table: Path | None) -> None:
    """Register a library's tapes from `mtx status` output, and what is on them from a CSV."""
    library = mtx.read(files.read(listing, files.LISTING))
    rows = inventory.read(files.read(table, files.LISTING)) if table else ()
    book = parts.open_book(folder)
    taken = media.take_in(book, by, site, library, rows, draw=parts.draw_identity, how="import")
    known = len(taken.ids) - len(taken.fresh)
    click.echo(f"{len(taken.fresh)} tapes registered at {site}, {known} were known.")
    for words in taken.flagged:
        click.echo(f"  not registered: {words}. Look at it, label it, import again.")
    for volser, tag in taken.spelt.items():
        click.echo(f"  {tag} is registered as {volser}, in capitals, as on a label")
    if taken.service:
        click.echo(f"  left out: cleaning and test cartridges {', '.join(taken.service)}")
