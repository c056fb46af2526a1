"""Checkouts expire on time, but never while money may be moving."""

from tests.support.merchant_client import MerchantClient
from tests.support.oracle import charges_of, expire_checkout, status_of, violated_invariants
from tests.support.service_process import ServiceProcess, wait_until


async def test_a_checkout_whose_time_is_over_expires_and_cannot_be_paid_or_canceled(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        untried, declined = await shop.created(), await shop.created()
        await shop.paid(declined, "tok_declined_expired_card")
        for checkout_id in (untried, declined):
            expire_checkout(service.database_url, checkout_id)
            answers = [await shop.pay(checkout_id), await shop.cancel(checkout_id)]
            assert [(one.status_code, one.json()["code"]) for one in answers] == [(410, "checkout_expired")] * 2
            last = (await shop.timeline(checkout_id))[-1]
            assert (last["type"], last["cause"]) == ("checkout.expired", "clock")
            assert (await shop.get(checkout_id))["status"] == "EXPIRED"
            assert charges_of(service.books, checkout_id) == []
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_the_worker_expires_a_checkout_that_nobody_asks_about(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        expire_checkout(service.database_url, checkout_id)
        wait_until(lambda: status_of(service.database_url, checkout_id) == "EXPIRED")


async def test_a_checkout_does_not_expire_while_a_payment_is_under_way(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        await shop.pay(checkout_id, "tok_delay_900")
        expire_checkout(service.database_url, checkout_id)
        ended = await shop.ended(checkout_id)
        entries = await shop.timeline(checkout_id)
    assert ended["status"] == "COMPLETED"
    assert "checkout.expired" not in [one["type"] for one in entries]
    assert len(charges_of(service.books, checkout_id)) == 1
