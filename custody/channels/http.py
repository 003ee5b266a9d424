"""One request to somebody else's machine.

It may answer slowly, endlessly or with an order to go elsewhere, and none of it may keep the one who asks,
nor send the request where the operator did not.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Final

from custody.channels.patience import Patience
from custody.errors import Undelivered
from custody.outside import cleaned, is_here

_LINES: Final = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_PORTS: Final = {"http": 80, "https": 443}


def exchange(
    url: str,
    *,
    whose: str,
    headers: Mapping[str, str],
    most: int,
    timeout: float,
    body: bytes | None = None,
    secret: bool = False,
) -> tuple[int, bytes]:
    """The status and the body of the answer to a POST, or to a GET where there is no `body`; or Undelivered.

    `timeout` is in seconds, for all of it from the name's look-up on; an answer has `most` bytes. Redirects
    are not followed. `whose` names the other side in what is told, and a `secret` address is not told.
    """
    parts = address(url, whose, secret=secret)
    there = whose if secret else f"{whose} at {url}"
    line = _LINES[parts.scheme](str(parts.hostname), parts.port)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        with Patience(timeout) as patience:
            line.sock = _reach(parts, patience)
            line.request("GET" if body is None else "POST", target, body, dict(headers))
            with line.getresponse() as response:
                answer = _read(response, most)
    except (OSError, http.client.HTTPException) as problem:
        reason = cleaned(str(problem)) or type(problem).__name__
        raise Undelivered(f"no answer from {there}: {reason}", silent=True) from problem
    finally:
        line.close()
    if 300 <= response.status < 400:
        raise Undelivered(f"{there} sends elsewhere: give the address that it moved to, if it did")
    if len(answer) > most:
        raise Undelivered(f"{there} answers with more than {most} bytes")
    return response.status, answer


def _reach(parts: urllib.parse.SplitResult, patience: Patience) -> socket.socket:
    host = str(parts.hostname)
    wire = patience.connect(host, parts.port or _PORTS[parts.scheme])
    if parts.scheme == "http":
        return wire
    return ssl.create_default_context().wrap_socket(wire, server_hostname=host)


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body, or so much of it that it is seen to be too long."""
    try:
        answer = response.read(most + 1)
    except ValueError:
        raise http.client.HTTPException("a part of the answer has no length") from None
    if response.length and len(answer) <= most:
        raise http.client.IncompleteRead(answer, response.length)
    return answer


def address(url: str, whose: str, *, secret: bool = False) -> urllib.parse.SplitResult:
    """An http or https address in its parts, with nothing after its path; Undelivered where it is none.

    One that is `secret` may have a query, is told in no message, and is https or of this machine. A user's
    name and password stand in none: they would be told, and not sent.
    """
    told = "what is given" if secret else cleaned(url)
    parts = _parts(url)
    if parts is None or (parts.query and not secret):
        raise Undelivered(f"{told} is no http or https address of {whose}", permanent=True)
    if secret and parts.scheme == "http" and not is_here(str(parts.hostname)):
        raise Undelivered(f"{told} would reach {whose} in the clear: give an https address", permanent=True)
    return parts


def _parts(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        name, _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:  # a bracket, a name or a port that is none
        return None
    plain = url.isprintable() and " " not in url and "@" not in parts.netloc
    ascii_ = parts.path.isascii() and parts.query.isascii()
    return parts if parts.scheme in _LINES and name and plain and ascii_ and not parts.fragment else None
