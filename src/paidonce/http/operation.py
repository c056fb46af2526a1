"""Operations: a call of the API, declared once, where its handler is.

``get``, ``post``, ``patch`` and ``delete`` are decorators that turn a handler into an ``Operation``: its method and
path, who may call it (``scope``), what it reads, what it responds with, and how it takes effect once. The router,
authentication and the OpenAPI document are made from these declarations. ``routes.py`` lists them.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Required, TypeAlias, TypedDict, TypeVar, Unpack, get_origin, get_type_hints, overload

from starlette.types import ASGIApp

from paidonce.errors import IdempotencyKeyInUse, IdempotencyKeyReused, PaidonceError
from paidonce.http.commands import Command, TenantOf, perform
from paidonce.http.fields import Fields
from paidonce.http.request import ApiRequest, NoParameters
from paidonce.merchants.model import Scope

IDEMPOTENCY_KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"

BodyT = TypeVar("BodyT", bound=Fields)
ParametersT = TypeVar("ParametersT", bound=Fields)

Handler: TypeAlias = Callable[[ApiRequest], Awaitable[ASGIApp]]
ParametersHandler: TypeAlias = Callable[[ApiRequest, ParametersT], Awaitable[ASGIApp]]
BodyHandler: TypeAlias = Callable[[ApiRequest, BodyT], Awaitable[ASGIApp]]
RawHandler: TypeAlias = Callable[[ApiRequest, bytes], Awaitable[ASGIApp]]
CommandHandler: TypeAlias = Callable[[ApiRequest, BodyT], Awaitable[Command[Any, Any]]]
"""Returns what is to be done, and has no effect of its own."""
RequiredFields: TypeAlias = Callable[[ApiRequest], Collection[str]]
"""Names the fields that a request must have, although their types let them be absent."""


@dataclass(frozen=True, kw_only=True)
class ResponseSpec:
    """A response that is no error: the type of its body, None where it has none or is not JSON, and its headers."""

    description: str
    schema: type | None = None
    headers: Sequence[str] = ()
    media_type: str = "application/json"


class Description(TypedDict, total=False):
    """What a declaration says; ``Operation`` tells what each part means."""

    operation_id: Required[str]
    summary: Required[str]
    responses: Required[Mapping[int, ResponseSpec]]
    description: str
    tag: str
    scope: Scope | None
    details_scope: Scope | None
    errors: Sequence[type[PaidonceError]]
    body_required: bool
    body_example: dict[str, Any]
    headers: Sequence[str]
    touches_database: bool
    takes_slashes: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """A call of the API. ``path`` has its variable parts in braces; with ``takes_slashes`` its one may hold slashes.

    ``scope`` is what the API key must have; without it the call is open to everybody, and ignores query parameters.
    ``details_scope`` is a scope with which an open call tells more: a key that is given for it must be valid.
    ``exempt_because`` says why a POST takes effect once without the idempotency key that all others honour.
    """

    method: str
    path: str
    handle: Handler
    operation_id: str
    summary: str
    responses: Mapping[int, ResponseSpec]
    description: str = ""
    tag: str = "Checkouts"
    scope: Scope | None = None
    details_scope: Scope | None = None
    errors: Sequence[type[PaidonceError]] = ()
    parameters: type[Fields] | None = None
    body: type[Fields] | None = None
    body_required: bool = False
    body_example: dict[str, Any] | None = None
    raw_body: str = ""
    headers: Sequence[str] = ()
    touches_database: bool = True
    takes_slashes: bool = False
    honours_idempotency_key: bool = False
    exempt_because: str = ""

    def __post_init__(self) -> None:
        """Refuse a POST that could take effect twice: a service that has one does not start."""
        if self.method == "POST" and not self.honours_idempotency_key and not self.exempt_because:
            message = f"POST {self.path} may take effect twice: declare it with post or, with a reason, as an exception"
            raise TypeError(message)

    @cached_property
    def variables(self) -> list[str]:
        """The names of the path's variable parts. The last one names what the call is about."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @cached_property
    def returns_list(self) -> bool:
        """Whether it responds with a list, which can be large."""
        schemas = [response.schema for response in self.responses.values() if response.schema is not None]
        return any(get_origin(get_type_hints(schema).get("data")) is list for schema in schemas)


