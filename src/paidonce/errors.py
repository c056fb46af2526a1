"""What can go wrong, as facts. ``http/problems.py`` says what each becomes in HTTP.

PaidonceError
├── InvalidSettings            the process cannot start like this
├── InvalidRequest             fields that do not fit, all of them
├── MalformedBody              not JSON
├── MalformedRequest           not HTTP, or not so that everybody reads it alike
├── TargetTooLong · HeadersTooLarge · RequestTimeout
├── BodyTooLarge · UnsupportedMediaType · RouteNotFound · MethodNotAllowed
├── InvalidIdempotencyKey      the header is no idempotency key
├── IdempotencyKeyReused · IdempotencyKeyInUse · IdempotencyKeyNotFound
├── CheckoutNotFound · PaymentInProgress
├── ProviderNotFound · InvalidSignature
├── Unauthenticated            no key, or none that opens anything
├── InsufficientScope · WrongMerchant
├── MerchantNotFound · KeyNotFound · KeyNotActive
├── WebhookEndpointNotFound · DeliveryNotFound · TooManyWebhookEndpoints
├── EncryptionKeyMissing       a secret can be neither kept nor read
├── InvalidState · AttemptsExhausted · CheckoutExpired
├── RefundNotFound · AmountExceedsCapturable · AmountExceedsRefundable
├── EventNotFound
├── RateLimited                more than the caller may ask for; refused before anything was done
├── Overloaded                 refused before anything was done
├── DatabaseUnavailable        nothing was acknowledged
├── DatabaseInUse              another server process has the SQLite file
├── SchemaOutdated             the database is not migrated to this release
└── NotDurable                 the database would lose what it acknowledged
"""

from typing import Any, ClassVar, NamedTuple


class PaidonceError(Exception):
    """A fact that stops a request. ``code`` names it for ever; ``retryable``: the same call may succeed later."""

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell how to make it again in another process: as it is, whatever its constructor is given."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[PaidonceError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> PaidonceError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class FieldError(NamedTuple):
    """What is wrong with one field: where (a JSON pointer, or a parameter's name), what kind, and a sentence."""

    pointer: str
    code: str
    detail: str


class InvalidSettings(PaidonceError):
    """Settings from which no service can start; names everything that is wrong."""

    code = "invalid_settings"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidRequest(PaidonceError):
    """Well-formed, but fields are missing, unknown or out of range; ``fields`` names all of them."""

    code = "invalid_request"

    def __init__(self, fields: list[FieldError]) -> None:
        what = "One field does" if len(fields) == 1 else f"{len(fields)} fields do"
        super().__init__(f"{what} not fit: see errors.")
        self.fields = fields


class MalformedBody(PaidonceError):
    """The body is not JSON."""

    code = "malformed_body"


class MalformedRequest(PaidonceError):
    """What arrived is not HTTP/1.1, or could be read in more than one way."""

    code = "malformed_request"


class TargetTooLong(PaidonceError):
    """The path and the query are longer than any that means something here."""

    code = "target_too_long"


class HeadersTooLarge(PaidonceError):
    """The headers are more, or longer, than any client of this API needs."""

    code = "headers_too_large"


class RequestTimeout(PaidonceError):
    """The request did not arrive whole in time; nothing was done."""

    code = "request_timeout"
    retryable = True


class BodyTooLarge(PaidonceError):
    """The body is over the limit."""

    code = "body_too_large"


class UnsupportedMediaType(PaidonceError):
    """The body is not declared as JSON."""

    code = "unsupported_media_type"


class RouteNotFound(PaidonceError):
    """No such path."""

    code = "route_not_found"


class MethodNotAllowed(PaidonceError):
    """The path is there, but not for this method; ``allowed`` lists those it has."""

    code = "method_not_allowed"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not allowed here; {', '.join(allowed)} is.")
        self.allowed = allowed


class InvalidIdempotencyKey(PaidonceError):
    """The Idempotency-Key header is not 1 to 255 printable ASCII characters, or contradicts the body."""

    code = "invalid_idempotency_key"


