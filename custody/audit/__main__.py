"""The command: `python -m custody.audit BUNDLE --policy FILE`, with Python and `cryptography` alone."""

from __future__ import annotations

import argparse
import contextlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from custody import files
from custody.audit import Tell, verify, whole
from custody.audit.report import Report, json_text, text
from custody.errors import Conflict, Forged, Unreadable
from custody.ledger.bundle import BYTES_MOST
from custody.ledger.note import Checkpoint, Policy
from custody.outside import cleaned

Form = Callable[[Report], bytes]
FORMS: Final[Mapping[str, Form]] = {
    "text": lambda report: f"{text(report)}\n".encode(),
    "json": lambda report: f"{json_text(report)}\n".encode(),
}
"""In what a report is written."""


def _chosen(arguments: Sequence[str] | None, forms: Mapping[str, Form]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("custody.audit", description="Judges a whole ledger from its bundle.")
    parser.add_argument("bundle", type=Path, help="bundle.zip, or a folder of tiles")
    parser.add_argument("--policy", type=Path, required=True, help="whose signatures are believed")
    parser.add_argument("--genesis", help="hash of the first event, as given on paper")
    parser.add_argument("--pin", type=Path, action="append", default=[], help="an older checkpoint")
    parser.add_argument("--notebook", type=Path, help="file of yours in which the next audit goes on")
    parser.add_argument("--format", type=_known(forms), default="text", help="the report's form")
    parser.add_argument("--out", type=Path, help="file for the report; else it is printed")
    return parser.parse_args(arguments)


def _known(forms: Mapping[str, Form]) -> Callable[[str], str]:
    """One of these forms, or what the command says of another."""

    def form(name: str) -> str:
        if name in forms:
            return name
        more = "" if "pdf" in forms else "; `custody audit`, from media-custody[server], writes pdf, too"
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(sorted(forms))}{more}")

    return form


def main(
    arguments: Sequence[str] | None = None,
    forms: Mapping[str, Form] = FORMS,
    progress: Callable[[str], contextlib.AbstractContextManager[Tell]] | None = None,
) -> int:
    """The command. 0: sound. 1: anything wrong with the evidence. 2: it could not be judged."""
    chosen = _chosen(arguments, forms)
    try:
        _check_apart(chosen)
        with (progress or _progress)("Judging") as tell:
            report = _report(chosen, tell)
        written = forms[chosen.format](report)
        if chosen.out is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
        else:
            with files.whole(chosen.out) as out:
                out.write(written)
            print(report.sentence)
    except OSError as problem:
        print(files.told(problem), file=sys.stderr)
        return 2
    except sqlite3.Error as problem:
        print(f"The notebook cannot be read or written: {problem}.", file=sys.stderr)
        return 2
    except (Conflict, Unreadable) as problem:
        print(cleaned(str(problem)), file=sys.stderr)
        return 2
    return 0 if report.sound else 1


def _report(chosen: argparse.Namespace, tell: Tell) -> Report:
    if chosen.genesis is not None and not re.fullmatch(r"[0-9a-f]{64}", chosen.genesis):
        raise Unreadable(
            "The genesis is given as a hash of 64 digits, 0-9 and a-f, as `custody init` printed it."
        )
    policy = files.read(chosen.policy)
    with files.about(chosen.policy):
        Policy.read(policy)
    pins = [files.read(path) for path in chosen.pin]
    for pin, path in zip(pins, chosen.pin, strict=True):
        _check_pin(pin, path)
    with contextlib.ExitStack() as opened:
        bundle = chosen.bundle
        if not bundle.is_dir():
            bundle = opened.enter_context(files.opened(bundle, BYTES_MOST))
        return verify(bundle, policy, genesis=chosen.genesis, pins=pins, notebook=chosen.notebook, tell=tell)


def _check_apart(chosen: argparse.Namespace) -> None:
    """Unreadable where what is written would take the place of evidence."""
    evidence = [path.resolve() for path in (chosen.bundle, chosen.policy, *chosen.pin)]
    written = [path.resolve() for path in (chosen.out, chosen.notebook) if path is not None]
    for path in written:
        if path in evidence or chosen.bundle.resolve() in path.parents or written.count(path) > 1:
            raise Unreadable(f"{path} would be written over what is judged, or beside it. Name another file.")


def _check_pin(pin: bytes, path: Path) -> None:
    """Unreadable where what was given as a pin is none: a slip of the hand is no tampering of the ledger."""
    try:
        Checkpoint.of(whole(pin))
    except (Forged, Unreadable) as problem:
        raise Unreadable(f"{path} is not a checkpoint, and so no pin: {problem}") from None


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Tell]:
    """A line on the screen that counts; nothing where the errors do not go to a screen."""
    shown = False

    def tell(done: int, of: int) -> None:
        nonlocal shown
        if sys.stderr.isatty():
            shown = True
            print(f"\r{label} {done / of:4.0%} of {of:,}", end="", file=sys.stderr, flush=True)

    yield tell
    if shown:
        print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
