"""Stories of buyers who pay on the provider's page, and of the merchant's accounts with providers."""

import asyncio
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from paidonce import ids
from paidonce.checkouts.model import Checkout, CheckoutStatus
from paidonce.cli.providers import ProviderCommands
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Mode, TenantScopedId
from paidonce.payments.sessions import ReplaceSession, replace_sessions
from paidonce.provider_accounts.actions import ChangeAccount, CreateAccount, change_accounts, create_accounts
from paidonce.provider_accounts.model import AccountName, AccountStatus, ProviderAccount
from paidonce.providers.evidence import Redirect, decode_action
from paidonce.providers.simulator.provider import Simulator
from paidonce.providers.simulator.session_books import SessionStep
from tests.proof.buyer import SIMULATOR, Buyer

LATER_MS = 60_000
ENDED = (CheckoutStatus.COMPLETED, CheckoutStatus.FAILED, CheckoutStatus.CANCELED)


async def approve_then_charge(buyer: Buyer) -> None:
    """The buyer approves and comes back; then the service charges the session."""
    checkout = await sent_to_the_page(buyer, "tok_redirect_then_charge")
    if checkout.awaits_buyer:
        await act(buyer, checkout, SessionStep.APPROVE)
    await buyer.until(checkout, *ENDED)


async def decline_on_the_page(buyer: Buyer) -> None:
    """The buyer declines, and comes back."""
    checkout = await sent_to_the_page(buyer, "tok_redirect")
    if checkout.awaits_buyer:
        await act(buyer, checkout, SessionStep.DECLINE)
    await buyer.until(checkout, *ENDED)


async def cancel_on_the_page(buyer: Buyer) -> None:
    """The shop cancels while the buyer is on the provider's page."""
    checkout = await sent_to_the_page(buyer, "hosted")
    await buyer.cancel(checkout)
    await buyer.until(checkout, *ENDED)


async def pay_in_another_way(buyer: Buyer) -> None:
    """The buyer comes back from the provider's page without paying, and pays in another way."""
    checkout = await sent_to_the_page(buyer, "hosted")
    wanted = ReplaceSession(TenantScopedId(checkout.id, buyer.merchant_id), checkout.attempt_count)
    await buyer.service.writer.submit(replace_sessions, wanted)
    checkout = await buyer.until(checkout, *ENDED)
    if checkout.status == CheckoutStatus.FAILED:
        await buyer.pay(checkout)
    await buyer.until(checkout, CheckoutStatus.COMPLETED)


async def sent_to_the_page(buyer: Buyer, method: str) -> Checkout:
    checkout = await buyer.create()
    buyer.arm()
    if checkout.attempt_count == 0:
        await buyer.pay(checkout, method)

    async def look() -> Checkout | None:
        seen = await buyer.read(checkout.id)
        return seen if seen.awaits_buyer or seen.status in ENDED else None

    found: Checkout = await buyer.come_true(look)
    return found


async def act(buyer: Buyer, checkout: Checkout, step: SessionStep) -> None:
    """Do on the provider's page what a buyer does, and come back a minute later."""
    simulator = buyer.service.payment_providers.built_in(SIMULATOR)
    assert isinstance(simulator, Simulator)
    assert checkout.attempt is not None
    assert checkout.attempt.action is not None
    action = decode_action(checkout.attempt.action)
    assert isinstance(action, Redirect)
    await simulator.simulation.act(action.url.rpartition("/")[2], step)
    buyer.clock.shift_ms += LATER_MS
    await buyer.service.worker.resume(checkout.id)


async def accounts_desk(buyer: Buyer) -> None:
    """An account is added, rotated, and disabled by the command beside the server."""
    service = buyer.service
    buyer.arm()
    await buyer.create()
    await service.writer.submit(create_merchants, buyer.merchant_id)
    account_id = ids.new_id(ids.PROVIDER_ACCOUNT)
    name = AccountName(account_id, buyer.merchant_id)
    credentials = {"secretKey": "sk_test_0000"}
    sealed = service.provider_accounts.opener.seal(
        "stripe", credentials, merchant_id=buyer.merchant_id, account_id=account_id
    )
    created = CreateAccount(
        id=account_id,
        merchant_id=buyer.merchant_id,
        provider="stripe",
        mode=Mode.TEST,
        name="Stripe",
        credentials=sealed.credentials,
        hints=sealed.hints,
    )
    made: ProviderAccount = await service.writer.submit(create_accounts, created)
    assert made.is_active
    await service.writer.submit(change_accounts, ChangeAccount(name=name, position=7))
    await asyncio.to_thread(disable_beside, buyer, account_id)
    ended = await service.writer.submit(change_accounts, ChangeAccount(name=name, status=AccountStatus.DISABLED))
    assert not ended.is_active


def disable_beside(buyer: Buyer, account_id: str) -> None:
    """Run the command that disables an account, while the server is running."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        ProviderCommands(buyer.service.settings, None).disable(account_id)