class CheckoutNotFound(PaidonceError):
    """There is no such checkout for this caller."""

    code = "checkout_not_found"

    def __init__(self) -> None:
        super().__init__("There is no checkout with this id.")


class IdempotencyKeyReused(PaidonceError):
    """The key belongs to a request with another body or path; ``fields`` names what differs."""

    code = "idempotency_key_reused"

    def __init__(self, fields: list[str]) -> None:
        super().__init__(f"This idempotency key belongs to a request with another {', '.join(fields)}.")
        self.fields = fields


class IdempotencyKeyInUse(PaidonceError):
    """A request with this key is under way in another process, which does not answer; nothing was done."""

    code = "idempotency_key_in_use"
    retryable = True

    def __init__(self) -> None:
        super().__init__("A request with this idempotency key is under way; repeat this one to learn what came of it.")


class IdempotencyKeyNotFound(PaidonceError):
    """This merchant has no request with this key; none took effect, or it was long ago."""

    code = "idempotency_key_not_found"

    def __init__(self) -> None:
        super().__init__("No request with this idempotency key took effect, or it was too long ago.")


class PaymentInProgress(PaidonceError):
    """A payment with another payment method or provider is under way."""

    code = "payment_in_progress"

    def __init__(self) -> None:
        super().__init__("A payment with another payment method is under way; wait for its end.")


class InvalidState(PaidonceError):
    """The checkout's status does not allow this."""

    code = "invalid_state"

    def __init__(self, current_status: str, wish: str) -> None:
        super().__init__(f"A checkout that is {current_status} cannot be {wish}.")
        self.current_status = current_status


class AttemptsExhausted(PaidonceError):
    """Every attempt that the checkout allows was declined."""

    code = "attempts_exhausted"

    def __init__(self, attempts_max: int) -> None:
        super().__init__(f"All {attempts_max} attempts to pay this checkout were declined; create another.")


class CheckoutExpired(PaidonceError):
    """The checkout's time is over."""

    code = "checkout_expired"

    def __init__(self) -> None:
        super().__init__("This checkout has expired; create another.")


class RefundNotFound(PaidonceError):
    """There is no such refund for this caller."""

    code = "refund_not_found"

    def __init__(self) -> None:
        super().__init__("There is no refund with this id.")


class AmountExceedsCapturable(PaidonceError):
    """More is to be captured than is held."""

    code = "amount_exceeds_capturable"

    def __init__(self, capturable: int) -> None:
        super().__init__(f"{capturable} minor units are held; capture at the most that.")


class AmountExceedsRefundable(PaidonceError):
    """More is to be refunded than is left: refunds under way are counted as done."""

    code = "amount_exceeds_refundable"

    def __init__(self, refundable: int) -> None:
        super().__init__(f"{refundable} minor units can be refunded still; refund at the most that.")


class EventNotFound(PaidonceError):
    """There is no such event for this caller."""

    code = "event_not_found"

    def __init__(self) -> None:
        super().__init__("There is no event with this id.")


class ProviderNotFound(PaidonceError):
    """There is no such payment provider."""

    code = "provider_not_found"

    def __init__(self) -> None:
        super().__init__("There is no provider with this name.")


class InvalidSignature(PaidonceError):
    """The webhook is not signed, not with the right secret, or too long ago; nothing was done."""

    code = "invalid_signature"

    def __init__(self) -> None:
        super().__init__("The webhook's signature is missing, wrong or too old; nothing was done.")


class Unauthenticated(PaidonceError):
    """The request bears no key, or one that is unknown, revoked or expired."""

    code = "unauthenticated"

    def __init__(self, *, key_given: bool) -> None:
        super().__init__(
            "This key is unknown, revoked or expired."
            if key_given
            else "Send your key: Authorization: Bearer sk_…; an operator makes one with `paidonce keys create`."
        )


