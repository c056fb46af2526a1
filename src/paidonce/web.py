"""The web application: the API, and the pages for people."""

import asyncio
from typing import Final

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.buyer_pages.routes import buyer_routes
from paidonce.http.app import create_api
from paidonce.pages.assets import asset_routes
from paidonce.pages.templates import Templates
from paidonce.service import Service

DASHBOARD: Final = "paidonce.dashboard"


def create_web_app(service: Service) -> ASGIApp:
    """Make the application for a service that is open; any ASGI server can run it."""
    dashboard = Dashboard(service)
    paths = ("/dashboard", "/dashboard/{rest:path}") if service.settings.dashboard == "on" else ()
    return create_api(
        service,
        [
            *buyer_routes(service),
            *(Route(path, dashboard) for path in paths),
            *asset_routes(),
            *service.provider_pages,
        ],
    )


class Dashboard:
    """The dashboard. Its pages are imported when the first one is asked for, in a thread: neither a start nor payments
    wait for them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._router: Router | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        router = self._router or await self._load_once()
        await router(scope, receive, send)

    async def _load_once(self) -> Router:
        async with self._loading:
            if self._router is None:
                self._router = await asyncio.to_thread(self._load)
                await Templates(DASHBOARD).load()
            return self._router

    def _load(self) -> Router:
        from paidonce.dashboard.routes import dashboard_routes

        return Router(dashboard_routes(self._service), redirect_slashes=False)
