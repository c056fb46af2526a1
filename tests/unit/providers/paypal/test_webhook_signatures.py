"""PayPal's webhooks: which signatures are believed."""

import base64

import pytest

from paidonce.providers.base import Provider
from paidonce.providers.evidence import (
    Succeeded,
)
from tests.support.doubles import SettableClock
from tests.support.paypal import connected
from tests.support.raw_server import RawServer
from tests.unit.providers.paypal.signed_webhooks import BODY, PATH, read, signed


async def test_a_webhook_that_is_signed_is_read_and_its_certificate_is_asked_for_once(
    connector: Provider, server: RawServer
) -> None:
    for _ in range(3):
        assert await read(connector, server, BODY) == ("att_1", Succeeded("C1", 1000, "USD", "charge"), None)
    assert len(server.requests) == 1
    assert server.requests[0].startswith(f"GET {PATH} ".encode())


async def test_a_webhook_is_read_whatever_the_case_of_its_headers(connector: Provider, server: RawServer) -> None:
    headers = {name.lower(): value for name, value in signed(server.url).items()}
    assert await connector.read_webhook(headers, BODY) is not None


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
    connector: Provider, server: RawServer, wrong: dict[str, str]
) -> None:
    assert await connector.read_webhook({**signed(server.url), **wrong}, BODY) is None


async def test_a_webhook_for_another_endpoint_with_another_key_or_body_is_not_believed(
    connector: Provider, server: RawServer
) -> None:
    assert await connector.read_webhook(signed(server.url, webhook_id="OTHERWEBHOOK01"), BODY) is None
    assert await connector.read_webhook(signed(server.url, whose="somebody"), BODY) is None
    assert await connector.read_webhook(signed(server.url), BODY + b" ") is None
    assert await connector.read_webhook({}, BODY) is None


@pytest.mark.parametrize(("time", "believed"), [("2026-09-17T14:13:20Z", True), ("2026-09-17T14:13:19Z", False)])
async def test_a_webhook_is_believed_for_as_long_as_paypal_repeats_it(
    connector: Provider, server: RawServer, time: str, *, believed: bool
) -> None:
    assert (await connector.read_webhook(signed(server.url, time=time), BODY) is not None) is believed


async def test_a_webhook_from_the_future_is_not_believed(connector: Provider, server: RawServer) -> None:
    assert await connector.read_webhook(signed(server.url, time="2026-09-21T14:18:21Z"), BODY) is None


async def test_without_a_webhook_id_no_webhook_is_believed(server: RawServer) -> None:
    async with connected(server.url, webhook_id="", clock=SettableClock()) as without:
        assert await without.read_webhook(signed(server.url, webhook_id=""), BODY) is None
    assert server.requests == []
