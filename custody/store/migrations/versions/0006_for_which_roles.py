"""For which roles a device speaks, and who gave a person theirs: read once out of the ledger."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from custody import facts
from custody.errors import Conflict, Refusal
from custody.ledger.envelope import Envelope, event_id
from custody.rules import people
from custody.rules.people import Device, Person
from custody.rules.world import Event, World
from custody.strict import json_bytes, record

revision = "0006"
down_revision = "0005"

_LIVES: Final[Mapping[type[facts.Fact], Callable[[World, Event], None]]] = {
    facts.Genesis: people.genesis,
    facts.SiteOpened: people.site_opened,
    facts.OrganisationAdmitted: people.organisation_admitted,
    facts.Invited: people.invited,
    facts.Granted: people.granted,
    facts.Enrolled: people.enrolled,
    facts.Revoked: people.revoked,
    facts.SetUpClosed: people.set_up_closed,
}


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table("person") as table:
        table.add_column(sa.Column("appointed_by", sa.String(), nullable=True))
        table.add_column(sa.Column("appointed", sa.BigInteger(), nullable=True))
        table.drop_column("invited_by")
    with op.batch_alter_table("device") as table:
        table.add_column(sa.Column("grants", sa.JSON(), nullable=True))
    _fill(op.get_bind())
    with op.batch_alter_table("person") as table:
        table.alter_column("appointed_by", nullable=False)
        table.alter_column("appointed", nullable=False)
    with op.batch_alter_table("device") as table:
        table.alter_column("grants", nullable=False)


def _fill(connection: sa.Connection) -> None:
    world = World()
    waiting: list[tuple[int, Envelope, facts.Statement]] = []
    entries = sa.text("SELECT seq, data FROM entry ORDER BY seq").execution_options(yield_per=1000)
    for seq, data in connection.execute(entries):
        envelope = Envelope.read(bytes(data))
        statement = facts.Statement.read(envelope.payload)
        waiting.append((seq, envelope, statement))
        if isinstance(statement.fact, facts.Received):
            for each in waiting:
                _take(world, *each, statement.fact)
            waiting = []
    for person in world.all(Person):
        values = {"id": person.id, "by": person.appointed_by, "seq": person.appointed}
        change = "UPDATE person SET appointed_by = :by, appointed = :seq WHERE id = :id"
        connection.execute(sa.text(change), values)
    for device in world.all(Device):
        grants = json_bytes([record(facts.Grant).write(grant) for grant in device.grants]).decode()
        change = "UPDATE device SET grants = :grants WHERE id = :id"
        if connection.dialect.name == "postgresql":
            change = change.replace(":grants", "CAST(:grants AS json)")
        connection.execute(sa.text(change), {"id": device.id, "grants": grants})


def _take(world: World, seq: int, envelope: Envelope, statement: facts.Statement, end: Any) -> None:
    life = _LIVES.get(type(statement.fact))
    if life is None:
        return
    signers = tuple(signature.key for signature in envelope.signatures)
    try:
        life(world, Event(seq, event_id(envelope.payload), statement, signers, end.at))
    except Refusal as problem:
        raise Conflict(
            f"Entry {seq} cannot be under this version's rules: {problem} The book stays as it was: ask your"
            " auditor, and begin a new log."
        ) from problem
