"""The call that payment providers make: their webhooks."""

from starlette.responses import Response

from paidonce.errors import BodyTooLarge, InvalidSignature, MalformedBody, ProviderNotFound
from paidonce.http.operation import ResponseSpec, raw_post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.provider_webhooks.schemas import ReceivedResponse


@raw_post(
    "/providers/{provider}/webhooks",
    operation_id="receiveWebhook",
    tag="Providers",
    summary="Receive a provider's webhook",
    description="For payment providers. The signature is verified over the raw bytes. A webhook is stored once and "
    "answered 200 however often it arrives; it is applied after the response.",
    raw_body="What the provider sends, with the headers that sign it.",
    because="A provider sends no idempotency key: a webhook is stored once by the id that its provider gave it.",
    responses={200: ResponseSpec(description="It is stored.", schema=ReceivedResponse)},
    errors=[MalformedBody, ProviderNotFound, InvalidSignature, BodyTooLarge],
)
async def receive_webhook(request: ApiRequest, body: bytes) -> Response:
    """Verify the signature, store the webhook, respond; it is applied afterwards."""
    service, name = request.service, request.path_value
    provider = service.providers.get(name)
    if provider is None:
        raise ProviderNotFound
    notice = provider.read_webhook(request.http.headers, body)
    if notice is None:
        raise InvalidSignature
    await service.provider_webhook_processor.receive(name, notice, body)
    return json_response(ReceivedResponse(notice.id))
