"""Keys, secrets and card numbers, sent wherever a client could put them, are neither logged nor stored."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final

import httpx
import psycopg

from tests.support.merchant_client import Json
from tests.support.service_process import ServiceProcess, wait_until

CARD: Final = "4000056655665556"
GROUPED: Final = "4000 0566 5566 5556"
KEY: Final = "sk_" + "live_51secretsecretsecret"
SIGNING: Final = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
PLANTED: Final = (CARD, GROUPED, KEY, SIGNING, "secretsecret")


def body(**fields: object) -> Json:
    return {"merchantId": "m", "amount": 1000, "currency": "USD", "idempotencyKey": "planted", **fields}


def plant(client: httpx.Client) -> list[int]:
    """Send every secret in every field; returns the statuses."""
    checkout = client.post("/checkouts", json=body()).json()["id"]
    answers = [
        client.get("/checkouts", headers={"Authorization": f"Bearer {KEY}"}),
        client.get("/checkouts", headers={"Authorization": f"Basic {KEY}", "Cookie": f"key={KEY}", "X-Api-Key": KEY}),
        *(client.get(f"/{secret}/{secret}") for secret in PLANTED),
        *(client.get(f"/checkouts/{secret}", params={"key": secret}) for secret in PLANTED),
        *(
            client.post(f"/checkouts/{checkout}/pay", json={"paymentMethod": secret})
            for secret in (CARD, f"tok_{CARD}")
        ),
        *(client.post(f"/checkouts/{checkout}/pay", json={"cardNumber": secret}) for secret in PLANTED),
        *(
            client.post(f"/checkouts/{checkout}/refunds", json={"reason": f"card {secret}"})
            for secret in (CARD, GROUPED)
        ),
        client.post("/checkouts", json=body(description=f"paid with {CARD}")),
        client.post("/checkouts", json=body(metadata={"note": GROUPED})),
        client.post("/checkouts", json=body(metadata={"cardNumber": CARD})),
        client.post("/checkouts", content=f'{{"amount": {CARD}, "key": "{KEY}"'.encode(), headers=JSON),
        client.post("/checkouts", content=f"{KEY} {SIGNING}".encode(), headers={"Content-Type": KEY}),
        client.post("/checkouts", json=body(amount=CARD, currency=KEY)),
        client.post("/providers/simulator/webhooks", json={"card": CARD}, headers={"webhook-signature": SIGNING}),
        client.post(f"/providers/{KEY}/webhooks", json={"card": CARD}),
        client.request("PATCH", f"/checkouts/{KEY}", json={"card": CARD}),
    ]
    return [answer.status_code for answer in answers]


JSON: Final = {"Content-Type": "application/json"}


def test_nothing_secret_is_kept(start: Callable[..., ServiceProcess], database_url: str) -> None:
    service = start("dev", DATABASE_URL=database_url, PAIDONCE_LOG_LEVEL="debug").wait_until_ready()
    with httpx.Client(base_url=service.url) as client:
        statuses = plant(client)
        assert set(statuses[:2]) <= {200, 401}
        assert all(400 <= status < 500 for status in statuses[2:]), statuses
        for secret in (CARD, KEY, SIGNING):
            named = client.post("/checkouts", json=body(idempotencyKey=secret[:3]), headers={"X-Request-Id": secret})
            assert named.status_code == 201
            assert named.headers["X-Request-Id"].startswith("req_")
        break_database(database_url)
        failed = [
            client.post("/checkouts", json=body(idempotencyKey="s", metadata={"a": "secretsecret"}), headers=bearer()),
            client.get(f"/checkouts/chk_{'0' * 26}", headers={"X-Request-Id": CARD, **bearer()}),
        ]
        assert all(answer.status_code >= 500 for answer in failed)
        wait_until(lambda: '"level": "error"' in service.output)
    service.terminate()
    service.wait_for_end()
    assert [secret for secret in PLANTED if secret in service.output] == []
    kept = b"".join(file.read_bytes() for file in service.folder.iterdir() if file.is_file())
    kept += dumped(database_url)
    assert [secret for secret in PLANTED if secret.encode() in kept] == []


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


def break_database(url: str) -> None:
    """Drop a table, so that errors come from deep inside."""
    if url.startswith("file:"):
        with closing(sqlite3.connect(url.removeprefix("file:"))) as connection:
            connection.execute("ALTER TABLE checkout RENAME TO elsewhere")
            connection.commit()
    else:
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE checkout RENAME TO elsewhere")


def dumped(url: str) -> bytes:
    """Read every row of PostgreSQL as text; SQLite's file is read as it is."""
    if url.startswith("file:"):
        return b""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{table}" t').fetchall() for (table,) in tables]
    return repr(rows).encode()
