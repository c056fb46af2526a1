"""Concurrent pays and cancels of the same checkout: the buyer is charged at most once."""

from random import Random

from tests.support.merchant_client import MerchantClient, a_few_at_a_time, at_once, during_a_payment, is_replayed
from tests.support.oracle import attempts_of, charges_of, violated_invariants
from tests.support.service_process import ServiceProcess

RACERS = 50


async def test_fifty_racing_pays_are_one_attempt_and_one_charge(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id, answers = await during_a_payment(
            shop, lambda one, method: at_once(shop.pay(one, method) for _ in range(RACERS))
        )
        assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "PROCESSING")}
        assert len({answer.json()["attempt"]["id"] for answer in answers}) == 1
        assert sum(not is_replayed(answer) for answer in answers) == 1
        assert (await shop.ended(checkout_id))["status"] == "COMPLETED"
    assert len(attempts_of(service.database_url, [checkout_id])) == 1
    assert len(charges_of(service.books, checkout_id)) == 1
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_while_one_payment_is_under_way_another_payment_method_is_refused(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id, answers = await during_a_payment(
            shop, lambda one, method: at_once(shop.pay(one, each) for each in [method, f"{method[:-1]}1"] * 10)
        )
        accepted = [answer for answer in answers if answer.status_code == 202]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert (len(accepted), len(refused)) == (10, 10)
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(409, "payment_in_progress")}
        assert (await shop.ended(checkout_id))["status"] == "COMPLETED"
    assert len(charges_of(service.books, checkout_id)) == 1


async def test_of_cancel_and_pay_at_the_same_time_exactly_one_wins(service: ServiceProcess, chance: Random) -> None:
    async with MerchantClient(service.url) as shop:
        ids = await at_once(shop.created() for _ in range(20))
        calls = [(name, checkout_id) for checkout_id in ids for name in ("pay", "cancel")]
        chance.shuffle(calls)
        made = [shop.pay(one) if name == "pay" else shop.cancel(one) for name, one in calls]
        answers = dict(zip(calls, await at_once(made), strict=True))
        for checkout_id in ids:
            pay, cancel = answers["pay", checkout_id], answers["cancel", checkout_id]
            loser = cancel if pay.status_code == 202 else pay
            assert (pay.status_code, cancel.status_code) in {(202, 409), (409, 200)}
            assert loser.json()["code"] == "invalid_state"
            # Whoever comes late may find the payment ended.
            assert loser.json()["currentStatus"] in (("PROCESSING", "COMPLETED") if loser is cancel else ("CANCELED",))
        ended = await a_few_at_a_time(shop.ended, ids)
    for checkout in ended:
        was_paid = answers["pay", checkout["id"]].status_code == 202
        assert checkout["status"] == ("COMPLETED" if was_paid else "CANCELED")
        assert len(charges_of(service.books, checkout["id"])) == was_paid
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []


async def test_what_has_ended_is_neither_paid_nor_canceled(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        paid, canceled = await shop.created(), await shop.created()
        await shop.paid(paid)
        assert [(await shop.cancel(canceled)).status_code for _ in range(2)] == [200, 200]
        answers = [await shop.pay(paid), await shop.cancel(paid), await shop.pay(canceled)]
    assert [(answer.status_code, answer.json()["currentStatus"]) for answer in answers] == [
        (409, "COMPLETED"),
        (409, "COMPLETED"),
        (409, "CANCELED"),
    ]
    assert len(charges_of(service.books, paid)) == 1
    assert charges_of(service.books, canceled) == []
