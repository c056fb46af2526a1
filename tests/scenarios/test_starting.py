"""Starts that are refused with one clear line that says what to do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import certificate_files
from tests.support.databases import fresh_database
from tests.support.merchant_client import MerchantClient
from tests.support.service_process import ServiceProcess


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield a database of each kind that is not migrated."""
    if request.param == "sqlite":
        yield f"file:{tmp_path}/paidonce.db"
        return
    with fresh_database(request.getfixturevalue("postgres_server_url")) as url:
        yield url


def test_a_second_process_on_the_same_sqlite_file_is_refused_with_a_clear_message(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    start("dev", DATABASE_URL=sqlite_url).wait_until_ready()
    second = start("serve", DATABASE_URL=sqlite_url)
    assert second.wait_for_end() == 1
    (line,) = second.lines
    assert "is served by another process" in line
    assert "PostgreSQL" in line


def test_a_port_that_is_taken_is_refused_with_one_clear_line(
    start: Callable[..., ServiceProcess], sqlite_url: str, tmp_path: Path
) -> None:
    first = start("dev", DATABASE_URL=sqlite_url)
    port = first.url.rpartition(":")[2]
    second = start("dev", DATABASE_URL=f"file:{tmp_path}/other.db", PORT=port, PAIDONCE_LOG_LEVEL="error")
    assert second.wait_for_end() == 1
    (line,) = second.lines
    assert line == f"paidonce: Cannot listen on 127.0.0.1:{port}: [Errno 98] Address already in use"


def test_a_server_speaks_tls_with_the_certificate_that_it_is_given(
    start: Callable[..., ServiceProcess], sqlite_url: str, tmp_path: Path
) -> None:
    certificate, key, client = certificate_files("localhost", tmp_path)
    options = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    server = start("serve", *options, DATABASE_URL=sqlite_url)
    assert server.url.startswith("https://localhost:")
    assert httpx.get(f"{server.url}/health/live", verify=client).status_code == 200
    refused = start("serve", *options[:2], DATABASE_URL=sqlite_url)
    assert refused.wait_for_end() == 2
    assert "PAIDONCE_TLS_CERTIFICATE and PAIDONCE_TLS_KEY: set both or neither" in refused.output


async def test_the_lock_of_a_killed_process_does_not_stand_in_the_way_of_the_next(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    first = start("dev", DATABASE_URL=sqlite_url)
    async with MerchantClient(first.url) as shop:
        checkout_id = await shop.created()
    first.kill()
    async with MerchantClient(start("serve", DATABASE_URL=sqlite_url).url) as shop:
        assert (await shop.paid(checkout_id))["status"] == "COMPLETED"


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_a_database_that_is_not_migrated_is_refused_with_the_remedy_and_the_remedy_works(
    start: Callable[..., ServiceProcess], empty_database_url: str
) -> None:
    refused = start("serve", program="paidonce", DATABASE_URL=empty_database_url)
    assert refused.wait_for_end() == 1
    (line,) = refused.lines
    assert line.endswith("Run: paidonce db upgrade")
    remedy = start("db", "upgrade", program="paidonce", DATABASE_URL=empty_database_url)
    assert remedy.wait_for_end() == 0, remedy.output
    start("serve", program="paidonce", DATABASE_URL=empty_database_url).wait_until_ready()


async def test_a_standby_waits_and_takes_the_place_of_a_server_that_is_killed(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    first = start("dev", DATABASE_URL=sqlite_url)
    port = first.url.rpartition(":")[2]
    standby = start("serve", "--standby", DATABASE_URL=sqlite_url, PORT=port)
    standby.wait_for_line("standing_by")
    async with MerchantClient(first.url) as shop:
        checkout_id = await shop.created()
        await shop.pay(checkout_id)
    first.kill()
    async with MerchantClient(standby.url) as shop:
        assert standby.url == first.url
        assert (await shop.ended(checkout_id))["status"] == "COMPLETED"
    another = start("serve", "--standby", DATABASE_URL=sqlite_url, PORT=port)
    another.wait_for_line("standing_by")
    another.terminate()
    assert another.wait_for_end() == 0
