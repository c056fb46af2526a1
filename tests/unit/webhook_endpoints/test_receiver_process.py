"""What the process that calls receivers does with what it is asked, in this process: it answers each call by its
number, and ends when whoever asks does.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from paidonce.webhook_endpoints.receiver_messages import (
    OUTCOMES,
    Answer,
    Check,
    Outcome,
    Post,
    ReceiverCallFailed,
    receive,
    send,
)
from paidonce.webhook_endpoints.receiver_process import serve
from paidonce.webhook_endpoints.ssrf import UrlRefused


class Scripted:
    """ReceiverClient that do what a URL says."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self.done: list[str] = []

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.posted.append((url, headers, body))
        match url:
            case "refused":
                raise UrlRefused("not there")
            case "failed":
                raise ReceiverCallFailed("cannot connect")
            case "defect":
                raise ZeroDivisionError
            case "hangs":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.done.append("cancelled")
                    raise
            case _:
                pass
        return Answer(200, "7", b"\xff\0")

    async def check(self, url: str, *, seconds_max: float) -> None:
        if url == "refused":
            raise UrlRefused(f"not there, in {seconds_max} s")

    async def close(self) -> None:
        self.done.append("closed")


class Asking(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    receivers: Scripted
    serving: asyncio.Task[None]

    async def ask(self, call: Post | Check) -> Outcome | None:
        send(self.writer, call)
        return await receive(self.reader, OUTCOMES)


@asynccontextmanager
async def asking() -> AsyncIterator[Asking]:
    link, other = socket.socketpair()
    receivers = Scripted()
    serving = asyncio.create_task(serve(other, receivers))  # type: ignore[arg-type] # they do the same
    reader, writer = await asyncio.open_unix_connection(sock=link)
    yield Asking(reader, writer, receivers, serving)
    writer.close()
    await writer.wait_closed()
    await serving


async def test_each_call_is_answered_by_its_number_whatever_becomes_of_it() -> None:
    async with asking() as one:
        assert await one.ask(Post(1, "taken", {"a": "b"}, b"{}")) == Outcome(
            number=1, answer=Answer(200, "7", b"\xff\0")
        )
        assert await one.ask(Post(2, "refused", {}, b"")) == Outcome(number=2, refused="not there")
        assert await one.ask(Post(3, "failed", {}, b"")) == Outcome(number=3, failed="cannot connect")
        assert await one.ask(Check(4, "taken", 2.0)) == Outcome(number=4)
        assert await one.ask(Check(5, "refused", 2.0)) == Outcome(number=5, refused="not there, in 2.0 s")
    assert one.receivers.posted[0] == ("taken", {"a": "b"}, b"{}")


async def test_a_defect_is_a_failed_call_that_tells_its_traceback_and_the_next_is_done() -> None:
    async with asking() as one:
        outcome = await one.ask(Post(1, "defect", {}, b""))
        assert outcome is not None
        assert (outcome.number, outcome.failed, outcome.answer) == (1, "the sender failed", None)
        assert "ZeroDivisionError" in (outcome.defect or "")
        assert await one.ask(Check(2, "taken", 2.0)) == Outcome(number=2)


async def test_a_call_that_hangs_delays_no_other_and_ends_when_whoever_asked_does_before_all_is_closed() -> None:
    async with asking() as one:
        send(one.writer, Post(1, "hangs", {}, b""))
        assert await one.ask(Check(2, "taken", 2.0)) == Outcome(number=2)
        assert not one.serving.done()
    assert one.receivers.done == ["cancelled", "closed"]


async def test_what_breaks_off_within_a_message_is_the_end() -> None:
    async with asking() as one:
        one.writer.write(b"\0\0\1\0half")
    assert one.receivers.posted == []
