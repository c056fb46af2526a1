"""Reading bodies and parameters strictly. msgspec stops at the first error, so the failing path looks at each field."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final, TypeVar, get_type_hints

import msgspec

from paidonce.errors import FieldError, InvalidRequest, MalformedBody, UnsupportedMediaType

T = TypeVar("T", bound="Fields")

ERRORS_MAX: Final = (
    100  # More than any body has that means well; a hostile one would be answered with eight times its size.
)

Check = Callable[[Any], str | None]
"""A rule beyond types and ranges: returns the sentence that says what is wrong, or None."""

CODES: Final = (
    (re.compile(r"matching regex"), "wrong_format"),
    (re.compile(r"length [<>]=|to have length"), "wrong_length"),
    (re.compile(r"[<>]=? -?[0-9]"), "out_of_range"),
    (re.compile(r"Invalid enum value"), "unknown_value"),
    (re.compile(r"missing required"), "missing"),
    (re.compile(r"unknown field"), "unknown_field"),
)


class Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A body or a set of parameters. ``checks`` holds each field's rules beyond its type, by its name on the wire."""

    checks: ClassVar[Mapping[str, Check]] = {}


@cache
def _decoder(kind: type[Fields]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def read_body(kind: type[T], body: bytes, content_type: str, *, required: Collection[str] = ()) -> T:
    """Read a JSON body; raises UnsupportedMediaType, MalformedBody, or InvalidRequest with all failing fields.

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
        _refuse_repeated(body)
        return _checked(kind, _decode_any(body), required=required)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error
    quotes, wrong = _look_through(read)
    if body.count(b'"') != quotes:
        _refuse_repeated(body)
    if any(getattr(read, _names(kind)[name]) is None for name in required):
        return _checked(kind, _decode_any(body), required=required)
    if wrong:
        raise InvalidRequest(wrong)
    return read


def read_parameters(kind: type[T], given: Iterable[tuple[str, str]]) -> T:
    """Read query parameters; raises InvalidRequest with all that do not fit."""
    values: dict[str, str] = {}
    repeated = []
    for name, value in given:
        if name in values:
            repeated.append(FieldError(name, "repeated", "Give this parameter once."))
        else:
            values[name] = value
    return _checked(kind, values, strict=False, already=repeated, pointer="")


def _decode_any(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error


def _look_through(read: Fields) -> tuple[int, list[FieldError]]:
    """Count the quotation marks of the shortest body that says this; one that repeats a name has more.

    And hold each field against its rule beyond types; a default fits its own.
    """
    quotes = 0
    wrong = []
    for field, name, default, check in _shape(type(read)):
        value = getattr(read, field)
        if value is default or value == default:
            continue
        quotes += 2
        if type(value) is str:
            quotes += 2
        elif type(value) is dict:
            quotes += 4 * len(value)
        problem = None if check is None or value is None else check(value)
        if problem is not None:
            wrong.append(FieldError(f"/{name}", "invalid_value", problem))
    return quotes, wrong


@cache
def _shape(kind: type[Fields]) -> Sequence[tuple[str, str, Any, Check | None]]:
    """Give for each field its name, its name on the wire, its default, and its rule."""
    return [
        (field.name, field.encode_name, field.default, kind.checks.get(field.encode_name))
        for field in msgspec.structs.fields(kind)
    ]


def _refuse_repeated(body: bytes) -> None:
    """Raise MalformedBody where an object has a name twice: two readers would take two different values."""
    try:
        json.loads(body, object_pairs_hook=_refuse_repeated_names)
    except (ValueError, RecursionError):  # Not JSON, which is found elsewhere.
        return


def _refuse_repeated_names(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise MalformedBody("The body is not JSON that everybody reads alike: a name is there twice in one object.")


def _malformed(error: Exception) -> MalformedBody:
    return MalformedBody(f"The body is not JSON: {error}." if isinstance(error, msgspec.DecodeError) else "Not JSON.")


@cache
def _empty(kind: type[T]) -> T:
    return _checked(kind, {})


@cache
def _hints(kind: type[Fields]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _names(kind: type[Fields]) -> dict[str, str]:
    return {field.encode_name: field.name for field in msgspec.structs.fields(kind)}


def _checked(
    kind: type[T],
    values: object,
    *,
    strict: bool = True,
    already: Sequence[FieldError] = (),
    pointer: str = "/",
    required: Collection[str] = (),
) -> T:
    """Convert field by field, gather everything that is wrong, and raise it; or make the whole."""
    if not isinstance(values, dict):
        raise InvalidRequest([FieldError("", "wrong_type", "The body must be a JSON object.")])
    names = _names(kind)
    hints = _hints(kind)
    wrong = list(already)
    wrong += [
        FieldError(f"{pointer}{_escape(name)}", "unknown_field", "There is no such field.")
        for name in values
        if name not in names
    ]
    read = {}
    for field in msgspec.structs.fields(kind):
        where = f"{pointer}{field.encode_name}"
        needed = field.required or field.encode_name in required
        if field.encode_name not in values or (needed and values[field.encode_name] is None):
            if needed:
                wrong.append(FieldError(where, "missing", "This field is required."))
            continue
        value, hint = values[field.encode_name], hints[field.name]
        try:
            read[field.encode_name] = msgspec.convert(value, hint, strict=strict)
        except msgspec.ValidationError as error:
            wrong += _wrong_pairs(where, value, hint) or [_field_error(where, str(error))]
        else:
            if value is not None and read[field.encode_name] is None:
                wrong.append(FieldError(where, "wrong_type", "Leave this parameter out instead of writing null."))
    wrong += _wrong_by_rule(kind, read, pointer)
    if wrong:
        raise InvalidRequest(wrong[:ERRORS_MAX])
    return kind(**{names[name]: value for name, value in read.items()})


def _wrong_by_rule(kind: type[Fields], values: Mapping[str, Any], pointer: str = "/") -> Iterable[FieldError]:
    for name, check in kind.checks.items():
        value = values.get(name)
        problem = check(value) if value is not None else None
        if problem is not None:
            yield FieldError(f"{pointer}{name}", "invalid_value", problem)


def _wrong_pairs(where: str, value: object, hint: object) -> list[FieldError]:
    """Look at each pair of an object by itself; empty where it is the object as a whole that does not fit."""
    wrong = []
    for name, inner in value.items() if isinstance(value, dict) else ():
        try:
            msgspec.convert({name: inner}, hint)
        except msgspec.ValidationError as error:
            wrong.append(_field_error(f"{where}/{_escape(name)}", str(error)))
    return wrong


def _field_error(where: str, message: str) -> FieldError:
    text = message.partition(" - at `")[0].replace(r"\\Z'", "$'")
    code = next((code for pattern, code in CODES if pattern.search(text)), "wrong_type")
    return FieldError(where, code, f"{text.rstrip('.')}.")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
