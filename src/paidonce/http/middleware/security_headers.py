"""Headers that protect the reader of every response."""

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce.http.context import Header

# A response is no page, is never shown inside another site's, and is kept by no cache: many hold what is secret.
PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class SecurityHeaders:
    """Adds the headers to every response; one that the response has of its own stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _protected(message["headers"])
            await send(message)

        await self._app(scope, receive, send_protected)


def _protected(headers: Sequence[Header]) -> list[Header]:
    present = {name for name, _ in headers}
    return [*headers, *(one for one in PROTECTION if one[0] not in present)]
