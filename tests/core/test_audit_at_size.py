"""The auditor and long ledgers: helpers that read ahead, a notebook to go on in, one memory for any length.

What it finds is in test_audit.py; here it is that none of this changes what it finds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import ledgers
import pytest
from insider import Insider, packed
from world import World, new_key

from custody import audit
from custody.audit import notebook
from custody.audit.__main__ import main
from custody.audit.notebook import Notebook
from custody.audit.reading import AT_ONCE, readings
from custody.audit.report import Report, as_json
from custody.errors import Conflict, Unreadable
from custody.facts import SiteOpened
from custody.ledger.envelope import Envelope, Signature, pae
from custody.rules.alarms import Alarm
from custody.rules.handoffs import HandOff
from custody.store.nouns import SHELVES


def judge(world: World, data: bytes, **more: Any) -> Report:
    return audit.verify(io.BytesIO(data), world.policy(), genesis=world.genesis, **more)


def said(report: Report) -> dict[str, Any]:
    """What a report says, but for how much of it was judged before."""
    return {name: value for name, value in as_json(report).items() if name != "judged_before"}


@pytest.fixture
def lived(loose: World) -> World:
    """A company with a trip that arrived, one that rings, and a dispute."""
    loose.hand(loose.dispatch(2), "carl", "ben")
    name = loose.dispatch(1)
    payload = loose.hand_off(name, "mallory", "ben")
    loose.admit(payload, loose.both(payload, "mallory", "ben"))
    loose.wait(minutes=70)
    return loose


# ------------------------------------------------------------------------------------------- read ahead


def forged(world: World) -> bytes:
    """Ends with what its own key has not signed."""
    insider = Insider(world)
    payload = insider.speak(SiteOpened("P-1", "EAST", "UTC")).payload
    false = Signature(insider.server.public.id, new_key().sign(pae(payload)))
    insider.append(Envelope(payload, (false,)))
    return insider.bundle()


def stranger(world: World) -> bytes:
    """Ends with what a key has signed that nobody knows."""
    insider = Insider(world)
    insider.append(insider.speak(SiteOpened("P-1", "EAST", "UTC"), new_key()))
    return insider.bundle()


def cut(world: World) -> bytes:
    """Ends with what is no entry."""
    return packed(world.log_key, [*Insider(world).entries(), b"frog"])


def test_helpers_change_nothing_of_what_is_found(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [lived.bundle(), forged(lived), stranger(lived), cut(lived)]
    alone = [said(judge(lived, each)) for each in data]
    monkeypatch.setattr(audit, "HELPED", 1)
    assert [said(judge(lived, each)) for each in data] == alone
    assert [each["failure"] and each["failure"]["step"] for each in alone] == [None, 6, 6, 4]


def test_entries_are_read_ahead_in_order_and_not_all_at_once() -> None:
    taken = 0

    def entries() -> Any:
        nonlocal taken
        for number in range(20_000):
            taken += 1
            yield b"%d" % number

    read = readings(entries(), dict, helped=True)
    assert [next(read)[0] for _ in range(1000)] == [b"%d" % number for number in range(1000)]
    assert taken < 20_000
    read.close()


class Deadly(dict[str, str]):
    """Ends the process that it comes to."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def test_a_helper_that_is_ended_from_outside_is_no_verdict() -> None:
    with pytest.raises(Conflict, match=r"ended from outside, perhaps for want of memory"):
        list(readings([b"frog"] * (AT_ONCE + 1), Deadly, helped=True))


# -------------------------------------------------------------------------------------- the notebook


def test_a_longer_ledger_is_judged_from_where_the_notebook_ends(lived: World, tmp_path: Path) -> None:
    kept = tmp_path / "notebook"
    first = judge(lived, lived.bundle(), notebook=kept)
    assert said(first) == said(judge(lived, lived.bundle()))
    first.world.close()
    again = judge(lived, lived.bundle(), notebook=kept)
    assert (again.sound, again.known) == (True, first.size)
    assert again.pins == [], "what vouches must have come another time"
    again.world.close()
    lived.register(3)
    longer = judge(lived, lived.bundle(), notebook=kept)
    assert (longer.sound, longer.known, longer.judged) == (True, first.size, longer.size)
    fresh = judge(lived, lived.bundle())
    assert list(longer.findings())[:-1] == list(fresh.findings())[:-1]
    assert f"pinned up to entry {first.size - 1}" in audit.text(longer)
    assert f"{first.size:,} of them judged before" in audit.text(longer)
    for kind in SHELVES:
        assert list(longer.world.all(kind)) == list(fresh.world.all(kind))


def test_what_is_bad_after_the_notebooks_end_is_named_each_time(lived: World, tmp_path: Path) -> None:
    kept = tmp_path / "notebook"
    judge(lived, lived.bundle(), notebook=kept).world.close()
    for _ in range(2):
        report = judge(lived, forged(lived), notebook=kept)
        assert said(report)["failure"] == said(judge(lived, forged(lived)))["failure"]
        report.world.close()
    lived.register(1)
    assert judge(lived, lived.bundle(), notebook=kept).sound


