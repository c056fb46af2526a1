"""The outcomes of payments at the simulated provider: proof ends them, and whatever fails, no charge is made twice."""

from collections import Counter

from tests.support.merchant_client import MerchantClient, at_once
from tests.support.oracle import attempts_of, charges, charges_of, violated_invariants
from tests.support.service_process import ServiceProcess

# What each test payment method that needs no other process comes to: status and decline code.
OUTCOMES = {
    "tok_success": ("COMPLETED", None),
    "tok_declined_insufficient_funds": ("FAILED", "insufficient_funds"),
    "tok_declined_expired_card": ("FAILED", "expired_card"),
    "tok_declined_do_not_honor": ("FAILED", "do_not_honor"),
    "tok_timeout_then_success": ("COMPLETED", None),
    "tok_timeout_then_decline": ("FAILED", "do_not_honor"),
    "tok_error_then_success": ("COMPLETED", None),
    "tok_error_after_charge": ("COMPLETED", None),
    "tok_unknown_then_success": ("COMPLETED", None),
    "tok_delay_700": ("COMPLETED", None),
}


async def test_each_test_payment_method_ends_as_the_contract_says_and_charges_once_at_most(
    service: ServiceProcess,
) -> None:
    async with MerchantClient(service.url) as shop:
        ids = await at_once(shop.created() for _ in OUTCOMES)
        ended = await at_once(shop.paid(one, method) for one, method in zip(ids, OUTCOMES, strict=True))
    shown = zip(OUTCOMES, ((one["status"], one["attempt"]["declineCode"]) for one in ended), strict=True)
    assert dict(shown) == OUTCOMES
    # Every method came to one call that the books have, and that one call was booked once, whatever the outcome.
    booked = Counter(one.checkout_id for one in charges(service.books) if one.merchant_id == shop.merchant_id)
    assert booked == dict.fromkeys(ids, 1)
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_the_magic_amounts_decline_only_where_no_method_is_said(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        ids = await at_once(shop.created(amount=amount) for amount in (4002, 94002, 4995, 124995, 4003, 4002))
        ended = await at_once(
            shop.paid(one, method) for one, method in zip(ids, [None] * 5 + ["tok_delay_10"], strict=True)
        )
    assert [(one["status"], one["attempt"]["declineCode"]) for one in ended] == [
        ("FAILED", "do_not_honor"),
        ("FAILED", "do_not_honor"),
        ("FAILED", "insufficient_funds"),
        ("FAILED", "insufficient_funds"),
        ("COMPLETED", None),
        ("COMPLETED", None),
    ]


async def test_the_outcome_of_a_delayed_payment_is_known_after_the_delay(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        await shop.paid(checkout_id, "tok_delay_600")
    (attempt,) = attempts_of(service.database_url, [checkout_id])
    assert 600 <= attempt.settled_at - attempt.created_at < 10_000


async def test_a_declined_checkout_can_be_paid_again_and_is_charged_once(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        declined = await shop.paid(checkout_id, "tok_declined_expired_card")
        paid = await shop.paid(checkout_id)
    assert (declined["status"], declined["attemptsLeft"]) == ("FAILED", 4)
    assert (paid["status"], paid["attemptsLeft"]) == ("COMPLETED", 3)
    assert declined["attempt"]["id"] != paid["attempt"]["id"]
    assert len(charges_of(service.books, checkout_id)) == 1


async def test_after_the_fifth_decline_no_attempt_is_left(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        left = [(await shop.paid(checkout_id, "tok_declined_expired_card"))["attemptsLeft"] for _ in range(5)]
        sixth = await shop.pay(checkout_id)
    assert left == [4, 3, 2, 1, 0]
    assert (sixth.status_code, sixth.json()["code"]) == (409, "attempts_exhausted")
    assert charges_of(service.books, checkout_id) == []
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []
