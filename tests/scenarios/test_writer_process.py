"""The server and its writer process end together: whichever is killed, nothing is lost and the next one can start."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.merchant_client import MerchantClient
from tests.support.service_process import ServiceProcess, wait_until


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Suspend a process, like a disk that does not respond."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_the_writer_ends_when_its_server_does(
    start: Callable[..., ServiceProcess], database_url: str, name: signal.Signals
) -> None:
    service = start("dev", DATABASE_URL=database_url).wait_until_ready()
    writer = service.writer_pid
    service.process.send_signal(name)
    service.wait_for_end()
    wait_until(lambda: not lives(writer))


async def test_a_server_that_was_killed_is_followed_only_when_its_writer_has_ended_too(
    start: Callable[..., ServiceProcess], sqlite_url: str
) -> None:
    first = start("dev", DATABASE_URL=sqlite_url).wait_until_ready()
    async with MerchantClient(first.url) as shop:
        checkout_id = await shop.created()
        with stopped(first.writer_pid):
            lost = asyncio.create_task(shop.pay(checkout_id))
            first.process.kill()
            first.process.wait()
            await asyncio.gather(lost, return_exceptions=True)
            second = start("serve", DATABASE_URL=sqlite_url)
            third = start("serve", DATABASE_URL=sqlite_url)
            assert third.wait_for_end() == second.wait_for_end() == 1  # They have waited, but not for ever.
            assert "is served by another process" in second.output
            fourth = start("serve", DATABASE_URL=sqlite_url)
            fourth.wait_for_line("waiting_for_orphaned_writer")
        fourth.wait_until_ready()
    async with MerchantClient(fourth.url) as shop:
        assert (await shop.paid(checkout_id))["status"] == "COMPLETED"


async def test_a_signal_to_the_whole_group_is_the_servers_to_follow(
    start: Callable[..., ServiceProcess], database_url: str
) -> None:
    service = start("dev", DATABASE_URL=database_url).wait_until_ready()
    for name in (signal.SIGINT, signal.SIGTERM):  # The terminal sends it to both, and so does a supervisor.
        os.kill(service.writer_pid, name)
        async with MerchantClient(service.url) as shop:
            assert (await shop.paid(await shop.created()))["status"] == "COMPLETED"
    os.kill(service.process.pid, signal.SIGINT)
    assert service.wait_for_end() == 0, service.output


async def test_a_database_in_memory_has_one_process(start: Callable[..., ServiceProcess]) -> None:
    service = start("dev", DATABASE_URL="file::memory:?cache=shared").wait_until_ready()
    async with MerchantClient(service.url) as shop:
        assert (await shop.paid(await shop.created()))["status"] == "COMPLETED"
    assert '"writer_pid": null' in service.output
