"""Waiting for a payment's end: who is handed it need not read, and who is not finds out by looking."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import msgspec

from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.checkouts.waiters import OWNED_LOCALLY_POLL_FACTOR, SettlementWaiters
from tests.proof.virtual_time import VirtualLoop, run

PROCESSING = Checkout(
    id="chk_1",
    merchant_id="m",
    idempotency_key="k",
    amount=1000,
    currency="USD",
    status=CheckoutStatus.PROCESSING,
    capture_method="automatic",
    amount_captured=0,
    amount_refunded=0,
    amount_refund_pending=0,
    attempt_count=1,
    description=None,
    metadata=None,
    success_url=None,
    cancel_url=None,
    created_at=1,
    updated_at=1,
    expires_at=2,
)
COMPLETED = msgspec.structs.replace(PROCESSING, status=CheckoutStatus.COMPLETED, amount_captured=1000, updated_at=2)
POLL_SECONDS = 0.5


class Name(str):
    """An id that tells, by a weak reference, whether anybody remembers it."""

    __slots__ = ("__weakref__",)


class Waiting:
    """A client that has waited ``seconds``; the database says ``stored`` and takes a tenth of a second to say it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.waiters = SettlementWaiters(poll_seconds=POLL_SECONDS)
        self.stored = PROCESSING
        self.reads = 0
        self.seconds = 0.0

    async def read(self) -> Checkout:
        self.reads += 1
        seen = self.stored
        await asyncio.sleep(0.1)
        return seen

    def begin(
        self, *, seconds: float = 10, owned_locally: bool = False, checkout: Checkout = PROCESSING
    ) -> asyncio.Task[Checkout]:
        async def wait() -> Checkout:
            settled = await self.waiters.settled(checkout, self.read, seconds=seconds, owned_locally=owned_locally)
            self.seconds = self.loop.time()
            return settled

        return asyncio.create_task(wait())


def waiting(story: Callable[[Waiting], Awaitable[None]]) -> None:
    async def tell(loop: VirtualLoop) -> None:
        await story(Waiting(loop))

    run(tell)


def test_who_began_the_payment_is_handed_its_end_and_reads_nothing() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(1.0)
        one.waiters.notify("chk_1", COMPLETED)
        assert await answer is COMPLETED
        assert (one.reads, one.seconds) == (0, 1.0)

    waiting(story)


def test_a_change_that_is_not_handed_over_is_read() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(1.0)
        one.stored = COMPLETED
        one.waiters.notify("chk_1")
        assert await answer == COMPLETED
        assert (one.reads, one.seconds) == (1, 1.1)

    waiting(story)


def test_a_change_that_falls_into_the_reading_is_not_lost() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin()
        await asyncio.sleep(0.05)  # It was read as it was before.
        one.waiters.notify("chk_1", COMPLETED)
        assert await answer == COMPLETED
        assert (one.reads, round(one.seconds, 3)) == (1, 0.1)

    waiting(story)


def test_what_was_settled_before_anybody_waited_is_read() -> None:
    async def story(one: Waiting) -> None:
        one.stored = COMPLETED
        assert await one.begin() == COMPLETED
        assert one.reads == 1

    waiting(story)


def test_another_process_s_change_is_found_by_looking_and_by_who_has_the_payment_in_its_hands_too() -> None:
    async def story(one: Waiting) -> None:
        others, owned_locally = one.begin(), one.begin(owned_locally=True)
        await asyncio.sleep(0.2)
        one.stored = COMPLETED
        assert await others == COMPLETED
        assert one.seconds <= 0.1 + POLL_SECONDS + 0.1
        assert await owned_locally == COMPLETED
        assert one.seconds <= OWNED_LOCALLY_POLL_FACTOR * POLL_SECONDS + 0.1

    waiting(story)


def test_who_has_the_payment_in_its_hands_looks_four_times_less_often() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(4 * POLL_SECONDS - 0.01)
        assert one.reads == 0
        await asyncio.sleep(0.02)
        assert one.reads == 1
        one.waiters.close()
        await answer

    waiting(story)


def test_who_was_woken_for_nothing_rests_for_a_whole_poll_again() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin()
        await asyncio.sleep(0.3)
        one.waiters.notify("chk_1")  # It is read again until 0.4, and is PROCESSING still.
        await asyncio.sleep(0.5)
        assert one.reads == 2
        await asyncio.sleep(0.15)
        assert one.reads == 3
        one.waiters.close()
        await answer

    waiting(story)


def test_who_does_not_say_that_it_is_theirs_reads_to_begin_with() -> None:
    async def story(one: Waiting) -> None:
        one.stored = COMPLETED
        assert await one.waiters.settled(PROCESSING, one.read, seconds=10) == COMPLETED
        assert one.reads == 1

    waiting(story)


def test_of_several_changes_at_once_the_first_is_what_counts_and_nothing_fails() -> None:
    async def story(one: Waiting) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(0.1)
        one.waiters.notify("chk_1", COMPLETED)
        one.waiters.notify("chk_1")
        one.waiters.notify("chk_other")
        assert await answer is COMPLETED
        assert one.reads == 0

    waiting(story)


def test_who_waited_long_enough_is_told_what_is_true_then() -> None:
    async def story(one: Waiting) -> None:
        for owned_locally in (False, True):
            began, reads = one.loop.time(), one.reads
            answer = await one.begin(seconds=1, owned_locally=owned_locally)
            assert answer.status == CheckoutStatus.PROCESSING
            assert 1 <= one.reads - reads <= 3  # To begin with, after a poll, at the end: in between it rests.
            assert 1.0 <= one.seconds - began <= 1.2

    waiting(story)


def test_a_process_that_stops_answers_everybody_at_once() -> None:
    async def story(one: Waiting) -> None:
        answers = [one.begin(), one.begin(owned_locally=True)]
        await asyncio.sleep(0.3)
        one.waiters.close()
        assert [answer.status for answer in await asyncio.gather(*answers)] == [CheckoutStatus.PROCESSING] * 2
        assert one.seconds <= 0.4

    waiting(story)


def test_nobody_is_remembered_who_has_gone() -> None:
    async def story(one: Waiting) -> None:
        name = Name("chk_1")
        remembered = weakref.ref(name)
        answer = one.begin(owned_locally=True, checkout=msgspec.structs.replace(PROCESSING, id=name))
        del name
        await asyncio.sleep(0.1)
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        del answer
        await asyncio.sleep(1.0)
        gc.collect()
        assert remembered() is None

    waiting(story)


def test_for_a_client_that_has_gone_nothing_more_is_read() -> None:
    async def story(one: Waiting) -> None:
        leaving = asyncio.Event()

        async def gone() -> None:
            await leaving.wait()

        answer = asyncio.create_task(one.waiters.settled(PROCESSING, one.read, seconds=30, gone=gone))
        await asyncio.sleep(POLL_SECONDS / 2)
        leaving.set()
        assert await answer == PROCESSING
        assert (one.reads, one.loop.time()) == (1, POLL_SECONDS / 2)

    waiting(story)
