"""In which way a value does not fit its type, as the code of the field's error, on which a client branches.

msgspec tells that in a sentence for people; the types, as it describes them, tell it to us.
"""

import re
from collections.abc import Sized
from typing import Final

from msgspec import inspect

WHOLE_NUMBER: Final = re.compile(r"-?[0-9]+")


def validation_code_of(value: object, kind: inspect.Type) -> str | None:
    """Name the fault of a value from a body; None where it fits, as far as is seen here."""
    kind = without_null(kind)
    match kind, value:
        case inspect.IntType(), int() if not isinstance(value, bool):
            return None if _is_in_range(value, kind) else "out_of_range"
        case inspect.BoolType(), bool():
            return None
        case (_, str()):
            return _fault_of_text(value, kind)
        case (inspect.ListType() | inspect.DictType(), list() | dict()):
            return _fault_of_container(value, kind)
        case _:
            return "wrong_type"


def validation_code_of_parameter(text: object, kind: inspect.Type) -> str | None:
    """Name the fault of a parameter, whose text is read as a number where one is wanted."""
    if isinstance(without_null(kind), inspect.IntType) and isinstance(text, str) and WHOLE_NUMBER.fullmatch(text):
        return "out_of_range"
    return validation_code_of(text, kind)


def without_null(kind: inspect.Type) -> inspect.Type:
    """Take the one type of a field that may also be null."""
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _fault_of_text(value: str, kind: inspect.Type) -> str | None:
    match kind:
        case inspect.StrType():
            if not _has_length(value, kind):
                return "wrong_length"
            return None if re.search(kind.pattern or "", value) else "wrong_format"
        case inspect.LiteralType():
            return None if value in kind.values else "unknown_value"
        case inspect.EnumType():
            return None if value in {one.value for one in kind.cls} else "unknown_value"
        case _:
            return "wrong_type"


def _fault_of_container(value: object, kind: inspect.Type) -> str | None:
    match kind, value:
        case inspect.ListType(), list():
            if not _has_length(value, kind):
                return "wrong_length"
            faults = (validation_code_of(one, kind.item_type) for one in value)
            return next((fault for fault in faults if fault), None)
        case inspect.DictType(), dict():
            return None if _has_length(value, kind) else "wrong_length"
        case _:
            return "wrong_type"


def _has_length(value: Sized, kind: inspect.StrType | inspect.ListType | inspect.DictType) -> bool:
    least, most = kind.min_length, kind.max_length
    return (least is None or len(value) >= least) and (most is None or len(value) <= most)


def _is_in_range(value: int, kind: inspect.IntType) -> bool:
    return (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)
