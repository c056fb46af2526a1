"""What each call about webhooks to merchants says of itself in the OpenAPI document."""

from typing import Final

from paidonce.errors import (
    DeliveryNotFound,
    EncryptionKeyMissing,
    MerchantNotFound,
    TooManyRedeliveries,
    TooManyWebhookEndpoints,
    WebhookEndpointNotFound,
)
from paidonce.http.answers_webhooks import (
    DeliveryAnswer,
    DeliveryPage,
    EndpointAnswer,
    EndpointPage,
    Redelivered,
    RedeliveryList,
)
from paidonce.http.bodies import NoParameters
from paidonce.http.bodies_webhooks import (
    CreateEndpointBody,
    DeliveryListParameters,
    EndpointListParameters,
    NoBody,
    RedeliverRangeBody,
    RotateSecretBody,
    UpdateEndpointBody,
)
from paidonce.http.openapi import Answer, Operation
from paidonce.merchants.model import Scope

TAG: Final = "Webhooks"

CREATE_ENDPOINT: Final = Operation(
    id="createWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Create a webhook endpoint",
    description="From now on every event of the merchant is sent to it, signed as Standard Webhooks has it, at least "
    "once. The answer holds the secret that verifies the signatures. It is shown this once, and again to who repeats "
    "the call with its `Idempotency-Key`.",
    body=CreateEndpointBody,
    body_required=True,
    body_example={"merchantId": "m123", "url": "https://shop.example/webhooks"},
    parameters=NoParameters,
    answers={
        201: Answer(
            description="The endpoint and its secret; for a key that made one before, that one as it is now.",
            kind=EndpointAnswer,
            headers=["Location"],
        )
    },
    errors=[
        MerchantNotFound,
        WebhookEndpointNotFound,  # What its key made before is deleted by now.
        TooManyWebhookEndpoints,
        EncryptionKeyMissing,
    ],
)

LIST_ENDPOINTS: Final = Operation(
    id="listWebhookEndpoints",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List webhook endpoints",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    parameters=EndpointListParameters,
    answers={200: Answer(description="A page.", kind=EndpointPage)},
)

GET_ENDPOINT: Final = Operation(
    id="getWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Get a webhook endpoint",
    parameters=NoParameters,
    answers={200: Answer(description="As it is now.", kind=EndpointAnswer)},
    errors=[WebhookEndpointNotFound],
)

UPDATE_ENDPOINT: Final = Operation(
    id="updateWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Change, pause or resume a webhook endpoint",
    description="`enabled: false` pauses it: events are kept for it. `enabled: true` resumes it, also one that was "
    "paused because its receiver was gone: what was kept is sent.",
    body=UpdateEndpointBody,
    body_example={"enabled": True},
    parameters=NoParameters,
    answers={200: Answer(description="As it is now.", kind=EndpointAnswer)},
    errors=[WebhookEndpointNotFound],
)

DELETE_ENDPOINT: Final = Operation(
    id="deleteWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Delete a webhook endpoint",
    description="Nothing more is sent to it, what waits for it included.",
    parameters=NoParameters,
    answers={204: Answer(description="It is deleted.")},
    errors=[WebhookEndpointNotFound],
)

ROTATE_SECRET: Final = Operation(
    id="rotateWebhookSecret",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Replace a webhook endpoint's secret",
    description="The answer holds the new secret. It is shown this once, and again to who repeats the call with its "
    "`Idempotency-Key`. For `overlapSeconds` webhooks bear two signatures, "
    "so that the receiver can change over at its leisure.",
    body=RotateSecretBody,
    body_example={"overlapSeconds": 3600},
    parameters=NoParameters,
    answers={200: Answer(description="The endpoint and its new secret.", kind=EndpointAnswer)},
    errors=[WebhookEndpointNotFound, EncryptionKeyMissing],
)

TEST_ENDPOINT: Final = Operation(
    id="testWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Send a test event to a webhook endpoint",
    description="An `endpoint.test` event goes to this endpoint alone, whatever its filter says.",
    body=NoBody,
    parameters=NoParameters,
    answers={202: Answer(description="It is on its way.", kind=DeliveryAnswer, headers=["Location"])},
    errors=[WebhookEndpointNotFound],
)

LIST_DELIVERIES: Final = Operation(
    id="listDeliveries",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List a webhook endpoint's deliveries",
    description="Newest first, by pages, each with its newest tries and what the receiver answered.",
    parameters=DeliveryListParameters,
    answers={200: Answer(description="A page.", kind=DeliveryPage)},
    errors=[WebhookEndpointNotFound],
)

GET_DELIVERY: Final = Operation(
    id="getDelivery",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Get a delivery",
    parameters=NoParameters,
    answers={200: Answer(description="As it is now.", kind=DeliveryAnswer)},
    errors=[DeliveryNotFound],
)

REDELIVER: Final = Operation(
    id="redeliver",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Send a delivery again",
    description="With the same `webhook-id`, whatever became of it before, and with all tries before it.",
    body=NoBody,
    parameters=NoParameters,
    answers={202: Answer(description="It is due, or under way.", kind=DeliveryAnswer)},
    errors=[DeliveryNotFound],
)

REDELIVER_RANGE: Final = Operation(
    id="redeliverRange",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Send a range of events again",
    description="To this endpoint, by their `sequence`. What it was sent is sent again with the same `webhook-id`; "
    "what its filter takes now and it was never sent, because it was not there yet, is sent for the first time. The "
    "first events are made due at once, the `remaining` ones as fast as the receiver takes them.",
    body=RedeliverRangeBody,
    body_required=True,
    body_example={"fromSequence": 1, "toSequence": 100},
    parameters=NoParameters,
    answers={202: Answer(description="How many are due, and how many events remain.", kind=Redelivered)},
    errors=[WebhookEndpointNotFound, TooManyRedeliveries],
)

LIST_REDELIVERIES: Final = Operation(
    id="listRedeliveries",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List ranges that are being sent again",
    description="Those of this webhook endpoint that are not carried out yet, oldest first, with what remains of each.",
    parameters=NoParameters,
    answers={200: Answer(description="All of them.", kind=RedeliveryList)},
    errors=[WebhookEndpointNotFound],
)
