"""The processor at work: it commits what it receives, applies it at once, and applies it again where that failed."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from paidonce.clock import DAY_MS
from paidonce.database.batcher import Batcher, threaded_batcher
from paidonce.database.schema import provider_webhook
from paidonce.errors import Overloaded
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks import processor
from paidonce.provider_webhooks.actions import (
    Applied,
    ApplyWebhook,
    DueWebhooks,
    apply_webhooks,
    fail_webhooks,
    find_due_webhooks,
)
from paidonce.provider_webhooks.model import RETRY_SECONDS, WebhookResult
from paidonce.provider_webhooks.processor import PRUNE_INTERVAL_MS, PRUNE_MAX, ProviderWebhookProcessor
from paidonce.providers.evidence import Notice
from tests.unit.provider_webhooks.conftest import SUCCESS, Shop

KEEP_DAYS: Final = 2


class Failing:
    """A writer that fails on some actions, so many times."""

    def __init__(self, batcher: Batcher, failures: dict[object, list[Exception]]) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener
        self._failures = failures

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        left = self._failures.get(action)
        if left:
            raise left.pop()
        return await self._batcher.submit(action, request)


class Refusing:
    """A writer that fails on everything about some webhooks, and counts how often each was to be applied."""

    def __init__(self, batcher: Batcher, *webhook_ids: str) -> None:
        self._batcher = batcher
        self.add_commit_listener = batcher.add_commit_listener
        self._webhook_ids = webhook_ids
        self.refused: Counter[str] = Counter()

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        name = request.name if isinstance(request, ApplyWebhook) else request
        if getattr(name, "id", None) in self._webhook_ids:
            self.refused[name.id] += action is apply_webhooks
            raise ZeroDivisionError
        return await self._batcher.submit(action, request)


class Working:
    """A processor, and the checkouts of which it said that they may have changed."""

    def __init__(
        self,
        shop: Shop,
        failures: dict[object, list[Exception]],
        wrapped: Callable[[Batcher], Any] | None = None,
        poll_seconds: float = 0.01,
    ) -> None:
        self.writer, self.reader = (
            threaded_batcher(begin, name="webhooks", queue_limit=1000, batch_limit=64, chance=lambda: 0.5)
            for begin in (shop.database.write, shop.database.read)
        )
        self.settled: list[str] = []
        self.processor = ProviderWebhookProcessor(
            Failing(self.writer, failures) if wrapped is None else wrapped(self.writer),  # type: ignore[arg-type] # same
            self.reader,
            schedule=LookupSchedule(),
            poll_seconds=poll_seconds,
            keep_days=KEEP_DAYS,
            clock=lambda: shop.now,
            chance=lambda: 0.5,
            settled=self.settled.append,
        )


@asynccontextmanager
async def working(
    shop: Shop,
    failures: dict[object, list[Exception]] | None = None,
    wrapped: Callable[[Batcher], Any] | None = None,
    poll_seconds: float = 0.01,
) -> AsyncIterator[Working]:
    """Have a processor at work; ``wrapped`` puts something between it and its writer."""
    one = Working(shop, failures or {}, wrapped, poll_seconds)
    await one.writer.start()
    await one.reader.start()
    try:
        yield one
    finally:
        await one.processor.stop()
        await one.writer.stop()
        await one.reader.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - a thread makes it come true
            await asyncio.sleep(0.005)


def stored(shop: Shop) -> int:
    with shop.database.read() as transaction:
        return int(transaction.rows(select(func.count()).select_from(provider_webhook))[0][0])


async def test_what_is_received_is_stored_and_applied_and_whoever_waits_is_told(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    async with working(shop) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        assert stored(shop) == 1
        await until(lambda: shop.row().applied_at is not None)
        await until(lambda: bool(one.settled))
    assert (one.settled, shop.status(checkout_id)) == ([checkout_id], "COMPLETED")


async def test_stopping_waits_for_what_is_being_applied(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    async with working(shop) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        await one.processor.stop()
        assert (shop.row().result, one.settled) == ("CHANGED", [checkout_id])


class Noting:
    """A writer that notes what came of applying webhooks."""

    def __init__(self, batcher: Batcher, outcomes: list[object]) -> None:
        self._batcher = batcher
        self._outcomes = outcomes

    async def submit(self, action: Callable[..., Any], request: Any) -> Any:  # noqa: ANN401 - as the batcher's
        outcome = await self._batcher.submit(action, request)
        if action is apply_webhooks:
            self._outcomes.append(outcome)
        return outcome


async def test_a_webhook_that_is_applied_and_then_comes_again_is_no_matter_for_the_log(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    outcomes: list[object] = []
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    with capture_logs() as lines:
        async with working(shop, wrapped=lambda writer: Noting(writer, outcomes)) as one:
            for count in (1, 2):
                await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
                await until(lambda: len(outcomes) == count)  # noqa: B023 - within this round
    gc.collect()
    assert (outcomes, lines, errors) == ([Applied(WebhookResult.CHANGED, checkout_id), None], [], [])


async def test_what_a_dead_process_left_is_applied_by_the_next(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.receive(SUCCESS)
    shop.now += 1000
    async with working(shop) as one:
        one.processor.start()
        await until(lambda: shop.row().applied_at is not None)
        await until(lambda: bool(one.settled))
    assert one.settled == [checkout_id]


async def test_a_webhook_about_no_attempt_settles_nothing_and_is_tried_again(shop: Shop) -> None:
    async with working(shop) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        await until(lambda: shop.row().result == "ATTEMPT_NOT_FOUND")
        assert shop.row().due_at == shop.now + 5000
        checkout_id = shop.pays("one", "att_1")
        shop.now += 5000
        one.processor.start()
        await until(lambda: bool(one.settled))
    assert (one.settled, shop.row().result) == ([checkout_id], "CHANGED")


async def test_a_defect_puts_a_webhook_off_and_it_is_applied_later(shop: Shop) -> None:
    shop.pays("one", "att_1")
    async with working(shop, {apply_webhooks: [ZeroDivisionError()]}) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        await until(lambda: shop.row().result == "FAILED")
        assert (shop.row().tries, one.settled) == (1, [])
        shop.now = shop.row().due_at
        one.processor.start()
        await until(lambda: shop.row().result == "CHANGED")


@pytest.mark.parametrize("failures", [{apply_webhooks: [Overloaded()]}, {apply_webhooks: [Overloaded()] * 3}])
async def test_a_webhook_that_cannot_be_applied_now_is_applied_when_the_loop_finds_it(
    shop: Shop, failures: dict[object, list[Exception]]
) -> None:
    shop.pays("one", "att_1")
    async with working(shop, failures) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        shop.now += 1000
        one.processor.start()
        await until(lambda: shop.row().result == "CHANGED")
    assert shop.row().tries == 1


async def test_a_defect_that_cannot_even_be_noted_ends_nothing(shop: Shop) -> None:
    shop.pays("one", "att_1")
    failures: dict[object, list[Exception]] = {apply_webhooks: [ZeroDivisionError()], fail_webhooks: [Overloaded()]}
    async with working(shop, failures) as one:
        await one.processor.receive("simulator", [Notice("msg_1", "att_1", SUCCESS)], b"{}")
        shop.now += 1000
        one.processor.start()
        await until(lambda: shop.row().result == "CHANGED")


async def test_a_webhook_whose_stored_evidence_cannot_be_read_is_put_off_alone_and_the_others_are_applied(
    shop: Shop,
) -> None:
    checkouts = [shop.pays(str(number), f"att_{number}") for number in range(3)]
    for number in range(3):
        shop.receive(SUCCESS, f"att_{number}", f"msg_{number}")
    with shop.database.writes.begin() as connection:
        connection.execute(
            provider_webhook.update().where(provider_webhook.c.id == "msg_1").values(evidence="{"),
        )
    shop.now += 1000
    async with working(shop) as one:
        one.processor.start()
        await until(lambda: {shop.status(checkouts[0]), shop.status(checkouts[2])} == {"COMPLETED"})
        while (row := shop.row("msg_1")).due_at is not None:  # One look: what comes after it is a try more.
            shop.now = max(shop.now, row.due_at)
            await until(lambda: shop.row("msg_1").tries > row.tries)
    assert (shop.row("msg_1").result, shop.row("msg_1").tries) == ("FAILED", len(RETRY_SECONDS))
    assert shop.status(checkouts[1]) == "PROCESSING"


async def test_a_webhook_that_cannot_even_be_put_off_keeps_nothing_from_being_applied_or_deleted(shop: Shop) -> None:
    checkout_id = shop.pays("one", "att_1")
    shop.apply(shop.receive(None, webhook_id="old"))
    shop.now += KEEP_DAYS * DAY_MS + 1
    shop.receive(SUCCESS, webhook_id="bad", key="att_nowhere")
    shop.receive(SUCCESS)
    shop.now += 1000
    async with working(shop, wrapped=lambda writer: Refusing(writer, "bad")) as one:
        one.processor.start()
        await until(lambda: shop.status(checkout_id) == "COMPLETED")
        await until(lambda: stored(shop) == 2)
    assert shop.row("bad").tries == 0


async def test_a_page_of_webhooks_that_can_be_neither_applied_nor_put_off_is_tried_once_a_poll_and_others_are_applied(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "APPLY_MAX", 3)
    bad = [f"bad_{number}" for number in range(7)]
    for webhook_id in bad:
        shop.receive(SUCCESS, webhook_id=webhook_id, key="att_nowhere")
    shop.now += 1
    checkout_id = shop.pays("one", "att_1")
    shop.receive(SUCCESS)
    shop.now += 1000
    writers: list[Refusing] = []

    def refusing(writer: Batcher) -> Refusing:
        writers.append(Refusing(writer, *bad))
        return writers[0]

    async with working(shop, wrapped=refusing, poll_seconds=3600) as one:
        one.processor.start()
        await until(lambda: shop.status(checkout_id) == "COMPLETED")
        await until(lambda: len(writers[0].refused) == len(bad))
    assert set(writers[0].refused.values()) == {1}


async def test_a_page_of_webhooks_that_can_be_neither_applied_nor_put_off_does_not_keep_the_processor_busy(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "APPLY_MAX", 3)
    bad = [f"bad_{number}" for number in range(3)]
    for webhook_id in bad:
        shop.receive(SUCCESS, webhook_id=webhook_id, key="att_nowhere")
    shop.now += 1000
    writers: list[Refusing] = []

    def refusing(writer: Batcher) -> Refusing:
        writers.append(Refusing(writer, *bad))
        return writers[0]

    async with working(shop, wrapped=refusing, poll_seconds=3600) as one:
        one.processor.start()
        await until(lambda: len(writers[0].refused) == len(bad))
        for _ in range(20):  # A busy loop would come round as often as the reader does.
            await one.reader.submit(find_due_webhooks, DueWebhooks(1))
    assert set(writers[0].refused.values()) == {1}


async def test_what_was_applied_long_ago_is_deleted_and_looked_for_once_an_hour(shop: Shop) -> None:
    shop.pays("one", "att_1")
    shop.apply(shop.receive(SUCCESS))
    shop.receive(SUCCESS, webhook_id="msg_2", key="att_nowhere")
    shop.apply(shop.receive(SUCCESS, webhook_id="msg_2", key="att_nowhere"))
    shop.now += KEEP_DAYS * DAY_MS
    async with working(shop) as one:
        one.processor.start()
        await until(lambda: shop.row("msg_2").tries >= 2)  # It has looked around once.
        assert stored(shop) == 2
        shop.now += PRUNE_INTERVAL_MS
        await until(lambda: stored(shop) == 1)
        assert shop.row("msg_2").applied_at is None


async def test_more_than_one_batch_is_deleted_without_a_pause(shop: Shop) -> None:
    count = PRUNE_MAX + 1
    names = [shop.receive(None, webhook_id=f"msg_{number}") for number in range(count)]
    shop.apply(*names)
    shop.now += KEEP_DAYS * DAY_MS + 1
    async with working(shop) as one:
        one.processor.start()
        await until(lambda: stored(shop) == 0)
