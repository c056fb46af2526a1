"""The web application: the API, and the pages for people."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.buyer_pages.errors import error_page as buyer_error_page
from paidonce.buyer_pages.routes import buyer_routes
from paidonce.buyer_pages.view import TEMPLATES as BUYER_TEMPLATES, style
from paidonce.http.app import create_api
from paidonce.http.context import path_in
from paidonce.http.problems import explain, problem_response
from paidonce.pages.assets import asset_routes, load_assets
from paidonce.pages.errors import error_page, wants_page
from paidonce.pages.templates import SHARED, Templates
from paidonce.service import Service

log = structlog.get_logger()

DASHBOARD: Final = "paidonce.dashboard"
DASHBOARD_PATHS: Final = ("/dashboard", "/dashboard/{rest:path}")
PAGES: Final = re.compile(r"/(pay|return|dashboard)(?:/|\Z)")  # The paths that people open in a browser.
PRELOAD_SECONDS: Final = 5.0  # After the start, so that a new process answers what has waited for it first.
PRELOAD_SECONDS_DEV: Final = 0.2  # Somebody is about to open the links that `paidonce dev` prints.


class WebApp:
    """The application for a service that is open; any ASGI server can run it."""

    def __init__(self, service: Service) -> None:
        self._dashboard = Dashboard(service) if service.settings.dashboard == "on" else None
        dashboard = self._dashboard
        self._app: ASGIApp = create_api(
            service,
            [
                *buyer_routes(service),
                *(Route(path, dashboard) for path in DASHBOARD_PATHS if dashboard is not None),
                *asset_routes(),
                *service.provider_pages,
            ],
            respond_to_error,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    async def preload(self, *, after_seconds: float) -> None:
        """Load the pages, a moment after the start. An error is logged; requests for a page meet it again."""
        await asyncio.sleep(after_seconds)
        try:
            await Templates(SHARED).load()
            await asyncio.to_thread(load_assets)
            await BUYER_TEMPLATES.load()
            await asyncio.to_thread(style, None)
            if self._dashboard is not None:
                await self._dashboard.load()
        except Exception as error:
            log.exception("pages_not_loaded", exc_info=error)
        else:
            log.debug("pages_loaded")


@asynccontextmanager
async def open_web_app(service: Service, *, preload_after_seconds: float = PRELOAD_SECONDS) -> AsyncIterator[WebApp]:
    """Make the application for a service that is open, and load its pages in the background."""
    web_app = WebApp(service)
    preloading = asyncio.create_task(web_app.preload(after_seconds=preload_after_seconds))
    try:
        yield web_app
    finally:
        preloading.cancel()


def respond_to_error(error: Exception, scope: Scope) -> Response:
    """Turn an error into a problem; or into a page, where a browser asks for one under the path of a page."""
    pages = PAGES.match(path_in(scope))
    if pages is None:
        return problem_response(error, scope)
    fact, _ = explain(error, scope)
    request, problem = Request(scope), problem_response(fact, scope)
    if not wants_page(request):
        return problem
    return error_page(request, fact, problem) if pages[1] == "dashboard" else buyer_error_page(request, problem)


class Dashboard:
    """The dashboard. Its pages are imported a moment after the start, or when the first one is asked for, in a thread:
    neither a start nor payments wait for them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._router: Router | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        router = self._router or await self.load()
        await router(scope, receive, send)

    async def load(self) -> Router:
        """Import the pages and load their templates, once."""
        async with self._loading:
            if self._router is None:
                router = await asyncio.to_thread(self._import)
                await Templates(DASHBOARD).load()
                self._router = router
            return self._router

    def _import(self) -> Router:
        from paidonce.dashboard.routes import dashboard_routes

        return Router(dashboard_routes(self._service), redirect_slashes=False)
