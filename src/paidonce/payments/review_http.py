"""The calls about attempts whose outcome waits for a proof: listing them, and recording what a person found out."""

from typing import Final

from starlette.responses import Response

from paidonce.errors import AttemptNotFound, AttemptOutcomeKnown, FieldError, InvalidRequest, WrongMerchant, WrongMode
from paidonce.http.commands import Command, Repeat
from paidonce.http.operation import ResponseSpec, get, post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Scope
from paidonce.payments.model import Attempt, AttemptStatus
from paidonce.payments.review import ListAttempts, ResolveAttempt, list_attempts, load_attempts, resolve_attempts
from paidonce.payments.review_schemas import (
    AttemptPage,
    ListAttemptsParameters,
    ResolveAttemptBody,
    ReviewedAttemptResponse,
    attempt_response,
)
from paidonce.payments.schedule import LookupSchedule
from paidonce.providers.evidence import Declined, Succeeded

TAG: Final = "Attempts"


@get(
    "/attempts",
    ListAttemptsParameters,
    operation_id="listAttempts",
    scope=Scope.CHECKOUTS_READ,
    tag=TAG,
    summary="List attempts whose outcome is not proven",
    description="With one status, oldest first, by pages: pass the last id as `startingAfter` for the next. An attempt "
    "in `NEEDS_REVIEW` waits until a person has asked the provider.",
    responses={200: ResponseSpec(description="A page.", schema=AttemptPage)},
    errors=[WrongMerchant, WrongMode],
)
async def get_attempts(request: ApiRequest, parameters: ListAttemptsParameters) -> Response:
    """Return a page of attempts."""
    wanted = ListAttempts(
        status=AttemptStatus(parameters.status),
        limit=parameters.limit,
        tenant=request.tenant_filter(parameters),
        starting_after=parameters.starting_after,
    )
    page, has_more = await request.service.reader.submit(list_attempts, wanted)
    return json_response(AttemptPage([attempt_response(one) for one in page], has_more))


@get(
    "/attempts/{attempt_id}",
    operation_id="getAttempt",
    scope=Scope.CHECKOUTS_READ,
    tag=TAG,
    summary="Get an attempt",
    description="A capture, a cancellation and a refund are attempts, too.",
    responses={200: ResponseSpec(description="As it is now.", schema=ReviewedAttemptResponse)},
    errors=[AttemptNotFound],
)
async def get_attempt(request: ApiRequest) -> Response:
    """Return an attempt."""
    return json_response(attempt_response(await _load(request, request.path_value)))


@post(
    "/attempts/{attempt_id}/resolve",
    operation_id="resolveAttempt",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Record the outcome of an attempt that a person has confirmed with the provider",
    description="For an attempt that a person has looked up at the provider. The outcome is recorded as evidence, like "
    "a provider's own, and what follows from it follows at once: the checkout is completed, or fails.",
    body=ResolveAttemptBody,
    body_required=True,
    body_example={"outcome": "DECLINED", "declineCode": "declined"},
    responses={200: ResponseSpec(description="The attempt as it is then.", schema=ReviewedAttemptResponse)},
    errors=[AttemptNotFound, AttemptOutcomeKnown],
)
async def resolve_attempt(request: ApiRequest, body: ResolveAttemptBody) -> Command[ResolveAttempt, Attempt]:
    """Record the outcome of an attempt."""
    service = request.service

    async def respond(attempt: Attempt) -> Response:
        service.settlement_waiters.notify(attempt.checkout_id)
        return json_response(attempt_response(attempt))

    async def respond_again(repeat: Repeat) -> Response:
        return json_response(attempt_response(await _load(request, repeat.resource_id)))

    return Command(
        action=resolve_attempts,
        params=ResolveAttempt(
            name=request.resource,
            evidence=_evidence(body),
            schedule=LookupSchedule(first_seconds=service.settings.reconcile_first_seconds),
        ),
        summarize=summarize_resolved,
        respond=respond,
        respond_again=respond_again,
    )


def summarize_resolved(_params: object, outcome: Attempt) -> StoredResponse:
    """Store which attempt was resolved."""
    return StoredResponse(200, f"/attempts/{outcome.id}", attempt_id=outcome.id)


def _evidence(body: ResolveAttemptBody) -> Succeeded | Declined:
    """Write the outcome as evidence; raises InvalidRequest where what belongs to it is missing, or does not."""
    wanted, other = ("reference", "declineCode") if body.outcome == "SUCCEEDED" else ("declineCode", "reference")
    values = {"reference": body.reference, "declineCode": body.decline_code}
    value = values[wanted]
    faults = []
    if value is None:
        faults.append(FieldError(f"/{wanted}", "missing", f"This field is required with the outcome {body.outcome}."))
    if values[other] is not None:
        faults.append(FieldError(f"/{other}", "contradiction", f"Leave it out with the outcome {body.outcome}."))
    if value is None or faults:
        raise InvalidRequest(faults)
    return Succeeded(value) if body.outcome == "SUCCEEDED" else Declined(value)


async def _load(request: ApiRequest, attempt_id: str) -> Attempt:
    return await request.service.reader.submit(load_attempts, request.scoped_id(attempt_id))
