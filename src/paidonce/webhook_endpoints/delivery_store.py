"""Statements over deliveries as a sender needs them: who waits, claiming, recording, giving back.

They go endpoint by endpoint, each by its own part of one index: what waits for one costs the others nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import CTE, BigInteger, ColumnElement, Select, Update, and_, bindparam, func, or_, select, true, update
from sqlalchemy.sql.selectable import FromClause

from paidonce.clock import Instant
from paidonce.database.locks import change_unlocked
from paidonce.database.schema import attempt, checkout, delivery, delivery_try, event, webhook_endpoint
from paidonce.database.sets import encode_rows, insert_json_rows, json_rows
from paidonce.database.statement import CITUS, POSTGRESQL, Statement
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints.message import DueMessage
from paidonce.webhook_endpoints.model import (
    PLACES_OF_AN_ENDPOINT,
    Delivery,
    DeliveryStatus,
    check_transition,
    sources_of,
)

_COLUMNS: Final = [delivery.c[name] for name in Delivery.__struct_fields__]
_OPEN: Final = delivery.c.due_at.is_not(None)
_RELEASED: Final = check_transition(DeliveryStatus.SENDING, DeliveryStatus.PENDING)


class Waiting(msgspec.Struct, frozen=True):
    """An endpoint for which something is due."""

    endpoint_id: str
    merchant_id: str
    is_failing: bool


class Share(msgspec.Struct, frozen=True):
    """How many deliveries are to be claimed for an endpoint."""

    endpoint_id: str
    merchant_id: str
    places: int


class Held(msgspec.Struct, frozen=True, order=True):
    """A delivery in the hands of the sender that has this fence."""

    id: str
    merchant_id: str
    fence: int


class NewTry(msgspec.Struct, frozen=True, kw_only=True):
    """A try, as it is kept; ``number`` is the fence of the claim that it was made under."""

    delivery_id: str
    merchant_id: str
    number: int
    started_at: Instant
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class DeliveryMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a try made of a delivery, under the fence of its claim."""

    id: str
    merchant_id: str
    fence: int
    status: str
    due_at: Instant | None
    failures: int
    delivered_at: Instant | None

    def __post_init__(self) -> None:
        """Refuse a transition that is not in the table."""
        check_transition(DeliveryStatus.SENDING, DeliveryStatus(self.status))


def _endpoints_with_open() -> CTE:
    """Step from endpoint to endpoint through the index of what is open: as many steps as such endpoints, not as rows.

    Citus refuses it: there every endpoint is looked at.
    """
    first = select(func.min(delivery.c.endpoint_id).label("id")).where(_OPEN).cte("step", recursive=True)
    beyond = select(func.min(delivery.c.endpoint_id)).where(_OPEN, delivery.c.endpoint_id > first.c.id)
    return first.union_all(select(beyond.scalar_subquery()).where(first.c.id.is_not(None)))


def _has_open(dialect: str) -> tuple[ColumnElement[bool], ...]:
    return () if dialect == CITUS else (webhook_endpoint.c.id == _endpoints_with_open().c.id,)


def _waiting(dialect: str) -> Select[Any]:
    first_due = (
        select(func.min(delivery.c.due_at))
        .where(
            delivery.c.endpoint_id == webhook_endpoint.c.id,
            delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
            _OPEN,
        )
        .scalar_subquery()
    )
    failing = webhook_endpoint.c.failing_since.is_not(None)
    found = (
        select(
            webhook_endpoint.c.id,
            webhook_endpoint.c.merchant_id,
            failing.label("is_failing"),
            first_due.label("first_due"),
        )
        .where(
            *_has_open(dialect),
            webhook_endpoint.c.paused_at.is_(None),
            webhook_endpoint.c.deleted_at.is_(None),
        )
        .subquery("found")
    )
    return (
        select(found.c.id, found.c.merchant_id, found.c.is_failing)
        .where(found.c.first_due <= bindparam("now"))
        .order_by(found.c.is_failing, found.c.first_due)
        .limit(bindparam("limit"))
    )


