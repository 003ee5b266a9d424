"""A bound on how long the other side may take, whatever it does meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def cut_after(seconds: float, wire: socket.socket | None) -> Iterator[threading.Event]:
    """Cuts the line if the block takes longer: what it raises then is a TimeoutError.

    The event is set where it was cut, since what was cut off can look whole.

    A byte now and then would put off a socket's own timeout for ever (Slowloris, from the other side).
    """
    cut = threading.Event()

    def shut() -> None:
        cut.set()
        if wire is not None:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(wire, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    except Exception as problem:
        if cut.is_set():
            raise TimeoutError("it took too long") from problem
        raise
    finally:
        timer.cancel()
