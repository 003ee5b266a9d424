"""The guard's verdict: what it last found, in a file of its own in the book's folder.

The guard (`custody.guard`) is the only one that writes it. It stands in no table, since whoever can write to
those could write it, too. Where it is missing, broken or old, or speaks of a time that has not come, no sign
of life is given to the outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from custody import files
from custody.errors import Unreadable
from custody.strict import json_bytes, read_json, record

COMPARED_WITHIN: Final = timedelta(hours=26)
"""So old the last comparison may be: it is made each night, and takes some time."""
LOOKED_WITHIN: Final = timedelta(minutes=15)
"""The same of the last look. It is made twice a minute; after a start the whole ledger is read first."""
SLACK: Final = timedelta(minutes=1)
"""A machine's clock may be set back by so much."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """When the book was last compared with its ledger, and what came of it; the same of the last look.

    `told` is False where something was found, and nobody could be told.
    """

    compared: datetime
    differences: int
    looked: datetime
    missed: int
    told: bool

    def ahead(self, now: datetime) -> bool:
        """Whether it speaks of a time that has not come."""
        return max(self.compared, self.looked) > now + SLACK

    def silences(self, now: datetime) -> str:
        """Why no sign of life may be given, in words; empty where it may."""
        if self.ahead(now):
            return "the guard's verdict is of a time that has not come"
        if now - self.compared > COMPARED_WITHIN:
            return f"the book was last compared with its ledger at {self.compared:%Y-%m-%d %H:%M} UTC"
        if now - self.looked > LOOKED_WITHIN:
            return f"the guard has not looked since {self.looked:%Y-%m-%d %H:%M} UTC"
        if not self.told:
            return "the book is not whole, and nobody could be told"
        if self.differences or self.missed:
            return "the book is not whole"
        return ""


@dataclass(frozen=True, slots=True)
class VerdictFile:
    """Where the verdict on the book in this folder stands."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "verdict"

    def read(self) -> Verdict | None:
        """The verdict, None where there is none yet; Unreadable where it is broken."""
        if not self.path.exists():
            return None
        with files.about(self.path):
            return record(Verdict).read(read_json(files.read(self.path)))

    def write(self, verdict: Verdict) -> None:
        """In the place of the one before, whole or not at all."""
        with files.whole(self.path, 0o600) as out:
            out.write(json_bytes(record(Verdict).write(verdict)))

    def silences(self, now: datetime) -> str:
        """Why no sign of life may be given, in words; empty where it may."""
        try:
            verdict = self.read()
        except (OSError, Unreadable) as problem:
            return f"the guard's verdict cannot be read: {problem}"
        if verdict is None:
            return "no guard has compared the book with its ledger here yet (custody fsck --nightly)"
        return verdict.silences(now)
