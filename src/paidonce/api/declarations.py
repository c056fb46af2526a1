"""How a POST is declared, so that it honours ``Idempotency-Key`` and says so: by ``post``, or by a named exception.

``declare`` makes the table of routes and refuses a POST that is declared in neither way: the service does not start.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import msgspec

from paidonce.api.commands import Command, perform
from paidonce.api.openapi import Operation
from paidonce.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from paidonce.service import Service
from paidonce.web.reply import Answer, Reply
from paidonce.web.request import Request
from paidonce.web.routing import Handler, Route

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"

CommandHandler: TypeAlias = Callable[..., Awaitable[Command[Any]]]
"""Is given what a handler is given, and returns what is to be done; it has no effect of its own."""


class _Performing:
    """A handler that does what another says, once for each idempotency key."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def __call__(self, request: Request, service: Service, *values: str) -> Reply:
        """Answer a request."""
        return await perform(await self._handler(request, service, *values), request, service)


class _Exempt:
    """A handler of a POST that takes effect once in a way of its own. ``because`` says which."""

    def __init__(self, handler: Handler, because: str) -> None:
        self._handler = handler
        self.because = because

    def __call__(self, request: Request, service: Service, *values: str) -> Awaitable[Answer]:
        """Answer a request."""
        return self._handler(request, service, *values)


def post(path: str, handler: CommandHandler, operation: Operation) -> Route:
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
    return Route("POST", path, _Performing(handler), described)


def exempt_post(path: str, handler: Handler, operation: Operation, *, because: str) -> Route:
    """Declare a POST that needs no wrapper ``because`` of something; its handler and description stay as they are."""
    assert because, "an exception has a reason"
    return Route("POST", path, _Exempt(handler, because), operation)


def declare(*routes: Route) -> tuple[Route, ...]:
    """Make the table of routes; raises TypeError where a POST is not declared by ``post`` or ``exempt_post``."""
    for route in routes:
        if route.method == "POST" and not isinstance(route.handler, _Performing | _Exempt):
            message = f"POST {route.path} may take effect twice: declare it by post or, with a reason, by exempt_post"
            raise TypeError(message)
    return routes
