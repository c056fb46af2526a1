"""What needs review: a merchant's attempts whose outcome is unknown, with the evidence of the provider."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response

from paidonce.checkouts.actions import load_timelines
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.request import DashboardRequest
from paidonce.doctor.waiting import ACCEPTED_MS_MAX
from paidonce.events.model import Event
from paidonce.http.fields import Fields
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.review import ListAttempts, list_attempts, load_attempts
from paidonce.payments.review_schemas import AttemptId, ReviewedAttemptResponse, attempt_response
from paidonce.payments.unproven_outcomes import UNKNOWN_MS_MAX
from paidonce.users.model import Role

PAGE_LENGTH: Final = 25


class Queue(NamedTuple):
    """Attempts that wait in one way: its heading, what to do in words, and a page of them."""

    status: str
    heading: str
    advice: str
    attempts: Sequence[ReviewedAttemptResponse]
    older: str


class Kind(NamedTuple):
    """A way to wait, and the age in milliseconds from which it is shown."""

    status: AttemptStatus
    heading: str
    advice: str
    age_ms: int


KINDS: Final = (
    Kind(
        AttemptStatus.NEEDS_REVIEW,
        "Waiting for a person",
        "The provider gave no proof of the outcome. Find each one in the provider's dashboard by its key or reference. "
        "An operator records what you find there. Until then the buyer can neither pay again nor be refunded.",
        0,
    ),
    Kind(
        AttemptStatus.UNKNOWN,
        "Unknown for more than an hour",
        "The provider is asked again on a schedule, for a month. If many are here, check whether the provider is "
        "available.",
        UNKNOWN_MS_MAX,
    ),
    Kind(
        AttemptStatus.ACCEPTED,
        "Accepted for more than three days",
        "The provider has accepted the operation and tells its outcome by webhook. Check that its webhooks arrive. "
        "Some bank transfers take longer.",
        ACCEPTED_MS_MAX,
    ),
)


class ReviewParameters(Fields, frozen=True, kw_only=True):
    """Which page of which queue to show; the others begin with their oldest."""

    status: str | None = None
    after: AttemptId | None = None
    # Of the webhooks on an operator's page.
    result: str | None = None
    after_provider: str | None = None
    starting_after: str | None = None


class Report(NamedTuple):
    """One thing that was learned about an attempt: when, from whom, and what."""

    created_at: int
    type: str
    cause: str
    detail: str


@page("/m/{merchant_id}/{mode}/review", role=Role.VIEWER)
async def review(request: DashboardRequest) -> Response:
    """Show what waits for a person."""
    tenant = TenantFilter(request.tenant.merchant_id, request.tenant.mode)
    queues = await read_queues(request, tenant, f"{request.tenant_path}/review")
    values = {"queues": queues, "attempt_path": f"{request.tenant_path}/review"}
    return request.page("review.html", values, title="Needs review")


@page("/m/{merchant_id}/{mode}/review/{attempt_id}", role=Role.VIEWER)
async def attempt_review(request: DashboardRequest) -> Response:
    """Show an attempt with what was learned about it."""
    name = request.caller.scoped_id(request.path_values["attempt_id"])
    attempt = await request.service.reader.submit(load_attempts, name)
    return await show_attempt(request, attempt)


async def show_attempt(request: DashboardRequest, attempt: Attempt) -> Response:
    """Show an attempt, and to an operator the form that records its outcome."""
    values = {
        "attempt": attempt_response(attempt),
        "provider_key": attempt.provider_key,
        "reports": await _reports(request, attempt),
        "payment_path": f"{_base(request)}{paths.tenant_path(attempt.merchant_id, attempt.mode)}"
        f"/payments/{attempt.checkout_id}",
        "resolve_path": f"{request.dashboard_path}{paths.OPERATOR}/review/attempts/{attempt.id}",
        "is_open": attempt.settled_at is None,
    }
    return request.page("attempt_review.html", values, title=f"Attempt {attempt.id}")


async def read_queues(request: DashboardRequest, tenant: TenantFilter, path: str) -> list[Queue]:
    """Read a page of each queue, oldest first."""
    parameters = request.parameters(ReviewParameters)
    now = request.service.clock()
    queues = []
    for kind in KINDS:
        wanted = ListAttempts(
            status=kind.status,
            limit=PAGE_LENGTH,
            tenant=tenant,
            created_before=now - kind.age_ms + 1,
            starting_after=parameters.after if parameters.status == kind.status else None,
        )
        found, has_more = await request.service.reader.submit(list_attempts, wanted)
        newer = f"{path}?status={kind.status}&after={found[-1].id}" if has_more else ""
        shown = [attempt_response(one) for one in found]
        queues.append(Queue(kind.status.value, kind.heading, kind.advice, shown, newer))
    return queues


async def _reports(request: DashboardRequest, attempt: Attempt) -> list[Report]:
    """Read what was learned about an attempt, the newest last: the events of its checkout tell it."""
    checkout = TenantScopedId(attempt.checkout_id, attempt.merchant_id, attempt.mode)
    events = await request.service.reader.submit(load_timelines, checkout)
    return [_report(one) for one in events if one.attempt_id == attempt.id]


def _report(event: Event) -> Report:
    detail: dict[str, object] = msgspec.json.decode(event.detail) if event.detail else {}
    facts = "; ".join(f"{name}: {value}" for name, value in detail.items())
    return Report(event.created_at, event.type, event.cause, facts)


def _base(request: DashboardRequest) -> str:
    return request.dashboard_path.removesuffix(paths.PATH)
