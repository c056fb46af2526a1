"""Webhook endpoints of a merchant: the list, and what can be done with them."""

from typing import Annotated, ClassVar, Final

from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.formats import present
from paidonce.dashboard.forms import EmptyForm, Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.events.model import EventType
from paidonce.http.fields import Fields
from paidonce.http.formats import whole
from paidonce.merchants.model import TenantFilter
from paidonce.users.model import Role
from paidonce.webhook_endpoints import deliveries_http as deliveries, http as endpoints
from paidonce.webhook_endpoints.actions import (
    DeliveryFilter,
    list_deliveries,
    list_endpoints,
    load_endpoints,
)
from paidonce.webhook_endpoints.redelivery import list_redeliveries
from paidonce.webhook_endpoints.schemas import (
    DeliveryId,
    DeliveryResponse,
    EndpointResponse,
    RedeliveredFailedResponse,
    RedeliveredResponse,
    delivery_response,
    endpoint_response,
    redelivery_response,
)
from paidonce.webhook_endpoints.store import EndpointFilter

ENDPOINTS_MAX: Final = 100  # A merchant has at most 16 in each mode.
DELIVERIES_SHOWN: Final = 25
STATUSES: Final = ("PENDING", "SENDING", "DELIVERED", "FAILED")
TYPES: Final = tuple(one.value for one in EventType if not one.startswith(("endpoint.", "provider_account.")))


class EndpointForm(Form, frozen=True, kw_only=True):
    """An endpoint to create or to change. An empty description removes it; no types are all types."""

    audited: ClassVar = ("url", "description", "event_types")

    url: str
    description: str | None = None
    event_types: list[str] | None = None


class RangeForm(Form, frozen=True, kw_only=True):
    """The events to send again, by their numbers."""

    audited: ClassVar = ("from_sequence", "to_sequence")

    from_sequence: int
    to_sequence: int


class SinceForm(Form, frozen=True, kw_only=True):
    """The first day, in UTC, of what to send again."""

    audited: ClassVar = ("since",)

    since: Annotated[str, whole("[0-9]{4}-[0-9]{2}-[0-9]{2}")]


class DeliveryParameters(Fields, frozen=True, kw_only=True):
    """Which deliveries to show."""

    status: str | None = None
    after: DeliveryId | None = None


@page("/m/{merchant_id}/{mode}/webhooks", role=Role.VIEWER)
async def webhooks(request: DashboardRequest) -> Response:
    """Show a merchant's endpoints."""
    tenant = TenantFilter(request.tenant.merchant_id, request.tenant.mode)
    wanted = EndpointFilter(limit=ENDPOINTS_MAX, tenant=tenant)
    found, _ = await request.service.reader.submit(list_endpoints, wanted)
    values = {"endpoints": [endpoint_response(one) for one in found], "types": TYPES}
    return request.page("webhooks.html", values, title="Webhooks")


@page("/m/{merchant_id}/{mode}/webhooks/{endpoint_id}", role=Role.VIEWER)
async def webhook_endpoint(request: DashboardRequest) -> Response:
    """Show an endpoint, with its newest deliveries."""
    reader = request.service.reader
    name = request.caller.scoped_id(request.path_values["endpoint_id"])
    endpoint = await reader.submit(load_endpoints, name)
    parameters = request.parameters(DeliveryParameters)
    status = parameters.status if parameters.status in STATUSES else None
    wanted = DeliveryFilter(endpoint=name, limit=DELIVERIES_SHOWN, status=status, starting_after=parameters.after)
    found, has_more = await reader.submit(list_deliveries, wanted)
    path = f"{request.tenant_path}/webhooks/{endpoint.id}"
    values = {
        "endpoint": endpoint_response(endpoint),
        "deliveries": [delivery_response(one) for one in found],
        "redeliveries": [redelivery_response(one) for one in await reader.submit(list_redeliveries, name)],
        "older": f"{path}?status={status or ''}&after={found[-1].delivery.id}" if has_more else "",
        "status": status or "",
        "statuses": [("", "All"), *((one, one.capitalize()) for one in STATUSES)],
        "types": TYPES,
        "path": path,
    }
    return request.page("webhook_endpoint.html", values, title="Webhook endpoint")


@action("/m/{merchant_id}/{mode}/webhooks", role=Role.ADMIN, form=EndpointForm, shows=webhooks)
async def create_webhook_endpoint(request: DashboardRequest, form: EndpointForm) -> Response:
    """Create an endpoint, and show its secret once."""
    body = present(url=form.url, description=form.description, eventTypes=form.event_types or None)
    made = await run_operation(request, endpoints.create_endpoint, body=body)
    assert isinstance(made, EndpointResponse)
    return _show_secret(request, made, "The endpoint is created")


