"""Pictures from anybody: whatever they do to their reader costs them alone."""

from __future__ import annotations

import io
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pictures import PHOTOS, code39, file, photo, png, qr
from PIL import Image

from custody.errors import Unreadable
from scanner_app import apart, decode
from scanner_app.apart import Reader

GOOD = file(photo(qr(), at=(100, 200)), "JPEG")
LARGE = 7_000
"""Of its square 49 million pixels, just below what is accepted."""
MEGABYTE = 1 << 20


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def texts(reading: decode.Reading) -> set[tuple[str, str]]:
    return {(code.text, code.symbology) for code in reading.codes}


def taken(reader: Reader) -> int:
    """Bytes of memory that the process has held at most."""
    assert reader._process is not None
    status = Path(f"/proc/{reader._process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))


def saved(kind: str, mode: str, side: int = LARGE, **how: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (side, side)).save(out, kind, **how)
    return out.getvalue()


def test_it_reads_what_is_read_here(reader: Reader) -> None:
    pictures = [GOOD, file(photo(code39()), "PNG"), file(photo(qr()), "WEBP")]
    for data in pictures:
        assert texts(reader.read(data)) == texts(decode.read(data)) != set()
    assert reader.read(GOOD).ms > 0
    assert reader.read(file(Image.new("L", (50, 50)))).codes == ()


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}")
def test_photographs_of_others_take_no_more_than_they_have(reader: Reader) -> None:
    for picture in sorted(PHOTOS.glob("*/*.png"))[::8]:
        data = picture.read_bytes()
        with Image.open(picture) as image:
            again = io.BytesIO()
            image.convert("RGB").save(again, "JPEG", quality=95)
        for each in (data, again.getvalue()):
            assert reader.read(each).codes != (), picture
    assert taken(reader) < apart.MEMORY / 4


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.7", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), GOOD[:200], png(60_000, 60_000)],
    ids=["nothing", "document", "heic", "cut off", "announced"],
)
def test_what_is_no_photograph_gets_the_same_sentence(reader: Reader, data: bytes) -> None:
    with pytest.raises(Unreadable) as here:
        decode.read(data)
    with pytest.raises(Unreadable) as there:
        reader.read(data)
    assert str(there.value) == str(here.value)
    assert reader._process is not None
    assert texts(reader.read(GOOD)), "and the process goes on"


EXIF = Image.Exif()
EXIF[0x112] = 6  # lies on its side


@pytest.mark.parametrize(
    ("kind", "mode", "how"),
    [
        ("PNG", "P", {"transparency": 0}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGB", {"transparency": (0, 0, 0)}),
        ("PNG", "RGBA", {"exif": EXIF}),
        ("PNG", "I;16", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"exif": EXIF}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {}),
    ],
)
def test_no_picture_takes_more_memory_than_a_photograph(
    reader: Reader, kind: str, mode: str, how: dict[str, Any]
) -> None:
    """Some kilobytes of palette took 676 MB, and of WebP 803."""
    data = saved(kind, mode, **how)
    if kind == "WEBP":
        with pytest.raises(Unreadable, match="takes too much memory"):
            reader.read(data)
    else:
        assert reader.read(data).codes == ()
    assert taken(reader) < 340 * MEGABYTE


def test_the_largest_webp_that_is_accepted(reader: Reader) -> None:
    assert reader.read(saved("WEBP", "RGBA", 4_200)).codes == ()
    assert taken(reader) < 340 * MEGABYTE


def test_what_takes_more_memory_than_there_is_costs_itself_alone() -> None:
    """Whatever the estimate says: the system refuses the memory."""
    with Reader(memory=100 * MEGABYTE) as reader:
        assert texts(reader.read(GOOD))
        with pytest.raises(Unreadable, match="takes too much memory"):
            reader.read(saved("PNG", "L"))
        assert texts(reader.read(GOOD))


def test_a_process_that_ends_without_a_word_is_a_sentence(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unreadable, match="broke the program"):
        reader.read(GOOD)


def test_a_picture_that_is_never_done_is_given_up() -> None:
    with Reader(deadline=0) as reader:
        with pytest.raises(Unreadable, match="takes too long"):
            reader.read(saved("PNG", "RGB"))
        assert reader._process is None


def test_a_process_that_has_ended_is_replaced(reader: Reader) -> None:
    """By the system for want of memory, by itself when nothing came, or by a picture before."""
    assert texts(reader.read(GOOD))
    before = reader._process
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    assert texts(reader.read(GOOD))
    assert reader._process not in (None, before)
    assert before.returncode == -signal.SIGKILL, "and nothing is left of it"


def test_one_that_ends_in_the_midst_is_tried_once_more(reader: Reader) -> None:
    """What the pictures before have left there is not held against this one."""
    assert texts(reader.read(GOOD))
    assert reader._process is not None
    resource.prlimit(reader._process.pid, resource.RLIMIT_AS, (1, 1))  # not a byte more
    assert texts(reader.read(file(photo(qr(), (3_000, 2_000)), "JPEG")))


def test_after_some_turns_a_new_process_reads(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "TURNS", 2)
    pids = []
    for _ in range(4):
        assert texts(reader.read(GOOD))
        assert reader._process is not None
        pids.append(reader._process.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_it_is_told_none_of_the_settings(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_SMTP_PASSWORD", "hunter2")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("CUSTODY_LIBZBAR", decode.libzbar() or "")
    reader.read(GOOD)
    assert reader._process is not None
    told = Path(f"/proc/{reader._process.pid}/environ").read_bytes()
    assert b"hunter2" not in told
    assert b"CUSTODY_LIBZBAR=" in told


ORPHAN = """
import sys, time
from scanner_app.apart import Reader
reader = Reader()
reader.read(sys.stdin.buffer.read())
print(reader._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_whoever_started_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(GOOD)
        server.stdin.close()
        gone = os.pidfd_open(int(server.stdout.readline()))
        server.kill()
    try:
        assert select.select([gone], [], [], 60)[0], "it lives on"
    finally:
        os.close(gone)
