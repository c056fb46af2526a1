"""What errors, broken connections and strange answers prove: nothing, unless Mollie says that nothing was done."""

import json
import re
from collections.abc import Mapping
from typing import Final

import pytest

from paidonce.providers.base import ChargeRequest, Modification, Provider
from paidonce.providers.evidence import Evidence, NotDone, NotFound, OperationKind, Unknown
from paidonce.proving.doubles.mollie.server import API_KEY
from paidonce.proving.processes import free_port
from tests.support.doubles import charge_request, modification
from tests.support.mollie import CAPTURE, PAYMENT, REFUND, connected
from tests.support.raw_server import Part, answer, raw_server

CHARGE: Final = charge_request("att_1")
PAID: Final = charge_request("att_1", session_reference="tr_1234")
KINDS: Final[tuple[OperationKind, ...]] = ("capture", "void", "refund")
CHANGES: Final = [modification(kind, "att_1", "tr_1234") for kind in KINDS]
LOOK_UPS: Final[list[ChargeRequest | Modification]] = [PAID, *CHANGES]


def error(status: int, *headers: str, **fields: object) -> bytes:
    body = {"status": status, "title": "Wrong", "detail": "Something is wrong.", "_links": {}, **fields}
    return answer(json.dumps(body).encode(), f"{status} Status", *headers)


def found(about: Mapping[str, object], status: str = "200 OK") -> bytes:
    return answer(json.dumps(about).encode(), status)


EMPTY: Final = found({"count": 0, "_embedded": {"captures": [], "refunds": []}, "_links": {"next": None}})


async def change(mollie: Provider, number: int) -> Evidence:
    return await (mollie.capture, mollie.void, mollie.refund)[number](CHANGES[number])


async def told(raw: bytes, *then: bytes) -> list[Evidence]:
    """Return what the connector makes of an answer to the opening of a payment, and to each change of it."""
    evidence = []
    script = [Part(one) for one in (raw, *then)]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        evidence.append(await mollie.open(CHARGE))
    for number in range(len(CHANGES)):
        async with raw_server(*script) as server, connected(server.url) as mollie:
            evidence.append(await change(mollie, number))
    return evidence


async def looked_up(raw: bytes) -> list[Evidence]:
    evidence = []
    for request in LOOK_UPS:
        async with raw_server(Part(raw)) as server, connected(server.url) as mollie:
            evidence.append(await mollie.look_up(request))
    return evidence


@pytest.mark.parametrize(
    ("raw", "code", "retryable"),
    [
        (error(400), "provider_refused", False),
        (error(401), "provider_refused", False),
        (error(403), "provider_refused", False),
        (error(404), "provider_refused", False),
        (error(410), "provider_refused", False),
        (error(429), "provider_refused", True),
    ],
)
async def test_a_request_that_mollie_refused_was_not_done(raw: bytes, code: str, *, retryable: bool) -> None:
    for evidence in await told(raw):
        assert isinstance(evidence, NotDone)
        assert (evidence.code, evidence.retryable) == (code, retryable)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("amount", "amount_not_supported"),
        ("amount.currency", "currency_not_supported"),
        ("method", "provider_refused"),
        ("webhookUrl", "provider_refused"),
    ],
)
async def test_a_refusal_says_what_mollie_cannot_take(field: str, code: str) -> None:
    opened, capture, void, refund = await told(error(422, field=field), EMPTY)
    for evidence in (opened, capture, refund):
        assert isinstance(evidence, NotDone)
        assert (evidence.code, evidence.retryable) == (code, False)
    assert isinstance(void, Unknown), "whether the payment was released is in the answer to the look-up"


@pytest.mark.parametrize(
    "raw",
    [
        error(409),
        error(500),
        error(502),
        error(503),
        answer(b"<html>Bad gateway</html>", "502 Bad Gateway"),
        answer(b"<html>Bad request</html>", "400 Bad Request"),
        answer(b"<html>Forbidden</html>", "403 Forbidden"),
        answer(b'{"status": 404, "title": "Not Found"}', "422 Unprocessable"),
        answer(b'{"error": "no such page"}', "404 Not Found"),
        answer(b"", "429 Too Many Requests"),
        answer(b"", "302 Found", "location: /elsewhere"),
        answer(b"", "301 Moved", "location: https://elsewhere.example/"),
        answer(b"<html>Welcome</html>", "201 Created"),
        answer(b"", "204 No Content"),
        answer(b"[" * 100_000, "201 Created"),
        answer(b'{"id": "tr_1\xff"}', "201 Created"),
        error(200),
        error(201),
        found({"resource": "payment", "id": "tr_1234"}),
        found({**PAYMENT, "resource": "order"}),
        found({**PAYMENT, "metadata": {"paidonce_key": "att_2"}}, "201 Created"),
        found({**PAYMENT, "metadata": None}, "201 Created"),
        found({**PAYMENT, "metadata": '{"paidonce_key":"att_1"}'}, "201 Created"),
        found({**REFUND, "paymentId": "tr_9999"}, "201 Created"),
        found({**CAPTURE, "paymentId": "tr_9999"}, "201 Created"),
        found({**PAYMENT, "status": "a_new_status"}, "201 Created"),
        found({**REFUND, "status": "a_new_status"}, "201 Created"),
        found({**PAYMENT, "status": "open"}, "201 Created"),
        found({**PAYMENT, "amount": {"currency": "USD", "value": "ten"}}, "201 Created"),
    ],
)
async def test_what_is_no_proof_is_unknown(raw: bytes) -> None:
    evidence = await told(raw, error(500))
    assert {type(one) for one in evidence} == {Unknown}


