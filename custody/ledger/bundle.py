"""`bundle.zip`: a whole ledger as one file, of which every byte means something.

It is an ordinary zip (APPNOTE.TXT 6.3.10) that any tool unpacks, and it holds exactly `checkpoint` and
the tiles of its tree (`custody.ledger.tiles`). Members are stored, not compressed, in the order
checkpoint, hash tiles, entry bundles, with every optional field zero or absent, so that the members
determine the file: a reader writes the headers again and compares. A flipped byte anywhere, a byte between
members, a comment, a second spelling of a name: all are refused.

Limits, since there is no ZIP64 here: 65,535 members and 4 GiB, which is about 3 million entries. A longer
ledger is audited from the folder of its tiles (`read_folder`), which has the same files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from custody import files
from custody.errors import Unreadable
from custody.ledger.note import Checkpoint
from custody.ledger.tiles import paths
from custody.outside import cleaned

VERSION: Final = 20
DATE: Final = 0x21
"""1 January 1980, the earliest that the format knows: no clock leaves a trace here."""
MEMBERS_MOST: Final = 0xFFFF
BYTES_MOST: Final = 0xFFFFFFFF
ENTRIES_MOST: Final = 8_000_000
MEMBER_MOST: Final = 256 * (2 + 0xFFFF)
FILES_MOST: Final = 4 * ENTRIES_MOST // 256
"""In a folder of tiles, with the folders in it: nearly twice of what the longest log has."""


class NoBundle(Unreadable):
    """The file is no zip, the folder none of tiles: more likely the wrong one than a tampered one."""


def _local(name: bytes, crc: int, size: int) -> bytes:
    fields = (b"PK\x03\x04", VERSION, 0, 0, 0, DATE, crc, size, size, len(name), 0)
    return struct.pack("<4s5H3I2H", *fields) + name


def _central(name: bytes, crc: int, size: int, offset: int) -> bytes:
    fields = (
        b"PK\x01\x02",
        VERSION,
        VERSION,
        0,
        0,
        0,
        DATE,
        crc,
        size,
        size,
        len(name),
        0,
        0,
        0,
        0,
        0,
        offset,
    )
    return struct.pack("<4s6H3I5H2I", *fields) + name


def _end(count: int, size: int, offset: int) -> bytes:
    return struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


def write(out: BinaryIO, members: Iterable[tuple[str, bytes]]) -> None:
    """A bundle of these members, in the order given, onto a stream at its beginning."""
    central: list[bytes] = []
    offset = 0
    for path, data in members:
        name, crc = path.encode("ascii"), zlib.crc32(data)
        header = _local(name, crc, len(data))
        central.append(_central(name, crc, len(data), offset))
        out.write(header)
        out.write(data)
        offset += len(header) + len(data)
        if len(central) > MEMBERS_MOST or offset + 100 * len(central) > BYTES_MOST:
            raise Unreadable(
                "This ledger is too long for one bundle. Export its tiles, and audit their folder."
            )
    directory = b"".join(central)
    out.write(directory + _end(len(central), len(directory), offset))


def read(source: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The members of a bundle, one after the other, each with its path; the last step judges the rest.

    NoBundle where the file neither begins nor ends as one. Unreadable for any departure from what `write`
    writes, among them a member that the checkpoint's size does not call for.
    """
    _is_a_zip(source)
    reader = _Reader(source)
    note = reader.member("checkpoint")
    yield "checkpoint", note
    size = Checkpoint.of(note).size
    if size > ENTRIES_MOST:
        raise Unreadable(f"A bundle holds at most {ENTRIES_MOST:,} entries; this checkpoint says {size:,}.")
    for path in paths(size):
        yield path, reader.member(path)
    reader.end()


def read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The same from a folder of tiles. Unreadable where a file is missing, or one is there too many.

    NoBundle where it has no checkpoint. Whoever made the folder may have put anything into it: no link is
    followed, and nothing is read but files of the names and lengths that a log has.
    """
    if not (folder / "checkpoint").exists():
        raise NoBundle(f"{folder} is no folder of tiles: it has no file `checkpoint`.")
    try:
        note = files.read(folder / "checkpoint", follow=False)
        yield "checkpoint", note
        size = Checkpoint.of(note).size
        if size > ENTRIES_MOST:
            raise Unreadable(f"At most {ENTRIES_MOST:,} entries are read; this checkpoint says {size:,}.")
        wanted = ["checkpoint", *paths(size)]
        found = set(files.listed(folder, FILES_MOST))
        if missing := set(wanted) - found:
            raise Unreadable(f"{min(missing)} is missing from the folder.")
        if strays := found - set(wanted):
            raise Unreadable(f"{cleaned(min(strays))} is no part of this log. Judge the folder without it.")
        for path in wanted[1:]:
            yield path, files.read(folder / path, MEMBER_MOST, follow=False)
    except OSError as problem:
        raise Unreadable(files.told(problem)) from problem


def _is_a_zip(source: BinaryIO) -> None:
    start = source.read(4)
    source.seek(0, 2)
    source.seek(max(0, source.tell() - 22))
    ending = source.read(4)
    source.seek(0)
    if start != b"PK\x03\x04" and ending != b"PK\x05\x06":
        raise NoBundle("This file is not a zip.")


class _Reader:
    """Goes through the file once and compares every byte that is not a member's with the one it must be.

    A member that is not what its checksum says is given all the same, and refused at the end: so an auditor
    can say which entry was changed, and not merely that a file was.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._spoiled = ""
        self._central: list[bytes] = []
        self._offset = 0

    def member(self, path: str) -> bytes:
        name = path.encode("ascii")
        header = self._source.read(30 + len(name))
        size = int.from_bytes(header[22:26], "little")
        data = self._source.read(min(size, MEMBER_MOST))
        crc = int.from_bytes(header[14:18], "little")
        if header != _local(name, crc, len(data)):
            raise Unreadable(f"{path} does not stand in the bundle where and as it must.")
        if crc != zlib.crc32(data):
            self._spoiled = self._spoiled or path
        self._central.append(_central(name, crc, len(data), self._offset))
        self._offset += len(header) + len(data)
        return data

    def end(self) -> None:
        directory = b"".join(self._central)
        ending = directory + _end(len(self._central), len(directory), self._offset)
        if self._source.read(len(ending) + 1) != ending:
            raise Unreadable("The bundle's directory is not the one that its members call for.")
        if self._spoiled:
            raise Unreadable(f"{self._spoiled} is not what the bundle's own checksum says.")
