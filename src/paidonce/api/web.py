"""The web application: Litestar with our controllers, behind a gateway that names every exchange."""

from litestar import Litestar
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from paidonce import ids
from paidonce.api.checkouts import CheckoutController
from paidonce.api.endpoints import DeliveryController, EndpointController
from paidonce.api.exchange import refuse_strange_ids
from paidonce.api.headers import REQUEST_ID
from paidonce.api.inbox import ProviderWebhookController
from paidonce.api.problems import allowed_methods, answer_error
from paidonce.api.refunds import RefundController
from paidonce.api.service import ServiceController
from paidonce.merchants.model import ANYBODY
from paidonce.service import Service

BODY_BYTES_MAX = 64 * 1024


def create_web_app(service: Service) -> ASGIApp:
    """Make the ASGI application for a running service."""
    app = create_litestar(service)
    return name_exchanges(tell_methods(app))


def tell_methods(app: Litestar) -> ASGIApp:
    """Answer OPTIONS with every method of a path; Litestar's own answer has those that were registered first."""

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        allowed = (
            allowed_methods(app, scope["path"])
            if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS"
            else []
        )
        if allowed:
            headers = [(b"allow", ", ".join(allowed).encode())]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await app(scope, receive, send)

    return gateway


def create_litestar(service: Service | None) -> Litestar:
    """Make the Litestar application; without a service it can still tell its OpenAPI document."""
    return Litestar(
        route_handlers=[
            CheckoutController,
            RefundController,
            EndpointController,
            DeliveryController,
            ProviderWebhookController,
            ServiceController,
        ],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers={Exception: answer_error},
        before_request=refuse_strange_ids,
        signature_namespace={"Service": Service},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )


def name_exchanges(app: ASGIApp) -> ASGIApp:
    """Give every exchange an id, the client's where it is well formed, and put it on the answer: errors included."""

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = ids.new_id(ids.REQUEST).encode()
        scope["state"] = {"request_id": request_id.decode(), "caller": ANYBODY}

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        await app(scope, receive, send_named)

    return gateway
