"""Gunicorn's threads, with an end to every request: a client that is slow on purpose holds none of them long.

A thread reads a request and writes its answer without a limit of its own, so as many sockets as there are
threads, each sending a byte now and then, would stop the pages for everybody (Slowloris). Here a request has
LONGEST seconds for all of it; and where one address holds more than half of the threads, those that it has
held for IMPATIENT seconds are cut off. Against many addresses a proxy that buffers requests belongs in
front, and with a proxy in front (`CUSTODY_PROXIES`) all have one address, so that the second rule rests.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from typing import Any, ClassVar, Final

from gunicorn.workers.gthread import ThreadWorker

LONGEST: Final = 120.0
IMPATIENT: Final = 5.0


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn comes without types
    """See the module's story. `proxies` is set before the worker starts."""

    proxies: ClassVar = 0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._held: dict[int, tuple[Any, str, float]] = {}

    def init_process(self) -> None:
        """Gunicorn begins to work, in the worker."""
        threading.Thread(target=self._watch, name="slow clients", daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Handles a request on a connection, in a thread."""
        source = str(conn.client[0]) if isinstance(conn.client, tuple) else ""
        self._held[id(conn)] = (conn, source, time.monotonic())
        try:
            return super().handle(conn)
        finally:
            del self._held[id(conn)]

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            held, now = list(self._held.values()), time.monotonic()
            count = Counter(source for _, source, _ in held)
            for conn, source, began in held:
                greedy = not self.proxies and count[source] > self.cfg.threads // 2
                if now - began > (IMPATIENT if greedy else LONGEST):
                    count[source] -= 1
                    _cut(conn)


def _cut(conn: Any) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
