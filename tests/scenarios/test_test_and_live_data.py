"""A merchant's test and live data are two sets of data: what one key makes, a key of the other mode does not see."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from paidonce.merchants.model import Mode
from tests.support.fake_connector import CREDENTIALS, LIVE_KEY
from tests.support.in_process_service import InProcessService, Json, open_in_process_service

ENDPOINT: Final[Json] = {"url": "http://127.0.0.1:9/webhooks", "eventTypes": ["checkout.created"]}  # Nobody listens.
ACCOUNTS: Final[dict[Mode, Json]] = {
    Mode.TEST: {"provider": "fake", "credentials": CREDENTIALS},
    Mode.LIVE: {"provider": "fake", "credentials": {"apiKey": LIVE_KEY}},
}


class Merchant:
    """A merchant with a key of each mode. Calls are made with the key of a mode."""

    def __init__(self, inside: InProcessService, keys: dict[Mode, str]) -> None:
        self.inside = inside
        self.keys = keys

    async def get(self, mode: Mode, path: str, **parameters: str) -> Json:
        answer = await self.inside.get(path, as_who=self.keys[mode], **parameters)
        assert answer.is_success, answer.text
        values: Json = answer.json()
        return values

    async def status(self, mode: Mode, path: str) -> int:
        return (await self.inside.get(path, as_who=self.keys[mode])).status_code

    async def ids(self, mode: Mode, path: str) -> list[str]:
        return [one["id"] for one in (await self.get(mode, path))["data"]]

    async def checkout(self, mode: Mode, **fields: object) -> str:
        return await self.inside.checkout(as_who=self.keys[mode], **fields)

    async def pay(self, mode: Mode, checkout_id: str) -> Json:
        return await self.inside.made(f"/checkouts/{checkout_id}/pay", as_who=self.keys[mode])


@pytest.fixture
async def merchant(database_url: str, tmp_path: Path) -> AsyncIterator[Merchant]:
    async with open_in_process_service(database_url, str(tmp_path)) as inside:
        live_key = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
        yield Merchant(inside, {Mode.TEST: inside.merchant_key, Mode.LIVE: live_key})


async def test_each_key_lists_and_reads_the_checkouts_of_its_mode(merchant: Merchant) -> None:
    made = {mode: await merchant.checkout(mode) for mode in Mode}
    for mode in Mode:
        other = made[Mode.TEST if mode is Mode.LIVE else Mode.LIVE]
        assert await merchant.ids(mode, "/checkouts") == [made[mode]]
        assert (await merchant.get(mode, f"/checkouts/{made[mode]}"))["mode"] == mode
        assert await merchant.status(mode, f"/checkouts/{other}") == 404


async def test_the_same_idempotency_key_is_another_one_in_the_other_mode(merchant: Merchant) -> None:
    inside, made = merchant.inside, {}
    for mode, amount in ((Mode.TEST, 1000), (Mode.LIVE, 2000)):
        body = {"amount": amount, "currency": "USD", "idempotencyKey": "the same"}
        for _ in range(2):
            made[mode] = (await inside.made("/checkouts", body, as_who=merchant.keys[mode]))["id"]
        # The same header with a call about this checkout, and about an endpoint.
        for path in (f"/checkouts/{made[mode]}/cancel", "/webhook-endpoints"):
            given = ENDPOINT if path == "/webhook-endpoints" else {}
            answers = [await inside.post(path, given, key=path, as_who=merchant.keys[mode]) for _ in range(2)]
            assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert made[Mode.TEST] != made[Mode.LIVE]
    for mode in Mode:
        shown = await merchant.get(mode, "/idempotency-keys/the%20same")
        assert (shown["mode"], [use["resource"] for use in shown["data"]]) == (mode, [f"/checkouts/{made[mode]}"])


async def test_each_mode_has_its_own_events_numbered_from_one(merchant: Merchant) -> None:
    for mode in (Mode.TEST, Mode.LIVE, Mode.LIVE, Mode.TEST, Mode.LIVE):
        await merchant.checkout(mode)
    for mode, count in ((Mode.TEST, 2), (Mode.LIVE, 3)):
        events = (await merchant.get(mode, "/events"))["data"]
        created = [one for one in events if one["type"] == "checkout.created"]
        assert [one["sequence"] for one in events] == list(range(1, len(events) + 1))
        assert len(created) == count
        assert {one["mode"] for one in events} == {mode}


async def test_an_endpoint_gets_the_events_of_its_mode_alone(merchant: Merchant) -> None:
    inside = merchant.inside
    endpoints = {mode: await inside.made("/webhook-endpoints", ENDPOINT, as_who=merchant.keys[mode]) for mode in Mode}
    made = {mode: [await merchant.checkout(mode) for _ in range(2)] for mode in Mode}
    for mode in Mode:
        assert await merchant.ids(mode, "/webhook-endpoints") == [endpoints[mode]["id"]]
        deliveries = (await merchant.get(mode, f"/webhook-endpoints/{endpoints[mode]['id']}/deliveries"))["data"]
        events = [await merchant.get(mode, f"/events/{one['eventId']}") for one in deliveries]
        assert sorted(one["checkoutId"] for one in events) == sorted(made[mode])
        assert {one["mode"] for one in events} == {mode}
    # A range that is sent again is one of this mode, too.
    path = f"/webhook-endpoints/{endpoints[Mode.LIVE]['id']}"
    again = {"fromSequence": 1, "toSequence": 100}
    done = await inside.made(f"{path}/redeliver", again, as_who=merchant.keys[Mode.LIVE])
    assert done == {"deliveries": 2, "remaining": 0}
    assert len((await merchant.get(Mode.LIVE, f"{path}/deliveries"))["data"]) == 2


@pytest.mark.parametrize("mode", Mode)
async def test_a_payment_and_what_follows_it_are_of_the_mode_of_its_checkout(merchant: Merchant, mode: Mode) -> None:
    inside, key = merchant.inside, merchant.keys[mode]
    other = Mode.TEST if mode is Mode.LIVE else Mode.LIVE
    for one in Mode:
        await inside.made("/provider-accounts", ACCOUNTS[one], as_who=merchant.keys[one])
    checkout_id = await merchant.checkout(mode)
    paying = await merchant.pay(mode, checkout_id)
    await inside.prove(paying["attempt"]["id"])
    refund = await inside.made(f"/checkouts/{checkout_id}/refunds", {"amount": 100}, as_who=key)
    assert refund["mode"] == mode
    timeline = (await merchant.get(mode, f"/checkouts/{checkout_id}/timeline"))["data"]
    kinds = ["checkout.created", "checkout.processing", "checkout.completed", "refund.created"]
    assert [one["type"] for one in timeline] == kinds
    assert {one["mode"] for one in timeline} == {mode}
    before = inside.rows()
    for path in (f"/checkouts/{checkout_id}", f"/checkouts/{checkout_id}/timeline", f"/refunds/{refund['id']}"):
        assert await merchant.status(other, path) == 404
    for path in ("pay", "capture", "cancel", "refunds"):
        answer = await inside.post(f"/checkouts/{checkout_id}/{path}", as_who=merchant.keys[other])
        assert answer.json()["code"] == "checkout_not_found"
    assert inside.rows() == before


async def test_a_caller_without_a_mode_makes_test_data_unless_it_says_live_and_sees_both(merchant: Merchant) -> None:
    inside, operator_key, whose = merchant.inside, merchant.inside.operator_key, merchant.inside.merchant_id
    test = await inside.checkout(as_who=operator_key, merchantId=whose)
    live = await inside.checkout(as_who=operator_key, merchantId=whose, mode="live")
    for mode, made in ((Mode.TEST, test), (Mode.LIVE, live)):
        assert await merchant.ids(mode, "/checkouts") == [made]
        found = await inside.get("/checkouts", as_who=operator_key, merchantId=whose, mode=mode)
        assert [one["id"] for one in found.json()["data"]] == [made]
        assert (await inside.get(f"/checkouts/{made}", as_who=operator_key)).json()["mode"] == mode
        events = await inside.get("/events", as_who=operator_key, merchantId=whose, mode=mode)
        assert [one["checkoutId"] for one in events.json()["data"] if one["checkoutId"]] == [made]
    both = await inside.get("/checkouts", as_who=operator_key, merchantId=whose)
    assert [one["id"] for one in both.json()["data"]] == [live, test]
    unnamed = await inside.get("/events", as_who=operator_key, merchantId=whose)
    assert {one["mode"] for one in unnamed.json()["data"]} == {"test"}
