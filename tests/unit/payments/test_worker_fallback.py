"""A worker that continues payments with the next account: at once, and without a call to one that is unhealthy."""

import asyncio
from collections.abc import Mapping
from typing import Final

from paidonce.clock import Clock
from paidonce.payments.circuit_breaker import UNKNOWN_IN_A_ROW_MAX
from paidonce.payments.model import Attempt, Fallback
from paidonce.payments.pay import Started, start_payments
from paidonce.payments.providers import PaymentProviders
from paidonce.providers.base import ChargeRequest, Provider
from paidonce.providers.evidence import Evidence, NotDone
from tests.proof.fake_provider import FakeOutcome, FakeProvider
from tests.support.payments import payment
from tests.support.worker import WorkerHarness, run_with_worker

FALLBACK: Final = Fallback("mollie", "pac_2")


class GoneProvider(FakeProvider):
    """Nobody listens where it was, until it ``is_back``. ``keys`` are those of the calls."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, lambda: FakeOutcome.WELL)
        self.keys: list[str] = []
        self.is_back = False

    async def charge(self, request: ChargeRequest) -> Evidence:
        if self.is_back:
            return await super().charge(request)
        self.calls += 1
        self.keys.append(request.key)
        return NotDone("connection refused; nothing was sent", retryable=True)


class ProvidersOfAccounts(PaymentProviders):
    """Providers by account. None is the provider of an account whose credentials cannot be read."""

    def __init__(self, by_account: Mapping[str, Provider | None]) -> None:
        super().__init__({})
        self._by_account = by_account

    @property
    def names(self) -> list[str]:
        return ["mollie", "stripe"]

    async def find(self, attempt: Attempt) -> Provider | None:
        return self._by_account[attempt.account_id or ""]


class Accounts:
    """Two accounts: the first is gone, the second works."""

    def __init__(self, place: WorkerHarness, *, first_is_unreadable: bool = False) -> None:
        self.place = place
        self.gone = GoneProvider(place.loop.clock)
        self.there = place.provider
        place.providers = ProvidersOfAccounts(
            {"pac_1": None if first_is_unreadable else self.gone, "pac_2": place.provider}
        )
        place.worker = place.another_worker()
        place.payments.add_account("stripe", "pac_1")
        place.payments.add_account("mollie", "pac_2")

    async def pay(self, name: str, *fallbacks: Fallback) -> Started:
        """Create a checkout and pay it with the first account; its attempt has the same name."""
        checkout = self.place.payments.create(name)
        command = payment(checkout, name, provider="stripe", account_id="pac_1", fallbacks=fallbacks)
        started = await self.place.worker.begin(start_payments, command, command.route)
        assert isinstance(started, Started)
        return started

    async def until_status(self, started: Started, status: str) -> None:
        await self.place.until(lambda: self.place.payments.attempt(started.attempt.id).status == status)

    async def until_first_is_unhealthy(self) -> None:
        """Pay with the first account until its circuit breaker has seen enough outcomes that are unknown."""
        while self.gone.calls < UNKNOWN_IN_A_ROW_MAX:
            await self.until_status(await self.pay(f"att_{self.gone.calls}"), "UNKNOWN")

    async def until_completed(self, started: Started) -> None:
        """Wait until the first account is given up, and the second is charged."""
        await self.until_status(started, "DECLINED")
        await self.place.until(lambda: [one for one in self.there.charges if one.checkout_id == started.checkout.id])


def test_a_payment_continues_with_the_next_account_without_waiting_for_a_poll(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place)
        await place.worker.start(alone=False)
        began = place.loop.time()
        await accounts.until_completed(await accounts.pay("att_1", FALLBACK))
        assert place.loop.time() - began < 2
        assert (accounts.gone.calls, accounts.there.calls) == (1, 1)

    run_with_worker(sqlite_url, story, poll_seconds=60)


def test_a_payment_whose_credentials_cannot_be_read_continues_with_the_next_account(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place, first_is_unreadable=True)
        await place.worker.start(alone=False)
        await accounts.until_completed(await accounts.pay("att_1", FALLBACK))

    run_with_worker(sqlite_url, story)


def test_while_an_account_is_unhealthy_payments_continue_with_the_next_and_it_is_not_called(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place)
        await place.worker.start(alone=False)
        await accounts.until_first_is_unhealthy()
        waiting = await accounts.pay("att_waiting")
        paid = [await accounts.pay(f"next_{number}", FALLBACK) for number in range(5)]  # More than there are places.
        for one in paid:
            await accounts.until_completed(one)
        assert not {one.attempt.provider_key for one in (waiting, *paid)} & set(accounts.gone.keys)
        assert accounts.there.calls == len(paid)
        assert place.payments.attempt(waiting.attempt.id).status == "READY"
        events = place.payments.events(place.payments.create("next_0"))
        assert any("paused" in (one.detail or "") for one in events if one.type == "attempt.declined")

    run_with_worker(sqlite_url, story, concurrency=4, poll_seconds=60)


def test_a_payment_whose_credentials_cannot_be_read_waits_where_there_is_no_other_account(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place, first_is_unreadable=True)
        await place.worker.start(alone=False)
        started = await accounts.pay("att_1")
        await accounts.until_status(started, "UNKNOWN")

    run_with_worker(sqlite_url, story)


def test_a_payment_waits_for_an_account_that_is_only_busy(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place)
        place.providers = ProvidersOfAccounts({"pac_1": accounts.there, "pac_2": accounts.gone})
        place.worker = place.another_worker()
        await place.worker.start(alone=False)
        place.answer_seconds = 10
        paid = [await accounts.pay(f"att_{number}", FALLBACK) for number in range(3)]
        for one in paid:
            await accounts.until_status(one, "SUCCEEDED")
        assert accounts.gone.calls == 0

    run_with_worker(sqlite_url, story, concurrency=4)


def test_an_account_that_was_unhealthy_is_tried_with_what_waits_for_it(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place)
        await place.worker.start(alone=False)
        await accounts.until_first_is_unhealthy()
        waiting = [await accounts.pay(f"waiting_{number}") for number in range(3)]
        accounts.gone.is_back = True
        for one in waiting:
            await accounts.until_status(one, "SUCCEEDED")

    run_with_worker(sqlite_url, story)


def test_what_an_account_has_due_beyond_its_places_is_given_back_for_other_processes(sqlite_url: str) -> None:
    async def story(place: WorkerHarness) -> None:
        accounts = Accounts(place)
        place.answer_seconds = 4.0
        names = ("att_1", "att_2")
        for name in names:  # Another process took the requests, and had no place for them.
            place.payments.pay(place.payments.create(name), name, provider="mollie", account_id="pac_2")
        await place.worker.start(alone=False)
        await place.until(lambda: sum(place.payments.attempt(name).fence for name in names) == len(names))
        await asyncio.sleep(1)
        due = [place.payments.attempt(name).due_at or 0 for name in names]
        assert [at <= place.loop.clock() for at in sorted(due)] == [True, False]
        await place.until(lambda: len(accounts.there.charges) == len(names))

    run_with_worker(sqlite_url, story, concurrency=4)
