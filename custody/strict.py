"""One spelling for every value.

A value that can be written in two ways can be two events where there was one, and a signature over the
one can be shown beside the other. So each text form here has a reader that accepts exactly what its
writer writes, and nothing else:

- base64: RFC 4648 section 4, padded, the unused trailing bits zero;
- times: UTC with milliseconds, `2026-11-21T10:00:00.000Z`, what JavaScript's `toISOString` gives, in the
  years 2000 to 2099;
- JSON: compact, ASCII, no duplicate member, no fraction, members in the order of the class that they
  belong to, a member that has its default left out.

`record(Class)` gives the reader and writer of a frozen dataclass; its annotations are the format. A pattern
made of them reads what is in its one spelling, which is quick; the rest is read member by member, to say why.
"""

from __future__ import annotations

import binascii
import json
import re
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from custody.errors import Unreadable

T = TypeVar("T")
Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]


def unbase64(text: str) -> bytes:
    """The bytes of a base64 text. Unreadable for any spelling but the one that `base64text` writes."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as problem:
        message = "This is not base64."
        raise Unreadable(message) from problem
    if base64text(data) != text:
        raise Unreadable("This base64 has unused bits set: it is not the one spelling of its bytes.")
    return data


def base64text(data: bytes) -> str:
    """Standard, padded base64 (RFC 4648 section 4)."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def time_text(moment: datetime) -> str:
    """`2026-11-21T10:00:00.000Z`. The moment is aware; what is finer than a millisecond is cut off."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    if not 2000 <= utc.year < 2100:
        raise Unreadable(f"The year {utc.year} is not one of 2000 to 2099: look at the clock.")
    return f"{utc.isoformat(timespec='milliseconds')[:23]}Z"


_TIME = re.compile(r"20\d\d-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d\d\dZ", re.ASCII)
"""Some Pythons take 24:00 for the next day's midnight, which would have two spellings."""


@lru_cache(maxsize=1024)
def read_time(text: str) -> datetime:
    """The aware UTC moment that `time_text` wrote."""
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise Unreadable(f"{text[:40]!r} is not a time such as 2026-11-21T10:00:00.000Z.")


def read_json(data: bytes) -> Any:
    """The value of a JSON text in ASCII without duplicate members, fractions or exponents."""
    try:
        return _DECODER.decode(data.decode("ascii"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        message = "This is not JSON in ASCII."
        raise Unreadable(message) from problem


def json_bytes(value: Any) -> bytes:
    """Compact JSON in ASCII, members in the order in which they stand."""
    return _ENCODER.encode(value).encode("ascii")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("A member stands twice in this JSON object.")
    return members


def _no_fraction(text: str) -> Any:
    raise Unreadable(f"{text[:20]!r} is not a whole number.")


def _whole(text: str) -> int:
    if len(text) > 16 or abs(int(text)) > 2**53:  # beyond it JavaScript and Python read different numbers
        raise Unreadable(f"{text[:20]!r} is too large a number.")
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_no_fraction, parse_constant=_no_fraction, parse_int=_whole
)
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)


@dataclass(frozen=True, slots=True)
class Text:
    """Annotates a `str`: the whole of it fits this pattern (ASCII), and `means` says so in words."""

    pattern: str
    means: str


