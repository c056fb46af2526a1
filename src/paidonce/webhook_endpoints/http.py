"""The calls about webhook endpoints."""

from typing import Final

import msgspec
from starlette.responses import Response

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.errors import (
    EncryptionKeyMissing,
    FieldError,
    InvalidRequest,
    MerchantNotFound,
    TooManyWebhookEndpoints,
    WebhookEndpointNotFound,
    WrongMode,
)
from paidonce.events.model import EventType
from paidonce.http.commands import Command, Repeat
from paidonce.http.fields import Fields
from paidonce.http.operation import ResponseSpec, delete, get, patch, post
from paidonce.http.request import ApiRequest, refuse_two_cursors
from paidonce.http.responses import json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Scope, Tenant, TenantScopedId
from paidonce.service import Service
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    change_endpoints,
    create_endpoints,
    list_endpoints,
    load_endpoints,
)
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.schemas import (
    CreateEndpointBody,
    EndpointPage,
    EndpointResponse,
    ListEndpointsParameters,
    RotateSecretBody,
    UpdateEndpointBody,
    endpoint_response,
)
from paidonce.webhook_endpoints.ssrf import UrlRefused
from paidonce.webhook_endpoints.store import EndpointFilter

TAG: Final = "Webhooks"


async def _create_endpoint_tenant(request: ApiRequest, body: CreateEndpointBody) -> Tenant:
    return request.tenant(body, where="/merchantId")


@post(
    "/webhook-endpoints",
    operation_id="createWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=_create_endpoint_tenant,
    tag=TAG,
    summary="Create a webhook endpoint",
    description="From now on every event of the merchant in its mode is sent to it at least once, signed as Standard "
    "Webhooks defines. The response holds the secret that verifies the signatures. It is shown once, and again to a "
    "client that repeats the call with its `Idempotency-Key`.",
    body=CreateEndpointBody,
    body_required=True,
    body_example={"merchantId": "m123", "url": "https://shop.example/webhooks"},
    responses={
        201: ResponseSpec(
            description="The endpoint and its secret; for a key that created one before, that one as it is now.",
            schema=EndpointResponse,
            headers=["Location"],
        )
    },
    errors=[
        MerchantNotFound,
        WrongMode,
        WebhookEndpointNotFound,  # The one that its key created before is deleted by now.
        TooManyWebhookEndpoints,
        EncryptionKeyMissing,
    ],
)
async def create_endpoint(request: ApiRequest, body: CreateEndpointBody) -> Command[CreateEndpoint, WebhookEndpoint]:
    """Create an endpoint, and show its secret once."""
    service = request.service
    origin = request.origin
    tenant = request.tenant(body, where="/merchantId")
    await request.require_merchant(tenant.merchant_id)
    endpoint_id = ids.new_id(ids.ENDPOINT)
    try:
        secret, sealed = service.webhook_endpoints.make_secret(merchant_id=tenant.merchant_id, endpoint_id=endpoint_id)
    except EncryptionKeyMissing:
        await _check_url(service, body.url)  # An error that the client can correct comes first.
        raise

    async def respond(endpoint: WebhookEndpoint) -> Response:
        return _respond_created(endpoint_response(endpoint, secret))

    async def respond_again(repeat: Repeat) -> Response:
        return _respond_created(await _with_secret(request, repeat))

    return Command(
        action=create_endpoints,
        params=CreateEndpoint(
            id=endpoint_id,
            merchant_id=tenant.merchant_id,
            mode=tenant.mode,
            url=body.url,
            event_types=_types(body.event_types),
            description=body.description,
            secret=sealed,
            origin=origin,
        ),
        summarize=summarize_created,
        respond=respond,
        respond_again=respond_again,
        secret=secret,
        check=lambda: _check_url(service, body.url),
    )


@get(
    "/webhook-endpoints",
    ListEndpointsParameters,
    operation_id="listWebhookEndpoints",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List webhook endpoints",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next.",
    responses={200: ResponseSpec(description="A page.", schema=EndpointPage)},
    errors=[WrongMode],
)
async def get_endpoints(request: ApiRequest, parameters: ListEndpointsParameters) -> Response:
    """Return a page of endpoints."""
    tenant = request.tenant_filter(parameters)
    refuse_two_cursors(parameters.starting_after, parameters.ending_before)
    wanted = EndpointFilter(
        limit=parameters.limit,
        tenant=tenant,
        starting_after=parameters.starting_after,
        ending_before=parameters.ending_before,
    )
    page, has_more = await request.service.reader.submit(list_endpoints, wanted)
    return json_response(EndpointPage([endpoint_response(one) for one in page], has_more))


@get(
    "/webhook-endpoints/{endpoint_id}",
    operation_id="getWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Get a webhook endpoint",
    responses={200: ResponseSpec(description="As it is now.", schema=EndpointResponse)},
    errors=[WebhookEndpointNotFound],
)
async def get_endpoint(request: ApiRequest) -> Response:
    """Return an endpoint."""
    return json_response(endpoint_response(await load_endpoint(request)))


