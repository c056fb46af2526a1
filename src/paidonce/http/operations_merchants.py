"""What an operator's calls say of themselves in the OpenAPI document."""

from typing import Final

from paidonce.errors import KeyNotActive, KeyNotFound, MerchantNotFound
from paidonce.http.answers_merchants import IssuedKeyAnswer, KeyAnswer, KeyPage, MerchantAnswer, MerchantPage
from paidonce.http.bodies import NoParameters
from paidonce.http.bodies_merchants import (
    CreateKeyBody,
    CreateMerchantBody,
    KeyParameters,
    MerchantParameters,
    RevokeKeyBody,
    RotateKeyBody,
)
from paidonce.http.openapi import Answer, Operation
from paidonce.merchants.model import Scope

CREATE_MERCHANT: Final = Operation(
    id="createMerchant",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="Create a merchant",
    description="The id is yours to choose: it is its checkouts' `merchantId`. Creating it again changes nothing.",
    body=CreateMerchantBody,
    body_required=True,
    body_example={"id": "m123"},
    parameters=NoParameters,
    answers={201: Answer(description="The merchant.", kind=MerchantAnswer, headers=["Idempotent-Replayed"])},
)

LIST_MERCHANTS: Final = Operation(
    id="listMerchants",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="List merchants",
    description="In the order of their ids, by pages: pass the last id as `startingAfter` for the next.",
    parameters=MerchantParameters,
    answers={200: Answer(description="A page.", kind=MerchantPage)},
)

CREATE_KEY: Final = Operation(
    id="createKey",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="Make a key of a merchant",
    description="The answer shows the secret, once, and its hash is stored. Whoever repeats the call with its "
    "`Idempotency-Key` is shown it again for as long as that key is kept, and the secret with it, encrypted; where it "
    "could not be kept, `secretShownAt` stands in its place. An operator's keys are made by command.",
    body=CreateKeyBody,
    body_required=True,
    body_example={"merchantId": "m123", "mode": "test", "scopes": ["checkouts:read", "checkouts:write"]},
    parameters=NoParameters,
    answers={201: Answer(description="The key and its secret.", kind=IssuedKeyAnswer, headers=["Cache-Control"])},
    errors=[MerchantNotFound],
)

LIST_KEYS: Final = Operation(
    id="listKeys",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="List merchants' keys",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    parameters=KeyParameters,
    answers={200: Answer(description="A page; no secret is in it.", kind=KeyPage)},
)

REVOKE_KEY: Final = Operation(
    id="revokeKey",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="Revoke a key",
    description="For good, and everywhere within 5 seconds. Revoking it again changes nothing.",
    body=RevokeKeyBody,
    parameters=NoParameters,
    answers={200: Answer(description="The key, revoked.", kind=KeyAnswer)},
    errors=[KeyNotFound],
)

ROTATE_KEY: Final = Operation(
    id="rotateKey",
    scope=Scope.ADMIN,
    tag="Operator",
    summary="Put a new key in a key's place",
    description="The new one may do the same. The old one lives until the overlap is over, so that nothing stops "
    "meanwhile; a key is replaced once. The secret is shown as that of a key that is made.",
    body=RotateKeyBody,
    body_example={"overlapSeconds": 3600},
    parameters=NoParameters,
    answers={201: Answer(description="The new key and its secret.", kind=IssuedKeyAnswer, headers=["Cache-Control"])},
    errors=[KeyNotFound, KeyNotActive],
)
