"""Calls that pay, capture, cancel and refund: what they answer, once and again with the same idempotency key."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Mode
from paidonce.money import Money
from paidonce.payments.external_changes import RecordChange, record_changes
from paidonce.payments.schedule import LookupSchedule
from paidonce.payments.store import read_attempts
from paidonce.providers.evidence import Dispute
from tests.support.in_process_service import InProcessService, Json, open_in_process_service


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def test_a_cancel_that_is_repeated_is_answered_with_the_same_status_whether_money_was_held(
    inside: InProcessService,
) -> None:
    for checkout_id, expected, retry_after in (
        (await inside.checkout(), (200, "CANCELED"), None),
        (await inside.authorized(), (202, "AUTHORIZED"), "1"),
    ):
        first, again = [await inside.post(f"/checkouts/{checkout_id}/cancel", key=checkout_id) for _ in range(2)]
        assert [(one.status_code, one.json()["status"]) for one in (first, again)] == [expected] * 2
        assert [one.headers.get("idempotent-replayed") for one in (first, again)] == [None, "true"]
        assert [one.headers.get("retry-after") for one in (first, again)] == [retry_after] * 2
        (use,) = (await inside.get(f"/idempotency-keys/{checkout_id}")).json()["data"]
        assert (use["status"], use["resource"]) == (expected[0], f"/checkouts/{checkout_id}")


async def test_an_event_names_the_request_that_began_what_it_tells_of(inside: InProcessService) -> None:
    unpaid, paid, held, voided = (
        await inside.checkout(),
        await inside.paid(),
        await inside.authorized(),
        await inside.authorized(),
    )
    for checkout_id, call in ((unpaid, "pay"), (paid, "refunds"), (held, "capture"), (voided, "cancel")):
        response = await inside.post(f"/checkouts/{checkout_id}/{call}", key=f"{call}-1")
        timeline = (await inside.get(f"/checkouts/{checkout_id}/timeline")).json()["data"]
        assert timeline[-1]["requestId"] == response.headers["x-request-id"]


async def test_a_payment_through_an_unknown_provider_is_refused_with_the_names_of_those_there_are(
    inside: InProcessService,
) -> None:
    refused = await inside.post(f"/checkouts/{await inside.checkout()}/pay", {"provider": "bank"})
    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["pointer"], error["code"]) == (400, "/provider", "unknown_value")
    names = ", ".join(inside.service.payment_providers.names)
    assert error["detail"] == f"There is no provider bank; there is {names}."


async def test_a_second_pay_is_answered_with_the_first_and_says_so(inside: InProcessService) -> None:
    path = f"/checkouts/{await inside.checkout()}/pay"
    first, again = await inside.post(path), await inside.post(path)
    assert first.json() == again.json()
    assert [one.headers.get("idempotent-replayed") for one in (first, again)] == [None, "true"]
    assert [one.headers["location"] for one in (first, again)] == [path.removesuffix("/pay")] * 2


async def test_a_repeated_pay_shows_the_checkout_as_it_is_by_then(inside: InProcessService) -> None:
    checkout_id = await inside.checkout()
    first = await inside.post(f"/checkouts/{checkout_id}/pay", key="k")
    await inside.prove(first.json()["attempt"]["id"])
    again = await inside.post(f"/checkouts/{checkout_id}/pay", key="k")
    assert [(one.status_code, one.json()["status"]) for one in (first, again)] == [
        (202, "PROCESSING"),
        (202, "COMPLETED"),
    ]


async def test_a_pay_names_one_account_or_several_in_order_and_not_both(inside: InProcessService) -> None:
    path = f"/checkouts/{await inside.checkout()}/pay"
    accounts = [f"pac_{digit * 26}" for digit in "01"]
    both = await inside.post(path, {"account": accounts[0], "accounts": accounts})
    refusal = {"pointer": "/accounts", "code": "contradiction", "detail": "Give account or accounts, not both."}
    assert both.json()["errors"] == [refusal]
    several: Json = {"accounts": accounts}
    for body in ({"account": accounts[0]}, several):
        refused = await inside.post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (404, "provider_account_not_found")


async def test_a_provider_that_accounts_are_needed_for_takes_no_payment_without_one(inside: InProcessService) -> None:
    refused = await inside.post(f"/checkouts/{await inside.checkout()}/pay", {"provider": "fake"})
    assert (refused.status_code, refused.json()["code"]) == (404, "provider_account_not_found")
    assert set(inside.service.payment_providers.names) == {"simulator", *inside.fake.connectors}


async def test_an_account_is_chosen_for_the_payment_method_that_is_asked_for_and_is_sent_it(
    inside: InProcessService,
) -> None:
    account = {"provider": "fake", "credentials": {"apiKey": "fk_test_0123456789abcdef"}}
    await inside.made("/provider-accounts", account)
    path = f"/checkouts/{await inside.checkout()}/pay"
    paying = await inside.made(path, {"paymentMethod": "pm_card"})
    assert inside.fake.asked == [(Money(1000, "USD"), "pm_card", True)]
    with inside.service.database.read() as transaction:
        (attempt,) = read_attempts(transaction, [paying["attempt"]["id"]]).values()
    assert (attempt.provider, attempt.payment_method) == ("fake", "pm_card")


async def test_a_merchant_without_accounts_is_served_by_the_simulator_also_where_others_have_some(
    inside: InProcessService,
) -> None:
    account = {"provider": "fake", "credentials": {"apiKey": "fk_test_0123456789abcdef"}}
    await inside.made("/provider-accounts", account)
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    key = await inside.api_key(another)
    paying = await inside.made(f"/checkouts/{await inside.checkout(as_who=key)}/pay", as_who=key)
    assert paying["attempt"]["provider"] == "simulator"


async def test_a_live_checkout_without_a_live_account_is_not_paid_by_the_simulator(inside: InProcessService) -> None:
    live = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    checkout_id = await inside.checkout(as_who=live)
    refused = await inside.post(f"/checkouts/{checkout_id}/pay", as_who=live)
    assert (refused.status_code, refused.json()["code"]) == (404, "provider_account_not_found")
    assert (await inside.get(f"/checkouts/{checkout_id}", as_who=live)).json()["status"] == "PENDING"


async def test_a_key_of_a_live_call_is_a_live_key(inside: InProcessService) -> None:
    live = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    checkout_id = await inside.checkout(as_who=live)
    await inside.post(f"/checkouts/{checkout_id}/cancel", key="k", as_who=live)
    (use,) = (await inside.get("/idempotency-keys/k", as_who=live)).json()["data"]
    assert use["resource"] == f"/checkouts/{checkout_id}"
    assert (await inside.get("/idempotency-keys/k")).status_code == 404


async def test_a_key_that_an_operator_uses_for_a_checkout_is_one_of_its_merchant(inside: InProcessService) -> None:
    checkout_id = await inside.checkout()
    await inside.post(f"/checkouts/{checkout_id}/cancel", key="k", as_who=inside.operator_key)
    (use,) = (await inside.get("/idempotency-keys/k")).json()["data"]
    assert use["resource"] == f"/checkouts/{checkout_id}"


async def test_a_refund_keeps_its_reason_amount_and_currency(inside: InProcessService) -> None:
    checkout_id = await inside.paid(currency="EUR")
    path = f"/checkouts/{checkout_id}/refunds"
    made = await inside.post(path, {"amount": 300, "reason": "damaged"}, key="k")
    again = await inside.post(path, {"amount": 300, "reason": "damaged"}, key="k")
    found = await inside.get(f"/refunds/{made.json()['id']}")
    (listed,) = (await inside.get(path)).json()["data"]
    shown = {name: made.json()[name] for name in ("checkoutId", "amount", "currency", "reason")}
    assert shown == {"checkoutId": checkout_id, "amount": 300, "currency": "EUR", "reason": "damaged"}
    assert made.json() == again.json() == found.json() == listed
    assert made.headers["location"] == f"/refunds/{made.json()['id']}"


async def test_disputes_of_a_checkout_are_listed_with_their_amounts_and_currencies(inside: InProcessService) -> None:
    checkout_id = await inside.paid()
    attempt_id = (await inside.get(f"/checkouts/{checkout_id}")).json()["attempt"]["id"]
    with inside.service.database.write() as transaction:
        charge = read_attempts(transaction, [attempt_id])[attempt_id]
        dispute = Dispute("dp_1", "opened", 400, "EUR", "fraudulent")
        change = RecordChange(
            charge=charge, change=dispute, schedule=LookupSchedule(), chance=0.5, new_id=inside.new_name
        )
        record_changes(transaction, [change])
    (listed,) = (await inside.get(f"/checkouts/{checkout_id}/disputes")).json()["data"]
    shown = {name: listed[name] for name in ("status", "amount", "currency", "reason")}
    assert shown == {"status": "OPENED", "amount": 400, "currency": "EUR", "reason": "fraudulent"}