@patch(
    "/webhook-endpoints/{endpoint_id}",
    operation_id="updateWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Change, pause or resume a webhook endpoint",
    description="`enabled: false` pauses it: events are kept for it. `enabled: true` resumes it, also one that was "
    "paused because its receiver was gone: the events that were kept are sent.",
    body=UpdateEndpointBody,
    body_example={"enabled": True},
    responses={200: ResponseSpec(description="As it is now.", schema=EndpointResponse)},
    errors=[WebhookEndpointNotFound],
)
async def update_endpoint(request: ApiRequest, body: UpdateEndpointBody) -> Response:
    """Change an endpoint."""
    if body.url is not None:
        await _check_url(request.service, body.url)
    change = ChangeEndpoint(
        name=request.resource,
        url=msgspec.UNSET if body.url is None else body.url,
        event_types=msgspec.UNSET if body.event_types is None else _types(body.event_types),
        description=msgspec.UNSET if body.description is None else body.description or None,
        enabled=msgspec.UNSET if body.enabled is None else body.enabled,
        origin=request.origin,
    )
    return json_response(endpoint_response(await _change(request.service, change)))


@delete(
    "/webhook-endpoints/{endpoint_id}",
    operation_id="deleteWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Delete a webhook endpoint",
    description="Nothing more is sent to it, and its pending deliveries end.",
    responses={204: ResponseSpec(description="It is deleted.")},
    errors=[WebhookEndpointNotFound],
)
async def delete_endpoint(request: ApiRequest) -> Response:
    """Delete an endpoint."""
    await _change(request.service, ChangeEndpoint(name=request.resource, deleted=True, origin=request.origin))
    return Response(status_code=204)


async def endpoint_tenant(request: ApiRequest, _body: Fields) -> Tenant:
    """Tell whose the endpoint in the path is; raises WebhookEndpointNotFound."""
    endpoint = await load_endpoint(request)
    return Tenant(endpoint.merchant_id, endpoint.mode)


@post(
    "/webhook-endpoints/{endpoint_id}/rotate-secret",
    operation_id="rotateWebhookSecret",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=endpoint_tenant,
    tag=TAG,
    summary="Replace a webhook endpoint's secret",
    description="The response holds the new secret. It is shown once, and again to a client that repeats the call with "
    "its `Idempotency-Key`. For `overlapSeconds` webhooks bear two signatures, so that the receiver can change over "
    "without a gap.",
    body=RotateSecretBody,
    body_example={"overlapSeconds": 3600},
    responses={200: ResponseSpec(description="The endpoint and its new secret.", schema=EndpointResponse)},
    errors=[WebhookEndpointNotFound, EncryptionKeyMissing],
)
async def rotate_secret(request: ApiRequest, body: RotateSecretBody) -> Command[ChangeEndpoint, WebhookEndpoint]:
    """Replace an endpoint's secret, and show the new one once."""
    found = await load_endpoint(request)
    secret, sealed = request.service.webhook_endpoints.make_secret(merchant_id=found.merchant_id, endpoint_id=found.id)

    async def respond(changed: WebhookEndpoint) -> Response:
        return json_response(endpoint_response(changed, secret))

    async def respond_again(repeat: Repeat) -> Response:
        return json_response(await _with_secret(request, repeat))

    return Command(
        action=change_endpoints,
        params=ChangeEndpoint(
            name=TenantScopedId(found.id, found.merchant_id, found.mode),
            secret=sealed,
            overlap_ms=body.overlap_seconds * 1000,
            origin=request.origin,
        ),
        summarize=summarize_rotated,
        respond=respond,
        respond_again=respond_again,
        secret=secret,
    )


def summarize_created(_params: object, outcome: WebhookEndpoint) -> StoredResponse:
    """Store which webhook endpoint was created."""
    return StoredResponse(201, f"/webhook-endpoints/{outcome.id}")


def summarize_rotated(_params: object, outcome: WebhookEndpoint) -> StoredResponse:
    """Store which webhook endpoint's secret was replaced."""
    return StoredResponse(200, f"/webhook-endpoints/{outcome.id}")


async def load_endpoint(request: ApiRequest, endpoint_id: str | None = None) -> WebhookEndpoint:
    """Read an endpoint, that of the path unless another is given; raises WebhookEndpointNotFound."""
    return await request.service.reader.submit(load_endpoints, request.scoped_id(endpoint_id or request.path_value))


def _respond_created(endpoint: EndpointResponse) -> Response:
    return json_response(endpoint, 201, {"Location": f"/webhook-endpoints/{endpoint.id}"})


def _types(types: list[EventType] | None) -> str | None:
    """Write a filter as it is stored; an empty one is none."""
    return msgspec.json.encode(sorted(set(types))).decode() if types else None


async def _check_url(service: Service, url: str) -> None:
    try:
        await service.webhook_endpoints.check_url(url)
    except UrlRefused as error:
        raise InvalidRequest([FieldError("/url", "forbidden_url", str(error))]) from None


async def _change(service: Service, change: ChangeEndpoint) -> WebhookEndpoint:
    return await service.writer.submit(change_endpoints, change)


async def _with_secret(request: ApiRequest, repeat: Repeat) -> EndpointResponse:
    """Show an endpoint as it is now, with the secret that the first response showed or with when that was."""
    found = await load_endpoint(request, repeat.resource_id)
    if repeat.secret is None:
        return endpoint_response(found, secret_shown_at=format_instant(repeat.record.created_at))
    return endpoint_response(found, repeat.secret)
