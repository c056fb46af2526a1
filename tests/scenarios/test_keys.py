"""API keys from the view of an operator: created and revoked while a server is running, and shown once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from paidonce.app import open_service
from paidonce.cli import main
from paidonce.database.schema import metadata
from paidonce.merchants.api_key_cache import AGE_SECONDS_MAX
from paidonce.settings import Settings
from paidonce.web import WebApp
from tests.support.in_process_transport import InProcessTransport
from tests.support.oracle import database
from tests.support.service_process import ServiceProcess

BODY = {"amount": 1000, "currency": "USD", "idempotencyKey": "abc123"}


def operate(database_url: str, *arguments: str) -> str:
    """Run a command while the server is running; returns its standard output."""
    done = CliRunner().invoke(main, arguments, env={"DATABASE_URL": database_url})
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def everything_in(url: str) -> bytes:
    """Read all that a database holds: SQLite's files as they are, PostgreSQL's rows as text."""
    if url.startswith("file:"):
        path = Path(url.removeprefix("file:"))
        return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    with database(url) as connection:
        rows = [connection.execute(select(table)).all() for table in metadata.sorted_tables]
    return repr(rows).encode()


def test_a_key_is_made_and_revoked_beside_a_server_and_stands_in_no_log_and_no_database(
    start: Callable[..., ServiceProcess], database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service = start("dev", DATABASE_URL=database_url, PAIDONCE_AUTH="keys", PAIDONCE_LOG_LEVEL="debug")
    service.wait_until_ready()
    operate(database_url, "merchants", "create", "m123")
    secret = operate(database_url, "keys", "create", "m123")
    admin = operate(database_url, "keys", "create", "--admin")
    with httpx.Client(base_url=service.url) as http:
        created = http.post("/checkouts", json=BODY, headers=bearing(secret))
        made = http.post("/keys", json={"merchantId": "m123"}, headers=bearing(admin)).json()
        strange = http.post("/checkouts", content=b"\xff", headers=bearing(made["secret"]))
        key_id = operate(database_url, "keys", "list", "m123").splitlines()[-1].split()[0]
        operate(database_url, "keys", "revoke", key_id)
        revoked_at = monotonic()
        while True:
            asked_at = monotonic()
            if http.get("/checkouts", headers=bearing(secret)).status_code == 401:
                break
            assert asked_at - revoked_at < AGE_SECONDS_MAX
    assert (created.status_code, created.json()["merchantId"]) == (201, "m123")
    assert strange.status_code == 415
    held = everything_in(database_url)
    assert b"m123" in held
    for one in (secret, admin, made["secret"]):
        assert one[12:24] not in service.output
        assert one[12:24].encode() not in held


@asynccontextmanager
async def serving(url: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    books = f"file:{folder}/books.db"
    settings = Settings(database_url=url, auth="keys", simulator_database=books)
    async with open_service(settings, with_worker=False, migrating=True) as service:
        transport = InProcessTransport(WebApp(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://paidonce") as http:
            yield http


async def test_a_key_that_one_process_revokes_is_dead_in_the_others_within_the_promised_time(
    postgres_url: str, tmp_path: Path
) -> None:
    async with serving(postgres_url, tmp_path) as one, serving(postgres_url, tmp_path) as other:
        admin = bearing(operate(postgres_url, "keys", "create", "--admin"))
        await one.post("/merchants", json={"id": "m1"}, headers=admin)
        made = (await one.post("/keys", json={"merchantId": "m1"}, headers=admin)).json()
        mine = bearing(made["secret"])
        before = [(await http.get("/checkouts", headers=mine)).status_code for http in (one, other)]
        revoked = await one.post(f"/keys/{made['id']}/revoke", headers=admin)
        revoked_at = monotonic()
        at_once = (await one.get("/checkouts", headers=mine)).status_code
        while True:
            asked_at = monotonic()
            if (await other.get("/checkouts", headers=mine)).status_code == 401:
                break
            assert asked_at - revoked_at < AGE_SECONDS_MAX
        rotated = await one.post(f"/keys/{made['id']}/rotate", headers=admin)
    assert before == [200, 200]
    assert (revoked.status_code, revoked.json()["status"]) == (200, "REVOKED")
    assert at_once == 401
    assert (rotated.status_code, rotated.json()["code"]) == (409, "key_not_active")
