"""The calls that pay a checkout, capture what is authorized, and cancel."""

from functools import partial
from typing import Final

from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.http import checkout_tenant, load_checkout, respond_when_settled, show_checkout
from paidonce.checkouts.model import CheckoutStatus, ProviderRoute
from paidonce.checkouts.schemas import CheckoutResponse
from paidonce.errors import (
    AmountExceedsCapturable,
    AmountNotSupported,
    AttemptsExhausted,
    CheckoutExpired,
    CheckoutNotFound,
    CurrencyNotSupported,
    FieldError,
    InvalidRequest,
    InvalidState,
    PaymentInProgress,
    PaymentMethodNotSupported,
    ProviderAccountDisabled,
    ProviderAccountNotFound,
    ProviderAccountWrongMode,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.operation import ResponseSpec, post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Scope
from paidonce.payments.capture import StartCancel, StartCapture, start_cancels, start_captures
from paidonce.payments.pay import Repeated, Started, StartPayment, start_payments
from paidonce.payments.providers import WantedRoute, default_payment_method
from paidonce.payments.schemas import (
    CancelBody,
    CaptureBody,
    PayBody,
)
from paidonce.payments.starting import start_payment

IN_PROGRESS: Final = ResponseSpec(
    description="In progress, or how it ended while the client waited.",
    schema=CheckoutResponse,
    headers=["Location", "Retry-After", "Preference-Applied"],
)


@post(
    "/checkouts/{checkout_id}/pay",
    operation_id="payCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    tenant=checkout_tenant,
    summary="Pay a checkout",
    description="Asynchronous: the response shows PROCESSING, and only evidence from the provider ends that. The same "
    "call again is answered with the same attempt, never with a second charge. Unless one `account` is named, a "
    "payment that is proven not to have begun with one account continues with the merchant's next, or with the next of "
    "`accounts`.",
    body=PayBody,
    body_example={"paymentMethod": "tok_success"},
    headers=["Prefer"],
    responses={202: IN_PROGRESS},
    errors=[
        CheckoutNotFound,
        PaymentInProgress,
        InvalidState,
        AttemptsExhausted,
        CheckoutExpired,
        ProviderAccountNotFound,
        ProviderAccountDisabled,
        ProviderAccountWrongMode,
        CurrencyNotSupported,
        AmountNotSupported,
        PaymentMethodNotSupported,
    ],
)
async def pay_checkout(request: ApiRequest, body: PayBody) -> Command[StartPayment, Started | Repeated]:
    """Start a payment, or return the one that is in progress."""
    providers = request.service.payment_providers
    if body.provider is not None and body.provider not in providers.names:
        detail = f"There is no provider {body.provider}; there is {', '.join(providers.names)}."
        raise InvalidRequest([FieldError("/provider", "unknown_value", detail)])
    if body.account is not None and body.accounts is not None:
        detail = "Give account or accounts, not both."
        raise InvalidRequest([FieldError("/accounts", "contradiction", detail)])
    wanted = WantedRoute(
        provider=body.provider,
        account_ids=tuple(body.accounts or () if body.account is None else (body.account,)),
        payment_method=body.payment_method,
    )
    chosen = await providers.choose(
        partial(load_checkout, request.service, request.resource), request.caller.mode, wanted
    )
    return Command(
        action=start_payments,
        params=start_payment(
            chosen,
            request.resource,
            body.payment_method or default_payment_method(chosen.route),
            new_return_url=request.new_return_url,
            origin=request.origin,
        ),
        summarize=summarize_attempt,
        respond=lambda outcome: _respond_started(request, outcome),
        respond_again=lambda _repeat: _respond_again(request),
        route=chosen.route,
    )


@post(
    "/checkouts/{checkout_id}/capture",
    operation_id="captureCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    tenant=checkout_tenant,
    summary="Capture an authorized amount",
    description="Asynchronous: the checkout goes through PROCESSING to COMPLETED, or back to AUTHORIZED where the "
    "provider declines. The part that is not captured is released.",
    body=CaptureBody,
    body_example={"amount": 800},
    headers=["Prefer"],
    responses={202: IN_PROGRESS},
    errors=[CheckoutNotFound, InvalidState, PaymentInProgress, CheckoutExpired, AmountExceedsCapturable],
)
async def capture_checkout(request: ApiRequest, body: CaptureBody) -> Command[StartCapture, Started | Repeated]:
    """Capture the authorized amount, or a part of it."""
    return Command(
        action=start_captures,
        params=StartCapture(
            attempt_id=ids.new_id(ids.ATTEMPT), checkout=request.resource, amount=body.amount, origin=request.origin
        ),
        summarize=summarize_attempt,
        respond=lambda outcome: _respond_started(request, outcome),
        respond_again=lambda _repeat: _respond_again(request),
        route=await route_of(request),
    )


@post(
    "/checkouts/{checkout_id}/cancel",
    operation_id="cancelCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    tenant=checkout_tenant,
    summary="Cancel a checkout",
    description="A canceled checkout stays canceled, and canceling it again gives the same response. An authorized "
    "amount is voided first: 202, and CANCELED when the provider has proven that.",
    body=CancelBody,
    responses={
        200: ResponseSpec(description="Canceled: nothing is charged.", schema=CheckoutResponse),
        202: ResponseSpec(
            description="The authorization is being voided.", schema=CheckoutResponse, headers=["Retry-After"]
        ),
    },
    errors=[CheckoutNotFound, InvalidState, CheckoutExpired],
)
async def cancel_checkout(request: ApiRequest, _body: CancelBody) -> Command[StartCancel, Started | Repeated]:
    """Cancel a checkout that nobody has paid, or void its authorization."""

    async def respond(outcome: Started | Repeated) -> Response:
        is_canceled = outcome.checkout.status == CheckoutStatus.CANCELED
        return _respond_to_cancel(await show_checkout(request, outcome.checkout), 200 if is_canceled else 202)

    async def respond_again(repeat: Repeat) -> Response:
        checkout = await load_checkout(request.service, request.resource)
        return _respond_to_cancel(await show_checkout(request, checkout), repeat.record.status or 200)

    return Command(
        action=start_cancels,
        params=StartCancel(attempt_id=ids.new_id(ids.ATTEMPT), checkout=request.resource, origin=request.origin),
        summarize=summarize_cancel,
        respond=respond,
        respond_again=respond_again,
        route=await route_of(request),
    )


def summarize_attempt(_params: object, outcome: Started | Repeated) -> StoredResponse:
    """Store of a pay or a capture which attempt it began, or found in progress."""
    assert outcome.checkout.attempt is not None, "what is in progress has an attempt"
    return StoredResponse(202, f"/checkouts/{outcome.checkout.id}", outcome.checkout.attempt.id)


def summarize_cancel(_params: object, outcome: Started | Repeated) -> StoredResponse:
    """Store of a cancel whether it was done at once, and else which attempt voids the authorization."""
    if outcome.checkout.status == CheckoutStatus.CANCELED:
        return StoredResponse(200, f"/checkouts/{outcome.checkout.id}")
    return summarize_attempt(_params, outcome)


async def _respond_started(request: ApiRequest, outcome: Started | Repeated) -> Response:
    """Respond to a call that began something at the provider, or that found it begun."""
    headers = _in_progress(outcome.checkout.id)
    if not isinstance(outcome, Started):
        headers["Idempotent-Replayed"] = "true"
    owned_locally = isinstance(outcome, Started) and outcome.is_owned_locally
    return await respond_when_settled(request, outcome.checkout, 202, headers, owned_locally=owned_locally)


async def _respond_again(request: ApiRequest) -> Response:
    checkout = await load_checkout(request.service, request.resource)
    return await respond_when_settled(request, checkout, 202, _in_progress(checkout.id))


def _in_progress(checkout_id: str) -> dict[str, str]:
    return {"Location": f"/checkouts/{checkout_id}", "Retry-After": "1"}


def _respond_to_cancel(checkout: CheckoutResponse, status: int) -> Response:
    return json_response(checkout, status, {"Retry-After": "1"} if status == 202 else {})  # noqa: PLR2004 - its own name


async def route_of(request: ApiRequest) -> ProviderRoute:
    """Name the provider that has a checkout's money; empty where none has. Raises CheckoutNotFound."""
    checkout = await load_checkout(request.service, request.resource)
    return ProviderRoute("") if checkout.attempt is None else checkout.attempt.route
