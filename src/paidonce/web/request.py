"""One request, read only as far as its handler asks for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from paidonce.errors import BodyTooLarge
from paidonce.web.asgi import Receive, Scope

if TYPE_CHECKING:
    from paidonce.web.routing import Route

BODY_BYTES_MAX: Final = 64 * 1024


class ClientDisconnected(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


class Request:
    """A request. ``id`` names the exchange, ``routes`` is the table that it was found in, ``caller`` is who makes it,
    and ``visit`` what a gate notes of it.
    """

    __slots__ = ("_headers", "_receive", "caller", "id", "routes", "scope", "visit")

    def __init__(self, scope: Scope, receive: Receive, *, request_id: str, routes: "Sequence[Route]") -> None:
        self.scope = scope
        self.id = request_id
        self.routes = routes
        self.caller: object = None
        self.visit: object = None
        self._receive = receive
        self._headers: dict[bytes, bytes] | None = None

    @property
    def method(self) -> str:
        """Its method, in upper case."""
        method: str = self.scope["method"]
        return method

    @property
    def path(self) -> str:
        """Its path, decoded."""
        path: str = self.scope["path"]
        return path

    @property
    def base_url(self) -> str:
        """Where the client found the service: scheme and host."""
        return f"{self.scope['scheme']}://{self.header('host') or 'localhost'}"

    @property
    def headers(self) -> dict[str, str]:
        """All its headers, by lower-case name."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope["headers"]}

    def header(self, name: str) -> str | None:
        """Read a header by its lower-case name."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Its query parameters, in their order, also those that are empty or come twice."""
        return parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    async def body(self) -> bytes:
        """Read the body; raises BodyTooLarge before more than BODY_BYTES_MAX is kept, or ClientDisconnected."""
        declared = self.header("content-length")
        if declared is not None and int(declared) > BODY_BYTES_MAX:
            raise BodyTooLarge("A body may have 64 KiB at the most.")
        body: bytes = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            body += message.get("body", b"")
            if len(body) > BODY_BYTES_MAX:
                raise BodyTooLarge("A body may have 64 KiB at the most.")
            if not message.get("more_body", False):
                return body

    async def disconnected(self) -> None:
        """Wait until the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
