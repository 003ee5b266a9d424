"""The command as an administrator runs it: a process of its own."""

from __future__ import annotations

import gc
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from processes import FORK

ROOT = Path(__file__).parents[2]
PATIENCE = 120
NOWHERE = "postgresql://custody@127.0.0.1:1/custody"


def custody(*arguments: str, code: int = 0, program: tuple[str, str] | None = None, **more: str) -> str:
    """What the command says, to both outputs; `program` is what a new Python is given to run in its place.

    Its process is forked off one that has imported the program: that takes a second, and there are hundreds.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUSTODY_")}
    environment |= {"PYTHONPATH": str(ROOT), **more}
    with tempfile.NamedTemporaryFile("r+") as said:
        if program is None:
            process = FORK.Process(target=_be_the_command, args=(arguments, environment, said.name))
            process.start()
            process.join(PATIENCE)
            found = process.exitcode
            process.kill()
        else:
            run = [sys.executable, *program, *arguments]
            outputs: Any = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
            found = subprocess.run(
                run, cwd=ROOT, env=environment, timeout=PATIENCE, check=False, **outputs
            ).returncode
        words = Path(said.name).read_text()
    assert found == code, words
    return words


def _be_the_command(arguments: tuple[str, ...], environment: dict[str, str], said: str) -> None:
    """In the new process: what `python -m custody` would find there."""
    out = os.open(said, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(out, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["custody", *arguments]
    code = _run()
    gc.collect()  # a process ends so; a forked one keeps its databases open until it is gone
    sys.exit(code)


def _run() -> Any:
    try:
        runpy.run_module("custody", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code
    return 0


def init(folder: Path, *more: str) -> str:
    who = ["--name", "Ada An", "--address", "ada@small.test", "--origin", "small.example/log"]
    return custody("init", "--book", str(folder), *who, *more)
