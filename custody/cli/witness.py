"""A witness for any log: made, told whom to watch, and served."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.cli.listening import check_certificate, listen
from custody.cli.server import Server
from custody.cli.signals import stopping
from custody.ledger.note import WitnessKey
from custody.settings import Settings
from custody.witness import BODY_MOST, Witness

folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False, readable=False))


def clock() -> int:
    """The machine's time, in POSIX seconds."""
    return int(time.time())


@click.group()
def witness() -> None:
    """Cosign other organisations' logs, so that none can be written anew unseen (C2SP tlog-witness)."""


@witness.command()
@folder_argument
@click.option("--name", required=True, help="The witness's name for ever, such as witness.example/a.")
def init(folder: Path, name: str) -> None:
    """Make a witness in FOLDER, which knows no log yet.

    Prints its vkey. Those who shall trust it put it into a `witness` line of their log's policy.
    """
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?", name):
        raise click.UsageError("A witness's name is an address without https://, such as witness.example/a.")
    made = Witness.create(folder, WitnessKey(name, Ed25519PrivateKey.generate()), clock)
    click.echo(made.vkey)
    click.echo(
        f"A new witness stands in {folder}. It cosigns no log until `custody witness add {folder} VKEY`.\n"
        "Never restore its database from a copy, and never run it in two places: it would contradict itself.",
        err=True,
    )


@witness.command()
@folder_argument
@click.argument("vkey")
def add(folder: Path, vkey: str) -> None:
    """Watch the log of this VKEY, which stands in the `log` line of its policy."""
    click.echo(f"{Witness(folder, clock).add(vkey)} is watched from now on.")


@witness.command("list")
@folder_argument
def list_(folder: Path) -> None:
    """List the logs that are watched: origin, size, when last cosigned."""
    for log in Witness(folder, clock).logs():
        when = "never" if log.cosigned is None else f"{datetime.fromtimestamp(log.cosigned, UTC):%FT%TZ}"
        click.echo(f"{log.origin}\t{log.size}\t{when}")


@witness.command()
@folder_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8081, show_default=True)
def serve(folder: Path, host: str, port: int) -> None:
    """Answer POST /add-checkpoint and GET /<SHA-256 of an origin>/checkpoint.

    TLS, threads and proxies are set as for `custody serve`. Without TLS nothing can be forged, for all that
    passes is signed; but whoever sits in between can keep it from arriving.
    """
    here, settings = Witness(folder, clock), Settings()
    check_certificate(settings)
    # an open address will do, since there is no secret on this line
    with listen(host, port, encrypted=True) as listening, here.alone():
        click.echo(f"{here.vkey} answers on {host}, port {port}.", err=True)
        Server(lambda: here, settings, BODY_MOST + 1).run(listening, stopping(None))
