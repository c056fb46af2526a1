"""The web application: the API, and the pages for people."""

from starlette.types import ASGIApp

from paidonce.buyer_pages.routes import buyer_routes
from paidonce.dashboard.routes import dashboard_routes
from paidonce.http.app import create_api
from paidonce.pages.assets import asset_routes
from paidonce.service import Service


def create_web_app(service: Service) -> ASGIApp:
    """Make the application for a service that is open; any ASGI server can run it."""
    dashboard = dashboard_routes(service) if service.settings.dashboard == "on" else []
    return create_api(service, [*buyer_routes(service), *dashboard, *asset_routes(), *service.provider_pages])