@action(
    "/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/change",
    role=Role.ADMIN,
    form=EndpointForm,
    shows=webhook_endpoint,
)
async def change_webhook_endpoint(request: DashboardRequest, form: EndpointForm) -> Response:
    """Change an endpoint's URL, description and types."""
    body = {"url": form.url, "description": form.description or "", "eventTypes": form.event_types or []}
    await run_operation(request, endpoints.update_endpoint, path_value=_id(request), body=body)
    return request.done(_path(request), "The endpoint is changed.")


@action("/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/pause", role=Role.ADMIN, form=EmptyForm, shows=webhook_endpoint)
async def pause_webhook_endpoint(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Pause an endpoint."""
    await run_operation(request, endpoints.update_endpoint, path_value=_id(request), body={"enabled": False})
    return request.done(_path(request), "The endpoint is paused. Its events are kept.")


@action(
    "/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/resume", role=Role.ADMIN, form=EmptyForm, shows=webhook_endpoint
)
async def resume_webhook_endpoint(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Resume an endpoint."""
    await run_operation(request, endpoints.update_endpoint, path_value=_id(request), body={"enabled": True})
    return request.done(_path(request), "The endpoint is resumed. The events that were kept are sent now.")


@action("/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/delete", role=Role.ADMIN, form=EmptyForm, leads_to=webhooks)
async def delete_webhook_endpoint(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Delete an endpoint."""
    await run_operation(request, endpoints.delete_endpoint, path_value=_id(request))
    return request.done(f"{request.tenant_path}/webhooks", "The endpoint is deleted.")


@action(
    "/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/rotate", role=Role.ADMIN, form=EmptyForm, shows=webhook_endpoint
)
async def rotate_webhook_secret(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Replace an endpoint's secret, and show the new one once."""
    rotated = await run_operation(request, endpoints.rotate_secret, path_value=_id(request), body={})
    assert isinstance(rotated, EndpointResponse)
    return _show_secret(request, rotated, "The secret is rotated")


@action("/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/test", role=Role.ADMIN, form=EmptyForm, shows=webhook_endpoint)
async def send_test_event(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Send a test event to an endpoint."""
    sent = await run_operation(request, deliveries.send_test_event, path_value=_id(request), body={})
    assert isinstance(sent, DeliveryResponse)
    return request.done(f"{request.tenant_path}/deliveries/{sent.id}", "A test event is being sent.")


@action(
    "/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/redeliver",
    role=Role.ADMIN,
    form=RangeForm,
    shows=webhook_endpoint,
)
async def redeliver_range(request: DashboardRequest, form: RangeForm) -> Response:
    """Send a range of events to an endpoint again."""
    body = {"fromSequence": form.from_sequence, "toSequence": form.to_sequence}
    sent = await run_operation(request, deliveries.redeliver_range, path_value=_id(request), body=body)
    assert isinstance(sent, RedeliveredResponse)
    return request.done(_path(request), f"{sent.deliveries} are being sent again; {sent.remaining} events remain.")


@action(
    "/m/{merchant_id}/{mode}/webhooks/{endpoint_id}/redeliver-failed",
    role=Role.ADMIN,
    form=SinceForm,
    shows=webhook_endpoint,
)
async def redeliver_failed(request: DashboardRequest, form: SinceForm) -> Response:
    """Send again everything that failed to reach an endpoint since a day."""
    body = {"since": f"{form.since}T00:00:00Z"}
    sent = await run_operation(request, deliveries.redeliver_failed_deliveries, path_value=_id(request), body=body)
    assert isinstance(sent, RedeliveredFailedResponse)
    more = " There may be more: send again when these have arrived." if sent.has_more else ""
    return request.done(_path(request), f"{sent.deliveries} failed deliveries are being sent again.{more}")


def _show_secret(request: DashboardRequest, endpoint: EndpointResponse, title: str) -> Response:
    """Answer the form itself: a secret is neither put into a URL nor kept for another request."""
    values = {"endpoint": endpoint, "secret": endpoint.secret or "", "shown_at": endpoint.secret_shown_at}
    return request.page("webhook_secret.html", values, title=title)


def _id(request: DashboardRequest) -> str:
    return request.path_values["endpoint_id"]


def _path(request: DashboardRequest) -> str:
    return f"{request.tenant_path}/webhooks/{_id(request)}"
