"""PayPal's webhooks: what each event proves."""

from typing import Any, Final, Literal

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
    Opened,
    Succeeded,
    UnclearChange,
)
from tests.support.paypal import event
from tests.support.raw_server import RawServer
from tests.unit.providers.paypal.signed_webhooks import CAPTURE, MONEY, read, signed

OF_AUTHORIZATION: Final = CAPTURE | {
    "invoice_id": "att_2",
    "links": [{"href": "https://api.paypal.com/v2/payments/authorizations/A1", "rel": "up"}],
}
REFUND: Final[dict[str, Any]] = {
    "id": "R1",
    "status": "COMPLETED",
    "amount": MONEY,
    "custom_id": "refund-att_3",
    "links": [{"href": "https://api.paypal.com/v2/payments/captures/C1", "rel": "up"}],
}
ORDER: Final[dict[str, Any]] = {"id": "O1", "status": "APPROVED", "purchase_units": [{"custom_id": "att_1"}]}
TRANSACTIONS: Final = [{"seller_transaction_id": "C1"}]
DISPUTE: Final[dict[str, Any]] = {
    "dispute_id": "PP-D-1",
    "status": "WAITING_FOR_SELLER_RESPONSE",
    "reason": "UNAUTHORISED",
    "dispute_life_cycle_stage": "CHARGEBACK",
    "dispute_amount": {"currency_code": "USD", "value": "10.00"},
    "disputed_transactions": TRANSACTIONS,
}
RESOLVED: Final = DISPUTE | {"status": "RESOLVED"}
OUTCOMES: Final[dict[str, Literal["won", "lost"]]] = {
    "RESOLVED_SELLER_FAVOUR": "won",
    "CANCELED_BY_BUYER": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
}


@pytest.mark.parametrize(
    ("name", "about", "key", "evidence"),
    [
        ("CHECKOUT.ORDER.APPROVED", ORDER, "att_1", Opened("O1")),
        ("PAYMENT.CAPTURE.COMPLETED", CAPTURE, "att_1", Succeeded("C1", 1000, "USD", "charge")),
        ("PAYMENT.CAPTURE.COMPLETED", OF_AUTHORIZATION, "att_2", Succeeded("C1", 1000, "USD", "capture")),
        ("PAYMENT.CAPTURE.PENDING", CAPTURE | {"status": "PENDING"}, "att_1", Accepted("C1")),
        (
            "PAYMENT.CAPTURE.DENIED",
            CAPTURE | {"status": "DECLINED"},
            "att_1",
            Declined("declined", "C1", "charge", "DECLINED"),
        ),
        (
            "PAYMENT.CAPTURE.DECLINED",
            OF_AUTHORIZATION | {"status": "DECLINED"},
            "att_2",
            Declined("declined", "C1", "capture", "DECLINED"),
        ),
        (
            "PAYMENT.AUTHORIZATION.CREATED",
            {**CAPTURE, "id": "A1", "status": "CREATED", "expiration_time": "2026-10-20T00:00:00Z"},
            "att_1",
            Authorized("A1", 1000, "USD", "charge", 1_792_454_400_000),
        ),
        ("PAYMENT.CAPTURE.REFUNDED", REFUND, "att_3", Succeeded("R1", 1000, "USD", "refund")),
        ("PAYMENT.REFUND.PENDING", REFUND | {"status": "PENDING"}, "att_3", Accepted("R1")),
        (
            "PAYMENT.REFUND.FAILED",
            REFUND | {"status": "FAILED"},
            "att_3",
            Declined("declined", "R1", "refund", "FAILED"),
        ),
    ],
)
async def test_an_event_tells_what_became_of_our_operation(
    *, connector: Provider, server: RawServer, name: str, about: dict[str, Any], key: str, evidence: Evidence
) -> None:
    assert await read(connector, server, event(name, about)) == (key, evidence, None)