def _deleted(dialect: str) -> Select[Any]:
    """Select deleted endpoints that left something open, but for what is being sent: that ends with its lease."""
    left = select(delivery.c.id).where(
        delivery.c.endpoint_id == webhook_endpoint.c.id,
        delivery.c.merchant_id == webhook_endpoint.c.merchant_id,
        _OPEN,
        _nobodys(),
    )
    return (
        select(webhook_endpoint.c.id, webhook_endpoint.c.merchant_id)
        .where(*_has_open(dialect), webhook_endpoint.c.deleted_at.is_not(None), left.exists())
        .order_by(webhook_endpoint.c.id)
        .limit(bindparam("limit"))
    )


def _nobodys() -> ColumnElement[bool]:
    return or_(delivery.c.status == DeliveryStatus.PENDING, delivery.c.due_at <= bindparam("now"))


def _may_become(target: DeliveryStatus) -> ColumnElement[bool]:
    """Guard a transition by the table of allowed transitions."""
    return or_(*(delivery.c.status == source for source in sources_of(target)))


def _first_due(dialect: str) -> Select[Any]:
    """Select the longest due deliveries of each wanted endpoint, as many as it has places."""
    wanted = json_rows(dialect, "wanted", endpoint_id=str, merchant_id=str, places=int)
    head, joined = (_heads_by_lateral if dialect == POSTGRESQL else _heads_by_range)(wanted)
    place = func.row_number().over(
        partition_by=(head.c.merchant_id, head.c.endpoint_id), order_by=(head.c.due_at, head.c.id)
    )
    ranked = (
        select(head.c.id, head.c.merchant_id, head.c.fence, place.label("place"), wanted.c.places)
        .select_from(joined)
        .subquery("ranked")
    )
    return select(ranked.c.id, ranked.c.merchant_id, ranked.c.fence).where(ranked.c.place <= ranked.c.places)


def _heads_by_lateral(wanted: FromClause) -> tuple[FromClause, FromClause]:
    head = (
        select(delivery)
        .where(
            delivery.c.endpoint_id == wanted.c.endpoint_id,
            delivery.c.merchant_id == wanted.c.merchant_id,
            delivery.c.due_at <= bindparam("now"),
        )
        .order_by(delivery.c.due_at, delivery.c.id)
        .limit(PLACES_OF_AN_ENDPOINT)
        .with_for_update(skip_locked=True)  # So that senders do not queue for the same rows.
        .lateral("head")
    )
    return head, wanted.join(head, true())


def _heads_by_range(wanted: FromClause) -> tuple[FromClause, FromClause]:
    """For SQLite and Citus, which have no LATERAL with LIMIT: select up to when the last of the first is due.

    More may be due at that instant.
    """
    first, head = delivery.alias("first"), delivery.alias("head")
    last_due = (
        select(first.c.due_at)
        .where(
            first.c.endpoint_id == webhook_endpoint.c.id,
            first.c.merchant_id == webhook_endpoint.c.merchant_id,
            first.c.merchant_id == wanted.c.merchant_id,  # So that Citus looks for it on the shards of these only.
            first.c.due_at <= bindparam("now"),
        )
        .order_by(first.c.due_at)
        .offset(PLACES_OF_AN_ENDPOINT - 1)
        .limit(1)
        .correlate(webhook_endpoint, wanted)
        .scalar_subquery()
    )
    of_endpoint = and_(
        head.c.endpoint_id == webhook_endpoint.c.id,
        head.c.merchant_id == webhook_endpoint.c.merchant_id,
        head.c.merchant_id == wanted.c.merchant_id,
        head.c.due_at <= func.coalesce(last_due, bindparam("now", type_=BigInteger())),
    )
    endpoints = wanted.join(
        webhook_endpoint,
        (webhook_endpoint.c.id == wanted.c.endpoint_id) & (webhook_endpoint.c.merchant_id == wanted.c.merchant_id),
    )
    return head, endpoints.join(head, of_endpoint)


