"""Stories of a merchant with two accounts: the first is gone, or its answer is lost; the second is the simulator's."""

import asyncio
from collections import ChainMap
from typing import Final

from paidonce.checkouts.model import CheckoutStatus, ProviderRoute
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Mode
from paidonce.payments.model import Fallback
from paidonce.provider_accounts.actions import CreateAccount, create_accounts
from paidonce.provider_accounts.opening import Connectors
from paidonce.providers.base import ChargeRequest, Connection, Connector, Modification, Provider
from paidonce.providers.evidence import Evidence, NotDone
from paidonce.providers.registry import CONNECTORS
from paidonce.providers.simulator.provider import Simulator
from tests.proof.buyer import Buyer
from tests.proof.fake_provider import FakeOutcome, FakeProvider

GONE: Final = "gone"
THERE: Final = "there"
NEEDED_BY: Final = frozenset({"fall_back", "answer_lost_at_an_account"})
"""The stories that need these connectors."""
ENDED: Final = (CheckoutStatus.COMPLETED, CheckoutStatus.FAILED)


class GoneProvider(FakeProvider):
    """Nobody listens where it was."""

    async def open(self, request: ChargeRequest) -> Evidence:  # noqa: ARG002 - the protocol's
        return NotDone("connection refused; nothing was sent", retryable=True)


class SimulatorOfAccount(FakeProvider):
    """The simulator of the service, once that is open."""

    def __init__(self, connection: Connection, simulator: "asyncio.Future[Provider]") -> None:
        super().__init__(connection.clock, lambda: FakeOutcome.WELL, capabilities=Simulator.capabilities)
        self._simulator = simulator

    async def charge(self, request: ChargeRequest) -> Evidence:
        return await (await self._simulator).charge(request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:
        return await (await self._simulator).look_up(request)


def with_two_accounts(simulator: "asyncio.Future[Provider]") -> Connectors:
    """Add the connectors of this story to those of the release."""
    gone = Connector(
        name=GONE,
        display_name="Gone",
        credential_fields=(),
        open=lambda connection: GoneProvider(connection.clock, lambda: FakeOutcome.WELL),
    )
    there = Connector(
        name=THERE,
        display_name="There",
        credential_fields=(),
        open=lambda connection: SimulatorOfAccount(connection, simulator),
    )
    return ChainMap({GONE: gone, THERE: there}, CONNECTORS)  # type: ignore[arg-type] # it is only read


async def fall_back(buyer: Buyer) -> None:
    """A payment does not begin with the first account, and continues with the second."""
    await pay_with_two_accounts(buyer, GONE, "tok_success", in_session=True)


async def lose_the_answer_of_an_account(buyer: Buyer) -> None:
    """The first account charges, and its answer is lost: then the second one is not used."""
    await pay_with_two_accounts(buyer, THERE, "tok_error_after_charge")


async def pay_with_two_accounts(buyer: Buyer, first: str, method: str, *, in_session: bool = False) -> None:
    await buyer.service.writer.submit(create_merchants, buyer.merchant_id)
    routes = [await add_account(buyer, provider, number) for number, provider in enumerate((first, THERE))]
    checkout = await buyer.create()
    buyer.arm()
    if checkout.attempt_count == 0:
        fallback = Fallback(routes[1].provider, routes[1].account_id or "")
        await buyer.pay(checkout, method, route=routes[0], in_session=in_session, fallbacks=(fallback,))
    await buyer.until(checkout, *ENDED)


async def add_account(buyer: Buyer, provider: str, number: int) -> ProviderRoute:
    """Add an account, or find the one that a process before this one has added."""
    account_id = f"pac_{number}_{buyer.merchant_id}"
    sealed = buyer.service.provider_accounts.opener.seal(
        provider, {}, merchant_id=buyer.merchant_id, account_id=account_id
    )
    account = CreateAccount(
        id=account_id,
        merchant_id=buyer.merchant_id,
        provider=provider,
        mode=Mode.TEST,
        name=provider,
        credentials=sealed.credentials,
        hints=sealed.hints,
    )
    await buyer.service.writer.submit(create_accounts, account)
    return ProviderRoute(provider, account_id)
