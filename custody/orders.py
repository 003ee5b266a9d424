"""Orders: what a filled-in form must look like. One model a form, and no other place judges input.

Patterns come from `custody.facts`, where they are the ledger's format; lengths of what stays outside the
ledger are written here. A model refuses members that it does not know.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from custody import facts, names
from custody.errors import Unreadable
from custody.outside import cleaned
from custody.strict import Text
from custody.zones import zone
from labels import volser

Model = TypeVar("Model", bound=BaseModel)


def _like(annotated: Any) -> AfterValidator:
    """Judges a text by the pattern that the ledger's format has for it."""
    rule: Text = get_args(annotated)[1]

    def check(value: str) -> str:
        if not re.fullmatch(rule.pattern, value, re.ASCII):
            raise ValueError(f"this is not {rule.means}")
        return value

    return AfterValidator(check)


def _name(value: str) -> str:
    if why := names.fault(value):
        raise ValueError(why)
    return value


def _code(value: str) -> str:
    if names.is_number(value):
        raise ValueError(f"{value} looks like a number of this book; choose another code")
    return value


_LOCAL = r"[a-z0-9](?:[a-z0-9._+'-]{0,62}[a-z0-9_+-])?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def _address(value: str) -> str:
    """No quoting and no encoded words (RFC 2047): what a mail header could read as something else."""
    if not re.fullmatch(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})*", value):
        raise ValueError("this is not a mail address such as ann@example.org")
    return value


def _zone(value: str) -> str:
    if zone(value) is None:
        raise ValueError(
            f"this server knows no time zone {value}: choose one of the list, such as Asia/Hong_Kong"
        )
    return value


_BLANKS = StringConstraints(strip_whitespace=True, max_length=200)
Origin = Annotated[str, _BLANKS, _like(facts.Origin)]
Code = Annotated[str, _BLANKS, _like(facts.Code)]
NewCode = Annotated[str, _BLANKS, _like(facts.Code), AfterValidator(_code)]
Id = Annotated[str, _BLANKS, _like(facts.Id)]
Zone = Annotated[str, _BLANKS, _like(facts.Zone), AfterValidator(_zone)]
PersonId = Annotated[str, _BLANKS, _like(facts.PersonId)]
IncidentId = Annotated[str, _BLANKS, _like(facts.IncidentId)]
Hash = Annotated[str, _BLANKS, _like(facts.Hash)]
Form = Annotated[str, _BLANKS, _like(facts.Form)]
Volser = Annotated[str, _BLANKS, AfterValidator(volser.check)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(_name)
]
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=2000),
    AfterValidator(lambda words: cleaned(words, 10 * 2000, lines=True)),  # an escape has ten characters
]
Address = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254), AfterValidator(_address)
]


class Order(BaseModel):
    """What all forms share."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(Order):
    """Who somebody is outside the ledger."""

    name: Name
    address: Address


class Founder(Contact):
    """The first administrator, and the log's name for ever."""

    origin: Origin
    organisation: NewCode


class OpenSite(Order):
    """A new site."""

    site: NewCode
    zone: Zone


class AdmitOrganisation(Order):
    """A contractor, and the end of its contract."""

    organisation: NewCode
    until: AwareDatetime


class Grant(Order):
    """A role, at one site or everywhere."""

    role: facts.Role
    site: Code | None = None

    def fact(self) -> facts.Grant:
        """The same for the ledger."""
        return facts.Grant(self.role, self.site)


class Invite(Contact):
    """A new person. The name and the address stay outside the ledger."""

    organisation: Code
    grants: Annotated[tuple[Grant, ...], AfterValidator(lambda grants: _some(grants, 16))]


class SetRoute(Order):
    """A route, its longest transit in minutes, and its ladder."""

    route: NewCode
    origin_site: Code
    destination: Code
    transit: Annotated[int, AfterValidator(lambda n: _within(n, 1, 100_000))]


class RegisterMedium(Order):
    """One medium, case or seal."""

    what: Literal["medium", "case", "seal"] = "medium"
    volser: Volser | None = None
    form: Form | None = None


class Request(Order):
    """A consignment to be: along which route, carried by whom, picked up by when."""

    route: Code
    carrier: Code
    pick_up_by: AwareDatetime
    media: Annotated[tuple[Id, ...], AfterValidator(lambda media: _some(media, facts.MANIFEST_MOST))]
    packing: Hash | None = None


class Decide(Order):
    """A decision on an incident, with its reason."""

    incident: IncidentId
    owner: PersonId
    decision: Literal["search", "report-to-police", "notify", "do-not-notify"]
    reason: Words


class Sight(Order):
    """What a stranger says about something that they found."""

    report: Words


def _some(items: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    if not items:
        raise ValueError("at least one stands here")
    if len(items) > most or len(set(items)) != len(items):
        raise ValueError(f"one to {most} stand here, each once")
    return items


def _within(number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise ValueError(f"a whole number from {low} to {high} stands here")
    return number


def read(model: type[Model], form: dict[str, Any]) -> Model:
    """The order of a filled-in form, or Unreadable with a sentence for each field that is wrong."""
    try:
        return model.model_validate(form)
    except ValidationError as problem:
        raise Unreadable("; ".join(_sentence(error) for error in problem.errors()) + ".") from None


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "form"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
