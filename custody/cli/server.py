"""Gunicorn as it runs here, for the pages and for a witness, which shall not load the pages to run."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from custody.cli import worker
from custody.garbage import search_seldom
from custody.outside import is_here
from custody.settings import Settings


def check_listening(host: str, port: int, *, encrypted: bool) -> None:
    """Refuses a port in use (exit 2), and an open address without encryption: keys need a secure origin."""
    if not is_here(host) and not encrypted:
        raise click.UsageError(
            f"{host} can be reached from outside, so it needs CUSTODY_TLS_CERTIFICATE and CUSTODY_TLS_KEY."
            " Or listen on 127.0.0.1, with a proxy in front that encrypts."
        )
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            raise click.UsageError(f"Port {port} on {host} cannot be had: {problem.strerror}.") from None


def _check_tls(settings: Settings) -> None:
    """Refuses a certificate that could encrypt nothing: gunicorn would listen, and fail at each line."""
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


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn comes without types
    """One process with threads: SQLite has one writer.

    click.UsageError where the settings name a certificate that cannot be used.
    """

    def __init__(self, make_app: Callable[[], Any], settings: Settings) -> None:
        _check_tls(settings)
        self._make_app = make_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn asks for its configuration."""
        worker.Worker.proxies = self._settings.proxies
        chosen = {
            "bind": self._settings.listen,
            "workers": 1,
            "worker_class": worker.Worker,
            "threads": self._settings.threads,
            "certfile": str(self._settings.tls_certificate) if self._settings.tls_certificate else None,
            "keyfile": str(self._settings.tls_key) if self._settings.tls_key else None,
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
        }
        for name, value in chosen.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Gunicorn asks for the application, in the worker."""
        search_seldom()
        return self._make_app()
