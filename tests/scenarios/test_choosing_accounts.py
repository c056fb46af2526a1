"""Which provider account a payment uses: always one of the mode of its checkout, whoever pays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from sqlalchemy import select

from paidonce import ids
from paidonce.database.schema import attempt
from paidonce.merchants.model import Mode
from paidonce.money import Money
from paidonce.payments.model import decode_fallbacks
from paidonce.payments.store import read_attempts
from tests.support.fake_connector import CREDENTIALS, LIVE_KEY, FakeConnector
from tests.support.in_process_service import InProcessService, Json, open_in_process_service

TEST_ACCOUNT: Final[Json] = {"provider": "fake", "credentials": CREDENTIALS}
OTHER_ACCOUNT: Final[Json] = {"provider": "other", "credentials": CREDENTIALS}
LIVE_ACCOUNT: Final[Json] = {"provider": "fake", "mode": "live", "credentials": {"apiKey": LIVE_KEY}}
UNKNOWN: Final = f"{ids.PROVIDER_ACCOUNT}_{'0' * 26}"


@pytest.fixture
async def inside(database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(database_url, str(tmp_path), others=[FakeConnector("other")]) as opened:
        yield opened


async def add_account(inside: InProcessService, account: Json = TEST_ACCOUNT, **fields: str) -> str:
    body = {**account, "merchantId": inside.merchant_id, **fields}
    return str((await inside.made("/provider-accounts", body, as_who=inside.operator_key))["id"])


async def pay(inside: InProcessService, *, as_who: str | None = None, **body: str) -> httpx.Response:
    """Pay a new checkout, in the mode of the key."""
    return await inside.post(f"/checkouts/{await inside.checkout(as_who=as_who)}/pay", body, as_who=as_who)


async def provider_of(inside: InProcessService, **body: str) -> str:
    """Pay a new checkout; returns the provider of the attempt."""
    paying = await inside.made(f"/checkouts/{await inside.checkout()}/pay", body)
    return str(paying["attempt"]["provider"])


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_test_key_pays_with_the_account_and_with_the_simulator_where_there_is_none(
    inside: InProcessService,
) -> None:
    assert await provider_of(inside) == "simulator"
    await add_account(inside, LIVE_ACCOUNT)
    assert await provider_of(inside) == "simulator"
    account_id = await add_account(inside)
    assert await provider_of(inside) == "fake"
    assert await provider_of(inside, account=account_id) == "fake"
    assert await provider_of(inside, provider="fake") == "fake"
    assert await provider_of(inside, provider="simulator") == "simulator"


@pytest.mark.parametrize("body", [{}, {"provider": "simulator"}, {"provider": "fake"}], ids=str)
async def test_a_live_key_without_a_live_account_pays_nowhere(inside: InProcessService, body: Json) -> None:
    live_key = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    checkout_id = await inside.checkout(as_who=live_key)
    for add in (None, TEST_ACCOUNT):
        if add:
            await add_account(inside, add)
        before = inside.rows()
        answer = await inside.post(f"/checkouts/{checkout_id}/pay", body, as_who=live_key)
        assert_refused(answer, 404, "provider_account_not_found")
        assert inside.rows() == before


async def test_a_live_key_pays_with_the_live_account_whatever_test_accounts_come_first(
    inside: InProcessService,
) -> None:
    live_key = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    test_account = await add_account(inside)
    await add_account(inside, LIVE_ACCOUNT)
    paying = (await pay(inside, as_who=live_key)).json()
    assert paying["attempt"]["provider"] == "fake"
    assert_refused(await pay(inside, as_who=live_key, account=test_account), 403, "provider_account_wrong_mode")


async def test_an_account_that_the_merchant_cannot_use_is_refused_and_nothing_is_sent(
    inside: InProcessService,
) -> None:
    other = await inside.made("/merchants", {"id": inside.new_name("m")}, as_who=inside.operator_key)
    others = await add_account(inside, merchantId=other["id"])
    live = await add_account(inside, LIVE_ACCOUNT)
    disabled = await add_account(inside)
    await inside.made(f"/provider-accounts/{disabled}/disable")
    checkout_id = await inside.checkout()
    before = inside.rows()
    for account_id, status, code in (
        (UNKNOWN, 404, "provider_account_not_found"),
        (others, 404, "provider_account_not_found"),
        (live, 403, "provider_account_wrong_mode"),
        (disabled, 409, "provider_account_disabled"),
    ):
        answer = await inside.post(f"/checkouts/{checkout_id}/pay", {"account": account_id})
        assert_refused(answer, status, code)
    assert inside.rows() == before


async def test_an_unknown_provider_is_a_wrong_field_and_the_known_ones_are_named(inside: InProcessService) -> None:
    answer = await pay(inside, provider="nobody")
    assert_refused(answer, 400, "invalid_request")
    assert answer.json()["errors"] == [
        {
            "pointer": "/provider",
            "code": "unknown_value",
            "detail": "There is no provider nobody; there is fake, other, simulator.",
        }
    ]


async def test_a_payment_uses_the_first_account_in_the_order_of_preference_that_takes_its_currency(
    inside: InProcessService,
) -> None:
    await add_account(inside)
    other = await add_account(inside, OTHER_ACCOUNT)
    inside.fake.unsupported["EUR"] = "currency_not_supported"
    for currency, provider in (("USD", "fake"), ("EUR", "other")):
        checkout_id = await inside.checkout(currency=currency)
        paying = await inside.made(f"/checkouts/{checkout_id}/pay")
        assert paying["attempt"]["provider"] == provider
    await inside.made(f"/provider-accounts/{other}/disable")
    refused = await inside.post(f"/checkouts/{await inside.checkout(currency='EUR')}/pay")
    assert_refused(refused, 422, "currency_not_supported")  # There is an account, so the simulator is not used.


@pytest.mark.parametrize("code", ["currency_not_supported", "amount_not_supported", "payment_method_not_supported"])
async def test_what_the_named_account_cannot_take_is_refused_with_the_reason_and_nothing_is_written(
    inside: InProcessService, code: str
) -> None:
    account_id = await add_account(inside)
    await add_account(inside, OTHER_ACCOUNT)
    checkout_id = await inside.checkout(captureMethod="manual")
    inside.fake.unsupported["USD"] = code
    before = inside.rows()
    for body in ({"account": account_id}, {"provider": "fake"}):
        answer = await inside.post(f"/checkouts/{checkout_id}/pay", {**body, "paymentMethod": "tok_1"}, key="1")
        assert_refused(answer, 422, code)
    assert inside.rows() == before
    assert inside.fake.asked == [(Money(1000, "USD"), "tok_1", False)] * 2


def fallbacks_of(inside: InProcessService, paying: Json) -> tuple[str | None, list[str]]:
    """Return the account of an attempt, and those with which its payment may continue."""
    with inside.service.database.read() as transaction:
        attempt = read_attempts(transaction, [paying["attempt"]["id"]])[paying["attempt"]["id"]]
    return attempt.account_id, [one.account_id for one in decode_fallbacks(attempt.fallbacks)]


async def test_a_payment_may_continue_with_the_other_accounts_that_can_take_it_unless_it_names_one(
    inside: InProcessService,
) -> None:
    first, other, third = [await add_account(inside, one) for one in (TEST_ACCOUNT, OTHER_ACCOUNT, TEST_ACCOUNT)]
    await add_account(inside, LIVE_ACCOUNT)
    wanted: list[tuple[Json, tuple[str, list[str]]]] = [
        ({}, (first, [other, third])),
        ({"account": other}, (other, [])),
        ({"accounts": [third, first]}, (third, [first])),
        ({"provider": "fake"}, (first, [third])),
        ({"provider": "fake", "accounts": [third]}, (third, [])),
    ]
    for body, expected in wanted:
        paying = await inside.made(f"/checkouts/{await inside.checkout()}/pay", body)
        assert fallbacks_of(inside, paying) == expected, body
        assert paying["attempt"]["account"] == expected[0]
    inside.fake.unsupported["USD"] = "amount_not_supported"
    paying = await inside.made(f"/checkouts/{await inside.checkout()}/pay", {"accounts": [third, other]})
    assert fallbacks_of(inside, paying) == (other, [])


async def test_a_payment_tries_five_accounts_at_the_most(inside: InProcessService) -> None:
    accounts = [await add_account(inside) for _ in range(6)]
    paying = await inside.made(f"/checkouts/{await inside.checkout()}/pay")
    assert fallbacks_of(inside, paying) == (accounts[0], accounts[1:5])


async def test_accounts_that_are_named_wrongly_are_refused_and_nothing_is_written(inside: InProcessService) -> None:
    first, second, live = [await add_account(inside, one) for one in (TEST_ACCOUNT, TEST_ACCOUNT, LIVE_ACCOUNT)]
    checkout_id = await inside.checkout()
    before = inside.rows()
    for body, status, code in (
        ({"accounts": [first, UNKNOWN]}, 404, "provider_account_not_found"),
        ({"accounts": [first, live]}, 403, "provider_account_wrong_mode"),
        ({"accounts": [first], "account": first}, 400, "invalid_request"),
        ({"accounts": [first, second, first]}, 400, "invalid_request"),
        ({"accounts": []}, 400, "invalid_request"),
        ({"accounts": [first] * 6}, 400, "invalid_request"),
    ):
        assert_refused(await inside.post(f"/checkouts/{checkout_id}/pay", body), status, code)
    assert inside.rows() == before


async def test_a_key_that_was_used_with_other_accounts_is_refused(inside: InProcessService) -> None:
    first, second = [await add_account(inside) for _ in range(2)]
    path = f"/checkouts/{await inside.checkout()}/pay"
    answers = [
        await inside.post(path, {"accounts": accounts}, key="1")
        for accounts in ([first, second], [first, second], [second, first])
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[2].json()["code"] == "idempotency_key_reused"
    assert answers[0].json()["attempt"] == answers[1].json()["attempt"]


@pytest.mark.parametrize("mode", Mode)
async def test_an_operator_pays_a_checkout_only_in_the_mode_of_the_checkout(
    inside: InProcessService, mode: Mode
) -> None:
    operator_key, fields = inside.operator_key, {"merchantId": inside.merchant_id, "mode": mode}
    accounts = {Mode.TEST: await add_account(inside), Mode.LIVE: await add_account(inside, LIVE_ACCOUNT)}
    checkout_id = await inside.checkout(as_who=operator_key, **fields)
    own, other = (accounts[one] for one in (mode, Mode.TEST if mode is Mode.LIVE else Mode.LIVE))
    before = inside.rows()
    refused = await inside.post(f"/checkouts/{checkout_id}/pay", {"account": other}, as_who=operator_key)
    assert_refused(refused, 403, "provider_account_wrong_mode")
    assert inside.rows() == before
    await inside.made(f"/checkouts/{checkout_id}/pay", as_who=operator_key)
    assert account_of(inside, checkout_id) == own


@pytest.mark.parametrize("body", [{}, {"provider": "simulator"}], ids=str)
async def test_an_operator_cannot_pay_a_live_checkout_at_the_simulator(inside: InProcessService, body: Json) -> None:
    fields = {"merchantId": inside.merchant_id, "mode": "live"}
    checkout_id = await inside.checkout(as_who=inside.operator_key, **fields)
    for add in (None, TEST_ACCOUNT):
        if add:
            await add_account(inside, add)
        before = inside.rows()
        refused = await inside.post(f"/checkouts/{checkout_id}/pay", body, as_who=inside.operator_key)
        assert refused.status_code in (403, 404)
        assert refused.json()["code"] in ("provider_account_wrong_mode", "provider_account_not_found")
        assert inside.rows() == before


def account_of(inside: InProcessService, checkout_id: str) -> str | None:
    with inside.service.database.read() as transaction:
        rows = transaction.rows(select(attempt.c.account_id).where(attempt.c.checkout_id == checkout_id))
    return str(rows[0].account_id) if rows else None
