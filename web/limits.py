"""Coarse limits by address, for the pages that a stranger can reach. The lock-out is `store.accounts`'."""

from __future__ import annotations

import ipaddress

from flask import request
from flask_limiter import Limiter


def source() -> str:
    """Where a request comes from: an IPv4 address, or the /64 that one subscriber of IPv6 has."""
    address = ipaddress.ip_address((request.remote_addr or "::").partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


limiter = Limiter(source)
"""Counts in memory, for each process by itself: it keeps a nuisance small, and nothing relies on it."""
