"""The web application: our calls, for a running service."""

from paidonce.api.admission import admit_to
from paidonce.api.front import protect, refuse_other_spellings
from paidonce.api.limits import limits_of
from paidonce.api.problems import answer_error
from paidonce.api.routes import ROUTES
from paidonce.api.service import render_pages
from paidonce.redaction import holds_secret
from paidonce.service import Service
from paidonce.web.application import Application


def create_web_app(service: Service) -> Application:
    """Make the application for a running service."""
    render_pages(ROUTES)
    limits = limits_of(service.settings)
    return Application(
        ROUTES,
        service,
        check_path=refuse_other_spellings,
        admit=admit_to(service, limits),
        finish=protect,
        answer_error=answer_error,
        gate=limits,
        # A client's id goes into the log and the events.
        refuse_id=holds_secret,
    )
