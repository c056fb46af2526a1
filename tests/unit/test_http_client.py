"""The HTTP client with a raw server: what it sends, what it accepts as a response, and its limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from paidonce import http_client
from paidonce.http_client import Answer, AnswerLost, HttpClient, NoAnswer, NotSent
from tests.support.raw_server import OK, SILENCE, Part, RawServer, answer, raw_server

CHUNKED = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@asynccontextmanager
async def serving(
    *script: Part, timeout_seconds: float = 90, connections_max: int = 8, answer_bytes_max: int = 1000
) -> AsyncIterator[tuple[RawServer, HttpClient]]:
    async with raw_server(*script) as server:
        client = HttpClient(
            server.url,
            timeout_seconds=timeout_seconds,
            connections_max=connections_max,
            answer_bytes_max=answer_bytes_max,
        )
        try:
            yield server, client
        finally:
            await client.close()


def content(one: Answer) -> tuple[int, bytes]:
    return one.status, one.body


def fields_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


async def test_a_body_is_sent_as_json_and_bytes_as_they_are() -> None:
    async with serving() as (server, client):
        await client.request("POST", "/charges/a%2Fb?x=%7E", {"amount": 1000}, headers={"Idempotency-Key": "att_1"})
        await client.request("POST", "/", b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})
        await client.request("POST", "/")
    first, second, third = server.requests
    assert first.startswith(b"POST /charges/a%2Fb?x=%7E HTTP/1.1\r\n")
    assert json.loads(first.partition(b"\r\n\r\n")[2]) == {"amount": 1000}
    assert fields_of(first)["content-type"] == "application/json"
    assert fields_of(first)["idempotency-key"] == "att_1"
    assert second.endswith(b"\r\n\r\na=b")
    assert fields_of(second)["content-type"] == "application/x-www-form-urlencoded"
    assert fields_of(third)["content-length"] == "0"
    assert "content-type" not in fields_of(third)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (CHUNKED, (201, b"{}")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"{}"), (200, b"{}")),
        (answer(b"", "503 Busy"), (503, b"")),
        (answer(b"\x1f\x8b", "200 OK", "content-encoding: gzip"), (200, b"\x1f\x8b")),
    ],
)
async def test_an_answer_is_its_status_and_the_bytes_of_its_body(raw: bytes, expected: tuple[int, bytes]) -> None:
    async with serving(Part(raw)) as (_, client):
        assert content(await client.request("GET", "/")) == expected


async def test_an_answer_has_its_headers_whatever_the_case_of_their_names() -> None:
    async with serving(Part(answer(b"", "200 OK", "Idempotent-Replayed: true"))) as (_, client):
        headers = (await client.request("GET", "/")).headers
    assert (headers["idempotent-replayed"], headers.get("IDEMPOTENT-REPLAYED")) == ("true", "true")


async def test_requests_one_after_the_other_share_a_connection_and_those_at_once_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "KEEP_ALIVE_SECONDS", 3600.0)  # However slow the machine is.
    async with serving(OK, OK, OK, SILENCE, SILENCE, OK) as (server, client):
        for _ in range(3):
            await client.request("POST", "/", {})
        assert server.connections == 1
        unanswered = [asyncio.ensure_future(client.request("POST", "/", {})) for _ in range(2)]
        await server.wait_for_requests(5)
        await client.request("POST", "/", {})
        assert server.connections == 3
        for one in unanswered:
            one.cancel()


async def test_no_more_connections_are_made_than_the_client_may_have() -> None:
    async with serving(connections_max=2) as (server, client):
        answers = await asyncio.gather(*(client.request("POST", "/", {}) for _ in range(20)))
        assert [content(one) for one in answers] == [(200, b"{}")] * 20
        assert server.connections <= 2


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving(Part(answer(b"", "307 Elsewhere", "location: /other"))) as (server, client):
        assert (await client.request("POST", "/", {})).status == 307
        assert len(server.requests) == 1


async def test_cookies_and_the_environment_change_no_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with raw_server(Part(answer(b"", "200 OK", "set-cookie: a=b"))) as server:
        client = HttpClient(f"http://localhost:{server.port}", timeout_seconds=90)
        for _ in range(2):
            await client.request("GET", "/")
        await client.close()
    assert {"cookie", "authorization", "accept-encoding"} & set(fields_of(server.requests[1])) == set()


async def test_an_answer_that_is_too_large_is_refused_and_not_read_to_its_end() -> None:
    fits, endless = Part(answer(b"x" * 1000)), Part(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + b"x" * 1001)
    async with serving(fits, endless, OK) as (server, client):
        assert len((await client.request("GET", "/")).body) == 1000
        with pytest.raises(AnswerLost, match="more than 1000 bytes"):
            await client.request("GET", "/")
        assert content(await client.request("GET", "/")) == (200, b"{}")
        assert server.connections == 2


async def test_the_time_is_limited_as_a_whole_whatever_trickles_in() -> None:
    async def trickle(server: RawServer) -> None:
        await server.wait_for_requests(1)
        with suppress(OSError):
            while True:
                await server.push(b"1\r\nx\r\n")

    head = Part(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    async with serving(head, timeout_seconds=0.2, answer_bytes_max=1_000_000_000) as (server, client):
        trickling = asyncio.ensure_future(trickle(server))
        with pytest.raises(NoAnswer, match=r"no complete answer within 0\.2 s"):
            await client.request("GET", "/")
        trickling.cancel()


async def test_an_answer_that_was_not_asked_for_is_never_taken_for_another_requests() -> None:
    late, second = answer(b"late", "408 Late"), Part(answer(b'{"first"}') + answer(b'{"of nobody"}'))
    async with serving(OK, second, Part(answer(b'{"mine"}'))) as (server, client):
        await client.request("POST", "/", {})
        await server.push(late)
        with pytest.raises(NotSent):
            await client.request("POST", "/", {})
        assert (await client.request("POST", "/", {})).body == b'{"first"}'
        assert (await client.request("POST", "/", {})).body == b'{"mine"}'
        assert len(server.requests) == 3


def test_it_works_in_the_event_loop_that_the_service_runs_in() -> None:
    async def ask() -> list[Answer]:
        async with serving(Part(CHUNKED), OK) as (_, client):
            return [await client.request("POST", "/", {}), await client.request("GET", "/")]

    assert [content(one) for one in uvloop.run(ask())] == [(201, b"{}"), (200, b"{}")]
