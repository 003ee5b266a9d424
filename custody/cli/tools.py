"""Small tools: reading photographs, printing labels, judging a bundle, looking after the machine."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import track
from sqlmodel import SQLModel

from custody import files
from custody.acts import media
from custody.acts.pulses import SILENT_MOST, absent
from custody.audit import __main__ as auditor
from custody.channels.email import Email
from custody.cli import parts
from custody.cli.signals import stopping
from custody.errors import Refusal, Unreadable, Untrusted
from custody.guard import Guard
from custody.outside import cleaned
from custody.rules.media import Medium
from custody.rules.people import Site
from custody.settings import Settings
from custody.store import fsck as whole
from custody.store import queries
from custody.store.book import Book
from custody.store.nouns import SHELVES
from custody.store.verdict import VerdictFile
from custody.writers.audit import audit_report
from custody.writers.labelling import labels_for
from labels import identity
from labels.sheet import STOCKS, calibration, sheet
from scanner_app import decode
from scanner_app.apart import Reader

_medium = SQLModel.metadata.tables["medium"]
ROOM_WANTED = 1 << 30
"""Free bytes below which `doctor` complains."""
SCANNED_MOST = 10_000
"""Characters of what was read in one photograph: a shelf of tapes."""


@click.command()
@click.argument("photographs", metavar="FILES...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file.")
def scan(photographs: tuple[Path, ...], as_json: bool) -> None:
    """Read the QR and Code 39 symbols in photographs."""
    failed = False
    quiet = as_json or len(photographs) < 10
    shown = track(photographs, console=Console(stderr=True), description="reading", disable=quiet)
    with Reader() as reader:
        for file in shown:
            try:
                reading = reader.read(files.read(file, decode.FILE_MOST))
            except (OSError, Unreadable) as problem:
                click.echo(cleaned(f"{file}: {problem}"), err=True)
                failed = True
                continue
            codes = [{"text": c.text, "symbology": c.symbology, "reader": c.reader} for c in reading.codes]
            if as_json:
                click.echo(json.dumps({"file": str(file), "codes": codes, "ms": round(reading.ms, 1)}))
            else:
                found = ", ".join(f"{c['text']} ({c['symbology']}, {c['reader']})" for c in codes)
                click.echo(cleaned(f"{file}: {found or 'nothing was read'}", SCANNED_MOST))
    sys.exit(1 if failed else 0)


@click.command("labels")
@parts.book_option
@click.option("--stock", type=click.Choice(sorted(STOCKS)), required=True, help="What is printed on.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("labels.pdf"), show_default=True)
@click.option("--site", help="Only what belongs to this site.")
@click.option("--start", default=1, show_default=True, help="The first free label of the first sheet.")
@click.option("--as", "by", default="P-1", show_default=True, help="The person who prints.")
@click.option("--again", metavar="REASON", help="Print what was printed before, too, for this reason.")
@click.option("--only", multiple=True, metavar="ID", help="Only the label of this id; may be repeated.")
@click.option("--calibrate", is_flag=True, help="A page of outlines and rulers in place of labels.")
def labels(
    folder: Path,
    stock: str,
    out: Path,
    site: str | None,
    start: int,
    by: str,
    again: str | None,
    only: tuple[str, ...],
    calibrate: bool,
) -> None:
    """Print labels for what has none yet. Each is read back before the file is written."""
    if calibrate:
        with files.whole(out) as file:
            file.write(calibration(STOCKS[stock]))
        click.echo(f"Wrote {out}. Print it at 100 %, and measure.")
        return
    book = parts.open_book(folder)
    things = _to_print(book, site, only, spines=STOCKS[stock].kind == "code39", again=again is not None)
    if not things:
        click.echo("Nothing here waits for its first label. To print again: --again 'the old one is torn'.")
        return
    settings = Settings()
    chosen = labels_for(things, STOCKS[stock], settings.label_host, settings.found_phone)
    pdf = sheet(chosen.labels, STOCKS[stock], start=start)
    with files.whole(out) as file:  # recorded between the writing and the naming: no label without its fact
        file.write(pdf)
        file.flush()
        os.fsync(file.fileno())
        for first in range(0, len(chosen.things), 1000):
            names = [t.id for t in chosen.things[first : first + 1000]]
            media.labelled(book, by, names, stock, reason=again, how="console")
    for words in chosen.left_out:
        click.echo(f"Not printed: {words}", err=True)
    printed = f"Wrote {out}: {len(chosen.things)} labels, each read back."
    click.echo(f"{printed} Print it at 100 %, not fitted to the page.")
    if STOCKS[stock].kind == "qr" and (caution := identity.judge_host(settings.label_host)):
        click.echo(caution)


def _to_print(
    book: Book, site: str | None, only: tuple[str, ...], *, spines: bool, again: bool
) -> list[Medium]:
    shelf = SHELVES[Medium]
    by_number = (_medium.c.what, sa.func.length(_medium.c.short), _medium.c.short)
    query = sa.select(shelf.table).order_by(*by_number, _medium.c.volser, _medium.c.id)
    if only:
        query = query.where(_medium.c.id.in_([identity.scanned(text) for text in only]))
    if not again:
        query = query.where(_medium.c.prints == 0)
    if spines:
        query = query.where(_medium.c.volser.is_not(None))
    with book.world() as world:
        if site is not None:
            query = query.where(_medium.c.site == world.get(Site, site).id)
    with book.read() as connection:
        return [cast("Medium", shelf.noun(row)) for row in connection.execute(query)]


@click.command("audit", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def audit(arguments: tuple[str, ...]) -> None:
    """Judge an exported ledger; the same as python -m custody.audit, which writes no PDF."""
    forms = {**auditor.FORMS, "pdf": audit_report}
    sys.exit(auditor.main(arguments, forms, parts.progress))


@click.command("fsck")
@parts.book_option
@click.option("--nightly", is_flag=True, help="Go on, as the guard: each night; look twice a minute; tell.")
@click.option("--parent", type=int, hidden=True, help="Ends when this process is not its parent any more.")
def fsck(folder: Path, nightly: bool, parent: int | None) -> None:
    """Compare the book with itself: every entry, the tree, and every table with what the ledger says.

    Exit code 1 where anything differs, 2 where that could not be found out. It changes nothing, and may run
    while the book is in use. `custody serve` keeps the nightly one running beside the pages; where it is
    stopped, the exit code is that of what it last found.
    """
    try:
        book = parts.open_book(folder)
        if nightly and book.is_demo:
            raise click.UsageError("A demo has a time of its own; the night of its book never comes.")
        if nightly:
            guard = Guard(book, VerdictFile(folder))
            guard.run(stopping(parent))
            sys.exit(0 if guard.sound else 1)
        with parts.progress("Entries") as tell:
            wrong = whole.fsck(book, tell)
        entries = book.checkpoint().split("\n")[1]
    except Refusal as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    for each in wrong:
        click.echo(each.words)
    if wrong:
        click.echo(f"{len(wrong):,} difference{'s' if len(wrong) > 1 else ''}.")
        sys.exit(1)
    click.echo(f"whole, {int(entries):,} entries")


@click.command()
@parts.book_option
def doctor(folder: Path) -> None:
    """Look at everything that must work, and say what does not."""
    settings = Settings()
    wrong = 0
    for name, check in _checks(folder, settings):
        try:
            good, words = True, check()
        except click.ClickException as problem:
            good, words = False, problem.format_message()
        except OSError as problem:
            good, words = False, str(problem) if problem.filename is None else files.told(problem)
        except (Refusal, Untrusted, ValueError, smtplib.SMTPException) as problem:
            good, words = False, str(problem)
        wrong += not good
        click.echo(f"{'ok ' if good else 'BAD'}  {name:10} {cleaned(words)}")
    sys.exit(1 if wrong else 0)


def _checks(folder: Path, settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "python", lambda: sys.version.split()[0]
    yield "book", lambda: _book(folder)
    yield "privacy", lambda: _private(folder)
    yield "disk", lambda: _disk(folder)
    yield "libzbar", _libzbar
    yield "mail", lambda: _mail(settings)
    yield "monitor", lambda: _monitor(folder)
    yield "guard", lambda: _guard(folder)
    yield "witnesses", lambda: _witnesses(folder)
    yield "labels", lambda: _label_host(settings)


def _book(folder: Path) -> str:
    book = parts.open_book(folder)
    entries = book.checkpoint().split("\n")[1]
    return f"{book.origin}, {int(entries):,} entries, tree and triggers as signed"


def _private(folder: Path) -> str:
    shared = files.shared(folder)
    if shared:
        names = ", ".join(str(path.relative_to(folder)) for path in shared[:3])
        raise Unreadable(
            f"other accounts can read {len(shared)} of its files ({names}{', ...' if shared[3:] else ''}),"
            f" and in them names, addresses and password hashes: chmod -R go= {folder}"
        )
    return "its files are readable by their owner alone"


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    if free < ROOM_WANTED:
        raise Unreadable(f"only {free / 1e6:,.0f} MB are free: when the disk is full, acts are refused")
    return f"{free / 1e9:,.1f} GB free"


def _libzbar() -> str:
    found = decode.libzbar()
    if found is None:
        raise Unreadable("not found: photographs are read by zxing-cpp alone, which reads fewer of them")
    return found


def _mail(settings: Settings) -> str:
    Email(parts.relay(settings), parts.clock).probe()
    return f"{settings.smtp_host}:{settings.smtp_port} takes mail from {settings.mail_from}"


def _monitor(folder: Path) -> str:
    book = parts.open_book(folder)
    with book.read() as connection:
        at = queries.pulse(connection, "monitor")
    if at is None:
        raise Unreadable("it has never run on this book: nobody would be told of a loss (custody serve)")
    silent = book.clock() - at
    if silent > SILENT_MOST:
        raise Unreadable(f"it has given no sign for {silent}: nobody would be told of a loss now")
    return f"its last round was {silent.total_seconds():.0f} s ago"


def _guard(folder: Path) -> str:
    verdict = VerdictFile(folder)
    if why := verdict.silences(parts.clock()):
        raise Unreadable(f"no sign of life is given to the outside: {why}")
    return "it finds the book whole, and everybody told"


def _witnesses(folder: Path) -> str:
    book = parts.open_book(folder)
    if not book.trust.urls:
        return "the policy gives none an address: nobody is asked"
    with book.world() as world:
        founder = world.log.founder
    with queries.view(book, founder) as view:
        late = absent(view)
    if late:
        names = ", ".join(f"{name} since {since:%Y-%m-%d %H:%M} UTC" for name, since in late.items())
        raise Unreadable(f"not everything is cosigned by {names}: custody log publish says why")
    return f"{len(book.trust.urls)} have cosigned all there is, or will in a moment"


def _label_host(settings: Settings) -> str:
    if not settings.label_host:
        raise Unreadable("CUSTODY_LABEL_HOST is not set: no label can be printed")
    return f"{settings.label_host}. {identity.judge_host(settings.label_host)}".removesuffix(". ")
