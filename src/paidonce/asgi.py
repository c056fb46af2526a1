"""The service as an ASGI application, for any ASGI server, and for mounting in another application.

``uvicorn --factory paidonce.asgi:create_app`` serves it. ``paidonce serve`` runs it with a separate writer process and
with all limits that docs/http.md lists.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.app import open_service
from paidonce.cli.logs import configure_logs
from paidonce.settings import Settings, is_loopback, load_settings
from paidonce.web import open_web_app


class ServiceApp:
    """An ASGI application that opens the service when its server starts, and closes it when the server stops.

    Where it is mounted in another application, that application must enter ``lifespan`` in its own lifespan, because a
    server signals its start only to the outermost application.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._web_app: ASGIApp | None = None
        self._router = Router(default=self._answer, lifespan=self.lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or a lifespan event of the server."""
        await self._router(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Open the service with its worker; on leaving, close it. Writes go to a thread, because nothing is forked
        here.

        Raises what ``open_service`` raises.
        """
        async with open_service(self._settings, with_worker=True) as service, open_web_app(service) as web_app:
            self._web_app = web_app
            try:
                yield
            finally:
                self._web_app = None
                service.drain()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._web_app is None:
            message = (
                "The service is not open: run the server with lifespan on, or enter `lifespan` where it is mounted"
            )
            raise RuntimeError(message)
        if scope["type"] == "http" and self._settings.auth == "off" and not _is_local(scope):
            refusal = "Without keys this service answers only on loopback addresses: set PAIDONCE_AUTH=keys.\n"
            await PlainTextResponse(refusal, 403)(scope, receive, send)
            return
        await self._web_app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    """Return whether a request arrived at a loopback address or a Unix socket."""
    server = scope.get("server")
    return server is None or is_loopback(server[0])


def create_app(settings: Settings | None = None) -> ServiceApp:
    """Create the application. Without ``settings``, they are read from the environment and from .env. Raises
    InvalidSettings.

    The database must be migrated (``paidonce db upgrade``).
    """
    if settings is None:
        settings = load_settings(os.environ, Path(".env"))
        configure_logs(settings)
    return ServiceApp(settings)
