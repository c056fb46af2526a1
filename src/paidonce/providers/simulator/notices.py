"""Reads the simulated provider's webhooks: first the signature over the raw bytes, then the evidence."""

from collections.abc import Mapping

import msgspec
import structlog

from paidonce.clock import Clock
from paidonce.errors import MalformedBody
from paidonce.providers.evidence import Notice
from paidonce.providers.simulator.wire import DASHBOARD, DashboardWebhookBody, WebhookBody, change_of, evidence_of
from paidonce.signing import read_secret, verified_id

log = structlog.get_logger()


class _Typed(msgspec.Struct, frozen=True):
    """Any webhook: its type tells how to read the rest."""

    type: str


class NoticeReader:
    """Reads webhooks that are signed with ``secret``. Without a secret, none is accepted."""

    def __init__(self, secret: str, *, clock: Clock) -> None:
        self._key = read_secret(secret) if secret else None
        self._clock = clock

    def read(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Read a webhook; None where its signature is missing, wrong or too old. Raises MalformedBody."""
        message_id = verified_id(self._key, headers, body, now=self._clock()) if self._key else None
        if message_id is None:
            return None
        try:
            if msgspec.json.decode(body, type=_Typed).type.startswith(DASHBOARD):
                return _change_notice(message_id, msgspec.json.decode(body, type=DashboardWebhookBody))
            webhook = msgspec.json.decode(body, type=WebhookBody)
        except msgspec.ValidationError:  # Signed, but of a type that this release does not know.
            return Notice(message_id, None, None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedBody("The body is signed, but it is not JSON in UTF-8.") from error
        if webhook.type != f"{webhook.data.kind}.{webhook.data.outcome}":
            log.error("provider_contradicts_itself", webhook_id=message_id, key=webhook.data.key)
            return Notice(message_id, webhook.data.key, None)
        return Notice(message_id, webhook.data.key, evidence_of(webhook.data))


def _change_notice(message_id: str, webhook: DashboardWebhookBody) -> Notice:
    """Return what was done to a charge. The charge is named by our key, and by its reference."""
    change = webhook.data
    return Notice(message_id, change.charge_key, change_of(change), change.charge_reference)