@pytest.mark.parametrize("status", [400, 401, 403, 409, 410, 422, 429, 500, 503])
async def test_a_look_up_that_is_refused_proves_nothing(status: int) -> None:
    assert {type(one) for one in await looked_up(error(status))} == {Unknown}


async def test_what_mollie_does_not_know_is_not_found() -> None:
    assert set(await looked_up(error(404))) == {NotFound()}


async def test_a_page_of_somebody_else_that_is_not_there_proves_nothing() -> None:
    assert {type(one) for one in await looked_up(answer(b"<html>", "404 Not Found"))} == {Unknown}


async def test_where_nobody_listens_nothing_is_done_and_a_look_up_is_unknown() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as mollie:
        for evidence in [await mollie.open(CHARGE), *[await change(mollie, number) for number in range(len(CHANGES))]]:
            assert isinstance(evidence, NotDone)
            assert evidence.retryable
        for request in LOOK_UPS:
            assert isinstance(await mollie.look_up(request), Unknown)


async def test_a_broken_connection_is_unknown_and_the_request_is_sent_once() -> None:
    async with raw_server(Part(closing=True)) as server, connected(server.url) as mollie:
        assert isinstance(await mollie.open(CHARGE), Unknown)
        assert len(server.requests) == 1
        for number in range(len(CHANGES)):
            assert isinstance(await change(mollie, number), Unknown)
        assert len(server.requests) == 1 + len(CHANGES)


async def test_a_message_of_mollies_is_kept_without_secrets() -> None:
    opened, *_ = await told(error(401, detail="Bad key test_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM given"))
    assert isinstance(opened, NotDone)
    assert "Bad key" in opened.reason
    assert "dHar4XY7" not in opened.reason


async def problems(mollie: Provider) -> str:
    return " ".join(await mollie.check())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (error(401), "it is wrong, or it was reset"),
        (error(403), "lacks a permission"),
        (error(429), "limits the rate"),
        (error(500), "it answered 500"),
        (answer(b"<html>", "200 OK"), "Something other than Mollie"),
        (answer(b"<html>", "503 Busy"), "Something other than Mollie"),
        (found({"resource": "profile", "mode": "live"}), "live mode, and this is a test account"),
        (found({"resource": "profile", "mode": "test", "status": "blocked"}), "blocked"),
    ],
)
async def test_a_check_says_what_is_wrong(raw: bytes, says: str) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url) as mollie:
        assert says in await problems(mollie)
        assert server.requests[0].startswith(b"GET /v2/profiles/me ")


async def test_a_check_of_credentials_that_work_finds_nothing() -> None:
    right = Part(found({"resource": "profile", "mode": "test", "status": "verified"}))
    async with raw_server(right) as server, connected(server.url) as mollie:
        assert await mollie.check() == []
    async with raw_server(right) as server, connected(server.url, webhook_secret="", webhook_url="") as mollie:
        assert "no address for webhooks" in await problems(mollie)
        assert not mollie.capabilities.webhooks
    async with connected(f"http://127.0.0.1:{free_port()}") as mollie:
        assert "could not be reached" in await problems(mollie)


async def test_a_live_key_is_never_sent_for_a_test_account() -> None:
    key = "live_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM"
    async with raw_server() as server, connected(server.url, api_key=key) as mollie:
        assert "live key" in await problems(mollie)
        assert server.requests == []


async def test_every_call_has_the_api_key_and_only_calls_with_an_effect_have_a_uuid_as_their_key() -> None:
    script = [Part(found(PAYMENT | {"status": "open"})), Part(found(PAYMENT))]
    async with raw_server(*script) as server, connected(server.url) as mollie:
        await mollie.open(CHARGE)
        await mollie.look_up(PAID)
        await mollie.refund(CHANGES[2])
        post, get, refund = (request.decode() for request in server.requests[:3])
    keys = [re.search(r"Idempotency-Key: ([0-9a-f-]{14}4[0-9a-f-]{21})\r\n", one) for one in (post, refund)]
    assert all(keys)
    assert len({one[1] for one in keys if one}) == 2
    assert "Idempotency-Key" not in get
    for request in (post, get, refund):
        assert f"Authorization: Bearer {API_KEY}\r\n" in request
    assert "Content-Type: application/json\r\n" in post
