"""The requests, as bytes that every subject accepts, and what is read from their responses."""

import secrets
from collections.abc import Iterator
from datetime import datetime
from itertools import cycle, islice
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import click
import msgspec

from bench.plan import CONNECTIONS
from bench.subjects import Merchant, Subject
from bench.wire import Answer, Client, connect


class Seen(msgspec.Struct, frozen=True, rename="camel"):
    """What every subject returns about a checkout."""

    id: str
    status: str
    updated_at: datetime


seen: Final = msgspec.json.Decoder(Seen)


class Made(NamedTuple):
    """A checkout and its merchant."""

    id: str
    merchant: Merchant


class Calls:
    """Builds the requests of one subject, each with the API key of its merchant where keys are used."""

    def __init__(self, subject: Subject) -> None:
        self._host = urlsplit(subject.url).netloc
        self._merchants = subject.merchants

    def creates(self, count: int) -> Iterator[bytes]:
        """Build creates of ``count`` checkouts, for each merchant in turn, each with a new idempotency key."""
        prefix = fresh_prefix()
        for number, merchant in enumerate(islice(cycle(self._merchants), count)):
            body = (
                f'{{"merchantId":"{merchant.id}","amount":1000,"currency":"USD","idempotencyKey":"{prefix}{number}"}}'
            )
            yield self._request("POST", "/checkouts", merchant, body)

    def made(self, answers: list[Answer]) -> list[Made]:
        """Return the checkouts that ``creates`` created, from all of its responses in order. Refused ones are left
        out.
        """
        pairs = zip(answers, cycle(self._merchants), strict=False)
        return [Made(seen.decode(answer.body).id, merchant) for answer, merchant in pairs if answer.ok]

    def get(self, made: Made) -> bytes:
        """Read a checkout."""
        return self._request("GET", f"/checkouts/{made.id}", made.merchant)

    def list(self, merchant: Merchant) -> bytes:
        """Read the newest page of a merchant's checkouts."""
        return self._request("GET", f"/checkouts?merchantId={merchant.id}", merchant)

    def pay(self, made: Made, *, wait_seconds: int = 0) -> bytes:
        """Pay a checkout without a body. With ``wait_seconds``, the response comes when the payment has ended."""
        prefer = f"Prefer: wait={wait_seconds}\r\n" if wait_seconds else ""
        return self._request("POST", f"/checkouts/{made.id}/pay", made.merchant, headers=prefer)

    def _request(self, method: str, path: str, merchant: Merchant, body: str = "", *, headers: str = "") -> bytes:
        if merchant.authorization:
            headers += f"Authorization: {merchant.authorization}\r\n"
        if body:
            headers += "Content-Type: application/json\r\n"
        if method == "POST":
            headers += f"Content-Length: {len(body)}\r\n"
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n{body}".encode()


async def create_on(client: Client, subject: Subject, count: int) -> list[Made]:
    """Create checkouts; raises ClickException if one is refused."""
    calls = Calls(subject)
    answers = await client.send_all(calls.creates(count))
    refused = next((answer for answer in answers if not answer.ok), None)
    if refused is not None:
        text = refused.body.decode(errors="replace")
        raise click.ClickException(f"{subject.name} did not create a checkout: {refused.status} {text}")
    return calls.made(answers)


async def create_some(subject: Subject, count: int) -> list[Made]:
    """Create checkouts over new connections."""
    async with connect(subject.url, CONNECTIONS) as client:
        return await create_on(client, subject, count)


def fresh_prefix() -> str:
    """Return a prefix for idempotency keys that no earlier run against the same service has used."""
    return f"{secrets.token_hex(6)}-"