def test_a_notebook_is_a_pin(lived: World, tmp_path: Path) -> None:
    kept = tmp_path / "notebook"
    judge(lived, lived.bundle(), notebook=kept).world.close()
    shorter, other = Insider(lived), Insider(lived)
    del shorter.transactions[-1]
    del other.transactions[-1]
    other.append(SiteOpened("P-1", "EAST", "UTC"))
    other.append(SiteOpened("P-1", "WEST", "UTC"), SiteOpened("P-1", "FAR", "UTC"))
    for insider, how in ((shorter, "shorter than"), (other, "another history than")):
        assert judge(lived, insider.bundle()).sound
        report = judge(lived, insider.bundle(), notebook=kept)
        assert (report.failed, f"{how} the first" in report.why) == (3, True), report.why
        report.world.close()


def test_a_genesis_that_was_not_given_before_is_compared(lived: World, tmp_path: Path) -> None:
    kept = tmp_path / "notebook"
    audit.verify(io.BytesIO(lived.bundle()), lived.policy(), notebook=kept).world.close()
    report = audit.verify(io.BytesIO(lived.bundle()), lived.policy(), genesis="ab" * 32, notebook=kept)
    assert (report.failed, "this is another ledger" in report.why) == (5, True)
    assert ", as given" not in audit.text(report)


def test_a_notebook_belongs_to_one_policy_one_log_and_one_version(
    lived: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "notebook"
    judge(lived, lived.bundle(), notebook=kept).world.close()
    before = kept.read_bytes()
    with pytest.raises(Unreadable, match=r"begun with another policy"):
        audit.verify(io.BytesIO(lived.bundle()), b"# mine\n" + lived.policy(), notebook=kept)
    monkeypatch.setattr(audit, "program", lambda: "ab" * 32)
    with pytest.raises(Unreadable, match=r"begun with another version of this program"):
        judge(lived, lived.bundle(), notebook=kept)
    assert kept.read_bytes() == before


def test_what_is_no_notebook_or_is_in_use_is_refused(lived: World, tmp_path: Path) -> None:
    frog = tmp_path / "frog"
    frog.write_bytes(b"frog" * 1000)
    with pytest.raises(Unreadable, match=r"is no notebook of an auditor's"):
        judge(lived, lived.bundle(), notebook=frog)
    assert frog.read_bytes() == b"frog" * 1000
    kept = tmp_path / "notebook"
    report = judge(lived, lived.bundle(), notebook=kept)
    with pytest.raises(Unreadable, match=r"another audit has it"):
        judge(lived, lived.bundle(), notebook=kept)
    report.world.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from custody import audit

def tell(done, of):
    if done >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

audit.APART = 100
folder, policy, notebook = map(Path, sys.argv[1:4])
audit.verify(folder, policy.read_bytes(), notebook=notebook, tell=tell)
"""


def test_an_audit_that_was_killed_goes_on(long: Path, tmp_path: Path) -> None:
    folder, policy = long / "log", long / "policy"
    whole = audit.verify(folder, policy.read_bytes())
    kept = tmp_path / "notebook"
    for at in (512, 1024, 1536):
        run = subprocess.run(
            [sys.executable, "-c", KILLED, folder, policy, kept, str(at)], timeout=500, check=False
        )
        assert run.returncode == -9
    on = audit.verify(folder, policy.read_bytes(), notebook=kept)
    assert 1300 < on.known < 1600, "from the last state that was kept"
    assert said(on) == said(whole)


def test_an_audit_that_goes_on_keeps_its_next_state_after_as_many_entries_again(
    lived: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "notebook"
    first = judge(lived, lived.bundle(), notebook=kept)
    first.world.close()
    monkeypatch.setattr(audit, "APART", first.size // 2)
    report = judge(lived, forged(lived), notebook=kept)
    assert report.judged > first.size - 2, "whole transactions came before what is forged"
    assert report.world.standing == first.world.standing


def test_a_damaged_notebook_is_refused_or_changes_nothing(lived: World, tmp_path: Path) -> None:
    """A byte in which nothing is kept may be any."""
    kept, damaged = tmp_path / "notebook", tmp_path / "damaged"
    whole = judge(lived, lived.bundle(), notebook=kept)
    expected = said(whole)
    whole.world.close()
    draw, data, refusals = random.Random(5), kept.read_bytes(), []
    for flips in [1] * 150 + [20] * 50:
        changed = bytearray(data)
        for _ in range(flips):
            changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        damaged.write_bytes(changed)
        try:
            report = judge(lived, lived.bundle(), notebook=damaged)
        except Unreadable as problem:
            refusals.append(str(problem))
        else:
            assert said(report) == expected
            report.world.close()
    assert len(refusals) > 50
    assert all("or it is damaged, or another audit has it" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE standing SET value = CAST(value AS TEXT)",
        "UPDATE standing SET digest = 5",
        "DELETE FROM standing",
        "UPDATE noun SET value = replace(value, 'recorded', 'disputed')",
        "DELETE FROM event WHERE id = (SELECT max(id) FROM event)",
        "UPDATE root SET size = size + 1 WHERE size = (SELECT max(size) FROM root)",
        "INSERT INTO finding VALUES ('late', 'never')",
    ],
)
def test_a_notebook_with_other_rows_than_were_kept_is_refused(
    lived: World, tmp_path: Path, damage: str
) -> None:
    kept = tmp_path / "notebook"
    judge(lived, lived.bundle(), notebook=kept).world.close()
    with contextlib.closing(sqlite3.connect(kept)) as database, database:
        assert database.execute(damage).rowcount
    with pytest.raises(Unreadable, match="what is in it is not what was kept"):
        judge(lived, lived.bundle(), notebook=kept)


# ------------------------------------------------------------------------------------------- the memory


@pytest.fixture(scope="module")
def long(template: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of 2,000 entries, as `log`, and its policy."""
    folder = tmp_path_factory.mktemp("long")
    ledgers.write(template, 2000, folder / "log")
    return folder


PEAK = """
import sys
from pathlib import Path
from custody import audit
from custody.audit import notebook

notebook.HELD = notebook.CACHED = 500
audit.HELPED = 1 << 30
policy = Path(sys.argv[1]).with_name("policy").read_bytes()
assert audit.verify(Path(sys.argv[1]), policy).sound
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peak(folder: Path) -> int:
    """The most memory that an audit in a process of its own had, in kB."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK, folder], timeout=500, check=True, stdout=subprocess.PIPE
    )
    return int(run.stdout)


