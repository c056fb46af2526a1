"""Reading the simulated provider's webhooks: the signature over the raw bytes first, then what they prove."""

from collections.abc import Mapping

import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.errors import MalformedBody
from paidonce.providers.base import Notice
from paidonce.providers.simulator.wire import WebhookBody, evidence_of
from paidonce.signing import read_secret, verified_id

log = structlog.get_logger()


class NoticeReader:
    """Reads webhooks that are signed with ``secret``; without one, none is believed."""

    def __init__(self, secret: str, *, clock: Clock) -> None:
        self._key = read_secret(secret) if secret else None
        self._clock = clock

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Read a webhook; None where its signature is missing, wrong or too old. Raises MalformedBody."""
        message_id = verified_id(self._key, headers, body, now=self._clock()) if self._key else None
        if message_id is None:
            return None
        try:
            said = msgspec.json.decode(body, type=WebhookBody)
        except msgspec.ValidationError:  # Signed, and about something that this release does not know.
            return Notice(message_id, None, None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedBody("The body is signed, but it is not JSON in UTF-8.") from error
        if said.type != f"{said.data.kind}.{said.data.outcome}":
            log.error("provider_contradicts_itself", webhook_id=message_id, key=said.data.key)
            return Notice(message_id, said.data.key, None)
        return Notice(message_id, said.data.key, evidence_of(said.data))
