"""The log over the network: the files of C2SP tlog-tiles, for whom they are, as they are exported."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from custody.ledger.note import Checkpoint
from custody.ledger.tiles import Tile, tiles
from custody.store import export, tokens


@pytest.fixture(scope="module")
def served(template: Any, furnished: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A book of a full tile and a bit, and the files of it."""
    world = template.copy(tmp_path_factory.mktemp("log"))
    world.dispatch(2)
    while Checkpoint.of(world.book.checkpoint()).size < 300:
        world.register(100)
    office = furnished(world)
    office.files = tmp_path_factory.mktemp("files")
    export.export_tiles(world.book, office.files)
    office.witness = tokens.make(world.book, "w", "witness")
    office.mirror = tokens.make(world.book, "m", "mirror")
    yield office
    world.check()
    world.book.engine.dispose()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def all_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_mirror_fetches_every_file_as_it_is_exported(served: Any) -> None:
    client = served.stranger()
    for path in all_files(served.files):
        answer = client.get(f"/log/{path}", headers=bearer(served.mirror))
        assert answer.status_code == 200, path
        assert answer.get_data() == (served.files / path).read_bytes(), path


def test_each_file_has_the_specifications_headers(served: Any) -> None:
    client = served.stranger()
    note = client.get("/log/checkpoint", headers=bearer(served.witness))
    assert note.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert note.headers["Cache-Control"] == "no-store"
    tile = client.get("/log/tile/0/000", headers=bearer(served.witness))
    assert tile.headers["Content-Type"] == "application/octet-stream"
    assert tile.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Content-Encoding" not in tile.headers
    packed = client.get(
        "/log/tile/entries/000", headers={**bearer(served.mirror), "Accept-Encoding": "gzip, deflate"}
    )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.get_data()) == (served.files / "tile/entries/000").read_bytes()
    assert packed.headers["Cache-Control"].startswith("private")


def test_entries_are_for_auditors_and_mirrors_alone(served: Any) -> None:
    address = "/log/tile/entries/000"
    assert served.stranger().get(address, headers=bearer(served.witness)).status_code == 401
    assert served.as_("olga").get(address).status_code == 200
    for name in ("carl", "ann", "mona", "ada"):
        assert served.as_(name).get(address).status_code == 403, name
        assert served.as_(name).get("/log/tile/0/000").status_code == 200, name
        assert served.as_(name).get("/log/checkpoint").status_code == 200, name


@pytest.mark.parametrize(
    "header", ["Bearer x", "Bearer ", "Bearer", "Basic YTpi", "Basic frog", "Digest a=b", "frog"]
)
def test_what_is_no_token_opens_nothing(served: Any, header: str) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        answer = served.stranger().get(f"/log/{path}", headers={"Authorization": header})
        assert answer.status_code in (302, 401), path


def test_a_token_opens_the_log_and_nothing_else(served: Any) -> None:
    for where in ("/board", "/ledger/bundle.zip", "/ledger/checkpoint", "/consignments/C-1", "/devices"):
        assert served.stranger().get(where, headers=bearer(served.mirror)).status_code == 401, where
    wrong = served.as_("olga").get("/board", headers=bearer(served.mirror))
    assert wrong.status_code == 401, "whoever shows a token is judged by it, signed in or not"


def test_a_revoked_token_opens_nothing(served: Any) -> None:
    token = tokens.make(served.world.book, "gone", "mirror")
    assert served.stranger().get("/log/checkpoint", headers=bearer(token)).status_code == 200
    tokens.revoke(served.world.book, "gone")
    assert served.stranger().get("/log/checkpoint", headers=bearer(token)).status_code == 401
    found = {each.name: each.revoked_at is None for each in tokens.every(served.world.book)}
    assert found == {"w": True, "m": True, "gone": False}


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/0",
        "tile/9/000",
        "tile/entries/001",
        "tile/entries/x000/000",
        "tile/entries/..%2f..%2fcheckpoint",
        "tile/0/001.p/255",
    ],
)
def test_a_file_that_the_log_has_not(served: Any, path: str) -> None:
    assert served.stranger().get(f"/log/{path}", headers=bearer(served.mirror)).status_code == 404


def test_the_right_edge_of_every_older_checkpoint_is_there(served: Any) -> None:
    """A client that fetched a checkpoint a moment ago asks for the partial tiles that it calls for."""
    client = served.stranger()
    for size in (1, 200, 257, 290):
        for tile in tiles(size):
            if tile.width < 256:
                answer = client.get(f"/log/{tile.path}", headers=bearer(served.mirror))
                assert answer.status_code == 200, tile
                if tile.level is not None:
                    assert len(answer.get_data()) == 32 * tile.width
    whole = client.get(f"/log/{Tile(0, 0).path}", headers=bearer(served.mirror)).get_data()
    part = client.get(f"/log/{Tile(0, 0, 7).path}", headers=bearer(served.mirror)).get_data()
    assert whole.startswith(part)
