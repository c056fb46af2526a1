"""Webhooks: which are believed, and what they prove."""

from collections.abc import Sequence
from typing import Any

import pytest

from paidonce.errors import MalformedBody
from paidonce.providers.evidence import (
    AuthorizationEnded,
    Authorized,
    Declined,
    Dispute,
    Evidence,
    ExternalChange,
    ExternalRefund,
    Notice,
    Succeeded,
    Unknown,
)
from tests.support.adyen import connected, item, signed, webhook

NOWHERE = "http://127.0.0.1:9"


async def read(body: bytes, **options: Any) -> Sequence[Notice] | None:  # noqa: ANN401 - of ``connected``
    async with connected(NOWHERE, **options) as adyen:
        return await adyen.read_webhook({}, body)


async def told(event: str, reference: str, **more: object) -> Evidence | ExternalChange | None:
    """Return what a webhook with one item tells, which belongs to the key ``att_1``."""
    (notice,) = await read(webhook(signed(item(event, reference, **more)))) or ()
    assert notice.key == (None if notice.evidence is None else "att_1")
    return notice.evidence


@pytest.mark.parametrize(
    ("reference", "evidence"),
    [
        ("att_1.charge", Succeeded("PSP1", 1000, "USD", "charge")),
        ("att_1.link-charge", Succeeded("PSP1", 1000, "USD", "charge")),
        ("att_1.authorize", Authorized("PSP1", 1000, "USD", "charge")),
        ("att_1.link-authorize", Authorized("PSP1", 1000, "USD", "charge")),
        ("att_1.refund", None),
    ],
)
async def test_an_authorisation_proves_the_charge_or_the_authorization_that_the_signed_reference_names(
    reference: str, evidence: Evidence | None
) -> None:
    assert await told("AUTHORISATION", reference) == evidence


async def test_a_refused_authorisation_ends_a_payment_with_a_token_and_no_link() -> None:
    refused = {"success": "false", "reason": "Expired Card"}
    assert await told("AUTHORISATION", "att_1.charge", **refused) == Declined("expired_card", "PSP1", "charge", "6")
    assert await told("AUTHORISATION", "att_1.link-charge", **refused) is None
    assert await told("AUTHORISATION", "att_1.link-authorize", **refused) is None


@pytest.mark.parametrize(
    ("event", "word", "success", "evidence"),
    [
        ("CAPTURE", "capture", "true", Succeeded("PSP1", 1000, "USD", "capture")),
        ("CAPTURE", "capture", "false", Declined("provider_refused", "PSP1", "capture", "CAPTURE")),
        ("CAPTURE_FAILED", "capture", "true", Declined("provider_refused", "PSP1", "capture", "CAPTURE_FAILED")),
        ("CANCELLATION", "void", "true", Succeeded("PSP1", None, None, "void")),
        ("CANCELLATION", "void", "false", Declined("provider_refused", "PSP1", "void", "CANCELLATION")),
        ("TECHNICAL_CANCEL", "void", "true", Succeeded("PSP1", None, None, "void")),
        ("REFUND", "refund", "true", Succeeded("PSP1", 1000, "USD", "refund")),
        ("REFUND", "refund", "false", Declined("provider_refused", "PSP1", "refund", "REFUND")),
        ("REFUND_FAILED", "refund", "true", Declined("provider_refused", "PSP1", "refund", "REFUND_FAILED")),
        ("REFUNDED_REVERSED", "refund", "true", Declined("provider_refused", "PSP1", "refund", "REFUNDED_REVERSED")),
        ("CAPTURE", "refund", "true", None),
        ("CAPTURE", "charge", "true", None),
        ("REPORT_AVAILABLE", "charge", "true", None),
        ("POSTPONED_REFUND", "refund", "true", None),
        ("EXPIRE", "capture", "true", None),
    ],
)
async def test_a_modification_is_proven_by_its_own_event(
    event: str, word: str, success: str, evidence: Evidence | None
) -> None:
    assert await told(event, f"att_1.{word}", originalReference="PSP0", success=success) == evidence


async def test_why_a_modification_failed_is_kept() -> None:
    reason = "Transaction hasn't been captured, refund not possible"
    evidence = await told("REFUND", "att_1.refund", originalReference="PSP0", success="false", reason=reason)
    assert evidence == Declined("provider_refused", "PSP1", "refund", reason)


