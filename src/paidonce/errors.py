"""The errors of the service. ``http/problems.py`` maps each to its HTTP response.

PaidonceError
├── InvalidSettings            the process cannot start with these settings
├── InvalidRequest             invalid fields, all of them
├── MalformedBody · MalformedRequest    not valid JSON; not valid HTTP/1.1, or ambiguous
├── TargetTooLong · HeadersTooLarge · RequestTimeout
├── BodyTooLarge · UnsupportedMediaType · RouteNotFound · MethodNotAllowed
├── InvalidIdempotencyKey      the header is not a valid idempotency key
├── IdempotencyKeyReused · IdempotencyKeyInUse · IdempotencyKeyNotFound
├── CheckoutNotFound · PaymentInProgress · ProviderNotFound · InvalidSignature
├── Unauthenticated            the API key is missing or invalid
├── InsufficientScope · WrongMerchant · WrongMode · MerchantNotFound · KeyNotFound · KeyNotActive
├── WebhookEndpointNotFound · DeliveryNotFound · TooManyWebhookEndpoints
├── ProviderAccountNotFound · ProviderAccountDisabled · ProviderAccountWrongMode
├── CurrencyNotSupported · AmountNotSupported · PaymentMethodNotSupported    by the accounts that a payment may use
├── EncryptionKeyMissing       a secret cannot be encrypted or decrypted
├── InvalidState · AttemptsExhausted · CheckoutExpired
├── EventNotFound · RefundNotFound · AmountExceedsCapturable · AmountExceedsRefundable
├── RateLimited · Overloaded   a rate limit was reached; a queue is full: the request had no effect
├── DatabaseUnavailable · DatabaseInUse    nothing was acknowledged; another server process has the SQLite file
├── SchemaOutdated             the database is not migrated to this release
└── NotDurable                 the database could lose committed data in a crash
"""

from typing import Any, ClassVar, NamedTuple


