"""A merchant's webhook receiver: a real server on loopback that can fail, be slow, or be down for a while."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook

Json = dict[str, Any]
SLOW_SECONDS: Final = 0.1


class WebhookReceiver:
    """Remembers each webhook that it answered 2xx, by its id, and how often it came; checks every signature.

    ``trouble`` is how many of a hundred it answers with an error, answers late, or drops.
    """

    def __init__(self, chance: Random, *, trouble: int = 0) -> None:
        self.secrets: list[str] = []
        self.taken: dict[str, Json] = {}
        self.bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        self.tries = 0
        self.wrong: list[str] = []
        self.status = 200
        self.silent = False
        self._chance = chance
        self._trouble = trouble
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.go_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go_down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/webhooks"

    async def go_up(self) -> None:
        """Listen, on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._take, sock=listener)

    async def go_down(self) -> None:
        """Stop listening, and close every connection."""
        assert self._server is not None
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 90.0) -> None:
        """Wait until a condition on the received webhooks is true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def sequences(self) -> list[int]:
        return sorted(body["data"]["sequence"] for body in self.taken.values())

    def numbers(self) -> list[int]:
        return sorted(body["data"]["number"] for body in self.taken.values())

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            writer.transport.abort() if talk.cancelling() else writer.close()
            self._talks.discard(talk)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.tries += 1
        fate = self._chance.randrange(100)
        if self.silent:
            await reader.read()
        if fate < self._trouble:
            if fate % 3 == 0:
                writer.write(b"HTTP/1.1 500 Trouble\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            if fate % 3 == 1:
                return
            await asyncio.sleep(SLOW_SECONDS)
        if 200 <= self.status < 300:
            self._keep(headers, body)
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 5\r\n\r\nhello" % self.status)
        await writer.drain()
        self._changed.set()

    def _keep(self, headers: dict[str, str], body: bytes) -> None:
        """Store a webhook whose signature is valid for every current secret."""
        for secret in self.secrets:
            try:
                message: Json = Webhook(secret).verify(body, headers)
            except Exception as error:  # noqa: BLE001 - whatever the library thinks of it
                self.wrong.append(f"{headers.get('webhook-id')}: {error!r}")
                return
            if message["data"]["id"] != headers["webhook-id"]:
                self.wrong.append(f"{headers['webhook-id']} says it is {message['data']['id']}")
            self.taken[headers["webhook-id"]] = message
        self.bodies[headers["webhook-id"]].add(body)
        self._changed.set()
