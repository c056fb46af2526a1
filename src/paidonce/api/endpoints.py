"""The calls about webhook endpoints and their deliveries."""

import msgspec

from paidonce import ids
from paidonce.api.answers_webhooks import (
    DeliveryPage,
    EndpointPage,
    Redelivered,
    delivery_answer,
    endpoint_answer,
)
from paidonce.api.bodies_webhooks import (
    CreateEndpointBody,
    DeliveryListParameters,
    EndpointListParameters,
    NoBody,
    RedeliverRangeBody,
    RotateSecretBody,
    UpdateEndpointBody,
)
from paidonce.api.exchange import (
    caller_of,
    known_merchant_of,
    merchant_of,
    origin_of,
    read,
    refuse_parameters,
)
from paidonce.api.once import once, tell_endpoint
from paidonce.api.reading import read_parameters
from paidonce.errors import FieldError, InvalidRequest, WrongMerchant
from paidonce.events.model import EventType
from paidonce.idempotency.actions import under
from paidonce.idempotency.model import Answered
from paidonce.outbox.actions import (
    REDELIVERED_MAX,
    ChangeEndpoint,
    CreateEndpoint,
    DeliveryFilter,
    Redeliver,
    RedeliverRange,
    SendTest,
    change_endpoints,
    create_endpoints,
    find_deliveries,
    find_endpoints,
    list_deliveries,
    list_endpoints,
    redeliver,
    redeliver_ranges,
    send_tests,
)
from paidonce.outbox.addresses import UrlRefused
from paidonce.outbox.model import WebhookEndpoint
from paidonce.outbox.store import EndpointFilter, EndpointName
from paidonce.service import Service
from paidonce.web.reply import Reply, reply
from paidonce.web.request import Request


async def create_endpoint(request: Request, service: Service) -> Reply:
    """Create an endpoint, and tell its secret this once."""
    said = read(CreateEndpointBody, request)
    origin = origin_of(request)
    merchant_id = merchant_of(caller_of(request), said.merchant_id)
    await known_merchant_of(request, service, merchant_id)
    await _check_url(service, said.url)
    endpoint_id = ids.new_id(ids.ENDPOINT)
    secret, sealed = service.outbox.make_secret(merchant_id=merchant_id, endpoint_id=endpoint_id)
    wish = CreateEndpoint(
        id=endpoint_id,
        merchant_id=merchant_id,
        url=said.url,
        event_types=_types(said.event_types),
        description=said.description,
        secret=sealed,
        origin=origin,
    )
    once_only = once(request, service, merchant_id, said, tell_endpoint)
    made = await service.writer.submit(*under(once_only, create_endpoints, wish))
    if isinstance(made, Answered):  # Its secret was shown that once.
        made_before = EndpointName((made.record.resource or "").rpartition("/")[2], merchant_id)
        found = await service.reader.submit(find_endpoints, made_before)
        assert isinstance(found, WebhookEndpoint)  # The batcher raises errors.
        headers = {"Location": f"/webhook-endpoints/{found.id}", "Idempotent-Replayed": "true"}
        return reply(endpoint_answer(found), 201, headers)
    assert isinstance(made, WebhookEndpoint)  # The batcher raises errors.
    return reply(endpoint_answer(made, secret), 201, {"Location": f"/webhook-endpoints/{made.id}"})


async def show_endpoints(request: Request, service: Service) -> Reply:
    """Show a page of endpoints."""
    said = read_parameters(EndpointListParameters, request.parameters)
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


