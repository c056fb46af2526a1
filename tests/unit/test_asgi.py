"""The service as an ASGI application: opened by its server, or mounted in another application."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from paidonce.asgi import create_app
from paidonce.cli.schema import upgrade_schema
from paidonce.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(database_url=f"file:{tmp_path}/paidonce.db", simulator_database=f"file:{tmp_path}/books.db")
    upgrade_schema(settings)
    return settings


BODY = {"merchantId": "m1", "amount": 1000, "currency": "USD", "idempotencyKey": "a/b"}


def calling(app: ASGIApp, url: str = "http://localhost") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url)


async def test_it_is_opened_and_closed_by_its_lifespan_as_often_as_it_is_started(settings: Settings) -> None:
    app = create_app(settings)
    async with calling(app) as client:
        for _ in range(2):
            async with app.lifespan():
                made = await client.post("/checkouts", json=BODY)
                assert made.status_code == 201
                assert (await client.get(made.headers["location"])).json()["id"] == made.json()["id"]
        with pytest.raises(RuntimeError, match="lifespan"):
            await client.get("/checkouts")


async def test_it_can_be_mounted_under_a_prefix(settings: Settings) -> None:
    service = create_app(settings)
    shop = Starlette(routes=[Mount("/pay", service)])
    async with service.lifespan(), calling(shop) as client:
        made = await client.post("/pay/checkouts", json=BODY)
        assert made.status_code == 201
        assert made.headers["location"] == f"/pay/checkouts/{made.json()['id']}"
        assert (await client.get(made.headers["location"])).status_code == 200
        assert (await client.get("/pay/")).text.count('href="docs"') == 1
        assert "http://localhost/pay/checkouts" in (await client.get("/pay/docs")).text
        assert (await client.get("/pay/openapi.json")).json()["servers"] == [{"url": "/pay"}]
        uses = await client.get("/pay/idempotency-keys/a%2Fb", params={"merchantId": "m1"})
        assert (uses.status_code, uses.json()["key"]) == (200, "a/b")
        refused = await client.get("/pay/checkouts/")
        assert (refused.status_code, refused.json()["type"]) == (404, "/pay/docs#route_not_found")
        assert "x-request-id" not in (await client.get("/elsewhere")).headers


async def test_without_keys_it_answers_on_loopback_only(settings: Settings) -> None:
    app = create_app(settings)
    async with app.lifespan(), calling(app, "http://192.0.2.1") as client:
        refused = await client.get("/checkouts")
    assert (refused.status_code, "PAIDONCE_AUTH=keys" in refused.text) == (403, True)
