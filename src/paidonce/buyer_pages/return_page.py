"""What a buyer sees who comes back from a provider, where the checkout has no page of its own."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from paidonce.buyer_pages.state import BuyerState, is_web_address, provider_url, state_of
from paidonce.buyer_pages.texts import NOTHING_CHARGED, mark
from paidonce.buyer_pages.view import TEMPLATES, language_of, language_values, plain_headers
from paidonce.checkouts.model import Checkout
from paidonce.clock import Instant

DECLINED: Final = mark("The payment was declined")
# The heading for each state, and the sentences below it.
TEXTS: Final = {
    BuyerState.PAYABLE: (DECLINED, [NOTHING_CHARGED]),
    BuyerState.EXHAUSTED: (
        DECLINED,
        [NOTHING_CHARGED, mark("There are no attempts left. To try again, start the purchase anew in the shop.")],
    ),
    BuyerState.WAITING: (
        mark("Your payment is being confirmed"),
        [mark("We are asking your bank. You are not charged twice.")],
    ),
    BuyerState.ACTION: (
        mark("Your payment is not complete"),
        [mark("You have not finished the payment. Nothing was charged so far.")],
    ),
    BuyerState.IN_SHOP: (
        mark("Your payment goes on in the shop"),
        [mark("You have begun to pay on the shop's own page. Please finish the payment there.")],
    ),
    BuyerState.PAID: (mark("Thank you, your payment has arrived"), [mark("You can close this page.")]),
    BuyerState.CANCELED: (mark("The purchase was canceled"), [NOTHING_CHARGED]),
    BuyerState.EXPIRED: (
        mark("The time to pay is over"),
        [NOTHING_CHARGED, mark("To buy, start the purchase anew in the shop.")],
    ),
}


def return_page(request: Request, checkout: Checkout, charged: str, now: Instant) -> Response:
    """Tell a buyer who has come back where their payment stands; ``charged`` stands for that nothing was charged."""
    state = state_of(checkout, now)
    title, texts = TEXTS[state]
    shop_url = None if state is BuyerState.PAID else checkout.cancel_url
    values = {
        **language_values(language_of(request)),
        "title": title,
        "texts": [charged if one == NOTHING_CHARGED else one for one in texts],
        "is_waiting": state is BuyerState.WAITING,
        "provider_url": provider_url(checkout),
        "shop_url": shop_url if is_web_address(shop_url) else None,
    }
    return TEMPLATES.respond(request, "return.html", values, headers=plain_headers())
