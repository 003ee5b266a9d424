"""What a server listens on, looked at before anything else is loaded."""

from __future__ import annotations

import socket
import ssl
from typing import Final

import click

from custody.outside import is_here
from custody.settings import Settings

BACKLOG: Final = 512
"""Connections that wait to be taken, while a server starts or is started again."""


def listen(host: str, port: int, *, encrypted: bool) -> socket.socket:
    """A socket that listens there.

    Refuses (exit 2) a port in use, and an open address without encryption: keys need a secure origin.
    """
    host = host.strip("[]")  # as an IPv6 address is written before a port
    if not is_here(host) and not encrypted:
        raise click.UsageError(
            f"{host} can be reached from outside, so it needs CUSTODY_TLS_CERTIFICATE and CUSTODY_TLS_KEY."
            " Or listen on 127.0.0.1, with a proxy in front that encrypts."
        )
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as problem:
        listening.close()
        raise click.UsageError(f"Port {port} on {host} cannot be had: {problem.strerror}.") from None
    return listening


def check_certificate(settings: Settings) -> None:
    """Refuses (exit 2) a certificate with which a server would listen, and fail at each line."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise click.UsageError("CUSTODY_TLS_CERTIFICATE and CUSTODY_TLS_KEY go together.")
    if settings.tls_certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as problem:  # a file that is not there, and one that is no certificate
        why = problem.strerror or str(problem)
        files = f"CUSTODY_TLS_CERTIFICATE {settings.tls_certificate} and CUSTODY_TLS_KEY {settings.tls_key}"
        raise click.UsageError(f"{files} cannot be used: {why}.") from None
