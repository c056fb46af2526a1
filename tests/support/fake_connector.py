"""A connector whose provider exists only in the test: it records how it is opened, and every call."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from paidonce.money import Money
from paidonce.providers.base import (
    Capabilities,
    ChargeRequest,
    Connection,
    Connector,
    CredentialField,
    Modification,
    OperationSupport,
    WantedCharge,
)
from paidonce.providers.evidence import Evidence, Notice, Unknown

KEY: Final = "fk_test_0123456789abcdef"
LIVE_KEY: Final = "fk_live_0123456789abcdef"
OTHER_KEY: Final = "fk_test_fedcba9876543210"
PIN: Final = "12345678"
CREDENTIALS: Final = {"apiKey": KEY, "pin": PIN, "shopName": "The shop"}

_SUPPORT: Final = OperationSupport(key_lifetime_seconds=86_400, can_be_looked_up=True)


class FakeProvider:
    """A provider that was opened with credentials. ``problems`` is what a check finds."""

    name = "fake"
    capabilities = Capabilities(
        charge=_SUPPORT,
        capture=_SUPPORT,
        void=_SUPPORT,
        refund=_SUPPORT,
        manual_capture=True,
        partial_refund=True,
        webhooks=False,
    )

    def __init__(self, connection: Connection, problems: Sequence[str], answers: asyncio.Event) -> None:
        self.connection = connection
        self.problems = problems
        self.answers = answers
        self.checks = 0
        self.is_connected = True

    def opens_session(self, payment_method: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    async def open(self, request: ChargeRequest) -> Evidence:  # noqa: ARG002 - as above
        return Unknown("the fake does nothing")

    async def charge(self, request: ChargeRequest) -> Evidence:
        return await self.open(request)

    async def close(self, request: ChargeRequest) -> Evidence:
        return await self.open(request)

    async def capture(self, request: Modification) -> Evidence:  # noqa: ARG002 - as above
        return Unknown("the fake does nothing")

    async def void(self, request: Modification) -> Evidence:
        return await self.capture(request)

    async def refund(self, request: Modification) -> Evidence:
        return await self.capture(request)

    async def look_up(self, request: ChargeRequest | Modification) -> Evidence:  # noqa: ARG002 - as above
        return Unknown("the fake does nothing")

    async def check(self) -> Sequence[str]:
        self.checks += 1
        await self.answers.wait()
        return self.problems

    async def disconnect(self) -> None:
        self.is_connected = False

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice] | None:  # noqa: ARG002 - as above
        return None


class FakeConnector:
    """``opened`` has every provider that was opened, in order; ``problems`` is what their checks find.

    Checks wait while ``answers`` is not set. ``unsupported`` has the decline codes of charges in a currency, and
    ``asked`` the charges that it was asked about.
    """

    def __init__(self, name: str = "fake") -> None:
        self.opened: list[FakeProvider] = []
        self.problems: list[str] = []
        self.unsupported: dict[str, str] = {}
        self.asked: list[tuple[Money, str, bool]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.connector = Connector(
            name=name,
            display_name="The Fake",
            credential_fields=(
                CredentialField("apiKey", "the secret key", "fk_(test|live)_[0-9a-f]{16}"),
                CredentialField("pin", "a short secret", "[0-9]{8}", is_required=False),
                CredentialField("shopName", "the name of the shop", "[A-Za-z ]+", is_secret=False, is_required=False),
            ),
            open=self._open,
            refusal=_refusal,
            unsupported=self._unsupported,
        )

    def _unsupported(self, charge: WantedCharge) -> str | None:
        self.asked.append((charge.money, charge.payment_method, charge.capture))
        return self.unsupported.get(charge.money.currency)

    def _open(self, connection: Connection) -> FakeProvider:
        self.opened.append(FakeProvider(connection, self.problems, self.answers))
        return self.opened[-1]

    @property
    def connectors(self) -> dict[str, Connector]:
        """What a service or a command is given."""
        return {self.connector.name: self.connector}


def _refusal(credentials: Mapping[str, str], mode: Literal["test", "live"]) -> Mapping[str, str]:
    if credentials["apiKey"].startswith(f"fk_{mode}_"):
        return {}
    return {"apiKey": f"This key is not a {mode} key."}
