"""What can be done with webhook endpoints and their deliveries. Each is one function over a batch."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from paidonce.clock import Instant
from paidonce.database.transaction import Transaction
from paidonce.errors import DeliveryNotFound, TooManyWebhookEndpoints, WebhookEndpointNotFound
from paidonce.events.model import Cause, EventType, NewEvent, Origin
from paidonce.merchants.model import Mode, Tenant, TenantScopedId
from paidonce.webhook_endpoints import redelivery, redelivery_store, store
from paidonce.webhook_endpoints.delivery_store import read_messages
from paidonce.webhook_endpoints.message import DueMessage
from paidonce.webhook_endpoints.model import ENDPOINTS_MAX, PauseReason, WebhookEndpoint
from paidonce.webhook_endpoints.redelivery_store import ShownDelivery
from paidonce.webhook_endpoints.store import EndpointFilter


class CreateEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new endpoint; its secret is sealed."""

    id: str
    merchant_id: str
    url: str
    event_types: str | None
    description: str | None
    secret: str
    mode: str = Mode.TEST.value
    origin: Origin = Origin()

    @property
    def tenant(self) -> Tenant:
        """Whose events it is to get."""
        return Tenant(self.merchant_id, self.mode)


CreateOutcome: TypeAlias = WebhookEndpoint | TooManyWebhookEndpoints


def create_endpoints(transaction: Transaction, requests: Sequence[CreateEndpoint]) -> list[CreateOutcome]:
    """Create endpoints; each gets every event of its mode that is numbered after that of its creation."""
    count = Counter(
        one.tenant for one in store.subscriptions_of(transaction, sorted({request.tenant for request in requests}))
    )
    there = store.read_endpoints(transaction, [TenantScopedId(one.id, one.merchant_id) for one in requests])
    outcomes: list[CreateOutcome] = []
    new = []
    for request in requests:
        before = there.get(TenantScopedId(request.id, request.merchant_id))
        if before is not None:  # Our own, from a commit whose answer was lost.
            outcomes.append(before)
        elif count[request.tenant] >= ENDPOINTS_MAX:
            outcomes.append(TooManyWebhookEndpoints(ENDPOINTS_MAX))
        else:
            count[request.tenant] += 1
            new.append(_new_endpoint(request, transaction.now))
            outcomes.append(new[-1])
            transaction.events.append(_event(EventType.ENDPOINT_CREATED, new[-1], request.origin))
    store.insert_endpoints(transaction, new)
    return outcomes


def _new_endpoint(request: CreateEndpoint, now: Instant) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=request.id,
        merchant_id=request.merchant_id,
        mode=request.mode,
        url=request.url,
        event_types=request.event_types,
        description=request.description,
        secret=request.secret,
        former_secret=None,
        former_secret_until=None,
        failing_since=None,
        paused_at=None,
        pause_reason=None,
        version=0,
        created_at=now,
        updated_at=now,
        deleted_at=None,
    )


def _event(kind: EventType, endpoint: WebhookEndpoint, origin: Origin, **detail: str) -> NewEvent:
    return NewEvent(
        type=kind,
        cause=Cause.REQUEST,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        origin=origin,
        detail={"endpointId": endpoint.id, **detail},
    )


class ChangeEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change an endpoint; what is UNSET stays. ``secret`` is a new one, sealed, that replaces the other,
    which signs too for ``overlap_ms``. ``deleted`` ends it.
    """

    name: TenantScopedId
    url: str | msgspec.UnsetType = msgspec.UNSET
    event_types: str | msgspec.UnsetType | None = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    secret: str | msgspec.UnsetType = msgspec.UNSET
    overlap_ms: int = 0
    deleted: bool = False
    origin: Origin = Origin()


ChangeOutcome: TypeAlias = WebhookEndpoint | WebhookEndpointNotFound


def change_endpoints(transaction: Transaction, requests: Sequence[ChangeEndpoint]) -> list[ChangeOutcome]:
    """Change endpoints. Pausing keeps what waits and what is yet to come; resuming makes all of that due at once."""
    # One by one: two of a batch may be about one endpoint, and each sees what the one before has made.
    return [_change(transaction, request) for request in requests]


def _change(transaction: Transaction, request: ChangeEndpoint) -> ChangeOutcome:
    seen = store.read_endpoints(transaction, [request.name]).get(request.name)
    if seen is None or seen.deleted_at is not None:
        # Deleted is as good as deleted by us: a commit whose answer was lost may have done it.
        return seen if seen is not None and request.deleted else WebhookEndpointNotFound()
    wanted = _changed(seen, request, transaction.now)
    if wanted == seen:
        return seen
    wanted = msgspec.structs.replace(wanted, updated_at=transaction.now)
    if not store.change_endpoints(transaction, [wanted]):
        return _change(transaction, request)  # Another process changed it meanwhile: look again.
    if wanted.deleted_at is not None:
        redelivery.delete_redeliveries(transaction, wanted)
        transaction.events.append(_event(EventType.ENDPOINT_DELETED, seen, request.origin))
    elif wanted.paused_at is not None and seen.paused_at is None:
        transaction.events.append(
            _event(EventType.ENDPOINT_PAUSED, seen, request.origin, reason=PauseReason.REQUEST.value)
        )
    elif seen.paused_at is not None and wanted.paused_at is None:
        redelivery_store.make_due(transaction, wanted)
        transaction.events.append(_event(EventType.ENDPOINT_RESUMED, seen, request.origin))
    return msgspec.structs.replace(wanted, version=seen.version + 1)


def _changed(seen: WebhookEndpoint, request: ChangeEndpoint, now: Instant) -> WebhookEndpoint:
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("url", request.url),
            ("event_types", request.event_types),
            ("description", request.description),
        )
        if value is not msgspec.UNSET
    }
    if request.enabled is True and seen.paused_at is not None:
        changes |= {"paused_at": None, "pause_reason": None, "failing_since": None}
    if request.enabled is False and seen.paused_at is None:
        changes |= {"paused_at": now, "pause_reason": PauseReason.REQUEST.value}
    if isinstance(request.secret, str) and request.secret != seen.secret:
        former = (seen.secret, now + request.overlap_ms) if request.overlap_ms else (None, None)
        changes |= {"secret": request.secret, "former_secret": former[0], "former_secret_until": former[1]}
    if request.deleted:
        changes |= {"deleted_at": now, "secret": None, "former_secret": None, "former_secret_until": None}
    return msgspec.structs.replace(seen, **changes)


def load_endpoints(transaction: Transaction, names: Sequence[TenantScopedId]) -> list[ChangeOutcome]:
    """Read endpoints."""
    found = store.read_endpoints(transaction, names)
    return [
        one if (one := found.get(name)) is not None and one.deleted_at is None else WebhookEndpointNotFound()
        for name in names
    ]


def list_endpoints(
    transaction: Transaction, requests: Sequence[EndpointFilter]
) -> list[tuple[list[WebhookEndpoint], bool]]:
    """Read pages of endpoints, newest first, and whether more lies beyond each."""
    return [store.read_page(transaction, request) for request in requests]


class SendTest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a test event at one endpoint. The delivery's id is fixed here, so that it is sent once."""

    endpoint: TenantScopedId
    delivery_id: str
    origin: Origin = Origin()


