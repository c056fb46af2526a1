"""Every POST of the OpenAPI document takes effect once under an idempotency key, and is answered the same again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import pytest

from paidonce.http.openapi import build_document
from paidonce.http.routes import OPERATIONS
from tests.support.fake_connector import CREDENTIALS, OTHER_KEY
from tests.support.in_process_service import ENDPOINT, InProcessService, Json

# POSTs that do not take the header. Whoever adds one says why it needs none.
WITHOUT_HEADER: Final = {
    "POST /provider-accounts/{account_id}/check": "It has no effect, and each call asks the provider anew.",
    "POST /providers/{provider}/{account_id}/webhooks": "As the webhooks of a provider without accounts.",
    "POST /providers/{provider}/webhooks": "The provider sends no such header; its own id of a webhook is stored once.",
}


class Call(NamedTuple):
    """A call that has an effect. ``other`` is another body that fits; ``elsewhere`` is another path that fits."""

    path: str
    body: Json
    other: Json | None = None
    elsewhere: str | None = None
    by_operator: bool = False


Prepare = Callable[[InProcessService], Awaitable[Call]]


async def create_checkout(_inside: InProcessService) -> Call:
    body = {"amount": 1000, "currency": "USD"}
    return Call("/checkouts", body, {**body, "amount": 2000})


async def pay(inside: InProcessService) -> Call:
    body = {"paymentMethod": "tok_success"}
    return Call(f"/checkouts/{await inside.checkout()}/pay", body, {"paymentMethod": "tok_delay_1"})


async def capture(inside: InProcessService) -> Call:
    checkout_id = await inside.paid(captureMethod="manual")
    return Call(f"/checkouts/{checkout_id}/capture", {"amount": 800}, {"amount": 700})


async def cancel(inside: InProcessService) -> Call:
    checkout_id, other_id = await inside.checkout(), await inside.checkout()
    return Call(f"/checkouts/{checkout_id}/cancel", {}, elsewhere=f"/checkouts/{other_id}/cancel")


async def refund(inside: InProcessService) -> Call:
    return Call(f"/checkouts/{await inside.paid()}/refunds", {"amount": 300}, {"amount": 200})


async def create_endpoint(_inside: InProcessService) -> Call:
    return Call("/webhook-endpoints", ENDPOINT, {**ENDPOINT, "description": "another"})


async def rotate_secret(inside: InProcessService) -> Call:
    endpoint = await inside.made("/webhook-endpoints", ENDPOINT)
    return Call(f"/webhook-endpoints/{endpoint['id']}/rotate-secret", {"overlapSeconds": 60}, {"overlapSeconds": 61})


async def send_test(inside: InProcessService) -> Call:
    one, other = [(await inside.made("/webhook-endpoints", ENDPOINT))["id"] for _ in range(2)]
    return Call(f"/webhook-endpoints/{one}/test", {}, elsewhere=f"/webhook-endpoints/{other}/test")


async def redeliver_range(inside: InProcessService) -> Call:
    endpoint_id, _ = await inside.delivery()
    body = {"fromSequence": 1, "toSequence": 5}
    return Call(f"/webhook-endpoints/{endpoint_id}/redeliver", body, {**body, "toSequence": 6})


async def redeliver_failed(inside: InProcessService) -> Call:
    endpoint_id, _ = await inside.delivery()
    body = {"since": "2020-01-01T00:00:00Z"}
    return Call(f"/webhook-endpoints/{endpoint_id}/redeliver-failed", body, {"since": "2021-01-01T00:00:00Z"})


async def redeliver(inside: InProcessService) -> Call:
    (_, one), (_, other) = await inside.delivery(), await inside.delivery()
    return Call(f"/deliveries/{one}/redeliver", {}, elsewhere=f"/deliveries/{other}/redeliver")


async def resolve_attempt(inside: InProcessService) -> Call:
    one, other = [(await inside.paying())["attempt"]["id"] for _ in range(2)]
    body = {"outcome": "SUCCEEDED", "reference": "ch_1"}
    return Call(f"/attempts/{one}/resolve", body, elsewhere=f"/attempts/{other}/resolve", by_operator=True)


async def replay_webhook(inside: InProcessService) -> Call:
    one, other = [await inside.provider_webhook() for _ in range(2)]
    body = {"provider": "simulator", "id": one}
    return Call("/provider-webhooks/replay", body, {**body, "id": other}, by_operator=True)


async def dismiss_webhook(inside: InProcessService) -> Call:
    return (await replay_webhook(inside))._replace(path="/provider-webhooks/dismiss")


async def create_merchant(inside: InProcessService) -> Call:
    return Call("/merchants", {"id": inside.new_name("m")}, {"id": inside.new_name("m")}, by_operator=True)


async def create_key(inside: InProcessService) -> Call:
    body = {"merchantId": inside.merchant_id, "scopes": ["events:read"]}
    return Call("/keys", body, {**body, "mode": "live"}, by_operator=True)


async def revoke_key(inside: InProcessService) -> Call:
    one, other = [(await inside.issued(inside.merchant_id)).key.id for _ in range(2)]
    return Call(f"/keys/{one}/revoke", {}, elsewhere=f"/keys/{other}/revoke", by_operator=True)


async def rotate_key(inside: InProcessService) -> Call:
    key_id = (await inside.issued(inside.merchant_id)).key.id
    return Call(f"/keys/{key_id}/rotate", {"overlapSeconds": 60}, {"overlapSeconds": 61}, by_operator=True)


ACCOUNT: Final[Json] = {"provider": "fake", "credentials": CREDENTIALS}
OTHER_ACCOUNT: Final[Json] = {**ACCOUNT, "credentials": {"apiKey": OTHER_KEY}}


async def create_account(_inside: InProcessService) -> Call:
    return Call("/provider-accounts", ACCOUNT, OTHER_ACCOUNT)


async def rotate_account(inside: InProcessService) -> Call:
    account = await inside.made("/provider-accounts", ACCOUNT)
    path = f"/provider-accounts/{account['id']}/rotate"
    return Call(path, {"credentials": {"apiKey": OTHER_KEY}}, {"credentials": CREDENTIALS})


async def move_account(inside: InProcessService) -> Call:
    account = await inside.made("/provider-accounts", ACCOUNT)
    return Call(f"/provider-accounts/{account['id']}/position", {"position": 7}, {"position": 8})


async def disable_account(inside: InProcessService) -> Call:
    one, other = [(await inside.made("/provider-accounts", ACCOUNT))["id"] for _ in range(2)]
    return Call(f"/provider-accounts/{one}/disable", {}, elsewhere=f"/provider-accounts/{other}/disable")


async def enable_account(inside: InProcessService) -> Call:
    one, other = [(await inside.made("/provider-accounts", ACCOUNT))["id"] for _ in range(2)]
    await inside.made(f"/provider-accounts/{one}/disable")
    return Call(f"/provider-accounts/{one}/enable", {}, elsewhere=f"/provider-accounts/{other}/enable")


CALLS: Final[dict[str, Prepare]] = {
    "POST /checkouts": create_checkout,
    "POST /checkouts/{checkout_id}/pay": pay,
    "POST /checkouts/{checkout_id}/capture": capture,
    "POST /checkouts/{checkout_id}/cancel": cancel,
    "POST /checkouts/{checkout_id}/refunds": refund,
    "POST /webhook-endpoints": create_endpoint,
    "POST /webhook-endpoints/{endpoint_id}/rotate-secret": rotate_secret,
    "POST /webhook-endpoints/{endpoint_id}/test": send_test,
    "POST /webhook-endpoints/{endpoint_id}/redeliver": redeliver_range,
    "POST /webhook-endpoints/{endpoint_id}/redeliver-failed": redeliver_failed,
    "POST /deliveries/{delivery_id}/redeliver": redeliver,
    "POST /provider-accounts": create_account,
    "POST /provider-accounts/{account_id}/rotate": rotate_account,
    "POST /provider-accounts/{account_id}/position": move_account,
    "POST /provider-accounts/{account_id}/disable": disable_account,
    "POST /provider-accounts/{account_id}/enable": enable_account,
    "POST /attempts/{attempt_id}/resolve": resolve_attempt,
    "POST /provider-webhooks/replay": replay_webhook,
    "POST /provider-webhooks/dismiss": dismiss_webhook,
    "POST /merchants": create_merchant,
    "POST /keys": create_key,
    "POST /keys/{key_id}/revoke": revoke_key,
    "POST /keys/{key_id}/rotate": rotate_key,
}


def posts() -> dict[str, Json]:
    """Give each POST of the document."""
    paths: Json = build_document(OPERATIONS)["paths"]
    return {f"POST {path}": item["post"] for path, item in paths.items() if "post" in item}


def takes_the_header(operation: Json) -> bool:
    return any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))


KEYED: Final = [name for name, operation in posts().items() if takes_the_header(operation)]


def test_every_post_takes_the_header_but_those_that_are_named_with_a_reason() -> None:
    assert sorted(posts().keys() - set(KEYED)) == sorted(WITHOUT_HEADER)
    assert all(WITHOUT_HEADER.values())


def test_every_post_that_takes_the_header_is_called_here() -> None:
    assert sorted(CALLS) == sorted(KEYED)


@pytest.mark.parametrize("name", KEYED)
def test_a_post_that_takes_the_header_says_that_it_may_be_replayed_and_refused(name: str) -> None:
    responses = posts()[name]["responses"]
    succeeding = [responses[status] for status in responses if status.startswith("2")]
    assert succeeding
    assert all("Idempotent-Replayed" in one["headers"] for one in succeeding)
    assert "idempotency_key_reused" in str(responses["422"])


@pytest.mark.parametrize("name", KEYED)
async def test_the_same_key_twice_is_one_effect_and_the_same_answer(inside: InProcessService, name: str) -> None:
    call = await CALLS[name](inside)
    as_who = inside.operator_key if call.by_operator else inside.merchant_key
    before = inside.rows()
    inside.clock.now += 1000
    first = await inside.post(call.path, call.body, key="k", as_who=as_who)
    idempotency = inside.rows()
    inside.clock.now += 1000
    again = [await inside.post(call.path, call.body, key="k", as_who=as_who) for _ in range(2)]
    assert first.is_success, first.text
    assert {table for table in idempotency if idempotency[table] != before[table]} - {"idempotency_key"}, (
        "it has an effect"
    )
    assert inside.rows() == idempotency
    assert [(one.status_code, one.text) for one in again] == [(first.status_code, first.text)] * 2
    replayed = [one.headers.get("Idempotent-Replayed") for one in (first, *again)]
    assert replayed == [None, "true", "true"]
    for header in ("Location", "Cache-Control", "Retry-After"):
        assert {one.headers.get(header) for one in again} == {first.headers.get(header)}


@pytest.mark.parametrize("name", KEYED)
async def test_the_same_key_for_another_request_is_refused_and_has_no_effect(
    inside: InProcessService, name: str
) -> None:
    call = await CALLS[name](inside)
    as_who = inside.operator_key if call.by_operator else inside.merchant_key
    await inside.post(call.path, call.body, key="k", as_who=as_who)
    idempotency = inside.rows()
    path, body = call.elsewhere or call.path, call.body if call.other is None else call.other
    assert (path, body) != (call.path, call.body)
    refused = await inside.post(path, body, key="k", as_who=as_who)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert refused.json()["fields"]
    assert inside.rows() == idempotency


@pytest.mark.parametrize("name", KEYED)
async def test_one_key_at_many_clients_at_once_is_one_effect_and_one_answer(
    inside: InProcessService, name: str
) -> None:
    call = await CALLS[name](inside)
    as_who = inside.operator_key if call.by_operator else inside.merchant_key
    answers = await asyncio.gather(*(inside.post(call.path, call.body, key="k", as_who=as_who) for _ in range(6)))
    idempotency = inside.rows()
    assert len({(one.status_code, one.text) for one in answers}) == 1, [one.text for one in answers]
    assert sum("Idempotent-Replayed" not in one.headers for one in answers) == 1
    await inside.post(call.path, call.body, key="k", as_who=as_who)
    assert inside.rows() == idempotency


@pytest.mark.parametrize("name", KEYED)
async def test_a_header_that_is_no_key_is_refused_and_has_no_effect(inside: InProcessService, name: str) -> None:
    call = await CALLS[name](inside)
    as_who = inside.operator_key if call.by_operator else inside.merchant_key
    before = inside.rows()
    refused = await inside.post(call.path, call.body, key="x" * 256, as_who=as_who)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_idempotency_key")
    assert inside.rows() == before
