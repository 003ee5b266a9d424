"""Coarse limits by address, for the pages that a stranger can reach. The lock-out is `store.accounts`'."""

from __future__ import annotations

import ipaddress
import re

from flask import request
from flask_limiter import Limiter

from custody.outside import cleaned


def source() -> str:
    """Where this request comes from, as far as it is counted."""
    return subscriber(request.remote_addr or "")


def subscriber(address: str) -> str:
    """An IPv4 address, or the /64 that one subscriber of IPv6 has; what is neither counts as it is.

    Some proxies write a port behind the address.
    """
    bare = re.sub(r"^\[(.*)\](?::[0-9]+)?$|^([0-9.]+):[0-9]+$", r"\1\2", address).partition("%")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return cleaned(address, 64)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


limiter = Limiter(source)
"""Counts in memory, for each process by itself: it keeps a nuisance small, and nothing relies on it."""
