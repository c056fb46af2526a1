"""The document: complete in itself, and true to what the service does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from paidonce.errors import PaidonceError
from paidonce.http.openapi import build_document
from paidonce.http.operation import Operation
from paidonce.http.routes import OPERATIONS
from tests.unit.http import contract


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    built: dict[str, Any] = json.loads(json.dumps(build_document(OPERATIONS)))
    return built


def parts(said: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any part of a JSON document
    if isinstance(said, dict):
        yield said
    for part in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
        yield from parts(part)


def test_calls_answers_and_fields_are_those_that_clients_know(document: dict[str, Any]) -> None:
    """Where a change is meant, `python -m tests.unit.http.contract` writes the file."""
    assert contract.contract(document) == contract.FILE.read_text().splitlines()


def test_every_reference_leads_to_a_schema(document: dict[str, Any]) -> None:
    wanted = {part["$ref"].removeprefix("#/components/schemas/") for part in parts(document) if "$ref" in part}
    assert wanted - document["components"]["schemas"].keys() == set()


def test_no_pattern_is_written_in_a_way_that_only_python_understands(document: dict[str, Any]) -> None:
    patterns = [part["pattern"] for part in parts(document) if isinstance(part.get("pattern"), str)]
    assert patterns
    assert [pattern for pattern in patterns if r"\Z" in pattern or not pattern.endswith("$")] == []


def test_every_operation_has_a_name_of_its_own_and_an_answer_for_a_fault_of_ours(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert [operation["operationId"] for operation in operations if "500" not in operation["responses"]] == []


def test_every_answer_bears_the_request_id(document: dict[str, Any]) -> None:
    answers = [
        one for path in document["paths"].values() for said in path.values() for one in said["responses"].items()
    ]
    assert [status for status, answer in answers if "X-Request-Id" not in answer["headers"]] == []


def test_a_problem_is_shown_with_every_code_that_it_may_have(document: dict[str, Any]) -> None:
    answers = [
        one for path in document["paths"].values() for said in path.values() for one in said["responses"].values()
    ]
    shown = {
        code
        for answer in answers
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    known = {kind.code for kind in PaidonceError.__subclasses__()}
    assert shown <= known
    assert {"invalid_request", "checkout_not_found", "idempotency_key_reused", "overloaded"} <= shown


def test_every_call_that_answers_with_a_list_is_known_as_one() -> None:
    """Lists are read a few at a time, so that they do not fill the memory."""
    lists = {operation.operation_id for operation in OPERATIONS if operation.returns_list}
    pages = {operation.operation_id for operation in OPERATIONS if "limit" in _parameters_of(operation)}
    assert lists >= pages | {"listRefunds", "getTimeline"}
    assert lists & {"getCheckout", "createCheckout", "followEvents"} == set()


def _parameters_of(operation: Operation) -> tuple[str, ...]:
    parameters = operation.parameters
    return () if parameters is None else parameters.__struct_fields__
