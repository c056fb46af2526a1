"""Stories in which the outside world does something late, twice, or not at all."""

import asyncio
from contextlib import AbstractContextManager, suppress
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection, select

from paidonce import ids
from paidonce.checkouts.model import Checkout, CheckoutStatus, ProviderRoute
from paidonce.cli.inbox import dismiss_webhook, replay_webhook
from paidonce.cli.reviewing import resolve
from paidonce.database.schema import attempt, event, provider_webhook
from paidonce.errors import AttemptOutcomeKnown
from paidonce.events.model import Cause
from paidonce.merchants.model import TenantScopedId
from paidonce.payments.pay import Started, StartPayment, start_payments
from paidonce.payments.review import ResolveAttempt, resolve_attempts
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.settle import RecordEvidence, record_evidence
from paidonce.provider_webhooks.replay import DismissWebhook, ReplayWebhook, dismiss_webhooks, replay_webhooks
from paidonce.provider_webhooks.store import WebhookName
from paidonce.providers.evidence import (
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Notice,
    RequiresReview,
    Succeeded,
)
from paidonce.providers.simulator.books import ChargePage, change, charge
from paidonce.providers.simulator.dashboard_books import ChangeInDashboard, CloseDispute, dispute
from paidonce.providers.simulator.provider import Simulator
from tests.proof.buyer import SIMULATOR, WAIT_SECONDS_MAX, Buyer
from tests.support.oracle import database

EXPIRES_IN_SECONDS: Final = 300
LONG_AGO_MS: Final = 91 * 86_400_000
STATUS = CheckoutStatus
ENDED: Final = (STATUS.COMPLETED, STATUS.FAILED, STATUS.CANCELED, STATUS.EXPIRED)


async def leave(buyer: Buyer) -> None:
    """The service is stopped while the provider takes its time: the lease is given back."""
    checkout = await buyer.create()
    buyer.arm()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, "tok_delay_400")
        buyer.leaving_at_once = True
    else:
        await buyer.until(checkout, STATUS.COMPLETED)


async def other_amount(buyer: Buyer) -> None:
    """The provider charges a wrong amount: the checkout is not completed, and a person must review it."""
    checkout = await buyer.create()
    buyer.arm()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, "tok_other_amount")

    async def judged() -> bool:
        seen = (await buyer.read(checkout.id)).attempt
        return seen is not None and seen.status not in ("READY", "SENT", "UNKNOWN")

    await buyer.come_true(judged)


async def review(buyer: Buyer) -> None:
    """The outcome of an attempt cannot be proven, and a person finds it out."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        request = StartPayment(
            attempt_id=ids.new_id(ids.ATTEMPT),
            checkout=TenantScopedId(checkout.id, None),
            payment_method="tok_success",
            route=ProviderRoute(SIMULATOR),
            lease_ms=10**9,  # In nobody's hands: the worker leaves it alone.
        )
        assert isinstance(await buyer.service.writer.submit(start_payments, request), Started)
        await learn(buyer, request.attempt_id, RequiresReview("the answer makes no sense"))
    buyer.arm()
    checkout = await buyer.read(checkout.id)
    if checkout.status == STATUS.PROCESSING:
        assert checkout.attempt is not None
        await asyncio.to_thread(
            resolve, buyer.service.settings, checkout.attempt.id, reference=None, decline_code="not_charged"
        )
    assert checkout.attempt is not None
    name = TenantScopedId(checkout.attempt.id, buyer.merchant_id)
    again = ResolveAttempt(name=name, evidence=Declined("not_charged"), schedule=LookupSchedule())
    with suppress(AttemptOutcomeKnown):
        await buyer.service.writer.submit(resolve_attempts, again)
    await buyer.until(checkout, STATUS.FAILED)


async def late_success(buyer: Buyer) -> None:
    """The provider declined, and says later that it charged after all: the checkout is completed."""
    checkout = await declined(buyer)
    buyer.arm()
    await charge_after_all(buyer, checkout)
    await buyer.until(checkout, STATUS.COMPLETED)


async def late_success_of_a_canceled_one(buyer: Buyer) -> None:
    """As above, but the checkout was canceled: the money is refunded."""
    checkout = await declined(buyer)
    await buyer.cancel(checkout)
    buyer.arm()
    await charge_after_all(buyer, checkout)
    await buyer.come_true(lambda: reversed_in_full(buyer, checkout))


async def refund_in_the_dashboard(buyer: Buyer) -> None:
    """Somebody refunds 4.00 in the provider's dashboard, and the provider tells of it twice."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    checkout = await buyer.until(checkout, STATUS.COMPLETED)
    buyer.arm()
    newest = checkout.attempt
    assert newest is not None
    assert newest.provider_reference is not None
    reference = await in_the_dashboard(buyer, newest.provider_reference, "refund")
    refund = ExternalRefund(reference, "succeeded", 400, "USD")
    for number in range(2):
        notice = Notice(f"msg_{reference}_{number}", newest.id, refund)
        await buyer.service.provider_webhook_processor.receive(SIMULATOR, [notice], b"{}")

    async def recorded() -> bool:
        return (await buyer.read(checkout.id)).amount_refunded == refund.amount

    await buyer.come_true(recorded)


