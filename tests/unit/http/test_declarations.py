"""A POST that somebody adds takes effect once, or the service does not start."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from paidonce.http.answers import Received
from paidonce.http.commands import Command
from paidonce.http.declarations import Call, declare, exempt_post, get, post
from paidonce.http.openapi import Answer, Operation, build_document
from paidonce.http.routes import ROUTES
from paidonce.service import Service

OPERATION = Operation(id="new", summary="New", answers={202: Answer(description="Done.", kind=Received)})


async def answer_at_once(_request: Request, _service: Service) -> Response:
    return Response()


async def return_a_command(_request: Request, _service: Service) -> Command[Any]:
    raise NotImplementedError


def test_a_post_that_says_nothing_of_idempotency_is_refused_before_the_service_starts() -> None:
    with pytest.raises(TypeError, match="POST /new may take effect twice"):
        declare(get("/new", answer_at_once, OPERATION), Call("POST", "/new", answer_at_once, OPERATION))


def test_a_post_with_a_command_is_declared_and_described_as_one_that_takes_effect_once() -> None:
    described = build_document(declare(post("/new", return_a_command, OPERATION)))["paths"]["/new"]["post"]
    assert [one["name"] for one in described["parameters"]] == ["Idempotency-Key"]
    assert "Idempotent-Replayed" in described["responses"]["202"]["headers"]
    assert {"409", "422"} <= described["responses"].keys()


def test_a_handler_that_answers_by_itself_does_not_type_check_as_one_that_returns_a_command() -> None:
    post("/new", answer_at_once, OPERATION)  # type: ignore[arg-type] # mypy fails where this is no error


def test_an_exception_has_a_reason_and_is_described_as_it_was() -> None:
    routes = declare(exempt_post("/new", answer_at_once, OPERATION, because="It has no effect."))
    assert "parameters" not in build_document(routes)["paths"]["/new"]["post"]
    with pytest.raises(AssertionError, match="reason"):
        exempt_post("/new", answer_at_once, OPERATION, because="")


def test_every_call_is_in_the_table_once() -> None:
    calls = [(call.method, call.path) for call in ROUTES]
    assert len(calls) == len(set(calls))
    assert len({call.operation.id for call in ROUTES}) == len(ROUTES)
