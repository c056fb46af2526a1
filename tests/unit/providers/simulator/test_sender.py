"""The webhook sender with a listener that accepts webhooks, possibly after some refusals."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import standardwebhooks

from paidonce.clock import system_clock
from paidonce.providers.simulator import delivery
from paidonce.providers.simulator.faults import WebhookDraw, WebhookFault
from paidonce.providers.simulator.sender import WebhookSender
from paidonce.providers.simulator.wire import Operation
from tests.support.provider_process import SECRET


class Listener:
    """Accepts webhooks, after refusing the first ``refusals``."""

    def __init__(self) -> None:
        self.refusals = 0
        self.taken: list[tuple[str, dict[str, str], str]] = []
        self.came = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        pairs = (line.split(": ", 1) for line in head.splitlines()[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        refused, self.refusals = self.refusals > 0, self.refusals - 1
        if not refused:
            self.taken.append((headers["webhook-id"], headers, body))
        status = "500 No" if refused else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self.came.set()

    async def wait_for(self, number: int) -> list[str]:
        """Wait until so many are taken; returns the keys that they are about."""
        async with asyncio.timeout(90):
            while len(self.taken) < number:
                self.came.clear()
                await self.came.wait()
        return [json.loads(body)["data"]["key"] for _, _, body in self.taken]


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.01,) * 5)
    one = Listener()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield one
    server.close()


@pytest.fixture
async def sender(listener: Listener) -> AsyncIterator[WebhookSender]:
    one = WebhookSender(listener.url, SECRET, clock=system_clock)
    yield one
    await one.close()


def operation(key: str = "att_1") -> Operation:
    return Operation(key=key, kind="charge", reference=f"ch_{key}", outcome="succeeded", amount=1000)


async def test_a_webhook_is_signed_so_that_the_specifications_library_believes_it(
    listener: Listener, sender: WebhookSender
) -> None:
    await sender.send_webhook(operation(), WebhookDraw(WebhookFault.ONCE))
    await listener.wait_for(1)
    ((_, headers, body),) = listener.taken
    webhook = standardwebhooks.Webhook(SECRET).verify(body, headers)
    assert (webhook["type"], webhook["data"]["reference"]) == ("charge.succeeded", "ch_att_1")


async def test_what_is_not_taken_is_sent_again(listener: Listener, sender: WebhookSender) -> None:
    listener.refusals = 3
    await sender.send_webhook(operation(), WebhookDraw(WebhookFault.ONCE))
    assert await listener.wait_for(1) == ["att_1"]
    assert listener.refusals == -1


async def test_one_that_comes_first_is_taken_before_the_call_goes_on(listener: Listener, sender: WebhookSender) -> None:
    await sender.send_webhook(operation(), WebhookDraw(WebhookFault.FIRST))
    assert len(listener.taken) == 1


async def test_one_that_comes_twice_has_one_id(listener: Listener, sender: WebhookSender) -> None:
    await sender.send_webhook(operation(), WebhookDraw(WebhookFault.TWICE))
    await listener.wait_for(2)
    assert len({message_id for message_id, _, _ in listener.taken}) == 1


async def test_one_that_is_overtaken_comes_after_the_next(listener: Listener, sender: WebhookSender) -> None:
    await sender.send_webhook(operation("att_1"), WebhookDraw(WebhookFault.OVERTAKEN))
    await sender.send_webhook(operation("att_2"), WebhookDraw(WebhookFault.ONCE))
    assert await listener.wait_for(2) == ["att_2", "att_1"]


async def test_one_that_nothing_overtakes_comes_late(
    listener: Listener, sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LATE_MS_MAX", 20)
    await sender.send_webhook(operation("att_1"), WebhookDraw(WebhookFault.OVERTAKEN))
    await sender.send_webhook(operation("att_2"), WebhookDraw(WebhookFault.LATE, 0.5))
    assert sorted(await listener.wait_for(2)) == ["att_1", "att_2"]
