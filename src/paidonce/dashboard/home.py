"""The way in: leads a person to their first page."""

from starlette.responses import RedirectResponse, Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.context import prefix_in
from paidonce.merchants.model import Mode
from paidonce.users.model import Role


@page("", role=Role.VIEWER)
async def home(request: DashboardRequest) -> Response:
    """Lead an operator to the merchants, and everybody else to their merchant's overview."""
    if request.person.is_operator:
        return RedirectResponse(f"{request.dashboard_path}{paths.OPERATOR}/merchants", 303)
    path = paths.tenant_path(request.person.user.merchant_id, Mode.TEST)
    return RedirectResponse(prefix_in(request.http.scope) + path, 303)
