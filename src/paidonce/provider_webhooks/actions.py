"""What is done with providers' webhooks: stored first, applied then, each as often as it takes."""

from collections.abc import Sequence
from typing import Final

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, Settled, record_evidence
from paidonce.payments.store import read_attempts
from paidonce.provider_webhooks import store
from paidonce.provider_webhooks.model import APPLIED, ProviderWebhook, WebhookResult, next_due_at
from paidonce.provider_webhooks.store import DuePosition, WebhookMark, WebhookName
from paidonce.providers.base import Evidence, ExternalChange, NotFound, Notice, Unknown

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Evidence).decode


class ReceivedWebhook(msgspec.Struct, frozen=True):
    """A webhook whose signature was right, with its body as it came."""

    provider: str
    notice: Notice
    body: bytes


class ApplyWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A request to apply a stored webhook. ``again`` applies it even where it was applied: an operator's replay."""

    name: WebhookName
    schedule: LookupSchedule
    chance: float
    again: bool = False


class Applied(msgspec.Struct, frozen=True):
    """What applying came to; ``checkout_id`` names the checkout where one may have changed."""

    result: WebhookResult
    checkout_id: str | None = None


def store_webhooks(transaction: Transaction, requests: Sequence[ReceivedWebhook]) -> list[WebhookName]:
    """Store webhooks; the same id from the same provider is stored once, however often it comes."""
    store.insert_webhooks(transaction, [_stored(one, transaction.now) for one in requests])
    return [WebhookName(one.provider, one.notice.id) for one in requests]


def _stored(received: ReceivedWebhook, now: Instant) -> ProviderWebhook:
    notice = received.notice
    return ProviderWebhook(
        provider=received.provider,
        id=notice.id,
        attempt_key=notice.key,
        evidence=_encode(notice.evidence).decode() if _is_news(notice.evidence) else None,
        # A signed body is what its provider meant it to be; what is no text is kept readable.
        body=received.body.decode(errors="backslashreplace").replace("\0", "\\0"),
        received_at=now,
        tries=0,
        due_at=next_due_at(0, now),  # It is applied at once; this is for the case that the process dies before.
        applied_at=None,
        result=None,
    )


def _is_news(evidence: Evidence | ExternalChange | None) -> bool:
    """Whether it says anything that our own look-ups would not: "not known yet" is none."""
    return evidence is not None and not isinstance(evidence, Unknown | NotFound | ExternalChange)


def apply_webhooks(transaction: Transaction, requests: Sequence[ApplyWebhook]) -> list[Applied | None]:
    """Apply webhooks: what they prove is decided and written, and they are marked, all or none.

    None where there is no such webhook, or it was applied before.
    """
    found = store.read_webhooks(transaction, list({request.name for request in requests}))
    waiting = {
        request.name: (request, webhook)
        for request in requests
        if (webhook := found.get(request.name)) and (request.again or webhook.applied_at is None)
    }
    proving = _proving(transaction, [one for one in waiting.values() if one[1].evidence is not None])
    settled = dict(zip(proving, record_evidence(transaction, list(proving.values())), strict=True))
    applied = {name: _result(webhook, settled.get(name)) for name, (_, webhook) in waiting.items()}
    marks = [_mark(webhook, applied[name].result, transaction.now) for name, (_, webhook) in waiting.items()]
    store.mark_webhooks(transaction, marks)
    return [applied.get(request.name) for request in requests]


def _proving(
    transaction: Transaction, waiting: Sequence[tuple[ApplyWebhook, ProviderWebhook]]
) -> dict[WebhookName, RecordEvidence]:
    """Make evidence of those webhooks whose attempt is there and is their own provider's."""
    attempts = read_attempts(transaction, {webhook.attempt_key for _, webhook in waiting if webhook.attempt_key})
    return {
        request.name: RecordEvidence(
            attempt_id=attempt.id,
            evidence=_decode(webhook.evidence or ""),
            cause=Cause.WEBHOOK,
            schedule=request.schedule,
            chance=request.chance,
        )
        for request, webhook in waiting
        if (attempt := attempts.get(webhook.attempt_key or "")) and str(attempt.route) == webhook.provider
    }


def _result(webhook: ProviderWebhook, settled: Settled | None) -> Applied:
    if webhook.evidence is None:
        return Applied(WebhookResult.NO_NEWS)
    if settled is None or settled.checkout_id is None:
        return Applied(WebhookResult.ATTEMPT_NOT_FOUND)
    result = WebhookResult.KNOWN if settled.transition is None else WebhookResult.CHANGED
    return Applied(result, settled.checkout_id)


def fail_webhooks(transaction: Transaction, names: Sequence[WebhookName]) -> list[None]:
    """Put webhooks off that could not be applied because of a defect: the log tells it, and others go on."""
    found = store.read_webhooks(transaction, list(set(names)))
    store.mark_webhooks(transaction, [_mark(one, WebhookResult.FAILED, transaction.now) for one in found.values()])
    return [None for _ in names]


def _mark(webhook: ProviderWebhook, result: WebhookResult, now: Instant) -> WebhookMark:
    done = result in APPLIED
    return WebhookMark(
        provider=webhook.provider,
        id=webhook.id,
        tries_seen=webhook.tries,
        result=result,
        applied_at=now if done else None,
        due_at=None if done else next_due_at(webhook.tries + 1, now),
    )


class DueWebhooks(msgspec.Struct, frozen=True):
    """A request for the webhooks that are due to be applied: at most ``limit``, those after a position."""

    limit: int
    after: DuePosition | None = None


def find_due_webhooks(transaction: Transaction, requests: Sequence[DueWebhooks]) -> list[list[DuePosition]]:
    """Find webhooks that are due to be applied, those that have been due for the longest time first."""
    return [store.find_due(transaction, one.limit, one.after) for one in requests]


class OldWebhooks(msgspec.Struct, frozen=True):
    """Webhooks that were applied more than ``age_ms`` ago, at most ``limit`` of them."""

    age_ms: int
    limit: int


def find_old_webhooks(transaction: Transaction, requests: Sequence[OldWebhooks]) -> list[list[WebhookName]]:
    """Name webhooks that have done their work long ago."""
    return [store.find_applied(transaction, before=transaction.now - one.age_ms, limit=one.limit) for one in requests]


def prune_webhooks(transaction: Transaction, requests: Sequence[list[WebhookName]]) -> list[None]:
    """Delete webhooks that are applied. What they proved stands in their attempts and events."""
    store.delete_applied(transaction, [name for names in requests for name in names])
    return [None for _ in requests]
