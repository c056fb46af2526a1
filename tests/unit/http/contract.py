"""The API as clients depend on it: every call, answer and field of the OpenAPI document, without its prose.

`python -m tests.unit.http.contract` writes it to contract.txt. A change of that file is a change for clients.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from paidonce.http.openapi import build_document
from paidonce.http.routes import OPERATIONS

FILE: Final = Path(__file__).with_name("contract.txt")
PROSE: Final = ("description", "summary")
PROBLEM: Final = "application/problem+json"


def contract(document: dict[str, Any]) -> list[str]:
    """Return a line for each call, parameter, body, answer and field, in the order of the document."""
    calls = [
        line
        for path, methods in document["paths"].items()
        for method, call in methods.items()
        for line in _call(f"{method.upper()} {path}", call)
    ]
    return [
        *calls,
        *(line for name, schema in document["components"]["schemas"].items() for line in _type(name, schema)),
    ]


def _call(name: str, call: dict[str, Any]) -> Iterator[str]:
    known = ("operationId", "tags", "parameters", "requestBody", "responses", *PROSE)
    others = {key: value for key, value in call.items() if key not in known}
    yield f"{name} {call['operationId']} {_written([call['tags'], others])}"
    for parameter in call.get("parameters", ()):
        yield f"{name} takes {_written(parameter)}"
    if "requestBody" in call:
        yield f"{name} takes {_written(call['requestBody'])}"
    for status, answer in call["responses"].items():
        # An example of a problem shows what its code says.
        contents = {
            kind: sorted(content["examples"]) if kind == PROBLEM else content
            for kind, content in answer.get("content", {}).items()
        }
        yield f"{name} answers {status} {_written([sorted(answer['headers']), contents])}"


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"{name} {_written({key: value for key, value in schema.items() if key != 'properties'})}"
    for field, of_field in schema.get("properties", {}).items():
        yield f"{name}.{field} {_written(of_field)}"


def _written(part: Any) -> str:  # noqa: ANN401 - any part of a JSON document
    return json.dumps(_without_prose(part), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _without_prose(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(part, dict):
        return {
            key: _without_prose(value) for key, value in part.items() if key not in PROSE or not isinstance(value, str)
        }
    return [_without_prose(one) for one in part] if isinstance(part, list) else part


if __name__ == "__main__":
    lines = contract(json.loads(json.dumps(build_document(OPERATIONS))))
    FILE.write_text("\n".join([*lines, ""]))
