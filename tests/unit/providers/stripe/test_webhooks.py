"""Stripe's webhooks: signatures that are believed, and what each event proves."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from paidonce.errors import MalformedBody
from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Accepted,
    AuthorizationEnded,
    Authorized,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Notice,
    Opened,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.support.doubles import NOW, SettableClock
from tests.support.stripe import WEBHOOK_SECRET, connected, event

SECONDS: Final = NOW // 1000
METADATA: Final = {"paidonce_key": "att_1", "paidonce_session": "token", "paidonce_capture": "automatic"}
INTENT: Final[dict[str, Any]] = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 1000,
    "amount_received": 1000,
    "currency": "usd",
    "metadata": METADATA,
}
HOSTED: Final = INTENT | {"metadata": METADATA | {"paidonce_session": "hosted"}}
SESSION: Final[dict[str, Any]] = {
    "id": "cs_1",
    "object": "checkout.session",
    "status": "complete",
    "payment_status": "paid",
    "amount_total": 1000,
    "currency": "usd",
    "payment_intent": "pi_1",
    "metadata": METADATA,
}
MANUAL_SESSION: Final = SESSION | {"metadata": METADATA | {"paidonce_capture": "manual"}}
REFUND: Final[dict[str, Any]] = {
    "id": "re_1",
    "object": "refund",
    "status": "succeeded",
    "amount": 300,
    "currency": "usd",
    "payment_intent": "pi_1",
    "metadata": {"paidonce_key": "att_1"},
}
DISPUTE: Final[dict[str, Any]] = {
    "id": "du_1",
    "object": "dispute",
    "status": "needs_response",
    "amount": 1000,
    "currency": "usd",
    "reason": "fraudulent",
    "payment_intent": "pi_1",
    "metadata": {},
}
CHARGE: Final[dict[str, Any]] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1000,
    "currency": "usd",
    "captured": False,
    "payment_intent": "pi_1",
    "payment_method_details": {"type": "card", "card": {"capture_before": SECONDS + 604_800}},
    "metadata": METADATA,
}
CANCELED: Final = INTENT | {"status": "canceled", "latest_charge": "ch_1"}
FAILED: Final = {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}}
AUTHORIZED: Final = {"status": "requires_capture", "capture_method": "manual", "amount_capturable": 1000}
ACTION: Final = {"status": "requires_action", "next_action": {"redirect_to_url": {"url": "https://bank.example/1"}}}


def signature(body: bytes, *, secret: str = WEBHOOK_SECRET, seconds: int = SECONDS) -> str:
    return hmac.digest(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hex()


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, seconds: int = SECONDS) -> dict[str, str]:
    return {"Stripe-Signature": f"t={seconds},v1={signature(body, secret=secret, seconds=seconds)}"}


@pytest.fixture
async def reader() -> AsyncIterator[Provider]:
    async with connected("http://127.0.0.1:1", clock=SettableClock()) as provider:
        yield provider


async def read(reader: Provider, body: bytes) -> tuple[str | None, Evidence | ExternalChange | None]:
    notices = await reader.read_webhook(signed(body), body)
    assert notices is not None
    (notice,) = notices
    assert notice.id == "evt_1"
    return notice.key, notice.evidence


@pytest.mark.parametrize(
    ("kind", "about", "evidence"),
    [
        ("payment_intent.succeeded", INTENT, Succeeded("pi_1", 1000, "USD", "charge")),
        ("payment_intent.succeeded", HOSTED, Succeeded("pi_1", 1000, "USD", "charge")),
        (
            "payment_intent.succeeded",
            INTENT | {"capture_method": "manual", "amount_received": 400},
            Authorized("pi_1", 1000, "USD", "charge"),
        ),
        ("payment_intent.amount_capturable_updated", INTENT | AUTHORIZED, Authorized("pi_1", 1000, "USD", "charge")),
        ("payment_intent.processing", INTENT | {"status": "processing"}, Accepted("pi_1")),
        ("payment_intent.payment_failed", INTENT | FAILED, Opened("pi_1")),
        ("payment_intent.requires_action", INTENT | ACTION, RequiresAction("pi_1", Redirect("https://bank.example/1"))),
        (
            "payment_intent.canceled",
            INTENT | {"status": "canceled", "cancellation_reason": "abandoned"},
            Declined("session_expired", "pi_1", "charge", "abandoned"),
        ),
        ("checkout.session.completed", SESSION, Succeeded("pi_1", 1000, "USD", "charge")),
        ("checkout.session.completed", MANUAL_SESSION, Authorized("pi_1", 1000, "USD", "charge")),
        ("checkout.session.completed", SESSION | {"payment_status": "unpaid"}, Accepted("cs_1")),
        ("checkout.session.async_payment_succeeded", SESSION, Succeeded("pi_1", 1000, "USD", "charge")),
        (
            "checkout.session.async_payment_failed",
            SESSION | {"payment_status": "unpaid"},
            Declined("declined", "cs_1", "charge", "async_payment_failed"),
        ),
        (
            "checkout.session.expired",
            SESSION | {"status": "expired", "payment_status": "unpaid", "payment_intent": None},
            Declined("session_expired", "cs_1", "charge", "expired"),
        ),
        ("payment_intent.canceled", CANCELED, AuthorizationEnded("canceled")),
        ("payment_intent.canceled", CANCELED | {"cancellation_reason": "automatic"}, AuthorizationEnded("expired")),
        ("payment_intent.canceled", CANCELED | {"cancellation_reason": "expired"}, AuthorizationEnded("expired")),
        ("charge.succeeded", CHARGE, Authorized("pi_1", 1000, "USD", "charge", NOW + 604_800_000)),
        ("refund.created", REFUND, Succeeded("re_1", 300, "USD", "refund")),
        ("refund.updated", REFUND | {"status": "pending"}, Accepted("re_1")),
        (
            "refund.failed",
            REFUND | {"status": "failed", "failure_reason": "lost_or_stolen_card"},
            Declined("lost_or_stolen_card", "re_1", "refund", "lost_or_stolen_card"),
        ),
    ],
)
async def test_an_event_tells_about_the_operation_with_our_key(
    reader: Provider, kind: str, about: dict[str, Any], evidence: Evidence | ExternalChange
) -> None:
    assert await read(reader, event(kind, about)) == ("att_1", evidence)


@pytest.mark.parametrize("money", [{"currency": "isk", "amount": 1050}, {"currency": "xyz", "amount": 1000}])
@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("payment_intent.succeeded", INTENT),
        ("payment_intent.amount_capturable_updated", INTENT | AUTHORIZED),
        ("checkout.session.completed", SESSION),
        ("checkout.session.completed", MANUAL_SESSION),
        ("charge.succeeded", CHARGE),
        ("refund.updated", REFUND),
    ],
)
async def test_money_that_its_currency_cannot_have_proves_nothing(
    reader: Provider, kind: str, about: dict[str, Any], money: dict[str, Any]
) -> None:
    amounts = dict.fromkeys(about.keys() & {"amount", "amount_received", "amount_total"}, money["amount"])
    key, evidence = await read(reader, event(kind, about | amounts | {"currency": money["currency"]}))
    assert (key, type(evidence)) == ("att_1", Unknown)


@pytest.mark.parametrize(
    ("kind", "about", "reference"),
    [
        ("payment_intent.canceled", INTENT | {"status": "canceled", "cancellation_reason": "abandoned"}, "pi_1"),
        ("checkout.session.async_payment_failed", SESSION | {"payment_status": "unpaid"}, "cs_1"),
        ("checkout.session.expired", SESSION | {"status": "expired", "payment_status": "unpaid"}, "cs_1"),
        ("checkout.session.completed", SESSION, None),
        ("refund.failed", REFUND | {"status": "failed"}, None),
    ],
)
async def test_an_event_names_the_session_whose_end_it_tells(
    reader: Provider, kind: str, about: dict[str, Any], reference: str | None
) -> None:
    body = event(kind, about)
    notices = await reader.read_webhook(signed(body), body)
    assert notices is not None
    assert [(one.key, one.reference) for one in notices] == [("att_1", reference)]


@pytest.mark.parametrize(
    ("kind", "about", "change"),
    [
        ("refund.created", REFUND | {"metadata": None}, ExternalRefund("re_1", "succeeded", 300, "USD")),
        (
            "refund.updated",
            REFUND | {"metadata": {}, "status": "pending"},
            ExternalRefund("re_1", "pending", 300, "USD"),
        ),
        (
            "refund.failed",
            REFUND | {"metadata": {}, "status": "failed", "failure_reason": "expired_or_canceled_card"},
            ExternalRefund("re_1", "failed", 300, "USD", "expired_card", "expired_or_canceled_card"),
        ),
        ("charge.dispute.created", DISPUTE, Dispute("du_1", "opened", 1000, "USD", "fraudulent")),
        (
            "charge.dispute.updated",
            DISPUTE | {"status": "under_review"},
            Dispute("du_1", "opened", 1000, "USD", "fraudulent"),
        ),
        ("charge.dispute.closed", DISPUTE | {"status": "won"}, Dispute("du_1", "won", 1000, "USD", "fraudulent")),
        ("charge.dispute.closed", DISPUTE | {"status": "lost"}, Dispute("du_1", "lost", 1000, "USD", "fraudulent")),
    ],
)
async def test_an_event_tells_what_was_done_to_our_charge_without_a_request_of_ours(
    reader: Provider, kind: str, about: dict[str, Any], change: ExternalChange
) -> None:
    body = event(kind, about)
    assert await reader.read_webhook(signed(body), body) == [Notice("evt_1", None, change, "pi_1")]


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("payment_intent.payment_failed", HOSTED | FAILED),
        ("payment_intent.requires_action", HOSTED | ACTION),
        ("payment_intent.canceled", HOSTED | {"status": "canceled"}),
        ("payment_intent.created", INTENT),
        ("payment_intent.succeeded", INTENT | {"metadata": {}}),
        ("refund.created", REFUND | {"metadata": None, "payment_intent": None}),
        ("refund.created", REFUND | {"metadata": {}, "status": "unheard_of"}),
        ("charge.dispute.created", DISPUTE | {"status": "warning_needs_response"}),
        ("charge.dispute.closed", DISPUTE | {"status": "warning_closed"}),
        ("charge.dispute.created", DISPUTE | {"payment_intent": None}),
        ("charge.succeeded", CHARGE | {"captured": True}),
        ("charge.succeeded", CHARGE | {"payment_method_details": {"card": {}}}),
        ("charge.succeeded", CHARGE | {"payment_method_details": {"sepa_debit": {}}}),
        ("charge.succeeded", CHARGE | {"metadata": {}}),
        ("charge.refunded", {"id": "ch_1", "object": "charge"}),
        ("account.updated", {"id": "acct_1", "object": "account"}),
    ],
)
async def test_an_event_that_decides_nothing_about_our_operations_tells_nothing(
    reader: Provider, kind: str, about: dict[str, Any]
) -> None:
    assert await read(reader, event(kind, about)) == (None, None)


async def test_an_event_of_the_other_mode_tells_nothing(reader: Provider) -> None:
    assert await read(reader, event("payment_intent.succeeded", INTENT, live=True)) == (None, None)


BODY: Final = event("payment_intent.succeeded", INTENT)
RIGHT: Final = signature(BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {"stripe-signature": f"t={SECONDS},v1={RIGHT}"},
        {"STRIPE-SIGNATURE": f"t={SECONDS}, v1={RIGHT}"},
        {"Stripe-Signature": f"t={SECONDS},v1={'0' * 64},v1={RIGHT},v0=other"},
        {"Stripe-Signature": f"v1={RIGHT},t={SECONDS}"},
        signed(BODY, seconds=SECONDS - 300),
        signed(BODY, seconds=SECONDS + 300),
    ],
)
async def test_a_valid_signature_is_believed(reader: Provider, headers: dict[str, str]) -> None:
    assert await reader.read_webhook(headers, BODY) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": f"t={SECONDS}"},
        {"Stripe-Signature": f"v1={RIGHT}"},
        {"Stripe-Signature": f"t={SECONDS},v0={RIGHT}"},
        {"Stripe-Signature": f"t={SECONDS - 1},v1={RIGHT}"},
        {"Stripe-Signature": f"t={SECONDS - 1},t={SECONDS},v1={RIGHT}"},
        {"Stripe-Signature": f"t=,v1={RIGHT}"},
        {"Stripe-Signature": f"t=now,v1={RIGHT}"},
        {"Stripe-Signature": f"t=²,v1={RIGHT}"},
        {"Stripe-Signature": f"t={'9' * 5000},v1={RIGHT}"},
        {"Stripe-Signature": f"t={SECONDS},v1="},
        {"Stripe-Signature": f"t={SECONDS},v1=é"},
        {"Stripe-Signature": f"t={SECONDS}," + "v1=0," * 8 + f"v1={RIGHT}"},
        signed(BODY, secret="whsec_other0000"),
        signed(BODY + b" "),
        signed(BODY, seconds=SECONDS - 301),
        signed(BODY, seconds=SECONDS + 301),
    ],
)
async def test_a_signature_that_is_missing_wrong_or_old_is_not_believed(
    reader: Provider, headers: dict[str, str]
) -> None:
    assert await reader.read_webhook(headers, BODY) is None


async def test_without_a_secret_no_webhook_is_believed() -> None:
    async with connected("http://127.0.0.1:1", clock=SettableClock(), webhook_secret="") as reader:
        assert not reader.capabilities.webhooks
        assert await reader.read_webhook(signed(BODY, secret=""), BODY) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b'{"id": "evt_1", "type": "x", "livemode": false}',
        event("payment_intent.succeeded", {"id": "pi_1"}),
        event("refund.created", INTENT),
    ],
)
async def test_a_signed_body_that_is_not_an_event_is_malformed(reader: Provider, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await reader.read_webhook(signed(body), body)
