"""The shop of examples/shop, which newcomers copy: what it believes, and what it does twice only once."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from standardwebhooks import Webhook

FILE: Final = Path(__file__).parent.parent.parent / "examples" / "shop" / "shop.py"
SECRET: Final = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ORDER: Final = "an-order-of-twenty-two"
Json = dict[str, Any]


class PaidonceApi:
    """What the shop calls instead of paidonce. It remembers bodies, and can fail."""

    def __init__(self) -> None:
        self.bodies: list[Json] = []
        self.status = "PENDING"
        self.is_down = False

    def respond(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            raise httpx.ConnectError("refused")
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
        body = {"id": "chk_1", "url": "http://paidonce.test/pay/token", "status": self.status}
        return httpx.Response(200, json=body | {"idempotencyKey": ORDER, "amount": 2580, "currency": "EUR"})


@pytest.fixture
def api() -> PaidonceApi:
    return PaidonceApi()


@pytest.fixture
async def shop(api: PaidonceApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a customer's client of the shop, who has two packets in the cart."""
    monkeypatch.setenv("SHOP_DATABASE", str(tmp_path / "shop.db"))
    monkeypatch.setenv("SHOP_WEBHOOK_SECRET", SECRET)
    spec = spec_from_file_location("example_shop", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    client = httpx.AsyncClient(base_url="http://paidonce.test", transport=httpx.MockTransport(api.respond))
    monkeypatch.setattr(module, "paidonce", client)
    transport = httpx.ASGITransport(module.app)
    async with httpx.AsyncClient(base_url="http://shop.test", transport=transport, cookies={"cart": "2"}) as customer:
        yield customer
    module.database.close()


def webhook(
    *, kind: str = "checkout.completed", amount: int = 2580, message_id: str = "evt_1", age: timedelta = timedelta()
) -> tuple[bytes, dict[str, str]]:
    """Return a webhook as paidonce sends it: the body and the headers."""
    checkout = {"id": "chk_1", "idempotencyKey": ORDER, "amount": amount, "currency": "EUR", "status": "COMPLETED"}
    body = json.dumps({"type": kind, "data": {"checkout": checkout}})
    moment = datetime.now(UTC) - age
    signature = Webhook(SECRET).sign(message_id, moment, body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }
    return body.encode(), headers


async def order_text(shop: httpx.AsyncClient) -> str:
    return (await shop.get(f"/orders/{ORDER}")).text


async def test_pressing_check_out_twice_places_one_order_and_creates_one_checkout_by_its_key(
    shop: httpx.AsyncClient, api: PaidonceApi
) -> None:
    pressed = [await shop.post("/orders", data={"order": ORDER}) for _ in range(2)]
    assert [answer.headers["location"] for answer in pressed] == ["http://paidonce.test/pay/token"] * 2
    assert api.bodies[0] == api.bodies[1]
    assert (api.bodies[0]["idempotencyKey"], api.bodies[0]["amount"]) == (ORDER, 2580)


async def test_an_order_is_not_paid_because_somebody_comes_to_its_page(shop: httpx.AsyncClient) -> None:
    await shop.post("/orders", data={"order": ORDER})
    assert "not paid yet" in await order_text(shop)


async def test_an_order_is_paid_after_a_webhook_that_is_signed(shop: httpx.AsyncClient, api: PaidonceApi) -> None:
    await shop.post("/orders", data={"order": ORDER})
    body, headers = webhook()
    assert (await shop.post("/webhooks", content=body, headers=headers)).status_code == 204
    api.is_down = True  # What the order page shows now comes from the webhook.
    assert "Thank you" in await order_text(shop)


async def test_an_order_is_paid_after_a_read_where_the_webhook_is_late(
    shop: httpx.AsyncClient, api: PaidonceApi
) -> None:
    await shop.post("/orders", data={"order": ORDER})
    api.status = "COMPLETED"
    assert "Thank you" in await order_text(shop)
    api.is_down = True
    assert "Thank you" in await order_text(shop)


FORGERIES: Final[dict[str, Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]]] = {
    "another body": lambda body, headers: (body.replace(b"chk_1", b"chk_2"), headers),
    "another id": lambda body, headers: (body, headers | {"webhook-id": "evt_2"}),
    "no signature": lambda body, headers: (body, headers | {"webhook-signature": "v1,"}),
    "a signature without a version": lambda body, headers: (body, headers | {"webhook-signature": "signed"}),
    "no headers": lambda body, _: (body, {}),
    "not text": lambda _, headers: (b"\xff", headers),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_webhook_is_refused_and_pays_nothing(
    shop: httpx.AsyncClient, change: Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]
) -> None:
    await shop.post("/orders", data={"order": ORDER})
    body, headers = change(*webhook())
    assert (await shop.post("/webhooks", content=body, headers=headers)).status_code == 400
    assert "not paid yet" in await order_text(shop)


async def test_a_webhook_that_is_replayed_after_five_minutes_is_refused(shop: httpx.AsyncClient) -> None:
    await shop.post("/orders", data={"order": ORDER})
    body, headers = webhook(age=timedelta(minutes=6))
    assert (await shop.post("/webhooks", content=body, headers=headers)).status_code == 400
    assert "not paid yet" in await order_text(shop)


async def test_a_webhook_that_comes_twice_is_accepted_twice(shop: httpx.AsyncClient) -> None:
    await shop.post("/orders", data={"order": ORDER})
    body, headers = webhook()
    answers = [await shop.post("/webhooks", content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 204]


async def test_a_payment_of_another_amount_does_not_pay_the_order(shop: httpx.AsyncClient) -> None:
    await shop.post("/orders", data={"order": ORDER})
    body, headers = webhook(amount=1)
    await shop.post("/webhooks", content=body, headers=headers)
    assert "not paid yet" in await order_text(shop)


async def test_an_order_that_was_stored_before_a_failure_can_be_paid_afterwards(
    shop: httpx.AsyncClient, api: PaidonceApi
) -> None:
    api.is_down = True
    refused = await shop.post("/orders", data={"order": ORDER})
    assert (refused.status_code, "Nothing is charged" in refused.text, ORDER in refused.text) == (503, True, True)
    api.is_down = False
    assert (await shop.post("/orders", data={"order": ORDER})).status_code == 303


async def test_an_order_page_without_an_answer_of_paidonce_says_that_it_cannot_see(
    shop: httpx.AsyncClient, api: PaidonceApi
) -> None:
    await shop.post("/orders", data={"order": ORDER})
    api.is_down = True
    assert "cannot see" in await order_text(shop)


@pytest.mark.parametrize("cart", ["", "0", "-1", "1e9", "<b>"])
async def test_a_cart_that_makes_no_sense_is_empty(shop: httpx.AsyncClient, api: PaidonceApi, cart: str) -> None:
    shop.cookies.set("cart", cart)
    assert "Your cart is empty" in (await shop.get("/cart", headers={"Cookie": f"cart={cart}"})).text
    await shop.post("/orders", data={"order": ORDER}, headers={"Cookie": f"cart={cart}"})
    assert api.bodies == []
