"""The use cases of a sender: find endpoints with due deliveries, claim deliveries, record tries, release leases."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints import delivery_store, due_delivery_store, store
from paidonce.webhook_endpoints.delivery_store import DeliveryMark, Held, NewTry
from paidonce.webhook_endpoints.due_delivery_store import Share, Waiting
from paidonce.webhook_endpoints.message import DueMessage, write_message
from paidonce.webhook_endpoints.model import (
    GONE,
    Delivery,
    DeliveryStatus,
    PauseReason,
    Schedule,
    WebhookEndpoint,
)

log = structlog.get_logger()


class ClaimDeliveries(msgspec.Struct, frozen=True):
    """A sender's request for due deliveries of some endpoints."""

    shares: Sequence[Share]
    lease_ms: int


class ClaimedDelivery(msgspec.Struct, frozen=True):
    """A delivery that is leased to this process, its endpoint, and its body, or None where that cannot be written.

    ``is_failing`` says whether the endpoint was failing when it was found.
    """

    delivery: Delivery
    endpoint: WebhookEndpoint
    body: bytes | None
    is_failing: bool = False


def find_waiting_endpoints(transaction: Transaction, limits: Sequence[int]) -> list[list[Waiting]]:
    """Find endpoints that have due deliveries, at most ``limit`` for each request."""
    return [due_delivery_store.find_waiting(transaction, limit) for limit in limits]


def claim_deliveries(transaction: Transaction, requests: Sequence[ClaimDeliveries]) -> list[list[ClaimedDelivery]]:
    """Claim due deliveries for senders: pending ones, and those whose lease has ended."""
    return [_claim(transaction, request) for request in requests]


def _claim(transaction: Transaction, request: ClaimDeliveries) -> list[ClaimedDelivery]:
    lease_until = transaction.now + request.lease_ms
    claimed = due_delivery_store.claim_due(transaction, request.shares, lease_until=lease_until)
    if not claimed:
        return []
    endpoints = store.read_endpoints(transaction, {_endpoint_of(one) for one in claimed})
    messages = delivery_store.read_messages(transaction, claimed)
    return [ClaimedDelivery(one, endpoints[_endpoint_of(one)], _body(messages, one)) for one in claimed]


def _body(messages: Mapping[str, DueMessage], one: Delivery) -> bytes | None:
    """Write a delivery's body; None where what is stored cannot be written: then only this delivery fails."""
    try:
        return write_message(messages[one.id])
    except Exception:
        log.exception("webhook_not_written", delivery_id=one.id)
        return None


def _endpoint_of(one: Delivery) -> TenantScopedId:
    return TenantScopedId(one.endpoint_id, one.merchant_id)


def release_deliveries(transaction: Transaction, requests: Sequence[Sequence[Held]]) -> list[None]:
    """Release leases, so that another sender does not have to wait until they end."""
    delivery_store.release(transaction, [held for request in requests for held in request])
    return [None for _ in requests]


def release_all_deliveries(transaction: Transaction, requests: Sequence[None]) -> list[None]:
    """Release every lease: a process that is alone with its database knows that their owners are dead."""
    delivery_store.release_all(transaction)
    return list(requests)


