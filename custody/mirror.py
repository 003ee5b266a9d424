"""A mirror: a log's files (C2SP tlog-tiles) in a folder, brought up to date, and never set back.

A mirror is the way back when the book is lost, and a pin. So it takes nothing on trust: `pull` believes the
policy's signature and what follows from the entries themselves; hash tiles are not fetched but made. Whatever
stops it, the folder has one whole state or the next: the checkpoint is written after its tiles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from custody import files
from custody.errors import Conflict, Unreadable
from custody.ledger.bundle import ENTRIES_MOST, FILES_MOST, MEMBER_MOST
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, Policy
from custody.ledger.tiles import WIDTH, Tile, Tree, hash_tiles, paths, read_entry_bundle, tiles
from custody.outside import cleaned

_SPOILT: Final = "Restore nothing from this mirror. Make a new one, and keep this one to be looked at."
_NOT_THIS: Final = "Nothing was taken from it; keep the mirror, and ask whose history this is."


def state(folder: Path) -> Checkpoint | None:
    """The checkpoint of what is in the folder; None where nothing is yet.

    Unreadable where a file that it calls for is missing or was cut short, where tiles are there without one,
    and where a link, a pipe or a device is there. What is in them `check` reads.
    """
    path, lengths = folder / "checkpoint", files.listed(folder, FILES_MOST)
    if path.name not in lengths:
        if any(name.startswith("tile/") for name in lengths):
            raise Unreadable(
                f"{folder} has tiles and no file `checkpoint`: what this mirror had seen is not known, and"
                " nothing is written over it. Make a new one in another folder, and keep this one to be"
                " looked at; but if its first filling was broken off, remove it and begin again."
            )
        return None
    with files.about(path):
        checkpoint = Checkpoint.of(files.read(path, follow=False))
    for tile in tiles(checkpoint.size):
        length = lengths.get(tile.path, 0)
        if length == 0 or (tile.level is not None and length != 32 * tile.width):
            raise Unreadable(f"{folder / tile.path} is missing, or was cut short. {_SPOILT}")
    return checkpoint


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time brings a folder up to date; Conflict where another is at it, or where it is a book's.

    A new one is for its owner's account alone: entries tell what moves where, and when. One that is there
    keeps the mode that an administrator gave it.
    """
    if any(map(_is_a_book, (folder.resolve(), *folder.resolve().parents))):
        raise Conflict(f"{folder} is in the folder of a book, and would be lost with it. Take another.")
    folder.mkdir(0o700, parents=True, exist_ok=True)
    with files.alone(folder, f"{folder} is being brought up to date just now, by another process."):
        for where in (files.PARTS, f"tile/**/{files.PARTS}"):  # what one that was killed has left
            for left in folder.glob(where):
                left.unlink()
        yield


def _is_a_book(folder: Path) -> bool:
    try:
        return (folder / "keys" / "log.pem").exists()
    except PermissionError:  # a folder of this name that is none of ours
        return False


def pull(folder: Path, fetch: Callable[[str], bytes], policy: bytes) -> tuple[int, int]:
    """Brings the folder up to date with a log elsewhere: how many entries it had before, and has now.

    `fetch` gives the file of a path below the log's address; `policy` says whose signature is believed.
    Unreadable where what comes is not signed, or is not what the mirror has and more: nothing of it stays.
    """
    with alone(folder):
        return _pull(folder, fetch, policy)


def _pull(folder: Path, fetch: Callable[[str], bytes], policy: bytes) -> tuple[int, int]:
    note, trust = fetch("checkpoint"), Policy.read(policy)
    there = trust.open(note).checkpoint
    here = state(folder) or Checkpoint(there.origin, 0, Frontier().root())
    if there.origin != here.origin:
        raise Unreadable(f"This is the log {there.origin}, and the mirror is of {here.origin}. {_NOT_THIS}")
    if not 0 < there.size <= ENTRIES_MOST:
        raise Unreadable(f"Up to {ENTRIES_MOST:,} entries are mirrored; this log says {there.size:,}.")
    if there.size < here.size:
        raise Unreadable(
            f"The log has {there.size:,} entries, fewer than the {here.size:,} that it has signed before."
            f" {_NOT_THIS}"
        )
    if there == here:
        mine = trust.open(files.read(folder / "checkpoint"))
        if not set(mine.witnesses) <= set(trust.open(note).witnesses):
            return here.size, there.size  # what they said of it is not given up
    grow(folder, fetch, here, note)
    return here.size, there.size


