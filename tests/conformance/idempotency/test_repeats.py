"""What a repeated call is answered when things have changed since."""

from unittest.mock import patch

import httpx

from paidonce.merchants.model import OPERATOR
from paidonce.webhook_endpoints.ssrf import UrlRefused
from tests.support.in_process_service import ENDPOINT, InProcessService


async def refuse(_url: str) -> None:
    raise UrlRefused("The host has no address.")


async def test_an_endpoint_is_answered_again_also_when_its_url_would_be_refused_by_now(
    inside: InProcessService,
) -> None:
    first = await inside.post("/webhook-endpoints", ENDPOINT, key="k")
    with patch.object(inside.service.webhook_endpoints, "check_url", refuse):
        again = await inside.post("/webhook-endpoints", ENDPOINT, key="k")
    assert (again.status_code, again.text) == (201, first.text)


async def test_a_url_is_checked_before_the_first_endpoint_with_a_key_or_without(inside: InProcessService) -> None:
    before = inside.rows()
    with patch.object(inside.service.webhook_endpoints, "check_url", refuse):
        refused = [await inside.post("/webhook-endpoints", ENDPOINT, key=key) for key in ("k", "k", None)]
    assert [(one.status_code, one.json()["errors"][0]["pointer"]) for one in refused] == [(400, "/url")] * 3
    assert inside.rows() == before
    assert (await inside.post("/webhook-endpoints", ENDPOINT, key="k")).status_code == 201


async def test_a_cancel_keeps_its_status_and_shows_the_checkout_as_it_is_by_then(inside: InProcessService) -> None:
    checkout_id = await inside.paid(captureMethod="manual")
    path = f"/checkouts/{checkout_id}/cancel"
    first = await inside.post(path, key="k")
    await inside.prove(first.json()["attempt"]["id"])
    again = await inside.post(path, key="k")
    assert [(one.status_code, one.json()["status"]) for one in (first, again)] == [
        (202, "AUTHORIZED"),
        (202, "CANCELED"),
    ]


async def test_a_pay_and_a_refund_show_how_they_stand_by_then(inside: InProcessService) -> None:
    checkout_id = await inside.checkout()
    pay, refund = f"/checkouts/{checkout_id}/pay", f"/checkouts/{checkout_id}/refunds"
    paying = await inside.post(pay, key="pay")
    await inside.prove(paying.json()["attempt"]["id"])
    paid = await inside.post(pay, key="pay")
    refunding = await inside.post(refund, {"amount": 300}, key="refund")
    await inside.prove(refunding.json()["id"])
    refunded = await inside.post(refund, {"amount": 300}, key="refund")
    assert statuses(paying, paid) == [(202, "PROCESSING"), (202, "COMPLETED")]
    assert statuses(refunding, refunded) == [(202, "PENDING"), (202, "SUCCEEDED")]
    assert refunded.headers["Location"] == f"/refunds/{refunded.json()['id']}"


def statuses(*answers: httpx.Response) -> list[tuple[int, str]]:
    return [(one.status_code, one.json()["status"]) for one in answers]


async def test_what_a_deleted_endpoint_was_asked_is_answered_as_what_is_not_there(inside: InProcessService) -> None:
    made = await inside.post("/webhook-endpoints", ENDPOINT, key="create")
    path = f"/webhook-endpoints/{made.json()['id']}"
    await inside.post(f"{path}/rotate-secret", key="rotate")
    await inside.post(f"{path}/test", key="test")
    await inside.http.delete(path, headers={"Authorization": f"Bearer {inside.merchant_key}"})
    again = [
        await inside.post("/webhook-endpoints", ENDPOINT, key="create"),
        await inside.post(f"{path}/rotate-secret", key="rotate"),
        await inside.post(f"{path}/test", key="test"),
    ]
    assert [one.status_code for one in again] == [404] * 3


async def test_an_operators_call_about_a_merchants_thing_has_the_merchants_key(inside: InProcessService) -> None:
    """So that a refund which is repeated after the operator's API key was replaced is no second refund."""
    path = f"/checkouts/{await inside.paid()}/refunds"
    by_operator = await inside.post(path, {"amount": 300}, key="k", as_who=inside.operator_key)
    another = await inside.api_key(OPERATOR)
    by_another = await inside.post(path, {"amount": 300}, key="k", as_who=another)
    told = await inside.get("/idempotency-keys/k", as_who=another, merchantId=inside.merchant_id)
    assert by_another.text == by_operator.text
    assert by_another.headers["Idempotent-Replayed"] == "true"
    assert [one["path"] for one in told.json()["data"]] == [path]


async def test_each_call_about_an_endpoint_by_an_operator_has_the_merchants_key(inside: InProcessService) -> None:
    endpoint_id, delivery_id = await inside.delivery()
    calls = {
        f"/webhook-endpoints/{endpoint_id}/rotate-secret": {},
        f"/webhook-endpoints/{endpoint_id}/test": {},
        f"/webhook-endpoints/{endpoint_id}/redeliver": {"fromSequence": 1, "toSequence": 2},
        f"/deliveries/{delivery_id}/redeliver": {},
    }
    for number, (path, body) in enumerate(calls.items()):
        answer = await inside.post(path, body, key=f"k{number}", as_who=inside.operator_key)
        told = await inside.get(f"/idempotency-keys/k{number}")
        assert answer.is_success
        assert [one["path"] for one in told.json()["data"]] == [path]
