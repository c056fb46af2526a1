"""The process that calls receivers: it is started when it is needed, replaced when it ends, and knows no secret."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from paidonce.webhook_endpoints.receiver_messages import ReceiverCallFailed, ReceiverSettings
from paidonce.webhook_endpoints.receiver_process import MEMORY_BYTES_MAX
from paidonce.webhook_endpoints.receiver_process_client import COMMAND, ReceiverProcessClient
from paidonce.webhook_endpoints.ssrf import UrlRefused
from tests.unit.webhook_endpoints.running import until

ANSWER = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate"


class Place:
    """A receiver on loopback: it answers, or keeps its callers waiting while ``silent``."""

    def __init__(self) -> None:
        self.silent = False
        self.heard: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2))
            if self.silent:
                await reader.read()
            writer.write(ANSWER)
        writer.close()


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    one = Place()
    server = await asyncio.start_server(one.take, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def caller(
    *command: str, allow_private: bool = True, timeout_seconds: float = 30, hang_seconds: float = 30
) -> AsyncIterator[ReceiverProcessClient]:
    settings = ReceiverSettings(allow_private, timeout_seconds)
    one = ReceiverProcessClient(settings, command=command or COMMAND, hang_seconds=hang_seconds)
    try:
        yield one
    finally:
        await one.stop()


def children(parent: int | None = None) -> set[int]:
    """Name the processes that call receivers for a process, else for this one."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            status = (each / "status").read_text()
            if f"\nPPid:\t{parent or os.getpid()}\n" in status and "State:\tZ" not in status:
                words = (each / "cmdline").read_bytes()
                if b"receiver_process" in words:
                    found.add(int(each.name))
    return found


async def test_a_post_is_made_by_a_process_that_is_started_for_the_first_and_kept_for_the_next() -> None:
    async with place() as receiver, caller() as outside:
        assert children() == set()
        first = await outside.post(receiver.url, {"x-test": "1"}, b"{}")
        process = children()
        second = await outside.post(receiver.url, {"x-test": "1"}, b"{}")
        assert first == second
        assert (first.status, first.retry_after, first.beginning) == (503, "7", b"late")
        assert (len(process), children()) == (1, process)
    assert children() == set()


async def test_many_calls_at_once_each_get_their_own_answer() -> None:
    async with place() as receiver, caller() as outside:
        nowhere = "http://127.0.0.1:1/"
        urls = [receiver.url, nowhere] * 20
        found = await asyncio.gather(*(outside.post(url, {}, b"{}") for url in urls), return_exceptions=True)
    assert [str(one) if isinstance(one, ReceiverCallFailed) else one for one in found[1::2]] == [
        "cannot connect: Connection refused"
    ] * 20
    assert [isinstance(one, BaseException) for one in found[::2]] == [False] * 20


async def test_a_process_that_is_killed_fails_its_calls_and_another_does_the_next() -> None:
    async with place() as receiver, caller() as outside:
        receiver.silent = True
        call = asyncio.create_task(outside.post(receiver.url, {}, b"{}"))
        await until(lambda: bool(receiver.heard))
        (process,) = children()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ReceiverCallFailed, match="the process that calls receivers ended"):
            await call
        receiver.silent = False
        assert (await outside.post(receiver.url, {}, b"{}")).status == 503
        assert children() - {process} == children() != set()


async def test_a_process_that_hangs_is_replaced() -> None:
    async with place() as receiver, caller(timeout_seconds=0.2, hang_seconds=5) as outside:
        process = await running(outside, receiver.url)
        os.kill(process, signal.SIGSTOP)
        while process in children():
            with pytest.raises(ReceiverCallFailed, match="the process that calls receivers ended"):
                await outside.post(receiver.url, {}, b"{}")
        assert await running(outside, receiver.url) != process


async def test_a_process_that_starts_slowly_fails_calls_and_is_left_to_start() -> None:
    slow = (sys.executable, "-c", SLOW_START, *COMMAND)
    async with place() as receiver, caller(*slow, timeout_seconds=0.1) as outside:
        failed = asyncio.create_task(outside.post(receiver.url, {}, b"{}"))
        await until(lambda: bool(children()))
        (process,) = children()
        with pytest.raises(ReceiverCallFailed):
            await failed
        assert await running(outside, receiver.url) == process


