"""How a process of ours learns that it is to end."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType


def stopping(parent: int | None) -> threading.Event:
    """Set when this process is asked to end, or is an orphan: the next server brings its own parts."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    def end_with(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(1)
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if parent is not None:
        threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    return stop