async def trouble_in_the_dashboard(buyer: Buyer) -> None:
    """A refund of 4.00 in the dashboard fails after it succeeded, and the merchant wins a dispute of all the money."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    checkout = await buyer.until(checkout, STATUS.COMPLETED)
    buyer.arm()
    newest = checkout.attempt
    assert newest is not None
    assert newest.provider_reference is not None
    refund, disputed = [
        await in_the_dashboard(buyer, newest.provider_reference, kind) for kind in ("refund", "dispute")
    ]
    simulator = buyer.service.payment_providers.built_in(SIMULATOR)
    assert isinstance(simulator, Simulator)
    await simulator.simulation.fail_refund(refund)
    await simulator.simulation.close_dispute(CloseDispute(disputed, "won"))
    told: tuple[ExternalChange, ...] = (
        ExternalRefund(refund, "succeeded", 400, "USD"),
        ExternalRefund(refund, "failed", 400, "USD", "declined"),
        Dispute(disputed, "opened", 1000, "USD"),
        Dispute(disputed, "won", 1000, "USD"),
    )
    for number, change_told in enumerate(told):
        notice = Notice(f"msg_{refund}_{number}", newest.id, change_told)
        await buyer.service.provider_webhook_processor.receive(SIMULATOR, [notice], b"{}")

    async def settled() -> bool:
        with buyer.service.database.read() as transaction:
            types = transaction.rows(select(event.c.type).where(event.c.checkout_id == checkout.id))
        return {("refund.failed",), ("dispute.won",)} <= {tuple(row) for row in types}

    await buyer.come_true(settled)


async def in_the_dashboard(buyer: Buyer, charge_reference: str, kind: Literal["refund", "dispute"]) -> str:
    """Refund 4.00 or dispute a charge, once in all lives; returns the reference."""
    table = change if kind == "refund" else dispute
    made = select(table.c.reference).where(table.c.charge_reference == charge_reference)
    with books_of(buyer) as books:
        found = books.execute(made).all()
    if not found:
        simulator = buyer.service.payment_providers.built_in(SIMULATOR)
        assert isinstance(simulator, Simulator)
        amount = 400 if kind == "refund" else None
        wanted = ChangeInDashboard(kind=kind, charge_reference=charge_reference, amount=amount)
        assert await simulator.simulation.change_in_dashboard(wanted)
        with books_of(buyer) as books:
            found = books.execute(made).all()
    return str(found[0].reference)


async def declined(buyer: Buyer) -> Checkout:
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, "tok_declined_do_not_honor")
    return await buyer.until(checkout, *ENDED)


async def charge_after_all(buyer: Buyer, checkout: Checkout) -> None:
    """Let the provider charge what it had declined, and send a webhook about it, twice."""
    newest = checkout.attempt
    assert newest is not None
    assert newest.provider_reference is not None
    simulator = buyer.service.payment_providers.built_in(SIMULATOR)
    assert isinstance(simulator, Simulator)
    simulation = simulator.simulation
    await simulation.succeed_late(newest.provider_reference)
    assert await simulation.charges(ChargePage(limit=5))
    for _ in range(2):
        notice = Notice(f"msg_{newest.id}", newest.id, Succeeded(newest.provider_reference))
        await buyer.service.provider_webhook_processor.receive(SIMULATOR, [notice], b"{}")


async def reversed_in_full(buyer: Buyer, checkout: Checkout) -> bool:
    await asyncio.sleep(0)
    with books_of(buyer) as books:
        rows = books.execute(charge.select().where(charge.c.checkout_id == checkout.id)).all()
    return [row.amount_refunded for row in rows] == [checkout.amount] and nothing_open(buyer, checkout)


def books_of(buyer: Buyer) -> AbstractContextManager[Connection]:
    """Open the books of the provider."""
    return database(f"file:{buyer.service.settings.simulator_books.path}")


def nothing_open(buyer: Buyer, checkout: Checkout) -> bool:
    open_attempts = select(attempt.c.id).where(attempt.c.checkout_id == checkout.id, attempt.c.settled_at.is_(None))
    with buyer.service.database.read() as transaction:
        return not transaction.rows(open_attempts)


async def unreadable_webhook(buyer: Buyer) -> None:
    """A webhook that cannot be applied is deferred. An operator replays it once it is repaired, or dismisses it."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    checkout = await buyer.until(checkout, STATUS.COMPLETED)
    newest = checkout.attempt
    assert newest is not None
    assert newest.provider_reference is not None
    notice = Notice(f"msg_{newest.id}", newest.id, Succeeded(newest.provider_reference))
    await buyer.service.provider_webhook_processor.receive(SIMULATOR, [notice], b"{}")
    await buyer.come_true(lambda: webhook_tried(buyer, notice.id))
    evidence = spoil(buyer, notice)
    buyer.arm()
    await buyer.come_true(lambda: webhook_tried(buyer, notice.id))
    with database(buyer.service.settings.database_url) as beside:
        beside.execute(provider_webhook.update().where(provider_webhook.c.id == notice.id).values(evidence=evidence))
    await asyncio.to_thread(replay, buyer, notice.id)
    name = WebhookName(SIMULATOR, notice.id)
    await buyer.service.writer.submit(replay_webhooks, ReplayWebhook(name=name, schedule=LookupSchedule(), chance=0.5))
    give_up(buyer, notice.id)
    await asyncio.to_thread(dismiss, buyer, notice.id)
    give_up(buyer, notice.id)
    await buyer.service.writer.submit(dismiss_webhooks, DismissWebhook(name))


