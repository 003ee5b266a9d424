"""Files of this machine: read up to a length, written whole, kept from other accounts, and why one failed.

What lies where somebody else can write is named by whoever likes: a pipe would be waited for and a device
never ends, a link leads anywhere. So only a regular file is ever read, and in a folder of others' making no
link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from custody.errors import Conflict, Unreadable
from custody.outside import cleaned

SMALL: Final = 1 << 20
"""Bytes that a policy, a checkpoint, a receipt, a key or a token has at most, and many times over."""
LISTING: Final = 1 << 26
"""The same of a library's listing, and of a table of what is on its tapes."""
PARTS: Final = f".{'[0-9a-f]' * 16}.part"
"""The names of what is not whole yet: all that a kill leaves behind."""
_NOT_OF_FOLDERS: Final = (errno.EACCES, errno.EBADF, errno.EINVAL)
"""What Windows and some network shares say of a folder that is to be on the disk."""


def read(path: Path, most: int = SMALL, *, follow: bool = True) -> bytes:
    """What is in the file, as `opened`."""
    with opened(path, most, follow=follow) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it has grown
        raise Unreadable(_too_long(path, most))
    return data


@contextlib.contextmanager
def opened(path: Path, most: int, *, follow: bool = True) -> Iterator[BinaryIO]:
    """The regular file of this name, to be read. OSError as the system says.

    Unreadable where it is longer than `most` bytes, or is no file; unless `follow`, where it is a link.
    """
    _check_file(path, path.stat() if follow else path.lstat())  # opening a tape's device may turn the tape
    flags = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    with open(path, "rb", opener=lambda name, how: os.open(name, how | flags)) as file:
        status = os.fstat(file.fileno())
        _check_file(path, status)
        if status.st_size > most:
            raise Unreadable(_too_long(path, most))
        yield file


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(f"{_shown(path)} is {_kind(status.st_mode)}, and no file: nothing was read from it.")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a link" if stat.S_ISLNK(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"


def _too_long(path: Path, most: int) -> str:
    return f"{_shown(path)} is longer than {most:,} bytes: this is another file than is wanted here."


def listed(folder: Path, most: int) -> dict[str, int]:
    """The files in this folder and in those below: path from here, with `/`, and length in bytes.

    Nothing is followed. Unreadable where anything but folders and files is found, or more than `most` of
    them; what a file system keeps at its root (`lost+found`) is passed over.
    """
    found: dict[str, int] = {}
    waiting, count = [""], 0
    while waiting:
        above = waiting.pop()
        with os.scandir(folder / above) as entries:
            for entry in entries:
                name, status = f"{above}{entry.name}", entry.stat(follow_symlinks=False)
                count += 1
                if count > most:
                    raise Unreadable(f"{_shown(folder)} holds more than {most:,} files and folders.")
                if not stat.S_ISDIR(status.st_mode):
                    _check_file(folder / name, status)
                    found[name] = status.st_size
                elif name != "lost+found":
                    waiting.append(f"{name}/")
    return found


def _shown(path: Path) -> str:
    """Whoever made a file chose each character of its name."""
    return cleaned(str(path))


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """What is unreadable within is so in this file, and says it."""
    try:
        yield
    except Unreadable as problem:
        raise Unreadable(f"{_shown(path)}: {problem}") from problem


@contextlib.contextmanager
def whole(target: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """To be written into. The file has its name when the block has ended well, and both are on the disk then.

    `mode` is who may do what with it, less the umask. Conflict where something of this name is no file: a
    device or a folder is never replaced. Any number may write at once, and the last to end has the name.
    """
    if target.exists() and not target.is_file():
        raise Conflict(f"{target} is no file, and nothing was written to it. Give the name of a file.")
    with _appearing(target, mode, os.replace) as out:
        yield out


def make(path: Path, data: bytes) -> None:
    """A new file, as `whole`, that its owner alone can read; FileExistsError where there is one."""
    with _appearing(path, 0o600, os.link) as out:
        out.write(data)


@contextlib.contextmanager
def _appearing(target: Path, mode: int, name: Callable[[Path, Path], None]) -> Iterator[BinaryIO]:
    """A file with a drawn name, which nobody can have put there before, until it is whole."""
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb", opener=functools.partial(os.open, mode=mode)) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        name(part, target)
        _settle(target.parent)
    except OSError as problem:
        if problem.filename is None or str(problem.filename) == str(part):
            problem.filename = str(target)
        raise
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """The names in a folder are on the disk, where the system can be asked for it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as problem:
        if problem.errno not in _NOT_OF_FOLDERS:
            raise


def make_folder(path: Path) -> None:
    """A folder that its owner alone can enter, whatever the umask; one that is there becomes so."""
    path.mkdir(0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    _settle(path.parent)


def check_empty(folder: Path, what: str) -> None:
    """Conflict where something is in the folder in which `what` is to be made: "A new book", say."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty. {what} needs a folder of its own.")


@contextlib.contextmanager
def filled(folder: Path, what: str) -> Iterator[None]:
    """A folder to be filled with `what`, for its owner alone; as it was where the block fails.

    Conflict where it is neither empty nor new, or where another process fills it just now.
    """
    check_empty(folder, what)
    made = [at for at in (folder, *folder.parents) if not at.exists()]
    mode = None if made else stat.S_IMODE(folder.stat().st_mode)
    try:
        make_folder(folder)
    except BaseException:
        _as_it_was(folder, made, mode)
        raise
    with alone(folder, f"{what} is being made in {folder} just now, by another process."):
        check_empty(folder, what)
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # why it failed is told, and not this
                for path in folder.iterdir():
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
            _as_it_was(folder, made, mode)
            raise


def _as_it_was(folder: Path, made: list[Path], mode: int | None) -> None:
    """Takes the empty folder away with those above it that were made, or gives it its mode again."""
    with contextlib.suppress(OSError):
        if mode is not None:
            folder.chmod(mode)
        for at in made:
            at.rmdir()


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
    if problem.filename is None or isinstance(problem.filename, int):
        return f"What was read or written broke off: {why}."
    path = Path(os.fsdecode(problem.filename))
    words = f"{_shown(path)} cannot be read or written: {why}."
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
