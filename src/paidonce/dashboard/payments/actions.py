"""What people do about a payment: capture, cancel or void, and refund. Each runs the same call of the API."""

from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta
from starlette.responses import Response

from paidonce.checkouts.http import load_checkout
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.dashboard.declarations import action
from paidonce.dashboard.forms import Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.payments import detail
from paidonce.dashboard.payments.texts import amount_text, read_amount
from paidonce.dashboard.request import DashboardRequest
from paidonce.http.formats import Text
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.http import cancel_checkout, capture_checkout
from paidonce.payments.refunds_http import create_refund
from paidonce.users.model import Role

TypedAmount = Annotated[str, Meta(max_length=60)]

CANCELED: Final = "The payment was canceled."
VOIDING: Final = "The authorization is being voided."


class CaptureForm(Form, frozen=True, kw_only=True):
    """How much to capture, as a person writes it; all that is authorized where it is left empty."""

    audited: ClassVar = ("amount",)

    amount: TypedAmount | None = None


class RefundForm(Form, frozen=True, kw_only=True):
    """How much to refund, as a person writes it, and why; all that is left where it is left empty."""

    audited: ClassVar = ("amount", "reason")

    amount: TypedAmount | None = None
    reason: Text | None = None


class CancelForm(Form, frozen=True, kw_only=True):
    """There is nothing to fill in."""


@action(f"{detail.PATH}/capture", role=Role.REFUNDS, form=CaptureForm, shows=detail.show_payment)
async def capture_payment(request: DashboardRequest, form: CaptureForm) -> Response:
    """Capture an authorized amount, or a part of it."""
    checkout = await _checkout(request)
    body = _amount(form.amount, checkout)
    await run_operation(request, capture_checkout, path_value=checkout.id, body=body)
    return _done(
        request, f"The capture of {amount_text(body.get('amount', checkout.amount), checkout.currency)} began."
    )


@action(f"{detail.PATH}/cancel", role=Role.REFUNDS, form=CancelForm, shows=detail.show_payment)
async def cancel_payment(request: DashboardRequest, _form: CancelForm) -> Response:
    """Cancel a payment that nobody has paid, or void its authorization."""
    checkout_id = request.path_values["checkout_id"]
    shown = await run_operation(request, cancel_checkout, path_value=checkout_id, body={})
    return _done(request, CANCELED if shown.status == CheckoutStatus.CANCELED else VOIDING)


@action(f"{detail.PATH}/refund", role=Role.REFUNDS, form=RefundForm, shows=detail.show_payment)
async def refund_payment(request: DashboardRequest, form: RefundForm) -> Response:
    """Refund what was captured, or a part of it."""
    checkout = await _checkout(request)
    body = _amount(form.amount, checkout)
    if form.reason is not None:
        body["reason"] = form.reason
    refund = await run_operation(request, create_refund, path_value=checkout.id, body=body)
    return _done(request, f"The refund of {amount_text(refund.amount, refund.currency)} began.")


async def _checkout(request: DashboardRequest) -> Checkout:
    """Load the checkout that the path names; its currency says how an amount is read. Raises CheckoutNotFound."""
    tenant = request.tenant
    name = TenantScopedId(request.path_values["checkout_id"], tenant.merchant_id, tenant.mode)
    return await load_checkout(request.service, name)


def _amount(typed: str | None, checkout: Checkout) -> dict[str, Any]:
    return {} if typed is None else {"amount": read_amount(typed, checkout.currency)}


def _done(request: DashboardRequest, message: str) -> Response:
    return request.done(f"{request.tenant_path}/payments/{request.path_values['checkout_id']}", message)
