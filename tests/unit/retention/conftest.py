"""Merchants with webhook endpoints and old events, on a database of each kind."""

from typing import Any

import pytest
from sqlalchemy import Select, func, select

from paidonce.clock import DAY_MS
from paidonce.database.schema import delivery, delivery_try, event
from paidonce.merchants.model import Tenant
from paidonce.retention.actions import FindOldLogs, PlanDeletion, delete_old, find_old_logs, plan_deletions
from paidonce.retention.model import Deletion, RetentionPeriods
from paidonce.statistics.actions import CountLogs, count_logs, store_counts
from tests.support.shared_service import anyio_backend, running, service
from tests.unit.webhook_endpoints.conftest import Outgoing, outgoing, shared_outgoing

__all__ = ["anyio_backend", "outgoing", "running", "service", "shared_outgoing"]

MONTH = RetentionPeriods(event_ms=30 * DAY_MS)
TENANT = Tenant("m1", "test")


class Retention:
    """What a worker does with the logs of merchants, step by step."""

    def __init__(self, outgoing: Outgoing, periods: RetentionPeriods = MONTH) -> None:
        self.outgoing = outgoing
        self.periods = periods

    def count(self, tenant: Tenant = TENANT) -> None:
        """Count all events for statistics."""
        (counts,) = self.outgoing.do(count_logs, CountLogs([tenant], 1000))
        self.outgoing.do(store_counts, *counts)

    def old_logs(self) -> list[Tenant]:
        tenants: list[Tenant] = self.outgoing.do(find_old_logs, FindOldLogs("", 100, self.periods))[0].tenants
        return tenants

    def plan(self, tenant: Tenant = TENANT) -> Deletion | None:
        planned: Deletion | None = self.outgoing.do(plan_deletions, PlanDeletion(tenant, self.periods))[0]
        return planned

    def delete(self, tenant: Tenant = TENANT) -> int:
        """Delete until nothing more can be; returns how many steps that took."""
        steps = 0
        while (planned := self.plan(tenant)) is not None:
            assert self.outgoing.do(delete_old, planned) == [True]
            steps += 1
        return steps

    def sequences(self, tenant: Tenant = TENANT) -> list[int]:
        """Return the numbers of the events that are kept."""
        of_log = (event.c.merchant_id == tenant.merchant_id, event.c.mode == tenant.mode)
        return self._column(select(event.c.sequence).where(*of_log).order_by(event.c.sequence))

    def delivered(self) -> list[int]:
        """Return the numbers of the events whose deliveries are kept."""
        return self._column(
            select(event.c.sequence)
            .join(delivery, (delivery.c.event_id == event.c.id) & (delivery.c.merchant_id == event.c.merchant_id))
            .order_by(event.c.sequence)
        )

    def tries(self) -> int:
        return self._column(select(func.count()).select_from(delivery_try))[0]

    def _column(self, wanted: Select[Any]) -> list[int]:
        with self.outgoing.database.read() as transaction:
            return [row[0] for row in transaction.rows(wanted)]


@pytest.fixture
def retention(outgoing: Outgoing) -> Retention:
    """Keep events of a database for a month."""
    return Retention(outgoing)
