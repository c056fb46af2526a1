"""Waiting for the outcome of a payment: a local change wakes the waiter, and another one is found by polling."""

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
    mode="test",
    idempotency_key="k",
    amount=1000,
    currency="USD",
    status=CheckoutStatus.PROCESSING,
    capture_method="automatic",
    amount_captured=0,
    amount_refunded=0,
    amount_refund_pending=0,
    amount_disputed=0,
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
    """An id that shows, by a weak reference, whether anything still refers to it."""

    __slots__ = ("__weakref__",)


class WaiterHarness:
    """A client that has waited for ``seconds``. A read takes a tenth of a second and returns ``stored``."""

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


def waiting(story: Callable[[WaiterHarness], Awaitable[None]]) -> None:
    async def tell(loop: VirtualLoop) -> None:
        await story(WaiterHarness(loop))

    run(tell)


def test_a_waiter_in_the_process_of_the_payment_gets_the_outcome_without_a_read() -> None:
    async def story(one: WaiterHarness) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(1.0)
        one.waiters.notify("chk_1", COMPLETED)
        assert await answer is COMPLETED
        assert (one.reads, one.seconds) == (0, 1.0)

    waiting(story)


def test_a_change_that_is_not_handed_over_is_read() -> None:
    async def story(one: WaiterHarness) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(1.0)
        one.stored = COMPLETED
        one.waiters.notify("chk_1")
        assert await answer == COMPLETED
        assert (one.reads, one.seconds) == (1, 1.1)

    waiting(story)


def test_a_change_that_falls_into_the_reading_is_not_lost() -> None:
    async def story(one: WaiterHarness) -> None:
        answer = one.begin()
        await asyncio.sleep(0.05)  # It was read as it was before.
        one.waiters.notify("chk_1", COMPLETED)
        assert await answer == COMPLETED
        assert (one.reads, round(one.seconds, 3)) == (1, 0.1)

    waiting(story)


def test_what_was_settled_before_anybody_waited_is_read() -> None:
    async def story(one: WaiterHarness) -> None:
        one.stored = COMPLETED
        assert await one.begin() == COMPLETED
        assert one.reads == 1

    waiting(story)


def test_a_change_by_another_process_is_found_by_polling_also_where_the_payment_is_owned_locally() -> None:
    async def story(one: WaiterHarness) -> None:
        others, owned_locally = one.begin(), one.begin(owned_locally=True)
        await asyncio.sleep(0.2)
        one.stored = COMPLETED
        assert await others == COMPLETED
        assert one.seconds <= 0.1 + POLL_SECONDS + 0.1
        assert await owned_locally == COMPLETED
        assert one.seconds <= OWNED_LOCALLY_POLL_FACTOR * POLL_SECONDS + 0.1

    waiting(story)


def test_a_waiter_whose_payment_is_owned_locally_polls_four_times_less_often() -> None:
    async def story(one: WaiterHarness) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(4 * POLL_SECONDS - 0.01)
        assert one.reads == 0
        await asyncio.sleep(0.02)
        assert one.reads == 1
        one.waiters.close()
        await answer

    waiting(story)


def test_after_a_spurious_wake_up_the_next_poll_is_a_whole_interval_later() -> None:
    async def story(one: WaiterHarness) -> None:
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


def test_a_waiter_whose_payment_is_not_owned_locally_reads_first() -> None:
    async def story(one: WaiterHarness) -> None:
        one.stored = COMPLETED
        assert await one.waiters.settled(PROCESSING, one.read, seconds=10) == COMPLETED
        assert one.reads == 1

    waiting(story)


def test_of_several_changes_at_once_the_first_one_counts() -> None:
    async def story(one: WaiterHarness) -> None:
        answer = one.begin(owned_locally=True)
        await asyncio.sleep(0.1)
        one.waiters.notify("chk_1", COMPLETED)
        one.waiters.notify("chk_1")
        one.waiters.notify("chk_other")
        assert await answer is COMPLETED
        assert one.reads == 0

    waiting(story)


def test_a_waiter_gets_the_current_state_after_its_time_out() -> None:
    async def story(one: WaiterHarness) -> None:
        for owned_locally in (False, True):
            began, reads = one.loop.time(), one.reads
            answer = await one.begin(seconds=1, owned_locally=owned_locally)
            assert answer.status == CheckoutStatus.PROCESSING
            assert 1 <= one.reads - reads <= 3  # To begin with, after a poll, at the end: in between it rests.
            assert 1.0 <= one.seconds - began <= 1.2

    waiting(story)


def test_without_time_to_wait_the_known_state_is_returned_without_a_read() -> None:
    async def story(one: WaiterHarness) -> None:
        assert await one.begin(seconds=0, owned_locally=True) is PROCESSING
        assert (one.reads, one.seconds) == (0, 0.0)

    waiting(story)


def test_a_waiter_whose_time_out_has_passed_leaves_the_others_waiting() -> None:
    async def story(one: WaiterHarness) -> None:
        patient, impatient = one.begin(owned_locally=True), one.begin(seconds=0.2, owned_locally=True)
        assert (await impatient).status == CheckoutStatus.PROCESSING
        reads = one.reads
        one.waiters.notify("chk_1", COMPLETED)
        assert await patient is COMPLETED
        assert one.reads == reads

    waiting(story)


def test_a_process_that_stops_answers_everybody_at_once() -> None:
    async def story(one: WaiterHarness) -> None:
        answers = [one.begin(), one.begin(owned_locally=True)]
        await asyncio.sleep(0.3)
        one.waiters.close()
        assert [answer.status for answer in await asyncio.gather(*answers)] == [CheckoutStatus.PROCESSING] * 2
        assert one.seconds <= 0.4

    waiting(story)


def test_a_disconnected_waiter_is_removed() -> None:
    async def story(one: WaiterHarness) -> None:
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


def test_nothing_is_read_for_a_disconnected_client() -> None:
    async def story(one: WaiterHarness) -> None:
        leaving = asyncio.Event()

        async def gone() -> None:
            await leaving.wait()

        answer = asyncio.create_task(one.waiters.settled(PROCESSING, one.read, seconds=30, gone=gone))
        await asyncio.sleep(POLL_SECONDS / 2)
        leaving.set()
        assert await answer == PROCESSING
        assert (one.reads, one.loop.time()) == (1, POLL_SECONDS / 2)

    waiting(story)


def test_after_the_outcome_nothing_waits_for_the_client_to_disconnect() -> None:
    async def story(one: WaiterHarness) -> None:
        waiting_for_disconnect: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def gone() -> None:
            await waiting_for_disconnect

        one.stored = COMPLETED
        assert await one.waiters.settled(PROCESSING, one.read, seconds=30, gone=gone) == COMPLETED
        await asyncio.sleep(0)
        assert waiting_for_disconnect.cancelled()

    waiting(story)
