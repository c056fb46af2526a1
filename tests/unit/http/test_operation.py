"""An operation is declared once, and a POST that somebody adds takes effect once, or the service does not start."""

import importlib
import pkgutil
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response

import paidonce
from paidonce.errors import InvalidRequest
from paidonce.http.commands import Command
from paidonce.http.fields import Fields
from paidonce.http.openapi import build_document
from paidonce.http.operation import Operation, ResponseSpec, exempt_post, get, post
from paidonce.http.request import ApiRequest
from paidonce.http.routes import OPERATIONS
from paidonce.merchants.model import Scope
from paidonce.provider_webhooks.schemas import ReceivedResponse
from paidonce.service import Service

RESPONSES = {202: ResponseSpec(description="Accepted.", schema=ReceivedResponse)}


class NewBody(Fields, frozen=True, kw_only=True):
    """A body without fields."""


async def respond_at_once(_request: ApiRequest, _body: NewBody) -> Response:
    return Response()


async def return_a_command(_request: ApiRequest, _body: NewBody) -> Command[Any, Any]:
    raise NotImplementedError


async def respond(_request: ApiRequest) -> Response:
    return Response()


def test_a_post_that_says_nothing_of_idempotency_is_refused_before_the_service_starts() -> None:
    with pytest.raises(TypeError, match="POST /new may take effect twice"):
        Operation(method="POST", path="/new", handle=respond, operation_id="new", summary="New", responses=RESPONSES)


def test_a_post_with_a_command_is_declared_and_described_as_one_that_takes_effect_once() -> None:
    declare = post("/new", body=NewBody, tenant=None, operation_id="new", summary="New", responses=RESPONSES)
    described = build_document([declare(return_a_command)])["paths"]["/new"]["post"]
    assert [one["name"] for one in described["parameters"]] == ["Idempotency-Key"]
    assert "Idempotent-Replayed" in described["responses"]["202"]["headers"]
    assert {"409", "422"} <= described["responses"].keys()


def test_a_handler_that_responds_by_itself_does_not_type_check_as_one_that_returns_a_command() -> None:
    declare = post("/new", body=NewBody, tenant=None, operation_id="new", summary="New", responses=RESPONSES)
    declare(respond_at_once)  # type: ignore[arg-type] # mypy fails where this is no error


def test_an_exception_has_a_reason_and_is_described_without_the_header() -> None:
    def declare(because: str) -> Operation:
        declared = exempt_post(
            "/new", body=NewBody, because=because, operation_id="new", summary="New", responses=RESPONSES
        )
        return declared(respond_at_once)

    operation = declare("It has no effect.")
    assert "parameters" not in build_document([operation])["paths"]["/new"]["post"]
    with pytest.raises(TypeError, match="may take effect twice"):
        declare("")


async def test_a_get_for_a_key_refuses_query_parameters_and_an_open_one_ignores_them() -> None:
    guarded = get("/new", scope=Scope.CHECKOUTS_READ, operation_id="new", summary="New", responses=RESPONSES)(respond)
    opened = get("/new", operation_id="new", summary="New", responses=RESPONSES)(respond)
    request = ApiRequest(Request({"type": "http", "query_string": b"probe=1", "headers": []}), cast("Service", None))
    with pytest.raises(InvalidRequest):
        await guarded.handle(request)
    assert isinstance(await opened.handle(request), Response)
    assert "400" in build_document([guarded])["paths"]["/new"]["get"]["responses"]
    assert "400" not in build_document([opened])["paths"]["/new"]["get"]["responses"]


def test_a_decorator_that_is_used_twice_describes_both_operations_alike() -> None:
    declare = post("/new", body=NewBody, tenant=None, operation_id="new", summary="New", responses=RESPONSES)
    first, second = declare(return_a_command), declare(return_a_command)
    assert (first.headers, first.errors, first.responses) == (second.headers, second.errors, second.responses)


def test_every_operation_that_a_module_declares_is_in_the_table_once() -> None:
    names = [one.name for one in pkgutil.walk_packages(paidonce.__path__, "paidonce.") if "http" in one.name]
    declared = {
        operation.operation_id
        for name in names
        for operation in vars(importlib.import_module(name)).values()
        if isinstance(operation, Operation)
    }
    assert sorted(declared) == sorted(operation.operation_id for operation in OPERATIONS)
    paths = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(paths) == len(set(paths))