def grow(folder: Path, fetch: Callable[[str], bytes], here: Checkpoint | None, note: bytes) -> None:
    """Adds what the log of this note has and the folder, in state `here`, has not.

    The caller believes the note, and is `alone`. Unreadable where the entries do not make its root, or do not
    begin with what is there: nothing of it stays.
    """
    there = Checkpoint.of(note)
    here = here or Checkpoint(there.origin, 0, Frontier().root())
    if here.size == there.size:
        _same(here.root, there)
        _add(folder, there.size, note, ())  # its witnesses may have said more meanwhile
        return
    lacking = _Pull(folder, fetch, here, there)
    try:
        _add(folder, there.size, note, lacking)
    except BaseException:
        lacking.undo()
        raise


def check(folder: Path, policy: bytes, tell: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Reads the whole folder again: how many entries it has, all of them as its checkpoint signs.

    `pull` reads back only the right edge of what is there. Unreadable at the first file that is not what it
    was. `tell` is told how many entries were read, of how many.
    """
    with alone(folder):
        state(folder)
        here = Policy.read(policy).open(files.read(folder / "checkpoint")).checkpoint
        if odd := set(files.listed(folder, FILES_MOST)) - {"checkpoint", *paths(here.size)}:
            stray = cleaned(str(folder / min(odd)))
            raise Unreadable(f"{stray} is no part of the log. Take it out of the mirror.")
        edge = Frontier()
        for path, data in hash_tiles(_read_again(folder, here.size, edge, tell)):
            if _read(folder, path) != data:
                raise Unreadable(f"{folder / path} is not what the entries beside it make. {_SPOILT}")
        if edge.root() != here.root:
            raise Unreadable(f"The entries in {folder} do not make the root that was signed. {_SPOILT}")
    return here.size


def _read_again(folder: Path, size: int, edge: Frontier, tell: Callable[[int, int], None]) -> Iterator[bytes]:
    """The hashes of all entries, which `edge` grows by."""
    for tile in tiles(size):
        if tile.level is None:
            try:
                entries = read_entry_bundle(_read(folder, tile.path), tile.width)
            except Unreadable as problem:
                raise Unreadable(f"{folder / tile.path}: {problem} {_SPOILT}") from None
            for leaf in map(leaf_hash, entries):
                edge.add(leaf)
                yield leaf
            tell(edge.size, size)


def _add(folder: Path, size: int, note: bytes, lacking: Iterable[tuple[str, bytes]]) -> None:
    """Writes what it lacks, then the note of `size` entries, and takes away older partial tiles."""
    for path, data in lacking:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / path, data)
    _write(folder / "checkpoint", note)
    there = {name for name in files.listed(folder, FILES_MOST) if name.startswith("tile/")}
    for stray in there.difference(paths(size)):  # older partial tiles, and what was never vouched for
        _take_away(folder / stray)


class _Pull:
    """The files that the mirror lacks. The last comes when all of them have the root that was signed."""

    def __init__(
        self, folder: Path, fetch: Callable[[str], bytes], here: Checkpoint, there: Checkpoint
    ) -> None:
        self._folder, self._fetch, self._here, self._there = folder, fetch, here, there
        self._start = here.size - here.size % WIDTH
        self._edge = Tree(self._start, self._read).frontier()
        self._known = {tile.path for tile in tiles(here.size) if tile.width < WIDTH}
        self._bundles: list[tuple[str, bytes]] = []
        self._written: list[Path] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for hashes in hash_tiles(self._leaves(), self._start, self._read):
            for path, data in (*self._bundles, hashes):
                if path not in self._known:
                    if not (self._folder / path).exists():
                        self._written.append(self._folder / path)
                    yield path, data
            self._bundles.clear()
        _same(self._edge.root(), self._there)

    def undo(self) -> None:
        """Takes away what was written: it is not vouched for."""
        for path in self._written:
            _take_away(path)

    def _leaves(self) -> Iterator[bytes]:
        """The hashes of the entries from the mirror's last full tile on."""
        self._look_back()
        for tile in tiles(self._there.size, self._here.size):
            if tile.level is None:
                data = self._fetch(tile.path)
                for entry in read_entry_bundle(data, tile.width):
                    leaf = leaf_hash(entry)
                    self._edge.add(leaf)
                    self._look_back()
                    yield leaf
                self._bundles.append((tile.path, data))

    def _look_back(self) -> None:
        """Where the mirror ended it must have been the beginning of what comes."""
        if self._edge.size == self._here.size:
            _same(self._edge.root(), self._here)

    def _read(self, tile: Tile) -> bytes:
        return _read(self._folder, tile.path)


def _read(folder: Path, path: str) -> bytes:
    return files.read(folder / path, MEMBER_MOST, follow=False)


def _same(root: bytes, checkpoint: Checkpoint) -> None:
    if root != checkpoint.root:
        raise Unreadable(
            f"The entries do not make the root that was signed over {checkpoint.size:,} of them. {_NOT_THIS}"
        )


def _take_away(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # its folder holds more
        path.parent.rmdir()


def _write(target: Path, data: bytes) -> None:
    with files.whole(target) as out:
        out.write(data)
