"""The call that a buyer's browser makes when a provider sends them back."""

from typing import Final

from starlette.responses import RedirectResponse, Response

from paidonce.buyer_pages.charged import charged_text
from paidonce.buyer_pages.return_page import return_page
from paidonce.buyer_pages.state import PAID
from paidonce.checkouts.http import checkout_page_path, load_checkout
from paidonce.checkouts.model import PAYABLE, Checkout, CheckoutStatus
from paidonce.errors import CheckoutNotFound
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.pages.languages import in_language_of

WAIT_SECONDS: Final = 5.0


@get(
    "/return/{return_token}",
    operation_id="returnFromProvider",
    tag="Buyers",
    summary="Return from a provider's page",
    description="For the buyer's browser. The provider is asked for the outcome, and no query parameter is believed; "
    "`lang` names the language of the page that is shown. "
    "A buyer who has paid is sent to `successUrl`, and one who can pay no more to `cancelUrl`. Everybody else is sent "
    "to the checkout's page, also where there is no such URL. Where that page is switched off, a buyer who was "
    "declined is sent to `cancelUrl`, and the others are shown the status.",
    responses={
        200: ResponseSpec(description="The status, where the checkout has no page.", media_type="text/html"),
        303: ResponseSpec(description="To `successUrl`, `cancelUrl` or the checkout's page.", headers=["Location"]),
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
    page_path = await checkout_page_path(service, checkout)
    url = checkout.success_url if checkout.status in PAID else checkout.cancel_url
    may_be_paid = checkout.status == CheckoutStatus.PROCESSING or (checkout.status in PAYABLE and page_path is not None)
    if may_be_paid or url is None:
        if page_path is None:
            return return_page(request.http, checkout, await charged_text(service, checkout), service.clock())
        url = in_language_of(page_path, request.http.query_params)
    return RedirectResponse(url, 303, {"Referrer-Policy": "no-referrer"})


def _has_been_looked_up(before: Checkout, now: Checkout) -> bool:
    """Tell whether the provider was asked, and the buyer still has to act: they came back without paying."""
    assert before.attempt is not None, "a return URL belongs to an attempt"
    assert now.attempt is not None, "a checkout keeps its attempts"
    return now.awaits_buyer and now.attempt.lookup_count > before.attempt.lookup_count