def send_tests(transaction: Transaction, requests: Sequence[SendTest]) -> list[ChangeOutcome]:
    """Write test events; their deliveries are written with them, before the commit."""
    endpoints = load_endpoints(transaction, [request.endpoint for request in requests])
    there = redelivery_store.ids_among(transaction, [request.delivery_id for request in requests])
    for request, endpoint in zip(requests, endpoints, strict=True):
        if isinstance(endpoint, WebhookEndpoint) and request.delivery_id not in there:
            transaction.events.append(
                _event(EventType.ENDPOINT_TEST, endpoint, request.origin, deliveryId=request.delivery_id)
            )
    return endpoints


def redeliver(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[ShownDelivery | DeliveryNotFound]:
    """Make deliveries due at once, whatever became of them, with all tries before them; one under way stays so."""
    outcomes: list[ShownDelivery | DeliveryNotFound] = []
    for request in requests:
        redelivery_store.redeliver_one(transaction, request)
        found = redelivery_store.read_delivery(transaction, request)
        outcomes.append(found or DeliveryNotFound())
    return outcomes


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries of an endpoint a page shows; newest first, or those just newer than ``ending_before``."""

    endpoint: TenantScopedId
    limit: int
    status: str | None = None
    starting_after: str | None = None
    ending_before: str | None = None


Page: TypeAlias = tuple[list[ShownDelivery], bool]


def list_deliveries(
    transaction: Transaction, requests: Sequence[DeliveryFilter]
) -> list[Page | WebhookEndpointNotFound]:
    """Read pages of deliveries with their tries, newest first, and whether more lies beyond each."""
    outcomes: list[Page | WebhookEndpointNotFound] = []
    for request in requests:
        (endpoint,) = load_endpoints(transaction, [request.endpoint])
        if isinstance(endpoint, WebhookEndpoint):
            outcomes.append(
                redelivery_store.read_page(
                    transaction,
                    endpoint,
                    limit=request.limit,
                    status=request.status,
                    starting_after=request.starting_after,
                    ending_before=request.ending_before,
                )
            )
        else:
            outcomes.append(endpoint)
    return outcomes


def load_deliveries(
    transaction: Transaction, requests: Sequence[TenantScopedId]
) -> list[ShownDelivery | DeliveryNotFound]:
    """Read deliveries with their tries."""
    return [redelivery_store.read_delivery(transaction, request) or DeliveryNotFound() for request in requests]


def load_messages(transaction: Transaction, requests: Sequence[TenantScopedId]) -> list[DueMessage | DeliveryNotFound]:
    """Read what deliveries say, from which their bodies are written again as they were sent."""
    found = [redelivery_store.read_delivery(transaction, request) for request in requests]
    messages = read_messages(transaction, [one.delivery for one in found if one is not None])
    return [DeliveryNotFound() if one is None else messages[one.delivery.id] for one in found]


class RedeliverFailed(msgspec.Struct, frozen=True):
    """A request to send again what failed to reach an endpoint and was created since an instant."""

    endpoint: TenantScopedId
    since: Instant


class FailedRedelivered(msgspec.Struct, frozen=True):
    """How many deliveries were made due, and whether there may be more."""

    deliveries: int
    has_more: bool


def redeliver_failed(
    transaction: Transaction, requests: Sequence[RedeliverFailed]
) -> list[FailedRedelivered | WebhookEndpointNotFound]:
    """Make an endpoint's failed deliveries due at once, at most redelivery_store.REDELIVERED_MAX of each request."""
    outcomes: list[FailedRedelivered | WebhookEndpointNotFound] = []
    for request in requests:
        (endpoint,) = load_endpoints(transaction, [request.endpoint])
        if isinstance(endpoint, WebhookEndpoint):
            outcomes.append(FailedRedelivered(*redelivery_store.redeliver_failed(transaction, endpoint, request.since)))
        else:
            outcomes.append(endpoint)
    return outcomes
