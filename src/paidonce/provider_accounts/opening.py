"""Opens providers with the credentials of accounts, and checks the credentials."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.encryption import Keyring
from paidonce.errors import ProviderNotFound
from paidonce.provider_accounts.credentials import make_hints, open_credentials, seal_credentials
from paidonce.provider_accounts.model import ProviderAccount
from paidonce.providers.base import Connection, Connector, Provider
from paidonce.redaction import redact
from paidonce.settings import Settings

log = structlog.get_logger()

CHECK_SECONDS_MAX: Final = 10.0  # A person waits for it.
UNREADABLE: Final = "The stored credentials cannot be decrypted. Replace them with a rotation."

Connectors = Mapping[str, Connector]
"""The connectors by the names of their providers. A connector may be imported when it is first used."""


class SealedCredentials(msgspec.Struct, frozen=True):
    """Encrypted credentials, and as a JSON object what may be shown of them."""

    credentials: str
    hints: str


class AccountOpener:
    """Opens accounts, with the time-out and the URLs of providers that the settings have."""

    def __init__(self, connectors: Connectors, keyring: Keyring, settings: Settings, *, clock: Clock) -> None:
        self.connectors = connectors
        self._keyring = keyring
        self._urls = settings.provider_urls
        self._public_url = settings.public_url.rstrip("/")
        self.timeout_seconds = settings.provider_timeout_seconds
        self._clock = clock

    def connector(self, provider: str) -> Connector:
        """Return a connector; raises ProviderNotFound."""
        connector = self.connectors.get(provider)
        if connector is None:
            raise ProviderNotFound
        return connector

    def seal(
        self, provider: str, credentials: Mapping[str, str], *, merchant_id: str, account_id: str
    ) -> SealedCredentials:
        """Encrypt credentials for the row of one account; raises EncryptionKeyMissing."""
        hints = msgspec.json.encode(make_hints(self.connector(provider), credentials)).decode()
        sealed = seal_credentials(self._keyring, credentials, merchant_id=merchant_id, account_id=account_id)
        return SealedCredentials(sealed, hints)

    def open(self, account: ProviderAccount) -> Provider:
        """Open the provider of an account.

        Raises ProviderNotFound, EncryptionKeyMissing, or ValueError where the stored credentials were changed.
        """
        return self._connect(account, open_credentials(self._keyring, account))

    async def check(self, account: ProviderAccount) -> list[str]:
        """Call the provider with the credentials of an account; returns what is wrong, a sentence each.

        Raises ProviderNotFound or EncryptionKeyMissing. No sentence contains a credential.
        """
        try:
            credentials = open_credentials(self._keyring, account)
        except ValueError:
            log.exception("provider_account_not_opened", account_id=account.id)
            return [UNREADABLE]
        provider = self._connect(account, credentials)
        seconds = min(self.timeout_seconds, CHECK_SECONDS_MAX)
        try:
            async with asyncio.timeout(seconds):
                problems = await provider.check()
        except TimeoutError:
            problems = [f"The provider did not respond within {seconds:g} seconds."]
        finally:
            await disconnect(provider)
        secrets = self._secrets_in(account.provider, credentials)
        return [_without_secrets(problem, secrets) for problem in problems]

    def _secrets_in(self, provider: str, credentials: Mapping[str, str]) -> list[str]:
        shown = {field.name for field in self.connector(provider).credential_fields if not field.is_secret}
        return [value for name, value in credentials.items() if name not in shown]

    def _connect(self, account: ProviderAccount, credentials: Mapping[str, str]) -> Provider:
        mode: Literal["test", "live"] = "live" if account.mode == "live" else "test"
        connection = Connection(
            credentials=credentials,
            mode=mode,
            url=self._urls.get(account.provider, ""),
            webhook_url=self._webhook_url(account),
            timeout_seconds=self.timeout_seconds,
            clock=self._clock,
        )
        return self.connector(account.provider).open(connection)

    def _webhook_url(self, account: ProviderAccount) -> str:
        path = f"/providers/{account.provider}/{account.id}/webhooks"
        return self._public_url + path if self._public_url else ""


async def disconnect(provider: Provider) -> None:
    """Close the connections to a provider. An error is only logged, because nothing depends on it."""
    try:
        await provider.disconnect()
    except Exception:
        log.exception("provider_not_disconnected", provider=provider.name)


def _without_secrets(problem: str, secrets: Iterable[str]) -> str:
    """Mask secrets in a sentence: a provider may repeat what it was sent."""
    for secret in secrets:
        problem = problem.replace(secret, "…")
    return redact(problem)
