"""Fetching a log's files, by HTTP: the client's side of C2SP tlog-tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from custody.channels.http import address, exchange
from custody.errors import Undelivered
from custody.ledger.bundle import MEMBER_MOST
from custody.outside import is_here

TIMEOUT: Final = 60.0


def fetcher(url: str, token: str, timeout: float = TIMEOUT) -> Callable[[str], bytes]:
    """What gives the file of a path below the log's address, or raises Undelivered.

    Undelivered at once where the token would travel in the clear.
    """
    parts = address(url, "the log")
    if parts.scheme == "http" and not is_here(str(parts.hostname)):
        raise Undelivered(f"{url} would get the token in the clear: give an https address", permanent=True)
    if not token or not token.isascii() or not token.isprintable():
        raise Undelivered("what is given as a token is none", permanent=True)
    headers = {"Authorization": f"Bearer {token}"}

    def fetch(path: str) -> bytes:
        file = f"{url.rstrip('/')}/{path}"
        status, body = exchange(file, whose="the log", headers=headers, most=MEMBER_MOST, timeout=timeout)
        if status in {401, 403}:
            raise Undelivered(f"the log at {url} does not take this token for {path}", permanent=True)
        if status != 200:
            raise Undelivered(f"the log answers {status} for {file}")
        return body

    return fetch
