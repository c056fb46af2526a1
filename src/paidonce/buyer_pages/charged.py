"""What a buyer is told of money where a checkout is not paid."""

from paidonce.buyer_pages.state import UNPAID, state_of
from paidonce.buyer_pages.texts import NOTHING_CHARGED, PAID_BACK
from paidonce.checkouts.model import Checkout
from paidonce.payments.history import find_paid_back
from paidonce.service import Service


async def charged_text(service: Service, checkout: Checkout) -> str:
    """Return that nothing was charged; or that a charge is paid back, which was confirmed too late for the checkout.
    The buyer's bank shows both, and nobody else would tell why.
    """
    if checkout.attempt is None or state_of(checkout, service.clock()) not in UNPAID:
        return NOTHING_CHARGED
    return PAID_BACK if await service.reader.submit(find_paid_back, checkout) else NOTHING_CHARGED
