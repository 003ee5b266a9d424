"""Coarse limits by address, for the pages that a stranger can reach. The lock-out is `store.accounts`'."""

from __future__ import annotations

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

limiter = Limiter(get_remote_address)
"""Counts in memory, for each process by itself: it keeps a nuisance small, and nothing relies on it."""
