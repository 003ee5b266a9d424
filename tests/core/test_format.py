"""FORMAT.md says what the code does: its example and its table of kinds are made anew, and compared.

To write them after a change that is meant: UPDATE_DOCUMENTS=1 make test.
"""

import os
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.facts import (
    KINDS,
    Fact,
    Genesis,
    Grant,
    Item,
    Party,
    Received,
    Recipient,
    Rung,
    Signed,
    Statement,
    Subject,
)
from custody.ledger.envelope import Envelope, Signature, event_id, pae
from custody.ledger.keys import SigningKey
from custody.ledger.merkle import Frontier, leaf_hash
from custody.ledger.note import Checkpoint, LogKey
from custody.strict import Most, Text, Whole, read_time

FORMAT = Path(__file__).parents[2] / "custody" / "ledger" / "FORMAT.md"
PARTS = (Grant, Rung, Item, Party, Recipient)
BEGIN = "<!-- kinds: made from custody/facts.py; a test compares -->\n"
END = "<!-- end of kinds -->\n"


def spelled(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rule = arguments[1]
        if isinstance(rule, Text):
            return f"`{rule.pattern}`".replace("|", "\\|")
        if isinstance(rule, Whole):
            return f"{rule.low} to {rule.high}"
        assert isinstance(rule, Most)
        ascending = ", ascending" if rule.ascending else ""
        return f"[{spelled(get_args(arguments[0])[0])}], {rule.least} to {rule.count}{ascending}"
    if origin is Literal:
        return " / ".join(arguments)
    if type(None) in arguments:
        return f"{spelled(next(a for a in arguments if a is not type(None)))}"
    if is_dataclass(hint):
        return f"*{hint.__name__}*"
    return {"datetime": "time", "bool": "true / false"}[hint.__name__]


def members(cls: type) -> list[str]:
    hints = get_type_hints(cls, include_extras=True)
    rows = []
    for field in fields(cls):
        default = "" if field.default is MISSING else f" = {_default(field.default)}"
        rows.append(f"| `{field.name}`{default} | {spelled(hints[field.name])} |")
    return rows


def _default(value: Any) -> str:
    return "[]" if value == () else "null" if value is None else str(value).lower()


def table() -> str:
    signed = {
        Signed.SERVER: "the server",
        Signed.PERSON: "one person",
        Signed.TWO: "two people",
        Signed.FOUNDING: "the founding keys",
    }
    parts = []
    for cls in (*PARTS, *KINDS.values()):
        if issubclass(cls, Fact):
            parts.append(f"\n**`{cls.kind}`**, signed by {signed[cls.signed]}\n")
        else:
            parts.append(f"\n*{cls.__name__}*, a part of others\n")
        parts += ["| member | is |", "|---|---|", *members(cls)] if fields(cls) else ["(no members)"]
    return "\n".join(parts).lstrip("\n") + "\n"


def test_the_kinds_in_the_document_are_those_of_the_code() -> None:
    document = FORMAT.read_text("utf-8")
    head, _, rest = document.partition(BEGIN)
    made = f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
    if os.environ.get("UPDATE_DOCUMENTS"):
        FORMAT.write_text(made, "utf-8")
    assert document == made


def test_the_example_in_the_document_is_a_whole_ledger_that_verifies() -> None:
    blocks = [b.strip("\n") for b in re.findall(r"```\n(.*?)```", FORMAT.read_text("utf-8"), re.DOTALL)]
    payload, leaf, received, note = blocks
    assert _example() == (_unfold(payload), _unfold(leaf), _unfold(received), note + "\n")


def _unfold(block: str) -> str:
    return block.replace("\n", "")


def _example() -> tuple[str, str, str, str]:
    origin = "custody.example/log"
    moment = read_time("2026-01-01T00:00:00.000Z")
    server, founder = (SigningKey(derive_private_key(n, SECP256R1())) for n in (1, 2))
    log = LogKey(origin, Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1"))

    def signed(statement: Statement, *keys: SigningKey) -> Envelope:
        payload = statement.payload()
        return Envelope(payload, tuple(Signature(k.public.id, k.sign(pae(payload))) for k in keys))

    vkey = str(log.verifier)
    genesis = Genesis("HOME", vkey, server.public.spki, "P-1", founder.public.spki, "00" * 32)
    first = signed(Statement(origin, moment, Subject.log(vkey), genesis), server, founder)
    name = event_id(first.payload)
    received = Received((name,), moment, "console")
    second = signed(Statement(origin, moment, Subject("event", name), received), server)
    tree = Frontier()
    for entry in (first, second):
        tree.add(leaf_hash(entry.leaf()))
    note = log.sign(Checkpoint(origin, 2, tree.root()))
    return first.payload.decode(), first.leaf().decode(), second.payload.decode(), note
