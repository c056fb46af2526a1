"""Runs a call of the API in this process, for a person: its validation, idempotency and errors are those of the API.

The call is given a request as a client would send it, with its body as JSON, and its response is decoded again. A
way to run an operation with structs would not be simpler. A body must be written as JSON or as plain values in any
case, because msgspec checks limits and patterns when it decodes, and not when a struct is made. A response is written
by about sixty handlers, some with headers and a status of their own, and all of them would have to return structs
instead. The request also carries what handlers read beside the body: the caller, the idempotency key, the host of URLs,
and the path that an idempotency key is stored with. Encoding and decoding take less than a tenth of a millisecond.
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from paidonce.dashboard.idempotency import without_claim
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import InsufficientRole, RouteNotFound
from paidonce.http.context import CONTEXT, RequestContext, context_of, prefix_in
from paidonce.http.operation import Operation
from paidonce.http.path_ids import PATH_IDS
from paidonce.http.request import ApiRequest
from paidonce.merchants.model import Caller, Scope
from paidonce.users.model import SCOPES

SAFE: Final = "!$&'()*+,;=:@~"


async def run_operation(
    request: DashboardRequest,
    operation: Operation,
    *,
    path_value: str = "",
    body: Mapping[str, Any] | None = None,
    parameters: Mapping[str, str] | None = None,
    as_operator: bool = False,
    granting: Scope | None = None,
) -> Any:  # noqa: ANN401 - each operation has its own type of response
    """Run an operation as the person who is logged in; returns the response's struct, or None where it has no body.

    ``path_value`` is the variable part of its path, ``body`` is written as JSON. An action's idempotency key is passed
    on to a call that honours one; what another call commits claims the key as all that an action commits. With
    ``as_operator`` it is not limited to the merchant of the page, which only an operator may ask for.
    ``granting`` is a scope that the role of the page has for the page's merchant alone, although no API key of the
    merchant can have it: a person's password and second factor stand behind it, and the audit log names them.
    Raises what the operation raises, and InsufficientRole where the person's role lacks its scope.
    """
    caller = request.person.caller(None) if as_operator else request.caller
    if granting is not None:
        assert caller.merchant_id is not None, "a scope is granted for one merchant"
        caller = msgspec.structs.replace(caller, scopes=caller.scopes | {granting})
    if operation.scope is not None and operation.scope not in caller.scopes:
        raise InsufficientRole(_least_role(operation.scope))
    for name in operation.variables:
        PATH_IDS[name].check(path_value)
    scope = _scope(request, operation, path_value, parameters, caller)
    http = Request(scope, _receiving(b"" if body is None else msgspec.json.encode(body)))
    service = without_claim(request.service) if operation.honours_idempotency_key else request.service
    response = await operation.handle(ApiRequest(http, service, path_value))
    assert isinstance(response, Response), f"{operation.operation_id} responds with a stream"
    schema = operation.responses[response.status_code].schema
    return None if schema is None else msgspec.json.decode(response.body, type=schema)


def _least_role(scope: Scope) -> str:
    return next(role.value for role, scopes in SCOPES.items() if scope in scopes)


def _scope(
    request: DashboardRequest,
    operation: Operation,
    path_value: str,
    parameters: Mapping[str, str] | None,
    caller: Caller,
) -> MutableMapping[str, Any]:
    """Make the request that a client of the API would send, but for its body."""
    if len(operation.variables) > 1:
        raise RouteNotFound(f"{operation.path} has more than one variable part.")
    path = operation.path
    for name in operation.variables:
        path = path.replace(f"{{{name}}}", quote(path_value, safe=SAFE))
    headers = [(b"content-type", b"application/json"), (b"host", request.http.headers.get("host", "").encode())]
    if request.received is not None:
        headers.append((b"idempotency-key", request.idempotency_key.encode()))
    outer = request.http.scope
    context = context_of(request.http)
    return {
        **{
            name: outer[name]
            for name in ("type", "asgi", "http_version", "scheme", "client", "server")
            if name in outer
        },
        "method": operation.method,
        "path": prefix_in(outer) + path,
        "raw_path": (prefix_in(outer) + path).encode(),
        "root_path": prefix_in(outer),
        "query_string": urlencode(parameters or {}).encode(),
        "headers": headers,
        CONTEXT: RequestContext(
            id=context.id,
            operations=context.operations,
            address=context.address,
            caller=caller,
            rate_limit=context.rate_limit,
        ),
    }


def _receiving(body: bytes) -> Any:  # noqa: ANN401 - ASGI's Receive
    """Make what delivers the body, and then nothing: the person's browser is watched elsewhere."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    return receive
