"""Errors of a request itself: how it is written, who makes it, and its idempotency key."""

from paidonce.errors.base import FieldError, PaidonceError


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
