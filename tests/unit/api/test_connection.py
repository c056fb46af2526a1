"""The ends of a connection that take too long to wait for: a pretended transport, and a clock that is told the time."""

import asyncio
from typing import Any

import pytest
from uvicorn.server import ServerState

from paidonce.api.connection import LINGER_BYTES_MAX, LINGER_SECONDS, STALL_SECONDS_MAX, Connection, ConnectionConfig


class Wire(asyncio.Transport):
    """Keeps what is written, and notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.done: list[str] = []

    def write(self, data: Any) -> None:  # noqa: ANN401 - any bytes
        self.written += data

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.done.append("eof")

    def pause_reading(self) -> None:
        self.done.append("pause")


async def never(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - nobody is answered here
    raise NotImplementedError


@pytest.fixture
async def connection() -> Connection:
    config = ConnectionConfig(never, http=Connection, log_config=None, lifespan="off", proxy_headers=False, ws="none")
    config.header_seconds, config.body_seconds, config.connection_limit = 10.0, 30.0, 1
    config.load()
    made = Connection(config, ServerState(), {}, asyncio.get_running_loop())
    made.connection_made(Wire())
    return made


def wire_of(connection: Connection) -> Wire:
    assert isinstance(connection.transport, Wire)
    return connection.transport


async def test_who_does_not_read_the_answer_is_cut_off(connection: Connection) -> None:
    now = connection.loop.time()
    connection.pause_writing()
    connection.look(now + 5)
    assert wire_of(connection).done == []
    connection.look(now + STALL_SECONDS_MAX + 1)
    assert wire_of(connection).done == ["abort"]


async def test_a_close_that_waits_for_a_client_that_does_not_read_ends_too(connection: Connection) -> None:
    connection.transport.close()
    connection.look(100.0)
    connection.look(100.0 + LINGER_SECONDS)
    assert wire_of(connection).done == ["close"]
    connection.look(100.1 + LINGER_SECONDS)
    assert wire_of(connection).done == ["close", "abort"]


async def test_a_refusal_is_left_time_to_arrive_but_not_for_ever(connection: Connection) -> None:
    connection.data_received(b"nonsense\r\n\r\n")
    now = connection.loop.time()
    wire = wire_of(connection)
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.done == ["eof"]
    connection.data_received(b"x" * LINGER_BYTES_MAX)
    connection.data_received(b"x")
    connection.look(now)
    assert wire.done == ["eof", "pause"]
    connection.look(now + LINGER_SECONDS + 1)
    assert wire.done == ["eof", "pause", "abort"]
    assert wire.written.count(b"HTTP/1.1 400 ") == 1


async def test_a_deadline_moves_with_no_byte(connection: Connection) -> None:
    connection.data_received(b"GET / HTTP/1.1\r\n")
    now = connection.loop.time()
    for _ in range(100):
        connection.data_received(b"X")
    connection.look(now + 9)
    assert wire_of(connection).written == b""
    connection.look(now + 11)
    assert wire_of(connection).written.startswith(b"HTTP/1.1 408 ")
