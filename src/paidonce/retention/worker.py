"""The retention worker: it deletes what is older than the settings say, in the background."""

import asyncio
from collections import deque
from typing import Final

import structlog

from paidonce.clock import Clock
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.deletion import paced_deletion
from paidonce.jobs.poller import Poller
from paidonce.merchants.model import Tenant
from paidonce.retention.actions import (
    DeleteEntries,
    FindOldLogs,
    PlanDeletion,
    delete_old,
    delete_old_entries,
    find_old_logs,
    plan_deletions,
)
from paidonce.retention.model import RetentionPeriods

log = structlog.get_logger()

MERCHANTS_MAX: Final = 200  # In one page of a sweep: about two milliseconds of the reader.
ENTRIES_MAX: Final = 200  # Of the audit log in one step.
INTERVAL_MS: Final = 3_600_000  # Between two sweeps: rows are kept for days.


class RetentionWorker:
    """Deletes old rows while it is started, where a period is set."""

    def __init__(
        self,
        writer: Batcher,
        reader: Batcher,
        periods: RetentionPeriods,
        *,
        poll_seconds: float,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._periods = periods
        self._old: deque[Tenant] = deque()  # Logs with old rows. They take turns.
        self._sweep_after = ""  # The last merchant that was looked at.
        steps = {}
        if periods.shortest_delivery_ms is not None:
            steps["old events"] = self.delete_from_logs
        if periods.audit_ms is not None:
            steps["old entries of the audit log"] = self._delete_entries
        self._pollers = {
            name: Poller(name, paced_deletion(delete, interval_ms=INTERVAL_MS, clock=clock), poll_seconds=poll_seconds)
            for name, delete in steps.items()
        }

    @property
    def polls(self) -> list[str]:
        """The names of what is deleted."""
        return list(self._pollers)

    def start(self) -> None:
        """Begin to delete."""
        for poller in self._pollers.values():
            poller.start()

    async def stop(self) -> None:
        """Delete no more."""
        await asyncio.gather(*(poller.stop() for poller in self._pollers.values()))

    async def delete_from_logs(self) -> bool:
        """Take one step of the log whose turn it is; without one, look at the next merchants. False where all merchants
        were looked at and nothing more can be deleted.
        """
        if not self._old:
            page = await self._reader.submit(
                find_old_logs, FindOldLogs(self._sweep_after, MERCHANTS_MAX, self._periods)
            )
            self._old.extend(page.tenants)
            self._sweep_after = page.last or ""
            return bool(self._old or page.last)
        tenant = self._old.popleft()
        if await self._delete_from(tenant):
            self._old.append(tenant)
        return bool(self._old or self._sweep_after)

    async def _delete_from(self, tenant: Tenant) -> bool:
        """Delete the oldest events of a log; returns whether there may be more to delete now."""
        try:
            planned = await self._reader.submit(plan_deletions, PlanDeletion(tenant, self._periods))
            return planned is not None and await self._writer.submit(delete_old, planned)
        except (DatabaseUnavailable, Overloaded):
            self._old.append(tenant)
            raise
        except Exception:
            log.exception("old_events_not_deleted", merchant_id=tenant.merchant_id, mode=tenant.mode)
            return False

    async def _delete_entries(self) -> bool:
        assert self._periods.audit_ms is not None, "this poller runs only where it is set"
        deleted = await self._writer.submit(delete_old_entries, DeleteEntries(self._periods.audit_ms, ENTRIES_MAX))
        return deleted == ENTRIES_MAX
