"""What each call says of itself in the OpenAPI document."""

from typing import Final

from paidonce.errors import (
    AmountExceedsCapturable,
    AmountExceedsRefundable,
    AttemptsExhausted,
    BodyTooLarge,
    CheckoutExpired,
    CheckoutNotFound,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InvalidSignature,
    InvalidState,
    MalformedBody,
    MerchantNotFound,
    PaymentInProgress,
    ProviderNotFound,
    RefundNotFound,
    WrongMerchant,
)
from paidonce.http.answers import CheckoutAnswer, CheckoutPage, Health, Received, RefundAnswer, RefundList, Timeline
from paidonce.http.bodies import (
    CancelBody,
    CaptureBody,
    CreateCheckoutBody,
    ListParameters,
    NoParameters,
    PayBody,
    RefundBody,
)
from paidonce.http.openapi import Answer, Operation
from paidonce.merchants.model import Scope

CREATE_CHECKOUT: Final = Operation(
    id="createCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    summary="Create a checkout",
    description="The same merchant, key and body give the same checkout for ever, from any number of clients at once; "
    "another body with the key is refused.",
    body=CreateCheckoutBody,
    body_required=True,
    body_example={"merchantId": "m123", "amount": 1000, "currency": "USD", "idempotencyKey": "abc123"},
    parameters=NoParameters,
    headers=["Idempotency-Key"],
    answers={
        201: Answer(
            description="The checkout: new, or as it is now.",
            kind=CheckoutAnswer,
            headers=["Location", "Idempotent-Replayed"],
        )
    },
    errors=[IdempotencyKeyReused, WrongMerchant, MerchantNotFound],
)

LIST_CHECKOUTS: Final = Operation(
    id="listCheckouts",
    scope=Scope.CHECKOUTS_READ,
    summary="List checkouts",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    parameters=ListParameters,
    answers={200: Answer(description="A page.", kind=CheckoutPage)},
    errors=[WrongMerchant, MerchantNotFound],
)

GET_CHECKOUT: Final = Operation(
    id="getCheckout",
    scope=Scope.CHECKOUTS_READ,
    summary="Get a checkout",
    parameters=NoParameters,
    headers=["Prefer"],
    answers={200: Answer(description="As it is now.", kind=CheckoutAnswer, headers=["Preference-Applied"])},
    errors=[CheckoutNotFound],
)

PAY_CHECKOUT: Final = Operation(
    id="payCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    summary="Pay a checkout",
    description="Asynchronous: the answer shows PROCESSING, and only the provider's proof ends that. The same pay "
    "again is answered with the same attempt: never a second charge.",
    body=PayBody,
    body_example={"paymentMethod": "tok_success"},
    parameters=NoParameters,
    headers=["Prefer"],
    answers={
        202: Answer(
            description="Under way, or what it came to while the client waited.",
            kind=CheckoutAnswer,
            headers=["Location", "Retry-After", "Preference-Applied"],
        )
    },
    errors=[CheckoutNotFound, PaymentInProgress, InvalidState, AttemptsExhausted, CheckoutExpired],
)

CANCEL_CHECKOUT: Final = Operation(
    id="cancelCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    summary="Cancel a checkout",
    description="A canceled checkout stays canceled; canceling it again is answered the same. Held money is let go "
    "first: 202, and CANCELED when the provider has proven that.",
    body=CancelBody,
    parameters=NoParameters,
    answers={
        200: Answer(description="Canceled: nothing is charged.", kind=CheckoutAnswer),
        202: Answer(
            description="The held money is being let go.",
            kind=CheckoutAnswer,
            headers=["Retry-After"],
        ),
    },
    errors=[CheckoutNotFound, InvalidState, CheckoutExpired],
)

