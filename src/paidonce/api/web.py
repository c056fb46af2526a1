"""The web application: our calls, for a running service."""

from paidonce.api.admission import admit_to
from paidonce.api.problems import answer_error
from paidonce.api.routes import ROUTES
from paidonce.service import Service
from paidonce.web.application import Application


def create_web_app(service: Service) -> Application:
    """Make the ASGI application for a running service."""
    return Application(ROUTES, service, admit=admit_to(service), answer_error=answer_error)
