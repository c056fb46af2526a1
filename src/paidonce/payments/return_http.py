"""The call that a buyer's browser makes when a provider sends them back."""

from html import escape
from typing import Final

from starlette.responses import HTMLResponse, RedirectResponse, Response

from paidonce.checkouts.http import load_checkout
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.errors import CheckoutNotFound
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.providers.base import Redirect, decode_action

WAIT_SECONDS: Final = 5.0
PAID: Final = frozenset({CheckoutStatus.COMPLETED, CheckoutStatus.AUTHORIZED})
TEXTS: Final = {
    CheckoutStatus.PROCESSING: (
        "Your payment is being confirmed",
        "We are asking your bank. You are not charged twice. This page reloads by itself.",
    ),
    CheckoutStatus.COMPLETED: ("Thank you", "Your payment has arrived. You can close this page."),
    CheckoutStatus.AUTHORIZED: ("Thank you", "Your payment has been authorized. You can close this page."),
    CheckoutStatus.FAILED: ("Your payment was declined", "Nothing was charged. Please go back to the shop."),
    CheckoutStatus.CANCELED: ("The purchase was canceled", "Nothing was charged. Please go back to the shop."),
    CheckoutStatus.EXPIRED: ("The purchase has expired", "Nothing was charged. Please go back to the shop."),
}
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@get(
    "/return/{return_token}",
    operation_id="returnFromProvider",
    tag="Buyers",
    summary="Return from a provider's page",
    description="For the buyer's browser. The provider is asked for the outcome, and no query parameter is believed. "
    "Then the buyer is sent to `successUrl` or `cancelUrl`, or is shown a page where there is none.",
    responses={
        200: ResponseSpec(description="A page that shows the status.", media_type="text/html"),
        303: ResponseSpec(description="To `successUrl` or `cancelUrl`.", headers=["Location"]),
    },
    errors=[CheckoutNotFound],
)
async def return_from_provider(request: ApiRequest) -> Response:
    """Ask the provider for the outcome, wait for it a little, and send the buyer on."""
    service = request.service
    checkout_id = await service.worker.resume(request.path_value)
    if checkout_id is None:
        raise CheckoutNotFound
    before = await load_checkout(service, checkout_id)
    checkout = await service.settlement_waiters.settled(
        before,
        lambda: load_checkout(service, checkout_id),
        seconds=WAIT_SECONDS,
        until=lambda now: now.status != CheckoutStatus.PROCESSING or _has_been_looked_up(before, now),
    )
    if checkout.status == CheckoutStatus.PROCESSING:
        return _page(checkout)
    url = checkout.success_url if checkout.status in PAID else checkout.cancel_url
    return _page(checkout) if url is None else RedirectResponse(url, 303, HEADERS)


def _has_been_looked_up(before: Checkout, now: Checkout) -> bool:
    """Tell whether the provider was asked, and the buyer still has to act: they came back without paying."""
    assert before.attempt is not None, "a return URL belongs to an attempt"
    assert now.attempt is not None, "a checkout keeps its attempts"
    return now.awaits_buyer and now.attempt.lookup_count > before.attempt.lookup_count


def _page(checkout: Checkout) -> Response:
    title, text = TEXTS[CheckoutStatus(checkout.status)]
    link = ""
    if checkout.awaits_buyer:
        title, text = "Your payment is not complete", "You can continue it, or go back to the shop."
    refresh = '<meta http-equiv="refresh" content="2">' if checkout.awaits_provider else ""
    if checkout.awaits_buyer and checkout.attempt and checkout.attempt.action:
        action = decode_action(checkout.attempt.action)
        # Embedded fields are on the shop's page, which the buyer reaches by going back.
        link = f'<p><a href="{escape(action.url)}">Continue the payment</a></p>' if isinstance(action, Redirect) else ""
    if checkout.cancel_url and checkout.status not in PAID:
        link += f'<p><a href="{escape(checkout.cancel_url)}">Back to the shop</a></p>'
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>body{{font:1.1rem system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}"
        f"</style></head><body><h1>{title}</h1><p>{text}</p>{link}</body></html>",
        headers=HEADERS,
    )