def _claim(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    statement = update(delivery).where(
        delivery.c.id == wanted.c.id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        # Another sender may have claimed it since it was found: then it has another fence, and is not due.
        delivery.c.fence == wanted.c.fence,
        delivery.c.due_at <= bindparam("now"),
        _may_become(DeliveryStatus.SENDING),
    )
    return statement.values(
        status=DeliveryStatus.SENDING,
        fence=delivery.c.fence + 1,
        due_at=bindparam("lease_until"),
        updated_at=bindparam("now"),
    ).returning(*_COLUMNS)


def _messages(dialect: str) -> Select[Any]:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str)
    columns = {
        "delivery_id": delivery.c.id,
        "merchant_id": delivery.c.merchant_id,
        "mode": event.c.mode,
        "number": delivery.c.number,
        "event_id": event.c.id,
        "type": event.c.type,
        "sequence": event.c.sequence,
        "cause": event.c.cause,
        "detail": event.c.detail,
        "created_at": event.c.created_at,
        "attempt_id": event.c.attempt_id,
        "attempt_kind": attempt.c.kind,
        "attempt_amount": attempt.c.amount,
        "attempt_currency": attempt.c.currency,
        "attempt_provider": attempt.c.provider,
        "attempt_reason": attempt.c.reason,
        "checkout_id": checkout.c.id,
        "checkout_amount": checkout.c.amount,
        "checkout_currency": checkout.c.currency,
        "checkout_key": checkout.c.idempotency_key,
        "checkout_capture_method": checkout.c.capture_method,
        "checkout_description": checkout.c.description,
        "checkout_metadata": checkout.c.metadata,
        "checkout_created_at": checkout.c.created_at,
        "checkout_expires_at": checkout.c.expires_at,
    }
    of_one_merchant = delivery.c.merchant_id == wanted.c.merchant_id
    joined = (
        wanted.join(delivery, (delivery.c.id == wanted.c.id) & of_one_merchant)
        .join(
            event,
            and_(
                event.c.id == delivery.c.event_id,
                event.c.merchant_id == delivery.c.merchant_id,
                event.c.merchant_id == wanted.c.merchant_id,
            ),
        )
        .outerjoin(checkout, (checkout.c.id == event.c.checkout_id) & (checkout.c.merchant_id == event.c.merchant_id))
        .outerjoin(attempt, (attempt.c.id == event.c.attempt_id) & (attempt.c.merchant_id == event.c.merchant_id))
    )
    return select(*(columns[name].label(name) for name in DueMessage.__struct_fields__)).select_from(joined)


def _mark(dialect: str) -> Update:
    wanted = json_rows(
        dialect,
        "wanted",
        id=str,
        merchant_id=str,
        fence=int,
        status=str,
        due_at=int,
        failures=int,
        delivered_at=int,
    )
    return (
        update(delivery)
        .where(
            delivery.c.id == wanted.c.id,
            delivery.c.merchant_id == wanted.c.merchant_id,
            delivery.c.fence == wanted.c.fence,
            delivery.c.status == DeliveryStatus.SENDING,
        )
        .values(
            status=wanted.c.status,
            due_at=wanted.c.due_at,
            failures=wanted.c.failures,
            delivered_at=func.coalesce(wanted.c.delivered_at, delivery.c.delivered_at),
            updated_at=bindparam("now"),
        )
        .returning(delivery.c.id)
    )


def _release(dialect: str) -> Update:
    wanted = json_rows(dialect, "wanted", id=str, merchant_id=str, fence=int)
    statement = update(delivery).where(
        delivery.c.id == wanted.c.id,
        delivery.c.merchant_id == wanted.c.merchant_id,
        delivery.c.fence == wanted.c.fence,
        delivery.c.status == DeliveryStatus.SENDING,
    )
    return statement.values(status=_RELEASED, due_at=bindparam("now"))


def _drop() -> Update:
    few = (
        select(delivery.c.id)
        .where(
            delivery.c.endpoint_id == bindparam("wanted_id"),
            delivery.c.merchant_id == bindparam("of_merchant"),
            _OPEN,
            _nobodys(),
        )
        .limit(bindparam("limit"))
    )
    statement = update(delivery).where(
        delivery.c.id.in_(few),
        delivery.c.merchant_id == bindparam("of_merchant"),
        _OPEN,
        _nobodys(),
        _may_become(DeliveryStatus.DROPPED),
    )
    return statement.values(status=DeliveryStatus.DROPPED, due_at=None, updated_at=bindparam("now"))


