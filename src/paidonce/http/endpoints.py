"""The calls about webhook endpoints and their deliveries."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidonce import ids
from paidonce.clock import format_instant
from paidonce.errors import EncryptionKeyMissing, FieldError, InvalidRequest, WrongMerchant
from paidonce.events.model import EventType
from paidonce.http.answers_webhooks import (
    DeliveryPage,
    EndpointAnswer,
    EndpointPage,
    Redelivered,
    RedeliveryList,
    delivery_answer,
    endpoint_answer,
    redelivery_answer,
)
from paidonce.http.bodies_webhooks import (
    CreateEndpointBody,
    DeliveryListParameters,
    EndpointListParameters,
    NoBody,
    RedeliverRangeBody,
    RotateSecretBody,
    UpdateEndpointBody,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.exchange import (
    caller_of,
    known_merchant_of,
    merchant_of,
    origin_of,
    read,
    refuse_parameters,
)
from paidonce.http.reading import read_parameters
from paidonce.http.responses import JSON, reply
from paidonce.http.summaries import (
    summarize_endpoint_created,
    summarize_range_redelivery,
    summarize_redelivery,
    summarize_secret_rotated,
    summarize_test_sent,
)
from paidonce.service import Service
from paidonce.webhook_endpoints.actions import (
    ChangeEndpoint,
    CreateEndpoint,
    DeliveryFilter,
    Redeliver,
    SendTest,
    change_endpoints,
    create_endpoints,
    find_deliveries,
    find_endpoints,
    list_deliveries,
    list_endpoints,
    redeliver,
    send_tests,
)
from paidonce.webhook_endpoints.addresses import UrlRefused
from paidonce.webhook_endpoints.model import WebhookEndpoint
from paidonce.webhook_endpoints.redelivery import (
    REDELIVERED_MAX,
    RangeRedelivered,
    RedeliverRange,
    list_redeliveries,
    redeliver_ranges,
)
from paidonce.webhook_endpoints.resending import ShownDelivery
from paidonce.webhook_endpoints.store import EndpointFilter, EndpointName


async def create_endpoint(request: Request, service: Service) -> Command[WebhookEndpoint]:
    """Create an endpoint, and tell its secret this once."""
    said = await read(CreateEndpointBody, request)
    origin = origin_of(request)
    merchant_id = merchant_of(caller_of(request), said.merchant_id)
    await known_merchant_of(request, service, merchant_id)
    endpoint_id = ids.new_id(ids.ENDPOINT)
    try:
        secret, sealed = service.outbox.make_secret(merchant_id=merchant_id, endpoint_id=endpoint_id)
    except EncryptionKeyMissing:
        await _check_url(service, said.url)  # What the client can mend is told first.
        raise
    wish = CreateEndpoint(
        id=endpoint_id,
        merchant_id=merchant_id,
        url=said.url,
        event_types=_types(said.event_types),
        description=said.description,
        secret=sealed,
        origin=origin,
    )

    async def owner() -> str:
        return merchant_id

    async def respond(made: WebhookEndpoint) -> Response:
        return _show_created(endpoint_answer(made, secret))

    async def respond_again(repeat: Repeat) -> Response:
        return _show_created(await _with_secret(request, service, repeat))

    return Command(
        action=create_endpoints,
        params=wish,
        body=said,
        owner=owner,
        summarize=summarize_endpoint_created,
        respond=respond,
        respond_again=respond_again,
        secret=secret,
        check=lambda: _check_url(service, said.url),
    )


def _show_created(answer: EndpointAnswer) -> Response:
    return reply(answer, 201, {"Location": f"/webhook-endpoints/{answer.id}"})


async def show_endpoints(request: Request, service: Service) -> Response:
    """Show a page of endpoints."""
    said = read_parameters(EndpointListParameters, request.query_params.multi_items())
    caller = caller_of(request)
    if said.merchant_id is not None and caller.merchant_id not in (None, said.merchant_id):
        raise WrongMerchant
    _refuse_two_cursors(said.starting_after, said.ending_before)
    wish = EndpointFilter(
        limit=said.limit,
        merchant_id=said.merchant_id or caller.merchant_id,
        starting_after=said.starting_after,
        ending_before=said.ending_before,
    )
    page, has_more = await service.reader.submit(list_endpoints, wish)
    return reply(EndpointPage([endpoint_answer(one) for one in page], has_more))


async def get_endpoint(request: Request, service: Service, endpoint_id: str) -> Response:
    """Show an endpoint."""
    refuse_parameters(request)
    return reply(endpoint_answer(await _find(request, service, endpoint_id)))


async def update_endpoint(request: Request, service: Service, endpoint_id: str) -> Response:
    """Change what is said of an endpoint."""
    said = await read(UpdateEndpointBody, request)
    if said.url is not None:
        await _check_url(service, said.url)
    wish = ChangeEndpoint(
        name=_name(request, endpoint_id),
        url=msgspec.UNSET if said.url is None else said.url,
        event_types=msgspec.UNSET if said.event_types is None else _types(said.event_types),
        description=msgspec.UNSET if said.description is None else said.description or None,
        enabled=msgspec.UNSET if said.enabled is None else said.enabled,
        origin=origin_of(request),
    )
    return reply(endpoint_answer(await _change(service, wish)))


async def delete_endpoint(request: Request, service: Service, endpoint_id: str) -> Response:
    """Delete an endpoint."""
    refuse_parameters(request)
    wish = ChangeEndpoint(name=_name(request, endpoint_id), deleted=True, origin=origin_of(request))
    await _change(service, wish)
    return Response(status_code=204)


async def rotate_secret(request: Request, service: Service, endpoint_id: str) -> Command[WebhookEndpoint]:
    """Replace an endpoint's secret, and tell the new one this once."""
    said = await read(RotateSecretBody, request)
    found = await _find(request, service, endpoint_id)
    secret, sealed = service.outbox.make_secret(merchant_id=found.merchant_id, endpoint_id=found.id)
    overlap_ms = said.overlap_seconds * 1000
    name = EndpointName(found.id, found.merchant_id)
    wish = ChangeEndpoint(name=name, secret=sealed, overlap_ms=overlap_ms, origin=origin_of(request))

    async def respond(changed: WebhookEndpoint) -> Response:
        return reply(endpoint_answer(changed, secret))

    async def respond_again(repeat: Repeat) -> Response:
        return reply(await _with_secret(request, service, repeat))

    return Command(
        action=change_endpoints,
        params=wish,
        body=said,
        owner=lambda: _owner_of_endpoint(request, service, endpoint_id),
        summarize=summarize_secret_rotated,
        respond=respond,
        respond_again=respond_again,
        secret=secret,
    )


