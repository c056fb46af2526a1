"""Mollie's own SDK, which is generated from its specification, judges our requests, signatures and reading of statuses,
and the double.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
import pytest
from mollie import ClientSDK
from mollie.models import (
    EntityCapture,
    EntityWebhookEvent,
    ErrorResponse,
    MethodEnum,
    PaymentDetailsFailureReasonResponse,
    PaymentRequest,
    RefundRequest,
    Security,
)
from mollie.models.payment_response import PaymentResponseStatus
from mollie.models.webhook_event_types import WebhookEventTypes
from mollie.utils.webhooks import InvalidSignatureException, SignatureValidator

from paidonce.providers.base import Provider
from paidonce.providers.evidence import Notice, RequiresAction, Succeeded, Unknown
from paidonce.providers.mollie import requests
from paidonce.providers.mollie.decline_codes import decline_code
from paidonce.providers.mollie.methods import METHODS
from paidonce.providers.mollie.requests import Call
from paidonce.providers.mollie.wire import Amount
from paidonce.proving.doubles.mollie.server import API_KEY, MollieDouble, signature
from paidonce.proving.doubles.webhooks import WebhookTarget
from tests.support.doubles import charge_request, modification, page_of, visit
from tests.support.mollie import (
    PAYMENT,
    WEBHOOK_SECRET,
    WEBHOOK_URL,
    connected,
    event,
    mollie_double,
    signed,
)
from tests.support.raw_server import raw_server

AMOUNT: Final = {"currency": "USD", "value": "10.00"}


@pytest.fixture
def sdk(double: MollieDouble) -> Iterator[Any]:
    with ClientSDK(security=Security(api_key=API_KEY), server_url=double.books.url, timeout_ms=60_000) as one:
        yield one


def faults_of(body: Mapping[str, Any] | None, model: Any) -> list[str]:  # noqa: ANN401 - a model of the SDK's
    """Say how a body differs from a model of the SDK's; nothing where it does not."""
    sent = msgspec.json.decode(msgspec.json.encode(body))
    known = {field.alias or name for name, field in model.model_fields.items()}
    model.model_validate(sent)  # Raises ValidationError.
    return sorted(sent.keys() - known)


@pytest.mark.parametrize(
    ("call", "model"),
    [
        *(
            (
                requests.open_payment(charge_request("sdk", method, capture=capture), Amount(**AMOUNT), url),
                PaymentRequest,
            )
            for method, capture, url in (
                ("hosted", True, WEBHOOK_URL),
                ("hosted", False, ""),
                *((method, True, "") for method in sorted(METHODS)),
            )
        ),
        (requests.capture(modification("capture", "sdk", "tr_1234"), Amount(**AMOUNT)), EntityCapture),
        (requests.refund(modification("refund", "sdk", "tr_1234"), Amount(**AMOUNT)), RefundRequest),
    ],
)
def test_every_body_has_only_fields_and_values_of_the_sdks_models(call: Call, model: Any) -> None:  # noqa: ANN401
    assert faults_of(call.body, model) == []


def test_a_wrong_field_or_value_is_noticed_by_the_sdk() -> None:
    body = requests.open_payment(charge_request("sdk"), Amount(**AMOUNT), "").body or {}
    assert faults_of({**body, "expiresAt": "2026-01-02"}, PaymentRequest) == ["expiresAt"]
    wrongs: list[dict[str, Any]] = [{"amount": 1000}, {"redirectUrl": 5}, {"captureMode": []}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="validation error"):
            faults_of({**body, **wrong}, PaymentRequest)


def test_every_method_that_is_taken_is_one_of_mollies() -> None:
    assert {one.value for one in MethodEnum} > METHODS