SLOW_START = """
import os, select, sys
select.select([], [], [], 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def running(outside: ReceiverProcessClient, url: str) -> int:
    """Post until a call succeeds; returns the process that made it."""
    while True:
        with suppress(ReceiverCallFailed):
            await outside.post(url, {}, b"{}")
            (process,) = children()
            return process


async def test_a_process_that_cannot_be_started_or_ends_at_once_is_a_failed_call() -> None:
    for command in (["/nowhere/python"], [sys.executable, "-c", "raise SystemExit"]):
        async with caller(*command) as outside:
            for _ in range(2):
                with pytest.raises(ReceiverCallFailed, match="the process that calls receivers ended"):
                    await outside.post("http://127.0.0.1:1/", {}, b"{}")


PARENT = """
import asyncio
from contextlib import suppress
from paidonce.webhook_endpoints.receiver_process_client import ReceiverProcessClient
from paidonce.webhook_endpoints.receiver_messages import ReceiverSettings, ReceiverCallFailed

async def main():
    with suppress(ReceiverCallFailed):
        await ReceiverProcessClient(ReceiverSettings(True, 30)).post("http://127.0.0.1:1/", {}, b"")
    print("called", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_process_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "called\n"
        (process,) = children(parent.pid)
        parent.kill()
    with suppress(ProcessLookupError):  # It ends by itself: waited for without looking at the clock.
        select.select([os.pidfd_open(process)], [], [])


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def limits_of(pid: int) -> str:
    return " ".join(Path(f"/proc/{pid}/limits").read_text().split())


async def test_the_process_has_no_secret_in_its_environment_and_gives_way_to_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAIDONCE_ENCRYPTION_KEYS", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")
    async with place() as receiver, caller() as outside:
        await outside.post(receiver.url, {}, b"{}")
        (process,) = children()
        assert b"secret" not in environment_of(process)
        assert os.getpriority(os.PRIO_PROCESS, process) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_the_process_outlives_the_signals_that_its_group_gets_and_may_take_only_so_much_memory() -> None:
    async with place() as receiver, caller() as outside:
        process = await running(outside, receiver.url)
        for each in (signal.SIGINT, signal.SIGTERM):
            os.kill(process, each)
        assert await running(outside, receiver.url) == process
        assert f"Max data size {MEMORY_BYTES_MAX} {MEMORY_BYTES_MAX} bytes" in limits_of(process)


@pytest.mark.parametrize(
    ("url", "allow_private"),
    [("http://8.8.8.8/", False), ("https://10.0.0.1/", False), ("https://localhost/", False), ("ftp://a/", True)],
)
async def test_a_url_that_says_itself_where_it_leads_is_refused_without_a_process(
    url: str, *, allow_private: bool
) -> None:
    async with caller("/nowhere/python", allow_private=allow_private) as outside:
        with pytest.raises(UrlRefused):
            await outside.check(url, seconds_max=30)


PRIVATE = """
import asyncio, socket, sys
from aiohttp.abc import AbstractResolver
from paidonce.webhook_endpoints.receiver_client import ReceiverClient
from paidonce.webhook_endpoints.receiver_messages import ReceiverSettings
from paidonce.webhook_endpoints.receiver_process import serve

class Resolver(AbstractResolver):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        address = "10.0.0.1" if host == "private.example" else "8.8.8.8"
        return [{"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        pass

asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), ReceiverClient(ReceiverSettings(False, 30), Resolver())))
"""


async def test_a_url_whose_name_leads_to_a_private_address_is_refused_and_another_is_taken() -> None:
    async with caller(sys.executable, "-c", PRIVATE, allow_private=False) as outside:
        with pytest.raises(UrlRefused, match="not on the public internet"):
            await outside.check("https://private.example/", seconds_max=30)
        await outside.check("https://public.example/", seconds_max=30)


async def test_a_url_of_which_nothing_can_be_told_in_time_is_taken() -> None:
    for command in (["/nowhere/python"], [sys.executable, "-c", "import signal; signal.pause()"]):
        async with caller(*command, allow_private=False) as outside:
            await outside.check("https://shop.example/", seconds_max=0.2)
            await outside.check("https://8.8.8.8/", seconds_max=0.2)
