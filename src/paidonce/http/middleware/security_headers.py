"""Headers that protect the reader of every response."""

from collections.abc import Iterable
from typing import Final

from paidonce.http.context import Header

# A response is no page, is never shown inside another site's, and is kept by no cache: many hold what is secret.
PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


def with_security_headers(headers: Iterable[Header]) -> list[Header]:
    """Add the headers; one that the response has of its own stays."""
    present = {name for name, _ in headers}
    return [*headers, *(one for one in PROTECTION if one[0] not in present)]
