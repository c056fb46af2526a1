"""A hundred concurrent refunds of one checkout: never more than was captured, here and at the provider."""

from contextlib import closing

import pysqlite3.dbapi2

from tests.support.merchant_client import MerchantClient, a_few_at_a_time, at_once
from tests.support.oracle import violated_invariants
from tests.support.service_process import ServiceProcess

RACERS = 100
AMOUNT = 30  # 33 of them fit into what was captured, and 10 minor units are left.


def refunded_at_the_provider(service: ServiceProcess, checkout_id: str) -> int:
    with closing(pysqlite3.dbapi2.connect(str(service.books), timeout=90)) as connection:
        found = connection.execute("SELECT sum(amount_refunded) FROM charge WHERE checkout_id = ?", (checkout_id,))
        return int(found.fetchone()[0])


async def test_a_hundred_racing_partial_refunds_never_exceed_what_was_captured(service: ServiceProcess) -> None:
    async with MerchantClient(service.url) as shop:
        checkout_id = await shop.created()
        assert (await shop.paid(checkout_id))["status"] == "COMPLETED"
        path = f"/checkouts/{checkout_id}/refunds"
        answers = await at_once(shop.http.post(path, json={"amount": AMOUNT}) for _ in range(RACERS))
        taken = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        refused = [answer.json()["code"] for answer in answers if answer.status_code != 202]
        assert len(set(taken)) == len(taken) == 1000 // AMOUNT
        assert refused == ["amount_exceeds_refundable"] * (RACERS - len(taken))

        async def ended(refund_id: str) -> str:
            status = "PENDING"
            while status == "PENDING":
                answer = await shop.http.get(f"/refunds/{refund_id}")
                status = answer.json()["status"]
            return status

        assert set(await a_few_at_a_time(ended, taken, limit=8)) == {"SUCCEEDED"}
        checkout = await shop.get(checkout_id)
    assert (checkout["amountRefunded"], checkout["amountRefundPending"]) == (len(taken) * AMOUNT, 0)
    assert refunded_at_the_provider(service, checkout_id) == len(taken) * AMOUNT <= 1000
    assert violated_invariants(service.database_url, service.books, of_merchant=shop.merchant_id) == []
