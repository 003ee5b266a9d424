"""One request to somebody else's machine.

It may answer slowly, endlessly or with an order to go elsewhere, and none of it may keep the one who asks,
nor send the request where the operator did not.
"""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Final

from custody.channels.patience import cut_after
from custody.errors import Undelivered

_LINES: Final = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


def exchange(
    url: str, *, whose: str, headers: Mapping[str, str], most: int, timeout: float, body: bytes | None = None
) -> tuple[int, bytes]:
    """The status and the body of the answer to a POST, or to a GET where there is no `body`; or Undelivered.

    `timeout` is in seconds, for the connection and again for the exchange as a whole; an answer has `most`
    bytes. Redirects are not followed. `whose` names the other side in what is told.
    """
    parts = address(url, whose)
    line = _LINES[parts.scheme](str(parts.hostname), parts.port, timeout=timeout)
    try:
        line.connect()
        with cut_after(timeout, line.sock) as cut:
            line.request("GET" if body is None else "POST", parts.path, body, dict(headers))
            with line.getresponse() as response:
                answer = _read(response, most)
            if cut.is_set():
                raise TimeoutError("it took too long")
    except (OSError, http.client.HTTPException) as problem:
        reason = str(problem) or type(problem).__name__
        raise Undelivered(f"no answer from {whose} at {url}: {reason}", silent=True) from problem
    finally:
        line.close()
    if 300 <= response.status < 400:
        raise Undelivered(f"{whose} at {url} sends elsewhere: give the address that it moved to, if it did")
    if len(answer) > most:
        raise Undelivered(f"{whose} at {url} answers with more than {most} bytes")
    return response.status, answer


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body, or so much of it that it is seen to be too long."""
    try:
        answer = response.read(most + 1)
    except ValueError:
        raise http.client.HTTPException("a part of the answer has no length") from None
    if response.length and len(answer) <= most:
        raise http.client.IncompleteRead(answer, response.length)
    return answer


def address(url: str, whose: str) -> urllib.parse.SplitResult:
    """An http or https address in its parts, with nothing after its path; Undelivered where it is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        name, _ = (parts.hostname or "").encode("idna"), parts.port
        plain = url.isprintable() and " " not in url and parts.path.isascii()
        if parts.scheme in _LINES and name and plain and not parts.query and not parts.fragment:
            return parts
    except ValueError:  # a bracket, a name or a port that is none
        pass
    raise Undelivered(f"{url} is no http or https address of {whose}", permanent=True)
