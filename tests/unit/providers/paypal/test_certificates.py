"""The certificates that sign PayPal's webhooks: where they are asked for, and which are believed."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from paidonce.providers.base import Provider
from paidonce.providers.paypal.certificates import CERTIFICATES_MAX, FETCHES_MAX, read_chain, trusted_roots
from paidonce.proving.doubles.paypal.signing import make_chain
from tests.support.doubles import NOW, SettableClock
from tests.support.paypal import connected, unreachable
from tests.support.raw_server import Part, RawServer, answer, raw_server
from tests.unit.providers.paypal.signed_webhooks import BODY, PATH, signed

DAY_MS: Final = 24 * 60 * 60 * 1000


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
async def test_nothing_but_a_certificate_is_asked_for(connector: Provider, server: RawServer, path: str) -> None:
    headers = signed(server.url) | {"PAYPAL-CERT-URL": f"{server.url}{path}"}
    assert await connector.read_webhook(headers, BODY) is None
    assert server.requests == []


async def test_strangers_who_name_many_certificates_have_few_asked_for_and_block_no_known_one(
    connector: Provider, server: RawServer, own_clock: SettableClock
) -> None:
    assert await connector.read_webhook(signed(server.url), BODY) is not None
    for number in range(100):
        headers = signed(server.url, whose="somebody") | {"PAYPAL-CERT-URL": f"{server.url}{PATH}{number}"}
        assert await connector.read_webhook(headers, BODY) is None
    assert len(server.requests) == FETCHES_MAX
    assert await connector.read_webhook(signed(server.url), BODY) is not None
    own_clock.now += 60_001
    assert (
        await connector.read_webhook(signed(server.url) | {"PAYPAL-CERT-URL": f"{server.url}{PATH}z"}, BODY) is not None
    )
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
        connected(server.url, clock=SettableClock()) as connector,
    ):
        believed = await connector.read_webhook(signed(server.url), BODY)
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


async def test_a_certificate_that_has_expired_is_asked_for_again(own_clock: SettableClock) -> None:
    short = Part(answer(make_chain(NOW, lifetime=timedelta(days=2))))
    async with (
        raw_server(short, Part(answer(make_chain(NOW)))) as server,
        connected(server.url, clock=own_clock) as connector,
    ):
        assert await connector.read_webhook(signed(server.url), BODY) is not None
        own_clock.now += 2 * DAY_MS
        assert await connector.read_webhook(signed(server.url), BODY) is not None
        assert len(server.requests) == 2
