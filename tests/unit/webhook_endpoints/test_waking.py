"""When a sender looks for due deliveries: at once for what this process makes due, and otherwise when it is due.

The sender runs on a virtual clock. What ``outgoing`` does itself is committed as by another process.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import update

from paidonce.checkouts.actions import create_checkouts
from paidonce.checkouts.model import NewCheckout
from paidonce.database.batch import BatchRunner
from paidonce.database.batcher import Batcher
from paidonce.database.schema import delivery
from paidonce.database.transaction import Transaction
from paidonce.merchants.model import TenantScopedId
from paidonce.webhook_endpoints import redelivery
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    RedeliverFailed,
    SendTest,
    change_endpoints,
    redeliver,
    redeliver_failed,
    send_tests,
)
from paidonce.webhook_endpoints.model import Schedule, WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import RedeliverRange, redeliver_ranges
from paidonce.webhook_endpoints.sender import Sender, SenderSettings
from tests.proof.virtual_time import VirtualLoop, run
from tests.support.worker import LoopExecutor
from tests.unit.webhook_endpoints.conftest import LEASE_MS, Outgoing
from tests.unit.webhook_endpoints.running import KEYRING, Receiver, answering

HOUR_SECONDS: Final = 3600.0
SOON_SECONDS: Final = 0.1  # The sender waits 20 ms after a wake-up.


class Place:
    """A sender at work; ``sent_at`` has the seconds at which it posted."""

    def __init__(self, outgoing: Outgoing, loop: VirtualLoop, receiver: Receiver, *, poll_seconds: float) -> None:
        self.outgoing = outgoing
        self.loop = loop
        self.sent_at: list[float] = []
        self.writer = Batcher(LoopExecutor(BatchRunner(self._begin, limit=99, chance=lambda: 0.5)), limit=999)
        self._receiver = receiver
        settings = SenderSettings(timeout_seconds=1, concurrency=16, poll_seconds=poll_seconds, schedule=Schedule())
        self.sender = Sender(self.writer, self.writer, self, KEYRING, settings, clock=loop.clock, chance=lambda: 0.5)

    @contextmanager
    def _begin(self) -> Iterator[Transaction]:
        self.outgoing.now = self.loop.clock()
        with self.outgoing.database.write() as transaction:
            yield transaction

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Any:  # noqa: ANN401 - an answer
        self.sent_at.append(self.loop.time())
        return await self._receiver.post(url, headers, body)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.outgoing.now = self.loop.clock()


def run_with_sender(
    outgoing: Outgoing,
    receiver: Receiver,
    story: Callable[[Place], Coroutine[Any, Any, None]],
    *,
    poll_seconds: float = HOUR_SECONDS,
) -> None:
    async def tell(loop: VirtualLoop) -> None:
        place = Place(outgoing, loop, receiver, poll_seconds=poll_seconds)
        await place.writer.start()
        await place.sender.start(alone=False)
        await place.sleep(1)
        await story(place)
        await place.sender.stop(grace_seconds=1)

    run(tell)


def name_of(endpoint: WebhookEndpoint) -> TenantScopedId:
    return TenantScopedId(endpoint.id, endpoint.merchant_id)


def fail_all(outgoing: Outgoing) -> None:
    with outgoing.database.write() as transaction:
        transaction.run(update(delivery).values(status="FAILED", due_at=None))


Prepare = Callable[[Outgoing, WebhookEndpoint], tuple[Any, object]]


def redelivering_one(outgoing: Outgoing, mine: WebhookEndpoint) -> tuple[Any, object]:
    return redeliver, TenantScopedId(outgoing.rows(mine)[0].id, mine.merchant_id)


def redelivering_what_failed(outgoing: Outgoing, mine: WebhookEndpoint) -> tuple[Any, object]:
    fail_all(outgoing)
    return redeliver_failed, RedeliverFailed(name_of(mine), 0)


def redelivering_a_range(_outgoing: Outgoing, mine: WebhookEndpoint) -> tuple[Any, object]:
    return redeliver_ranges, RedeliverRange(id="rdl_1", endpoint=name_of(mine), from_sequence=1, to_sequence=9)


def resuming(outgoing: Outgoing, mine: WebhookEndpoint) -> tuple[Any, object]:
    outgoing.change(mine, enabled=False)
    outgoing.happen("m1")
    return change_endpoints, ChangeEndpoint(name=name_of(mine), enabled=True)


def sending_a_test(_outgoing: Outgoing, mine: WebhookEndpoint) -> tuple[Any, object]:
    return send_tests, SendTest(endpoint=name_of(mine), delivery_id="dlv_test")


def creating_a_checkout(_outgoing: Outgoing, _mine: WebhookEndpoint) -> tuple[Any, object]:
    new = NewCheckout(id="chk_new", merchant_id="m1", idempotency_key="new", amount=1000, currency="USD")
    return create_checkouts, new


@pytest.mark.parametrize(
    "prepare",
    [
        redelivering_one,
        redelivering_what_failed,
        redelivering_a_range,
        resuming,
        sending_a_test,
        creating_a_checkout,
    ],
)
def test_what_this_process_makes_due_is_sent_at_once_however_rarely_the_sender_polls(
    outgoing: Outgoing, prepare: Prepare
) -> None:
    async def story(place: Place) -> None:
        mine = outgoing.endpoint(types=["checkout.created", "endpoint.test"], keyring=KEYRING)
        await place.writer.submit(*creating("chk_before"))
        await place.sleep(SOON_SECONDS)
        assert len(place.sent_at) == 1
        action, request = prepare(outgoing, mine)
        await place.sleep(10)
        assert len(place.sent_at) == 1
        await place.writer.submit(action, request)
        await place.sleep(SOON_SECONDS)
        assert len(place.sent_at) == 2

    run_with_sender(outgoing, answering(200), story)


def creating(checkout_id: str) -> tuple[Any, NewCheckout]:
    return create_checkouts, NewCheckout(
        id=checkout_id, merchant_id="m1", idempotency_key=checkout_id, amount=1000, currency="USD"
    )


def test_the_rest_of_a_range_is_made_due_without_waiting_for_a_poll(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redelivery, "STEP_EVENTS_MAX", 2)

    async def story(place: Place) -> None:
        mine = outgoing.endpoint(types=["checkout.created"], keyring=KEYRING)
        for number in range(7):
            await place.writer.submit(*creating(f"chk_{number}"))
        await place.sleep(1)
        place.sent_at.clear()
        action, request = redelivering_a_range(outgoing, mine)
        await place.writer.submit(action, request)
        await place.sleep(5)
        assert len(place.sent_at) == 7

    run_with_sender(outgoing, answering(200), story)


def test_a_failed_delivery_is_tried_again_when_it_is_due_although_the_sender_has_become_idle(
    outgoing: Outgoing,
) -> None:
    async def story(place: Place) -> None:
        mine = outgoing.endpoint(types=["checkout.created"], keyring=KEYRING)
        await place.writer.submit(*creating("chk_1"))
        await place.sleep(1)
        due_at = outgoing.rows(mine)[0].due_at
        await place.sleep(10)
        first, second = place.sent_at
        assert 5 <= second - first < 5 + SOON_SECONDS
        assert due_at <= place.loop.clock()

    run_with_sender(outgoing, answering(500), story, poll_seconds=0.5)


def test_a_delivery_of_a_sender_that_died_is_sent_when_its_lease_ends(outgoing: Outgoing) -> None:
    async def story(place: Place) -> None:
        mine = outgoing.endpoint(types=["checkout.created"], keyring=KEYRING)
        await place.sleep(3.3)
        outgoing.happen("m1")
        assert len(outgoing.claim(mine)) == 1
        claimed_at = place.loop.time()
        await place.sleep(LEASE_MS / 1000 + 3)
        (sent_at,) = place.sent_at
        assert LEASE_MS / 1000 <= sent_at - claimed_at < LEASE_MS / 1000 + SOON_SECONDS

    run_with_sender(outgoing, answering(200), story, poll_seconds=0.5)
