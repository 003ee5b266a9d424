"""Files of this machine: read up to a length, written whole, kept from other accounts, and why one failed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from custody.errors import Conflict, Unreadable

SMALL: Final = 1 << 20
"""Bytes that a policy, a checkpoint, a receipt, a key or a token has at most, and many times over."""
LISTING: Final = 1 << 26
"""The same of a library's listing, and of a table of what is on its tapes."""


def read(path: Path, most: int = SMALL) -> bytes:
    """What is in the file, of `most` bytes; Unreadable where it is longer, OSError as the system says."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"{path} is longer than {most:,} bytes: this is another file than is wanted here.")
    return data


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """What is unreadable within is so in this file, and says it."""
    try:
        yield
    except Unreadable as problem:
        raise Unreadable(f"{path}: {problem}") from problem


@contextlib.contextmanager
def whole(target: Path) -> Iterator[BinaryIO]:
    """To be written into. The file has its name when the block has ended well, and is on the disk then.

    Conflict where something of this name is no file: a device or a folder is never replaced.
    """
    if target.exists() and not target.is_file():
        raise Conflict(f"{target} is no file, and nothing was written to it. Give the name of a file.")
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    except OSError as problem:
        if problem.filename in (None, str(part)):
            problem.filename = str(target)
        raise
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def make(path: Path, data: bytes) -> None:
    """A new file that its owner alone can read, whatever the umask."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def make_folder(path: Path) -> None:
    """A folder that its owner alone can enter, whatever the umask; one that is there becomes so."""
    path.mkdir(0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """A folder to be filled, empty or not there yet, for its owner alone; as it was where the block fails."""
    new = not folder.exists()
    make_folder(folder)
    try:
        yield
    except BaseException:
        for path in (folder,) if new else tuple(folder.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


@contextlib.contextmanager
def alone(folder: Path, taken: str) -> Iterator[None]:
    """One process at a time is within, of those that ask for this folder; for others Conflict, so worded."""
    import fcntl  # noqa: PLC0415 - not on every system on which an auditor works

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(taken) from None
    else:
        yield
    finally:
        os.close(descriptor)


def shared(folder: Path) -> list[Path]:
    """The files in this folder that other accounts can read, or the group."""
    if not folder.stat().st_mode & 0o011:
        return []
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_mode & 0o044]


def told(problem: OSError) -> str:
    """What the system refused, in a sentence: of which file, whose that is, and as whom this runs."""
    why = problem.strerror or str(problem) or type(problem).__name__
    if problem.filename is None:
        return f"What was read or written broke off: {why}."
    path = Path(os.fsdecode(problem.filename))
    words = f"{path} cannot be read or written: {why}."
    if isinstance(problem, PermissionError):
        words += f" {_whose(path)}, and this runs as {_name(os.geteuid())}."
    return words


def _whose(path: Path) -> str:
    """The file's owner, or the owner of the nearest folder above it that can be looked at."""
    for at in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            return f"{at} belongs to {_name(at.stat().st_uid)}"
    return "Nobody can say whose it is"


def _name(user: int) -> str:
    import pwd  # noqa: PLC0415 - not on every system on which an auditor works

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
