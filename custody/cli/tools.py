"""Small tools: reading photographs, printing labels, judging a bundle, looking after the machine."""

from __future__ import annotations

import json
import shutil
import smtplib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import track
from sqlmodel import SQLModel

from custody import audit as auditor
from custody.acts import media
from custody.cli import parts
from custody.errors import Refusal, Unreadable, Untrusted
from custody.rules.media import Medium
from custody.settings import Settings
from labels import identity
from labels.sheet import STOCKS, Label, Spine, calibration, sheet
from scanner_app import decode

_medium = SQLModel.metadata.tables["medium"]
LETTERS = {"medium": "M", "case": "C", "seal": "S"}
ROOM_WANTED = 1 << 30
"""Free bytes below which `doctor` complains."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file.")
def scan(files: tuple[Path, ...], as_json: bool) -> None:
    """Read the QR and Code 39 symbols in photographs."""
    failed = False
    quiet = as_json or len(files) < 10
    for file in track(files, console=Console(stderr=True), description="reading", disable=quiet):
        try:
            reading = decode.read(file.read_bytes())
        except (OSError, Unreadable) as problem:
            click.echo(f"{file}: {problem}", err=True)
            failed = True
            continue
        codes = [{"text": c.text, "symbology": c.symbology, "reader": c.reader} for c in reading.codes]
        if as_json:
            click.echo(json.dumps({"file": str(file), "codes": codes, "ms": round(reading.ms, 1)}))
        else:
            found = ", ".join(f"{c['text']} ({c['symbology']}, {c['reader']})" for c in codes)
            click.echo(f"{file}: {found or 'nothing was read'}")
    sys.exit(1 if failed else 0)


@click.command("labels")
@parts.book_option
@click.option("--stock", type=click.Choice(sorted(STOCKS)), required=True, help="What is printed on.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("labels.pdf"), show_default=True)
@click.option("--site", help="Only what belongs to this site.")
@click.option("--start", default=1, show_default=True, help="The first free label of the first sheet.")
@click.option("--as", "by", default="P-1", show_default=True, help="The person who prints.")
@click.option("--calibrate", is_flag=True, help="A page of outlines and rulers in place of labels.")
def labels(
    folder: Path, stock: str, out: Path, site: str | None, start: int, by: str, calibrate: bool
) -> None:
    """Print labels for what has none yet. Each is read back before the file is written."""
    if calibrate:
        out.write_bytes(calibration(STOCKS[stock]))
        click.echo(f"Wrote {out}. Print it at 100 %, and measure.")
        return
    book = parts.open_book(folder)
    with book.read() as connection:
        query = sa.select(_medium).where(_medium.c.prints == 0).order_by(_medium.c.volser, _medium.c.id)
        rows = connection.execute(query.where(_medium.c.site == site) if site else query).all()
    things = [Medium(r.id, r.what, r.site, r.volser, r.form) for r in rows]
    if stock == "lto-spine":
        things = [thing for thing in things if thing.volser]
    if not things:
        click.echo("Everything has its label already.")
        return
    pdf = sheet(printed(things, stock, Settings().label_host), STOCKS[stock], start=start)
    for first in range(0, len(things), 1000):
        media.labelled(book, by, [t.id for t in things[first : first + 1000]], stock, how="console")
    out.write_bytes(pdf)
    click.echo(
        f"Wrote {out}: {len(things)} labels, each read back. Print it at 100 %, not fitted to the page."
    )


def printed(things: list[Medium], stock: str, host: str) -> list[Label] | list[Spine]:
    """What stands on the label of each thing on this stock."""
    if stock == "lto-spine":
        return [Spine(t.volser) for t in things if t.volser]
    if not host:
        raise click.UsageError(
            "Set CUSTODY_LABEL_HOST before the first print: a neutral name that you will keep for ever."
        )
    return [
        Label(
            t.id, identity.url(host, LETTERS[t.what], t.id), tuple(x for x in (t.volser, t.form, t.site) if x)
        )
        for t in things
    ]


@click.command("audit", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def audit(arguments: tuple[str, ...]) -> None:
    """Judge an exported ledger; the same as python -m custody.audit."""
    sys.exit(auditor.main(arguments))


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
        except (Refusal, Untrusted, OSError, ValueError, smtplib.SMTPException) as problem:
            good, words = False, str(problem)
        wrong += not good
        click.echo(f"{'ok ' if good else 'BAD'}  {name:10} {words}")
    sys.exit(1 if wrong else 0)


def _checks(folder: Path, settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "python", lambda: sys.version.split()[0]
    yield "book", lambda: _book(folder)
    yield "disk", lambda: _disk(folder)
    yield "libzbar", _libzbar
    yield "mail", lambda: _mail(settings)
    yield "labels", lambda: _label_host(settings)


def _book(folder: Path) -> str:
    book = parts.open_book(folder)
    entries = book.checkpoint().split("\n")[1]
    return f"{book.origin}, {int(entries):,} entries, tree and triggers as signed"


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
    parts.channels(settings, parts.clock)
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=5) as line:
        return f"{settings.smtp_host}:{settings.smtp_port} answers {line.noop()[0]}"


def _label_host(settings: Settings) -> str:
    if not settings.label_host:
        raise Unreadable("CUSTODY_LABEL_HOST is not set: no label can be printed")
    identity.url(settings.label_host, "M", "0" * identity.ID_LENGTH)
    return settings.label_host
