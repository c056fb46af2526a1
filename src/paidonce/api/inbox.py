"""The call that providers make: their webhooks."""

from paidonce.api.answers import Received
from paidonce.errors import InvalidSignature, ProviderNotFound
from paidonce.service import Service
from paidonce.web.reply import Reply, reply
from paidonce.web.request import Request


async def receive_webhook(request: Request, service: Service, provider: str) -> Reply:
    """Check the signature on the raw bytes, store, answer; it is applied behind the answer."""
    sender = service.providers.get(provider)
    if sender is None:
        raise ProviderNotFound
    notice = sender.read_webhook(request.headers, request.body)
    if notice is None:
        raise InvalidSignature
    await service.inbox.receive(provider, notice, request.body)
    return reply(Received(notice.id))
