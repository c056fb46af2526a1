"""The start page: leads a person to the first page that they may see."""

from starlette.responses import RedirectResponse, Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.navigation import OPERATOR
from paidonce.dashboard.request import DashboardRequest
from paidonce.events.actions import load_newest_sequences
from paidonce.http.context import prefix_in
from paidonce.merchants.model import Mode, Tenant
from paidonce.users.model import Role


@page("", role=Role.VIEWER)
async def home(request: DashboardRequest) -> Response:
    """Lead an operator to the first of their pages, and everybody else to their merchant's overview: of the live mode,
    once something has happened there.
    """
    if request.person.is_operator:
        first = next(one.path for one in OPERATOR if f"{paths.OPERATOR}{one.path}" in request.declared)
        return RedirectResponse(f"{request.dashboard_path}{paths.OPERATOR}{first}", 303)
    merchant_id = request.person.user.merchant_id
    newest = await request.service.reader.submit(load_newest_sequences, Tenant(merchant_id, Mode.LIVE))
    path = paths.tenant_path(merchant_id, Mode.LIVE if newest else Mode.TEST)
    return RedirectResponse(prefix_in(request.http.scope) + path, 303)
