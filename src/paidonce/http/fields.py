"""Reading bodies and parameters strictly. msgspec stops at the first error, so the failing path looks at each field.

Whatever a body contains, validating it costs at most a few times what parsing it does: validation stops where enough
errors are found.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from itertools import count, islice
from typing import Any, ClassVar, Final, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from paidonce.errors import FieldError, InvalidRequest, MalformedBody, UnsupportedMediaType
from paidonce.field_faults import Fault, fault_of, fault_of_parameter, without_null
from paidonce.http.responses import encode

T = TypeVar("T", bound="Fields")

# More than any body has that means well; a hostile one would be answered with eight times its size.
ERRORS_MAX: Final = 100
# To compare names takes time, so only the first unknown ones are compared, and none that is longer than a field's.
GUESSES_MAX: Final = 3
GUESSED_LENGTH_MAX: Final = 64
# Of a body that is refused anyway, this many objects are searched for names that are there twice.
OBJECTS_SEARCHED_MAX: Final = 100

QUOTE: Final = b'"'

OF_A_NAME: Final = "It is the name of the pair that is wrong."

_decode: Final = msgspec.json.Decoder().decode

Check = Callable[[Any], str | None]
"""A rule beyond types and ranges: returns the sentence that says what is wrong, or None."""


class Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A body or a set of parameters. ``checks`` holds each field's rules beyond its type, by its name on the wire."""

    checks: ClassVar[Mapping[str, Check]] = {}


class _Field(NamedTuple):
    """A field as it is read: its names here and on the wire, its type as written and as msgspec understands it."""

    name: str
    wire_name: str
    hint: Any
    type: inspect.Type
    is_required: bool
    check: Check | None


@cache
def _fields(kind: type[Fields]) -> Mapping[str, _Field]:
    """Give the fields by their names on the wire."""
    hints = get_type_hints(kind, include_extras=True)
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType), "a body is a struct"
    return {
        one.encode_name: _Field(
            one.name, one.encode_name, hints[one.name], one.type, one.required, kind.checks.get(one.encode_name)
        )
        for one in described.fields
    }


@cache
def _checked_fields(kind: type[Fields]) -> Sequence[_Field]:
    """Give the fields that have a rule beyond their types."""
    return [field for field in _fields(kind).values() if field.check is not None]