@pytest.mark.parametrize("money", [{"currency": "ISK", "value": 1050}, {"currency": "XYZ", "value": 1000}])
@pytest.mark.parametrize(
    ("event", "word"),
    [("AUTHORISATION", "charge"), ("AUTHORISATION", "authorize"), ("CAPTURE", "capture"), ("REFUND", "refund")],
)
async def test_money_that_its_currency_cannot_have_proves_nothing(
    event: str, word: str, money: dict[str, object]
) -> None:
    assert isinstance(await told(event, f"att_1.{word}", amount=money), Unknown)


@pytest.mark.parametrize(
    ("event", "success", "change"),
    [
        ("REFUND", "true", ExternalRefund("PSP1", "succeeded", 1000, "USD")),
        ("REFUND", "false", ExternalRefund("PSP1", "failed", 1000, "USD", "provider_refused", "REFUND")),
        ("REFUND_FAILED", "true", ExternalRefund("PSP1", "failed", 1000, "USD", "provider_refused", "REFUND_FAILED")),
        ("CANCELLATION", "true", AuthorizationEnded("canceled")),
        ("CANCELLATION", "false", None),
        ("EXPIRE", "true", AuthorizationEnded("expired")),
        ("CHARGEBACK", "true", Dispute("PSP1", "opened", 1000, "USD")),
        ("CHARGEBACK_REVERSED", "true", Dispute("PSP1", "won", 1000, "USD")),
        ("SECOND_CHARGEBACK", "true", Dispute("PSP1", "lost", 1000, "USD")),
        ("NOTIFICATION_OF_CHARGEBACK", "true", None),
    ],
)
async def test_what_others_changed_is_told_of_the_charge_whose_reference_the_event_has(
    event: str, success: str, change: ExternalChange | None
) -> None:
    assert await told(event, "att_1.link-authorize", originalReference="PSP0", success=success) == change


@pytest.mark.parametrize("reference", ["order-4711", "att_1", "att_1.other", ".charge", "", "testMerchantRef1"])
async def test_payments_of_other_systems_are_no_news(reference: str) -> None:
    assert await told("AUTHORISATION", reference) is None


async def test_another_merchant_account_and_the_other_environment_are_no_news() -> None:
    assert await told("AUTHORISATION", "att_1.charge", merchantAccountCode="OtherECOM") is None
    body = webhook(signed(item()), live="true")
    assert [one.evidence for one in await read(body) or ()] == [None]
    (notice,) = await read(body, mode="live") or ()
    assert isinstance(notice.evidence, Succeeded)


async def test_a_webhook_may_hold_several_items_with_ids_of_their_own() -> None:
    notices = await read(
        webhook(
            signed(item(reference="att_1.charge")),
            signed(item(reference="att_1.charge", success="false", reason="Refused")),
            signed(item("CAPTURE", "att_2.capture", pspReference="PSP2", originalReference="PSP1")),
        )
    )
    assert [(one.id, one.key) for one in notices or ()] == [
        ("AUTHORISATION-PSP1-true", "att_1"),
        ("AUTHORISATION-PSP1-false", "att_1"),
        ("CAPTURE-PSP2-true", "att_2"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"pspReference": "PSP2"},
        {"originalReference": "PSP0"},
        {"merchantAccountCode": "OtherECOM"},
        {"merchantReference": "att_2.charge"},
        {"merchantReference": "att_1.authorize"},
        {"amount": {"value": 1001, "currency": "USD"}},
        {"amount": {"value": 1000, "currency": "EUR"}},
        {"eventCode": "CAPTURE"},
        {"success": "false"},
        {"additionalData": {"hmacSignature": ""}},
        {"additionalData": {"hmacSignature": "é"}},
        {"additionalData": {}},
    ],
)
async def test_a_webhook_of_which_one_item_is_forged_is_refused_whole(changed: dict[str, Any]) -> None:
    right = signed(item(reference="att_3.charge", pspReference="PSP3"))
    assert await read(webhook(right, signed(item()))) is not None
    for items in ([right, signed(item()) | changed], [signed(item()) | changed, right]):
        assert await read(webhook(*items)) is None


async def test_a_signature_with_another_key_or_without_any_is_refused() -> None:
    assert await read(webhook(signed(item(), "00" * 32))) is None
    assert await read(webhook(item())) is None


async def test_what_is_not_signed_is_not_believed() -> None:
    more = {"additionalData": {"paymentLinkId": "PL1"}, "paymentMethod": "mc", "reason": "Refused", "success": "false"}
    evidence = await told("AUTHORISATION", "att_1.charge", **more)
    assert isinstance(evidence, Declined)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"live":"false","notificationItems":[]}', b'{"live":"false","notificationItems":[{}]}'],
)
async def test_what_is_no_notification_is_refused_as_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await read(body)
