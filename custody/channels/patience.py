"""A bound on how long the other side may take, whatever it does meanwhile."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

RESOLVING_MOST: Final = 16
"""Names that are looked up at once: nothing ends such a look-up but the system's own resolver."""
_RESOLVING: Final = threading.BoundedSemaphore(RESOLVING_MOST)


class Patience:
    """How many seconds an exchange with somebody else's machine may take, from first to last.

        with Patience(30) as patience:
            wire = patience.connect("relay.example", 25)
            ...

    A byte now and then would put off a socket's own timeout for ever (Slowloris, from the other side): so
    each line that is held is cut when the time is up, and the block ends with a TimeoutError, even where what
    was cut off looks whole.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._held: list[socket.socket] = []
        self._is_over = False
        self._mutex = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._until = time.monotonic() + self._seconds
        self._timer.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, problem: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._mutex:
            for wire in self._held:
                wire.close()
        if self._is_over and (problem is None or isinstance(problem, Exception)):
            why = str(problem) if isinstance(problem, TimeoutError) else "it took too long"
            raise TimeoutError(why) from problem

    def connect(self, host: str, port: int) -> socket.socket:
        """A line to the first of the host's addresses that answers, held; OSError where none does.

        Each address has an equal share of the time: one that is silent does not hide the next.
        """
        addresses = _addresses(host, port, self._left())
        problem = OSError(f"{host} has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            wire = socket.socket(family, kind, protocol)
            try:
                wire.settimeout(self._left() / (len(addresses) - tried))
                wire.connect(address)
                self.hold(wire)
            except OSError as refused:
                wire.close()
                problem = refused
            else:
                return wire
        raise problem

    def hold(self, wire: socket.socket) -> None:
        """Cuts this line when the time is up, whatever is wrapped around it meanwhile."""
        wire.settimeout(self._seconds)
        handle = socket.fromfd(wire.fileno(), wire.family, wire.type)
        with self._mutex:
            self._held.append(handle)
            if self._is_over:
                raise TimeoutError("it took too long")

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left

    def _cut(self) -> None:
        with self._mutex:
            self._is_over = True
            for wire in self._held:
                with contextlib.suppress(OSError):  # the other side was quicker
                    wire.shutdown(socket.SHUT_RDWR)


def _addresses(host: str, port: int, seconds: float) -> list[Any]:
    """What `getaddrinfo` says. It knows of no deadline, so a thread asks it that may be left behind."""
    found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except Exception as problem:  # noqa: BLE001 - raised below, for whoever asked
            found.put(problem)
        finally:
            resolving.release()

    resolving = _RESOLVING
    if not resolving.acquire(timeout=seconds):
        raise TimeoutError(f"{RESOLVING_MOST} names are being looked up already, and none is found")
    threading.Thread(target=ask, name=f"looks up {host}", daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not found in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
