"""The call that providers make: their webhooks."""

from starlette.requests import Request
from starlette.responses import Response

from paidonce.errors import InvalidSignature, ProviderNotFound
from paidonce.http.answers import Received
from paidonce.http.responses import reply
from paidonce.service import Service


async def receive_webhook(request: Request, service: Service, provider: str) -> Response:
    """Check the signature on the raw bytes, store, answer; it is applied behind the answer."""
    sender = service.providers.get(provider)
    if sender is None:
        raise ProviderNotFound
    body = await request.body()
    notice = sender.read_webhook(request.headers, body)
    if notice is None:
        raise InvalidSignature
    await service.inbox.receive(provider, notice, body)
    return reply(Received(notice.id))