async def test_endpoint(request: Request, service: Service, endpoint_id: str) -> Command[WebhookEndpoint]:
    """Send a test event to an endpoint."""
    said = await read(NoBody, request)
    delivery_id = ids.new_id(ids.DELIVERY)
    return Command(
        action=send_tests,
        params=SendTest(endpoint=_name(request, endpoint_id), delivery_id=delivery_id, origin=origin_of(request)),
        body=said,
        owner=lambda: _owner_of_endpoint(request, service, endpoint_id),
        summarize=summarize_test_sent,
        respond=lambda _endpoint: _show_delivery(request, service, delivery_id, 202),
        respond_again=lambda repeat: _show_delivery(request, service, repeat.resource_id, 202),
    )


async def show_deliveries(request: Request, service: Service, endpoint_id: str) -> Response:
    """Show a page of an endpoint's deliveries."""
    said = read_parameters(DeliveryListParameters, request.query_params.multi_items())
    _refuse_two_cursors(said.starting_after, said.ending_before)
    wish = DeliveryFilter(
        endpoint=_name(request, endpoint_id),
        limit=said.limit,
        status=said.status,
        starting_after=said.starting_after,
        ending_before=said.ending_before,
    )
    found = await service.reader.submit(list_deliveries, wish)
    page, has_more = found
    return reply(DeliveryPage([delivery_answer(one) for one in page], has_more))


