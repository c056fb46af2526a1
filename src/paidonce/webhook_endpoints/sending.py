"""What a sender asks of the database: who waits, a share of it, and to write down what came of each try."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.events.model import Cause, EventType, NewEvent
from paidonce.webhook_endpoints import deliveries, store
from paidonce.webhook_endpoints.deliveries import DeliveryMark, Held, NewTry, Share, Waiting
from paidonce.webhook_endpoints.message import DueMessage, write_message
from paidonce.webhook_endpoints.model import (
    GONE,
    Delivery,
    DeliveryStatus,
    PauseReason,
    Schedule,
    WebhookEndpoint,
)
from paidonce.webhook_endpoints.store import EndpointName

log = structlog.get_logger()


class ClaimDeliveries(msgspec.Struct, frozen=True):
    """A sender's wish for work at some endpoints."""

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
    """Name endpoints for which something is due, at most ``limit`` for each request."""
    return [deliveries.find_waiting(transaction, limit) for limit in limits]


def claim_deliveries(transaction: Transaction, requests: Sequence[ClaimDeliveries]) -> list[list[ClaimedDelivery]]:
    """Claim due deliveries for senders: pending ones, and those whose lease is over, whoever had it."""
    return [_claim(transaction, request) for request in requests]


def _claim(transaction: Transaction, request: ClaimDeliveries) -> list[ClaimedDelivery]:
    lease_until = transaction.now + request.lease_ms
    claimed = deliveries.claim_due(transaction, request.shares, lease_until=lease_until)
    if not claimed:
        return []
    endpoints = store.read_endpoints(transaction, {_endpoint_of(one) for one in claimed})
    messages = deliveries.read_messages(transaction, claimed)
    return [ClaimedDelivery(one, endpoints[_endpoint_of(one)], _body(messages, one)) for one in claimed]


def _body(messages: Mapping[str, DueMessage], one: Delivery) -> bytes | None:
    """Write a delivery's body; None where what is stored cannot be written: then only this delivery fails."""
    try:
        return write_message(messages[one.id])
    except Exception:
        log.exception("webhook_not_written", delivery_id=one.id)
        return None


def _endpoint_of(one: Delivery) -> EndpointName:
    return EndpointName(one.endpoint_id, one.merchant_id)


def release_deliveries(transaction: Transaction, requests: Sequence[Sequence[Held]]) -> list[None]:
    """Give leases back, so that another sender need not wait for their end."""
    deliveries.release(transaction, [held for request in requests for held in request])
    return [None for _ in requests]


def release_all_deliveries(transaction: Transaction, requests: Sequence[None]) -> list[None]:
    """Give back every lease: a process that is alone with its database knows that their owners are dead."""
    deliveries.release_all(transaction)
    return list(requests)


class RecordTry(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a try. ``error`` is None where it arrived; ``chance`` in [0, 1) spreads the next one.

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
    """Write tries and what follows for deliveries and endpoints. Where another holds a delivery by now, nothing does.

    The endpoint and its event follow the deliveries in one transaction: whoever reads one sees the other.
    """
    marks = [_mark(request, transaction.now) for request in requests]
    applied = deliveries.mark_deliveries(transaction, marks)
    counted = [request for request in requests if request.delivery.id in applied]
    deliveries.insert_tries(transaction, [_try(request) for request in counted])
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
    """Say of each endpoint whether it fails, and pause one that is gone or has failed for too long."""
    by_endpoint: defaultdict[EndpointName, list[RecordTry]] = defaultdict(list)
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
        missed = {one.id for one in changes} - changed  # Another process changed one meanwhile: look again.
        by_endpoint = defaultdict(list, {name: by_endpoint[name] for name in seen if name.id in missed})


def _after(endpoint: WebhookEndpoint, requests: Iterable[RecordTry], now: Instant) -> WebhookEndpoint:
    """Tell what an endpoint is after tries; the same object where nothing changes."""
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
        detail=detail,
    )
