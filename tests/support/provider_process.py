"""The simulated provider in a separate process, and a service that receives its webhooks."""

import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import httpx

from paidonce.proving.processes import free_port
from paidonce.signing import SIGNATURE, TIMESTAMP, read_secret, signed_headers
from tests.support.merchant_client import Json
from tests.support.service_process import ServiceProcess

SECRET: Final = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
OTHER_SECRET: Final = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


Settings = Mapping[str, str]
NONE: Final[Settings] = {}


class ServiceAndProvider(NamedTuple):
    """A service and its provider. ``service.books`` are the provider's books."""

    service: ServiceProcess
    simulator: ServiceProcess

    @property
    def provider_url(self) -> str:
        return simulator_url(self.simulator)

    @property
    def webhooks_url(self) -> str:
        return f"{self.service.url}/providers/simulator/webhooks"

    def charges(self) -> list[Json]:
        """Read the books of the provider over HTTP."""
        answer = httpx.get(f"{self.provider_url}/charges")
        assert answer.status_code == 200, answer.text
        lines: list[Json] = answer.json()["data"]
        return lines

    def charges_of(self, checkout_id: str) -> list[Json]:
        return [one for one in self.charges() if one["checkoutId"] == checkout_id]

    def faults(self) -> dict[str, int]:
        """Read how often each fault occurred."""
        dealt: dict[str, int] = httpx.get(f"{self.provider_url}/faults").json()["data"]
        return dealt

    def in_dashboard(self, path: str, **fields: object) -> Json:
        """Do something in the provider's dashboard; returns what its webhook tells."""
        answer = httpx.post(f"{self.provider_url}/dashboard/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    def succeed_late(self, reference: str) -> None:
        """Make a declined charge succeed late at the provider."""
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
    """Start a provider with these options, and a service that uses it. With ``tells=False`` it sends no webhooks."""
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


def signed(body: bytes, *, message_id: str | None = None, secret: str = SECRET, age_seconds: int = 0) -> dict[str, str]:
    """Sign a webhook as its provider would have, ``age_seconds`` ago."""
    now = time.time_ns() // 1_000_000 - age_seconds * 1000
    return signed_headers(
        read_secret(secret), message_id=message_id or f"msg_{secrets.token_hex(8)}", now=now, body=body
    )


def forgeries(body: bytes) -> dict[str, dict[str, str]]:
    """Return invalid headers for ``body``, by what is wrong with them."""
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
