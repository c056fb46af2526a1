"""What the calls that create and show checkouts answer: all that was given, and what follows from it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from paidonce.merchants.model import Mode
from paidonce.providers.evidence import ClientSecret, Declined, Redirect, RequiresAction
from tests.support.in_process_service import InProcessService, Json, open_in_process_service

GIVEN: Final[Json] = {
    "amount": 1250,
    "currency": "EUR",
    "idempotencyKey": "order-1",
    "description": "Two books",
    "metadata": {"b": "2", "a": "1"},
    "expiresIn": 600,
    "captureMethod": "manual",
    "successUrl": "https://shop.example/thanks",
    "cancelUrl": "https://shop.example/cart",
}
PROVIDER_PAGE: Final = "https://provider.example/1"
PAYABLE_UNTIL: Final = 1_700_000_060_000
MADE_AT: Final = "2023-11-14T22:13:20.000Z"


@pytest.fixture
async def inside(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def test_a_checkout_is_shown_with_all_that_was_given_wherever_it_is_read(inside: InProcessService) -> None:
    response = await inside.post("/checkouts", GIVEN)
    made = response.json()
    assert made == {name: value for name, value in GIVEN.items() if name != "expiresIn"} | {
        "id": made["id"],
        "merchantId": inside.merchant_id,
        "mode": "test",
        "status": "PENDING",
        "amountCaptured": 0,
        "amountRefunded": 0,
        "amountRefundPending": 0,
        "amountDisputed": 0,
        "attemptsLeft": 5,
        "attempt": None,
        "url": made["url"],
        "createdAt": MADE_AT,
        "updatedAt": MADE_AT,
        "expiresAt": "2023-11-14T22:23:20.000Z",
    }
    assert made["url"].startswith("http://paidonce/pay/")
    assert (response.status_code, response.headers["location"]) == (201, f"/checkouts/{made['id']}")
    assert (await inside.get(f"/checkouts/{made['id']}")).json() == made
    assert (await inside.get("/checkouts")).json() == {"data": [made], "hasMore": False}


async def test_a_checkout_is_in_the_mode_of_the_key_that_creates_it(inside: InProcessService) -> None:
    for mode in Mode:
        key = await inside.api_key(inside.merchant_id, mode=mode)
        checkout_id = await inside.checkout(as_who=key)
        assert (await inside.get(f"/checkouts/{checkout_id}", as_who=key)).json()["mode"] == mode


async def test_what_is_not_given_has_its_default(inside: InProcessService) -> None:
    made = await inside.made("/checkouts", {"amount": 1, "currency": "USD", "idempotencyKey": "k"})
    defaults = ("description", "metadata", "captureMethod", "successUrl", "cancelUrl", "expiresAt")
    shown = [made[name] for name in defaults]
    assert shown == [None, {}, "automatic", None, None, "2023-11-15T22:13:20.000Z"]


async def test_the_same_body_with_its_pairs_in_another_order_is_answered_with_the_same_checkout(
    inside: InProcessService,
) -> None:
    first = await inside.post("/checkouts", GIVEN)
    again = await inside.post("/checkouts", {**GIVEN, "metadata": {"a": "1", "b": "2"}})
    assert first.json() == again.json()
    assert [one.headers.get("idempotent-replayed") for one in (first, again)] == [None, "true"]


async def test_a_page_of_checkouts_begins_after_one_or_ends_before_one_and_not_both(inside: InProcessService) -> None:
    made = [await inside.checkout() for _ in range(3)]
    after = (await inside.get("/checkouts", startingAfter=made[1])).json()["data"]
    before = (await inside.get("/checkouts", endingBefore=made[1])).json()["data"]
    assert [[one["id"] for one in page] for page in (after, before)] == [made[:1], made[2:]]
    refused = await inside.get("/checkouts", startingAfter=made[0], endingBefore=made[2])
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")


async def test_the_timeline_of_a_checkout_begins_with_the_request_that_created_it(inside: InProcessService) -> None:
    response = await inside.post("/checkouts", GIVEN)
    timeline = (await inside.get(f"/checkouts/{response.json()['id']}/timeline")).json()
    (created,) = timeline["data"]
    assert timeline["complete"] is True
    assert (created["type"], created["requestId"]) == ("checkout.created", response.headers["x-request-id"])


async def test_an_attempt_is_shown_with_what_became_of_it(inside: InProcessService) -> None:
    checkout_id = await inside.checkout()
    paying = await inside.made(f"/checkouts/{checkout_id}/pay")
    attempt = paying["attempt"]
    assert attempt == {
        "id": attempt["id"],
        "kind": "CHARGE",
        "status": "READY",
        "provider": "simulator",
        "providerReference": None,
        "declineCode": None,
        "createdAt": MADE_AT,
        "settledAt": None,
        "action": None,
        "account": None,
    }
    inside.clock.now += 1000
    await inside.record(attempt["id"], Declined("expired_card", "ch_1"))
    ended = (await inside.get(f"/checkouts/{checkout_id}")).json()
    assert ended["attempt"] == attempt | {
        "status": "DECLINED",
        "providerReference": "ch_1",
        "declineCode": "expired_card",
        "settledAt": "2023-11-14T22:13:21.000Z",
    }
    assert (ended["status"], ended["attemptsLeft"]) == ("FAILED", 4)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            Redirect(PROVIDER_PAGE, PAYABLE_UNTIL),
            {"type": "redirect", "url": PROVIDER_PAGE, "clientSecret": None, "returnUrl": None},
        ),
        (
            ClientSecret("secret_1", PROVIDER_PAGE, PAYABLE_UNTIL),
            {"type": "client_secret", "url": None, "clientSecret": "secret_1", "returnUrl": PROVIDER_PAGE},
        ),
    ],
)
async def test_what_the_buyer_must_do_is_shown_with_its_time(
    inside: InProcessService, given: Redirect | ClientSecret, shown: Json
) -> None:
    checkout_id = await inside.checkout()
    paying = await inside.made(f"/checkouts/{checkout_id}/pay", {"paymentMethod": "tok_redirect"})
    await inside.record(paying["attempt"]["id"], RequiresAction("ses_1", given))
    attempt = (await inside.get(f"/checkouts/{checkout_id}")).json()["attempt"]
    assert attempt["status"] == "REQUIRES_ACTION"
    assert attempt["action"] == shown | {"expiresAt": "2023-11-14T22:14:20.000Z"}