async def prune(buyer: Buyer) -> None:
    """A webhook was applied long ago: it is deleted, and its evidence stays."""
    checkout = await buyer.create()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout)
    checkout = await buyer.until(checkout, STATUS.COMPLETED)
    newest = checkout.attempt
    assert newest is not None
    assert newest.provider_reference is not None
    notice = Notice(f"msg_{newest.id}", newest.id, Succeeded(newest.provider_reference))
    await buyer.service.provider_webhook_processor.receive(SIMULATOR, [notice], b"{}")
    await buyer.come_true(lambda: webhook_tried(buyer, notice.id))
    buyer.arm()
    buyer.clock.shift_ms += LONG_AGO_MS
    await buyer.come_true(lambda: webhook_gone(buyer, notice.id))


async def webhook_gone(buyer: Buyer, webhook_id: str) -> bool:
    await asyncio.sleep(0)
    with buyer.service.database.read() as transaction:
        return not transaction.rows(select(provider_webhook.c.id).where(provider_webhook.c.id == webhook_id))


def replay(buyer: Buyer, webhook_id: str) -> None:
    with suppress(SystemExit):  # It is a command.
        replay_webhook(buyer.service.settings, webhook_id, provider=SIMULATOR)


def dismiss(buyer: Buyer, webhook_id: str) -> None:
    with suppress(SystemExit):
        dismiss_webhook(buyer.service.settings, webhook_id, provider=SIMULATOR)


def give_up(buyer: Buyer, webhook_id: str) -> None:
    """Let a webhook wait for a person."""
    changes = {"applied_at": None, "result": "NEEDS_REVIEW", "due_at": None}
    with database(buyer.service.settings.database_url) as beside:
        beside.execute(provider_webhook.update().where(provider_webhook.c.id == webhook_id).values(changes))


def spoil(buyer: Buyer, notice: Notice) -> str:
    """Make a webhook due whose evidence cannot be read; returns the original."""
    row = provider_webhook.c.id == notice.id
    with database(buyer.service.settings.database_url) as beside:
        evidence: str = beside.execute(select(provider_webhook.c.evidence).where(row)).scalar_one()
        changes = {"evidence": "nonsense", "applied_at": None, "result": None, "tries": 0, "due_at": 1}
        beside.execute(provider_webhook.update().where(row).values(changes))
    return evidence if evidence != "nonsense" else msgspec.json.encode(notice.evidence).decode()


async def webhook_tried(buyer: Buyer, webhook_id: str) -> bool:
    await asyncio.sleep(0)
    tries = select(provider_webhook.c.tries).where(provider_webhook.c.id == webhook_id)
    with buyer.service.database.read() as transaction:
        return bool(transaction.rows(tries)[0].tries)


async def learn(buyer: Buyer, attempt_id: str, evidence: Evidence) -> None:
    """Record what a person other than a worker found out."""
    request = RecordEvidence(
        attempt_id=attempt_id, evidence=evidence, cause=Cause.WEBHOOK, schedule=LookupSchedule(), chance=0.5
    )
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await buyer.service.writer.submit(record_evidence, request)
