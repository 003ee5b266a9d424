"""Between a noun and its row: field by field, by the noun's own annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, get_type_hints

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.errors import Refusal
from custody.rules.alarms import Alarm, Notice
from custody.rules.cases import Packing, UsedSeal
from custody.rules.consignments import Consignment, Route
from custody.rules.daily import Pin, SelfAudit
from custody.rules.handoffs import HandOff, Successors
from custody.rules.incidents import Incident, IncidentOf
from custody.rules.media import DataSet, Medium, Tally
from custody.rules.people import Device, Organisation, Person, Site, number
from custody.rules.world import Log, Noun
from custody.store import tables
from custody.strict import Reader, Writer, codec, json_bytes, time_text

SHORT: Final = 12
"""Members of a list whose text is remembered."""
SPOILT: Final = (Refusal, TypeError, ValueError, sa.exc.OperationalError)
"""What a row raises that holds no JSON, no time, no text, or another kind of value than it must."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the nouns of a kind are kept, and how they go in and come out."""

    kind: type[Noun]
    table: sa.Table
    names: tuple[str, ...]
    some: sa.Select[Any]
    """The rows whose ids are among `names`, which is bound when it is run."""
    _members: Callable[[Noun], tuple[Any, ...]]
    _readers: tuple[tuple[str, Reader | None], ...]
    _writers: tuple[tuple[int, Writer], ...]
    numbered: bool

    def row(self, noun: Noun) -> tuple[Any, ...]:
        """The columns `names` of this noun, as the database holds them."""
        values = list(self._members(noun))
        for place, write in self._writers:
            values[place] = write(values[place])
        if self.numbered:
            values.append(number(noun))
        return tuple(values)

    def noun(self, row: Any) -> Noun:
        """The noun of this row, as SQLAlchemy gives it."""
        values = {}
        for name, read in self._readers:
            value = getattr(row, name)
            values[name] = value if read is None else read(value)
        return self.kind(**values)


def _shelf(kind: type[Noun], model: type[SQLModel]) -> Shelf:
    table = SQLModel.metadata.tables[str(model.__tablename__)]
    hints = get_type_hints(kind, include_extras=True)
    names = tuple(field.name for field in fields(kind))
    readers: list[tuple[str, Reader | None]] = []
    writers: list[tuple[int, Writer]] = []
    for place, name in enumerate(names):
        column = table.c[name].type
        read, write = codec(hints[name]) if isinstance(column, sa.JSON) else (None, None)
        readers.append((name, read))
        if write is not None:
            writers.append((place, _json_text(write)))
        elif isinstance(column, tables.Moment):
            writers.append((place, _moment_text))
    numbered = "number" in table.c
    columns = (*names, "number") if numbered else names
    some = sa.select(table).where(table.c.id.in_(sa.bindparam("names", expanding=True)))
    return Shelf(kind, table, columns, some, attrgetter(*names), tuple(readers), tuple(writers), numbered)


def _json_text(write: Writer) -> Writer:
    """What is short is remembered: many alarms have one ladder."""

    def text(value: Any) -> str:
        return json_bytes(write(value)).decode("ascii")

    remembered = lru_cache(maxsize=256)(text)
    return lambda value: (remembered if len(value) <= SHORT else text)(value)


@lru_cache(maxsize=1024)
def _moment_text(moment: datetime | None) -> str | None:
    """Remembered, since a transaction has one time."""
    return None if moment is None else time_text(moment)


SHELVES: Final[dict[type[Noun], Shelf]] = {
    kind: _shelf(kind, model)
    for kind, model in (
        (Log, tables.LogRow),
        (Organisation, tables.OrganisationRow),
        (Site, tables.SiteRow),
        (Person, tables.PersonRow),
        (Device, tables.DeviceRow),
        (Medium, tables.MediumRow),
        (Tally, tables.TallyRow),
        (DataSet, tables.DataSetRow),
        (Packing, tables.PackingRow),
        (UsedSeal, tables.UsedSealRow),
        (Route, tables.RouteRow),
        (Consignment, tables.ConsignmentRow),
        (HandOff, tables.HandOffRow),
        (Successors, tables.SuccessorsRow),
        (Alarm, tables.AlarmRow),
        (Notice, tables.NoticeRow),
        (Incident, tables.IncidentRow),
        (IncidentOf, tables.IncidentOfRow),
        (Pin, tables.PinRow),
        (SelfAudit, tables.SelfAuditRow),
    )
}
"""Every kind of noun, with its table."""