async def get_endpoint(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Show an endpoint."""
    refuse_parameters(request)
    found = await service.reader.submit(find_endpoints, _name(request, endpoint_id))
    assert isinstance(found, WebhookEndpoint)  # The batcher raises errors.
    return reply(endpoint_answer(found))


async def update_endpoint(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Change what is said of an endpoint."""
    said = read(UpdateEndpointBody, request)
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


async def delete_endpoint(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Delete an endpoint."""
    refuse_parameters(request)
    wish = ChangeEndpoint(name=_name(request, endpoint_id), deleted=True, origin=origin_of(request))
    await _change(service, wish)
    return Reply(b"", 204)


async def rotate_secret(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Replace an endpoint's secret, and tell the new one this once."""
    said = read(RotateSecretBody, request)
    name = _name(request, endpoint_id)
    found = await service.reader.submit(find_endpoints, name)
    assert isinstance(found, WebhookEndpoint)  # The batcher raises errors.
    secret, sealed = service.outbox.make_secret(merchant_id=found.merchant_id, endpoint_id=found.id)
    overlap_ms = said.overlap_seconds * 1000
    wish = ChangeEndpoint(name=name, secret=sealed, overlap_ms=overlap_ms, origin=origin_of(request))
    return reply(endpoint_answer(await _change(service, wish), secret))


async def test_endpoint(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Send a test event to an endpoint."""
    read(NoBody, request)
    name = _name(request, endpoint_id)
    delivery_id = ids.new_id(ids.DELIVERY)
    wish = SendTest(endpoint=name, delivery_id=delivery_id, origin=origin_of(request))
    await service.writer.submit(send_tests, wish)
    return await _show_delivery(request, service, delivery_id, 202)


async def show_deliveries(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Show a page of an endpoint's deliveries."""
    said = read_parameters(DeliveryListParameters, request.parameters)
    _refuse_two_cursors(said.starting_after, said.ending_before)
    wish = DeliveryFilter(
        endpoint=_name(request, endpoint_id),
        limit=said.limit,
        status=said.status,
        starting_after=said.starting_after,
        ending_before=said.ending_before,
    )
    found = await service.reader.submit(list_deliveries, wish)
    assert not isinstance(found, Exception)  # The batcher raises those.
    page, has_more = found
    return reply(DeliveryPage([delivery_answer(one) for one in page], has_more))


async def redeliver_range(request: Request, service: Service, endpoint_id: str) -> Reply:
    """Send a range of events to an endpoint again."""
    said = read(RedeliverRangeBody, request)
    if not 0 <= said.to_sequence - said.from_sequence < REDELIVERED_MAX:
        detail = f"This is at least fromSequence, and at most {REDELIVERED_MAX - 1} more."
        raise InvalidRequest([FieldError("/toSequence", "invalid_value", detail)])
    origin_of(request)
    wish = RedeliverRange(
        endpoint=_name(request, endpoint_id), from_sequence=said.from_sequence, to_sequence=said.to_sequence
    )
    count = await service.writer.submit(redeliver_ranges, wish)
    assert isinstance(count, int)  # The batcher raises errors.
    return reply(Redelivered(count), 202)


async def get_delivery(request: Request, service: Service, delivery_id: str) -> Reply:
    """Show a delivery."""
    refuse_parameters(request)
    return await _show_delivery(request, service, delivery_id, 200)


async def send_again(request: Request, service: Service, delivery_id: str) -> Reply:
    """Send a delivery again."""
    read(NoBody, request)
    origin_of(request)
    wish = Redeliver(delivery_id, caller_of(request).merchant_id)
    shown = await service.writer.submit(redeliver, wish)
    assert not isinstance(shown, Exception)  # The batcher raises those.
    return reply(delivery_answer(shown), 202)


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
    changed = await service.writer.submit(change_endpoints, wish)
    assert isinstance(changed, WebhookEndpoint)  # The batcher raises errors.
    return changed


async def _show_delivery(request: Request, service: Service, delivery_id: str, status: int) -> Reply:
    wish = Redeliver(delivery_id, caller_of(request).merchant_id)
    shown = await service.reader.submit(find_deliveries, wish)
    assert not isinstance(shown, Exception)  # The batcher raises those.
    headers = {"Location": f"/deliveries/{delivery_id}"} if status == 202 else {}  # noqa: PLR2004 - its own name
    return reply(delivery_answer(shown), status, headers)


def _refuse_two_cursors(starting_after: str | None, ending_before: str | None) -> None:
    if starting_after and ending_before:
        detail = "Give startingAfter or endingBefore, not both."
        raise InvalidRequest([FieldError("endingBefore", "contradiction", detail)])