def test_a_ledger_of_four_times_the_length_takes_no_more_memory(
    template: World, long: Path, tmp_path: Path
) -> None:
    ledgers.write(template, 8000, tmp_path / "log")
    assert peak(tmp_path / "log") - peak(long / "log") < 3000, "its entries alone are 6 MB more"


def test_a_notebook_finds_what_it_does_not_hold(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = audit.verify(long / "log", (long / "policy").read_bytes())
    monkeypatch.setattr(notebook, "HELD", 10)
    small = audit.verify(long / "log", (long / "policy").read_bytes())
    assert said(small) == said(whole)
    for kind in SHELVES:
        assert list(small.world.all(kind)) == list(whole.world.all(kind))
        assert small.world.count(kind) == whole.world.count(kind)


def test_a_world_on_paper_is_a_world() -> None:
    world = Notebook()
    assert world.find(Alarm, "A-1") is None
    assert world.next_number(Alarm) == 1
    assert world.root_at(1) is None
    assert list(world.where(HandOff, "status", "recorded")) == []


# ------------------------------------------------------------------------------------------- its forms


def test_the_json_says_what_the_words_say(
    lived: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy").write_bytes(lived.policy())
    for data, code in ((lived.bundle(), 0), (forged(lived), 1)):
        (tmp_path / "bundle.zip").write_bytes(data)
        judged = [str(tmp_path / "bundle.zip"), "--policy", str(tmp_path / "policy")]
        assert main(judged) == code
        words = capsys.readouterr().out.splitlines()
        assert main([*judged, "--format", "json"]) == code
        told = json.loads(capsys.readouterr().out)
        found = [f"{each['kind']:9} {each['words']}" for each in told["findings"]]
        steps = [f"step {each['step']}    {each['outcome']:11}  {each['about']}" for each in told["steps"]]
        assert words[4:] == [*steps, *found, told["sentence"]]
        assert told["verdict"] == ("sound" if code == 0 else "tampered")
        assert told["policy"] in words[0]
        assert told["genesis"] in words[1]
        assert words[3] == f"time      {told['first']} to {told['last']}"
        assert (told["failure"] is None) == (code == 0)


def test_on_a_screen_it_counts(
    lived: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy").write_bytes(lived.policy())
    (tmp_path / "bundle.zip").write_bytes(lived.bundle())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([str(tmp_path / "bundle.zip"), "--policy", str(tmp_path / "policy")]) == 0
    assert re.search(r"\rJudging 100% of [0-9]+\n", capsys.readouterr().err)


def test_the_report_goes_into_a_file(
    lived: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy").write_bytes(lived.policy())
    (tmp_path / "bundle.zip").write_bytes(lived.bundle())
    judged = [str(tmp_path / "bundle.zip"), "--policy", str(tmp_path / "policy")]
    assert main([*judged, "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "report").read_text().endswith(said)
    assert main([*judged, "--out", str(tmp_path / "absent" / "report")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main([*judged, "--notebook", str(tmp_path)]) == 2
    assert "is no file, and so no notebook" in capsys.readouterr().err
    assert main([*judged, "--notebook", str(tmp_path / "absent" / "notebook")]) == 2
    assert "The notebook cannot be read or written: " in capsys.readouterr().err


def test_a_database_of_another_program_is_no_notebook(lived: World, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(Unreadable, match="another program's database"):
        judge(lived, lived.bundle(), notebook=other)
    assert other.read_bytes() == before
