"""The address of one provider on this machine, served by a thread for all scenarios: a double, or what goes wrong."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeAlias, TypeVar

import httpx
import uvicorn
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.proving.processes import free_port
from tests.scenarios.providers.kits import SentWebhook

SECONDS_MAX: Final = 60.0
RELAY: Final = "/relayed/"
T = TypeVar("T")

Selection: TypeAlias = Callable[[Mapping[str, str]], bool]
"""Selects calls by their headers."""


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as a provider that knows nothing."""
    await Response("There is nothing here.", 404)(scope, receive, send)


class Silence:
    """Answers nothing for longer than any client waits. ``at_once_max`` is how many calls have waited at once."""

    def __init__(self) -> None:
        self.at_once_max = 0
        self._waiting = 0

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Wait until the client gives up."""
        self._waiting += 1
        self.at_once_max = max(self.at_once_max, self._waiting)
        try:
            while (await receive())["type"] != "http.disconnect":
                continue
        finally:
            self._waiting -= 1


async def _close_connections(server: uvicorn.Server) -> None:
    """Close the connections of calls that were never answered, which a server that stops leaves open."""
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # In the next turn of the loop they are closed.


def always(status: int, body: bytes, **headers: str) -> ASGIApp:
    """Answer every call with this response."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(body, status, fields)(scope, receive, send)

    return app


def everybody(_headers: Mapping[str, str]) -> bool:
    """Select all calls."""
    return True


class Relay:
    """Passes the webhooks of a double on to the service, or holds them until the test releases them.

    ``received`` has all of them, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_holding = False
        self.received: list[SentWebhook] = []


class ProviderAddress:
    """``app`` answers at ``url``, while there is no trouble. ``calls`` are those that the service has made."""

    def __init__(self) -> None:
        self.port = free_port()
        self.app: ASGIApp = nobody
        self._trouble: ASGIApp | None = None
        self._troubles: Selection = everybody
        self.calls: list[str] = []
        self.relays: dict[str, Relay] = {}
        self._http: httpx.AsyncClient | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: uvicorn.Server | None = None
        self._serving: Future[None] | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the event loop that serves."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS_MAX)

    def start(self) -> None:
        """Listen. Until then, and after ``stop``, connections are refused."""
        if not self._thread.is_alive():
            self._thread.start()
        listening = socket.create_server(("127.0.0.1", self.port))
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        serving = self._server.serve(sockets=[listening])
        self._serving = asyncio.run_coroutine_threadsafe(serving, self._loop)

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            self._serving.result(SECONDS_MAX)
            self.run(_close_connections(self._server))
        self._server = self._serving = None

    def close(self) -> None:
        """End the thread."""
        self.stop()
        if self._http is not None:
            self.run(self._http.aclose())
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(SECONDS_MAX)
        self._loop.close()

    def begin_trouble(self, trouble: ASGIApp, troubles: Selection = everybody) -> None:
        """Let ``trouble`` answer the service's calls whose headers ``troubles`` selects."""
        self._trouble, self._troubles = trouble, troubles

    def end_trouble(self) -> None:
        """Let ``app`` answer again."""
        self._trouble = None

    def relay(self, account_id: str, service_url: str) -> str:
        """Return the URL from which the webhooks of an account are passed on to the service."""
        self.relays.setdefault(account_id, Relay(service_url))
        return f"{self.url}{RELAY}{account_id}"

    def send(self, url: str, webhooks: Sequence[SentWebhook]) -> list[int]:
        """Send webhooks to the service one after the other; returns the status of each response."""
        return [self.run(self._pass_on(url, one)) for one in webhooks]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(RELAY):
            await (await self._relayed(Request(scope, receive)))(scope, receive, send)
            return
        headers = Headers(scope=scope)
        app = self.app
        if headers.get("user-agent", "").startswith("paidonce/"):
            self.calls.append(f"{scope['method']} {path}")
            if self._trouble is not None and self._troubles(headers):
                app = self._trouble
        await app(scope, receive, send)

    async def _relayed(self, request: Request) -> Response:
        relay = self.relays[request.url.path.removeprefix(RELAY)]
        dropped = {"host", "content-length", "connection", "accept-encoding", "user-agent"}
        headers = {name: value for name, value in request.headers.items() if name not in dropped}
        webhook = SentWebhook(headers, await request.body())
        relay.received.append(webhook)
        if relay.is_holding:
            return Response(status_code=200)
        return Response(status_code=await self._pass_on(relay.url, webhook))

    async def _pass_on(self, url: str, webhook: SentWebhook) -> int:
        if self._http is None:
            self._http = httpx.AsyncClient(verify=False, timeout=SECONDS_MAX)
        try:
            return (await self._http.post(url, content=webhook.body, headers=dict(webhook.headers))).status_code
        except httpx.TransportError:
            return 503