_WAITING: Final = Statement(_waiting)
_FIRST_DUE: Final = Statement(_first_due)
_CLAIM: Final = Statement(_claim)
_MESSAGES: Final = Statement(_messages)
_MARK: Final = Statement(_mark)
_RELEASE: Final = Statement(_release)
_RELEASE_ALL: Final = (
    update(delivery)
    .where(delivery.c.status == DeliveryStatus.SENDING, _OPEN)
    .values(status=_RELEASED, due_at=bindparam("now"))
)
_DELETED: Final = Statement(_deleted)
_DROP: Final = _drop()
_INSERT_TRY: Final = Statement(
    lambda dialect: insert_json_rows(dialect, delivery_try, *NewTry.__struct_fields__, merchants_exist=True)
)


def find_waiting(transaction: Transaction, limit: int) -> list[Waiting]:
    """Name at most ``limit`` endpoints that something is due for: healthy ones first, then the longest due."""
    rows = transaction.rows_of_living_nodes(_WAITING, {"now": transaction.now, "limit": limit})
    return [Waiting(row[0], row[1], bool(row[2])) for row in rows[:limit]]


def claim_due(transaction: Transaction, shares: Sequence[Share], *, lease_until: Instant) -> list[Delivery]:
    """Claim due deliveries until ``lease_until``, at most as many for each endpoint as it has places."""
    due = transaction.rows(_FIRST_DUE, {"wanted": encode_rows(shares), "now": transaction.now})

    def claim(deliveries: Sequence[Held]) -> list[Delivery]:
        parameters = {"wanted": encode_rows(deliveries), "now": transaction.now, "lease_until": lease_until}
        return [Delivery(*row) for row in transaction.rows(_CLAIM, parameters)]

    return list(change_unlocked(transaction.connection, [Held(*row) for row in due], claim))


def read_messages(transaction: Transaction, deliveries: Iterable[Delivery]) -> dict[str, DueMessage]:
    """Read what deliveries are to say, by their ids."""
    wanted = encode_rows({"id": one.id, "merchant_id": one.merchant_id} for one in deliveries)
    rows = transaction.rows(_MESSAGES, {"wanted": wanted})
    found = (DueMessage(**dict(zip(DueMessage.__struct_fields__, row, strict=True))) for row in rows)
    return {one.delivery_id: one for one in found}


def mark_deliveries(transaction: Transaction, marks: Sequence[DeliveryMark]) -> set[str]:
    """Write what tries came to; returns the ids of those that are still in these hands."""
    if not marks:
        return set()
    return transaction.column(_MARK, {"wanted": encode_rows(marks), "now": transaction.now})


def insert_tries(transaction: Transaction, tries: Sequence[NewTry]) -> None:
    """Insert tries."""
    if tries:
        transaction.run(_INSERT_TRY, {"rows": encode_rows(tries)})


def release(transaction: Transaction, held: Sequence[Held]) -> None:
    """Make deliveries due at once that are still in these hands."""
    transaction.run(_RELEASE, {"wanted": encode_rows(held), "now": transaction.now})


def release_all(transaction: Transaction) -> None:
    """Make every leased delivery due at once."""
    transaction.run(_RELEASE_ALL, {"now": transaction.now})


def find_deleted(transaction: Transaction, limit: int) -> list[TenantScopedId]:
    """Find at most ``limit`` deleted endpoints that have open deliveries without a lease."""
    rows = transaction.rows_of_living_nodes(_DELETED, {"now": transaction.now, "limit": limit})
    return [TenantScopedId(*row) for row in rows[:limit]]


def drop_open(transaction: Transaction, endpoint: TenantScopedId, *, limit: int) -> None:
    """End at most ``limit`` open deliveries of an endpoint that is no more, but for those that are being sent."""
    names = {"wanted_id": endpoint.id, "of_merchant": endpoint.merchant_id}
    transaction.run(_DROP, {**names, "limit": limit, "now": transaction.now})
