"""What is known of a request beside what Starlette's Request holds: one typed object, kept in the request's scope."""

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.types import Scope

from paidonce.merchants.model import UNAUTHENTICATED, Caller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paidonce.http.operation import Operation
    from paidonce.http.rate_limits import RateLimitState

Header: TypeAlias = tuple[bytes, bytes]

CONTEXT: Final = "paidonce.context"


class RequestContext(msgspec.Struct, kw_only=True):
    """``id`` names the request, ``address`` is the client's, empty where none is known, ``caller`` is who makes it,
    ``rate_limit`` what the rate limiter notes of it. ``operations`` is the table in which it is looked up,
    ``has_begun`` tells whether a response is being sent.
    """

    id: str
    operations: "Sequence[Operation]"
    address: str = ""
    caller: Caller = UNAUTHENTICATED
    rate_limit: "RateLimitState | None" = None
    has_begun: bool = False


def context_of(request: Request) -> RequestContext:
    """Return the context of a request."""
    return context_in(request.scope)


def context_in(scope: Scope) -> RequestContext:
    """Return the context of the request that has this scope."""
    context: RequestContext = scope[CONTEXT]
    return context


def path_in(scope: Scope) -> str:
    """Return the decoded path, without the prefix under which the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(prefix_in(scope))


def raw_path_in(scope: Scope) -> bytes:
    """Return the path as it was sent, without the prefix under which the application is mounted."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # ASGI lets servers leave it out.
        raw = quote(scope["path"]).encode()
    prefix = prefix_in(scope)
    return raw.removeprefix(quote(prefix).encode()) if prefix else raw


def prefix_in(scope: Scope) -> str:
    """Return the prefix under which the application is mounted; empty where it is not."""
    prefix: str = scope.get("root_path", "")
    return prefix.rstrip("/")
