"""Photographs are read in a process of their own, since they come from anybody.

Decoders are written in C, and a picture can be built to take a gigabyte, an hour, or the decoder itself. The
process has as much memory and time as a photograph needs, and none of this server's settings. Whatever it
comes to there costs that one photograph, which is refused in a sentence; the next one finds a new process. It
is started as any command is, not forked, so that it does not matter under what server it stands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from custody.errors import Unreadable
from scanner_app import decode
from scanner_app.confined import OUT_OF_MEMORY

MEMORY: Final = 512 << 20
"""Bytes of address space. The largest photograph that is accepted takes three fifths of it."""
DEADLINE: Final = 60.0
"""Seconds for one photograph. On a quiet machine the largest takes a twentieth of it."""
TURNS: Final = 200
"""Photographs for one process: what a decoder leaks does not grow for ever."""
_ANSWER_MOST: Final = 1 << 20
_SECRET: Final = ("CUSTODY_", "PG")
"""How the names begin of what a server is told, passwords among it."""
_LIBZBAR: Final = "CUSTODY_LIBZBAR"
_BROKE: Final = "This picture broke the program that reads pictures. Take it again, or type the code."
_TOO_LONG: Final = "This picture takes too long to be read. Take it again from nearer by, or type the code."
_answer: Final = TypeAdapter[decode.Reading | str](decode.Reading | str)


class _Lost(Unreadable):
    """No answer came, and no process is there any more."""


class Reader:
    """Reads one photograph after another, for one thread at a time. Its process starts with the first."""

    def __init__(self, memory: int = MEMORY, deadline: float = DEADLINE) -> None:
        """`memory` is in bytes of address space, `deadline` in seconds for a photograph."""
        self._memory, self._deadline = memory, deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._turns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, data: bytes) -> decode.Reading:
        """As `decode.read`; Unreadable, too, where a picture takes too much memory or time, or breaks it."""
        used = self._turns > 0
        try:
            answer = self._ask(data)
        except _Lost:
            if not used:
                raise
            answer = self._ask(data)  # what others have left in that process is not held against this one
        if isinstance(answer, str):
            raise Unreadable(answer)
        return answer

    def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process, self._turns = self._process, None, 0
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, data: bytes) -> decode.Reading | str:
        process, late = self._ready(), threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._deadline, give_up)
        timer.daemon = True
        timer.start()
        answer = None
        try:
            answer = _answer.validate_json(_exchange(process, data))
        except (OSError, ValidationError):
            pass
        finally:
            timer.cancel()
            if answer is None:  # in the midst of something it is of no use to the next one
                self.close()
        if answer is not None:
            self._turns += 1
            return answer
        if late.is_set():
            raise Unreadable(_TOO_LONG)
        raise _Lost(decode.TOO_LARGE if process.returncode == OUT_OF_MEMORY else _BROKE)

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and (self._turns >= TURNS or self._process.poll() is not None):
            self.close()
        if self._process is None:
            known = {n: v for n, v in os.environ.items() if not n.startswith(_SECRET) or n == _LIBZBAR}
            command = [sys.executable, "-m", "scanner_app.confined", str(self._memory), str(self._deadline)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=known)  # noqa: S603 - our own
        return self._process


def _exchange(process: subprocess.Popen[bytes], data: bytes) -> bytes:
    assert process.stdin is not None, "it was started with both"
    assert process.stdout is not None, "it was started with both"
    process.stdin.write(len(data).to_bytes(4, "big") + data)
    process.stdin.flush()
    return process.stdout.readline(_ANSWER_MOST)
