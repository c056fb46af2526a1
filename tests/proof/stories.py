"""One small scenario for each operation. Repeated after a crash, each must have the same result."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from sqlalchemy import or_, select

from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.database.schema import attempt
from paidonce.providers.simulator.faults import HIDDEN_MS
from tests.proof.accounts import fall_back, lose_the_answer_of_an_account
from tests.proof.buyer import Buyer
from tests.proof.fault_stories import (
    late_success,
    late_success_of_a_canceled_one,
    leave,
    other_amount,
    prune,
    refund_in_the_dashboard,
    review,
    trouble_in_the_dashboard,
    unreadable_webhook,
)
from tests.proof.keys import keys_desk
from tests.proof.people import users_desk
from tests.proof.retention import forget
from tests.proof.sessions import (
    accounts_desk,
    approve_then_charge,
    cancel_on_the_page,
    decline_on_the_page,
    pay_in_another_way,
)
from tests.proof.statistics import statistics
from tests.proof.webhooks import webhook, webhook_desk, webhook_end, webhook_leave

EXPIRES_IN_SECONDS: Final = 300
STATUS = CheckoutStatus
ENDED: Final = (STATUS.COMPLETED, STATUS.FAILED, STATUS.CANCELED, STATUS.EXPIRED)


class Story(NamedTuple):
    """``tell`` is the client's part. ``status`` and ``money`` (captured, refunded) are the expected result."""

    tell: Callable[[Buyer], Awaitable[None]]
    status: CheckoutStatus
    money: tuple[int, int] = (0, 0)
    lives: int = 1  # How many it takes without a crash.
    from_the_start: bool = False  # Whether opening the service is a part of it.
    anew: bool = False  # Whether it begins with an empty database.


async def create(buyer: Buyer) -> None:
    buyer.arm()
    await buyer.create()


def paying(method: str) -> Callable[[Buyer], Awaitable[None]]:
    async def pay(buyer: Buyer) -> None:
        checkout = await buyer.create()
        buyer.arm()
        if checkout.attempt_count == 0:
            await buyer.pay(checkout, method)
        await buyer.until(checkout, *ENDED)

    return pay


async def decline_then_pay(buyer: Buyer) -> None:
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, "tok_declined_insufficient_funds")
    checkout = await buyer.until(checkout, STATUS.FAILED, STATUS.COMPLETED, STATUS.PROCESSING)
    buyer.arm()
    if checkout.attempt_count < 2:
        checkout = await buyer.until(checkout, STATUS.FAILED)
        await buyer.pay(checkout)
    await buyer.until(checkout, STATUS.COMPLETED)


async def hidden(buyer: Buyer) -> None:
    """The response is lost, and for a while the provider does not find the charge either."""
    checkout = await buyer.create()
    buyer.arm()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, "tok_unknown_then_success")
        await buyer.come_true(lambda: looked_up(buyer, checkout))
        buyer.clock.shift_ms += HIDDEN_MS
    await buyer.until(checkout, *ENDED)


async def looked_up(buyer: Buyer, checkout: Checkout) -> bool:
    await asyncio.sleep(0)
    again = select(attempt.c.id).where(
        attempt.c.checkout_id == checkout.id, or_(attempt.c.lookup_count > 1, attempt.c.settled_at.is_not(None))
    )
    with buyer.service.database.read() as transaction:
        return bool(transaction.rows(again))


async def authorized(buyer: Buyer) -> Checkout:
    checkout = await buyer.create(capture_method="manual", expires_in_seconds=EXPIRES_IN_SECONDS)
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
        checkout = await buyer.until(checkout, STATUS.AUTHORIZED)
    return checkout


async def authorize(buyer: Buyer) -> None:
    checkout = await buyer.create(capture_method="manual")
    buyer.arm()
    await buyer.pay(checkout)
    await buyer.until(checkout, STATUS.AUTHORIZED)


async def capture(buyer: Buyer) -> None:
    checkout = await authorized(buyer)
    buyer.arm()
    await buyer.capture(checkout, 800)
    await buyer.until(checkout, STATUS.COMPLETED)


async def void(buyer: Buyer) -> None:
    checkout = await authorized(buyer)
    buyer.arm()
    await buyer.cancel(checkout)
    await buyer.until(checkout, STATUS.CANCELED)


async def cancel(buyer: Buyer) -> None:
    checkout = await buyer.create()
    buyer.arm()
    await buyer.cancel(checkout)
    await buyer.until(checkout, STATUS.CANCELED)


