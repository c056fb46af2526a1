"""What a webhook says, byte for byte: its shape is a promise to every receiver."""

import json
from typing import Any, Final

import msgspec
import pytest

from paidonce.webhook_endpoints.message import DueMessage, write_message

AT: Final = 1_700_000_000_123
SHOWN_AT: Final = "2023-11-14T22:13:20.123Z"

BARE: Final = DueMessage(
    delivery_id="dlv_1",
    merchant_id="m1",
    mode="live",
    number=7,
    event_id="evt_1",
    type="endpoint.paused",
    sequence=9,
    cause="receiver_answer",
    detail='{"endpointId":"whe_1","reason":"gone"}',
    created_at=AT,
    attempt_id=None,
    attempt_kind=None,
    attempt_amount=None,
    attempt_currency=None,
    attempt_provider=None,
    attempt_reason=None,
    checkout_id=None,
    checkout_amount=None,
    checkout_currency=None,
    checkout_key=None,
    checkout_capture_method=None,
    checkout_description=None,
    checkout_metadata=None,
    checkout_created_at=None,
    checkout_expires_at=None,
)
WITH_CHECKOUT: Final = msgspec.structs.replace(
    BARE,
    type="checkout.completed",
    cause="provider_answer",
    detail=None,
    checkout_id="chk_1",
    checkout_amount=1000,
    checkout_currency="USD",
    checkout_key="abc123",
    checkout_capture_method="automatic",
    checkout_description="A book",
    checkout_metadata='{"order":"1"}',
    checkout_created_at=AT - 1000,
    checkout_expires_at=AT + 1000,
)
CHECKOUT: Final = {
    "id": "chk_1",
    "amount": 1000,
    "currency": "USD",
    "idempotencyKey": "abc123",
    "captureMethod": "automatic",
    "description": "A book",
    "metadata": {"order": "1"},
    "createdAt": "2023-11-14T22:13:19.123Z",
    "expiresAt": "2023-11-14T22:13:21.123Z",
}


def said(due: DueMessage, **changes: object) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(write_message(msgspec.structs.replace(due, **changes)))
    return message


def with_attempt(kind: str, **changes: object) -> dict[str, Any]:
    attempt = {
        "attempt_id": "att_1",
        "attempt_kind": kind,
        "attempt_amount": 300,
        "attempt_currency": "EUR",
        "attempt_provider": "simulator",
        "attempt_reason": "returned",
    }
    data: dict[str, Any] = said(WITH_CHECKOUT, **attempt, **changes)["data"]
    return data


def test_an_event_about_no_checkout_says_what_it_is_in_the_layout_of_standard_webhooks() -> None:
    assert said(BARE) == {
        "type": "endpoint.paused",
        "timestamp": SHOWN_AT,
        "data": {
            "id": "evt_1",
            "sequence": 9,
            "number": 7,
            "merchantId": "m1",
            "mode": "live",
            "cause": "receiver_answer",
            "checkout": None,
            "attempt": None,
            "refund": None,
            "detail": {"endpointId": "whe_1", "reason": "gone"},
        },
    }


def test_an_event_without_a_detail_has_an_empty_one() -> None:
    assert said(BARE, detail=None)["data"]["detail"] == {}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("checkout.created", "PENDING"),
        ("checkout.processing", "PROCESSING"),
        ("checkout.completed", "COMPLETED"),
        ("checkout.expired", "EXPIRED"),
    ],
)
def test_a_checkout_has_the_status_that_its_event_brought_it_to(kind: str, status: str) -> None:
    assert said(WITH_CHECKOUT, type=kind)["data"]["checkout"] == {**CHECKOUT, "status": status}


@pytest.mark.parametrize("kind", ["refund.created", "attempt.started", "attempt.unknown"])
def test_a_checkout_that_its_event_did_not_move_has_no_status(kind: str) -> None:
    assert said(WITH_CHECKOUT, type=kind)["data"]["checkout"] == CHECKOUT


def test_a_checkout_without_metadata_and_description_has_an_empty_object_and_null() -> None:
    shown = said(WITH_CHECKOUT, checkout_metadata=None, checkout_description=None)["data"]["checkout"]
    assert (shown["metadata"], shown["description"]) == ({}, None)


@pytest.mark.parametrize("kind", ["CHARGE", "AUTHORIZATION", "CAPTURE", "VOID"])
def test_an_attempt_that_is_no_refund_is_told_as_an_attempt(kind: str) -> None:
    data = with_attempt(kind)
    expected = {"id": "att_1", "kind": kind, "provider": "simulator", "amount": 300, "currency": "EUR"}
    assert (data["attempt"], data["refund"]) == (expected, None)


@pytest.mark.parametrize("kind", ["REFUND", "REVERSAL"])
@pytest.mark.parametrize(
    ("event", "status"),
    [("refund.created", "PENDING"), ("refund.succeeded", "SUCCEEDED"), ("refund.failed", "FAILED")],
)
def test_a_refund_is_told_as_a_refund_with_the_status_that_its_event_brought(
    kind: str, event: str, status: str
) -> None:
    data = with_attempt(kind, type=event)
    expected = {"id": "att_1", "amount": 300, "currency": "EUR", "reason": "returned", "status": status}
    assert (data["attempt"], data["refund"]) == (None, expected)
