"""The certificate of the double, and the signatures of its webhooks.

From "Integrate webhooks" (developer.paypal.com/api/rest/webhooks/rest): RSA with SHA-256 of ``transmission id|time|
webhook id|CRC-32 of the body``.
"""

import base64
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paidonce.clock import Instant

OWNER: Final = "messageverificationcerts.sandbox.paypal.com"
VALID: Final = timedelta(days=3650)


@cache
def _key(_whose: str) -> RSAPrivateKey:
    """Make a key, once in a process: that takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def make_chain(
    now: Instant, *, owner: str = OWNER, whose: str = "leaf", root: str = "root", lifetime: timedelta = VALID
) -> bytes:
    """Make a certificate for ``owner``, and the root that has signed it, as one PEM text. ``whose`` and ``root`` name
    their keys.
    """
    begins = datetime.fromtimestamp(now / 1000, UTC) - timedelta(days=1)
    root_name, root_key = _name("Root of the double of PayPal"), _key(root)
    authority = (
        _builder(root_name, root_name, root_key, begins, VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, SHA256())
    )
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = (
        _builder(_name(owner), root_name, _key(whose), begins, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(owner)]), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, SHA256())
    )
    return leaf.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)


def signed_headers(
    body: bytes, webhook_id: str, cert_url: str, *, transmission_id: str, time: str, whose: str = "leaf"
) -> Mapping[str, str]:
    """Return the headers of a webhook, signed with the key of the certificate."""
    message = f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()
    return {
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(_key(whose).sign(message, PKCS1v15(), SHA256())).decode(),
        "PAYPAL-CERT-URL": cert_url,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: RSAPrivateKey,
    begins: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