class RecordTry(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a try. ``error`` is None where it succeeded; ``chance`` in [0, 1) is the jitter of the next try.

    ``was_sent`` is false where the receiver was not called: such a try counts, but says nothing about the endpoint.
    """

    delivery: Delivery
    started_at: Instant
    duration_ms: int
    schedule: Schedule
    chance: float
    status_code: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after_seconds: int | None = None
    was_sent: bool = True


def record_tries(transaction: Transaction, requests: Sequence[RecordTry]) -> list[None]:
    """Record tries, and their effect on deliveries and endpoints. A try whose lease was taken over has no effect.

    All of it is one transaction: a reader of the delivery sees the endpoint and its event, too.
    """
    marks = [_mark(request, transaction.now) for request in requests]
    applied = delivery_store.mark_deliveries(transaction, marks)
    counted = [request for request in requests if request.delivery.id in applied]
    delivery_store.insert_tries(transaction, [_try(request) for request in counted])
    _follow(transaction, [request for request in counted if request.was_sent])
    return [None for _ in requests]


def _mark(request: RecordTry, now: Instant) -> DeliveryMark:
    one = request.delivery
    failures = one.failures + (request.error is not None)
    due_at = None
    if request.error is not None:
        due_at = request.schedule.next_try_at(
            failures, now, chance=request.chance, retry_after_seconds=request.retry_after_seconds
        )
    if request.error is None:
        status = DeliveryStatus.DELIVERED
    else:
        status = DeliveryStatus.FAILED if due_at is None else DeliveryStatus.PENDING
    return DeliveryMark(
        id=one.id,
        merchant_id=one.merchant_id,
        fence=one.fence,
        status=status,
        due_at=due_at,
        failures=failures,
        delivered_at=now if request.error is None else None,
    )


def _try(request: RecordTry) -> NewTry:
    return NewTry(
        delivery_id=request.delivery.id,
        merchant_id=request.delivery.merchant_id,
        number=request.delivery.fence,
        started_at=request.started_at,
        duration_ms=request.duration_ms,
        status_code=request.status_code,
        error=request.error,
        answer=request.answer,
    )


def _follow(transaction: Transaction, requests: Sequence[RecordTry]) -> None:
    """Update whether endpoints are failing, and pause one that is gone or has failed for too long."""
    by_endpoint: defaultdict[TenantScopedId, list[RecordTry]] = defaultdict(list)
    for request in requests:
        by_endpoint[_endpoint_of(request.delivery)].append(request)
    while by_endpoint:
        seen = store.read_endpoints(transaction, sorted(by_endpoint, key=lambda name: name.id))
        wanted = {name: _after(endpoint, by_endpoint[name], transaction.now) for name, endpoint in seen.items()}
        changes = [one for name, one in wanted.items() if one is not seen[name]]
        changed = store.change_endpoints(transaction, changes)
        for name, endpoint in wanted.items():
            if endpoint.id in changed and endpoint.paused_at is not None and seen[name].paused_at is None:
                transaction.events.append(_paused(endpoint, by_endpoint[name]))
        missed = {one.id for one in changes} - changed  # Another process changed one meanwhile: read it again.
        by_endpoint = defaultdict(list, {name: by_endpoint[name] for name in seen if name.id in missed})


def _after(endpoint: WebhookEndpoint, requests: Iterable[RecordTry], now: Instant) -> WebhookEndpoint:
    """Return an endpoint as it is after tries; the same object where nothing changes."""
    after = endpoint
    for request in sorted(requests, key=lambda one: one.started_at + one.duration_ms):
        if request.error is None:
            if after.failing_since is not None:
                after = msgspec.structs.replace(after, failing_since=None)
        else:
            after = _after_failure(after, request, now)
    return after


def _after_failure(endpoint: WebhookEndpoint, request: RecordTry, now: Instant) -> WebhookEndpoint:
    if endpoint.failing_since is None:
        endpoint = msgspec.structs.replace(endpoint, failing_since=now)
    reason = None
    if request.status_code == GONE:
        reason = PauseReason.GONE
    elif endpoint.failing_since is not None and request.schedule.is_too_long(endpoint.failing_since, now):
        reason = PauseReason.FAILING
    if reason is None or endpoint.paused_at is not None or endpoint.deleted_at is not None:
        return endpoint
    return msgspec.structs.replace(endpoint, paused_at=now, pause_reason=reason, updated_at=now)


def _paused(endpoint: WebhookEndpoint, requests: Sequence[RecordTry]) -> NewEvent:
    detail = {"endpointId": endpoint.id, "reason": endpoint.pause_reason, "error": requests[-1].error}
    return NewEvent(
        type=EventType.ENDPOINT_PAUSED,
        cause=Cause.RECEIVER_ANSWER,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        detail=detail,
    )