@dataclass(frozen=True, slots=True)
class Whole:
    """Annotates an `int`: at least `low` and at most `high`."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Most:
    """Annotates a tuple: at most so many, at least `least`, no two alike.

    A tuple that stands for a set is `ascending`: numbers by value, texts by code point, records by their
    JSON, so that one set has one spelling. What is `common` stands in very many records, and is read once.
    """

    count: int
    least: int = 1
    ascending: bool = False
    common: bool = False


class Record(Generic[T]):
    """Reads and writes a frozen dataclass as a JSON object.

    `read(value)` takes what `read_json` gave and returns the instance, or raises Unreadable naming the
    member. `write(instance)` gives the dict. Members stand in the order of the fields; a field that
    has its default is left out, and is refused where it is written.
    """

    def __init__(self, cls: type[T]) -> None:
        hints = get_type_hints(cls, include_extras=True)
        self._cls = cls
        self._fields = [
            (f.name, *codec(hints[f.name]), _default(f)) for f in fields(cast("Any", cls)) if f.init
        ]
        self._names = [name for name, *_ in self._fields]
        self._hints = [hints[name] for name in self._names]
        self._defaults = [default for *_, default in self._fields if default is not MISSING]
        self._needed = len(self._fields) - len(self._defaults)

    def read(self, value: Any) -> T:
        """The instance that this JSON object stands for, or Unreadable naming the member."""
        if type(value) is not dict:
            raise Unreadable(f"A {self._cls.__name__} is a JSON object.")
        arguments = []
        for name, read, _, default in self._fields:
            if name in value:
                try:
                    argument = read(value[name])
                except Unreadable as problem:
                    raise Unreadable(f"{name}: {problem}") from None
                if default is not MISSING and argument == default:
                    raise Unreadable(f"{name}: the default is left out, not written.")
                arguments.append(argument)
            elif default is MISSING:
                raise Unreadable(f"The member {name} is missing.")
            else:
                arguments.append(default)
        there = list(value)
        if there != self._names and there != [name for name in self._names if name in value]:
            raise Unreadable(
                f"A {self._cls.__name__} has the members {', '.join(self._names)}, in this order."
            )
        return self._cls(*arguments)

    def read_text(self, text: str) -> T:
        """What `read` gives of this JSON text; Unreadable where it is not in the one spelling.

        It is quick, and without a word on what is wrong: that is for `read` to say.
        """
        found = self._pattern.fullmatch(text)
        if found is None:
            raise Unreadable(_MISSPELT)
        arguments = list(found.groups())
        for place, read in self._read_further:
            if arguments[place] is not None:
                arguments[place] = read(arguments[place])
        given = arguments[self._needed :]
        if given.count(None) == len(given):
            return self._cls(*arguments[: self._needed])
        for place, default in enumerate(self._defaults):
            if given[place] is None:
                given[place] = default
            elif given[place] == default:
                raise Unreadable(_MISSPELT)
        return self._cls(*arguments[: self._needed], *given)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"\{{{self.members(caught)}\}}", re.ASCII)

    @cached_property
    def _read_further(self) -> list[tuple[int, Reader]]:
        readers = [_reads_text(hint) for hint in self._hints]
        return [(place, read) for place, read in enumerate(readers) if read is not None]

    def members(self, spelling: Callable[[Any], str]) -> str:
        """A pattern of what stands within the braces, with this spelling of what an annotation stands for."""
        texts = [f'"{name}":{spelling(hint)}' for name, hint in zip(self._names, self._hints, strict=True)]
        others = [f"(?:,{text})?" for text in texts[self._needed :]]
        return ",".join(texts[: self._needed]) + "".join(others)

    def write(self, instance: T) -> dict[str, Any]:
        """The JSON object that `read` accepts for this instance."""
        out = {}
        for name, _, write, default in self._fields:
            value = getattr(instance, name)
            if default is MISSING or value != default:
                out[name] = write(value)
        return out


_records: dict[type, Record[Any]] = {}


def record(cls: type[T]) -> Record[T]:
    """The one `Record` of this class."""
    if cls not in _records:
        _records[cls] = Record(cls)
    return _records[cls]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _same(value: Any) -> Any:
    return value


def codec(hint: Any) -> tuple[Reader, Writer]:
    """The reader and the writer, from and to JSON's values, of what this annotation stands for."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1])
    if origin in (Union, types.UnionType):  # only ever "or None"
        read, write = codec(_but_none(arguments))
        return (lambda v: None if v is None else read(v)), (lambda v: None if v is None else write(v))
    if origin is Literal:
        return _choice(arguments), _same
    if origin is tuple:
        return _sequence(arguments[0], None)
    if hint is datetime:
        return _reads_time, time_text
    if hint in (bool, str, int):
        return _plain(hint), _same
    if is_dataclass(hint) and isinstance(hint, type):
        shape = record(hint)
        return shape.read, shape.write
    raise TypeError(f"no strict form is defined for {hint!r}")


def _annotated(hint: Any, rule: Text | Whole | Most) -> tuple[Reader, Writer]:
    if isinstance(rule, Text):
        return _text(rule), _same
    if isinstance(rule, Whole):
        return _whole_number(rule), _same
    return _sequence(get_args(hint)[0], rule)


