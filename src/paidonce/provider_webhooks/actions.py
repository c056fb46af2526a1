"""What is done with providers' webhooks: stored first, applied then, each as often as it takes."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from paidonce.clock import Instant
from paidonce.database.citus.shard_keys import ShardKey
from paidonce.database.schema import provider_webhook
from paidonce.database.transaction import Transaction
from paidonce.errors import DatabaseUnavailable
from paidonce.events.model import Cause
from paidonce.ids import new_id
from paidonce.payments.external_changes import RecordChange, record_changes
from paidonce.payments.external_store import read_by_reference
from paidonce.payments.model import Attempt
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, Settled, record_evidence
from paidonce.payments.store import find_attempts
from paidonce.provider_webhooks import store
from paidonce.provider_webhooks.model import APPLIED, ProviderWebhook, WebhookResult, next_due_at
from paidonce.provider_webhooks.store import DuePosition, WebhookMark, WebhookName
from paidonce.providers.evidence import Declined, Evidence, ExternalChange, NotFound, Notice, Unknown

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Evidence | ExternalChange).decode


class ReceivedWebhook(msgspec.Struct, frozen=True):
    """A webhook whose signature was right, with its body as it came."""

    provider: str
    notice: Notice
    body: bytes

    @property
    def shard_key(self) -> ShardKey:
        """Where it is stored."""
        return ShardKey(provider_webhook.name, self.notice.id)


class ApplyWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A request to apply a stored webhook. ``again`` applies it even where it was applied: an operator's replay."""

    name: WebhookName
    schedule: LookupSchedule
    chance: float
    again: bool = False

    @property
    def shard_key(self) -> ShardKey:
        """Where the webhook is stored. Its attempt may be of any merchant."""
        return ShardKey(provider_webhook.name, self.name.id)


class Applied(msgspec.Struct, frozen=True):
    """What applying came to; ``checkout_id`` names the checkout where one may have changed. ``reason`` tells why it was
    not applied.
    """

    result: WebhookResult
    checkout_id: str | None = None
    reason: str | None = None


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
        reference=notice.reference,
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
    return evidence is not None and not isinstance(evidence, Unknown | NotFound)


ApplyOutcome: TypeAlias = Applied | DatabaseUnavailable | None


def apply_webhooks(transaction: Transaction, requests: Sequence[ApplyWebhook]) -> list[ApplyOutcome]:
    """Apply webhooks: what they prove is decided and written, and they are marked, all or none.

    None where there is no such webhook, or it was applied before. DatabaseUnavailable where its attempt may be stored
    on a node that does not respond: it stays due.
    """
    found = store.read_webhooks(transaction, list({request.name for request in requests}))
    waiting = [
        Waiting(request, webhook, None if webhook.evidence is None else _decode(webhook.evidence))
        for request in {one.name: one for one in requests}.values()
        if (webhook := found.get(request.name)) and (request.again or webhook.applied_at is None)
    ]
    applied = {one.request.name: Applied(WebhookResult.NO_NEWS) for one in waiting}
    applied |= _prove(transaction, [one for one in waiting if isinstance(one.statement, Evidence)])
    # After the evidence: what was changed at the provider follows from what is known by then.
    applied |= _change(transaction, [one for one in waiting if isinstance(one.statement, ExternalChange)])
    outcomes: dict[WebhookName, ApplyOutcome] = {**applied}
    if transaction.is_partial:
        missing = {name for name, one in applied.items() if one.result is WebhookResult.ATTEMPT_NOT_FOUND}
        outcomes |= dict.fromkeys(missing, DatabaseUnavailable(is_of_one_node=True))
        waiting = [one for one in waiting if one.request.name not in missing]
    marks = [_mark(one.webhook, applied[one.request.name].result, transaction.now) for one in waiting]
    store.mark_webhooks(transaction, marks)
    return [outcomes.get(request.name) for request in requests]


class Waiting(msgspec.Struct, frozen=True):
    """A webhook that is to be applied, and its statement; None where that does not concern a payment."""

    request: ApplyWebhook
    webhook: ProviderWebhook
    statement: Evidence | ExternalChange | None


