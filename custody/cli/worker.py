"""Gunicorn's threads, with an end to every request: a client that is slow on purpose holds none of them long.

A thread reads a request and writes its answer without a limit of its own, so as many sockets as there are
threads, each sending a byte now and then, would stop the pages for everybody (Slowloris). Here a request has
LONGEST seconds for all of it; and one address keeps at most half of the threads for longer than IMPATIENT
seconds: what it holds beyond that is cut off, and what it begins meanwhile is not begun. Against many
addresses a proxy that buffers requests belongs in front, and with a proxy in front (`CUSTODY_PROXIES`) all
have one address, so that the second rule rests.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from gunicorn.workers.gthread import ThreadWorker

from web.limits import subscriber

LONGEST: Final = 120.0
IMPATIENT: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A connection that a thread works on, from where, and since when."""

    conn: Any
    source: str
    began: float


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn comes without types
    """See the module's story. `proxies` is set before the worker starts."""

    proxies: ClassVar = 0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._held: dict[int, _Held] = {}

    def init_process(self) -> None:
        """Gunicorn begins to work, in the worker."""
        threading.Thread(target=self._patrol, name="slow clients", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Handles a request on a connection, in a thread."""
        source = subscriber(str(conn.client[0])) if isinstance(conn.client, tuple) else ""
        if len(self._slow(source)) >= self.cfg.threads // 2:
            return False
        self._held[id(conn)] = _Held(conn, source, time.monotonic())
        try:
            return super().handle(conn)
        finally:
            del self._held[id(conn)]

    def _slow(self, source: str) -> list[_Held]:
        """What this address has held for IMPATIENT seconds, oldest first."""
        if self.proxies:
            return []
        before = time.monotonic() - IMPATIENT
        return [each for each in list(self._held.values()) if each.source == source and each.began < before]

    def _patrol(self) -> None:
        while True:
            time.sleep(1)
            for each in list(self._held.values()):
                greedy = each in self._slow(each.source)[self.cfg.threads // 2 :]
                if greedy or time.monotonic() - each.began > LONGEST:
                    _cut(each.conn)


def _cut(conn: Any) -> None:
    with contextlib.suppress(OSError, ValueError):  # it is closed already
        socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
