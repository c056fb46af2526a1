"""What needs review in the whole service: attempts and webhooks of all merchants, for operators."""

from typing import ClassVar, Final, Literal

from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.formats import present
from paidonce.dashboard.forms import Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.dashboard.review import PAGE_LENGTH, read_queues, show_attempt
from paidonce.merchants.model import TenantFilter, TenantScopedId
from paidonce.payments import review_http as attempts
from paidonce.payments.review import load_attempts
from paidonce.payments.review_schemas import ReviewedAttemptResponse
from paidonce.provider_webhooks import replay_http as replays
from paidonce.provider_webhooks.schemas import (
    DismissResponse,
    ProviderWebhookPage,
    ReplayResponse,
    SenderName,
    WebhookId,
)
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.decline_codes import DECLINED
from paidonce.users.model import Role

RESULTS: Final = ("NEEDS_REVIEW", "FAILED", "POSTPONED", "ATTEMPT_NOT_FOUND")


class ResolveForm(Form, frozen=True, kw_only=True):
    """What the provider confirmed."""

    audited: ClassVar = ("outcome", "reference", "decline_code")

    outcome: Literal["SUCCEEDED", "DECLINED"]
    reference: str | None = None
    decline_code: str | None = None


class WebhookForm(Form, frozen=True, kw_only=True):
    """The webhook to apply again, or to dismiss."""

    provider: SenderName
    id: WebhookId

    @property
    def subject(self) -> str:
        """The webhook, for the audit log."""
        return str(WebhookName(self.provider, self.id))


@page("/operator/review", role=Role.OPERATOR)
async def operator_review(request: DashboardRequest) -> Response:
    """Show what waits for a person, of all merchants."""
    path = f"{request.dashboard_path}/operator/review"
    queues = await read_queues(request, TenantFilter(), path)
    result = request.http.query_params.get("result", "")
    result = result if result in RESULTS else RESULTS[0]
    parameters = {"limit": str(PAGE_LENGTH), "result": result}
    for name in ("afterProvider", "startingAfter"):
        if request.http.query_params.get(name):
            parameters[name] = request.http.query_params[name]
    webhooks = await run_operation(request, replays.get_provider_webhooks, parameters=parameters, as_operator=True)
    assert isinstance(webhooks, ProviderWebhookPage)
    values = {
        "queues": queues,
        "attempt_path": f"{path}/attempts",
        "path": path,
        "webhooks": webhooks.data,
        "has_more": webhooks.has_more,
        "result": result,
        "results": [(one, one.replace("_", " ").capitalize()) for one in RESULTS],
    }
    return request.page("operator_review.html", values, title="Needs review")


@page("/operator/review/attempts/{attempt_id}", role=Role.OPERATOR)
async def operator_attempt(request: DashboardRequest) -> Response:
    """Show an attempt of any merchant, with the form that records its outcome."""
    name = TenantScopedId(request.path_values["attempt_id"], None)
    return await show_attempt(request, await request.service.reader.submit(load_attempts, name))


@action("/operator/review/attempts/{attempt_id}/resolve", role=Role.OPERATOR, form=ResolveForm, shows=operator_attempt)
async def resolve_attempt(request: DashboardRequest, form: ResolveForm) -> Response:
    """Record the outcome of an attempt."""
    attempt_id = request.path_values["attempt_id"]
    code = form.decline_code or (DECLINED if form.outcome == "DECLINED" else None)
    body = present(outcome=form.outcome, reference=form.reference, declineCode=code)
    resolved = await run_operation(
        request, attempts.resolve_attempt, path_value=attempt_id, body=body, as_operator=True
    )
    assert isinstance(resolved, ReviewedAttemptResponse)
    path = f"{request.dashboard_path}/operator/review/attempts/{attempt_id}"
    return request.done(path, f"The attempt is {resolved.status} now.")


@action("/operator/review/replay", role=Role.OPERATOR, form=WebhookForm, shows=operator_review)
async def replay_webhook(request: DashboardRequest, form: WebhookForm) -> Response:
    """Apply a stored webhook again."""
    body = {"provider": form.provider, "id": form.id}
    replayed = await run_operation(request, replays.replay_provider_webhook, body=body, as_operator=True)
    assert isinstance(replayed, ReplayResponse)
    return request.done(f"{request.dashboard_path}/operator/review", replayed.detail)


@action("/operator/review/dismiss", role=Role.OPERATOR, form=WebhookForm, shows=operator_review)
async def dismiss_webhook(request: DashboardRequest, form: WebhookForm) -> Response:
    """Dismiss a webhook that was given up."""
    body = {"provider": form.provider, "id": form.id}
    dismissed = await run_operation(request, replays.dismiss_provider_webhook, body=body, as_operator=True)
    assert isinstance(dismissed, DismissResponse)
    return request.done(f"{request.dashboard_path}/operator/review", dismissed.detail)
