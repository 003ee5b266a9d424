"""A mirror that fetches: it takes what is signed and follows from what it has, and nothing else."""

from __future__ import annotations

import http.server
import random
import stat
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import World

from custody import audit
from custody.channels.tiles import fetcher
from custody.cli.main import _commands
from custody.errors import Conflict, Undelivered, Unreadable
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, LogKey, policy_text
from custody.ledger.tiles import Tree, entry_bundle, hash_tiles, tiles
from custody.mirror import check, pull, state
from custody.store import export


class Log:
    """A log of made-up entries, as its files; `size` of them are there."""

    def __init__(self, size: int, key: LogKey | None = None) -> None:
        self.key = key or LogKey("log.test/one", Ed25519PrivateKey.generate())
        self.entries = [b"entry %d" % number for number in range(70_000)]
        self.size = size
        self.fetched: list[str] = []

    @property
    def policy(self) -> bytes:
        return policy_text(str(self.key.verifier)).encode()

    def files(self) -> dict[str, bytes]:
        here = self.entries[: self.size]
        leaves = [leaf_hash(entry) for entry in here]
        frontier = Frontier()
        for leaf in leaves:
            frontier.add(leaf)
        found = dict(hash_tiles(leaves))
        for tile in tiles(self.size):
            if tile.level is None:
                found[tile.path] = entry_bundle(here[tile.number * 256 :][: tile.width])
        note = self.key.sign(Checkpoint("log.test/one", self.size, frontier.root()))
        return found | {"checkpoint": note.encode()}

    def fetcher(self, **changed: bytes) -> Callable[[str], bytes]:
        files = self.files() | changed

        def fetch(path: str) -> bytes:
            self.fetched.append(path)
            return files[path]

        return fetch


