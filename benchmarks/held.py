"""How long others wait for an answer of the pages while strangers hold sockets: see tests/strangers.py.

`custody serve` runs as an organisation would run it, with TLS, 16 threads, and the monitor beside it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from alarm.sink import Authority
from strangers import KINDS, Strangers

ROOT = Path(__file__).parents[1]
LASTS = 5.0
"""Seconds of each kind of attack."""
OTHERS = [f"127.0.0.{number}" for number in range(9, 13)]


class Pages:
    """A new book's pages, and how to reach them."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        authority.context("localhost")
        pem = str(folder / "localhost.pem")
        self.tls = ssl.create_default_context(cafile=str(authority.file))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CUSTODY_BOOK": str(folder / "book"),
            "CUSTODY_LISTEN": f"127.0.0.1:{self.port}",
            "CUSTODY_TLS_CERTIFICATE": pem,
            "CUSTODY_TLS_KEY": pem,
            "CUSTODY_SMTP_HOST": "127.0.0.1",
            "CUSTODY_MAIL_FROM": "custody@home.test",
        }

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        custody = [sys.executable, "-m", "custody"]
        first = ["init", "--origin", "home.test/log", "--name", "Ada", "--address", "ada@home.test"]
        quiet = {"env": self.environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*custody, *first], check=True, **quiet)
        with subprocess.Popen([*custody, "serve"], **quiet) as process:
            try:
                while True:
                    with contextlib.suppress(OSError):
                        self.ask(OTHERS[0])
                        break
                    time.sleep(0.1)
                yield
            finally:
                process.terminate()

    def ask(self, source: str) -> float:
        """Seconds until a new connection has been made and its request answered."""
        began = time.perf_counter()
        line = http.client.HTTPSConnection(
            "localhost", self.port, timeout=60, context=self.tls, source_address=(source, 0)
        )
        try:
            line.request("GET", "/healthz")
            assert line.getresponse().status == 200
        finally:
            line.close()
        return time.perf_counter() - began


def worst(pages: Pages, sources: list[str]) -> float:
    """The p99 of the others' waits, in seconds, during that kind of attack in which it is longest."""
    return max(waits(pages, name, sources) for name in KINDS)


def waits(pages: Pages, name: str, sources: list[str]) -> float:
    took: list[float] = []
    over = threading.Event()
    with Strangers(KINDS[name], pages.port, sources, tls=pages.tls) as strangers:

        def press() -> None:
            while not over.wait(1):
                strangers.press()
                if name == "lingers":  # as far as anybody can see, they are content
                    strangers.renew(strangers.count // 10)

        def other(source: str) -> None:
            while time.perf_counter() < end:
                took.append(pages.ask(source))
                time.sleep(0.05)

        end = time.perf_counter() + LASTS
        everybody = [threading.Thread(target=press)]
        everybody += [threading.Thread(target=other, args=(source,)) for source in OTHERS]
        for each in everybody:
            each.start()
        for each in everybody[1:]:
            each.join()
        over.set()
        everybody[0].join()
    return sorted(took)[len(took) * 99 // 100]
