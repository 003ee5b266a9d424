"""The command and its list of subcommands; each is imported when it is called.

    custody init | serve | monitor | demo | scan | labels | audit | receipt | log | export | import | db
            | witness | fsck | doctor

Exit codes: 0 done; 1 the evidence is not sound (`audit`) or something was refused; 2 it could not begin.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import MutableMapping
from typing import Any, Final, NoReturn

from custody.outside import cleaned

LONGEST: Final = 1 << 14
"""Characters of what is logged or said at once: a traceback, a refusal with its list."""

NEEDS_SERVER: Final = (
    "This needs more than the offline auditor: pip install 'media-custody[server]'.\n"
    "The auditor itself runs without it: python -m custody.audit BUNDLE --policy FILE"
)

COMMANDS: Final = {
    "init": (
        "custody.cli.books",
        "init",
        "Make a new book, and a one-time link for its first administrator.",
    ),
    "serve": ("custody.cli.serving", "serve", "Serve the pages, and watch (with the monitor beside it)."),
    "monitor": ("custody.cli.serving", "monitor", "Watch a book: climb ladders, send alerts."),
    "demo": ("custody.cli.demo", "demo", "Replay a loss from tape list to a senior manager's inbox."),
    "scan": ("custody.cli.tools", "scan", "Read the codes in photographs."),
    "labels": ("custody.cli.tools", "labels", "Print labels as a PDF."),
    "audit": ("custody.cli.tools", "audit", "Judge an exported ledger (needs no book)."),
    "receipt": ("custody.cli.log", "receipt", "Check a receipt of a hand-off (needs no book)."),
    "log": ("custody.cli.log", "log", "The log as files: its mirror, and who may read it."),
    "export": ("custody.cli.books", "export", "Write the ledger as a bundle, or as tiles."),
    "import": ("custody.cli.books", "import_", "Register tapes from an mtx listing and an inventory CSV."),
    "db": (
        "custody.cli.books",
        "db",
        "The tables of a book: bring them up to this program's version, or move them.",
    ),
    "witness": ("custody.cli.witness", "witness", "Cosign other logs, so that none is rewritten unseen."),
    "fsck": ("custody.cli.tools", "fsck", "Compare the book with itself: entries, tree, every table."),
    "doctor": ("custody.cli.tools", "doctor", "Look at everything that must work, and say what does not."),
}
"""Command to module, function and the line that `custody --help` shows."""


def _log_as_json() -> None:
    """A line of JSON an event, on standard error, of clean words alone; a traceback without its values."""
    import structlog  # noqa: PLC0415 - absent where only the auditor is installed

    def clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {
            name: cleaned(value, LONGEST, lines=name == "exception") if isinstance(value, str) else value
            for name, value in event.items()
        }

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            clean,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def main() -> NoReturn:
    """The entry point of the `custody` command."""
    if importlib.util.find_spec("click") is None:  # only the auditor is installed
        sys.exit(NEEDS_SERVER)
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from custody.errors import Refusal, Untrusted  # noqa: PLC0415 - beside it
    from custody.files import told  # noqa: PLC0415 - beside it
    from labels.unfit import Unfit  # noqa: PLC0415 - beside it

    _log_as_json()
    try:
        _commands()(prog_name="custody")
    except (Refusal, Unfit) as problem:
        _say(str(problem))
        sys.exit(1)
    except Untrusted as problem:
        _say(str(problem))
        sys.exit(2)
    except OSError as problem:
        _say(told(problem))
        sys.exit(2)
    except ValidationError as problem:
        if problem.title != "Settings":
            raise
        for error in problem.errors():
            name = "_".join(str(part) for part in error["loc"]).upper()
            _say(f"CUSTODY_{name}: {error['msg'].removeprefix('Value error, ')} (it is {error['input']!r}).")
        sys.exit(2)
    sys.exit(0)


def _say(words: str) -> None:
    """To standard error. Sentences quote what others wrote, and a terminal would obey it."""
    print(cleaned(words, LONGEST, lines=True), file=sys.stderr)  # noqa: T201 - a command that prints


def _commands() -> Any:
    import click  # noqa: PLC0415 - absent where only the auditor is installed

    class Commands(click.Group):
        """Imports a command when it is asked for, so that `custody --help` answers at once."""

        def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
            return list(COMMANDS)

        def get_command(self, ctx: click.Context, cmd_name: str) -> Any:  # noqa: ARG002 - click's
            if cmd_name not in COMMANDS:
                return None
            module, function, _ = COMMANDS[cmd_name]
            return getattr(importlib.import_module(module), function)

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
            with formatter.section("Commands"):
                formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    commands = Commands(
        "custody",
        help="Chain of custody for backup tapes: every hand-off signed by both, every silence an alarm.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return click.version_option(package_name="media-custody", prog_name="custody")(commands)
