"""PayPal's certificates, whose keys sign webhooks.

From "Integrate webhooks" (developer.paypal.com/api/rest/webhooks/rest, read 2026-11): a webhook names the URL of the
certificate. Anybody can send a webhook, so that the URL must be on PayPal's own API host: no other host is ever asked.
The certificate is believed where its chain ends at a root that this machine trusts, and where it was issued for a host
of paypal.com.
"""

import asyncio
import re
import ssl
import warnings
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from paidonce.clock import Instant
from paidonce.http_client import HttpClient, NoAnswer
from paidonce.providers.base import Connection

log = structlog.get_logger()

HOSTS: Final = {
    "test": frozenset({"https://api.sandbox.paypal.com", "https://api-m.sandbox.paypal.com"}),
    "live": frozenset({"https://api.paypal.com", "https://api-m.paypal.com"}),
}
PLACE: Final = re.compile(r"(https?://[A-Za-z0-9.:-]{1,100})(/v1/notifications/certs/[A-Za-z0-9_-]{1,100})")
OWNER: Final = re.compile(r"(?:[a-z0-9-]+\.)+paypal\.com")  # As in messageverificationcerts.paypal.com.

CERTIFICATE_BYTES_MAX: Final = 64 * 1024  # A chain of three has about 6 KB.
CERTIFICATES_MAX: Final = 16  # That are remembered. PayPal uses one or two at a time.
FETCHES_MAX: Final = 10  # In each window, also where strangers name certificates that do not exist.
WINDOW_MS: Final = 60_000


class Certificates:
    """The keys of certificates, by URL. Create it inside the event loop that uses it."""

    def __init__(self, connection: Connection) -> None:
        self._hosts: Final = frozenset({connection.url.rstrip("/")}) if connection.url else HOSTS[connection.mode]
        self._trusts_own_root: Final = bool(connection.url)
        self._timeout_seconds: Final = connection.timeout_seconds
        self._clock: Final = connection.clock
        self._clients: Final[dict[str, HttpClient]] = {}
        self._keys: Final[dict[str, tuple[RSAPublicKey, Instant]]] = {}
        self._fetching: Final = asyncio.Lock()
        self._fetched_at: list[Instant] = []

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def key_of(self, url: str) -> RSAPublicKey | None:
        """Return the key of the certificate at a URL; None where it is not PayPal's, or cannot be had now."""
        place = PLACE.fullmatch(url)
        if place is None or place[1] not in self._hosts:
            return None
        if (key := self._remembered(url)) is not None:
            return key
        async with self._fetching:
            return self._remembered(url) or await self._fetch(url, place[1], place[2])

    def _remembered(self, url: str) -> RSAPublicKey | None:
        key, expires_at = self._keys.get(url, (None, 0))
        return key if self._clock() < expires_at else None

    async def _fetch(self, url: str, host: str, path: str) -> RSAPublicKey | None:
        now = self._clock()
        self._fetched_at = [one for one in self._fetched_at if one > now - WINDOW_MS]
        if len(self._fetched_at) >= FETCHES_MAX:
            log.warning("webhook_certificates_limited", provider="paypal")
            return None
        self._fetched_at.append(now)
        try:
            answer = await self._client(host).request("GET", path)
        except NoAnswer as error:
            log.warning("webhook_certificate_missing", provider="paypal", reason=str(error))
            return None
        found = read_chain(answer.body, now, trusts_own_root=self._trusts_own_root)
        if found is None:
            log.warning("webhook_certificate_refused", provider="paypal", status=answer.status)
            return None
        while len(self._keys) >= CERTIFICATES_MAX:
            del self._keys[next(iter(self._keys))]
        self._keys[url] = found
        return found[0]

    def _client(self, host: str) -> HttpClient:
        if host not in self._clients:
            self._clients[host] = HttpClient(
                host,
                timeout_seconds=self._timeout_seconds,
                connections_max=1,
                answer_bytes_max=CERTIFICATE_BYTES_MAX,
            )
        return self._clients[host]


def read_chain(pem: bytes, now: Instant, *, trusts_own_root: bool = False) -> tuple[RSAPublicKey, Instant] | None:
    """Return the key of the first certificate and when that expires; None where the chain is not valid.

    ``trusts_own_root``: the last certificate of the chain is the root, as at a test server that the operator has named.
    """
    try:
        leaf, *others = x509.load_pem_x509_certificates(pem)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        owner = next(name for name in names.get_values_for_type(x509.DNSName) if OWNER.fullmatch(name))
        roots = others[-1:] if trusts_own_root else list(trusted_roots())
        time = datetime.fromtimestamp(now / 1000, UTC)
        verifier = PolicyBuilder().store(Store(roots)).time(time).build_server_verifier(x509.DNSName(owner))
        verifier.verify(leaf, others)
    except (ValueError, StopIteration, x509.ExtensionNotFound, VerificationError):
        return None
    key = leaf.public_key()
    return (key, int(leaf.not_valid_after_utc.timestamp() * 1000)) if isinstance(key, RSAPublicKey) else None


def trusted_roots() -> Iterable[x509.Certificate]:
    """Yield the roots that this machine trusts for HTTPS."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    folder = ssl.get_default_verify_paths().capath
    if not found and folder:  # OpenSSL reads the files of a folder only when it needs them.
        for path in Path(folder).glob("*.[0-9]"):
            with suppress(OSError, ValueError):
                found.append(ssl.PEM_cert_to_DER_cert(path.read_text().strip()))
    for der in found:
        with suppress(ValueError), warnings.catch_warnings():
            # Some old roots have serial numbers that RFC 5280 does not allow.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            yield x509.load_der_x509_certificate(der)
