"""What Adyen's objects prove, and the requests that bring them."""

import json
from typing import Any, Final

import pytest

from paidonce.providers.base import HOSTED_PAGE, Modification
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    Declined,
    Evidence,
    NotDone,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.support.adyen import CREDENTIALS, connected
from tests.support.doubles import NOW, charge_request, modification
from tests.support.raw_server import Part, answer, raw_server

TOKEN: Final = "spm_M5N7TQ4TG5PFWR50_shopper-1"
URL: Final = "https://test.adyen.link/PL1"
LINK: Final[dict[str, object]] = {
    "id": "PL1",
    "status": "active",
    "reference": "att_1.link-charge",
    "url": URL,
    "amount": {},
}
RECEIPT: Final[dict[str, str]] = {"merchantAccount": "ShopECOM", "pspReference": "PSP2", "paymentPspReference": "PSP1"}
HOUR_MS: Final = 60 * 60 * 1000


def found(about: object, status: str = "200 OK") -> Part:
    return Part(answer(json.dumps(about).encode(), status))


def sent(raw: bytes) -> tuple[str, dict[str, str], Any]:
    """Read a request: its first line, its headers, and its JSON."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    pairs = (header.partition(": ") for header in headers)
    return line, {name.lower(): value for name, _, value in pairs}, json.loads(body) if body else None


async def paid(payment: dict[str, object], *, capture: bool = True) -> Evidence:
    request = charge_request("att_1", TOKEN, capture=capture, return_url=None)
    async with raw_server(found({"pspReference": "PSP1", **payment})) as server, connected(server.url) as adyen:
        return await adyen.charge(request)


@pytest.mark.parametrize(
    ("payment", "evidence"),
    [
        ({"resultCode": "Authorised"}, Succeeded("PSP1", None, None, "charge")),
        (
            {"resultCode": "Authorised", "amount": {"value": 1000, "currency": "USD"}},
            Succeeded("PSP1", 1000, "USD", "charge"),
        ),
        (
            {"resultCode": "PartiallyAuthorised", "amount": {"value": 600, "currency": "USD"}},
            Succeeded("PSP1", 600, "USD", "charge"),
        ),
        (
            {"resultCode": "Refused", "refusalReason": "Expired Card", "refusalReasonCode": "6"},
            Declined("expired_card", "PSP1", "charge", "6"),
        ),
        (
            {"resultCode": "Error", "refusalReason": "Acquirer Error", "refusalReasonCode": "4"},
            Declined("try_again_later", "PSP1", "charge", "4"),
        ),
        ({"resultCode": "Cancelled"}, Declined("declined", "PSP1", "charge", "Cancelled")),
        ({"resultCode": "Received"}, Accepted("PSP1")),
        ({"resultCode": "Pending", "pspReference": None}, Accepted(None)),
    ],
)
async def test_a_result_proves_what_adyen_says_of_it(payment: dict[str, object], evidence: Evidence) -> None:
    assert await paid(payment) == evidence


async def test_a_payment_without_capture_is_authorized() -> None:
    payment: dict[str, object] = {"resultCode": "Authorised", "amount": {"value": 1000, "currency": "USD"}}
    assert await paid(payment, capture=False) == Authorized("PSP1", 1000, "USD", "charge")


@pytest.mark.parametrize("result", ["RedirectShopper", "IdentifyShopper", "ChallengeShopper", "PresentToShopper"])
async def test_a_payment_with_a_token_that_needs_a_buyer_is_declined_because_nobody_is_sent_there(result: str) -> None:
    action = {"type": "redirect", "method": "GET", "url": "https://bank.example/3ds"}
    evidence = await paid({"resultCode": result, "action": action})
    assert evidence == Declined("authentication_failed", "PSP1", "charge", result)


@pytest.mark.parametrize(
    "payment",
    [
        {"resultCode": "Authorised", "pspReference": None},
        {"resultCode": "AuthenticationFinished"},
        {"resultCode": "Authorised", "merchantReference": "att_2.charge"},
        {"resultCode": "Authorised", "amount": {"value": 1250, "currency": "ISK"}},
    ],
)
async def test_a_result_that_is_unclear_or_of_another_payment_proves_nothing(payment: dict[str, object]) -> None:
    assert isinstance(await paid(payment), Unknown)


@pytest.mark.parametrize(
    ("link", "evidence"),
    [
        ({}, RequiresAction("PL1", Redirect(URL))),
        (
            {"expiresAt": "2026-09-21T17:33:20+02:00"},
            RequiresAction("PL1", Redirect(URL, 1_790_004_800_000)),
        ),
        ({"status": "completed"}, Accepted("PL1")),
        ({"status": "paid"}, Accepted("PL1")),
        ({"status": "paymentPending"}, Accepted("PL1")),
        ({"status": "expired"}, Declined("session_expired", "PL1", "charge", "expired")),
    ],
)
async def test_a_link_proves_its_payment_only_by_webhook_and_its_end_by_its_status(
    link: dict[str, object], evidence: Evidence
) -> None:
    request = charge_request("att_1", HOSTED_PAGE, session_reference="PL1")
    async with raw_server(found(LINK | link)) as server, connected(server.url) as adyen:
        assert [await adyen.look_up(request), await adyen.charge(request)] == [evidence] * 2
    assert {sent(raw)[0] for raw in server.requests} == {"GET /v72/paymentLinks/PL1 HTTP/1.1"}


@pytest.mark.parametrize("other", [{"id": "PL2"}, {"reference": "att_2.link-charge"}, {"reference": "att_1.charge"}])
async def test_another_link_than_was_asked_for_proves_nothing(other: dict[str, object]) -> None:
    request = charge_request("att_1", HOSTED_PAGE, session_reference="PL1")
    async with raw_server(found(LINK | {"status": "expired"} | other)) as server, connected(server.url) as adyen:
        assert isinstance(await adyen.look_up(request), Unknown)
        assert isinstance(await adyen.close(request), Unknown)


async def test_a_link_is_opened_for_one_payment_with_all_that_adyen_needs() -> None:
    request = charge_request("att_1", HOSTED_PAGE, call_number=2)
    async with raw_server(found(LINK, "201 Created")) as server, connected(server.url) as adyen:
        assert await adyen.open(request) == RequiresAction("PL1", Redirect(URL))
        assert await adyen.open(request) == RequiresAction("PL1", Redirect(URL))
    first, again = [sent(raw) for raw in server.requests]
    assert first[2] == again[2]
    line, headers, body = first
    assert line == "POST /v72/paymentLinks HTTP/1.1"
    assert headers["idempotency-key"] == again[1]["idempotency-key"] == "att_1-open-2"
    assert headers["x-api-key"] == CREDENTIALS["apiKey"]
    assert body == {
        "merchantAccount": "ShopECOM",
        "reference": "att_1.link-charge",
        "amount": {"value": 1000, "currency": "USD"},
        "reusable": False,
        "metadata": {"paidonce_checkout": "chk_att_1", "paidonce_merchant": "m1"},
        "captureDelayHours": 0,
        "returnUrl": "https://shop.example/return/1",
        "description": "Two tickets",
        "expiresAt": "2026-09-21T15:13:20+00:00",
    }


async def test_a_link_without_capture_is_captured_manually_and_lasts_seventy_days_at_most() -> None:
    days = 24 * HOUR_MS
    request = charge_request(
        "att_1",
        HOSTED_PAGE,
        capture=False,
        expires_at=NOW + 90 * days,
        description="x" * 300,
        amount=12,
        currency="ISK",
    )
    async with (
        raw_server(found(LINK | {"reference": "att_1.link-authorize"}, "201 Created")) as server,
        connected(server.url) as adyen,
    ):
        assert isinstance(await adyen.open(request), RequiresAction)
    ((_, _, body),) = [sent(raw) for raw in server.requests]
    assert (body["manualCapture"], "captureDelayHours" in body) == (True, False)
    assert body["expiresAt"] == "2026-11-30T13:13:20+00:00"
    assert body["description"] == "x" * 280
    assert body["amount"] == {"value": 1200, "currency": "ISK"}


async def test_a_payment_with_a_token_is_sent_as_one_without_a_buyer() -> None:
    async with raw_server(found({"resultCode": "Received"})) as server, connected(server.url) as adyen:
        await adyen.charge(charge_request("att_1", TOKEN, return_url=None))
        await adyen.charge(charge_request("att_1", TOKEN, return_url=None, capture=False))
    (line, headers, body), (_, _, authorization) = [sent(raw) for raw in server.requests]
    assert (line, headers["idempotency-key"]) == ("POST /v72/payments HTTP/1.1", "att_1")
    assert body == {
        "merchantAccount": "ShopECOM",
        "reference": "att_1.charge",
        "amount": {"value": 1000, "currency": "USD"},
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "M5N7TQ4TG5PFWR50"},
        "shopperReference": "shopper-1",
        "shopperInteraction": "ContAuth",
        "recurringProcessingModel": "UnscheduledCardOnFile",
        "returnUrl": "https://no-return.invalid/",
        "metadata": {"paidonce_checkout": "chk_att_1", "paidonce_merchant": "m1"},
        "captureDelayHours": 0,
    }
    assert (authorization["reference"], authorization["additionalData"]) == (
        "att_1.authorize",
        {"manualCapture": "true"},
    )
    assert "captureDelayHours" not in authorization


@pytest.mark.parametrize(
    ("request_", "path", "word", "amount"),
    [
        (modification("capture", "att_2", "PSP1", 700), "captures", "capture", {"value": 700, "currency": "USD"}),
        (modification("void", "att_2", "PSP1"), "cancels", "void", None),
        (modification("refund", "att_2", "PSP1", 12, "CLP"), "refunds", "refund", {"value": 1200, "currency": "CLP"}),
    ],
)
async def test_a_modification_is_accepted_and_its_outcome_told_later(
    request_: Modification, path: str, word: str, amount: object
) -> None:
    receipt = RECEIPT | {"status": "received", "reference": f"att_2.{word}"}
    async with raw_server(found(receipt, "201 Created")) as server, connected(server.url) as adyen:
        call = {"capture": adyen.capture, "void": adyen.void, "refund": adyen.refund}[request_.kind]
        assert await call(request_) == Accepted("PSP2")
    ((line, headers, body),) = [sent(raw) for raw in server.requests]
    assert (line, headers["idempotency-key"]) == (f"POST /v72/payments/PSP1/{path} HTTP/1.1", "att_2")
    expected = {"merchantAccount": "ShopECOM", "reference": f"att_2.{word}"}
    assert body == (expected if amount is None else expected | {"amount": amount})


@pytest.mark.parametrize("other", [{"paymentPspReference": "PSP9"}, {"reference": "att_9.refund"}, {"status": "lost"}])
async def test_a_receipt_of_another_modification_proves_nothing(other: dict[str, str]) -> None:
    async with raw_server(found(RECEIPT | {"status": "received"} | other)) as server, connected(server.url) as adyen:
        assert isinstance(await adyen.refund(modification("refund", "att_2", "PSP1")), Unknown)


async def test_a_link_is_closed_by_its_expiry_and_asked_where_adyen_refuses_that() -> None:
    request = charge_request("att_1", HOSTED_PAGE, session_reference="PL1")
    refused = Part(answer(b'{"status":422,"errorCode":"14_017","errorType":"validation"}', "422 Unprocessable"))
    expired, completed = found(LINK | {"status": "expired"}), found(LINK | {"status": "completed"})
    async with raw_server(expired) as server, connected(server.url) as adyen:
        assert await adyen.close(request) == Declined("session_expired", "PL1", "charge", "expired")
    ((line, headers, body),) = [sent(raw) for raw in server.requests]
    assert (line, body) == ("PATCH /v72/paymentLinks/PL1 HTTP/1.1", {"status": "expired"})
    assert "idempotency-key" not in headers
    async with raw_server(refused, completed) as server, connected(server.url) as adyen:
        assert await adyen.close(request) == Accepted("PL1")
    async with raw_server(refused, expired) as server, connected(server.url) as adyen:
        assert isinstance(await adyen.close(request), Declined)


@pytest.mark.parametrize("token", ["M5N7TQ4TG5PFWR50", "spm_M5N7TQ4TG5PFWR50", "spm__shopper", "spm_M5N7_ab", "tok_1"])
async def test_a_token_that_is_not_written_as_one_is_refused_before_anything_is_sent(token: str) -> None:
    async with raw_server(found({})) as server, connected(server.url) as adyen:
        assert not adyen.opens_session(token)
        evidence = await adyen.charge(charge_request("att_1", token, return_url=None))
    assert isinstance(evidence, NotDone)
    assert (evidence.code, evidence.retryable) == ("payment_method_not_supported", False)
    assert server.requests == []


async def test_an_amount_that_adyen_cannot_take_is_refused_before_anything_is_sent() -> None:
    async with raw_server(found({})) as server, connected(server.url) as adyen:
        answers = [
            await adyen.open(charge_request("att_1", HOSTED_PAGE, amount=1250, currency="IDR")),
            await adyen.charge(charge_request("att_1", TOKEN, amount=1250, currency="IDR")),
            await adyen.capture(modification("capture", "att_2", "PSP1", 1250, "IDR")),
            await adyen.refund(modification("refund", "att_2", "PSP1", 1250, "IDR")),
            await adyen.open(charge_request("att_1", TOKEN)),
            await adyen.close(charge_request("att_1", HOSTED_PAGE)),
            await adyen.charge(charge_request("att_1", HOSTED_PAGE)),
        ]
    assert [one for one in answers if not isinstance(one, NotDone) or one.retryable] == []
    assert server.requests == []


async def test_a_key_is_shortened_to_what_adyen_takes_and_stays_the_same_and_its_own() -> None:
    keys = ["k" * 64, "k" * 65, "k" * 66]
    async with raw_server(found({"resultCode": "Received"})) as server, connected(server.url) as adyen:
        for key in keys * 2:
            await adyen.charge(charge_request(key, TOKEN, return_url=None))
    used = [sent(raw)[1]["idempotency-key"] for raw in server.requests]
    assert used[:3] == used[3:]
    assert used[0] == keys[0]
    assert len(set(used)) == 3
    assert {len(key) for key in used} == {64}


async def test_a_live_account_is_called_under_the_path_of_live_hosts() -> None:
    live = CREDENTIALS | {"livePrefix": "1797a841fbb37ca7-Shop"}
    async with raw_server(found({})) as server, connected(server.url, credentials=live, mode="live") as adyen:
        await adyen.check()
    assert sent(server.requests[0])[0] == "POST /checkout/v72/paymentMethods HTTP/1.1"
