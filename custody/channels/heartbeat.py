"""The sign of life that an outside dead-man's switch waits for."""

from __future__ import annotations

import urllib.parse
from typing import Final

from custody.channels.http import exchange
from custody.errors import Undelivered

ANSWER_MOST: Final = 1 << 16


class Heartbeat:
    """Asks for one address, which another organisation watches. When the asking stops, it alarms."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        address = urllib.parse.urlsplit(url)
        if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError("the heartbeat goes to an https address")
        self._url = url
        self._timeout = timeout

    def beat(self) -> None:
        """One sign of life; Undelivered where it was not taken within the time for all of it."""
        whose = "the outside switch"
        status, _ = exchange(
            self._url, whose=whose, headers={}, most=ANSWER_MOST, timeout=self._timeout, body=b"", query=True
        )
        if not 200 <= status < 300:
            raise Undelivered(f"{whose} answers {status}")
