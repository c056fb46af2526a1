"""The open providers of a process: opened once, replaced within five seconds, disconnected when their calls ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
from structlog.testing import capture_logs

from paidonce.database.batcher import threaded_batcher
from paidonce.encryption import KEY_BYTES
from paidonce.errors import (
    CurrencyNotSupported,
    EncryptionKeyMissing,
    Overloaded,
    ProviderAccountDisabled,
    RateLimited,
)
from paidonce.ids import secret_bytes
from paidonce.merchants.model import Mode
from paidonce.money import Money
from paidonce.provider_accounts.connections import (
    AGE_SECONDS_MAX,
    CHECKS_PER_MERCHANT,
    IDLE_SECONDS_MAX,
    ProviderConnections,
)
from paidonce.provider_accounts.model import AccountStatus, ProviderAccount
from paidonce.providers.base import WantedCharge
from tests.support.fake_connector import CREDENTIALS, KEY, OTHER_KEY
from tests.unit.provider_accounts.harness import AccountHarness

SECONDS_MAX: Final = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class OpenConnections:
    """The connections of one process to the accounts of a harness."""

    def __init__(self, harness: AccountHarness, grace_seconds: float = 0.0) -> None:
        self.harness = harness
        self.clock = Clock()
        self.reader = threaded_batcher(
            harness.database.read, name="reader", queue_limit=100, batch_limit=10, chance=lambda: 0.5
        )
        self.connections = ProviderConnections(
            self.reader, harness.opener, grace_seconds=grace_seconds, monotonic=self.clock
        )

    async def key_of(self, account: ProviderAccount) -> str | None:
        """Return the API key that the provider of an account was opened with; None where there is no provider."""
        provider = await self.connections.provider_of(account.merchant_id, account.id)
        if provider is None:
            return None
        opened = next(one for one in self.harness.fake.opened if one is provider)
        assert opened.is_connected
        return opened.connection.credentials["apiKey"]


@pytest.fixture
async def open_connections(harness: AccountHarness) -> AsyncIterator[OpenConnections]:
    one = OpenConnections(harness)
    await one.reader.start()
    yield one
    await one.connections.stop()
    await one.reader.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.001)


async def test_a_provider_is_opened_once_with_the_credentials_and_the_mode_of_its_account(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    ask = open_connections.connections.provider_of
    found = await asyncio.gather(*(ask("m1", account.id) for _ in range(5)))
    [opened] = harness.fake.opened
    assert all(provider is opened for provider in found)
    assert (opened.connection.credentials, opened.connection.mode) == (CREDENTIALS, "test")
    assert opened.connection.timeout_seconds == 20.0
    open_connections.clock.now += AGE_SECONDS_MAX
    assert await ask("m1", account.id) is opened, "it was read again and has not changed"


async def test_there_is_no_provider_for_another_merchant_or_an_unknown_account(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    ask = open_connections.connections.provider_of
    assert await ask("m1", account.id) is not None
    assert await ask("m2", account.id) is None
    assert await ask("m1", "pac_1") is None
    assert len(harness.fake.opened) == 1


async def test_new_credentials_are_used_within_five_seconds_and_the_old_provider_is_disconnected(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    assert await open_connections.key_of(account) == KEY
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    open_connections.clock.now += AGE_SECONDS_MAX - 0.001
    assert await open_connections.key_of(account) == KEY
    open_connections.clock.now += 0.001
    assert await open_connections.key_of(account) == OTHER_KEY
    old, new = harness.fake.opened
    await until(lambda: not old.is_connected)
    assert new.is_connected


async def test_new_credentials_are_used_at_once_by_the_process_that_stored_them(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    assert await open_connections.key_of(account) == KEY
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    open_connections.connections.invalidate()
    assert await open_connections.key_of(account) == OTHER_KEY


async def test_what_was_read_before_a_change_of_this_process_is_not_used_after_it(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    reading = asyncio.create_task(open_connections.connections.provider_of("m1", account.id))
    await asyncio.sleep(0)  # It is being read.
    open_connections.connections.invalidate()
    await reading
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    open_connections.clock.now += 0.001
    assert await open_connections.key_of(account) == OTHER_KEY


async def test_a_disabled_account_keeps_its_provider_for_the_payments_that_were_made_with_it(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account, never_used = harness.create(), harness.create()
    assert await open_connections.key_of(account) == KEY
    for one in (account, never_used):
        harness.change(one, status=AccountStatus.DISABLED)
    open_connections.clock.now += AGE_SECONDS_MAX
    assert await open_connections.key_of(account) == KEY
    assert await open_connections.key_of(never_used) == KEY
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    open_connections.connections.invalidate()
    assert await open_connections.key_of(account) == OTHER_KEY


async def test_credentials_that_nobody_uses_are_not_kept_in_memory(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account, used = harness.create(), harness.create()
    await open_connections.key_of(account)
    await open_connections.key_of(used)
    open_connections.clock.now += IDLE_SECONDS_MAX
    await open_connections.key_of(used)
    open_connections.clock.now += 0.001
    open_connections.connections.start()
    await until(lambda: not harness.fake.opened[0].is_connected)
    assert harness.fake.opened[1].is_connected


async def test_a_provider_that_is_replaced_stays_connected_while_a_call_may_use_it(harness: AccountHarness) -> None:
    one = OpenConnections(harness, grace_seconds=3600.0)
    await one.reader.start()
    account = harness.create()
    assert await one.key_of(account) == KEY
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    one.connections.invalidate()
    assert await one.key_of(account) == OTHER_KEY
    await asyncio.sleep(0)
    assert [provider.is_connected for provider in harness.fake.opened] == [True, True]
    await one.connections.stop()
    assert [provider.is_connected for provider in harness.fake.opened] == [False, False]
    await one.reader.stop()


async def test_an_account_whose_encryption_key_is_lost_has_no_provider_and_its_neighbour_has(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    lost = harness.create()
    harness.keys = [secret_bytes(KEY_BYTES)]
    harness.opener = harness.new_opener()
    kept = harness.create()
    connections = ProviderConnections(
        open_connections.reader, harness.opener, grace_seconds=0, monotonic=open_connections.clock
    )
    with capture_logs() as logs:
        assert await connections.provider_of("m1", lost.id) is None
        assert await connections.provider_of("m1", lost.id) is None
    assert await connections.provider_of("m1", kept.id) is not None
    [entry] = [one for one in logs if one["event"] == "provider_account_not_opened"]
    assert (entry["account_id"], entry["log_level"]) == (lost.id, "error")
    assert "PAIDONCE_ENCRYPTION_KEYS" in entry["cause"]
    with pytest.raises(EncryptionKeyMissing):
        await connections.check(lost)
    await connections.stop()


async def test_an_account_with_a_provider_that_this_release_does_not_know_has_none(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create(provider="other")
    assert await open_connections.connections.provider_of("m1", account.id) is None


async def test_an_account_that_cannot_be_read_in_time_is_an_error_and_not_an_old_provider(
    harness: AccountHarness,
) -> None:
    one = OpenConnections(harness)
    await one.reader.start()
    account = harness.create()
    assert await one.key_of(account) == KEY
    await one.reader.stop()
    one.clock.now += AGE_SECONDS_MAX
    with pytest.raises(Overloaded):  # As a batcher that was stopped says.
        await one.connections.provider_of("m1", account.id)
    await one.connections.stop()


async def test_the_accounts_of_a_payment_are_chosen_and_a_refusal_is_raised(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    connections = open_connections.connections
    charge = WantedCharge(money=Money(1000, "USD"), payment_method="tok", capture=False)
    account = harness.create()
    assert await connections.choose(charge, "m1", Mode.TEST) == [account]
    assert harness.fake.asked == [(Money(1000, "USD"), "tok", False)]
    harness.fake.unsupported["USD"] = "currency_not_supported"
    with pytest.raises(CurrencyNotSupported):
        await connections.choose(charge, "m1", Mode.TEST)
    harness.change(account, status=AccountStatus.DISABLED)
    with pytest.raises(ProviderAccountDisabled):
        await connections.choose(charge, "m1", Mode.TEST, account_ids=(account.id,))


async def test_a_check_uses_a_connection_of_its_own_and_closes_it(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    account = harness.create()
    harness.fake.problems = [f"The key {KEY} may not refund.", "The shop is closed."]
    assert await open_connections.connections.check(account) == ["The key … may not refund.", "The shop is closed."]
    [opened] = harness.fake.opened
    assert (opened.checks, opened.is_connected) == (1, False)


async def test_a_check_that_gets_no_answer_says_so_and_closes_its_connection(harness: AccountHarness) -> None:
    opener = harness.new_opener(provider_timeout_seconds=0.01)
    harness.fake.answers.clear()
    assert await opener.check(harness.create()) == ["The provider did not respond within 0.01 seconds."]
    assert not harness.fake.opened[0].is_connected


async def test_a_check_of_credentials_that_were_changed_in_the_database_says_so(harness: AccountHarness) -> None:
    account, other = harness.create(), harness.create()
    swapped = harness.change(account, credentials=other.credentials)
    [problem] = await harness.opener.check(swapped)
    assert problem.startswith("The stored credentials cannot be decrypted.")
    assert harness.fake.opened == []


async def test_a_merchant_can_have_only_a_few_checks_at_once_and_others_are_not_affected(
    open_connections: OpenConnections, harness: AccountHarness
) -> None:
    mine, foreign = harness.create(), harness.create("m2")
    harness.fake.answers.clear()
    check = open_connections.connections.check
    running = [asyncio.create_task(check(mine)) for _ in range(CHECKS_PER_MERCHANT)]
    await until(lambda: sum(one.checks for one in harness.fake.opened) == CHECKS_PER_MERCHANT)
    with pytest.raises(RateLimited):
        await check(mine)
    another = asyncio.create_task(check(foreign))
    harness.fake.answers.set()
    assert await asyncio.gather(another, *running) == [[]] * (CHECKS_PER_MERCHANT + 1)
    assert await check(mine) == []


@pytest.mark.parametrize("public_url", ["https://pay.example.com", "https://pay.example.com/", ""])
async def test_a_provider_is_told_where_the_webhooks_of_its_account_arrive_if_that_is_known(
    harness: AccountHarness, public_url: str
) -> None:
    account = harness.create()
    harness.new_opener(public_url=public_url).open(account)
    known = f"https://pay.example.com/providers/fake/{account.id}/webhooks" if public_url else ""
    assert harness.fake.opened[-1].connection.webhook_url == known
