"""What the calls about providers' webhooks read and respond with."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from paidonce.clock import format_instant
from paidonce.http.fields import Fields
from paidonce.http.formats import Limit, whole
from paidonce.provider_webhooks.actions import Applied
from paidonce.provider_webhooks.model import APPLIED, ProviderWebhook
from paidonce.provider_webhooks.replay import Dismissed, describe

SenderName = Annotated[
    str,
    whole(
        r"[a-z][a-z0-9_]{0,63}(/[0-9a-z_]{1,64})?",
        "The provider, with the account that the webhook was sent for: `stripe/pac_…`.",
    ),
]
WebhookId = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$", description="The provider's id of the webhook.")
]


class ReceivedResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A webhook is stored; ``id`` is its provider's."""

    id: str


class ListProviderWebhooksParameters(Fields, frozen=True, kw_only=True):
    """Which webhooks to list: those that could not be applied and are not tried again, oldest first."""

    result: Annotated[
        Literal["NEEDS_REVIEW", "ATTEMPT_NOT_FOUND", "POSTPONED", "FAILED"],
        Meta(description="What came of applying them."),
    ] = "NEEDS_REVIEW"
    limit: Limit = 10
    after_provider: SenderName | None = None
    starting_after: WebhookId | None = None


class ReplayBody(Fields, frozen=True, kw_only=True):
    """The webhook to apply again."""

    provider: SenderName
    id: WebhookId


class ReplayResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What came of applying a webhook. ``detail`` says it in a sentence."""

    result: str
    is_applied: bool
    checkout_id: str | None
    detail: str


class DismissBody(ReplayBody, frozen=True, kw_only=True):
    """The webhook to dismiss."""


class DismissResponse(msgspec.Struct, frozen=True, rename="camel"):
    """``result`` is what the webhook came to before. One that was applied is not dismissed. ``detail`` says it in a
    sentence.
    """

    result: str
    is_dismissed: bool
    detail: str


class ProviderWebhookResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A provider's webhook. ``attempt`` and ``reference`` are what it names: our key or the provider's reference.

    ``body`` is as it came.
    """

    provider: str
    id: str
    attempt: str | None
    reference: str | None
    result: str | None
    tries: int
    received_at: str
    applied_at: str | None
    next_try_at: str | None
    body: str


class ProviderWebhookPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of webhooks, oldest first."""

    data: list[ProviderWebhookResponse]
    has_more: bool


def provider_webhook_response(webhook: ProviderWebhook) -> ProviderWebhookResponse:
    """Show a webhook."""
    return ProviderWebhookResponse(
        provider=webhook.provider,
        id=webhook.id,
        attempt=webhook.attempt_key,
        reference=webhook.reference,
        result=webhook.result,
        tries=webhook.tries,
        received_at=format_instant(webhook.received_at),
        applied_at=None if webhook.applied_at is None else format_instant(webhook.applied_at),
        next_try_at=None if webhook.due_at is None else format_instant(webhook.due_at),
        body=webhook.body,
    )


def replay_response(applied: Applied) -> ReplayResponse:
    """Say what came of applying a webhook."""
    return ReplayResponse(applied.result.value, applied.result in APPLIED, applied.checkout_id, describe(applied))


def dismiss_response(dismissed: Dismissed) -> DismissResponse:
    """Say what came of dismissing a webhook."""
    return DismissResponse(dismissed.result.value, dismissed.is_new, dismissed.detail)
