"""The command as an administrator runs it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOWHERE = "postgresql://custody@127.0.0.1:1/custody"


def custody(*arguments: str, code: int = 0, program: tuple[str, str] = ("-m", "custody"), **more: str) -> str:
    """What the command says, to both outputs; `program` is what Python is given to run."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CUSTODY_")}
    run = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def init(folder: Path, *more: str) -> str:
    who = ["--name", "Ada An", "--address", "ada@small.test", "--origin", "small.example/log"]
    return custody("init", "--book", str(folder), *who, *more)
