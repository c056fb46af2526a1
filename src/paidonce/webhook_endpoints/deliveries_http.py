"""The calls about deliveries to webhook endpoints: a test event, lists, and sending again."""

from typing import Final

import msgspec
from starlette.responses import Response

from paidonce import ids
from paidonce.clock import parse_instant
from paidonce.errors import (
    DeliveryNotFound,
    EventsDeleted,
    FieldError,
    InvalidRequest,
    TooManyRedeliveries,
    WebhookEndpointNotFound,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.fields import Fields
from paidonce.http.operation import ResponseSpec, get, post
from paidonce.http.request import ApiRequest, refuse_two_cursors
from paidonce.http.responses import JSON, json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Scope, Tenant, TenantScopedId
from paidonce.webhook_endpoints.actions import (
    DeliveryFilter,
    FailedRedelivered,
    RedeliverFailed,
    SendTest,
    list_deliveries,
    load_deliveries,
    redeliver,
    redeliver_failed,
    send_tests,
)
from paidonce.webhook_endpoints.http import TAG, endpoint_tenant
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import (
    REDELIVERED_MAX,
    RangeRedelivered,
    RedeliverRange,
    list_redeliveries,
    redeliver_ranges,
)
from paidonce.webhook_endpoints.redelivery_store import ShownDelivery
from paidonce.webhook_endpoints.schemas import (
    DeliveryPage,
    DeliveryResponse,
    EmptyBody,
    ListDeliveriesParameters,
    RedeliveredFailedResponse,
    RedeliveredResponse,
    RedeliverFailedBody,
    RedeliverRangeBody,
    RedeliveryList,
    delivery_response,
    redelivery_response,
)

ACCEPTED: Final = 202


@post(
    "/webhook-endpoints/{endpoint_id}/test",
    operation_id="testWebhookEndpoint",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=endpoint_tenant,
    tag=TAG,
    summary="Send a test event to a webhook endpoint",
    description="An `endpoint.test` event is sent to this endpoint alone, whatever its filter says.",
    body=EmptyBody,
    responses={202: ResponseSpec(description="It is being sent.", schema=DeliveryResponse, headers=["Location"])},
    errors=[WebhookEndpointNotFound],
)
async def send_test_event(request: ApiRequest, _body: EmptyBody) -> Command[SendTest, WebhookEndpoint]:
    """Send a test event to an endpoint."""
    delivery_id = ids.new_id(ids.DELIVERY)
    return Command(
        action=send_tests,
        params=SendTest(endpoint=request.resource, delivery_id=delivery_id, origin=request.origin),
        summarize=summarize_test,
        respond=lambda _endpoint: _respond_with_delivery(request, delivery_id, ACCEPTED),
        respond_again=lambda repeat: _respond_with_delivery(request, repeat.resource_id, ACCEPTED),
    )


@get(
    "/webhook-endpoints/{endpoint_id}/deliveries",
    ListDeliveriesParameters,
    operation_id="listDeliveries",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List a webhook endpoint's deliveries",
    description="Newest first, by pages, each with its newest tries and what the receiver responded.",
    responses={200: ResponseSpec(description="A page.", schema=DeliveryPage)},
    errors=[WebhookEndpointNotFound],
)
async def get_deliveries(request: ApiRequest, parameters: ListDeliveriesParameters) -> Response:
    """Return a page of an endpoint's deliveries."""
    refuse_two_cursors(parameters.starting_after, parameters.ending_before)
    wanted = DeliveryFilter(
        endpoint=request.resource,
        limit=parameters.limit,
        status=parameters.status,
        starting_after=parameters.starting_after,
        ending_before=parameters.ending_before,
    )
    found = await request.service.reader.submit(list_deliveries, wanted)
    page, has_more = found
    return json_response(DeliveryPage([delivery_response(one) for one in page], has_more))


@get(
    "/deliveries/{delivery_id}",
    operation_id="getDelivery",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="Get a delivery",
    responses={200: ResponseSpec(description="As it is now.", schema=DeliveryResponse)},
    errors=[DeliveryNotFound],
)
async def get_delivery(request: ApiRequest) -> Response:
    """Return a delivery."""
    return await _respond_with_delivery(request, request.path_value, 200)


async def _delivery_tenant(request: ApiRequest, _body: Fields) -> Tenant:
    return (await _load_delivery(request, request.path_value)).tenant


@post(
    "/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=_delivery_tenant,
    tag=TAG,
    summary="Send a delivery again",
    description="With the same `webhook-id`, whatever its status was. Its former tries are kept.",
    body=EmptyBody,
    responses={202: ResponseSpec(description="It is due, or being sent.", schema=DeliveryResponse)},
    errors=[DeliveryNotFound],
)
async def redeliver_delivery(request: ApiRequest, _body: EmptyBody) -> Command[TenantScopedId, ShownDelivery]:
    """Send a delivery again."""

    async def respond(shown: ShownDelivery) -> Response:
        return json_response(delivery_response(shown), ACCEPTED)

    async def respond_again(repeat: Repeat) -> Response:
        return await respond(await _load_delivery(request, repeat.resource_id))

    return Command(
        action=redeliver,
        params=request.resource,
        summarize=summarize_redelivered,
        respond=respond,
        respond_again=respond_again,
    )


@post(
    "/webhook-endpoints/{endpoint_id}/redeliver",
    operation_id="redeliverRange",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=endpoint_tenant,
    tag=TAG,
    summary="Send a range of events again",
    description="To this endpoint, by their `sequence`. Events that it was sent are sent again with the same "
    "`webhook-id`; events that its filter takes and that it was never sent, because it did not exist yet, are sent for "
    "the first time. The first events are due at once, the `remaining` ones as fast as the receiver takes them. A "
    "range that begins before the log does is a 410 with its `firstSequence`.",
    body=RedeliverRangeBody,
    body_required=True,
    body_example={"fromSequence": 1, "toSequence": 100},
    responses={
        202: ResponseSpec(description="How many are due, and how many events remain.", schema=RedeliveredResponse)
    },
    errors=[WebhookEndpointNotFound, TooManyRedeliveries, EventsDeleted],
)
async def redeliver_range(request: ApiRequest, body: RedeliverRangeBody) -> Command[RedeliverRange, RangeRedelivered]:
    """Send a range of events to an endpoint again."""
    if not 0 <= body.to_sequence - body.from_sequence < REDELIVERED_MAX:
        detail = f"This is at least fromSequence, and at most {REDELIVERED_MAX - 1} more."
        raise InvalidRequest([FieldError("/toSequence", "invalid_value", detail)])

    async def respond(outcome: RangeRedelivered) -> Response:
        return json_response(_redelivered(outcome), ACCEPTED)

    async def respond_again(repeat: Repeat) -> Response:
        return Response(repeat.record.answer, ACCEPTED, media_type=JSON)

    return Command(
        action=redeliver_ranges,
        params=RedeliverRange(
            id=ids.new_id(ids.REDELIVERY),
            endpoint=request.resource,
            from_sequence=body.from_sequence,
            to_sequence=body.to_sequence,
        ),
        summarize=summarize_range_redelivered,
        respond=respond,
        respond_again=respond_again,
    )


@post(
    "/webhook-endpoints/{endpoint_id}/redeliver-failed",
    operation_id="redeliverFailed",
    scope=Scope.WEBHOOKS_WRITE,
    tenant=endpoint_tenant,
    tag=TAG,
    summary="Send all failed deliveries of a webhook endpoint again",
    description="Those that are tried no more, and that were created since a time: the newest 1000. With `hasMore` "
    "call it again, with another `Idempotency-Key`, for those before them.",
    body=RedeliverFailedBody,
    body_required=True,
    body_example={"since": "2026-01-02T03:04:05Z"},
    responses={202: ResponseSpec(description="How many are due.", schema=RedeliveredFailedResponse)},
    errors=[WebhookEndpointNotFound],
)
async def redeliver_failed_deliveries(
    request: ApiRequest, body: RedeliverFailedBody
) -> Command[RedeliverFailed, FailedRedelivered]:
    """Send failed deliveries again."""

    async def respond(outcome: FailedRedelivered) -> Response:
        return json_response(_failed_redelivered(outcome), ACCEPTED)

    async def respond_again(repeat: Repeat) -> Response:
        return Response(repeat.record.answer, ACCEPTED, media_type=JSON)

    return Command(
        action=redeliver_failed,
        params=RedeliverFailed(request.resource, parse_instant(body.since)),
        summarize=summarize_failed_redelivered,
        respond=respond,
        respond_again=respond_again,
    )


@get(
    "/webhook-endpoints/{endpoint_id}/redeliveries",
    operation_id="listRedeliveries",
    scope=Scope.WEBHOOKS_WRITE,
    tag=TAG,
    summary="List the ranges that are being sent again",
    description="Those of this webhook endpoint that are not finished, oldest first, with what remains of each.",
    responses={200: ResponseSpec(description="All of them.", schema=RedeliveryList)},
    errors=[WebhookEndpointNotFound],
)
async def get_redeliveries(request: ApiRequest) -> Response:
    """Return the ranges that are being sent to an endpoint again."""
    found = await request.service.reader.submit(list_redeliveries, request.resource)
    return json_response(RedeliveryList([redelivery_response(one) for one in found]))


def summarize_test(params: SendTest, _outcome: WebhookEndpoint) -> StoredResponse:
    """Store which delivery sends the test event."""
    return StoredResponse(ACCEPTED, f"/deliveries/{params.delivery_id}")


def summarize_redelivered(_params: object, outcome: ShownDelivery) -> StoredResponse:
    """Store which delivery was made due."""
    return StoredResponse(ACCEPTED, f"/deliveries/{outcome.delivery.id}")


def summarize_range_redelivered(params: RedeliverRange, outcome: RangeRedelivered) -> StoredResponse:
    """Store how many deliveries were made due: no resource tells that later."""
    answer = msgspec.json.encode(_redelivered(outcome)).decode()
    return StoredResponse(ACCEPTED, f"/webhook-endpoints/{params.endpoint.id}", answer=answer)


def summarize_failed_redelivered(params: RedeliverFailed, outcome: FailedRedelivered) -> StoredResponse:
    """Store how many failed deliveries were made due: no resource tells that later."""
    answer = msgspec.json.encode(_failed_redelivered(outcome)).decode()
    return StoredResponse(ACCEPTED, f"/webhook-endpoints/{params.endpoint.id}", answer=answer)


def _failed_redelivered(outcome: FailedRedelivered) -> RedeliveredFailedResponse:
    return RedeliveredFailedResponse(outcome.deliveries, outcome.has_more)


def _redelivered(outcome: RangeRedelivered) -> RedeliveredResponse:
    return RedeliveredResponse(outcome.deliveries, outcome.remaining)


async def _load_delivery(request: ApiRequest, delivery_id: str) -> ShownDelivery:
    return await request.service.reader.submit(load_deliveries, request.scoped_id(delivery_id))


async def _respond_with_delivery(request: ApiRequest, delivery_id: str, status: int) -> Response:
    shown = await _load_delivery(request, delivery_id)
    headers = {"Location": f"/deliveries/{delivery_id}"} if status == ACCEPTED else {}
    return json_response(delivery_response(shown), status, headers)