@cache
def _decoder(kind: type[Fields]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def read_body(kind: type[T], body: bytes, content_type: str, *, required: Collection[str] = ()) -> T:
    """Read a JSON body; raises UnsupportedMediaType, MalformedBody, or InvalidRequest with all failing fields, a
    hundred at most.

    An absent body means ``{}``: what then is missing is named as such. ``required`` names fields that this request
    must have, though the type lets them be absent.
    """
    if not body:
        return _checked(kind, {}, required=required) if required else _empty(kind)
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        message = "Send the body with Content-Type: application/json."
        raise UnsupportedMediaType(message)
    try:
        read: T = _decoder(kind).decode(body)
    except msgspec.ValidationError:
        _refuse_repeated(body, objects_max=OBJECTS_SEARCHED_MAX)
        return _checked(kind, _decode_any(body), required=required)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error
    _refuse_repeated(body)
    fields = _fields(kind)
    if any(getattr(read, fields[name].name) is None for name in required):
        return _checked(kind, _decode_any(body), required=required)
    wrong = [
        problem for field in _checked_fields(kind) if (problem := _against_rule(field, getattr(read, field.name), "/"))
    ]
    if wrong:
        raise InvalidRequest(wrong)
    return read


def read_parameters(kind: type[T], given: Iterable[tuple[str, str]]) -> T:
    """Read query parameters; raises InvalidRequest with all that do not fit, a hundred at most."""
    values, repeated = _without_repetition(given)
    return _checked(kind, values, strict=False, already=repeated, pointer="")


def read_form_fields(kind: type[T], given: Iterable[tuple[str, str]]) -> T:
    """Read the fields of a form as ``read_parameters`` does. An empty field is absent; a list is sent as several."""
    lists: dict[str, list[str]] = {}
    single: list[tuple[str, str]] = []
    fields = _fields(kind)
    for name, value in given:
        if name in fields and isinstance(without_null(fields[name].type), inspect.ListType):
            lists.setdefault(name, []).append(value)
        elif value != "":
            single.append((name, value))
    values, repeated = _without_repetition(single)
    return _checked(kind, values | lists, strict=False, already=repeated, pointer="")


def _without_repetition(given: Iterable[tuple[str, str]]) -> tuple[dict[str, Any], list[FieldError]]:
    values: dict[str, Any] = {}
    repeated: list[FieldError] = []
    for name, value in given:
        if name not in values:
            values[name] = value
        elif len(repeated) < ERRORS_MAX:
            repeated.append(FieldError(name, "repeated", "Send this parameter only once."))
    return values, repeated


def _decode_any(body: bytes) -> object:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error


class _EnoughError(Exception):
    """So many objects are searched that the rest is not."""


def _names_are_unique(body: bytes) -> bool:
    """Tell whether no object in a JSON text has a name twice. False also where this cannot be seen quickly.

    A reader keeps one of two equal names. So if there are as many quotes after reading as before, none was dropped.
    An escaped quote would count as well, so a text with escapes is not decided here.
    """
    return b"\\" not in body and body.count(QUOTE) == encode(_decode(body)).count(QUOTE)


def _refuse_repeated(body: bytes, *, objects_max: int | None = None) -> None:
    """Raise MalformedBody where an object has a name twice: two readers would take two different values."""
    if objects_max is None and _names_are_unique(body):
        return
    decoder = _FINDS_REPEATED if objects_max is None else json.JSONDecoder(object_pairs_hook=_checks_first(objects_max))
    with suppress(ValueError, RecursionError, _EnoughError):  # What is not JSON is found elsewhere.
        decoder.decode(body.decode())


def _refuse_repeated_names(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedBody("The body is ambiguous: an object in it repeats a name.")


def _checks_first(objects_max: int) -> Callable[[list[tuple[str, Any]]], None]:
    """Return a hook for the decoder that checks so many objects, and ends the decoding then."""
    numbers = count(1)

    def check(pairs: list[tuple[str, Any]]) -> None:
        _refuse_repeated_names(pairs)
        if next(numbers) == objects_max:
            raise _EnoughError

    return check


# Made once: to make it takes longer than to read a body with it.
_FINDS_REPEATED: Final = json.JSONDecoder(object_pairs_hook=_refuse_repeated_names)


def _malformed(error: Exception) -> MalformedBody:
    return MalformedBody(
        f"The body is not valid JSON: {error}."
        if isinstance(error, msgspec.DecodeError)
        else "The body is not valid JSON."
    )


@cache
def _empty(kind: type[T]) -> T:
    return _checked(kind, {})


def _checked(
    kind: type[T],
    values: object,
    *,
    strict: bool = True,
    already: Iterable[FieldError] = (),
    pointer: str = "/",
    required: Collection[str] = (),
) -> T:
    """Convert field by field, gather what is wrong, and raise it; or make the whole."""
    if not isinstance(values, dict):
        raise InvalidRequest([FieldError("", "wrong_type", "The body must be a JSON object.")])
    read: dict[str, Any] = {}
    wrong = [
        *already,
        *islice(_mistakes(kind, values, read, strict=strict, pointer=pointer, required=required), ERRORS_MAX),
    ]
    if wrong:
        raise InvalidRequest(wrong[:ERRORS_MAX])
    return kind(**read)


def _mistakes(
    kind: type[Fields],
    values: dict[str, Any],
    read: dict[str, Any],
    *,
    strict: bool,
    pointer: str,
    required: Collection[str],
) -> Iterator[FieldError]:
    """Find one mistake after the other; what fits is put into ``read``, by its name here."""
    fields = _fields(kind)
    for number, name in enumerate(one for one in values if one not in fields):
        near = get_close_matches(name, fields, n=1) if number < GUESSES_MAX and len(name) <= GUESSED_LENGTH_MAX else []
        guess = f" Did you mean {near[0]}?" if near else ""
        yield FieldError(f"{pointer}{_escape(name)}", "unknown_field", f"This field is unknown.{guess}")
    for name, field in fields.items():
        where = f"{pointer}{name}"
        is_needed = field.is_required or name in required
        if name not in values or (is_needed and values[name] is None):
            if is_needed:
                yield FieldError(where, "missing", "This field is required.")
            continue
        value = values[name]
        try:
            read[field.name] = msgspec.convert(value, field.hint, strict=strict)
        except msgspec.ValidationError as error:
            fault = (fault_of if strict else fault_of_parameter)(value, field.type)
            yield from _wrong_pairs(where, value, field) or [_field_error(where, fault, error)]
            continue
        if value is not None and read[field.name] is None:
            yield FieldError(where, "wrong_type", "Omit this parameter instead of sending null.")
    for field in fields.values():
        problem = _against_rule(field, read.get(field.name), pointer)
        if problem is not None:
            yield problem


def _against_rule(field: _Field, value: object, pointer: str) -> FieldError | None:
    problem = None if field.check is None or value is None else field.check(value)
    return None if problem is None else FieldError(f"{pointer}{field.wire_name}", "invalid_value", problem)


def _wrong_pairs(where: str, value: object, field: _Field) -> list[FieldError]:
    """Look at each pair of an object by itself; empty where it is the object as a whole that does not fit."""
    described = without_null(field.type)
    if not isinstance(value, dict) or not isinstance(described, inspect.DictType):
        return []
    wrong = []
    for name, inner in islice(value.items(), ERRORS_MAX):
        try:
            msgspec.convert({name: inner}, field.hint)
        except msgspec.ValidationError as error:
            fault = fault_of(name, described.key_type)
            fault = fault_of(inner, described.value_type) if fault is None else fault._replace(hint=OF_A_NAME)
            wrong.append(_field_error(f"{where}/{_escape(name)}", fault, error))
    return wrong


def _field_error(where: str, fault: Fault | None, error: msgspec.ValidationError) -> FieldError:
    """Tell a fault, or what msgspec says where it sees one and we do not."""
    return FieldError(where, fault.code, fault.sentence) if fault else FieldError(where, "wrong_type", f"{error}.")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
