"""The merchants of this service, for operators."""

from typing import ClassVar, Final

from starlette.responses import Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.context import prefix_in
from paidonce.http.fields import Fields
from paidonce.http.formats import MerchantId
from paidonce.merchants import http as merchants_http
from paidonce.merchants.actions import MerchantFilter, list_merchants
from paidonce.merchants.model import Mode
from paidonce.merchants.schemas import MerchantResponse, merchant_response
from paidonce.users.model import Role

PAGE_LENGTH: Final = 50


class MerchantsParameters(Fields, frozen=True, kw_only=True):
    """Which merchants to show: those whose ids begin with ``prefix``, after one of them."""

    prefix: MerchantId | None = None
    after: MerchantId | None = None


class MerchantForm(Form, frozen=True, kw_only=True):
    """A merchant to create."""

    audited: ClassVar = ("id",)

    id: str


@page("/operator/merchants", role=Role.OPERATOR)
async def merchants(request: DashboardRequest) -> Response:
    """Show merchants in the order of their ids, each with its pages."""
    parameters = MerchantsParameters() if request.received else request.parameters(MerchantsParameters)
    wanted = MerchantFilter(PAGE_LENGTH, parameters.after or "", parameters.prefix or "")
    found, has_more = await request.service.reader.submit(list_merchants, wanted)
    base = prefix_in(request.http.scope)
    values = {
        "merchants": [merchant_response(one) for one in found],
        "modes": [one.value for one in Mode],
        "path_of": lambda merchant_id, mode: base + paths.tenant_path(merchant_id, mode),
        "starts_with": parameters.prefix or "",
        "last": found[-1].id if has_more else "",
        "path": f"{request.dashboard_path}/operator/merchants",
    }
    return request.page("merchants.html", values, title="Merchants")


@action("/operator/merchants", role=Role.OPERATOR, form=MerchantForm, shows=merchants)
async def create_merchant(request: DashboardRequest, form: MerchantForm) -> Response:
    """Create a merchant; one that exists stays as it is."""
    made = await run_operation(request, merchants_http.create_merchant, body={"id": form.id})
    assert isinstance(made, MerchantResponse)
    path = prefix_in(request.http.scope) + paths.tenant_path(made.id, Mode.TEST)
    return request.done(f"{path}/keys", f"The merchant {made.id} exists. Create its first API key here.")