async def void_on_expiry(buyer: Buyer) -> None:
    checkout = await authorized(buyer)
    buyer.arm()
    buyer.clock.shift_ms += 1000 * EXPIRES_IN_SECONDS
    await buyer.until(checkout, STATUS.EXPIRED)


async def expire(buyer: Buyer) -> None:
    checkout = await buyer.create(expires_in_seconds=EXPIRES_IN_SECONDS)
    buyer.arm()
    buyer.clock.shift_ms += 1000 * EXPIRES_IN_SECONDS
    await buyer.until(checkout, STATUS.EXPIRED)


async def refund(buyer: Buyer) -> None:
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    await buyer.until(checkout, STATUS.COMPLETED)
    buyer.arm()
    await buyer.refund(checkout, 300, "first")
    await buyer.refund(checkout, 200, "second")
    await buyer.until_refunded(checkout, 2)


STORIES: Final = {
    "create": Story(create, STATUS.PENDING),
    "pay": Story(paying("tok_success"), STATUS.COMPLETED, (1000, 0)),
    "decline": Story(paying("tok_declined_insufficient_funds"), STATUS.FAILED),
    "decline_then_pay": Story(decline_then_pay, STATUS.COMPLETED, (1000, 0)),
    "authorize": Story(authorize, STATUS.AUTHORIZED),
    "capture": Story(capture, STATUS.COMPLETED, (800, 0)),
    "void": Story(void, STATUS.CANCELED),
    "cancel": Story(cancel, STATUS.CANCELED),
    "void_on_expiry": Story(void_on_expiry, STATUS.EXPIRED),
    "expire": Story(expire, STATUS.EXPIRED),
    "refund": Story(refund, STATUS.COMPLETED, (1000, 500)),
    "answer_lost": Story(paying("tok_error_after_charge"), STATUS.COMPLETED, (1000, 0)),
    "call_lost": Story(paying("tok_error_then_success"), STATUS.COMPLETED, (1000, 0)),
    "hidden": Story(hidden, STATUS.COMPLETED, (1000, 0)),
    "late_success": Story(late_success, STATUS.COMPLETED, (1000, 0)),
    "late_success_of_a_canceled_one": Story(late_success_of_a_canceled_one, STATUS.CANCELED),
    "refund_in_the_dashboard": Story(refund_in_the_dashboard, STATUS.COMPLETED, (1000, 400)),
    "trouble_in_the_dashboard": Story(trouble_in_the_dashboard, STATUS.COMPLETED, (1000, 0)),
    "unreadable_webhook": Story(unreadable_webhook, STATUS.COMPLETED, (1000, 0)),
    "other_amount": Story(other_amount, STATUS.PROCESSING),
    "prune": Story(prune, STATUS.COMPLETED, (1000, 0), anew=True),
    "review": Story(review, STATUS.FAILED),
    "leave": Story(leave, STATUS.COMPLETED, (1000, 0), lives=2),
    "webhook": Story(webhook, STATUS.COMPLETED, (1000, 0)),
    "webhook_desk": Story(webhook_desk, STATUS.PENDING),
    "webhook_end": Story(webhook_end, STATUS.PENDING),
    "webhook_leave": Story(webhook_leave, STATUS.PENDING, lives=2),
    "session": Story(paying("tok_session"), STATUS.COMPLETED, (1000, 0)),
    "approve_then_charge": Story(approve_then_charge, STATUS.COMPLETED, (1000, 0)),
    "decline_on_the_page": Story(decline_on_the_page, STATUS.FAILED),
    "cancel_on_the_page": Story(cancel_on_the_page, STATUS.CANCELED),
    "pay_in_another_way": Story(pay_in_another_way, STATUS.COMPLETED, (1000, 0)),
    "accounts_desk": Story(accounts_desk, STATUS.PENDING),
    "fall_back": Story(fall_back, STATUS.COMPLETED, (1000, 0)),
    "answer_lost_at_an_account": Story(lose_the_answer_of_an_account, STATUS.COMPLETED, (1000, 0)),
    "statistics": Story(statistics, STATUS.COMPLETED, (1000, 300)),
    "forget": Story(forget, STATUS.COMPLETED, (1000, 0), anew=True),
    "keys_desk": Story(keys_desk, STATUS.PENDING),
    "users_desk": Story(users_desk, STATUS.PENDING),
    "restart": Story(paying("tok_success"), STATUS.COMPLETED, (1000, 0), from_the_start=True),
    "first_start": Story(create, STATUS.PENDING, from_the_start=True, anew=True),
}
