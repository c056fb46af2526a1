"""The simulated provider as a process of its own, and a service that it sends its webhooks to."""

import secrets
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import httpx

from paidonce.signing import SIGNATURE, TIMESTAMP, read_secret, signed_headers
from tests.support.merchant_client import Json
from tests.support.service_process import ServiceProcess

PORTS: Final = range(16_000, 32_000)
SECRET: Final = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
OTHER_SECRET: Final = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


Settings = Mapping[str, str]
NONE: Final[Settings] = {}


class ServiceAndProvider(NamedTuple):
    """A service and its provider; ``service.books`` are the provider's."""

    service: ServiceProcess
    simulator: ServiceProcess

    @property
    def provider_url(self) -> str:
        return simulator_url(self.simulator)

    @property
    def webhooks_url(self) -> str:
        return f"{self.service.url}/providers/simulator/webhooks"

    def charges(self) -> list[Json]:
        """Ask the provider for its books."""
        answer = httpx.get(f"{self.provider_url}/charges")
        assert answer.status_code == 200, answer.text
        lines: list[Json] = answer.json()["data"]
        return lines

    def charges_of(self, checkout_id: str) -> list[Json]:
        return [one for one in self.charges() if one["checkoutId"] == checkout_id]

    def faults(self) -> dict[str, int]:
        """Ask the provider how often each fault was dealt."""
        dealt: dict[str, int] = httpx.get(f"{self.provider_url}/faults").json()["data"]
        return dealt

    def succeed_late(self, reference: str) -> None:
        """Have the provider find out that a charge that it declined took place after all."""
        answer = httpx.post(f"{self.provider_url}/charges/{reference}/late-success")
        assert answer.status_code == 200, answer.text


def simulator_url(simulator: ServiceProcess) -> str:
    return simulator.wait_for_line("the simulator is at").rpartition(" ")[2]


def start_service_and_provider(
    start: Callable[..., ServiceProcess],
    database_url: str,
    *options: str,
    tells: bool = True,
    settings: Settings = NONE,
) -> ServiceAndProvider:
    """Start a provider with these options, and a service on it; a provider that does not tell sends no webhooks."""
    port = free_port()
    telling: Sequence[str] = ("--webhook-url", f"http://127.0.0.1:{port}/providers/simulator/webhooks") if tells else ()
    simulator = start(
        "simulator",
        *("--port", "0", "--database", "books.db"),
        *telling,
        *options,
        PAIDONCE_SIMULATOR_WEBHOOK_SECRET=SECRET,
    )
    service = start(
        "dev",
        DATABASE_URL=database_url,
        PORT=str(port),
        PAIDONCE_SIMULATOR_URL=simulator_url(simulator),
        PAIDONCE_SIMULATOR_WEBHOOK_SECRET=SECRET,
        **settings,
    )
    return ServiceAndProvider(service.wait_until_ready(), simulator)


def free_port() -> int:
    """Find a port that nobody has; it is taken by its number, because the other side must know it before.

    It is none of those that the system gives to whoever asks for any: nobody else is given it until it is taken.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def signed(body: bytes, *, message_id: str | None = None, secret: str = SECRET, age_seconds: int = 0) -> dict[str, str]:
    """Sign a webhook as its provider would have, that many seconds ago."""
    now = time.time_ns() // 1_000_000 - age_seconds * 1000
    return signed_headers(
        read_secret(secret), message_id=message_id or f"msg_{secrets.token_hex(8)}", now=now, body=body
    )


def forgeries(body: bytes) -> dict[str, dict[str, str]]:
    """Make headers with which nothing may be believed of ``body``, by what is wrong with them."""
    right = signed(body)
    return {
        "unsigned": {},
        "no signature": {name: value for name, value in right.items() if name != SIGNATURE},
        "no time": {name: value for name, value in right.items() if name != TIMESTAMP},
        "another secret": signed(body, secret=OTHER_SECRET),
        "another body": signed(body + b" "),
        "another id": right | {"webhook-id": "msg_other"},
        "another time": right | {TIMESTAMP: str(int(right[TIMESTAMP]) - 1)},
        "too old": signed(body, age_seconds=301),
        # By more than a second: that may pass before it is looked at.
        "from the future": signed(body, age_seconds=-330),
        "another version": right | {SIGNATURE: right[SIGNATURE].replace("v1,", "v1a,")},
        "an empty signature": right | {SIGNATURE: "v1,"},
        "a time that is no number": right | {TIMESTAMP: "now"},
    }
