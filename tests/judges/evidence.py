"""A ledger as an auditor has it, and what is done to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest
from world import World

from custody.ledger import tiles
from custody.ledger.envelope import Envelope, event_id
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, LogKey
from custody.store import export

HERE = Path(__file__).parent


def lacking(package: str) -> NoReturn:
    """Skips the test whose judge is not on this machine; but where CI counts on the judge, it fails."""
    sentence = f"a judge is missing: install {package} (Debian's name)"
    assert os.environ.get("CI") != "true", sentence
    pytest.skip(sentence)


@dataclass(frozen=True)
class Evidence:
    """A folder of tlog-tiles, older checkpoints of the same log, its vkey, and a receipt that it holds."""

    world: World
    folder: Path
    pins: tuple[Path, ...]
    receipt: str

    @classmethod
    def export(cls, world: World, folder: Path, pins: Sequence[Path], receipt: str) -> Evidence:
        export.export_tiles(world.book, folder)
        return cls(world, folder, tuple(pins), receipt)

    @property
    def vkey(self) -> str:
        return str(self.world.log_key.verifier)

    def copy(self, folder: Path) -> Evidence:
        """The same elsewhere, to be tampered with."""
        pins = tuple(Path(shutil.copy(pin, folder)) for pin in self.pins)
        return replace(self, folder=shutil.copytree(self.folder, folder / "log"), pins=pins)

    def entries(self) -> list[bytes]:
        """What the folder holds, in the log's order."""
        size = Checkpoint.of((self.folder / "checkpoint").read_bytes()).size
        return [
            entry
            for tile in tiles.tiles(size)
            if tile.level is None
            for entry in tiles.read_entry_bundle((self.folder / tile.path).read_bytes(), tile.width)
        ]

    def find(self, event: str) -> int:
        """The index of the entry that holds this event."""
        ids = [event_id(Envelope.read(entry).payload) for entry in self.entries()]
        return ids.index(event)


def checkpoint(world: World, path: Path) -> Path:
    """The book's newest checkpoint, kept as a pin."""
    path.write_text(world.book.checkpoint(), "utf-8")
    return path


def write(folder: Path, entries: Sequence[bytes], log: LogKey) -> str:
    """A folder of tlog-tiles with any entries at all; gives the checkpoint."""
    hashes = [leaf_hash(entry) for entry in entries]
    members = dict(tiles.hash_tiles(hashes))
    for start in range(0, len(entries), tiles.WIDTH):
        part = entries[start : start + tiles.WIDTH]
        tile = tiles.Tile(None, start // tiles.WIDTH, len(part))
        members[tile.path] = tiles.entry_bundle(part)
    for path, data in members.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    note = log.sign(Checkpoint(log.verifier.name, len(entries), root(hashes)))
    (folder / "checkpoint").write_text(note, "utf-8")
    return note


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes."""
    tree = Frontier()
    for each in hashes:
        tree.add(each)
    return tree.root()


def spki_pem(key: SigningKey) -> bytes:
    """The public key as openssl and others read it."""
    text = key.public.spki
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n".encode()


def flip(path: Path, at: int) -> None:
    """One bit of the byte at this place becomes another."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
