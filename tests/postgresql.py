"""A private PostgreSQL from the system's package: in a folder of its own, on a Unix socket alone.

with Server() as server:
    world = World(tmp_path, place=server.place())     # a database of its own, owner and servers' role in it
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
import pytest

from custody.store.home import Place

QUICK = ("fsync=off", "full_page_writes=off")
"""Not for tests of crashes."""
MODEST = (
    "listen_addresses=",
    "shared_buffers=16MB",
    "max_connections=60",
    "autovacuum=off",
    "log_min_messages=fatal",
)
OWNER, SERVERS = "custody_owner", "custody"


@cache
def programs() -> Path:
    """Where the system has PostgreSQL's programs; a test that needs them is skipped without, never in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    named = shutil.which("initdb")
    if found or named:
        return found[-1].parent if found else Path(str(named)).parent
    sentence = "PostgreSQL is missing (Debian: postgresql)"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{sentence}; in CI both databases are tested.")
    pytest.skip(f"{sentence}: a book in it is not tested.")


class Server:
    """A server of its own. `home` is its folder, which a postgres that is no root can read."""

    def __init__(self, *settings: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="custody-"))
        self.settings = [*MODEST, *(settings or QUICK)]
        self._numbers = count(1)
        if os.getuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.home / "data"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)

    def begin(self, *, bare: bool = False) -> Self:
        """Makes it, with the two roles unless it is to be bare, and starts it."""
        made = ("-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "-E", "UTF8")
        self.run("initdb", "-D", self.data, *made)
        self.start()
        if not bare:
            self.sql(f"CREATE ROLE {OWNER} NOLOGIN", f"CREATE ROLE {SERVERS} LOGIN")
        return self

    @staticmethod
    def command(program: str, *arguments: object) -> list[str]:
        """PostgreSQL refuses to run as root."""
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
        return [*(other if os.getuid() == 0 else []), str(programs() / program), *map(str, arguments)]

    def run(self, program: str, *arguments: object) -> None:
        subprocess.run(self.command(program, *arguments), check=True, capture_output=True, cwd=self.home)

    def start(self, *settings: str) -> None:
        self.settings += settings
        given = [word for setting in self.settings for word in ("-c", setting)]
        command = self.command("postgres", "-D", self.data, "-k", self.home, *given)
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.home, stderr=log)
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.home / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT in order, SIGQUIT at once, SIGKILL as a machine that is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def set_standby(self, named: str) -> None:
        """Commits wait for the standby of this name from here on; for none, where it is empty."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{named}'", "SELECT pg_reload_conf()")
        while self.sql("SHOW synchronous_standby_names") != [(named,)]:
            time.sleep(0.02)

    def follow(self, primary: Server, name: str) -> None:
        """A standby of this name, copied from its primary and started."""
        line = f"host={primary.home} user=postgres application_name={name}"
        self.run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast", "-d", line)
        self.start()

    def url(self, database: str, role: str = SERVERS) -> str:
        return f"postgresql:///{database}?host={quote(str(self.home), safe='')}&user={role}"

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """As the superuser, each in a transaction of its own; the rows of the last."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def place(self, template: str = "template0") -> Place:
        """A new database, empty or the copy of another one."""
        name = f"book{next(self._numbers)}"
        self.sql(
            f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}",
            f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC",
        )
        return Place(self.url(name), self.url(name, "postgres"))

    def copy(self, address: str) -> Place:
        """A new database with all that this one has; nobody may be connected to it."""
        return self.place(psycopg.conninfo.conninfo_to_dict(address)["dbname"])


@contextmanager
def owner(place: Place) -> Iterator[psycopg.Connection[Any]]:
    """A superuser at work, with none of our settings."""
    with psycopg.connect(place.owner, autocommit=True) as connection:
        yield connection
