"""The call that providers make: their webhooks."""

from litestar import Controller, post
from litestar.params import FromPath

from paidonce.api import operations
from paidonce.api.answers import Received
from paidonce.api.exchange import AnyRequest, Injected
from paidonce.api.operations import described
from paidonce.api.reply import Reply, reply
from paidonce.errors import InvalidSignature, ProviderNotFound


class ProviderWebhookController(Controller):
    """What providers tell of themselves."""

    @post("/providers/{provider:str}/webhooks", status_code=200, opt=described(operations.RECEIVE_WEBHOOK))
    async def receive_webhook(self, request: AnyRequest, service: Injected, provider: FromPath[str]) -> Reply:
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