async def redeliver_range(request: Request, service: Service, endpoint_id: str) -> Command[RangeRedelivered]:
    """Send a range of events to an endpoint again."""
    said = await read(RedeliverRangeBody, request)
    if not 0 <= said.to_sequence - said.from_sequence < REDELIVERED_MAX:
        detail = f"This is at least fromSequence, and at most {REDELIVERED_MAX - 1} more."
        raise InvalidRequest([FieldError("/toSequence", "invalid_value", detail)])
    wish = RedeliverRange(
        id=ids.new_id(ids.REDELIVERY),
        endpoint=_name(request, endpoint_id),
        from_sequence=said.from_sequence,
        to_sequence=said.to_sequence,
    )

    async def respond(made: RangeRedelivered) -> Response:
        return reply(Redelivered(made.deliveries, made.remaining), 202)

    async def respond_again(repeat: Repeat) -> Response:
        return Response(repeat.record.answer, 202, media_type=JSON)

    return Command(
        action=redeliver_ranges,
        params=wish,
        body=said,
        owner=lambda: _owner_of_endpoint(request, service, endpoint_id),
        summarize=summarize_range_redelivery,
        respond=respond,
        respond_again=respond_again,
    )


async def show_redeliveries(request: Request, service: Service, endpoint_id: str) -> Response:
    """Show the ranges that are being sent to an endpoint again."""
    refuse_parameters(request)
    found = await service.reader.submit(list_redeliveries, _name(request, endpoint_id))
    return reply(RedeliveryList([redelivery_answer(one) for one in found]))


async def get_delivery(request: Request, service: Service, delivery_id: str) -> Response:
    """Show a delivery."""
    refuse_parameters(request)
    return await _show_delivery(request, service, delivery_id, 200)


async def send_again(request: Request, service: Service, delivery_id: str) -> Command[ShownDelivery]:
    """Send a delivery again."""
    said = await read(NoBody, request)

    async def owner() -> str:
        return (await _find_delivery(request, service, delivery_id)).delivery.merchant_id

    async def respond(shown: ShownDelivery) -> Response:
        return reply(delivery_answer(shown), 202)

    async def respond_again(repeat: Repeat) -> Response:
        return await respond(await _find_delivery(request, service, repeat.resource_id))

    return Command(
        action=redeliver,
        params=Redeliver(delivery_id, caller_of(request).merchant_id),
        body=said,
        owner=owner,
        summarize=summarize_redelivery,
        respond=respond,
        respond_again=respond_again,
    )


def _name(request: Request, endpoint_id: str) -> EndpointName:
    return EndpointName(endpoint_id, caller_of(request).merchant_id)


def _types(said: list[EventType] | None) -> str | None:
    """Write a filter as it is stored; an empty one is none."""
    return msgspec.json.encode(sorted(set(said))).decode() if said else None


async def _check_url(service: Service, url: str) -> None:
    try:
        await service.outbox.check_url(url)
    except UrlRefused as error:
        raise InvalidRequest([FieldError("/url", "forbidden_url", str(error))]) from None


async def _change(service: Service, wish: ChangeEndpoint) -> WebhookEndpoint:
    return await service.writer.submit(change_endpoints, wish)


async def _find(request: Request, service: Service, endpoint_id: str) -> WebhookEndpoint:
    return await service.reader.submit(find_endpoints, _name(request, endpoint_id))


async def _owner_of_endpoint(request: Request, service: Service, endpoint_id: str) -> str:
    return (await _find(request, service, endpoint_id)).merchant_id


async def _with_secret(request: Request, service: Service, repeat: Repeat) -> EndpointAnswer:
    """Show an endpoint as it is now with the secret of back then, or say when that was shown."""
    found = await _find(request, service, repeat.resource_id)
    if repeat.secret is None:
        return endpoint_answer(found, secret_shown_at=format_instant(repeat.record.created_at))
    return endpoint_answer(found, repeat.secret)


async def _find_delivery(request: Request, service: Service, delivery_id: str) -> ShownDelivery:
    return await service.reader.submit(find_deliveries, Redeliver(delivery_id, caller_of(request).merchant_id))


async def _show_delivery(request: Request, service: Service, delivery_id: str, status: int) -> Response:
    shown = await _find_delivery(request, service, delivery_id)
    headers = {"Location": f"/deliveries/{delivery_id}"} if status == 202 else {}  # noqa: PLR2004 - its own name
    return reply(delivery_answer(shown), status, headers)


def _refuse_two_cursors(starting_after: str | None, ending_before: str | None) -> None:
    if starting_after and ending_before:
        detail = "Give startingAfter or endingBefore, not both."
        raise InvalidRequest([FieldError("endingBefore", "contradiction", detail)])
