"""Handing a checkpoint to a witness, by HTTP: the client's side of C2SP tlog-witness."""

from __future__ import annotations

from typing import Final

from custody.channels.http import exchange

ANSWER_MOST: Final = 1 << 16
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}


def submit(url: str, body: bytes, timeout: float = 10.0) -> tuple[int, bytes]:
    """The status and the body of a witness's answer to an add-checkpoint request, or Undelivered.

    `url` is the submission prefix, as a policy's `witness` line gives it, http or https.
    """
    address = f"{url.rstrip('/')}/add-checkpoint"
    return exchange(address, whose="the witness", headers=_TEXT, most=ANSWER_MOST, timeout=timeout, body=body)
