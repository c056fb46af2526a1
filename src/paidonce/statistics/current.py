"""What is so now: unknown outcomes, attempts that wait for a person, and the health of webhooks, of one merchant.

Each query reads an index, and counts at most ``COUNTED_MAX`` rows.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import bindparam, func, select, text

from paidonce.clock import Instant
from paidonce.database.schema import AWAITING_PROOF, attempt, delivery, webhook_endpoint
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import Tenant
from paidonce.payments.model import AttemptStatus

COUNTED_MAX: Final = 1000

_UNPROVEN: Final = (
    select(attempt.c.created_at)
    .where(
        text(AWAITING_PROOF),
        attempt.c.merchant_id == bindparam("tenant"),
        attempt.c.mode == bindparam("of_mode"),
        attempt.c.status == bindparam("of_status"),
    )
    .order_by(attempt.c.created_at)
    .limit(bindparam("limit"))
    .subquery()
)
_COUNT_UNPROVEN: Final = select(func.count(), func.min(_UNPROVEN.c.created_at))

_ENDPOINTS: Final = select(webhook_endpoint.c.id, webhook_endpoint.c.failing_since, webhook_endpoint.c.paused_at).where(
    webhook_endpoint.c.merchant_id == bindparam("tenant"),
    webhook_endpoint.c.mode == bindparam("of_mode"),
    webhook_endpoint.c.deleted_at.is_(None),
)

_WAITING: Final = (
    select(delivery.c.created_at)
    .where(
        delivery.c.endpoint_id == bindparam("at_endpoint"),
        delivery.c.merchant_id == bindparam("tenant"),
        delivery.c.due_at.is_not(None),
    )
    .order_by(delivery.c.due_at)
    .limit(bindparam("limit"))
    .subquery()
)
_COUNT_WAITING: Final = select(func.count(), func.min(_WAITING.c.created_at))


class Waiting(msgspec.Struct, frozen=True):
    """How many there are, at most ``COUNTED_MAX``, and when the oldest was created; None where there are none."""

    count: int = 0
    oldest_at: Instant | None = None

    def __add__(self, other: "Waiting") -> "Waiting":
        """Add others."""
        oldest = [one for one in (self.oldest_at, other.oldest_at) if one is not None]
        return Waiting(self.count + other.count, min(oldest, default=None))


class CurrentState(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's state at ``at``. Endpoints that are failing and paused count as paused.

    The oldest delivery is that of the ``COUNTED_MAX`` that are due first.
    """

    at: Instant
    unknown: Waiting
    in_review: Waiting
    endpoints: int
    endpoints_failing: int
    endpoints_paused: int
    deliveries: Waiting


def load_current_states(transaction: Transaction, requests: Sequence[Tenant]) -> list[CurrentState]:
    """Read what is so now, for each merchant and mode."""
    return [_load(transaction, tenant) for tenant in requests]


def _load(transaction: Transaction, tenant: Tenant) -> CurrentState:
    of_tenant = {"tenant": tenant.merchant_id, "of_mode": tenant.mode}

    def unproven(status: AttemptStatus) -> Waiting:
        (row,) = transaction.rows(_COUNT_UNPROVEN, {**of_tenant, "of_status": status.value, "limit": COUNTED_MAX})
        return Waiting(*row)

    endpoints = transaction.rows(_ENDPOINTS, of_tenant)
    deliveries = Waiting()
    for endpoint in endpoints:
        limit = COUNTED_MAX - deliveries.count
        wanted = {"tenant": tenant.merchant_id, "at_endpoint": endpoint.id, "limit": limit}
        if limit > 0:
            deliveries += Waiting(*transaction.rows(_COUNT_WAITING, wanted)[0])
    paused = sum(one.paused_at is not None for one in endpoints)
    return CurrentState(
        at=transaction.now,
        unknown=unproven(AttemptStatus.UNKNOWN),
        in_review=unproven(AttemptStatus.NEEDS_REVIEW),
        endpoints=len(endpoints),
        endpoints_failing=sum(one.failing_since is not None and one.paused_at is None for one in endpoints),
        endpoints_paused=paused,
        deliveries=deliveries,
    )
