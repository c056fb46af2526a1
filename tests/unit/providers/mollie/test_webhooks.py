"""Mollie's webhooks: the signed ones, and those that say nothing but which payment may have changed."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from paidonce.errors import ProviderUnavailable, RateLimited
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
    RequiresAction,
    Succeeded,
)
from paidonce.proving.doubles.mollie.server import MollieDouble
from tests.support.doubles import SettableClock, charge_request, modification, page_of, visit
from tests.support.mollie import CAPTURE, PAYMENT, REFUND, WEBHOOK_SECRET, connected, event, signed
from tests.support.raw_server import Part, answer, raw_server

CHARGEBACK: dict[str, Any] = {
    "resource": "chargeback",
    "id": "chb_1",
    "amount": {"currency": "USD", "value": "10.00"},
    "paymentId": "tr_1234",
    "reason": {"code": "AC01", "description": "Account identifier incorrect"},
}
HELD = {"captureMode": "manual", "authorizedAt": "2026-01-02T03:04:05+00:00"}


def classic(reference: str) -> bytes:
    return urlencode({"id": reference}).encode()


async def read(mollie: Provider, body: bytes, **headers: str) -> Sequence[Notice]:
    notices = await mollie.read_webhook(headers, body)
    assert notices is not None
    return notices


async def read_signed(body: bytes) -> Notice:
    """Read a signed webhook of which nothing needs to be asked."""
    async with raw_server() as server, connected(server.url) as mollie:
        (notice,) = await mollie.read_webhook(signed(body), body) or ()
        assert server.requests == []
    return notice


async def bought(mollie: Provider, key: str, *, capture: bool = True, **form: str) -> str:
    found = await mollie.open(charge_request(key, capture=capture))
    assert isinstance(found, RequiresAction)
    if form.get("act") != "wait":
        await visit(page_of(found.action), **({"act": "pay"} | form))
    return found.reference


@pytest.mark.parametrize(
    ("about", "evidence"),
    [
        ({}, Succeeded("tr_1234", 1000, "USD", "charge")),
        ({"status": "authorized", **HELD}, Authorized("tr_1234", 1000, "USD", "charge")),
        ({"status": "pending"}, Accepted("tr_1234")),
        ({"status": "canceled"}, Declined("buyer_canceled", "tr_1234", "charge", "canceled")),
        ({"status": "expired"}, Declined("session_expired", "tr_1234", "charge", "expired")),
        (
            {"status": "failed", "details": {"failureReason": "card_expired"}},
            Declined("expired_card", "tr_1234", "charge", "card_expired"),
        ),
        ({"status": "canceled", **HELD}, AuthorizationEnded("canceled")),
        ({"status": "expired", **HELD}, AuthorizationEnded("expired")),
        ({"status": "open"}, None),
    ],
)
async def test_a_signed_webhook_tells_what_became_of_a_payment(
    about: dict[str, object], evidence: Evidence | ExternalChange | None
) -> None:
    notice = await read_signed(event("payment.any", PAYMENT | about))
    assert (notice.id, notice.key, notice.evidence) == ("event_1", "att_1", evidence)
    # An end is that of this payment, and not of another one that was opened with the same key.
    assert notice.reference == ("tr_1234" if isinstance(evidence, Declined) else None)


@pytest.mark.parametrize(
    ("about", "evidence"),
    [
        (REFUND, Succeeded("re_1", 1000, "USD", "refund")),
        (REFUND | {"status": "queued"}, Accepted("re_1")),
        (REFUND | {"status": "failed"}, Declined("declined", "re_1", "refund", "failed")),
        (CAPTURE | {"status": "pending"}, Accepted("cpt_1")),
        (CAPTURE | {"status": "failed"}, Declined("declined", "cpt_1", "capture", "failed")),
    ],
)
async def test_a_signed_webhook_tells_what_became_of_a_change_of_ours(
    about: dict[str, object], evidence: Evidence
) -> None:
    notice = await read_signed(event("change.any", about))
    assert (notice.id, notice.key, notice.evidence) == ("event_1", "att_1", evidence)


@pytest.mark.parametrize(
    ("about", "change"),
    [
        (REFUND, ExternalRefund("re_1", "succeeded", 1000, "USD")),
        (REFUND | {"status": "processing"}, ExternalRefund("re_1", "pending", 1000, "USD")),
        (REFUND | {"status": "failed"}, ExternalRefund("re_1", "failed", 1000, "USD", "declined", "failed")),
        (CHARGEBACK, Dispute("chb_1", "opened", 1000, "USD", "AC01")),
        (CHARGEBACK | {"reversedAt": "2026-01-02T03:04:05+00:00"}, Dispute("chb_1", "won", 1000, "USD", "AC01")),
    ],
)
async def test_a_signed_webhook_tells_what_happened_without_us_and_to_which_payment(
    about: dict[str, object], change: ExternalChange
) -> None:
    notice = await read_signed(event("change.any", about | {"metadata": None}))
    assert notice == Notice("event_1", None, change, "tr_1234")


async def test_a_signed_webhook_about_a_capture_is_believed_when_the_rest_is_released(
    mollie: Provider, double: MollieDouble
) -> None:
    held = await bought(mollie, "signed-rest", capture=False, settlement="open")
    accepted = await mollie.capture(modification("capture", "signed-rest-c", held, 700))
    assert isinstance(accepted, Accepted)
    await visit(f"{double.books.url}/double/captures/{accepted.reference}/succeeded")
    body = event("capture.succeeded", double.books.found(held).captures[0])
    (notice,) = await read(mollie, body, **signed(body))
    assert notice.key == "signed-rest-c"
    assert isinstance(notice.evidence, Succeeded)
    assert [one.kind for one in double.books.ledger if one.payment_id == held] == [
        "authorization",
        "capture",
        "release",
    ]


async def test_while_a_secret_is_replaced_both_are_believed_and_one_of_several_signatures_is_enough() -> None:
    body = event("payment.paid", PAYMENT)
    async with raw_server() as server, connected(server.url, webhook_secret="old-secret,new-secret") as mollie:
        for secret in ("old-secret", "new-secret"):
            assert await mollie.read_webhook(signed(body, secret), body) is not None
        other, right = (signed(body, secret)["X-Mollie-Signature"] for secret in ("other-secret", "new-secret"))
        assert await mollie.read_webhook({"x-mollie-signature": f"{other}, {right}"}, body) is not None
        assert await mollie.read_webhook(signed(body, "other-secret"), body) is None
        assert await mollie.read_webhook(signed(body, "old-secret,new-secret"), body) is None
    async with raw_server() as server, connected(server.url, webhook_secret="") as mollie:
        for secret in ("", WEBHOOK_SECRET):
            assert await mollie.read_webhook(signed(body, secret), body) is None
        assert server.requests == []


async def test_an_unsigned_webhook_is_believed_only_in_that_mollie_is_asked(mollie: Provider) -> None:
    reference = await bought(mollie, "asked")
    (notice,) = await read(mollie, classic(reference))
    assert (notice.key, notice.evidence) == ("asked", Succeeded(reference, 1000, "USD", "charge"))
    assert await read(mollie, classic(reference)) == [notice], "the same news has the same id"


@pytest.mark.parametrize("act", ["wait", "begin", "fail", "cancel", "expire"])
async def test_an_unsigned_webhook_tells_a_payment_as_it_is_and_nothing_of_one_that_waits(
    mollie: Provider, act: str
) -> None:
    reference = await bought(mollie, f"as-{act}", act=act)
    (notice,) = await read(mollie, classic(reference))
    assert notice.key == f"as-{act}"
    assert type(notice.evidence) is {"wait": type(None), "begin": Accepted}.get(act, Declined)


async def test_each_news_of_a_payment_has_an_id_of_its_own(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "ids", capture=False)
    first = await read(mollie, classic(held))
    await mollie.capture(modification("capture", "ids-c", held, 700))
    await mollie.refund(modification("refund", "ids-r", held, 300))
    url = f"{double.books.url}/double/payments/{held}"
    await visit(f"{url}/refunds", value="1.00")
    await visit(f"{url}/chargebacks", value="2.00")
    notices = await read(mollie, classic(held))
    assert len({one.id for one in [*first, *notices]}) == len(first) + len(notices)
    assert [(one.key, type(one.evidence)) for one in notices] == [
        ("ids", Authorized),
        ("ids-c", Succeeded),
        ("ids-r", Succeeded),
        ("ids", ExternalRefund),
        ("ids", Dispute),
    ]
    assert {one.reference for one in notices[3:]} == {held}


async def test_a_release_in_the_dashboard_ends_the_authorization(mollie: Provider, double: MollieDouble) -> None:
    held = await bought(mollie, "released", capture=False)
    double.books.found(held).payment.update(status="canceled")
    (notice,) = await read(mollie, classic(held))
    assert (notice.key, notice.evidence) == ("released", AuthorizationEnded("canceled"))


async def test_strangers_who_send_ids_are_all_told_the_same_and_cannot_fill_the_table(mollie: Provider) -> None:
    told = [await read(mollie, classic(f"tr_nobody{number}")) for number in range(5)]
    assert told == [told[0]] * 5
    assert [(one.key, one.evidence) for one in told[0]] == [(None, None)]


async def test_a_payment_of_another_system_is_as_one_that_is_not_there(mollie: Provider, double: MollieDouble) -> None:
    reference = await bought(mollie, "theirs")
    double.books.found(reference).payment["metadata"] = {"order": 5}
    assert await read(mollie, classic(reference)) == await read(mollie, classic("tr_nobody"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"id=",
        b"id=tr_",
        b"id=re_1234",
        b"id=../methods",
        b"id=tr_1234/refunds",
        b"id=tr_1234%2Frefunds",
        b"id=tr_1234%00",
        b"id=tr_1234&id=tr_5678",
        b"id=tr_" + b"x" * 1000,
        b'{"id": "tr_1234"}',
        b"\xff",
        event("payment.paid", PAYMENT),
    ],
)
async def test_what_is_no_id_of_a_payment_causes_no_request(body: bytes) -> None:
    async with raw_server() as server, connected(server.url) as mollie:
        assert await mollie.read_webhook({}, body) is None
        assert server.requests == []


async def test_a_wrong_signature_is_not_taken_for_none() -> None:
    body = classic("tr_1234")
    async with raw_server() as server, connected(server.url) as mollie:
        for header in ("sha256=00", "", *signed(body, "other-secret").values()):
            assert await mollie.read_webhook({"X-Mollie-Signature": header}, body) is None
        assert server.requests == []


async def test_unsigned_webhooks_cost_a_limited_number_of_requests(
    mollie: Provider, double: MollieDouble, clock: SettableClock
) -> None:
    results: list[object] = []
    for number in range(230):
        try:
            results.append(await read(mollie, classic(f"tr_flood{number}")))
        except RateLimited as limited:
            results.append(limited.wait_seconds)
    waits = [one for one in results if isinstance(one, float)]
    assert waits
    assert min(waits) >= 1
    assert len(double.requests) == len(results) - len(waits) <= 200
    clock.now += 1000
    await read(mollie, classic("tr_later"))


async def test_a_slow_mollie_is_asked_about_few_unsigned_webhooks_at_once() -> None:
    async with raw_server(Part()) as server, connected(server.url) as mollie:
        waiting = [asyncio.create_task(read(mollie, classic(f"tr_slow{number}"))) for number in range(50)]
        async with asyncio.timeout(60):
            while sum(one.done() for one in waiting) < 42:  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0)
            await server.wait_for_requests(8)
        refused = [one.exception() for one in waiting if one.done()]
        assert len(refused) == 42
        assert all(isinstance(one, RateLimited) for one in refused)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    "raw", [answer(b"<html>", "502 Bad Gateway"), answer(b"{}", "200 OK"), answer(b"", "302 Found")]
)
async def test_an_unsigned_webhook_is_not_acknowledged_while_mollie_cannot_be_asked(raw: bytes) -> None:
    async with raw_server(Part(raw)) as server, connected(server.url) as mollie:
        with pytest.raises(ProviderUnavailable):
            await mollie.read_webhook({}, classic("tr_1234"))


async def test_another_payment_than_the_named_one_is_not_believed() -> None:
    async with raw_server(Part(answer(json.dumps(PAYMENT).encode()))) as server, connected(server.url) as mollie:
        with pytest.raises(ProviderUnavailable):
            await mollie.read_webhook({}, classic("tr_5678"))