async def test_the_sdk_and_the_connector_ask_for_the_same(double: MollieDouble, sdk: Any) -> None:  # noqa: ANN401
    async with connected(double.books.url, webhook_url="") as mollie:
        held = await bought(mollie, "same-held", capture=False)
        other = await bought(mollie, "same-other", capture=False)
        paid = await bought(mollie, "same-paid")
        opened = await mollie.open(charge_request("same-open"))
        assert isinstance(opened, RequiresAction)
        calls: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
            (lambda: sdk.payments.get(payment_id=paid), lambda: mollie.look_up(session("same-paid", paid))),
            (
                lambda: sdk.captures.create(payment_id=held, entity_capture={"amount": AMOUNT}),
                lambda: mollie.capture(modification("capture", "same-c", held)),
            ),
            (
                lambda: sdk.captures.list(payment_id=held),
                lambda: mollie.look_up(modification("capture", "same-l", held)),
            ),
            (
                lambda: sdk.payments.release_authorization(payment_id=other),
                lambda: mollie.void(modification("void", "same-v", other)),
            ),
            (
                lambda: sdk.refunds.create(payment_id=paid, refund_request={"amount": {**AMOUNT, "value": "1.00"}}),
                lambda: mollie.refund(modification("refund", "same-r", paid, 100)),
            ),
            (lambda: sdk.refunds.list(payment_id=paid), lambda: mollie.look_up(modification("refund", "same-m", paid))),
            (
                lambda: sdk.payments.cancel(payment_id=opened.reference),
                lambda: mollie.close(session("same-open", opened.reference)),
            ),
            (sdk.profiles.get_current, mollie.check),
        ]
        for by_sdk, by_us in calls:
            double.requests.clear()
            await by_us()
            ours = {(method, path) for method, path, _ in double.requests}
            double.requests.clear()
            try:
                await asyncio.to_thread(by_sdk)
            except ErrorResponse as refused:
                assert refused.raw_response.status_code == 422  # noqa: PT017 - we did it already
            ((method, path, _),) = double.requests
            assert (method, path) in ours


def test_the_sdk_pays_captures_and_refunds_at_the_double_and_understands_every_answer(
    double: MollieDouble,
    sdk: Any,  # noqa: ANN401
) -> None:
    made = sdk.payments.create(
        payment_request={
            "amount": AMOUNT,
            "description": "Two tickets",
            "redirect_url": "https://shop.example/",
            "metadata": {"paidonce_checkout": "chk_sdk"},
            "capture_mode": "manual",
            "method": "creditcard",
        },
        idempotency_key="sdk-1",
    )
    assert (made.status, made.is_cancelable, made.links.checkout.href[:7]) == ("open", True, "http://")
    asyncio.run(visit(made.links.checkout.href, act="pay"))
    assert sdk.payments.get(payment_id=made.id).status == PaymentResponseStatus.AUTHORIZED
    part = {"amount": {**AMOUNT, "value": "7.00"}, "metadata": {"paidonce_key": "sdk-c"}}
    captured = sdk.captures.create(payment_id=made.id, entity_capture=part)
    assert captured.status == "succeeded"
    sdk.payments.release_authorization(payment_id=made.id)
    refunded = sdk.refunds.create(payment_id=made.id, refund_request={"amount": {**AMOUNT, "value": "3.00"}})
    assert refunded.status == "refunded"
    assert [one.id for one in sdk.captures.list(payment_id=made.id).result.embedded.captures] == [captured.id]
    assert [one.id for one in sdk.refunds.list(payment_id=made.id).result.embedded.refunds] == [refunded.id]
    assert sdk.payments.get(payment_id=made.id, embed="refunds").status == "paid"
    with pytest.raises(ErrorResponse) as refused:
        sdk.refunds.create(payment_id=made.id, refund_request={"amount": {**AMOUNT, "value": "4.01"}})
    assert refused.value.data.field == "amount"
    assert [one.kind for one in double.books.ledger if one.checkout_id == "chk_sdk"] == [
        "authorization",
        "capture",
        "release",
        "refund",
    ]


