"""What errors, broken connections and strange answers prove: nothing, unless PayPal says that nothing was done."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from paidonce.providers.evidence import Declined, Evidence, NotDone, NotFound, RequiresAction, Succeeded, Unknown
from paidonce.proving.processes import free_port
from tests.support.doubles import NOW, SettableClock, charge_request, modification, page_of
from tests.support.paypal import connected
from tests.support.raw_server import Part, answer, raw_server

CHARGE: Final = charge_request("att_1", session_reference="O1")
CAPTURE: Final = modification("capture", "att_1", "A1")
VOID: Final = modification("void", "att_1", "A1")
PAYMENT: Final[dict[str, Any]] = {
    "id": "A1",
    "status": "COMPLETED",
    "amount": {"currency_code": "USD", "value": "10.00"},
    "custom_id": "att_1",
}
ORDER: Final[dict[str, Any]] = {
    "id": "O1",
    "status": "COMPLETED",
    "intent": "CAPTURE",
    "purchase_units": [{"custom_id": "att_1", "payments": {"captures": [PAYMENT]}}],
}


def found(about: Mapping[str, object] | list[object], status: str = "200 OK") -> bytes:
    return answer(json.dumps(about).encode(), status)


def error(status: int, name: str = "UNPROCESSABLE_ENTITY", issue: str = "", description: str = "") -> bytes:
    details = [{"issue": issue, "description": description}] if issue else []
    body = {"name": name, "message": "Something is wrong.", "debug_id": "f1", "details": details}
    return answer(json.dumps(body).encode(), f"{status} Status")


TOKEN: Final = Part(found({"access_token": "T1", "token_type": "Bearer", "expires_in": 32400}))


async def told(raw: bytes, *, look_up: bool = False) -> list[Evidence]:
    """Return what the connector makes of an answer to a charge, a capture and a void."""
    async with raw_server(TOKEN, Part(raw)) as server, connected(server.url) as paypal:
        if look_up:
            return [await paypal.look_up(CHARGE), await paypal.look_up(CAPTURE), await paypal.look_up(VOID)]
        return [await paypal.charge(CHARGE), await paypal.capture(CAPTURE), await paypal.void(VOID)]


@pytest.mark.parametrize(
    ("raw", "code", "retryable"),
    [
        (error(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX"), "provider_refused", False),
        (error(400, "INVALID_REQUEST"), "provider_refused", False),
        (error(401, "AUTHENTICATION_FAILURE"), "provider_refused", False),
        (found({"error": "invalid_token", "error_description": "no"}, "401 Status"), "provider_refused", False),
        (error(403, "NOT_AUTHORIZED", "PERMISSION_DENIED"), "provider_refused", False),
        (error(415, "UNSUPPORTED_MEDIA_TYPE"), "provider_refused", False),
        (error(422, issue="INVALID_CURRENCY_CODE"), "currency_not_supported", False),
        (error(422, issue="DECIMAL_PRECISION"), "amount_not_supported", False),
        (error(422, issue="PAYEE_ACCOUNT_RESTRICTED"), "provider_refused", False),
        (error(422, issue="AN_ISSUE_OF_NEXT_YEAR"), "provider_refused", False),
        (error(429, "RATE_LIMIT_REACHED"), "provider_refused", True),
    ],
)
async def test_a_request_that_paypal_refused_was_not_done(raw: bytes, code: str, *, retryable: bool) -> None:
    for evidence in await told(raw):
        assert isinstance(evidence, NotDone)
        assert (evidence.code, evidence.retryable) == (code, retryable)


@pytest.mark.parametrize(
    "raw",
    [
        error(409, "RESOURCE_CONFLICT", "PREVIOUS_REQUEST_IN_PROGRESS"),
        error(408, "REQUEST_TIMEOUT"),
        error(500, "INTERNAL_SERVER_ERROR"),
        error(503, "SERVICE_UNAVAILABLE"),
        answer(b"<html>Bad gateway</html>", "502 Bad Gateway"),
        answer(b"<html>Bad request</html>", "400 Bad Request"),
        answer(b"<html>Forbidden</html>", "403 Forbidden"),
        answer(b"{}", "400 Bad Request"),
        answer(b"", "429 Too Many Requests"),
        answer(b"", "302 Found", "location: /elsewhere"),
        answer(b"", "301 Moved", "location: https://elsewhere.example/"),
    ],
)
async def test_an_error_that_does_not_say_that_nothing_was_done_is_unknown(raw: bytes) -> None:
    assert {type(one) for one in await told(raw)} == {Unknown}


@pytest.mark.parametrize(
    "raw",
    [
        answer(b"<html>Welcome</html>"),
        answer(b""),
        answer(b"[" * 100_000),
        answer(b'{"id": "O1\xff"}'),
        error(200),
        found([]),
        found({"id": "O1"}),
        found(ORDER | {"id": "O2"}),
        found(ORDER | {"status": "A_NEW_STATUS", "purchase_units": []}),
        found(ORDER | {"purchase_units": []}),
        found(ORDER | {"purchase_units": [{"custom_id": "att_2", "payments": {"captures": [PAYMENT]}}]}),
        found(ORDER | {"purchase_units": [{"payments": {"captures": [PAYMENT | {"custom_id": "att_2"}]}}]}),
        found(ORDER | {"purchase_units": [{"payments": {"captures": [PAYMENT | {"status": "A_NEW_STATUS"}]}}]}),
        found(
            ORDER
            | {
                "purchase_units": [
                    {"payments": {"captures": [PAYMENT | {"amount": {"currency_code": "USD", "value": "?"}}]}}
                ]
            }
        ),
    ],
)
@pytest.mark.parametrize("look_up", [True, False])
async def test_an_answer_that_is_not_our_order_is_unknown(raw: bytes, *, look_up: bool) -> None:
    charge, *_ = await told(raw, look_up=look_up)
    assert isinstance(charge, Unknown)


@pytest.mark.parametrize("status", ["A_NEW_STATUS", "CAPTURED"])
async def test_a_payment_whose_status_says_too_little_is_unknown(status: str) -> None:
    _, capture, _ = await told(found(PAYMENT | {"status": status}))
    assert isinstance(capture, Unknown)
    assert isinstance((await told(found(PAYMENT | {"status": status}), look_up=True))[1], Unknown)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 422, 500])
async def test_a_look_up_that_is_refused_proves_nothing(status: int) -> None:
    raw = error(status, issue="INSTRUMENT_DECLINED")
    assert {type(one) for one in await told(raw, look_up=True)} == {Unknown}


async def test_what_paypal_does_not_know_is_not_found() -> None:
    async with (
        raw_server(TOKEN, Part(error(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))) as server,
        connected(server.url, clock=SettableClock()) as paypal,
    ):
        assert {await paypal.look_up(one) for one in (CHARGE, CAPTURE, VOID)} == {NotFound()}


async def test_a_refusal_by_the_processor_of_an_authorization_is_a_decline_with_both_codes() -> None:
    _, capture, _ = await told(error(422, issue="TRANSACTION_REFUSED"))
    assert isinstance(capture, Declined)
    assert (capture.code, capture.raw_code) == ("suspected_fraud", "TRANSACTION_REFUSED")


@pytest.mark.parametrize(("status", "kind"), [(400, NotDone), (409, Unknown), (500, Unknown)])
async def test_the_issue_of_a_decline_is_none_with_another_status(status: int, kind: type) -> None:
    assert {type(one) for one in await told(error(status, issue="INSTRUMENT_DECLINED"))} == {kind}


async def test_a_charge_that_was_refused_just_before_the_buyer_approved_may_be_sent_again() -> None:
    refused = Part(error(422, issue="ORDER_NOT_APPROVED"))
    approved = Part(found({"id": "O1", "status": "APPROVED", "intent": "CAPTURE", "purchase_units": []}))
    async with raw_server(TOKEN, refused, approved) as server, connected(server.url) as paypal:
        evidence = await paypal.charge(CHARGE)
    assert isinstance(evidence, NotDone)
    assert evidence.retryable


@pytest.mark.parametrize("status", ["DECLINED", "FAILED"])
async def test_a_declined_capture_tells_the_code_of_the_processor(status: str) -> None:
    declined = PAYMENT | {"status": status, "processor_response": {"response_code": "5120"}}
    raw = found(ORDER | {"purchase_units": [{"custom_id": "att_1", "payments": {"captures": [declined]}}]})
    charge, *_ = await told(raw)
    assert charge == Declined("insufficient_funds", "A1", "charge", "5120")


async def test_of_several_captures_the_one_that_moved_money_counts() -> None:
    captures = [PAYMENT | {"id": "C1", "status": "DECLINED"}, PAYMENT | {"id": "C2"}]
    charge, *_ = await told(found(ORDER | {"purchase_units": [{"payments": {"captures": captures}}]}))
    assert charge == Succeeded("C2", 1000, "USD", "charge")


async def test_a_buyer_is_sent_to_paypals_own_page_where_the_order_names_none() -> None:
    waiting = {"id": "O1", "status": "CREATED", "purchase_units": [{"custom_id": "att_1"}]}
    async with raw_server(TOKEN, Part(found(waiting))) as server, connected(server.url) as paypal:
        charge = await paypal.look_up(CHARGE)
    assert isinstance(charge, RequiresAction)
    assert page_of(charge.action) == f"{server.url}/checkoutnow?token=O1"


async def test_where_nobody_listens_nothing_is_done_and_a_look_up_is_unknown() -> None:
    async with connected(f"http://127.0.0.1:{free_port()}") as paypal:
        for evidence in (await paypal.charge(CHARGE), await paypal.void(VOID), await paypal.close(CHARGE)):
            assert isinstance(evidence, NotDone | Unknown)
            assert isinstance(evidence, Unknown) or evidence.retryable
        assert isinstance(await paypal.look_up(CHARGE), Unknown)
        assert "could not be reached" in " ".join(await paypal.check())


async def test_a_broken_connection_is_unknown_and_the_request_is_sent_once() -> None:
    async with raw_server(TOKEN, Part(closing=True)) as server, connected(server.url) as paypal:
        assert isinstance(await paypal.charge(CHARGE), Unknown)
        assert len(server.requests) == 2


async def test_a_call_with_a_new_token_that_is_refused_is_not_repeated() -> None:
    refused = Part(error(401, "AUTHENTICATION_FAILURE"))
    async with raw_server(TOKEN, refused) as server, connected(server.url) as paypal:
        assert isinstance(await paypal.charge(CHARGE), NotDone)
        assert len(server.requests) == 2


async def test_a_call_with_an_old_token_that_is_refused_is_repeated_once_with_a_new_one() -> None:
    refused = Part(error(401, "AUTHENTICATION_FAILURE"))
    async with (
        raw_server(TOKEN, Part(found(ORDER)), refused, TOKEN, refused) as server,
        connected(server.url) as paypal,
    ):
        assert isinstance(await paypal.charge(CHARGE), Succeeded)
        assert isinstance(await paypal.charge(CHARGE), NotDone)
        assert len(server.requests) == 5


async def test_every_post_has_its_request_id_and_wants_the_whole_object() -> None:
    async with raw_server(TOKEN, Part(found(ORDER))) as server, connected(server.url) as paypal:
        await paypal.charge(msgspec.structs.replace(CHARGE, call_number=7))
        await paypal.look_up(CHARGE)
        token, post, get = (request.decode() for request in server.requests)
    assert "Authorization: Basic " in token
    assert token.endswith("grant_type=client_credentials")
    assert "PayPal-Request-Id: att_1-charge-7\r\n" in post
    assert "Prefer: return=representation\r\n" in post
    assert "PayPal-Request-Id" not in get
    assert all("Authorization: Bearer T1\r\n" in request for request in (post, get))


async def test_a_message_of_paypals_is_kept_without_secrets() -> None:
    raw = error(403, "NOT_AUTHORIZED", "INVALID", "Wrong: Bearer A21AAFabcdefgh")
    _, capture, _ = await told(raw)
    assert isinstance(capture, NotDone)
    assert "403 INVALID: Wrong" in capture.reason
    assert "debug id f1" in capture.reason
    assert "abcdefgh" not in capture.reason


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (found({"error": "invalid_client"}, "401 Status"), "PayPal's sandbox does not accept"),
        (error(429), "limits the rate"),
        (error(500), "it answered 500"),
        (answer(b"<html>", "200 OK"), "Something other than PayPal"),
        (found({"access_token": 7}), "Something other than PayPal"),
    ],
)
async def test_a_check_says_what_is_wrong(raw: bytes, says: str) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url) as paypal:
        assert says in " ".join(await paypal.check())
        assert server.requests[0].startswith(b"POST /v1/oauth2/token ")


@pytest.mark.parametrize("raw", [answer(b"<html>"), answer(b"{}"), error(200)])
async def test_a_token_that_cannot_be_read_means_that_nothing_was_done(raw: bytes) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url, clock=SettableClock(NOW)) as paypal:
        found = await paypal.charge(CHARGE)
        assert isinstance(found, NotDone)
        assert found.retryable
        assert len(server.requests) == 1
