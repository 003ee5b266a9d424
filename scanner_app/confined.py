"""The process in which photographs are read: little memory, an end to each, and nothing worth stealing.

`python -m scanner_app.confined BYTES SECONDS` is started by `scanner_app.apart`, which says why. It reads the
length of a photograph in four bytes (big-endian) and the photograph, and answers with a line of JSON, a
`Reading` or the sentence of a refusal; and so on, until nothing comes any more.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import sys
import time
from dataclasses import asdict
from typing import Final

from custody.errors import Unreadable
from scanner_app import decode

IDLE: Final = 60.0
"""Seconds after which a process that has nothing to read ends."""
OUT_OF_MEMORY: Final = 3
"""The exit code that says so: nothing else is certain to be said then."""


def main(memory: int, deadline: float) -> None:
    """Reads and answers within so many bytes of address space, and seconds of a processor each."""
    _allow(resource.RLIMIT_AS, memory)
    _allow(resource.RLIMIT_CORE, 0)
    source = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
        while select.select([source], [], [], IDLE)[0] and (length := source.read(4)):
            most = math.ceil(time.process_time() + deadline)  # whoever waits for it may be gone
            resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
            answers.write(_read(source.read(int.from_bytes(length, "big"))))
            answers.flush()


def _allow(what: int, most: int) -> None:
    """No more than this, unless it is less already, and no way back."""
    _, already = resource.getrlimit(what)
    most = most if already == resource.RLIM_INFINITY else min(most, already)
    resource.setrlimit(what, (most, most))


def _read(data: bytes) -> bytes:
    try:
        answer = asdict(decode.read(data))
    except Unreadable as refusal:
        return json.dumps(str(refusal)).encode() + b"\n"
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    return json.dumps(answer).encode() + b"\n"


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
