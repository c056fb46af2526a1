"""Webhooks to merchants, as the rest of the service uses them: secrets, checks of URLs, and the sender."""

from typing import Final

from paidonce.clock import Clock
from paidonce.database.batcher import Batcher
from paidonce.encryption import Draw, Keyring
from paidonce.ids import Chance
from paidonce.webhook_endpoints.receiver_messages import ReceiverSettings
from paidonce.webhook_endpoints.receiver_process_client import ReceiverProcessClient
from paidonce.webhook_endpoints.secrets import SECRET_BYTES, seal_secret, shorten_secret
from paidonce.webhook_endpoints.sender import Sender, SenderSettings

LOOKUP_SECONDS_MAX: Final = 2.0  # The client waits for it.


class WebhookEndpointService:
    """Webhooks to merchants in this process."""

    def __init__(
        self,
        writer: Batcher,
        reader: Batcher,
        settings: SenderSettings,
        *,
        allow_private: bool,
        keyring: Keyring,
        clock: Clock,
        chance: Chance,
        draw: Draw,
    ) -> None:
        self._caller = ReceiverProcessClient(ReceiverSettings(allow_private, settings.timeout_seconds))
        self._keyring = keyring
        self._draw = draw
        self._sender = Sender(writer, reader, self._caller, keyring, settings, clock=clock, chance=chance)

    async def start(self, *, alone: bool) -> None:
        """Begin to send."""
        await self._sender.start(alone=alone)

    async def stop(self, *, grace_seconds: float) -> None:
        """Send nothing more, and give back what is not done."""
        await self._sender.stop(grace_seconds=grace_seconds)
        await self._caller.stop()

    async def check_url(self, url: str) -> None:
        """Raise UrlRefused where webhooks may not go."""
        await self._caller.check(url, seconds_max=LOOKUP_SECONDS_MAX)

    def make_secret(self, *, merchant_id: str, endpoint_id: str) -> tuple[str, str]:
        """Make a secret: as its owner gets it, and sealed for its row. Raises EncryptionKeyMissing."""
        secret = self._draw(SECRET_BYTES)
        sealed = seal_secret(self._keyring, secret, merchant_id=merchant_id, endpoint_id=endpoint_id)
        return shorten_secret(secret), sealed
