"""Request headers that mean something here: Authorization, Idempotency-Key, Prefer."""

import re
from typing import Final

from starlette.requests import Request

from paidonce.errors import InvalidIdempotencyKey

BEARER: Final = "bearer "
IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
PREFER_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)
WAIT_SECONDS_MAX: Final = 30


def header_of(request: Request, name: bytes) -> str | None:
    """Return the first header of this name, in lower case; None where there is none."""
    values = headers_of(request, name)
    return values[0] if values else None


def headers_of(request: Request, name: bytes) -> list[str]:
    """Return all headers of this name, in lower case.

    Each call of the API reads several. Starlette's ``Headers`` takes three times as long for each.
    """
    return [str(value, "latin-1") for given, value in request.scope["headers"] if given == name]


def secret_of(request: Request) -> bytes:
    """Read the key that a request bears; empty where it bears none."""
    given = header_of(request, b"authorization") or ""
    return given[len(BEARER) :].strip().encode() if given[: len(BEARER)].lower() == BEARER else b""


def read_idempotency_key(header: str | None) -> str | None:
    """Read the ``Idempotency-Key`` header, quoted or bare; raises InvalidIdempotencyKey. None where it is absent."""
    if header is None:
        return None
    key = header.strip()
    if len(key) > 1 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not IDEMPOTENCY_KEY.fullmatch(key) or not key.strip():
        message = "The Idempotency-Key header must be 1 to 255 printable ASCII characters."
        raise InvalidIdempotencyKey(message)
    return key


def merge_idempotency_keys(header: str | None, body: str | None) -> str | None:
    """Join the header's key and the body's: the same thing; raises InvalidIdempotencyKey where they differ."""
    key = read_idempotency_key(header)
    if key is not None and body is not None and key != body:
        message = "The Idempotency-Key header and idempotencyKey in the body differ. Send one of them, or equal values."
        raise InvalidIdempotencyKey(message)
    return body if key is None else key


def read_wait_seconds(prefer: str | None) -> int:
    """Read ``Prefer: wait=N``, N up to 30; 0 where it is absent. What is not understood is ignored."""
    found = PREFER_WAIT.search(prefer) if prefer else None
    return min(int(found[1]), WAIT_SECONDS_MAX) if found else 0
