"""The simulator's HTTP server: a 400, which is proof that nothing was booked, is only for what cannot be read."""

import httpx
import pytest

from paidonce.providers.simulator.calls import Rules
from paidonce.providers.simulator.faults import WebhookDraw
from paidonce.providers.simulator.server import create_simulator_app
from paidonce.providers.simulator.simulation import Simulation
from paidonce.providers.simulator.wire import Announced
from tests.support.simulated_provider import SimulatedProvider

CHARGE = {
    "key": "att_1",
    "amount": 1000,
    "currency": "USD",
    "paymentMethod": "tok_success",
    "capture": True,
    "checkoutId": "chk_1",
    "merchantId": "m1",
}
SESSION = {**CHARGE, "returnUrl": "https://shop.example", "expiresAt": "2026-01-02T03:04:05Z"}


def client(simulation: Simulation) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_simulator_app(simulation))
    return httpx.AsyncClient(transport=transport, base_url="http://simulator.test")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/charges", b""),
        ("/charges", b"\xff"),
        ("/charges", {**CHARGE, "amount": "much"}),
        ("/sessions", CHARGE),
        ("/sessions", {**SESSION, "expiresAt": "soon"}),
        ("/charges/ch_1/refunds", {"key": "ref_1"}),
    ],
)
async def test_what_cannot_be_read_is_refused(provider: SimulatedProvider, path: str, body: object) -> None:
    async with client(provider.simulation(Rules())) as http:
        answer = await (http.post(path, content=body) if isinstance(body, bytes) else http.post(path, json=body))
        assert answer.status_code == 400
        assert (await http.get("/charges")).json()["data"] == []
        assert (await http.get("/operations/att_1")).status_code == 404


async def test_a_list_with_a_limit_that_is_no_number_is_refused(provider: SimulatedProvider) -> None:
    async with client(provider.simulation(Rules())) as http:
        answers = [await http.get("/charges", params={"limit": limit}) for limit in ("many", "", "-1", "²", "0", "1")]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 200, 200]


async def test_an_error_after_the_charge_was_booked_is_no_refusal(provider: SimulatedProvider) -> None:
    async def fail(_announced: Announced, _draw: WebhookDraw) -> None:
        message = "a defect"
        raise ValueError(message)

    async with client(provider.simulation(Rules(), fail)) as http:
        answer = await http.post("/charges", json=CHARGE)
        (line,) = (await http.get("/charges")).json()["data"]
    assert answer.status_code == 500
    assert line["status"] == "succeeded"


async def test_a_session_is_opened_looked_up_and_closed(provider: SimulatedProvider) -> None:
    async with client(provider.simulation(Rules())) as http:
        body = {**SESSION, "paymentMethod": "hosted", "expiresAt": "2099-01-02T03:04:05Z"}
        opened = await http.post("/sessions", json=body)
        path = f"/sessions/{opened.json()['reference']}"
        assert (await http.get(path)).json() == opened.json()
        page = await http.get(opened.json()["url"])
        closed = await http.post(f"{path}/close")
        missing = [await http.get("/sessions/ses_none"), await http.post(f"{path}/approve")]
    assert opened.json()["status"] == "open"
    assert page.headers["content-type"].startswith("text/html")
    assert closed.json()["status"] == "closed"
    assert [one.status_code for one in missing] == [404, 404], "a buyer approves on the page only"
