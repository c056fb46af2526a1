"""In which way a value does not fit its type: a code on which a client branches, and a sentence for people.

msgspec tells that in the words of Python and of regular expressions; the types, as it describes them, tell it to us.
"""

import re
from collections.abc import Sized
from typing import Any, Final, NamedTuple

from msgspec import inspect

WHOLE_NUMBER: Final = re.compile(r"-?[0-9]+")
# Every text keeps to this pattern. It would tell a reader nothing.
NO_NUL: Final = r"^[^\x00]*$"


class Fault(NamedTuple):
    """What is wrong: ``requirement`` continues the words "must be"; ``hint`` is a sentence, or empty."""

    code: str
    requirement: str
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Return what must be sent instead, as one or two sentences."""
        return f"This must be {self.requirement}.{f' {self.hint}' if self.hint else ''}"


def fault_of(value: object, kind: inspect.Type) -> Fault | None:
    """Find the fault of a value from a body; None where it fits, as far as is seen here."""
    kind, schema = _without_null(kind)
    match kind, value:
        case inspect.IntType(), int() if not isinstance(value, bool):
            return None if _is_in_range(value, kind) else Fault("out_of_range", _number(kind))
        case inspect.BoolType(), bool():
            return None
        case ((inspect.StrType() | inspect.LiteralType() | inspect.EnumType()), str()):
            return _fault_of_text(value, kind, schema)
        case (inspect.ListType() | inspect.DictType(), list() | dict()) if _is_container(value, kind):
            return _fault_of_container(value, kind)
        case _:
            return Fault("wrong_type", f"{_requirement(kind)}, not {_name_of(value)}")


def fault_of_parameter(text: object, kind: inspect.Type) -> Fault | None:
    """Find the fault of a parameter, whose text is read as a number or a truth value where one is wanted."""
    plain = without_null(kind)
    if isinstance(text, str) and isinstance(plain, inspect.IntType | inspect.FloatType | inspect.BoolType):
        is_number = isinstance(plain, inspect.IntType) and WHOLE_NUMBER.fullmatch(text)
        return Fault("out_of_range" if is_number else "wrong_type", _requirement(plain))
    return fault_of(text, kind)


def without_null(kind: inspect.Type) -> inspect.Type:
    """Take the one type of a field that may also be null."""
    return _without_null(kind)[0]


def _without_null(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """Take the type, and what its declaration says about it in the words of JSON Schema."""
    schema: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            schema |= kind.extra_json_schema or {}
            kind = kind.type
        else:
            kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind, schema


def _fault_of_text(value: str, kind: inspect.Type, schema: dict[str, Any]) -> Fault | None:
    match kind:
        case inspect.StrType():
            if not _has_length(value, kind):
                return Fault("wrong_length", f"a string of {_length(kind, 'character')}")
            if re.search(kind.pattern or "", value):
                return None
            return Fault("wrong_format", *_format(kind.pattern or "", schema))
        case _:
            return None if value in _values(kind) else Fault("unknown_value", _requirement(kind))


def _fault_of_container(value: object, kind: inspect.Type) -> Fault | None:
    match kind, value:
        case inspect.ListType(), list():
            if not _has_length(value, kind):
                return Fault("wrong_length", f"an array of {_length(kind, 'element')}")
            faults = ((index, fault_of(one, kind.item_type)) for index, one in enumerate(value))
            index, fault = next(((index, fault) for index, fault in faults if fault), (0, None))
            return fault and Fault(fault.code, f"an array whose element {index} is {fault.requirement}", fault.hint)
        case inspect.DictType(), dict():
            return None if _has_length(value, kind) else Fault("wrong_length", f"an object of {_length(kind, 'pair')}")
        case _:
            return None


def _is_container(value: object, kind: inspect.Type) -> bool:
    return isinstance(value, list if isinstance(kind, inspect.ListType) else dict)


def _has_length(value: Sized, kind: inspect.StrType | inspect.ListType | inspect.DictType) -> bool:
    least, most = kind.min_length, kind.max_length
    return (least is None or len(value) >= least) and (most is None or len(value) <= most)


def _is_in_range(value: int, kind: inspect.IntType) -> bool:
    return (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)


def _requirement(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a string"
        case inspect.LiteralType() | inspect.EnumType():
            return f"one of {', '.join(_values(kind))}"
        case inspect.ListType():
            return "an array"
        case _:
            return "an object"


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
    least = kind.ge if kind.gt is None else kind.gt
    if least is None:
        return noun if kind.le is None else f"{noun} of at most {_plain(kind.le)}"
    if kind.le is None:
        return f"{noun} {'of at least' if kind.gt is None else 'above'} {_plain(least)}"
    range_of = "from {} to {}" if kind.gt is None else "above {} and at most {}"
    return f"{noun} {range_of.format(_plain(least), _plain(kind.le))}"


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _length(kind: inspect.StrType | inspect.ListType | inspect.DictType, noun: str) -> str:
    least, most = kind.min_length, kind.max_length
    count = f"at least {least}" if most is None else f"{least} to {most}" if least else f"at most {most}"
    return f"{count} {noun}s"


def _format(pattern: str, schema: dict[str, Any]) -> tuple[str, str]:
    if schema.get("format") == "date-time":
        return "an RFC 3339 time such as 2026-01-02T03:04:05Z", ""
    if pattern == NO_NUL:
        return "a string without the character U+0000", ""
    return f"a string that matches {pattern.replace(chr(92) + 'Z', '$')}", schema.get("description") or ""


def _values(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.LiteralType():
            return [str(one) for one in kind.values]
        case inspect.EnumType():
            return [str(one.value) for one in kind.cls]
        case _:
            return []


def _name_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "an integer"
        case float():
            return "a number with a decimal point"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
