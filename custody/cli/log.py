"""The commands about the log itself: receipts that are checked without it, who reads it, its mirror."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from custody import files
from custody.acts import publishing
from custody.channels.tiles import fetcher
from custody.channels.witness import submit
from custody.cli import parts
from custody.errors import Undelivered, Unreadable
from custody.facts import Handed, Statement
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.note import Policy
from custody.ledger.receipt import Receipt
from custody.mirror import check, pull
from custody.store import export, tokens, witnesses
from custody.strict import time_text

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def receipt() -> None:
    """Check a receipt without the log that gave it."""


@receipt.command("verify")
@click.argument("file", type=_file)
@click.option("--policy", type=_file, required=True, help="Whom you trust: the log's policy file.")
def verify(file: Path, policy: Path) -> None:
    """Show what FILE proves, or say why it proves nothing.

    It needs the policy alone: no book, no network. Get the policy by another way than the receipt.
    """
    with files.about(policy):
        trust = Policy.read(files.read(policy))
    with files.about(file):
        kept = Receipt.read(files.read(file))
    opened = kept.check(trust)
    checkpoint = opened.checkpoint
    envelope = Envelope.read(kept.entry)
    statement = Statement.read(envelope.payload)
    if statement.origin != checkpoint.origin:
        raise Unreadable(f"The entry is of another log ({statement.origin}) than the one that signed for it.")
    click.echo(
        f"Entry {kept.index} is in the log {checkpoint.origin}, which had {checkpoint.size:,} entries."
    )
    click.echo(f"  event    {event_id(envelope.payload)}")
    for line in _lines(statement):
        click.echo(f"  {line}")
    cosigned = ", ".join(opened.witnesses) or "none"
    click.echo(f"Signed by the log; witnesses: {cosigned}. The log itself checked the devices' signatures.")


def _lines(statement: Statement) -> list[str]:
    fact = statement.fact
    made = f"made     {time_text(statement.made)}, by the device's clock"
    if not isinstance(fact, Handed):
        return [f"kind     {fact.kind}", made]
    open_lines = len(fact.missing) + len(fact.refused) + len(fact.damaged)
    return [
        f"kind     hand-off of {fact.consignment} at {fact.site}",
        f"giver    device {fact.giver.key}",
        f"taker    device {fact.taker.key}",
        f"lines    {f'{open_lines} missing, refused or damaged' if open_lines else 'every one was read'}",
        made,
    ]


@click.group("log")
def log() -> None:
    """The log as files: its mirror on another disk, and who may read it over the network."""


@log.command("publish")
@parts.book_option
@click.option("--every", type=click.FloatRange(min=1), help="Go on, and ask again after so many seconds.")
@click.option("--parent", type=int, hidden=True, help="Ends when this process is not its parent any more.")
def publish(folder: Path, every: float | None, parent: int | None) -> None:
    """Ask the witnesses that the policy names to cosign the newest checkpoint.

    The policy gives each an address: witness NAME VKEY URL. `custody serve` runs this beside the pages.
    """
    book = parts.open_book(folder)
    if not book.trust.urls:
        raise click.UsageError(
            f"{folder / 'policy'} has no line: witness NAME VKEY URL. Nobody can be asked."
        )
    said: list[publishing.Asked] = []
    while True:
        asked = publishing.publish(book, submit)
        for each in asked:
            if each not in said:
                click.echo(_asked(each))
        said = asked
        if every is None:
            sys.exit(1 if any(each.why for each in asked) else 0)
        time.sleep(every)
        if parent is not None and os.getppid() != parent:
            return


def _asked(each: publishing.Asked) -> str:
    if not each.asked:
        return f"{each.witness} had cosigned all {each.size:,} entries before; it was not asked."
    return f"{each.witness} has cosigned {each.size:,} entries{each.why and f'; {each.why}'}"


@log.command("token")
@parts.book_option
@click.argument("name")
@click.option("--for", "reader", type=click.Choice(["witness", "mirror"]), required=True)
def token(folder: Path, name: str, reader: tokens.Reader) -> None:
    """Make a token with which another machine reads the log over the network.

    A witness gets checkpoints and hashes, which say how much there is and nothing else. A mirror gets the
    entries, too: what moves where, and when.
    """
    made = tokens.make(parts.open_book(folder), name, reader)
    click.echo(made)
    click.echo(f"Shown this once. It goes into the header: Authorization: Bearer {made[:4]}...", err=True)


@log.command("tokens")
@parts.book_option
def every_token(folder: Path) -> None:
    """List the tokens that were made."""
    for each in tokens.every(parts.open_book(folder)):
        end = f", revoked {each.revoked_at:%Y-%m-%d}" if each.revoked_at else ""
        click.echo(f"{each.name}: {each.reader}, made {each.made_at:%Y-%m-%d}{end}")


@log.command("revoke")
@parts.book_option
@click.argument("name")
def revoke(folder: Path, name: str) -> None:
    """End a token: it opens nothing from now on."""
    tokens.revoke(parts.open_book(folder), name)
    click.echo(f"The token {name} opens nothing any more.")


@log.command("restore")
@parts.book_option
@click.option(
    "--from", "mirror", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True
)
def restore(folder: Path, mirror: Path) -> None:
    """Bring a restored backup up to date with the mirror, entry by entry, to the same root.

    What the ledger does not hold does not come back: names, addresses and other texts that were written
    since the backup, and accounts, links and tokens that were made since.
    """
    book = parts.open_book(folder, pinned=False)
    with parts.progress("Replaying") as tell:
        restored = export.restore(book, mirror, tell)
    click.echo(
        f"{restored.entries:,} entries came back: the book has {restored.size:,}, and the mirror's root."
    )
    if restored.texts:
        click.echo(
            f"{restored.texts:,} texts that were written since the backup are lost; the ledger names them."
        )


@log.command("mirror")
@parts.book_option
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--from", "url", metavar="URL", help="The address of a log elsewhere: https://.../log")
@click.option("--policy", type=_file, help="With --from: whose signature is believed.")
@click.option("--token", "token_file", type=_file, help="With --from: the file that holds a mirror's token.")
@click.option("--check", "again", is_flag=True, help="Then read all of TARGET again, older tiles, too.")
def mirror(
    folder: Path, target: Path, url: str | None, policy: Path | None, token_file: Path | None, *, again: bool
) -> None:
    """Bring the tiles in TARGET up to date; only what is new is written.

    Run it every few minutes, onto another disk, or with --from on another machine: it is the way back when
    the book is lost, and it never accepts a history that is shorter or other than what it has. What it has
    it reads again with --check: say so once a week.
    """
    try:
        if url is None and (policy or token_file):
            raise click.UsageError("--policy and --token belong to --from.")
        if url is None:
            book = parts.open_book(folder)
            believed = book.policy.encode()
            before, after = export.export_tiles(book, target)
        elif policy is None or token_file is None:
            raise click.UsageError("--from takes --policy and --token with it.")
        else:
            fetch = fetcher(url, files.read(token_file).decode("utf-8", "replace").strip())
            believed = files.read(policy)
            before, after = pull(target, fetch, believed)
        if again:
            with parts.progress("Entries") as tell:
                check(target, believed, tell)
    except OSError as problem:
        raise click.ClickException(files.told(problem)) from None
    except Undelivered as problem:
        raise click.ClickException(f"Nothing was taken: {problem}.") from None
    read = ", and all of it is as it was signed" if again else ""
    click.echo(f"{target} has {after:,} entries, {after - before:,} of them new{read}.")
    if url is None and (words := witnesses.lacking(book, files.read(target / "checkpoint"))):
        click.echo(words)
