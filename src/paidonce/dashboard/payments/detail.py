"""One payment: its money, its attempts, everything that happened to it, and what can be done about it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.responses import Response

from paidonce.checkouts.http import get_checkout
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.payments.possible import cancel_of, capture_of, refund_of
from paidonce.dashboard.payments.texts import When, amount_text, in_words
from paidonce.dashboard.payments.timeline import ENTRIES_MAX, actors_of, write_timeline
from paidonce.dashboard.request import DashboardRequest
from paidonce.events.model import Event, EventType
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.dispute_store import RecordedDispute
from paidonce.payments.history import PaymentHistory, load_histories
from paidonce.payments.model import Attempt
from paidonce.users.actions import load_users_by_id
from paidonce.users.model import Role
from paidonce.webhook_endpoints.event_deliveries import EventDelivery, EventNames, load_deliveries_of_events

PATH: Final = f"{paths.TENANT}/payments/{{checkout_id}}"
PROCESSING_SECONDS: Final = 3  # Between two looks at a payment that is in progress, without the script.
REFUND_SECONDS: Final = 10  # Rarer, so that nobody's next form is taken away while they type.


@page(PATH, role=Role.VIEWER)
async def show_payment(request: DashboardRequest) -> Response:
    """Show a payment."""
    reader, tenant = request.service.reader, request.tenant
    checkout_id = request.path_values["checkout_id"]
    wanted = TenantScopedId(checkout_id, tenant.merchant_id, tenant.mode)
    history = await reader.submit(load_histories, wanted)
    events = history.events[-ENTRIES_MAX:]
    deliveries = await reader.submit(load_deliveries_of_events, EventNames(tenant, [one.id for one in events]))
    shown = await run_operation(request, get_checkout, path_value=checkout_id)
    checkout = history.checkout
    values = {
        **_facts(checkout),
        **_possible(request, checkout),
        "buyer_url": shown.url if checkout.status in (CheckoutStatus.PENDING, CheckoutStatus.FAILED) else None,
        "attempts": [_attempt(one) for one in reversed(history.attempts)],
        "disputes": [_dispute(one) for one in history.disputes],
        "timeline": write_timeline(events, checkout.currency, await _people(request, events))[::-1],
        "is_cut": len(history.events) > len(events),
        "is_incomplete": not history.events or history.events[0].type != EventType.CHECKOUT_CREATED,
        "deliveries": _deliveries(deliveries, events),
        "refresh_seconds": _refresh_seconds(history),
        "links": _links(request),
        "path": f"{request.tenant_path}/payments/{checkout_id}",
    }
    return request.page("payment.html", values, title=f"Payment of {values['amount']}")


def _links(request: DashboardRequest) -> dict[str, str]:
    """Return where other pages begin that show what is named here, as far as there are such pages."""
    pages = {"deliveries": "delivery_id", "review": "attempt_id", "accounts": "account_id"}
    return {
        name: f"{request.tenant_path}/{name}/"
        for name, variable in pages.items()
        if f"{paths.TENANT}/{name}/{{{variable}}}" in request.declared
    }


async def _people(request: DashboardRequest, events: Sequence[Event]) -> dict[str, str]:
    """Return the names of the users who did something. Only operators see the names of operators."""
    users = await request.service.reader.submit(load_users_by_id, actors_of(events))
    return {
        one.id: one.email if one.merchant_id or request.person.is_operator else "an operator" for one in users.values()
    }


def _facts(checkout: Checkout) -> dict[str, Any]:
    metadata: dict[str, str] = msgspec.json.decode(checkout.metadata) if checkout.metadata else {}
    money = {
        "Captured": checkout.amount_captured,
        "Refunded": checkout.amount_refunded,
        "Being refunded": checkout.amount_refund_pending,
        "Disputed": checkout.amount_disputed,
        "Left to refund": max(0, checkout.amount_left - checkout.amount_disputed),
    }
    return {
        "checkout": checkout,
        "amount": amount_text(checkout.amount, checkout.currency),
        "money": [
            (name, amount_text(amount, checkout.currency))
            for name, amount in money.items()
            if amount or name in ("Captured", "Left to refund")
        ],
        "metadata": metadata,
        "created": When(checkout.created_at),
        "updated": When(checkout.updated_at),
        "expires": None if checkout.status == CheckoutStatus.COMPLETED else When(checkout.expires_at),
        "awaits_buyer": checkout.awaits_buyer,
    }


def _possible(request: DashboardRequest, checkout: Checkout) -> dict[str, Any]:
    role = request.person.role
    return {
        "is_authorized": checkout.status == CheckoutStatus.AUTHORIZED,
        "capture": capture_of(checkout, role, request.service.clock()) if checkout.capture_method == "manual" else None,
        "cancel": cancel_of(checkout, role),
        "refund": refund_of(checkout, role),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "kind": in_words(attempt.kind).capitalize(),
        "status": attempt.status,
        "amount": amount_text(attempt.amount, attempt.currency),
        "provider": attempt.provider,
        "account": attempt.account_id or "",
        "reference": attempt.provider_reference or "",
        "decline_code": attempt.decline_code or "",
        "raw_decline_code": attempt.raw_decline_code or "",
        "reason": attempt.reason or "",
        "is_from_provider": attempt.initiated_by is not None,
        "lookups": attempt.lookup_count,
        "created": When(attempt.created_at),
        "settled": None if attempt.settled_at is None else When(attempt.settled_at),
    }


def _dispute(dispute: RecordedDispute) -> dict[str, Any]:
    return {
        "reference": dispute.reference,
        "status": dispute.status,
        "amount": amount_text(dispute.amount, dispute.currency),
        "reason": dispute.reason or "",
        "opened": When(dispute.created_at),
        "closed": None if dispute.closed_at is None else When(dispute.closed_at),
    }


def _deliveries(deliveries: Sequence[EventDelivery], events: Sequence[Event]) -> list[dict[str, Any]]:
    types = {event.id: event.type for event in events}
    return [
        {
            "id": one.id,
            "event": types[one.event_id],
            "url": one.url,
            "status": one.status,
            "failures": one.failures,
            "updated": When(one.updated_at),
        }
        for one in reversed(deliveries)
    ]


def _refresh_seconds(history: PaymentHistory) -> int | None:
    """Say how often a browser without the script loads the page again; None where nothing is in progress."""
    if history.checkout.status == CheckoutStatus.PROCESSING:
        return PROCESSING_SECONDS
    return REFUND_SECONDS if history.checkout.amount_refund_pending else None
