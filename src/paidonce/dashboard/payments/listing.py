"""The list of payments: found by a search, filtered, and paged from the newest to the oldest."""

from typing import Any, Final

from msgspec.structs import replace
from starlette.responses import Response

from paidonce import ids
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.payments.filters import PaymentFilter
from paidonce.dashboard.payments.texts import When, amount_text, in_words, shortened
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import InvalidRequest
from paidonce.search.finding import find_checkouts
from paidonce.search.model import SearchPage
from paidonce.users.model import Role

PAGE_MAX: Final = 25
SEARCHES_MAX: Final = 4  # A page goes on searching while it has found nothing, up to 20,000 checkouts.
NOTHING: Final = SearchPage([], None)


@page(f"{paths.TENANT}/payments", role=Role.VIEWER)
async def list_payments(request: DashboardRequest) -> Response:
    """Show the payments that are found."""
    given = dict(request.http.query_params)
    problems: dict[str, str] = {}
    wanted = PaymentFilter()
    found = NOTHING
    try:
        wanted = request.parameters(PaymentFilter)
        found = await _find(request, wanted)
    except InvalidRequest as error:
        problems = {one.pointer: one.detail for one in error.fields}
    path = f"{request.tenant_path}/payments"
    values: dict[str, Any] = {
        "payments": [_row(one, path) for one in found.checkouts],
        "given": given,
        "problems": problems,
        "is_filtered": bool(problems) or not wanted.is_empty,
        "statuses": [("", "Any"), *((one.value, in_words(one).capitalize()) for one in CheckoutStatus)],
        "older": wanted.url(path, before=found.searched_up_to) if found.searched_up_to else "",
        "newest": wanted.url(path, before="") if wanted.before else "",
        "searched_to": _searched_to(found) if len(found.checkouts) < PAGE_MAX else None,
        "export": "" if problems else wanted.url(f"{path}/export", before=""),
        "path": path,
    }
    return request.page("payments.html", values, title="Payments", status=400 if problems else 200)


async def _find(request: DashboardRequest, wanted: PaymentFilter) -> SearchPage:
    search = wanted.search(request.tenant, limit=PAGE_MAX)
    found = NOTHING
    for _ in range(SEARCHES_MAX):
        found = await find_checkouts(request.service.reader, search)
        if found.checkouts or found.searched_up_to is None:
            break
        search = replace(search, before=found.searched_up_to)
    return found


def _searched_to(found: SearchPage) -> When | None:
    return None if found.searched_up_to is None else When(ids.milliseconds_of(found.searched_up_to))


def _row(checkout: Checkout, path: str) -> dict[str, Any]:
    return {
        "href": f"{path}/{checkout.id}",
        "created": When(checkout.created_at),
        "amount": amount_text(checkout.amount, checkout.currency),
        "status": checkout.status,
        "refunded": _refunded(checkout),
        "description": shortened(checkout.description or ""),
        "provider": checkout.attempt.provider if checkout.attempt else "",
    }


def _refunded(checkout: Checkout) -> str:
    """Say whether something was refunded or disputed, which the status does not tell."""
    notes = []
    if checkout.amount_refunded:
        notes.append("refunded" if checkout.amount_refunded == checkout.amount_captured else "partly refunded")
    if checkout.amount_disputed:
        notes.append("disputed")
    return ", ".join(notes)
