"""The payment methods of a charge: HOSTED_PAGE, or a method of Mollie's by name, which opens its own page at once.

From the ``method`` of a payment in the OpenAPI specification (github.com/mollie/openapi) and from "Place a hold for a
payment" (docs.mollie.com/docs/place-a-hold-for-a-payment), read 2026-11.
"""

from typing import Final

from paidonce.providers.base import HOSTED_PAGE, WantedCharge
from paidonce.providers.decline_codes import PAYMENT_METHOD_NOT_SUPPORTED
from paidonce.providers.evidence import NotDone
from paidonce.providers.mollie.amounts import to_mollie

# The methods that need nothing but an amount and a description. Mollie's other methods want addresses or order lines
# (alma, bacs, billie, billink, in3, klarna, riverty, voucher), a mandate (directdebit) or a terminal (pointofsale). A
# buyer may still choose those that the merchant offers on the hosted page.
METHODS: Final = frozenset(
    {
        "applepay",
        "bancomatpay",
        "bancontact",
        "banktransfer",
        "belfius",
        "bizum",
        "blik",
        "creditcard",
        "eps",
        "giftcard",
        "ideal",
        "kbc",
        "mbway",
        "mobilepay",
        "multibanco",
        "mybank",
        "paybybank",
        "paypal",
        "paysafecard",
        "przelewy24",
        "satispay",
        "swish",
        "trustly",
        "twint",
        "vipps",
    }
)
CARD: Final = "creditcard"  # The method of an authorization: "Place a hold for a payment" (docs.mollie.com/docs).


def unsupported(charge: WantedCharge) -> str | None:
    """Return the decline code of a charge that Mollie cannot take; None where nothing speaks against it."""
    amount = to_mollie(charge.money)
    if isinstance(amount, NotDone):
        return amount.code
    known = METHODS if charge.capture else {CARD}
    is_known = charge.payment_method == HOSTED_PAGE or charge.payment_method in known
    return None if is_known else PAYMENT_METHOD_NOT_SUPPORTED
