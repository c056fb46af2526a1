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
├── InsufficientScope · WrongMerchant · WrongMode · MerchantNotFound · LogoNotFound · KeyNotFound · KeyNotActive
├── WebhookEndpointNotFound · DeliveryNotFound · TooManyWebhookEndpoints
├── ProviderAccountNotFound · ProviderAccountDisabled · ProviderAccountWrongMode
├── CurrencyNotSupported · AmountNotSupported · PaymentMethodNotSupported    by the accounts that a payment may use
├── EncryptionKeyMissing       a secret cannot be encrypted or decrypted
├── AttemptNotFound · AttemptOutcomeKnown
├── ProviderWebhookNotFound · ProviderWebhookPending · ProviderWebhookChanged
├── InvalidState · AttemptsExhausted · CheckoutExpired
├── EventsDeleted              a position before the beginning of the event log
├── EventNotFound · RefundNotFound · AmountExceedsCapturable · AmountExceedsRefundable
├── NotLoggedIn · InsufficientRole · InvalidCsrfToken    of people who use the dashboard
├── InvalidLogin · InvalidLink · UserNotFound · EmailTaken · LastOperator
├── RateLimited · Overloaded   a rate limit was reached; a queue is full: the request had no effect
├── DatabaseUnavailable · DatabaseInUse    nothing was acknowledged; another server process has the SQLite file
├── SchemaOutdated             the database is not migrated to this release
├── CannotDistribute           the database is not the coordinator of a Citus cluster
├── DatabaseNotSupported       the database does not apply the settings of a connection
└── NotDurable                 the database could lose committed data in a crash
"""

from paidonce.errors.base import FieldError, PaidonceError
from paidonce.errors.merchants import (
    DeliveryNotFound,
    EventNotFound,
    EventsDeleted,
    KeyNotActive,
    KeyNotFound,
    LogoNotFound,
    MerchantNotFound,
    ProviderWebhookChanged,
    ProviderWebhookNotFound,
    ProviderWebhookPending,
    TooManyRedeliveries,
    TooManyWebhookEndpoints,
    WebhookEndpointNotFound,
)
from paidonce.errors.operation import (
    CannotDistribute,
    DatabaseInUse,
    DatabaseNotSupported,
    DatabaseUnavailable,
    EncryptionKeyMissing,
    InvalidSettings,
    NotDurable,
    Overloaded,
    SchemaOutdated,
)
from paidonce.errors.payments import (
    AmountExceedsCapturable,
    AmountExceedsRefundable,
    AmountNotSupported,
    AttemptNotFound,
    AttemptOutcomeKnown,
    AttemptsExhausted,
    CheckoutExpired,
    CheckoutNotFound,
    CurrencyNotSupported,
    InvalidSignature,
    InvalidState,
    PaymentInProgress,
    PaymentMethodNotSupported,
    ProviderAccountDisabled,
    ProviderAccountNotFound,
    ProviderAccountWrongMode,
    ProviderNotFound,
    ProviderUnavailable,
    RefundNotFound,
)
from paidonce.errors.requests import (
    BodyTooLarge,
    HeadersTooLarge,
    IdempotencyKeyInUse,
    IdempotencyKeyNotFound,
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidIdempotencyKey,
    InvalidRequest,
    MalformedBody,
    MalformedRequest,
    MethodNotAllowed,
    RateLimited,
    RequestTimeout,
    RouteNotFound,
    TargetTooLong,
    Unauthenticated,
    UnsupportedMediaType,
    WrongMerchant,
    WrongMode,
)
from paidonce.errors.users import (
    EmailTaken,
    InsufficientRole,
    InvalidCsrfToken,
    InvalidLink,
    InvalidLogin,
    LastOperator,
    NotLoggedIn,
    UserNotFound,
)

__all__ = [
    "AmountExceedsCapturable",
    "AmountExceedsRefundable",
    "AmountNotSupported",
    "AttemptNotFound",
    "AttemptOutcomeKnown",
    "AttemptsExhausted",
    "BodyTooLarge",
    "CannotDistribute",
    "CheckoutExpired",
    "CheckoutNotFound",
    "CurrencyNotSupported",
    "DatabaseInUse",
    "DatabaseNotSupported",
    "DatabaseUnavailable",
    "DeliveryNotFound",
    "EmailTaken",
    "EncryptionKeyMissing",
    "EventNotFound",
    "EventsDeleted",
    "FieldError",
    "HeadersTooLarge",
    "IdempotencyKeyInUse",
    "IdempotencyKeyNotFound",
    "IdempotencyKeyReused",
    "InsufficientRole",
    "InsufficientScope",
    "InvalidCsrfToken",
    "InvalidIdempotencyKey",
    "InvalidLink",
    "InvalidLogin",
    "InvalidRequest",
    "InvalidSettings",
    "InvalidSignature",
    "InvalidState",
    "KeyNotActive",
    "KeyNotFound",
    "LastOperator",
    "LogoNotFound",
    "MalformedBody",
    "MalformedRequest",
    "MerchantNotFound",
    "MethodNotAllowed",
    "NotDurable",
    "NotLoggedIn",
    "Overloaded",
    "PaidonceError",
    "PaymentInProgress",
    "PaymentMethodNotSupported",
    "ProviderAccountDisabled",
    "ProviderAccountNotFound",
    "ProviderAccountWrongMode",
    "ProviderNotFound",
    "ProviderUnavailable",
    "ProviderWebhookChanged",
    "ProviderWebhookNotFound",
    "ProviderWebhookPending",
    "RateLimited",
    "RefundNotFound",
    "RequestTimeout",
    "RouteNotFound",
    "SchemaOutdated",
    "TargetTooLong",
    "TooManyRedeliveries",
    "TooManyWebhookEndpoints",
    "Unauthenticated",
    "UnsupportedMediaType",
    "UserNotFound",
    "WebhookEndpointNotFound",
    "WrongMerchant",
    "WrongMode",
]
