"""The context of a request, and its id: the client's own where it is well formed, else a new one."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce import ids
from paidonce.http.context import CONTEXT, RequestContext
from paidonce.http.middleware.security_headers import with_security_headers
from paidonce.http.operation import Operation
from paidonce.redaction import holds_secret

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


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
                headers = with_security_headers(message["headers"])
                headers.append((b"x-request-id", context.id.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            given: str = value.decode()
            # A client's id goes into the log and the events.
            if not holds_secret(given):
                return given
    return ids.new_id(ids.REQUEST)