@overload
def get(path: str, **described: Unpack[Description]) -> Callable[[Handler], Operation]: ...
@overload
def get(
    path: str, parameters: type[ParametersT], **described: Unpack[Description]
) -> Callable[[ParametersHandler[ParametersT]], Operation]: ...
def get(
    path: str, parameters: type[Fields] | None = None, **described: Unpack[Description]
) -> Callable[[Callable[..., Awaitable[ASGIApp]]], Operation]:
    """Declare a GET. Its handler is given the parameters, where it takes any. HEAD is answered wherever GET is."""
    is_open = described.get("scope") is None

    def declare(handler: Callable[..., Awaitable[ASGIApp]]) -> Operation:
        async def handle(request: ApiRequest) -> ASGIApp:
            if parameters is not None:
                return await handler(request, request.read_parameters(parameters))
            if not is_open:
                request.refuse_parameters()
            return await handler(request)

        taken = parameters or (None if is_open else NoParameters)
        return Operation(method="GET", path=path, handle=handle, parameters=taken, **described)

    return declare


def delete(path: str, **described: Unpack[Description]) -> Callable[[Handler], Operation]:
    """Declare a DELETE."""

    def declare(handler: Handler) -> Operation:
        async def handle(request: ApiRequest) -> ASGIApp:
            request.refuse_parameters()
            return await handler(request)

        return Operation(method="DELETE", path=path, handle=handle, parameters=NoParameters, **described)

    return declare


def patch(
    path: str, *, body: type[BodyT], **described: Unpack[Description]
) -> Callable[[BodyHandler[BodyT]], Operation]:
    """Declare a PATCH, whose handler is given the body."""
    return lambda handler: _with_body("PATCH", path, body, handler, **described)


def post(
    path: str,
    *,
    body: type[BodyT],
    tenant: TenantOf[BodyT] | None,
    **described: Unpack[Description],
) -> Callable[[CommandHandler[BodyT]], Operation]:
    """Declare a POST. What its handler returns takes effect once for each ``Idempotency-Key``.

    ``tenant`` tells which merchant's key it is where the caller has no merchant; None: the call is about no merchant.
    """

    def declare(handler: CommandHandler[BodyT]) -> Operation:
        async def handle(request: ApiRequest) -> ASGIApp:
            read = await request.read_body(body)
            return await perform(await handler(request, read), request, read, tenant)

        operation = Operation(
            method="POST",
            path=path,
            handle=handle,
            body=body,
            parameters=NoParameters,
            honours_idempotency_key=True,
            **described,
        )
        return replace(
            operation,
            responses={status: _replayable(response) for status, response in operation.responses.items()},
            headers=[IDEMPOTENCY_KEY_HEADER, *operation.headers],
            errors=[*operation.errors, IdempotencyKeyReused, IdempotencyKeyInUse],
        )

    return declare


def exempt_post(
    path: str,
    *,
    body: type[BodyT],
    because: str,
    required_fields: RequiredFields | None = None,
    **described: Unpack[Description],
) -> Callable[[BodyHandler[BodyT]], Operation]:
    """Declare a POST that takes effect once in a way of its own, which ``because`` tells."""
    return lambda handler: _with_body(
        "POST", path, body, handler, required_fields=required_fields, exempt_because=because, **described
    )


def raw_post(
    path: str, *, raw_body: str, because: str, **described: Unpack[Description]
) -> Callable[[RawHandler], Operation]:
    """Declare a POST whose handler is given the bytes of the body; it takes effect once as ``because`` tells."""

    def declare(handler: RawHandler) -> Operation:
        async def handle(request: ApiRequest) -> ASGIApp:
            return await handler(request, await request.body())

        return Operation(
            method="POST", path=path, handle=handle, raw_body=raw_body, exempt_because=because, **described
        )

    return declare


def _with_body(
    method: str,
    path: str,
    body: type[BodyT],
    handler: BodyHandler[BodyT],
    *,
    required_fields: RequiredFields | None = None,
    exempt_because: str = "",
    **described: Unpack[Description],
) -> Operation:
    async def handle(request: ApiRequest) -> ASGIApp:
        required = required_fields(request) if required_fields else ()
        return await handler(request, await request.read_body(body, required=required))

    return Operation(
        method=method,
        path=path,
        handle=handle,
        body=body,
        parameters=NoParameters,
        exempt_because=exempt_because,
        **described,
    )


def _replayable(response: ResponseSpec) -> ResponseSpec:
    return replace(response, headers=list(dict.fromkeys([*response.headers, REPLAYED_HEADER])))
