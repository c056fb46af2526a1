"""An operator's calls: merchants, and their API keys."""

from typing import Final

import structlog
from starlette.responses import Response

from paidonce import ids
from paidonce.errors import KeyNotActive, KeyNotFound, MerchantNotFound
from paidonce.http.commands import Command, Repeat
from paidonce.http.operation import ResponseSpec, get, post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.http.tenancy import TenantFields
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.actions import (
    CreatedMerchant,
    IssuedKey,
    MerchantFilter,
    NewKey,
    RevokeKey,
    RotateKey,
    create_keys,
    create_merchants,
    list_keys,
    list_merchants,
    load_keys,
    load_merchants,
    revoke_keys,
    rotate_keys,
)
from paidonce.merchants.model import MERCHANT_SCOPES, ApiKey, Mode, Scope, TenantFilter
from paidonce.merchants.schemas import (
    CreateKeyBody,
    CreateMerchantBody,
    IssuedKeyResponse,
    KeyPage,
    KeyResponse,
    ListKeysParameters,
    ListMerchantsParameters,
    MerchantPage,
    MerchantResponse,
    RevokeKeyBody,
    RotateKeyBody,
    issued_key_response,
    issued_key_response_again,
    key_response,
    merchant_response,
)
from paidonce.merchants.secret import RANDOM_LENGTH, make_secret
from paidonce.merchants.store import KeyFilter
from paidonce.service import Service

log = structlog.get_logger()

TAG: Final = "Operator"


@post(
    "/merchants",
    operation_id="createMerchant",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Create a merchant",
    description="You choose the id: it is the `merchantId` of its checkouts. Creating it again changes nothing.",
    body=CreateMerchantBody,
    body_required=True,
    body_example={"id": "m123"},
    responses={
        201: ResponseSpec(description="The merchant.", schema=MerchantResponse, headers=["Idempotent-Replayed"])
    },
)
async def create_merchant(request: ApiRequest, body: CreateMerchantBody) -> Command[str, CreatedMerchant]:
    """Create a merchant; one that exists stays as it is."""

    async def respond(made: CreatedMerchant) -> Response:
        headers = {} if made.is_new else {"Idempotent-Replayed": "true"}
        return json_response(merchant_response(made.merchant), 201, headers)

    async def respond_again(_repeat: Repeat) -> Response:
        found = await request.service.reader.submit(load_merchants, body.id)
        return json_response(merchant_response(found), 201)

    return Command(
        action=create_merchants,
        params=body.id,
        summarize=summarize_merchant,
        respond=respond,
        respond_again=respond_again,
    )


@get(
    "/merchants",
    ListMerchantsParameters,
    operation_id="listMerchants",
    scope=Scope.ADMIN,
    tag=TAG,
    summary="List merchants",
    description="In the order of their ids, by pages: pass the last id as `startingAfter` for the next.",
    responses={200: ResponseSpec(description="A page.", schema=MerchantPage)},
)
async def get_merchants(request: ApiRequest, parameters: ListMerchantsParameters) -> Response:
    """Return a page of merchants."""
    wanted = MerchantFilter(parameters.limit, parameters.starting_after or "", parameters.prefix or "")
    page, has_more = await request.service.reader.submit(list_merchants, wanted)
    return json_response(MerchantPage([merchant_response(one) for one in page], has_more))


@post(
    "/keys",
    operation_id="createKey",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Create an API key for a merchant",
    description="The response shows the secret once; only its hash is stored. A client that repeats the call with its "
    "`Idempotency-Key` is shown the secret again for as long as that key is kept, for which time the secret is stored "
    "encrypted. Where it could not be kept, `secretShownAt` stands in its place. An operator's keys are created by "
    "command.",
    body=CreateKeyBody,
    body_required=True,
    body_example={"merchantId": "m123", "mode": "test", "scopes": ["checkouts:read", "checkouts:write"]},
    responses={
        201: ResponseSpec(
            description="The API key and its secret.", schema=IssuedKeyResponse, headers=["Cache-Control"]
        )
    },
    errors=[MerchantNotFound],
)
async def create_key(request: ApiRequest, body: CreateKeyBody) -> Command[NewKey, IssuedKey]:
    """Create an API key of a merchant."""
    tenant = request.tenant(TenantFields(merchant_id=body.merchant_id, mode=body.mode))
    key = NewKey(
        id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        merchant_id=tenant.merchant_id,
        mode=Mode(tenant.mode),
        scopes=MERCHANT_SCOPES if body.scopes is None else frozenset(Scope(one) for one in body.scopes),
    )

    async def respond(issued: IssuedKey) -> Response:
        return _respond_issued(request, issued, "key_created")

    return Command(
        action=create_keys,
        params=key,
        summarize=summarize_issued,
        respond=respond,
        respond_again=lambda repeat: _respond_issued_again(request.service, repeat),
        secret=key.random_part,
    )