@pytest.mark.parametrize(
    ("name", "about", "key", "evidence", "reference"),
    [
        (
            "PAYMENT.CAPTURE.REFUNDED",
            REFUND | {"custom_id": "att_1"},
            "att_1",
            ExternalRefund("R1", "succeeded", 1000, "USD"),
            "C1",
        ),
        (
            "PAYMENT.REFUND.FAILED",
            REFUND | {"custom_id": None, "status": "FAILED"},
            None,
            ExternalRefund("R1", "failed", 1000, "USD", "declined", "FAILED"),
            "C1",
        ),
        ("CUSTOMER.DISPUTE.CREATED", DISPUTE, None, Dispute("PP-D-1", "opened", 1000, "USD", "UNAUTHORISED"), "C1"),
        ("CUSTOMER.DISPUTE.UPDATED", DISPUTE, None, Dispute("PP-D-1", "opened", 1000, "USD", "UNAUTHORISED"), "C1"),
        *(
            (
                "CUSTOMER.DISPUTE.RESOLVED",
                RESOLVED | {"dispute_outcome": {"outcome_code": code}},
                None,
                Dispute("PP-D-1", status, 1000, "USD", "UNAUTHORISED"),
                "C1",
            )
            for code, status in OUTCOMES.items()
        ),
        (
            "PAYMENT.AUTHORIZATION.VOIDED",
            {**CAPTURE, "status": "VOIDED", "expiration_time": "2026-10-20T00:00:00Z"},
            "att_1",
            AuthorizationEnded("canceled"),
            None,
        ),
        (
            "PAYMENT.AUTHORIZATION.VOIDED",
            {**CAPTURE, "status": "VOIDED", "expiration_time": "2026-09-20T00:00:00Z"},
            "att_1",
            AuthorizationEnded("expired"),
            None,
        ),
    ],
)
async def test_an_event_tells_what_was_done_without_us(
    *,
    connector: Provider,
    server: RawServer,
    name: str,
    about: dict[str, Any],
    key: str | None,
    evidence: ExternalChange,
    reference: str | None,
) -> None:
    assert await read(connector, server, event(name, about)) == (key, evidence, reference)


@pytest.mark.parametrize(
    ("name", "about", "reason"),
    [
        ("CREATED", DISPUTE | {"disputed_transactions": TRANSACTIONS * 2}, "is about several payments"),
        ("CREATED", DISPUTE | {"dispute_amount": None}, "its amount cannot be read"),
        ("RESOLVED", RESOLVED | {"dispute_outcome": {"outcome_code": "NONE"}}, "with an unknown outcome"),
        ("RESOLVED", RESOLVED | {"dispute_outcome": None}, "with an unknown outcome"),
    ],
)
async def test_a_dispute_of_a_payment_of_ours_that_no_rule_covers_is_for_a_person(
    connector: Provider, server: RawServer, name: str, about: dict[str, Any], reason: str
) -> None:
    key, change, reference = await read(connector, server, event(f"CUSTOMER.DISPUTE.{name}", about))
    assert (key, reference) == (None, "C1")
    assert isinstance(change, UnclearChange)
    assert "PP-D-1" in change.reason
    assert reason in change.reason


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("CHECKOUT.ORDER.APPROVED", ORDER | {"purchase_units": [{"custom_id": "att_1.ORDER_CLOSED"}]}),
        ("CHECKOUT.ORDER.APPROVED", ORDER | {"purchase_units": []}),
        ("PAYMENT.CAPTURE.COMPLETED", CAPTURE | {"custom_id": None}),
        ("PAYMENT.CAPTURE.COMPLETED", OF_AUTHORIZATION | {"invoice_id": None}),
        ("PAYMENT.CAPTURE.REFUNDED", {"id": "R1", "status": "COMPLETED"}),
        ("PAYMENT.CAPTURE.REFUNDED", REFUND | {"custom_id": "att_1", "status": "A_NEW_STATUS"}),
        ("CUSTOMER.DISPUTE.CREATED", {"dispute_id": "PP-1"}),
        ("CUSTOMER.DISPUTE.CREATED", DISPUTE | {"dispute_life_cycle_stage": "INQUIRY"}),
        ("BILLING.PLAN.CREATED", {}),
    ],
)
async def test_what_is_no_news_about_a_payment_of_ours_proves_nothing(
    connector: Provider, server: RawServer, name: str, about: dict[str, Any]
) -> None:
    assert await read(connector, server, event(name, about)) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}'],
)
async def test_a_signed_body_that_is_no_event_is_malformed(connector: Provider, server: RawServer, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await connector.read_webhook(signed(server.url, body), body)


async def test_an_event_whose_resource_is_not_what_its_name_says_is_malformed(
    connector: Provider, server: RawServer
) -> None:
    body = event("PAYMENT.CAPTURE.COMPLETED", {"id": 7})
    with pytest.raises(MalformedBody):
        await connector.read_webhook(signed(server.url, body), body)
