"""What errors, broken connections and strange answers prove: nothing, unless Stripe says that nothing was done."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from paidonce.providers.base import Provider
from paidonce.providers.evidence import Declined, Evidence, NotDone, NotFound, Unknown
from paidonce.proving.processes import free_port
from tests.support.doubles import charge_request, modification
from tests.support.raw_server import Part, answer, raw_server
from tests.support.stripe import connected

REPLAYED: Final = "Idempotent-Replayed: true"
CHARGE: Final = charge_request("att_1", "pm_card_visa", session_reference="pi_1")
REFUND: Final = modification("refund", "att_1", "pi_1")
INTENT: Final[dict[str, Any]] = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 1000,
    "amount_received": 1000,
    "currency": "usd",
    "metadata": {"paidonce_key": "att_1"},
}
REFUNDED: Final[dict[str, Any]] = {
    "id": "re_1",
    "object": "refund",
    "status": "succeeded",
    "amount": 1000,
    "currency": "usd",
    "payment_intent": "pi_1",
    "metadata": {"paidonce_key": "att_1"},
}


def error(status: int, kind: str = "invalid_request_error", *headers: str, **fields: str) -> bytes:
    body = {"error": {"type": kind, "message": "Something is wrong.", **fields}}
    return answer(json.dumps(body).encode(), f"{status} Status", *headers)


def found(about: Mapping[str, object], *, status: str = "200 OK") -> bytes:
    return answer(json.dumps(about).encode(), status)


async def told(*answers: bytes, look_up: bool = False) -> list[Evidence]:
    """Return what the connector makes of each answer to a charge, a void and a refund."""
    evidence = []
    for one in answers:
        async with raw_server(Part(one)) as server, connected(server.url) as stripe:
            if look_up:
                evidence += [await stripe.look_up(CHARGE), await stripe.look_up(REFUND)]
            else:
                void = modification("void", "att_1", "pi_1")
                evidence += [await stripe.charge(CHARGE), await stripe.void(void), await stripe.refund(REFUND)]
    return evidence


@pytest.mark.parametrize(
    ("raw", "code", "retryable"),
    [
        (error(400, code="parameter_missing"), "provider_refused", False),
        (error(400, "idempotency_error"), "provider_refused", False),
        (error(400, param="currency"), "currency_not_supported", False),
        (error(401, code="api_key_expired"), "provider_refused", False),
        (error(403, code="more_permissions_required"), "provider_refused", False),
        (error(404, code="resource_missing"), "provider_refused", False),
        (error(429, code="rate_limit"), "try_again_later", True),
        (error(429, code="lock_timeout"), "try_again_later", True),
    ],
)
async def test_a_request_that_stripe_refused_was_not_done(raw: bytes, code: str, *, retryable: bool) -> None:
    for evidence in await told(raw):
        assert isinstance(evidence, NotDone)
        assert (evidence.code, evidence.retryable) == (code, retryable)


@pytest.mark.parametrize(
    "raw",
    [
        error(409, code="idempotency_key_in_use"),
        error(424, "api_error"),
        error(500, "api_error"),
        error(503, "api_error"),
        answer(b"<html>Bad gateway</html>", "502 Bad Gateway"),
        answer(b"<html>Bad request</html>", "400 Bad Request"),
        answer(b"<html>Forbidden</html>", "403 Forbidden"),
        answer(b"", "429 Too Many Requests"),
        answer(b"", "302 Found", "location: /elsewhere"),
        answer(b"", "301 Moved", "location: https://elsewhere.example/"),
        answer(b"<html>Welcome</html>"),
        answer(b""),
        answer(b"[" * 100_000),
        answer(b'{"id": "pi_1\xff"}'),
        error(200),
        found({"object": "list", "data": []}),
        found({**INTENT, "object": "charge"}),
        found({**REFUNDED, "metadata": {"paidonce_key": "att_2"}, "payment_intent": "pi_2", "id": "pi_2"}),
        found({**INTENT, "id": "pi_2"}),
        found({**INTENT, "status": "a_new_status"}),
        found({**REFUNDED, "status": "a_new_status"}),
        error(402),
    ],
)
async def test_what_is_no_proof_is_unknown(raw: bytes) -> None:
    assert {type(one) for one in await told(raw)} == {Unknown}


async def test_a_body_about_another_key_is_unknown() -> None:
    other = {"metadata": {"paidonce_key": "att_2"}}
    charge, _, _ = await told(found(INTENT | other))
    _, _, refund = await told(found(REFUNDED | other))
    assert [type(charge), type(refund)] == [Unknown, Unknown]


@pytest.mark.parametrize(("raw", "replayed"), [(error(500, "api_error", REPLAYED), True), (error(500), False)])
async def test_a_stored_500_is_told_from_a_new_one(raw: bytes, *, replayed: bool) -> None:
    for evidence in await told(raw):
        assert isinstance(evidence, Unknown)
        assert evidence.replayed is replayed


async def test_a_402_is_a_decline_with_both_codes() -> None:
    raw = error(402, "card_error", code="card_declined", decline_code="insufficient_funds")
    for evidence in await told(raw, error(402, "card_error", code="incorrect_cvc")):
        assert isinstance(evidence, Declined)
        assert (evidence.code, evidence.raw_code) in {
            ("insufficient_funds", "insufficient_funds"),
            ("incorrect_details", "incorrect_cvc"),
        }


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 500])
async def test_a_look_up_that_is_refused_proves_nothing(status: int) -> None:
    assert {type(one) for one in await told(error(status, code="any"), look_up=True)} == {Unknown}


async def test_what_stripe_does_not_know_is_not_found() -> None:
    assert set(await told(error(404, code="resource_missing"), look_up=True)) == {NotFound()}


async def test_where_nobody_listens_nothing_is_done_and_a_look_up_is_unknown() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as stripe:
        for evidence in (await stripe.charge(CHARGE), await stripe.refund(REFUND)):
            assert isinstance(evidence, NotDone)
            assert evidence.retryable
        assert isinstance(await stripe.look_up(CHARGE), Unknown)


async def test_a_broken_connection_is_unknown_and_the_request_is_sent_once() -> None:
    async with raw_server(Part(closing=True)) as server, connected(server.url) as stripe:
        assert isinstance(await stripe.charge(CHARGE), Unknown)
        assert len(server.requests) == 1


async def test_every_post_has_the_key_the_pinned_version_and_the_secret_key() -> None:
    async with raw_server(Part(found(INTENT))) as server, connected(server.url) as stripe:
        await stripe.charge(msgspec.structs.replace(CHARGE, call_number=7))
        await stripe.look_up(CHARGE)
        post, get = (request.decode() for request in server.requests)
    assert "Idempotency-Key: att_1-charge-7\r\n" in post
    assert "Content-Type: application/x-www-form-urlencoded\r\n" in post
    assert "Idempotency-Key" not in get
    for request in (post, get):
        assert "Authorization: Bearer sk_test_double0000\r\n" in request
        assert "Stripe-Version: 2026-10-28.endive\r\n" in request


async def test_a_message_of_stripes_is_kept_without_secrets() -> None:
    raw = error(401, message="Invalid API Key provided: sk_test_abcdefgh1234")
    charge, _, _ = await told(raw)
    assert isinstance(charge, NotDone)
    assert "Invalid API Key provided" in charge.reason
    assert "abcdefgh" not in charge.reason


async def problems(stripe: Provider) -> str:
    return " ".join(await stripe.check())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (error(401, code="api_key_expired"), "it has expired"),
        (error(401), "it is wrong, or it was revoked"),
        (error(403), "lacks a permission"),
        (error(429), "limits the rate"),
        (error(500, "api_error"), "it answered 500"),
        (answer(b"<html>", "200 OK"), "Something other than Stripe"),
        (answer(b"<html>", "503 Busy"), "Something other than Stripe"),
        (found({"object": "balance", "livemode": True}), "live mode, and this is a test account"),
    ],
)
async def test_a_check_says_what_is_wrong(raw: bytes, says: str) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url) as stripe:
        assert says in await problems(stripe)
        assert server.requests[0].startswith(b"GET /v1/balance ")


async def test_a_check_of_credentials_that_work_finds_nothing() -> None:
    right = Part(found({"object": "balance", "livemode": False}))
    async with raw_server(right) as server, connected(server.url) as stripe:
        assert await stripe.check() == []
    async with raw_server(right) as server, connected(server.url, webhook_secret="") as stripe:
        assert "no webhook secret" in await problems(stripe)
    async with connected(f"http://127.0.0.1:{free_port()}") as stripe:
        assert "could not be reached" in await problems(stripe)


async def test_a_live_key_is_never_sent_for_a_test_account() -> None:
    async with raw_server() as server, connected(server.url, secret_key="sk_live_abcdefgh") as stripe:
        assert "live key" in await problems(stripe)
        assert server.requests == []
