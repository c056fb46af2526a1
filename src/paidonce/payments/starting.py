"""What is committed to start a payment where it was chosen to be sent: by API, or on the buyer's page."""

from collections.abc import Callable

from paidonce import ids
from paidonce.events.model import Origin
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.model import Fallback
from paidonce.payments.pay import StartPayment
from paidonce.payments.providers import Chosen


def start_payment(
    chosen: Chosen,
    checkout: TenantScopedId,
    payment_method: str,
    *,
    new_return_url: Callable[[], str],
    origin: Origin,
    seen_attempt_count: int | None = None,
) -> StartPayment:
    """Return the request that starts a payment. Each account that opens a session is given a return URL of its own."""

    def return_url(to: Chosen) -> str | None:
        return new_return_url() if to.provider.opens_session(payment_method) else None

    return StartPayment(
        attempt_id=ids.new_id(ids.ATTEMPT),
        checkout=checkout,
        payment_method=payment_method,
        route=chosen.route,
        return_url=return_url(chosen),
        mode=chosen.mode,
        origin=origin,
        fallbacks=tuple(
            Fallback(one.route.provider, one.route.account_id, return_url(one))
            for one in chosen.fallbacks
            if one.route.account_id is not None
        ),
        seen_attempt_count=seen_attempt_count,
    )
