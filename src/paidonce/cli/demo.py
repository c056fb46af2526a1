"""A checkout to try the service with: ``paidonce dev --demo`` links to its page."""

from typing import Final

from paidonce import ids
from paidonce.checkouts.actions import Created, Replayed, create_checkouts
from paidonce.checkouts.list_store import CheckoutFilter
from paidonce.checkouts.listing import list_checkouts
from paidonce.checkouts.model import Checkout, CheckoutStatus, NewCheckout
from paidonce.merchants.model import Mode, TenantFilter
from paidonce.service import Service

MERCHANT: Final = "demo"
AMOUNT: Final = 4200
CURRENCY: Final = "EUR"
DESCRIPTION: Final = "Two tickets for tonight"
NEWEST: Final = 10  # Of the merchant's checkouts, so many are looked at for one that is not paid yet.


async def demo_checkout(service: Service) -> Checkout:
    """Return a checkout of the merchant ``demo`` that can be paid: one from an earlier start, or a new one."""
    wanted = CheckoutFilter(
        limit=NEWEST, tenant=TenantFilter(MERCHANT, Mode.TEST.value), status=CheckoutStatus.PENDING.value
    )
    unpaid, _ = await list_checkouts(service.reader, wanted)
    if unpaid:
        return unpaid[0]
    checkout_id = ids.new_id(ids.CHECKOUT)
    new = NewCheckout(
        id=checkout_id,
        merchant_id=MERCHANT,
        idempotency_key=checkout_id,
        amount=AMOUNT,
        currency=CURRENCY,
        description=DESCRIPTION,
    )
    outcome: Created | Replayed = await service.writer.submit(create_checkouts, new)
    return outcome.checkout
