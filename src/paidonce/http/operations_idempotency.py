"""What the call about idempotency keys takes, and what it says of itself in the OpenAPI document."""

from typing import Final

from paidonce.errors import IdempotencyKeyNotFound, WrongMerchant
from paidonce.http.answers_idempotency import IdempotencyKeyAnswer
from paidonce.http.bodies import MerchantId
from paidonce.http.openapi import Answer, Operation
from paidonce.http.reading import Fields
from paidonce.merchants.model import Scope


class KeyParameters(Fields, frozen=True, kw_only=True):
    """Whose key. An operator who names no merchant asks for a key of its own, sent with a call about no merchant."""

    merchant_id: MerchantId | None = None


GET_IDEMPOTENCY_KEY: Final = Operation(
    id="getIdempotencyKey",
    scope=Scope.CHECKOUTS_READ,
    tag="Checkouts",
    summary="See what became of an idempotency key",
    description="For a client that got no answer. What is shown took effect, once; what is not found did not, and may "
    "be asked for again with the same key. No secret is shown. An operator who leaves out `merchantId` asks for a key "
    "that its own API key sent with a call about no merchant, such as `POST /keys`.",
    parameters=KeyParameters,
    answers={200: Answer(description="What it was used for.", kind=IdempotencyKeyAnswer)},
    errors=[IdempotencyKeyNotFound, WrongMerchant],
)
