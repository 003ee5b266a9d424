"""Between a noun and its row: field by field, by the noun's own annotations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

import sqlalchemy as sa
from sqlmodel import SQLModel

from custody.rules.alarms import Alarm, Notice
from custody.rules.cases import Packing, UsedSeal
from custody.rules.consignments import Consignment, Route
from custody.rules.daily import Pin, SelfAudit
from custody.rules.handoffs import HandOff, Successors
from custody.rules.incidents import Incident, IncidentOf
from custody.rules.media import DataSet, Medium
from custody.rules.people import Device, Organisation, Person, Site, number
from custody.rules.world import Log, Noun
from custody.store import tables
from custody.strict import Reader, Writer, codec


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the nouns of a kind are kept, and how they go in and come out."""

    kind: type[Noun]
    table: sa.Table
    columns: tuple[tuple[str, Reader | None, Writer | None], ...]
    numbered: bool

    def row(self, noun: Noun) -> dict[str, Any]:
        """The columns of this noun."""
        row = {}
        for name, _, write in self.columns:
            value = getattr(noun, name)
            row[name] = value if write is None else write(value)
        if self.numbered:
            row["number"] = number(noun)
        return row

    def noun(self, row: Any) -> Noun:
        """The noun of this row."""
        values = {}
        for name, read, _ in self.columns:
            value = getattr(row, name)
            values[name] = value if read is None else read(value)
        return self.kind(**values)


def _shelf(kind: type[Noun], model: type[SQLModel]) -> Shelf:
    table = SQLModel.metadata.tables[str(model.__tablename__)]
    hints = get_type_hints(kind, include_extras=True)
    columns = []
    for field in fields(kind):
        is_json = isinstance(table.c[field.name].type, sa.JSON)
        columns.append((field.name, *(codec(hints[field.name]) if is_json else (None, None))))
    return Shelf(kind, table, tuple(columns), "number" in table.c)


SHELVES: Final[dict[type[Noun], Shelf]] = {
    kind: _shelf(kind, model)
    for kind, model in (
        (Log, tables.LogRow),
        (Organisation, tables.OrganisationRow),
        (Site, tables.SiteRow),
        (Person, tables.PersonRow),
        (Device, tables.DeviceRow),
        (Medium, tables.MediumRow),
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