def _prove(transaction: Transaction, waiting: Sequence[Waiting]) -> dict[WebhookName, Applied]:
    """Record the evidence about attempts that are there and are the provider's own."""
    found = _find_attempts(transaction, waiting)
    waiting = [one for one in waiting if not _is_of_another_session(one, found.get(one.request.name))]
    proving = {
        one.request.name: RecordEvidence(
            attempt_id=attempt.id,
            evidence=one.statement,
            cause=Cause.WEBHOOK,
            schedule=one.request.schedule,
            chance=one.request.chance,
            attempt=attempt,
        )
        for one in waiting
        if isinstance(one.statement, Evidence) and (attempt := found.get(one.request.name))
    }
    settled = dict(zip(proving, record_evidence(transaction, list(proving.values())), strict=True))
    return {one.request.name: _proved(settled.get(one.request.name)) for one in waiting}


def _is_of_another_session(waiting: Waiting, attempt: Attempt | None) -> bool:
    """Whether a session has ended that is not the one of its attempt: the answer to its opening was lost, and another
    was opened with the same key. That it takes no money proves nothing about the one that the buyer sees.
    """
    if attempt is None or not isinstance(waiting.statement, Declined):
        return False
    return None not in (ended := waiting.webhook.reference, shown := attempt.session_reference) and ended != shown


def _proved(settled: Settled | None) -> Applied:
    if settled is None or settled.checkout_id is None:
        return Applied(WebhookResult.ATTEMPT_NOT_FOUND)
    if settled.review_reason is not None:
        return Applied(WebhookResult.NEEDS_REVIEW, settled.checkout_id, settled.review_reason)
    result = WebhookResult.KNOWN if settled.transition is None else WebhookResult.CHANGED
    return Applied(result, settled.checkout_id)


def _change(transaction: Transaction, waiting: Sequence[Waiting]) -> dict[WebhookName, Applied]:
    """Record what was changed at the provider, for charges that are there and are the provider's own."""
    found = _find_attempts(transaction, waiting)
    changing = {
        one.request.name: RecordChange(
            charge=attempt,
            change=one.statement,
            schedule=one.request.schedule,
            chance=one.request.chance,
            new_id=new_id,
        )
        for one in waiting
        if isinstance(one.statement, ExternalChange) and (attempt := found.get(one.request.name))
    }
    outcomes = dict(zip(changing, record_changes(transaction, list(changing.values())), strict=True))
    return {
        name: Applied(WebhookResult(outcomes[name].result), change.charge.checkout_id, outcomes[name].reason)
        for name, change in changing.items()
    } | {
        one.request.name: Applied(WebhookResult.ATTEMPT_NOT_FOUND)
        for one in waiting
        if one.request.name not in changing
    }


def _find_attempts(transaction: Transaction, waiting: Sequence[Waiting]) -> dict[WebhookName, Attempt]:
    """Find the attempt of each webhook: by our key, else by the provider's reference."""
    keys = {one.webhook.attempt_key for one in waiting if one.webhook.attempt_key}
    by_key = find_attempts(transaction, keys) if keys else {}
    found = {}
    for one in waiting:
        attempt = by_key.get(one.webhook.attempt_key or "")
        if attempt is None and one.webhook.reference is not None:
            attempt = _find_by_reference(transaction, one, one.webhook.reference)
        if attempt is not None and str(attempt.route) == one.webhook.provider:
            found[one.request.name] = attempt
    return found


def _find_by_reference(transaction: Transaction, waiting: Waiting, reference: str) -> Attempt | None:
    """Find the attempt with a reference. Some providers use one for a charge and for what changes it: of these it is
    the newest whose operation the webhook tells of, and first of all one that is under way.
    """
    provider, _, account_id = waiting.webhook.provider.partition("/")
    # A statement without a kind, and what was changed at the provider, are about a charge.
    wanted = getattr(waiting.statement, "kind", "charge")
    found = read_by_reference(transaction, provider, account_id, reference)
    fitting = [one for one in found if wanted in (None, one.operation)] or found
    return max(fitting, key=lambda one: (one.settled_at is None, one.id), default=None)


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
        due_at=None if done else next_due_at(webhook.tries + 1, now, result),
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
