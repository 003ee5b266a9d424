"""One request to somebody else's machine.

It may answer slowly, endlessly or with an order to go elsewhere, and none of it may keep the one who asks,
nor send the request where the operator did not.
"""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping

from custody.channels.patience import cut_after
from custody.errors import Undelivered


def exchange(
    url: str, *, whose: str, headers: Mapping[str, str], most: int, timeout: float, body: bytes | None = None
) -> tuple[int, bytes]:
    """The status and the body of the answer to a POST, or to a GET where there is no `body`; or Undelivered.

    `timeout` is in seconds, for the connection and again for the exchange as a whole; an answer has `most`
    bytes. Redirects are not followed. `whose` names the other side in what is told.
    """
    line, path = _line(url, whose, timeout)
    try:
        line.connect()
        with cut_after(timeout, line.sock) as cut:
            line.request("GET" if body is None else "POST", path, body, dict(headers))
            with line.getresponse() as response:
                answer = response.read(most + 1)
                if response.length and len(answer) <= most:
                    raise http.client.IncompleteRead(answer, response.length)
            if cut.is_set():
                raise TimeoutError("it took too long")
    except (OSError, ValueError, http.client.HTTPException) as problem:  # a name or a length that is none
        reason = str(problem) or type(problem).__name__
        raise Undelivered(f"no answer from {whose} at {url}: {reason}", silent=True) from problem
    finally:
        line.close()
    if 300 <= response.status < 400:
        raise Undelivered(f"{whose} at {url} sends elsewhere: give the address that it moved to, if it did")
    if len(answer) > most:
        raise Undelivered(f"{whose} at {url} answers with more than {most} bytes")
    return response.status, answer


def _line(url: str, whose: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        address = urllib.parse.urlsplit(url)
        if address.hostname and address.scheme in kinds and not address.query and not address.fragment:
            return kinds[address.scheme](address.hostname, address.port, timeout=timeout), address.path
    except (ValueError, http.client.InvalidURL):
        pass
    raise Undelivered(f"{url} is no http or https address of {whose}", permanent=True)