CAPTURE_CHECKOUT: Final = Operation(
    id="captureCheckout",
    scope=Scope.CHECKOUTS_WRITE,
    summary="Capture a held amount",
    description="Asynchronous: the checkout goes through PROCESSING to COMPLETED, or back to AUTHORIZED where the "
    "provider declines. What is not captured is let go.",
    body=CaptureBody,
    body_example={"amount": 800},
    parameters=NoParameters,
    headers=["Prefer"],
    answers={
        202: Answer(
            description="Under way, or what it came to while the client waited.",
            kind=CheckoutAnswer,
            headers=["Location", "Retry-After", "Preference-Applied"],
        )
    },
    errors=[CheckoutNotFound, InvalidState, PaymentInProgress, CheckoutExpired, AmountExceedsCapturable],
)

CREATE_REFUND: Final = Operation(
    id="createRefund",
    scope=Scope.REFUNDS_WRITE,
    tag="Refunds",
    summary="Refund a checkout",
    description="Several refunds may be under way at once; in all they are never more than was captured. The same "
    "Idempotency-Key gives the same refund.",
    body=RefundBody,
    body_example={"amount": 300, "reason": "returned"},
    parameters=NoParameters,
    answers={
        202: Answer(
            description="Under way, or as it is now.",
            kind=RefundAnswer,
            headers=["Location", "Retry-After"],
        )
    },
    errors=[CheckoutNotFound, InvalidState, AmountExceedsRefundable],
)

LIST_REFUNDS: Final = Operation(
    id="listRefunds",
    scope=Scope.CHECKOUTS_READ,
    tag="Refunds",
    summary="List a checkout's refunds",
    parameters=NoParameters,
    answers={200: Answer(description="All of them, oldest first.", kind=RefundList)},
    errors=[CheckoutNotFound],
)

GET_REFUND: Final = Operation(
    id="getRefund",
    scope=Scope.CHECKOUTS_READ,
    tag="Refunds",
    summary="Get a refund",
    parameters=NoParameters,
    answers={200: Answer(description="As it is now.", kind=RefundAnswer)},
    errors=[RefundNotFound],
)

GET_TIMELINE: Final = Operation(
    id="getTimeline",
    scope=Scope.CHECKOUTS_READ,
    summary="See what happened to a checkout",
    description="Every transition, attempt and provider answer with its cause, oldest first.",
    parameters=NoParameters,
    answers={200: Answer(description="Everything that happened so far.", kind=Timeline)},
    errors=[CheckoutNotFound],
)

RECEIVE_WEBHOOK: Final = Operation(
    id="receiveWebhook",
    tag="Providers",
    summary="Take a provider's webhook",
    description="For payment providers. The signature is checked over the raw bytes; what is stored once is answered "
    "200 however often it comes, and is applied after the answer.",
    raw_body="What the provider sends, with the headers that sign it.",
    answers={200: Answer(description="It is stored.", kind=Received)},
    errors=[MalformedBody, ProviderNotFound, InvalidSignature, BodyTooLarge],
)

LIVE: Final = Operation(
    id="live",
    tag="Service",
    summary="Does the process live?",
    answers={200: Answer(description="It does.", kind=Health)},
    touches_database=False,
)

READY: Final = Operation(
    id="ready",
    tag="Service",
    summary="Can it take requests?",
    description="It can when the database answers and has every migration.",
    tells_more_to=Scope.ADMIN,
    answers={200: Answer(description="It can.", kind=Health)},
    errors=[DatabaseUnavailable],
)

OPENAPI: Final = Operation(
    id="openapi",
    tag="Service",
    summary="This document",
    answers={200: Answer(description="OpenAPI 3.1.", kind=dict)},
    touches_database=False,
)

HOME: Final = Operation(
    id="home",
    tag="Service",
    summary="Where to read on",
    answers={200: Answer(description="A short page that links to the documentation.", media_type="text/html")},
    touches_database=False,
)

DOCS: Final = Operation(
    id="docs",
    tag="Service",
    summary="This document for people",
    answers={200: Answer(description="A page that needs no other host.", media_type="text/html")},
    touches_database=False,
)
