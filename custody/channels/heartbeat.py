"""The sign of life that an outside dead-man's switch waits for."""

from __future__ import annotations

from typing import Final

from custody.channels.http import address, exchange
from custody.errors import Undelivered

ANSWER_MOST: Final = 1 << 16
_SWITCH: Final = "the outside switch"


class Heartbeat:
    """Asks for one address, which another organisation watches. When the asking stops, it alarms.

    Whoever knows the address can give signs of life in our name: it goes over an encrypted line, and into no
    message. Undelivered at once where it is none, or would travel in the clear.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        address(url, _SWITCH, secret=True)
        self._url = url
        self._timeout = timeout

    def beat(self) -> None:
        """One sign of life; Undelivered where it was not taken within the time for all of it."""
        status, _ = exchange(
            self._url,
            whose=_SWITCH,
            headers={},
            most=ANSWER_MOST,
            timeout=self._timeout,
            body=b"",
            secret=True,
        )
        if not 200 <= status < 300:
            raise Undelivered(f"{_SWITCH} answers {status}")
