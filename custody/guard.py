"""The guard: whether the book is what its ledger says, and whether everybody is told who must be.

It is a process of its own (`custody fsck --nightly`) and trusts no table. Once a night, and when it begins,
it *compares* all of the book with its ledger. From then on it reads the ledger as it grows, and twice a
minute it *looks* whether what was to be told, by what the ledger says, is being told: a notice that was
deleted, an alarm that stands still, a senior without an address. Whether a comparison is owed is decided by
the clock and by its own file (`custody.store.verdict`), and whom it tells by the ledger. The monitor gives a
sign of life to the outside only while that file allows it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from custody.acts import daily
from custody.errors import Away, Conflict, NoRoom, Unreadable
from custody.rules.daily import night
from custody.store.book import Book
from custody.store.fsck import Ledger, Tell, look
from custody.store.rows import Wrong
from custody.store.verdict import Verdict, VerdictFile

LOOK_EVERY: Final = 30.0
"""Seconds between two looks."""
ASK_EVERY: Final = 10.0
"""Seconds between two questions whether a comparison is owed."""
ENDS_WITHIN: Final = 10.0
"""Seconds that a comparison has to end in, when the guard is stopped."""

TELL_EVERY: Final = timedelta(minutes=10)
"""What a look finds is told at once; what the next ones find besides waits so long, and is told together."""

log = structlog.get_logger("custody.guard")


class Guard:
    """Guards a book. Its verdict goes into `file`."""

    def __init__(self, book: Book, file: VerdictFile) -> None:
        self._book = book
        self._file = file
        self._turn = threading.Lock()
        self._verdict: Verdict | None = None
        self._ledger: Ledger | None = None
        self._again = "it was not read since the guard began"
        self._said: set[Wrong] = set()
        self._before: set[Wrong] = set()
        self._untold: list[Wrong] | None = None
        self._told_at: datetime | None = None
        self._unwritten = False

    @property
    def sound(self) -> bool:
        """Whether what was last found lets a sign of life be given."""
        return self._verdict is not None and not self._verdict.silences(self._book.clock())

    def run(self, stop: threading.Event) -> None:
        """Looks and compares until it is stopped."""
        comparing = threading.Thread(target=self._keep_comparing, args=(stop,), daemon=True)
        comparing.start()
        while not stop.wait(LOOK_EVERY):
            self.look()
        comparing.join(ENDS_WITHIN)

    def _keep_comparing(self, stop: threading.Event) -> None:
        os.nice(19)  # of this thread, where the system has it so: whoever has an alarm to send goes first

        def end_with(_done: int, _of: int) -> None:
            if stop.is_set():
                raise SystemExit

        while not stop.is_set():
            try:
                if why := self.owes():
                    log.info("the book is compared with its ledger", why=why)
                    self.compare(end_with)
            except SystemExit:
                return
            except (Away, Conflict, NoRoom) as problem:
                log.warning("the book cannot be compared now, and will be", why=str(problem))
            except Exception:  # one that the guard itself cannot name must not end it
                log.exception("a comparison broke")
            stop.wait(ASK_EVERY)

    def owes(self) -> str:
        """Why a comparison is owed now, in words; empty where none is."""
        now = self._book.clock()
        try:
            verdict = self._verdict if self._unwritten else self._file.read()
        except (OSError, Unreadable) as problem:
            return f"its file cannot be read: {problem}"
        if verdict is None:
            return "it was never done"
        if verdict.ahead(now):
            return f"its file is of a time that has not come, {verdict.compared.isoformat()}"
        if verdict.compared < night(now):
            return "it is night"
        return self._again

    def compare(self, tell: Tell = lambda _done, _of: None) -> list[Wrong]:
        """Compares all of the book with its ledger; the seniors are told of each difference, each night anew.

        Gives the differences. Away, Conflict or NoRoom where it could not be done.
        """
        found, ledger = daily.compare(self._book, tell)
        if found:
            log.error("the book differs from its ledger", differences=len(found), first=found[0].words)
        with self._turn:
            lost = self._ledger is not None and self._ledger.lost
            self._ledger, self._again = ledger or self._ledger, ""
            now = self._book.clock()
            self._write(compared=now, looked=now, differences=len(found), **({"missed": 0} if lost else {}))
            if not daily.said_today(self._book, ledger, found):
                self._tell(found)
        return found

    def look(self) -> list[Wrong]:
        """Looks for what cannot wait; the seniors are told at once, and once. Gives what was found."""
        with self._turn:
            if self._ledger is None:
                return []
            try:
                found = look(self._book, self._ledger)
            except (Away, Conflict, NoRoom) as problem:
                log.warning("the guard cannot look now", why=str(problem))
                return []
            except Exception as problem:  # a table can be spoilt past reading
                log.exception("the guard cannot look")
                found = [Wrong("book", f"The book could not be looked at: {type(problem).__name__}.")]
            found = self._lasting(found)
            self._judge(found, lost=bool(self._ledger.lost))
            return found

    def _lasting(self, found: list[Wrong]) -> list[Wrong]:
        """A machine that wakes up owes everything at once: an alarm stands still that did so a look ago."""
        before, self._before = self._before, set(found)
        return [each for each in found if each.place != "alarms" or each in before]

    def _judge(self, found: list[Wrong], *, lost: bool) -> None:
        missed = 0 if self._verdict is None else self._verdict.missed
        if lost:
            self._again = "the ledger could not be read on"
        elif missed and not found:
            self._again = "what was missing is there again"
        self._write(looked=self._book.clock(), missed=len(found))
        fresh = [each for each in found if each not in self._said]
        self._said &= set(found)
        if fresh and self._may_tell():
            log.error("the guard misses what must be", missed=len(found), first=fresh[0].words)
            self._told_at = self._book.clock()
            self._tell(found)
        elif self._untold is not None:
            self._tell(self._untold)

    def _may_tell(self) -> bool:
        """Whoever breaks something each minute, or a part that does, could else bury the seniors in mail."""
        if self._told_at is None:
            return True
        return not timedelta() <= self._book.clock() - self._told_at < TELL_EVERY

    def _tell(self, found: list[Wrong]) -> None:
        """Tells the seniors; where nobody can be told that is said aloud, and tried again at each look."""
        try:
            people = daily.within_reach(self._book, self._ledger) if found else []
            told = 0
            if people or found is not self._untold or not found:
                told = daily.tell_found(self._book, found, people)
        except Exception:  # a full disk, a spoilt table: the outside is still to hear of it
            log.exception("what the guard found cannot be recorded", differences=len(found))
            self._untold = found
            self._write(told=not found)
            return
        if found and not told:
            log.error("nobody can be told that the book is not whole: no senior's address can be read")
        self._untold = found if found and not told else None
        self._said |= set(found)
        self._write(told=bool(told) or not found)

    def _write(self, **changes: Any) -> None:
        now = self._book.clock()
        self._verdict = replace(self._verdict or Verdict(now, 0, now, 0, told=True), **changes)
        try:
            self._file.write(self._verdict)
            self._unwritten = False
        except (OSError, Conflict):  # it grows old, and that is heard outside
            self._unwritten = True
            log.exception("the guard's verdict cannot be written")
