"""The rollup: it counts the event log into statistics, in the background and in small steps.

Events are read and counted outside of the write transaction, which only compares the cursor, moves it and adds to a few
rows. Which logs have new events is known from the commits of this process. What other processes commit, and what was
not counted before a stop, is found by going through the merchants, one page at each poll.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Final

import structlog

from paidonce.database.batch import CommitNotice
from paidonce.database.batcher import Batcher
from paidonce.errors import DatabaseUnavailable, Overloaded
from paidonce.jobs.halving import run_by_halves
from paidonce.jobs.poller import Poller
from paidonce.merchants.model import Tenant
from paidonce.statistics.actions import CountLogs, FindUncounted, count_logs, find_uncounted, store_counts
from paidonce.statistics.model import LogCount

log = structlog.get_logger()

EVENTS_MAX: Final = 200  # Of all logs, in one step: about two milliseconds of the reader, and one of the writer.
LOGS_MAX: Final = 20  # In one step.
MERCHANTS_MAX: Final = 500  # In one page of a sweep: about two milliseconds of the reader.
SWEEP_SECONDS: Final = 5.0  # Between two pages: all of 10,000 merchants are looked at within 100 s.
REST: Final = 9  # It rests nine times as long as a step took: payments have at least nine tenths of the time.


class _Done(Enum):
    """What a step has counted."""

    ALL = "all that was new when it began"
    MORE_IS_LEFT = "a part of it"
    BY_OTHERS = "nothing: another process is counting it"


class Rollup:
    """Counts new events, while it is started: those that this process commits ``poll_seconds`` after their commit."""

    def __init__(
        self, writer: Batcher, reader: Batcher, *, poll_seconds: float, sweep_seconds: float = SWEEP_SECONDS
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._poll_seconds = poll_seconds
        self._sweep_seconds = sweep_seconds
        self._behind: dict[Tenant, None] = {}  # In the order in which they are to be counted.
        self._sweep_after = ""  # The last merchant that was looked at.
        self._sweep_at = 0.0  # In seconds of the event loop's clock.
        self._is_swept = False  # Whether all merchants were looked at once.
        self._is_at_work = False
        self._poller = Poller("statistics", self._step, poll_seconds=sweep_seconds, wake_delay_seconds=poll_seconds)

    def start(self) -> None:
        """Begin to count, with what was left."""
        self._poller.start()

    async def stop(self) -> None:
        """Count no more."""
        await self._poller.stop()

    def committed(self, notice: CommitNotice) -> None:
        """Learn which logs have new events. This must be quick: it runs after each commit."""
        is_asleep = not self._behind and not self._is_at_work
        self._behind.update(dict.fromkeys(notice.tenants))
        if is_asleep:
            self._poller.wake()

    async def catch_up(self) -> None:
        """Count until nothing is left, without a rest."""
        self._sweep_after, self._is_swept = "", False
        while not self._is_swept or self._behind:
            if not self._is_swept:
                await self._sweep()
            await self._count_next()

    async def _step(self) -> float:
        self._is_at_work = True
        try:
            return await self._work()
        finally:
            self._is_at_work = False

    async def _work(self) -> float:
        """Look at merchants where it is time, and count. Returns how long to rest: commits do not shorten it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began >= self._sweep_at:
            await self._sweep()
            self._sweep_at = began + (self._sweep_seconds if self._is_swept else 0.0)
        done = await self._count_next()
        now = loop.time()
        if done is _Done.BY_OTHERS:
            return self._sweep_seconds
        if done is _Done.MORE_IS_LEFT or not self._is_swept:
            return REST * (now - began)
        # One step counts what is committed until then.
        return self._poll_seconds if self._behind else self._sweep_at - now

    async def _sweep(self) -> None:
        """Look at the next page of merchants."""
        page = await self._reader.submit(find_uncounted, FindUncounted(self._sweep_after, MERCHANTS_MAX))
        self._behind.update(dict.fromkeys(page.tenants))
        self._sweep_after = page.last or ""
        self._is_swept = self._is_swept or page.last is None

    async def _count_next(self) -> "_Done":
        """Count the next events of the logs that have waited longest."""
        tenants = list(self._behind)[:LOGS_MAX]
        for tenant in tenants:
            del self._behind[tenant]  # A commit during the step puts it back.
        is_more_left = bool(self._behind)
        counts: list[LogCount] = []

        async def count(part: Sequence[Tenant]) -> None:
            counts.extend(await self._reader.submit(count_logs, CountLogs(part, EVENTS_MAX // len(tenants))))

        try:
            if tenants:
                await run_by_halves(count, tenants, failed=_log_not_counted)
            stored = await asyncio.gather(*(self._store(one) for one in counts))
        except BaseException:
            self._behind.update(dict.fromkeys(tenants))
            raise
        for one, is_stored in zip(counts, stored, strict=True):
            if one.has_more or is_stored is False:
                self._behind[one.tenant] = None
                is_more_left = True
        if counts and not any(stored):
            return _Done.BY_OTHERS
        return _Done.MORE_IS_LEFT if is_more_left else _Done.ALL

    async def _store(self, counted: LogCount) -> bool | None:
        """Store what was counted; returns whether it was not counted before, and None where a defect prevents it."""
        try:
            return await self._writer.submit(store_counts, counted)
        except (DatabaseUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001 - one log must not stop the others
            _log_not_counted(counted.tenant, error)
            return None


def _log_not_counted(tenant: Tenant, error: Exception) -> None:
    log.error("log_not_counted", merchant_id=tenant.merchant_id, mode=tenant.mode, exc_info=error)