def _text(rule: Text) -> Reader:
    fits = re.compile(rule.pattern, re.ASCII).fullmatch

    def read(value: Any) -> str:
        if type(value) is not str or not fits(value):
            raise Unreadable(f"{str(value)[:40]!r} is not {rule.means}.")
        return value

    return read


def _whole_number(rule: Whole) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not rule.low <= value <= rule.high:
            raise Unreadable(f"{str(value)[:40]!r} is not a whole number from {rule.low} to {rule.high}.")
        return value

    return read


def _choice(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not str or value not in choices:
            raise Unreadable(f"{str(value)[:40]!r} is none of {', '.join(choices)}.")
        return value

    return read


def _sequence(hint: Any, rule: Most | None) -> tuple[Reader, Writer]:
    read_one, write_one = codec(hint)

    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Unreadable("a JSON array stands here.")
        items = tuple([read_one(item) for item in value])
        if rule is None:
            return items
        if not rule.least <= len(items) <= rule.count or len(set(items)) != len(items):
            raise Unreadable(f"from {rule.least} to {rule.count} stand here, each once.")
        if rule.ascending and value != sorted(value, key=_rank):
            raise Unreadable("these stand in ascending order.")
        return items

    return read, lambda value: [write_one(item) for item in value]


def _rank(value: Any) -> Any:
    return json_bytes(value) if isinstance(value, dict) else value


def _reads_time(value: Any) -> datetime:
    if type(value) is not str:
        raise Unreadable("a time stands here.")
    return read_time(value)


def _plain(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise Unreadable(f"a {kind.__name__} stands here.")
        return value

    return read


# ------------------------------------------------------------------------- the same as patterns of texts

_MISSPELT: Final = "This is not in the one spelling that it has."
_WHOLE: Final = "(?:0|-?[1-9][0-9]{0,15})"


def _spelling(hint: Any) -> str:
    """A pattern of the JSON texts of what this annotation stands for. Some that fit it a reader refuses."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated and isinstance(arguments[1], Text):
        return f'"(?:{arguments[1].pattern})"'
    if origin is Annotated:
        return _spelling(arguments[0])
    if origin in (Union, types.UnionType):
        return _spelling(_but_none(arguments))
    if origin is Literal:
        return f'"(?:{"|".join(map(re.escape, arguments))})"'
    if origin is tuple:
        item = _spelling(arguments[0])
        return rf"\[(?:{item}(?:,{item})*)?\]"
    if is_dataclass(hint) and isinstance(hint, type):
        return rf"\{{{record(hint).members(_spelling)}\}}"
    return {datetime: f'"{_TIME.pattern}"', str: r'"[ !#-\[\]-~]*"', int: _WHOLE, bool: "(?:true|false)"}[
        hint
    ]


def caught(hint: Any) -> str:
    """The same with one group: around a text what is within its quotation marks, or else around all."""
    spelling = _spelling(hint)
    return f'"({spelling[1:-1]})"' if _is_text(hint) else f"({spelling})"


def _is_text(hint: Any) -> bool:
    """Whether it is a text in JSON."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _is_text(_but_none(arguments))
    if origin is Annotated:
        return isinstance(arguments[1], Text)
    return origin is Literal or hint in (str, datetime)


def _item(hint: Any) -> Any:
    """What the items of a sequence are; None of what is no sequence."""
    if get_origin(hint) is Annotated:
        return _item(get_args(hint)[0])
    return get_args(hint)[0] if get_origin(hint) is tuple else None


def _reads_text(hint: Any) -> Reader | None:
    """Reads what `caught` catches; None where that is the value."""
    if get_origin(hint) in (Union, types.UnionType):
        return _reads_text(_but_none(get_args(hint)))
    if hint is datetime:
        return read_time
    if _is_text(hint):
        return None
    if is_dataclass(hint) and isinstance(hint, type):
        return record(hint).read_text
    read = codec(hint)[0]
    if _is_text(_item(hint)):
        return lambda text: read(text[2:-2].split('","'))
    common = any(isinstance(rule, Most) and rule.common for rule in get_args(hint))
    return (lru_cache(maxsize=256) if common else _same)(lambda text: read(read_json(text.encode())))


def _but_none(hints: tuple[Any, ...]) -> Any:
    return next(hint for hint in hints if hint is not types.NoneType)