class InsufficientScope(PaidonceError):
    """The key does not allow this call."""

    code = "insufficient_scope"

    def __init__(self, scope: str, *, key_given: bool) -> None:
        super().__init__(
            f"This call needs a key with the scope {scope}."
            if key_given
            else f"This call needs the scope {scope}, which nobody has while keys are off: use the command."
        )


class MerchantNotFound(PaidonceError):
    """There is no such merchant; with keys one has to be created before anything is done for it."""

    code = "merchant_not_found"

    def __init__(self) -> None:
        super().__init__("There is no merchant with this id; create it first.")


class KeyNotFound(PaidonceError):
    """There is no such key of a merchant."""

    code = "key_not_found"

    def __init__(self) -> None:
        super().__init__("There is no key with this id.")


class KeyNotActive(PaidonceError):
    """The key cannot be rotated: it is revoked, expired, or was rotated before."""

    code = "key_not_active"

    def __init__(self, why: str) -> None:
        super().__init__(f"This key {why}; rotate the one that took its place, or create another.")


class WrongMerchant(PaidonceError):
    """The request names a merchant that is not the caller's."""

    code = "wrong_merchant"

    def __init__(self) -> None:
        super().__init__("This key is another merchant's; leave merchantId out, or name your own.")


class RateLimited(PaidonceError):
    """The caller asks for more than it may; nothing was done. ``wait_seconds``: until there is room for one more."""

    code = "rate_limited"
    retryable = True

    def __init__(self, wait_seconds: float, detail: str = "More requests than are allowed; nothing was done.") -> None:
        super().__init__(detail)
        self.wait_seconds = wait_seconds


class WebhookEndpointNotFound(PaidonceError):
    """There is no such webhook endpoint for this caller."""

    code = "webhook_endpoint_not_found"

    def __init__(self) -> None:
        super().__init__("There is no webhook endpoint with this id.")


class DeliveryNotFound(PaidonceError):
    """There is no such delivery for this caller."""

    code = "delivery_not_found"

    def __init__(self) -> None:
        super().__init__("There is no delivery with this id.")


class TooManyWebhookEndpoints(PaidonceError):
    """The merchant has as many webhook endpoints as it may."""

    code = "too_many_webhook_endpoints"

    def __init__(self, endpoints_max: int) -> None:
        super().__init__(f"A merchant has {endpoints_max} webhook endpoints at the most; delete one first.")


class TooManyRedeliveries(PaidonceError):
    """The webhook endpoint has as many ranges that are still to be sent again as it may; nothing was done."""

    code = "too_many_redeliveries"
    retryable = True

    def __init__(self, redeliveries_max: int) -> None:
        super().__init__(
            f"A webhook endpoint has {redeliveries_max} ranges to send again at the most; wait until one is done."
        )


class EncryptionKeyMissing(PaidonceError):
    """The service has no key to encrypt the secret of a webhook endpoint with; nothing was done."""

    code = "encryption_key_missing"

    def __init__(self, key_id: str | None = None) -> None:
        self.key_id = key_id
        which = "no encryption key" if key_id is None else f"not the encryption key {key_id}"
        super().__init__(
            f"The service has {which}: its operator sets PAIDONCE_ENCRYPTION_KEYS; `paidonce encryption-key` makes one."
        )


class Overloaded(PaidonceError):
    """More waits than can be answered in time; nothing was done."""

    code = "overloaded"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Too many requests are waiting; nothing was done. Try again.")


class DatabaseUnavailable(PaidonceError):
    """The database does not answer or cannot write; nothing was acknowledged."""

    code = "database_unavailable"
    retryable = True

    def __init__(self) -> None:
        super().__init__("The database is not available; nothing was acknowledged. Try again.")


class DatabaseInUse(PaidonceError):
    """Another server process has this SQLite file."""

    code = "database_in_use"


class SchemaOutdated(PaidonceError):
    """The database does not have this release's schema."""

    code = "schema_outdated"


class NotDurable(PaidonceError):
    """The database is set to lose, in a crash, what it said is committed."""

    code = "not_durable"