class PaidonceError(Exception):
    """An error that ends a request. ``code`` never changes. ``retryable``: the same call may succeed later."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the error with its fields, without calling its constructor again."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PaidonceError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> PaidonceError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class FieldError(NamedTuple):
    """An error in one field: a JSON pointer or the name of a parameter, a code, and a sentence."""

    pointer: str
    code: str
    detail: str


class InvalidSettings(PaidonceError):
    """The settings are invalid; ``problems`` names every mistake."""

    code = "invalid_settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidRequest(PaidonceError):
    """Fields are missing, unknown or out of range; `errors` lists all of them."""

    code = "invalid_request"

    def __init__(self, fields: list[FieldError]) -> None:
        what = "One field is" if len(fields) == 1 else f"{len(fields)} fields are"
        super().__init__(f"{what} invalid; see errors.")
        self.fields = fields


class MalformedBody(PaidonceError):
    """The body is not valid JSON in UTF-8, or an object in it repeats a name."""

    code = "malformed_body"


class MalformedRequest(PaidonceError):
    """The request is not valid HTTP/1.1, or is ambiguous."""

    code = "malformed_request"


class TargetTooLong(PaidonceError):
    """The path and query are longer than the limit."""

    code = "target_too_long"


class HeadersTooLarge(PaidonceError):
    """There are too many headers, or they are too long."""

    code = "headers_too_large"


class RequestTimeout(PaidonceError):
    """The request did not arrive completely in time; it had no effect."""

    code = "request_timeout"
    retryable = True


class BodyTooLarge(PaidonceError):
    """The body is larger than the limit."""

    code = "body_too_large"


class UnsupportedMediaType(PaidonceError):
    """The `Content-Type` of the body is not JSON."""

    code = "unsupported_media_type"


class RouteNotFound(PaidonceError):
    """The path does not exist."""

    code = "route_not_found"


class MethodNotAllowed(PaidonceError):
    """The path does not support this method; the `Allow` header lists the methods that it supports."""

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not allowed for this path. Allowed: {', '.join(allowed)}.")
        self.allowed = allowed


class InvalidIdempotencyKey(PaidonceError):
    """The `Idempotency-Key` is not 1 to 255 printable ASCII characters, or contradicts the body."""

    code = "invalid_idempotency_key"


class CheckoutNotFound(PaidonceError):
    """The caller has no checkout with this id."""

    code = "checkout_not_found"

    def __init__(self) -> None:
        super().__init__("There is no checkout with this id.")


class IdempotencyKeyReused(PaidonceError):
    """The idempotency key was used with another body or path; `fields` names the differences."""

    code = "idempotency_key_reused"

    def __init__(self, fields: list[str]) -> None:
        super().__init__(f"This idempotency key was already used for a request with a different {', '.join(fields)}.")
        self.fields = fields


class IdempotencyKeyInUse(PaidonceError):
    """Another process is still executing a request with this idempotency key; this request had no effect."""

    code = "idempotency_key_in_use"
    retryable = True

    def __init__(self) -> None:
        super().__init__("A request with this idempotency key is still being executed. Retry to get its result.")


class IdempotencyKeyNotFound(PaidonceError):
    """No request with this idempotency key took effect, or the key is no longer stored."""

    code = "idempotency_key_not_found"

    def __init__(self) -> None:
        super().__init__("No request with this idempotency key took effect, or the key is no longer stored.")


class PaymentInProgress(PaidonceError):
    """A payment with another payment method or provider is in progress."""

    code = "payment_in_progress"

    def __init__(self) -> None:
        super().__init__("A payment with another payment method is in progress. Wait until it ends.")


class InvalidState(PaidonceError):
    """The status of the checkout does not allow this operation."""

    code = "invalid_state"

    def __init__(self, current_status: str, action: str) -> None:
        super().__init__(f"A checkout with the status {current_status} cannot be {action}.")
        self.current_status = current_status


class AttemptsExhausted(PaidonceError):
    """All payment attempts that a checkout allows were declined."""

    code = "attempts_exhausted"

    def __init__(self, attempts_max: int) -> None:
        super().__init__(
            f"All {attempts_max} payment attempts for this checkout were declined. Create another checkout."
        )


class CheckoutExpired(PaidonceError):
    """The checkout has expired."""

    code = "checkout_expired"

    def __init__(self) -> None:
        super().__init__("This checkout has expired. Create another checkout.")


class RefundNotFound(PaidonceError):
    """The caller has no refund with this id."""

    code = "refund_not_found"

    def __init__(self) -> None:
        super().__init__("There is no refund with this id.")


class AmountExceedsCapturable(PaidonceError):
    """The amount to capture exceeds the authorized amount."""

    code = "amount_exceeds_capturable"

    def __init__(self, capturable: int) -> None:
        super().__init__(f"At most {capturable} minor units can be captured.")


class AmountExceedsRefundable(PaidonceError):
    """The amount exceeds what can still be refunded. Pending refunds count as completed."""

    code = "amount_exceeds_refundable"

    def __init__(self, refundable: int) -> None:
        super().__init__(f"At most {refundable} minor units can still be refunded.")


class EventNotFound(PaidonceError):
    """The caller has no event with this id."""

    code = "event_not_found"

    def __init__(self) -> None:
        super().__init__("There is no event with this id.")


class ProviderNotFound(PaidonceError):
    """There is no payment provider with this name."""

    code = "provider_not_found"

    def __init__(self) -> None:
        super().__init__("There is no provider with this name.")


class ProviderUnavailable(PaidonceError):
    """The provider could not be asked about a webhook; nothing was stored."""

    code = "provider_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("The provider could not be asked about this webhook. Nothing was stored. Send it again later.")


class InvalidSignature(PaidonceError):
    """The signature of the webhook is missing, wrong or too old; the webhook had no effect."""

    code = "invalid_signature"

    def __init__(self) -> None:
        super().__init__("The signature of the webhook is missing, wrong or too old. The webhook had no effect.")


class Unauthenticated(PaidonceError):
    """The API key is missing, unknown, revoked or expired."""

    code = "unauthenticated"

    def __init__(self, *, key_given: bool) -> None:
        super().__init__(
            "The API key is unknown, revoked or expired."
            if key_given
            else "Send an API key: `Authorization: Bearer sk_…`. An operator creates one with `paidonce keys create`."
        )


class InsufficientScope(PaidonceError):
    """The API key does not have the scope that this call needs."""

    code = "insufficient_scope"

    def __init__(self, scope: str, *, key_given: bool) -> None:
        super().__init__(
            f"This call needs an API key with the scope {scope}."
            if key_given
            else f"This call needs the scope {scope}. While API keys are off nobody has it: use the command line."
        )


class MerchantNotFound(PaidonceError):
    """The merchant does not exist. With API keys on, a merchant must be created before it is used."""

    code = "merchant_not_found"

    def __init__(self) -> None:
        super().__init__("There is no merchant with this id. Create it first.")


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


class WrongMerchant(PaidonceError):
    """The request names a merchant that the API key does not belong to."""

    code = "wrong_merchant"

    def __init__(self) -> None:
        super().__init__("This API key belongs to another merchant. Omit merchantId, or send the merchant of the key.")


class WrongMode(PaidonceError):
    """The request names the mode that the API key does not belong to."""

    code = "wrong_mode"


class RateLimited(PaidonceError):
    """The caller reached a rate limit or another limit; the request had no effect."""

    code = "rate_limited"
    retryable = True

    def __init__(
        self, wait_seconds: float, detail: str = "The rate limit was exceeded. The request had no effect."
    ) -> None:
        super().__init__(detail)
        self.wait_seconds = wait_seconds  # Until one more request is allowed.


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


class ProviderAccountNotFound(PaidonceError):
    """The caller has no provider account with this id, or none that fits."""

    code = "provider_account_not_found"

    def __init__(self, detail: str = "There is no provider account with this id.") -> None:
        super().__init__(detail)


class ProviderAccountDisabled(PaidonceError):
    """The provider account is disabled; nothing was sent to the provider."""

    code = "provider_account_disabled"

    def __init__(self) -> None:
        super().__init__("The provider account is disabled. Enable it, or name another one.")


class ProviderAccountWrongMode(PaidonceError):
    """The mode of the provider account is not the mode of the API key; the request had no effect."""

    code = "provider_account_wrong_mode"

    def __init__(self, mode: str) -> None:
        super().__init__(f"In {mode} mode only {mode} accounts can be used.")


class CurrencyNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not take its currency; nothing was sent."""

    code = "currency_not_supported"


class AmountNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not take its amount; nothing was sent."""

    code = "amount_not_supported"


class PaymentMethodNotSupported(PaidonceError):
    """The providers of the accounts that a payment may use do not know its payment method; nothing was sent."""

    code = "payment_method_not_supported"


class EncryptionKeyMissing(PaidonceError):
    """No encryption key is configured for secrets that must be stored encrypted; the request had no effect."""

    code = "encryption_key_missing"

    def __init__(self, key_id: str | None = None) -> None:
        self.key_id = key_id
        missing = "No encryption key is" if key_id is None else f"The encryption key {key_id} is not"
        super().__init__(
            f"{missing} configured. The operator sets PAIDONCE_ENCRYPTION_KEYS; "
            "`paidonce encryption-key` prints a new key."
        )


class Overloaded(PaidonceError):
    """Too many requests are waiting; the request had no effect."""

    code = "overloaded"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Too many requests are waiting. The request had no effect. Retry later.")


class DatabaseUnavailable(PaidonceError):
    """The database does not respond or cannot write; nothing was acknowledged."""

    code = "database_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("The database is not available. Nothing was acknowledged. Retry later.")


class DatabaseInUse(PaidonceError):
    """Another server process is using this SQLite file."""

    code = "database_in_use"


class SchemaOutdated(PaidonceError):
    """The schema of the database is not the schema of this release."""

    code = "schema_outdated"


class NotDurable(PaidonceError):
    """The database is configured so that a crash can lose committed data."""

    code = "not_durable"
