"""A small application behind the real server: `python served.py SOCKET LARGEST [PEM]`, as tests run it.

`/hold` says "held" on standard output and answers when a line comes on standard input.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from custody.cli.server import Server
from custody.cli.signals import stopping
from custody.settings import Settings

LARGE = os.urandom(1_000_000)


def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    path, kind = environ["PATH_INFO"], "application/octet-stream"
    if path == "/broken":
        raise ValueError("broken")
    if path.endswith(".svg"):
        answer = [LARGE[at : at + 300_000] for at in range(0, len(LARGE), 300_000)]
    elif path == "/hold":
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.stdin.readline()
        answer = [b"answered"]
    elif path == "/echo":
        body = environ["wsgi.input"].read()
        told = {name: value for name, value in environ.items() if isinstance(value, str | bool)}
        told |= {"body": body.decode("latin-1"), "seldom": gc.get_threshold()[0]}
        answer, kind = [json.dumps(told).encode()], "application/json"
    else:
        answer = [b"ok"]
    headers = [("Content-Type", kind)]
    if path != "/echo":  # which has no length, and is chunked
        headers.append(("Content-Length", str(sum(map(len, answer)))))
    start("200 OK", headers)
    return answer


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    pem = Path(sys.argv[3]) if sys.argv[3:] else None
    settings = Settings(tls_certificate=pem, tls_key=pem, threads=4)
    listening = socket.socket(fileno=int(sys.argv[1]))
    Server(lambda: app, settings, int(sys.argv[2])).run(listening, stopping(None))