async def test_the_sdk_believes_the_signatures_that_we_believe_and_no_other(mollie: Provider) -> None:
    body = event("payment.paid", PAYMENT)
    by_sdk = {"X-Mollie-Signature": f"sha256={SignatureValidator.create_signature(body.decode(), WEBHOOK_SECRET)}"}
    assert by_sdk == signed(body) == {"X-Mollie-Signature": signature(WEBHOOK_SECRET, body)}
    assert await mollie.read_webhook(by_sdk, body) is not None
    assert SignatureValidator.validate(body.decode(), WEBHOOK_SECRET, by_sdk["X-Mollie-Signature"])
    other = signed(body, "another-secret")
    assert await mollie.read_webhook(other, body) is None
    with pytest.raises(InvalidSignatureException):
        SignatureValidator.validate(body.decode(), WEBHOOK_SECRET, other["X-Mollie-Signature"])


@pytest.mark.parametrize("status", list(PaymentResponseStatus))
async def test_every_status_of_a_payment_is_understood(mollie: Provider, status: Enum) -> None:
    body = event("payment.any", PAYMENT | {"status": status.value})
    (notice,) = await mollie.read_webhook(signed(body), body) or ()
    assert isinstance(notice, Notice)
    assert not isinstance(notice.evidence, Unknown)


@pytest.mark.parametrize("reason", list(PaymentDetailsFailureReasonResponse))
def test_every_reason_of_a_failed_payment_has_a_code_of_ours(reason: Enum) -> None:
    assert (decline_code(reason.value) == "declined") == (reason.value in {"card_declined", "unknown_reason"})


def test_the_events_of_the_double_are_events_of_mollies(double: MollieDouble) -> None:
    told: list[tuple[str, Any]] = []
    double.books.tell, tell = (lambda kind, _record, about: told.append((kind, about["id"]))), double.books.tell
    try:
        asyncio.run(everything_happens(double))
    finally:
        double.books.tell = tell
    kinds = {kind for kind, _ in told}
    assert kinds <= {one.value for one in WebhookEventTypes}
    assert kinds >= {"payment.paid", "payment.failed", "payment.authorized", "capture.succeeded", "refund.refunded"}


async def everything_happens(double: MollieDouble) -> None:
    async with connected(double.books.url, webhook_url="") as mollie:
        for act in ("pay", "fail", "cancel", "expire", "begin"):
            await bought(mollie, f"event-{act}", act=act)
        held = await bought(mollie, "event-held", capture=False)
        assert isinstance(await mollie.capture(modification("capture", "event-c", held)), Succeeded)
        assert isinstance(await mollie.refund(modification("refund", "event-r", held)), Succeeded)


async def test_the_sdk_reads_and_believes_the_signed_webhook_of_the_double_and_the_classic_one_has_only_an_id() -> None:
    async with raw_server() as receiver:
        target = WebhookTarget(f"{receiver.url}/signed", WEBHOOK_SECRET)
        with mollie_double(target=target) as double:
            async with connected(double.books.url, webhook_url=f"{receiver.url}/classic") as mollie:
                reference = await bought(mollie, "told")
                await receiver.wait_for_requests(2)
    by_path = {request.split(b" ")[1]: request.partition(b"\r\n\r\n") for request in receiver.requests}
    head, _, body = by_path[b"/classic"]
    assert body.decode() == f"id={reference}"
    assert b"application/x-www-form-urlencoded" in head
    assert b"signature" not in head.lower()
    head, _, body = by_path[b"/signed"]
    (found,) = re.findall(r"X-Mollie-Signature: (\S+)", head.decode(), re.IGNORECASE)
    assert SignatureValidator.validate(body.decode(), WEBHOOK_SECRET, found)
    told = EntityWebhookEvent.model_validate_json(body)
    assert told.embedded is not None
    assert (told.webhook_event_types, told.entity_id, told.embedded.entity.status) == (
        "payment.paid",
        reference,
        PaymentResponseStatus.PAID,
    )


def session(key: str, reference: str) -> Any:  # noqa: ANN401 - a request
    return charge_request(key, session_reference=reference)


async def bought(mollie: Provider, key: str, *, capture: bool = True, act: str = "pay") -> str:
    found = await mollie.open(charge_request(key, capture=capture))
    assert isinstance(found, RequiresAction)
    await visit(page_of(found.action), act=act)
    return found.reference
