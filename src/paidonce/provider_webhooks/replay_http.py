"""An operator's calls about the webhooks of providers that could not be applied."""

from typing import Final

import msgspec
import structlog
from starlette.responses import Response

from paidonce.errors import (
    FieldError,
    InvalidRequest,
    ProviderWebhookChanged,
    ProviderWebhookNotFound,
    ProviderWebhookPending,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.operation import ResponseSpec, get, post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import JSON, json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.ids import system_chance
from paidonce.merchants.model import Scope
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import Applied
from paidonce.provider_webhooks.model import WebhookResult
from paidonce.provider_webhooks.replay import (
    Dismissed,
    DismissWebhook,
    ListGivenUp,
    ReplayWebhook,
    dismiss_webhooks,
    list_given_up,
    replay_webhooks,
)
from paidonce.provider_webhooks.schemas import (
    DismissBody,
    DismissResponse,
    ListProviderWebhooksParameters,
    ProviderWebhookPage,
    ReplayBody,
    ReplayResponse,
    dismiss_response,
    provider_webhook_response,
    replay_response,
)
from paidonce.provider_webhooks.store import WebhookName

log = structlog.get_logger()

TAG: Final = "Operator"


@get(
    "/provider-webhooks",
    ListProviderWebhooksParameters,
    operation_id="listProviderWebhooks",
    scope=Scope.ADMIN,
    tag=TAG,
    summary="List providers' webhooks that could not be applied",
    description="Those that are not tried again, oldest first, by pages: pass the last one's `provider` and `id` as "
    "`afterProvider` and `startingAfter` for the next.",
    responses={200: ResponseSpec(description="A page.", schema=ProviderWebhookPage)},
)
async def get_provider_webhooks(request: ApiRequest, parameters: ListProviderWebhooksParameters) -> Response:
    """Return a page of webhooks that wait for a person."""
    after = None
    if parameters.starting_after is not None:
        if parameters.after_provider is None:
            raise InvalidRequest([FieldError("afterProvider", "missing", "Give the provider of startingAfter, too.")])
        after = WebhookName(parameters.after_provider, parameters.starting_after)
    wanted = ListGivenUp(parameters.limit, WebhookResult(parameters.result), after)
    page, has_more = await request.service.reader.submit(list_given_up, wanted)
    return json_response(ProviderWebhookPage([provider_webhook_response(one) for one in page], has_more))


@post(
    "/provider-webhooks/replay",
    operation_id="replayProviderWebhook",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Apply a stored webhook of a provider again",
    description="Even if it was applied before or given up. What it proves is decided as when it arrived.",
    body=ReplayBody,
    body_required=True,
    body_example={"provider": "stripe/pac_06f0q0h7pvsnb2c9vq3k1jv2rg", "id": "evt_1"},
    responses={200: ResponseSpec(description="What came of it.", schema=ReplayResponse)},
    errors=[ProviderWebhookNotFound, ProviderWebhookChanged],
)
async def replay_provider_webhook(request: ApiRequest, body: ReplayBody) -> Command[ReplayWebhook, Applied]:
    """Apply a stored webhook again."""
    service = request.service

    async def respond(applied: Applied) -> Response:
        log.info(
            "webhook_replayed",
            provider=body.provider,
            webhook_id=body.id,
            result=applied.result.value,
            by_key_id=request.caller.key_id,
        )
        if applied.checkout_id is not None:
            service.settlement_waiters.notify(applied.checkout_id)
        return json_response(replay_response(applied))

    return Command(
        action=replay_webhooks,
        params=ReplayWebhook(
            name=WebhookName(body.provider, body.id),
            schedule=LookupSchedule(first_seconds=service.settings.reconcile_first_seconds),
            chance=system_chance(),
        ),
        summarize=summarize_replayed,
        respond=respond,
        respond_again=_respond_again,
    )


def summarize_replayed(params: ReplayWebhook, outcome: Applied) -> StoredResponse:
    """Store what came of applying a webhook again: it may be applied once more later."""
    return _stored(params.name, replay_response(outcome))


@post(
    "/provider-webhooks/dismiss",
    operation_id="dismissProviderWebhook",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Dismiss a webhook of a provider that could not be applied",
    description="For a webhook that a person has dealt with at the provider: it is listed and counted no longer. "
    "Dismissing one that is applied changes nothing.",
    body=DismissBody,
    body_required=True,
    body_example={"provider": "stripe/pac_06f0q0h7pvsnb2c9vq3k1jv2rg", "id": "evt_1"},
    responses={200: ResponseSpec(description="What came of it.", schema=DismissResponse)},
    errors=[ProviderWebhookNotFound, ProviderWebhookPending, ProviderWebhookChanged],
)
async def dismiss_provider_webhook(request: ApiRequest, body: DismissBody) -> Command[DismissWebhook, Dismissed]:
    """Dismiss a webhook that was given up."""

    async def respond(dismissed: Dismissed) -> Response:
        if dismissed.is_new:
            log.info(
                "webhook_dismissed",
                provider=dismissed.name.provider,
                webhook_id=dismissed.name.id,
                result=dismissed.result.value,
                by_key_id=request.caller.key_id,
            )
        return json_response(dismiss_response(dismissed))

    return Command(
        action=dismiss_webhooks,
        params=DismissWebhook(WebhookName(body.provider, body.id)),
        summarize=summarize_dismissed,
        respond=respond,
        respond_again=_respond_again,
    )


def summarize_dismissed(params: DismissWebhook, outcome: Dismissed) -> StoredResponse:
    """Store what came of dismissing a webhook: it may be applied again later."""
    return _stored(params.name, dismiss_response(outcome))


def _stored(name: WebhookName, response: ReplayResponse | DismissResponse) -> StoredResponse:
    answer = msgspec.json.encode(response).decode()
    return StoredResponse(200, f"/provider-webhooks/{name.provider}", answer=answer)


async def _respond_again(repeat: Repeat) -> Response:
    return Response(repeat.record.answer, media_type=JSON)
