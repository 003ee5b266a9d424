"""Handing a checkpoint to a witness, by HTTP: the client's side of C2SP tlog-witness.

A witness is somebody else's machine. It may answer slowly, endlessly or with an order to go elsewhere, and
none of it may keep the one who publishes, nor send the request where the operator did not.
"""

from __future__ import annotations

import http.client
import urllib.parse
from typing import Final

from custody.channels.patience import cut_after
from custody.errors import Undelivered

ANSWER_MOST: Final = 1 << 16


def submit(url: str, body: bytes, timeout: float = 10.0) -> tuple[int, bytes]:
    """The status and the body of a witness's answer to an add-checkpoint request, or Undelivered.

    `url` is the submission prefix, as a policy's `witness` line gives it, http or https. `timeout` is in
    seconds, for the connection and again for the exchange as a whole. Redirects are not followed.
    """
    line, path = _line(url, timeout)
    try:
        line.connect()
        with cut_after(timeout, line.sock) as cut:
            line.request("POST", path, body, {"Content-Type": "text/plain; charset=utf-8"})
            with line.getresponse() as response:
                answer = response.read(ANSWER_MOST + 1)
                if response.length and len(answer) <= ANSWER_MOST:
                    raise http.client.IncompleteRead(answer, response.length)
            if cut.is_set():
                raise TimeoutError("it took too long")
    except (OSError, http.client.HTTPException) as problem:
        reason = str(problem) or type(problem).__name__
        raise Undelivered(f"no answer from the witness at {url}: {reason}", silent=True) from problem
    finally:
        line.close()
    if 300 <= response.status < 400:
        raise Undelivered(
            f"the witness at {url} sends elsewhere: give the address that it moved to, if it did"
        )
    if len(answer) > ANSWER_MOST:
        raise Undelivered(f"the witness at {url} answers with more than {ANSWER_MOST} bytes")
    return response.status, answer


def _line(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        address = urllib.parse.urlsplit(url)
        if address.hostname and address.scheme in kinds and not address.query and not address.fragment:
            line = kinds[address.scheme](address.hostname, address.port, timeout=timeout)
            return line, f"{address.path.rstrip('/')}/add-checkpoint"
    except (ValueError, http.client.InvalidURL):
        pass
    raise Undelivered(f"{url} is no http or https address of a witness", permanent=True)