@get(
    "/keys",
    ListKeysParameters,
    operation_id="listKeys",
    scope=Scope.ADMIN,
    tag=TAG,
    summary="List merchants' API keys",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    responses={200: ResponseSpec(description="A page; it holds no secret.", schema=KeyPage)},
)
async def get_keys(request: ApiRequest, parameters: ListKeysParameters) -> Response:
    """Return a page of API keys."""
    service = request.service
    wanted = KeyFilter(
        limit=parameters.limit,
        merchant_id=request.merchant_id_if_named(parameters.merchant_id),
        mode=request.caller.mode,
        starting_after=parameters.starting_after,
        operators=False,
    )
    page, has_more = await service.reader.submit(list_keys, wanted)
    return json_response(KeyPage([key_response(one, service.clock()) for one in page], has_more))


@post(
    "/keys/{key_id}/revoke",
    operation_id="revokeKey",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Revoke an API key",
    description="For good, and in every process within 5 seconds. Revoking it again changes nothing.",
    body=RevokeKeyBody,
    responses={200: ResponseSpec(description="The API key, revoked.", schema=KeyResponse)},
    errors=[KeyNotFound],
)
async def revoke_key(request: ApiRequest, _body: RevokeKeyBody) -> Command[RevokeKey, ApiKey]:
    """Revoke an API key."""
    service = request.service

    async def respond(key: ApiKey) -> Response:
        service.api_key_cache.invalidate()
        log.info("key_revoked", key_id=key.id, merchant_id=key.merchant_id, by_key_id=request.caller.key_id)
        return json_response(key_response(key, service.clock()))

    async def respond_again(repeat: Repeat) -> Response:
        service.api_key_cache.invalidate()  # It may have been another process that revoked it.
        return json_response(key_response(await _load_key(service, repeat.resource_id), service.clock()))

    return Command(
        action=revoke_keys,
        params=RevokeKey(id=request.path_value, operators=False, tenant=_own(request)),
        summarize=summarize_revoked,
        respond=respond,
        respond_again=respond_again,
    )


@post(
    "/keys/{key_id}/rotate",
    operation_id="rotateKey",
    scope=Scope.ADMIN,
    tenant=None,
    tag=TAG,
    summary="Replace an API key",
    description="The new key has the same scopes. The old one stays valid until the overlap is over, so that nothing "
    "stops meanwhile. A key is replaced once. The secret is shown as that of a key that is created.",
    body=RotateKeyBody,
    body_example={"overlapSeconds": 3600},
    responses={
        201: ResponseSpec(
            description="The new API key and its secret.", schema=IssuedKeyResponse, headers=["Cache-Control"]
        )
    },
    errors=[KeyNotFound, KeyNotActive],
)
async def rotate_key(request: ApiRequest, body: RotateKeyBody) -> Command[RotateKey, IssuedKey]:
    """Create a new API key in the place of another."""
    rotation = RotateKey(
        id=request.path_value,
        new_id=ids.new_id(ids.KEY),
        random_part=ids.draw_base62(RANDOM_LENGTH),
        overlap_seconds=body.overlap_seconds,
        operators=False,
        tenant=_own(request),
    )

    async def respond(issued: IssuedKey) -> Response:
        request.service.api_key_cache.invalidate()
        return _respond_issued(request, issued, "key_rotated")

    return Command(
        action=rotate_keys,
        params=rotation,
        summarize=summarize_issued,
        respond=respond,
        respond_again=lambda repeat: _respond_issued_again(request.service, repeat),
        secret=rotation.random_part,
    )


def _own(request: ApiRequest) -> TenantFilter:
    """Name whose keys the caller may manage: those of every merchant, or of its own in its mode."""
    return TenantFilter(request.caller.merchant_id, request.caller.mode)


def summarize_merchant(_params: object, outcome: CreatedMerchant) -> StoredResponse:
    """Store which merchant was created."""
    return StoredResponse(201, f"/merchants/{outcome.merchant.id}")


def summarize_issued(_params: object, outcome: IssuedKey) -> StoredResponse:
    """Store which API key was created."""
    return StoredResponse(201, f"/keys/{outcome.key.id}")


def summarize_revoked(_params: object, outcome: ApiKey) -> StoredResponse:
    """Store which API key was revoked."""
    return StoredResponse(200, f"/keys/{outcome.id}")


def _respond_issued(request: ApiRequest, issued: IssuedKey, event: str) -> Response:
    key = issued.key
    log.info(event, key_id=key.id, merchant_id=key.merchant_id, by_key_id=request.caller.key_id)
    return json_response(issued_key_response(issued, request.service.clock()), 201)


async def _respond_issued_again(service: Service, repeat: Repeat) -> Response:
    service.api_key_cache.invalidate()  # It may have been another process that rotated a key.
    key = await _load_key(service, repeat.resource_id)
    secret = None if repeat.secret is None else make_secret(Mode(key.mode), repeat.secret)
    answer = issued_key_response_again(key, service.clock(), secret=secret, shown_at=repeat.record.created_at)
    return json_response(answer, 201)


async def _load_key(service: Service, key_id: str) -> ApiKey:
    return await service.reader.submit(load_keys, key_id)
