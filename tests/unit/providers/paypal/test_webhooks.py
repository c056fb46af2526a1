"""PayPal's webhooks: signatures that are believed, hosts that are asked, and what each event proves."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
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
from paidonce.providers.paypal.certificates import CERTIFICATES_MAX, FETCHES_MAX, read_chain, trusted_roots
from paidonce.proving.doubles.paypal.signing import make_chain, signed_headers
from tests.support.doubles import NOW, SettableClock
from tests.support.paypal import WEBHOOK_ID, connected, event, unreachable
from tests.support.raw_server import Part, RawServer, answer, raw_server

TIME: Final = "2026-09-21T14:13:20Z"  # That of NOW.
DAY_MS: Final = 24 * 60 * 60 * 1000
PATH: Final = "/v1/notifications/certs/CERT-1"
MONEY: Final = {"currency_code": "USD", "value": "10.00"}
CAPTURE: Final[dict[str, Any]] = {"id": "C1", "status": "COMPLETED", "amount": MONEY, "custom_id": "att_1"}
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
BODY: Final = event("PAYMENT.CAPTURE.COMPLETED", CAPTURE)


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


def signed(url: str, body: bytes = BODY, *, time: str = TIME, **changed: str) -> dict[str, str]:
    whose, webhook_id = changed.pop("whose", "leaf"), changed.pop("webhook_id", WEBHOOK_ID)
    made = signed_headers(body, webhook_id, f"{url}{PATH}", transmission_id="T1", time=time, whose=whose)
    return {**made, **{name.replace("_", "-"): value for name, value in changed.items()}}


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server(Part(answer(make_chain(NOW)))) as one:
        yield one


@pytest.fixture
async def paypal(server: RawServer, clock: SettableClock) -> AsyncIterator[Provider]:
    async with connected(server.url, clock=clock) as provider:
        yield provider


async def read(
    paypal: Provider, server: RawServer, body: bytes
) -> tuple[str | None, Evidence | ExternalChange | None, str | None]:
    notices = await paypal.read_webhook(signed(server.url, body), body)
    assert notices is not None
    (notice,) = notices
    assert notice.id == "WH-1"
    return notice.key, notice.evidence, notice.reference


async def test_a_webhook_that_is_signed_is_read_and_its_certificate_is_asked_for_once(
    paypal: Provider, server: RawServer
) -> None:
    for _ in range(3):
        assert await read(paypal, server, BODY) == ("att_1", Succeeded("C1", 1000, "USD", "charge"), None)
    assert len(server.requests) == 1
    assert server.requests[0].startswith(f"GET {PATH} ".encode())


async def test_a_webhook_is_read_whatever_the_case_of_its_headers(paypal: Provider, server: RawServer) -> None:
    headers = {name.lower(): value for name, value in signed(server.url).items()}
    assert await paypal.read_webhook(headers, BODY) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"PAYPAL-TRANSMISSION-SIG": ""},
        {"PAYPAL-TRANSMISSION-SIG": "not base64"},
        {"PAYPAL-TRANSMISSION-SIG": base64.b64encode(b"x" * 256).decode()},
        {"PAYPAL-TRANSMISSION-ID": "T2"},
        {"PAYPAL-TRANSMISSION-TIME": "2026-09-21T14:13:21Z"},
        {"PAYPAL-TRANSMISSION-TIME": "yesterday"},
        {"PAYPAL-TRANSMISSION-TIME": "2026-09-21T14:13:20"},
        {"PAYPAL-AUTH-ALGO": "SHA1withRSA"},
        {"PAYPAL-AUTH-ALGO": ""},
        {"PAYPAL-CERT-URL": ""},
        {"PAYPAL-EXTRA": "x" * 2000},
    ],
)
async def test_a_webhook_with_a_wrong_header_is_not_believed(
    paypal: Provider, server: RawServer, wrong: dict[str, str]
) -> None:
    assert await paypal.read_webhook({**signed(server.url), **wrong}, BODY) is None


async def test_a_webhook_for_another_endpoint_with_another_key_or_body_is_not_believed(
    paypal: Provider, server: RawServer
) -> None:
    assert await paypal.read_webhook(signed(server.url, webhook_id="OTHERWEBHOOK01"), BODY) is None
    assert await paypal.read_webhook(signed(server.url, whose="somebody"), BODY) is None
    assert await paypal.read_webhook(signed(server.url), BODY + b" ") is None
    assert await paypal.read_webhook({}, BODY) is None


@pytest.mark.parametrize(("time", "believed"), [("2026-09-17T14:13:20Z", True), ("2026-09-17T14:13:19Z", False)])
async def test_a_webhook_is_believed_for_as_long_as_paypal_repeats_it(
    paypal: Provider, server: RawServer, time: str, *, believed: bool
) -> None:
    assert (await paypal.read_webhook(signed(server.url, time=time), BODY) is not None) is believed


async def test_a_webhook_from_the_future_is_not_believed(paypal: Provider, server: RawServer) -> None:
    assert await paypal.read_webhook(signed(server.url, time="2026-09-21T14:18:21Z"), BODY) is None


async def test_without_a_webhook_id_no_webhook_is_believed(server: RawServer) -> None:
    async with connected(server.url, webhook_id="", clock=SettableClock()) as without:
        assert await without.read_webhook(signed(server.url, webhook_id=""), BODY) is None
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example",
        "https://api.sandbox.paypal.com.elsewhere.example",
        "https://api.sandbox.paypal.com@elsewhere.example",
        "https://elsewhere.example#api.sandbox.paypal.com",
        "http://api.sandbox.paypal.com",
        "https://api.sandbox.paypal.com:8443",
        "https://www.paypal.com",
    ],
)
@pytest.mark.parametrize("mode", ["test", "live"])
async def test_no_host_but_paypals_is_ever_asked_for_a_certificate(url: str, mode: str) -> None:
    provider = unreachable(mode, clock=SettableClock())
    asked: list[str] = []
    provider._certificates._client = asked.append  # type: ignore[attr-defined]  # noqa: SLF001 - what would be asked
    assert await provider.read_webhook(signed(url), BODY) is None
    assert asked == []
    await provider.disconnect()


@pytest.mark.parametrize(
    "path", ["/v1/notifications/certs/", "/v1/notifications/certs/../../oauth2/token", "/elsewhere", f"{PATH}?x=1"]
)
async def test_nothing_but_a_certificate_is_asked_for(paypal: Provider, server: RawServer, path: str) -> None:
    headers = signed(server.url) | {"PAYPAL-CERT-URL": f"{server.url}{path}"}
    assert await paypal.read_webhook(headers, BODY) is None
    assert server.requests == []


async def test_strangers_who_name_many_certificates_have_few_asked_for_and_block_no_known_one(
    paypal: Provider, server: RawServer, clock: SettableClock
) -> None:
    assert await paypal.read_webhook(signed(server.url), BODY) is not None
    for number in range(100):
        headers = signed(server.url, whose="somebody") | {"PAYPAL-CERT-URL": f"{server.url}{PATH}{number}"}
        assert await paypal.read_webhook(headers, BODY) is None
    assert len(server.requests) == FETCHES_MAX
    assert await paypal.read_webhook(signed(server.url), BODY) is not None
    clock.now += 60_001
    assert await paypal.read_webhook(signed(server.url) | {"PAYPAL-CERT-URL": f"{server.url}{PATH}z"}, BODY) is not None
    assert CERTIFICATES_MAX > FETCHES_MAX


@pytest.mark.parametrize(
    "content",
    [
        answer(b"<html>"),
        answer(b""),
        answer(make_chain(NOW), "302 Found", "location: /elsewhere"),
        answer(b"x" * 70_000),
    ],
)
async def test_a_certificate_that_cannot_be_had_is_not_believed(content: bytes) -> None:
    broken = content.startswith(b"HTTP/1.1 302")
    async with (
        raw_server(Part(content)) as server,
        connected(server.url, clock=SettableClock()) as paypal,
    ):
        believed = await paypal.read_webhook(signed(server.url), BODY)
    assert believed is None or broken


def test_a_chain_is_valid_for_its_owner_and_time_and_with_its_root() -> None:
    chain = make_chain(NOW)
    assert read_chain(chain, NOW, trusts_own_root=True) is not None
    assert read_chain(chain, NOW) is None, "nobody trusts its root"
    leaf = chain[: chain.index(b"-----END CERTIFICATE-----") + 26]
    assert read_chain(leaf, NOW, trusts_own_root=True) is None
    other = make_chain(NOW, whose="leaf", owner="messageverificationcerts.paypal.com.elsewhere.example")
    assert read_chain(other, NOW, trusts_own_root=True) is None
    short = make_chain(NOW, lifetime=timedelta(days=2))
    assert read_chain(short, NOW, trusts_own_root=True) is not None
    assert read_chain(short, NOW + 2 * DAY_MS, trusts_own_root=True) is None
    assert read_chain(chain, NOW - 2 * DAY_MS, trusts_own_root=True) is None


def test_a_leaf_that_another_root_signed_is_not_believed() -> None:
    chain, other = make_chain(NOW), make_chain(NOW, root="another root")
    end = b"-----END CERTIFICATE-----\n"
    leaf, root = other.partition(end)[0] + end, chain.partition(end)[2]
    assert read_chain(leaf + root, NOW, trusts_own_root=True) is None


@pytest.mark.parametrize("place", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_chain_is_believed_whose_root_this_machine_trusts_for_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    chain = make_chain(NOW)
    (tmp_path / "5f3a1c0e.0").write_bytes(chain.partition(b"-----END CERTIFICATE-----\n")[2])
    (tmp_path / "00000000.0").write_bytes(b"\xff")
    (tmp_path / "00000001.0").symlink_to(tmp_path / "nowhere.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert list(trusted_roots()) == []
    assert read_chain(chain, NOW) is None
    monkeypatch.setenv(place, str(tmp_path if place == "SSL_CERT_DIR" else tmp_path / "5f3a1c0e.0"))
    assert read_chain(chain, NOW) is not None
    assert read_chain(make_chain(NOW, root="another root"), NOW) is None


def test_roots_that_cannot_be_read_are_left_out() -> None:
    assert all(one.subject for one in trusted_roots())


async def test_a_certificate_that_has_expired_is_asked_for_again(clock: SettableClock) -> None:
    short = Part(answer(make_chain(NOW, lifetime=timedelta(days=2))))
    async with raw_server(short, Part(answer(make_chain(NOW)))) as server, connected(server.url, clock=clock) as paypal:
        assert await paypal.read_webhook(signed(server.url), BODY) is not None
        clock.now += 2 * DAY_MS
        assert await paypal.read_webhook(signed(server.url), BODY) is not None
        assert len(server.requests) == 2


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
    *, paypal: Provider, server: RawServer, name: str, about: dict[str, Any], key: str, evidence: Evidence
) -> None:
    assert await read(paypal, server, event(name, about)) == (key, evidence, None)


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
    paypal: Provider,
    server: RawServer,
    name: str,
    about: dict[str, Any],
    key: str | None,
    evidence: ExternalChange,
    reference: str | None,
) -> None:
    assert await read(paypal, server, event(name, about)) == (key, evidence, reference)


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
    paypal: Provider, server: RawServer, name: str, about: dict[str, Any], reason: str
) -> None:
    key, change, reference = await read(paypal, server, event(f"CUSTOMER.DISPUTE.{name}", about))
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
    paypal: Provider, server: RawServer, name: str, about: dict[str, Any]
) -> None:
    assert await read(paypal, server, event(name, about)) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}'],
)
async def test_a_signed_body_that_is_no_event_is_malformed(paypal: Provider, server: RawServer, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        await paypal.read_webhook(signed(server.url, body), body)


async def test_an_event_whose_resource_is_not_what_its_name_says_is_malformed(
    paypal: Provider, server: RawServer
) -> None:
    body = event("PAYMENT.CAPTURE.COMPLETED", {"id": 7})
    with pytest.raises(MalformedBody):
        await paypal.read_webhook(signed(server.url, body), body)
