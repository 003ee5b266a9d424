"""The README's tables are what the code says."""

import os
from pathlib import Path

from custody.settings import Settings

README = Path(__file__).parents[2] / "README.md"
HEAD = "| variable | default | meaning |\n|---|---|---|\n"


def table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in ("", None) else f"`{field.default}`"
        rows.append(f"| `CUSTODY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def test_the_settings_are_those_of_the_code() -> None:
    said = README.read_text("utf-8")
    head, _, rest = said.partition(HEAD)
    made = f"{head}{HEAD}{table()}\n{rest[rest.index('## Limits') :]}"
    if os.environ.get("UPDATE_DOCUMENTS"):
        README.write_text(made, "utf-8")
    assert said == made
