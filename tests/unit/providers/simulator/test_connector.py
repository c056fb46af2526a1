"""The connector with a provider that sends odd responses: only a complete, valid response about our key is proof."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from paidonce.clock import system_clock
from paidonce.money import Money
from paidonce.providers.base import ChargeRequest, Modification
from paidonce.providers.evidence import Authorized, Declined, Evidence, NotDone, NotFound, Succeeded, Unknown
from paidonce.providers.simulator.connector import ConnectorSettings, SimulatorConnector
from paidonce.proving.processes import free_port
from tests.support.raw_server import OK, Part, raw_server

OPERATION = {"key": "att_1", "kind": "charge", "reference": "ch_1", "outcome": "succeeded", "amount": 1000}
DECLINED = {**OPERATION, "outcome": "declined", "declineCode": "expired_card"}


def answer(status: str, content: object, *, length: int | None = None) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode() + body


@asynccontextmanager
async def connected(raw: bytes) -> AsyncIterator[SimulatorConnector]:
    """Connect to a server that sends these bytes for every request and closes, or sends nothing."""
    async with raw_server(Part(raw, closing=bool(raw))) as provider:
        # Only silence is waited for in vain.
        seconds = 90 if raw else 0.1
        connector = SimulatorConnector(ConnectorSettings(url=provider.url, timeout_seconds=seconds), clock=system_clock)
        try:
            yield connector
        finally:
            await connector.disconnect()


def calls(connector: SimulatorConnector) -> list[Callable[[], Awaitable[Evidence]]]:
    money = Money(1000, "USD")
    charge = charge_with("att_1")
    change = Modification(kind="capture", key="att_1", money=money, charge_reference="ch_1", created_at=0)
    return [
        partial(connector.charge, charge),
        partial(connector.capture, change),
        partial(connector.void, change),
        partial(connector.refund, change),
        partial(connector.look_up, charge),
    ]


def charge_with(key: str) -> ChargeRequest:
    return ChargeRequest(
        key=key,
        money=Money(1000, "USD"),
        payment_method="tok",
        capture=True,
        checkout_id="chk_1",
        merchant_id="m1",
        created_at=0,
    )


async def every_call(connector: SimulatorConnector) -> list[Evidence]:
    return [await call() for call in calls(connector)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (answer("200 OK", OPERATION), Succeeded("ch_1", 1000, kind="charge")),
        (answer("402 Payment Required", DECLINED), Declined("expired_card", "ch_1", "charge")),
        (answer("200 OK", DECLINED), Declined("expired_card", "ch_1", "charge")),
        (answer("200 OK", {**OPERATION, "kind": "refund"}), Succeeded("ch_1", 1000, kind="refund")),
        (answer("200 OK", {**OPERATION, "outcome": "authorized"}), Authorized("ch_1", 1000, kind="charge")),
    ],
)
async def test_a_plain_answer_is_proof(raw: bytes, expected: Evidence) -> None:
    async with connected(raw) as connector:
        assert await every_call(connector) == [expected] * 5


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="silence"),
        pytest.param(answer("500 Oops", OPERATION), id="500 with the body of a success"),
        pytest.param(answer("503 Busy", b""), id="503"),
        pytest.param(answer("401 Who", {}), id="401"),
        pytest.param(answer("429 Slower", {}), id="429"),
        pytest.param(answer("302 Elsewhere", OPERATION), id="a redirect"),
        pytest.param(answer("201 Created", OPERATION), id="a status that was not agreed"),
        pytest.param(answer("200 OK", b"<html>"), id="no JSON"),
        pytest.param(answer("200 OK", b"\xff\xfe"), id="no UTF-8"),
        pytest.param(answer("200 OK", []), id="another shape"),
        pytest.param(answer("200 OK", {**OPERATION, "outcome": "maybe"}), id="an outcome that nobody knows"),
        pytest.param(answer("200 OK", {**OPERATION, "key": "att_2"}), id="about another key"),
        pytest.param(answer("402 Payment Required", OPERATION), id="a contradiction"),
        pytest.param(answer("402 Payment Required", {"error": "declined"}), id="a decline of nothing"),
        pytest.param(answer("200 OK", json.dumps(OPERATION).encode(), length=9999), id="broken off"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="broken off in the head"),
        pytest.param(b"\x00\x01\x02 nonsense\r\n\r\n", id="no HTTP"),
    ],
)
async def test_whatever_else_comes_proves_nothing(raw: bytes) -> None:
    async with connected(raw) as connector:
        assert {type(one) for one in await every_call(connector)} == {Unknown}


async def test_a_call_that_is_refused_had_no_effect() -> None:
    async with connected(answer("400 Bad", {})) as connector:
        assert await every_call(connector) == [NotDone("the provider refused the call")] * 5


async def test_an_error_that_is_stored_for_the_key_is_told_as_such() -> None:
    stored = b"HTTP/1.1 500 Oops\r\nconnection: close\r\nidempotent-replayed: true\r\ncontent-length: 0\r\n\r\n"
    async with connected(stored) as connector:
        assert await every_call(connector) == [Unknown("the provider answered 500", replayed=True)] * 5


async def test_not_found_says_something_for_a_look_up_only() -> None:
    async with connected(answer("404 Not Found", {})) as connector:
        assert [type(one) for one in await every_call(connector)] == [*[Unknown] * 4, NotFound]


async def test_where_nobody_listens_a_call_had_no_effect_and_may_succeed_later() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    gone = SimulatorConnector(ConnectorSettings(url=nobody, timeout_seconds=0.5), clock=system_clock)
    for evidence in await every_call(gone):
        assert isinstance(evidence, NotDone)
        assert evidence.retryable
    await gone.disconnect()


async def test_a_call_sends_its_key_once_however_the_connection_breaks() -> None:
    broken = [Part(closing=True), Part(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", closing=True)]
    for part in broken:
        # Each call finds the connection of the one before kept, and breaks it.
        async with raw_server(*[OK, part] * 5, OK) as provider:
            connector = SimulatorConnector(ConnectorSettings(url=provider.url, timeout_seconds=90), clock=system_clock)
            evidence = []
            for call in calls(connector):
                await connector.look_up(charge_with("another"))
                evidence.append(await call())
            await connector.disconnect()
            assert {type(one) for one in evidence} == {Unknown}
            assert [b"att_1" in request for request in provider.requests] == [False, True] * 5
