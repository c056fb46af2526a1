"""Errors of merchants, API keys, events and webhook endpoints."""

from paidonce.errors.base import PaidonceError


class EventNotFound(PaidonceError):
    """The caller has no event with this id."""

    code = "event_not_found"

    def __init__(self) -> None:
        super().__init__("There is no event with this id.")


class EventsDeleted(PaidonceError):
    """Events after the given position were deleted by retention; ``first_sequence`` is the oldest that is kept."""

    code = "events_deleted"

    def __init__(self, first_sequence: int) -> None:
        super().__init__(
            f"Events before number {first_sequence} are deleted. Read the current state, and continue from there."
        )
        self.first_sequence = first_sequence


class MerchantNotFound(PaidonceError):
    """The merchant does not exist. With API keys on, a merchant must be created before it is used."""

    code = "merchant_not_found"

    def __init__(self) -> None:
        super().__init__("There is no merchant with this id. Create it first.")


class LogoNotFound(PaidonceError):
    """No merchant has a logo with this digest."""

    code = "logo_not_found"

    def __init__(self) -> None:
        super().__init__("There is no logo with this digest.")


class KeyNotFound(PaidonceError):
    """No merchant has an API key with this id."""

    code = "key_not_found"

    def __init__(self) -> None:
        super().__init__("There is no API key with this id.")


class KeyNotActive(PaidonceError):
    """The API key is revoked, expired or already rotated, so it cannot be rotated."""

    code = "key_not_active"

    def __init__(self, why: str) -> None:
        super().__init__(f"This API key {why}. Rotate the key that replaced it, or create another key.")


class WebhookEndpointNotFound(PaidonceError):
    """The caller has no webhook endpoint with this id."""

    code = "webhook_endpoint_not_found"

    def __init__(self) -> None:
        super().__init__("There is no webhook endpoint with this id.")


class DeliveryNotFound(PaidonceError):
    """The caller has no delivery with this id."""

    code = "delivery_not_found"

    def __init__(self) -> None:
        super().__init__("There is no delivery with this id.")


class TooManyWebhookEndpoints(PaidonceError):
    """The merchant has the maximum number of webhook endpoints."""

    code = "too_many_webhook_endpoints"

    def __init__(self, endpoints_max: int) -> None:
        super().__init__(f"A merchant can have at most {endpoints_max} webhook endpoints. Delete one first.")


class TooManyRedeliveries(PaidonceError):
    """The webhook endpoint has the maximum number of pending redeliveries; the request had no effect."""

    code = "too_many_redeliveries"
    retryable = True

    def __init__(self, redeliveries_max: int) -> None:
        super().__init__(
            f"A webhook endpoint can have at most {redeliveries_max} pending redeliveries. Wait until one is completed."
        )


class ProviderWebhookNotFound(PaidonceError):
    """No webhook with this id is stored, or it was applied so long ago that it is no longer stored."""

    code = "provider_webhook_not_found"

    def __init__(self) -> None:
        super().__init__("There is no stored webhook with this id of this provider.")


class ProviderWebhookPending(PaidonceError):
    """The webhook cannot be dismissed, because it will be tried again and may be applied then."""

    code = "provider_webhook_pending"

    def __init__(self) -> None:
        super().__init__("The webhook will be tried again. It can be dismissed only after it has been given up.")


class ProviderWebhookChanged(PaidonceError):
    """The webhook was applied or dismissed by another call at the same moment; this one had no effect."""

    code = "provider_webhook_changed"

    def __init__(self) -> None:
        super().__init__("The webhook was applied or dismissed by somebody else just now. Nothing was done to it.")
