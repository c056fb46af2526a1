"""One delivery of an event to a webhook endpoint: the body that was sent, and what the receiver answered each time."""

import msgspec
from starlette.responses import Response

from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import EmptyForm
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.users.model import Role
from paidonce.webhook_endpoints import deliveries_http as deliveries
from paidonce.webhook_endpoints.actions import load_deliveries, load_messages
from paidonce.webhook_endpoints.message import write_message
from paidonce.webhook_endpoints.schemas import delivery_response


@page("/m/{merchant_id}/{mode}/deliveries/{delivery_id}", role=Role.VIEWER)
async def delivery(request: DashboardRequest) -> Response:
    """Show a delivery."""
    name = request.caller.scoped_id(request.path_values["delivery_id"])
    shown = await request.service.reader.submit(load_deliveries, name)
    message = await request.service.reader.submit(load_messages, name)
    values = {
        "delivery": delivery_response(shown),
        "body": msgspec.json.format(write_message(message)).decode(),
        "path": f"{request.tenant_path}/deliveries/{name.id}",
    }
    return request.page("delivery.html", values, title=f"Delivery of {shown.type}")


@action("/m/{merchant_id}/{mode}/deliveries/{delivery_id}/redeliver", role=Role.ADMIN, form=EmptyForm, shows=delivery)
async def redeliver(request: DashboardRequest, _form: EmptyForm) -> Response:
    """Send a delivery again."""
    delivery_id = request.path_values["delivery_id"]
    await run_operation(request, deliveries.redeliver_delivery, path_value=delivery_id, body={})
    return request.done(f"{request.tenant_path}/deliveries/{delivery_id}", "It is being sent again.")
