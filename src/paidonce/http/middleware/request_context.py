"""The context of a request with its id, and the headers that every response has."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce import ids
from paidonce.http.context import CONTEXT, Header, RequestContext
from paidonce.http.operation import Operation
from paidonce.redaction import holds_secret

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# A response is no page, is never shown inside another site's, and is kept by no cache: many hold what is secret.
PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class RequestContexts:
    """Gives each request its context, and each response the headers that all have: the request's id, and protection."""

    def __init__(self, app: ASGIApp, operations: Sequence[Operation]) -> None:
        self._app = app
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        client = scope.get("client")
        context = RequestContext(
            id=_request_id(scope), operations=self._operations, address=client[0] if client else ""
        )
        scope[CONTEXT] = context

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.has_begun = True
                headers = _protected(message["headers"])
                headers.append((b"x-request-id", context.id.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_id)


def _protected(headers: Iterable[Header]) -> list[Header]:
    """Add the headers that protect the reader of a response; one that the response has of its own stays."""
    present = {name for name, _ in headers}
    return [*headers, *(one for one in PROTECTION if one[0] not in present)]


def _request_id(scope: Scope) -> str:
    """Return the client's own id where it is well formed, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            given: str = value.decode()
            # A client's id goes into the log and the events.
            if not holds_secret(given):
                return given
    return ids.new_id(ids.REQUEST)
