"""Stripe's SDK as a judge: what its types say about parameters."""

import sys
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, is_typeddict

import typing_extensions

UNIONS = (Union, type(int | str))
OPTIONAL = (typing_extensions.NotRequired, typing_extensions.Required)


def faults_of(value: object, kind: Any, module: str = "", name: str = "") -> list[str]:  # noqa: ANN401 - a type
    """Say how a value differs from a type of the SDK's; nothing where it does not."""
    if isinstance(kind, str | ForwardRef):
        written = kind if isinstance(kind, str) else kind.__forward_arg__
        # Evaluated one by one, because some names exist only for type checkers.
        return faults_of(value, eval(written, dict(vars(sys.modules[module]))), module, name)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in OPTIONAL:
        return faults_of(value, arguments[0], module, name)
    if is_typeddict(kind) or typing_extensions.is_typeddict(kind):
        return _faults_of_fields(value, kind, name)
    if origin in UNIONS:
        # "Literal['auto'] | str" allows any text to stay open for the future: here it must be a known one.
        known = [one for one in arguments if get_origin(one) in (Literal, typing_extensions.Literal)]
        arms = known if known and isinstance(value, str) else arguments
        found = [faults_of(value, one, module, name) for one in arms]
        return [] if [] in found else found[0]
    if origin in (Literal, typing_extensions.Literal):
        return [] if value in arguments else [f"{name}: {value!r} is none of {arguments}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{name}: {value!r} is no list"]
        return [
            fault
            for number, one in enumerate(value)
            for fault in faults_of(one, arguments[0], module, f"{name}[{number}]")
        ]
    if origin is dict:
        is_text = isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair)
        return [] if is_text else [f"{name}: {value!r} is no object of texts"]
    return [] if type(value) is kind else [f"{name}: {value!r} is no {kind}"]


def _faults_of_fields(value: object, kind: Any, name: str) -> list[str]:  # noqa: ANN401 - a type
    if not isinstance(value, dict):
        return [f"{name}: {value!r} is no object"]
    fields = kind.__annotations__
    faults = [f"{name}: {one} is unknown" for one in value.keys() - fields.keys()]
    faults += [f"{name}: {one} is missing" for one in kind.__required_keys__ - value.keys()]
    for one in value.keys() & fields.keys():
        faults += faults_of(value[one], fields[one], kind.__module__, f"{name}.{one}")
    return faults
