"""How calls are declared: method, path, handler and description together, in the table of routes.

A POST honours ``Idempotency-Key`` and says so (``post``), or is a named exception (``exempt_post``): ``declare``
refuses any other, and the service does not start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from paidonce.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from paidonce.http.commands import Command, perform
from paidonce.http.openapi import Operation
from paidonce.service import Service

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

Handler: TypeAlias = (
    Callable[[Request, Service], Awaitable[ASGIApp]] | Callable[[Request, Service, str], Awaitable[ASGIApp]]
)
"""Is given the request, the service, and what the path's variable part is, where it has one; returns the response."""

CommandHandler: TypeAlias = (
    Callable[[Request, Service], Awaitable[Command[Any]]] | Callable[[Request, Service, str], Awaitable[Command[Any]]]
)
"""Is given what a handler is given, and returns what is to be done; it has no effect of its own."""


@dataclass(frozen=True)
class Call:
    """A call: its path's variable part is in braces; with ``takes_slashes`` that part may hold slashes."""

    method: str
    path: str
    handler: Callable[..., Awaitable[ASGIApp]]
    operation: Operation
    takes_slashes: bool = False

    @cached_property
    def variable(self) -> str | None:
        """The name of the path's variable part; None where it has none."""
        return next((part[1:-1] for part in self.path.split("/") if part.startswith("{")), None)


class _Performing:
    """A handler that does what another says, once for each idempotency key."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler: Callable[..., Awaitable[Command[Any]]] = handler

    async def __call__(self, request: Request, service: Service, *values: str) -> Response:
        """Answer a request."""
        return await perform(await self._handler(request, service, *values), request, service)


class _Exempt:
    """A handler of a POST that takes effect once in a way of its own. ``because`` says which."""

    def __init__(self, handler: Handler, because: str) -> None:
        self._handler: Callable[..., Awaitable[ASGIApp]] = handler
        self.because = because

    def __call__(self, request: Request, service: Service, *values: str) -> Awaitable[ASGIApp]:
        """Answer a request."""
        return self._handler(request, service, *values)


def get(path: str, handler: Handler, operation: Operation, *, takes_slashes: bool = False) -> Call:
    """Declare a GET; HEAD is answered wherever GET is."""
    return Call("GET", path, handler, operation, takes_slashes)


def patch(path: str, handler: Handler, operation: Operation) -> Call:
    """Declare a PATCH."""
    return Call("PATCH", path, handler, operation)


def delete(path: str, handler: Handler, operation: Operation) -> Call:
    """Declare a DELETE."""
    return Call("DELETE", path, handler, operation)


def post(path: str, handler: CommandHandler, operation: Operation) -> Call:
    """Declare a POST. It takes effect once for each ``Idempotency-Key``, and its description says so."""
    described = msgspec.structs.replace(
        operation,
        headers=[HEADER, *operation.headers],
        answers={
            status: msgspec.structs.replace(answer, headers=list(dict.fromkeys([*answer.headers, REPLAYED])))
            for status, answer in operation.answers.items()
        },
        errors=[*operation.errors, IdempotencyKeyReused, IdempotencyKeyInUse],
    )
    return Call("POST", path, _Performing(handler), described)


def exempt_post(path: str, handler: Handler, operation: Operation, *, because: str) -> Call:
    """Declare a POST that needs no wrapper ``because`` of something; its handler and description stay as they are."""
    assert because, "an exception has a reason"
    return Call("POST", path, _Exempt(handler, because), operation)


def declare(*calls: Call) -> tuple[Call, ...]:
    """Make the table of routes; raises TypeError where a POST is not declared by ``post`` or ``exempt_post``."""
    for call in calls:
        if call.method == "POST" and not isinstance(call.handler, _Performing | _Exempt):
            message = f"POST {call.path} may take effect twice: declare it by post or, with a reason, by exempt_post"
            raise TypeError(message)
    return calls