def held(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


GROWTHS = [
    (1, 2, 255, 256, 257, 513),
    (255, 300, 512),
    (256, 511, 1000),
    (257, 258),
    (512, 1024),
    (65_535, 65_536, 65_537, 70_000),
]


@pytest.mark.parametrize("sizes", GROWTHS, ids=str)
def test_a_mirror_grows_with_its_log(sizes: tuple[int, ...], tmp_path: Path) -> None:
    log, before = Log(0), 0
    for size in sizes:
        log.size = size
        log.fetched.clear()
        assert pull(tmp_path, log.fetcher(), log.policy) == (before, size)
        assert held(tmp_path) == log.files()
        assert len(log.fetched) == 2 + (size - 1) // 256 - before // 256, "what it has is not fetched again"
        before = size
    assert pull(tmp_path, log.fetcher(), log.policy) == (before, before)


def test_the_checkpoint_comes_after_all_that_it_covers(tmp_path: Path) -> None:
    """A mirror that is stopped halfway must not vouch for what it has not got."""
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    old = (tmp_path / "checkpoint").read_bytes()
    log.size = 1000
    fetch = log.fetcher()

    def stopped(path: str) -> bytes:
        assert (tmp_path / "checkpoint").read_bytes() == old
        if path == "tile/entries/003.p/232":
            raise KeyboardInterrupt
        return fetch(path)

    with pytest.raises(KeyboardInterrupt):
        pull(tmp_path, stopped, log.policy)
    assert (tmp_path / "checkpoint").read_bytes() == old
    assert len(log.fetched) > 2, "it was stopped at the last file"
    assert pull(tmp_path, fetch, log.policy) == (300, 1000)


def test_another_log_of_the_same_policy_is_named(tmp_path: Path) -> None:
    log, other = Log(3), LogKey("other.test/log", Ed25519PrivateKey.generate())
    pull(tmp_path, log.fetcher(), log.policy)
    before = held(tmp_path)
    both = log.policy + f"log {other.verifier}\n".encode()
    note = other.sign(Checkpoint("other.test/log", 3, bytes(32))).encode()
    with pytest.raises(
        Unreadable, match=r"This is the log other\.test/log, and the mirror is of log\.test/one"
    ):
        pull(tmp_path, log.fetcher(checkpoint=note), both)
    assert held(tmp_path) == before


def test_what_is_read_from_the_files_of_a_tree_is_the_tree(tmp_path: Path) -> None:
    log = Log(66_000)
    pull(tmp_path, log.fetcher(), log.policy)
    tree = Tree(66_000, lambda tile: (tmp_path / tile.path).read_bytes())
    there = state(tmp_path)
    assert there is not None
    assert tree.frontier().root() == there.root


def refused(log: Log, folder: Path, fetch: Callable[[str], bytes], why: str) -> None:
    """Refused with this sentence, and nothing of it stays."""
    before = held(folder)
    with pytest.raises(Unreadable, match=why):
        pull(folder, fetch, log.policy)
    assert held(folder) == before


@pytest.mark.parametrize("old", [256, 300, 700])
def test_another_history_is_refused_and_nothing_of_it_stays(old: int, tmp_path: Path) -> None:
    log = Log(old)
    pull(tmp_path, log.fetcher(), log.policy)
    other = Log(1200, log.key)
    other.entries[old - 1] = b"never happened"
    refused(
        log, tmp_path, other.fetcher(), f"do not make the root that was signed over ({old}|1,200) of them"
    )
    other.size = old
    refused(log, tmp_path, other.fetcher(), f"do not make the root that was signed over {old} of them")
    other.size = old - 1
    refused(log, tmp_path, other.fetcher(), f"fewer than the {old} that it has signed before")
    log.size = 1200
    assert pull(tmp_path, log.fetcher(), log.policy) == (old, 1200)
    assert held(tmp_path) == log.files()


def test_what_is_not_what_was_signed_is_refused(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    log.size = 1000
    files = log.files()
    chance = random.Random(1)
    for path in ("tile/entries/001", "tile/entries/002", "tile/entries/003.p/232"):
        for _ in range(30):
            changed = bytearray(files[path])
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            refused(log, tmp_path, log.fetcher(**{path: bytes(changed)}), "root that was signed|bundle")
        refused(log, tmp_path, log.fetcher(**{path: files[path][:-1]}), "ends within an entry")
        refused(log, tmp_path, log.fetcher(**{path: files[path] + b"\0"}), "holds more than its entries")
    other = Log(1000)
    refused(log, tmp_path, other.fetcher(), "not signed|signature")
    twin = Log(1000, LogKey("log.test/two", Ed25519PrivateKey.generate()))
    refused(twin, tmp_path, log.fetcher(), "policy")


def test_a_mirror_whose_own_right_edge_was_changed_says_so(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    (tmp_path / "tile/1/000.p/1").write_bytes(bytes(32))
    log.size = 400
    refused(log, tmp_path, log.fetcher(), "do not make the root that was signed over 300 of them")


def test_a_mirror_is_read_again_whole(tmp_path: Path) -> None:
    """`pull` reads the right edge alone: what rots or is changed before it is found by `check`."""
    log = Log(70_000)
    pull(tmp_path, log.fetcher(), log.policy)
    told: list[tuple[int, int]] = []
    assert check(tmp_path, log.policy, lambda done, of: told.append((done, of))) == 70_000
    assert (told[0], told[-1], len(told)) == ((256, 70_000), (70_000, 70_000), 274)
    before, chance = held(tmp_path), random.Random(2)
    with pytest.raises(Unreadable, match="policy"):
        check(tmp_path, Log(1).policy)
    for path in (
        "tile/entries/000",
        "tile/entries/272",
        "tile/0/100",
        "tile/1/000",
        "tile/entries/273.p/112",
    ):
        changed = bytearray(before[path])
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        (tmp_path / path).write_bytes(changed)
        assert pull(tmp_path, log.fetcher(), log.policy) == (70_000, 70_000)
        with pytest.raises(Unreadable, match="Restore nothing from this mirror"):
            check(tmp_path, log.policy)
        (tmp_path / path).unlink()
        with pytest.raises(Unreadable, match="is missing, or was cut short"):
            check(tmp_path, log.policy)
        (tmp_path / path).write_bytes(before[path])
    (tmp_path / "lost.txt").write_bytes(b"a restore would refuse the folder for it")
    with pytest.raises(Unreadable, match=r"lost.txt is no part of the log"):
        check(tmp_path, log.policy)
    (tmp_path / "lost.txt").unlink()
    assert held(tmp_path) == before


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(bytes(99))]
)
def test_a_mirror_that_lacks_a_file_is_told_at_once(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    log = Log(600)
    pull(tmp_path, log.fetcher(), log.policy)
    log.size = 601
    spoil(tmp_path / "tile/0/000")
    with pytest.raises(Unreadable, match="tile/0/000 is missing, or was cut short"):
        pull(tmp_path, log.fetcher(), log.policy)
    assert not (tmp_path / "tile/0/002.p/89").exists()


def test_two_at_once_do_not_undo_each_other(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    log.size = 400
    fetch = log.fetcher()

    def slow(path: str) -> bytes:
        with pytest.raises(Conflict, match="brought up to date just now"):
            pull(tmp_path, fetch, log.policy)
        return fetch(path)

    assert pull(tmp_path, slow, log.policy) == (300, 400)
    assert held(tmp_path) == log.files()


def test_what_a_kill_left_behind_is_taken_away(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    for size in (300, 320, 600):
        for path in ("tile/0/001", "tile/0/002", "tile/entries/001", "tile/entries/002.part"):
            (tmp_path / path).write_bytes(b"of a forged log")
        log.size = size
        pull(tmp_path, log.fetcher(), log.policy)
        assert held(tmp_path) == log.files()


def test_a_mirror_without_its_checkpoint_is_not_begun_anew(
    loose: World, setting_out: World, tmp_path: Path
) -> None:
    """It would forget what it had seen: an older book, or another, could take its place."""
    export.export_tiles(setting_out.book, tmp_path / "mirror")
    (tmp_path / "mirror" / "checkpoint").unlink()
    before = held(tmp_path / "mirror")
    for book in (loose.book, setting_out.book):
        with pytest.raises(
            Unreadable, match=r"has tiles and no file `checkpoint`.*Make a new one in another"
        ):
            export.export_tiles(book, tmp_path / "mirror")
    log = Log(300)
    refused(log, tmp_path / "mirror", log.fetcher(), "has tiles and no file `checkpoint`")
    with pytest.raises(Unreadable, match="has tiles and no file `checkpoint`"):
        check(tmp_path / "mirror", loose.policy())
    assert held(tmp_path / "mirror") == before


def test_a_first_filling_that_fails_can_be_done_again(tmp_path: Path) -> None:
    log, other = Log(300), Log(300)
    other.entries[7] = b"never happened"
    theirs = log.fetcher(**{"tile/entries/000": other.files()["tile/entries/000"]})
    with pytest.raises(Unreadable, match="do not make the root"):
        pull(tmp_path, theirs, log.policy)
    assert pull(tmp_path, log.fetcher(), log.policy) == (0, 300)


def test_a_link_is_no_part_of_a_mirror(tmp_path: Path) -> None:
    """What it leads to is changed without the mirror, and no copy of the mirror has it."""
    log, mirror, elsewhere = Log(300), tmp_path / "mirror", tmp_path / "elsewhere"
    pull(mirror, log.fetcher(), log.policy)
    elsewhere.mkdir()
    (elsewhere / "payload").write_bytes(b"x")
    (mirror / "tile" / "more").symlink_to(elsewhere)
    with pytest.raises(Unreadable, match="tile/more is a link, and no file"):
        check(mirror, log.policy)
    (mirror / "tile" / "more").unlink()
    tile = mirror / "tile" / "entries" / "000"
    tile.rename(elsewhere / "000")
    tile.symlink_to(elsewhere / "000")
    with pytest.raises(Unreadable, match="tile/entries/000 is a link, and no file"):
        check(mirror, log.policy)


def test_what_a_kill_left_is_not_told_as_a_strangers(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    for folder in (tmp_path, tmp_path / "tile", tmp_path / "tile" / "0"):
        (folder / ".0123456789abcdef.part").write_bytes(b"half")
    assert check(tmp_path, log.policy) == 300
    assert held(tmp_path) == log.files()
    for other in (tmp_path / ".thesis.part", tmp_path / "papers" / ".0123456789abcdef.part"):
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"not ours, in a folder that was named by mistake")
        pull(tmp_path, log.fetcher(), log.policy)
        assert other.exists()


def test_a_new_mirror_is_its_owners_alone(tmp_path: Path) -> None:
    log, made = Log(300), tmp_path / "made"
    made.mkdir()
    made.chmod(0o755)
    for folder, mode in ((tmp_path / "new", 0o700), (made, 0o755)):
        pull(folder, log.fetcher(), log.policy)
        assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_a_checkpoint_that_is_endless_is_none(tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    with (tmp_path / "checkpoint").open("wb") as out:
        out.truncate(10**12)
    with pytest.raises(Unreadable, match="checkpoint is longer than"):
        pull(tmp_path, log.fetcher(), log.policy)


@pytest.mark.parametrize("size", [10**8, 10**14])
def test_a_log_that_says_it_is_endless_is_refused_at_once(size: int, tmp_path: Path) -> None:
    log = Log(300)
    note = log.key.sign(Checkpoint("log.test/one", size, bytes(32))).encode()
    refused(log, tmp_path, log.fetcher(checkpoint=note), "entries are mirrored")


@pytest.mark.parametrize("after", range(5))
def test_what_stops_it_halfway_leaves_the_state_before(after: int, tmp_path: Path) -> None:
    log = Log(300)
    pull(tmp_path, log.fetcher(), log.policy)
    before = held(tmp_path)
    log.size = 1000
    fetch = log.fetcher()
    left = [after]

    def breaks(path: str) -> bytes:
        if not left[0]:
            raise Undelivered("the line broke", silent=True)
        left[0] -= 1
        return fetch(path)

    if after < 4:
        with pytest.raises(Undelivered):
            pull(tmp_path, breaks, log.policy)
        assert held(tmp_path) == before
    assert pull(tmp_path, fetch, log.policy) == (300, 1000)
    assert held(tmp_path) == log.files()


# ------------------------------------------------------------------------------------ over a real network


@pytest.fixture
def site(loose: World, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server that gives the book's exported files to whoever has the token; and where they are."""
    files = tmp_path / "files"
    loose.dispatch(2)
    export.export_tiles(loose.book, files)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != "Bearer secret":
                self.send_error(401)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.on("sqlite")
def test_the_command_mirrors_a_log_from_another_machine(
    loose: World, site: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = site
    (tmp_path / "token").write_text("secret\n")
    command = ["log", "mirror", str(tmp_path / "mirror"), "--from", url]
    command += ["--policy", str(loose.folder / "policy"), "--token", str(tmp_path / "token")]
    done = CliRunner().invoke(_commands(), command)
    assert done.exit_code == 0, done.output
    assert "of them new" in done.output
    assert held(tmp_path / "mirror") == held(files)
    assert audit.verify(tmp_path / "mirror", loose.policy(), genesis=loose.genesis).sound
    loose.register(3)
    export.export_tiles(loose.book, files)
    assert CliRunner().invoke(_commands(), command).exit_code == 0
    assert held(tmp_path / "mirror") == held(files)
    done = CliRunner().invoke(_commands(), [*command, "--check"])
    assert "0 of them new, and all of it is as it was signed." in done.output
    (tmp_path / "token").write_text("wrong\n")
    done = CliRunner().invoke(_commands(), command)
    assert done.exit_code == 1
    assert "does not take this token for checkpoint" in done.output
    done = CliRunner().invoke(_commands(), command[:5])
    assert "--from takes --policy and --token with it" in done.output


def test_a_token_never_travels_in_the_clear() -> None:
    with pytest.raises(Undelivered, match="in the clear"):
        fetcher("http://log.test/log", "secret")


@pytest.mark.parametrize(
    ("url", "token", "why"),
    [
        ("http://[::1", "secret", "is no http or https address of the log"),
        ("https://log.test", "\ufffd", "is none"),
        ("https://log.test", "", "is none"),
        ("https://log.test", "two\nlines", "is none"),
        ("frog", "secret", "is no http or https address of the log"),
    ],
)
def test_what_is_no_address_or_no_token(url: str, token: str, why: str) -> None:
    with pytest.raises(Undelivered, match=why):
        fetcher(url, token)("checkpoint")


def test_a_log_that_is_away_is_told() -> None:
    with pytest.raises(Undelivered, match=r"no answer from the log at http://127\.0\.0\.1:1/checkpoint"):
        fetcher("http://127.0.0.1:1/", "secret")("checkpoint")
