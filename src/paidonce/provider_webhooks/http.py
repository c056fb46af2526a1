"""The calls that payment providers make: their webhooks."""

from starlette.responses import Response

from paidonce.checkouts.model import ProviderRoute
from paidonce.errors import (
    BodyTooLarge,
    InvalidSignature,
    MalformedBody,
    ProviderAccountNotFound,
    ProviderNotFound,
    ProviderUnavailable,
)
from paidonce.http.operation import ResponseSpec, raw_post
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.provider_webhooks.schemas import ReceivedResponse
from paidonce.providers.base import Provider

DESCRIPTION = (
    "For payment providers. The signature is verified over the raw bytes. A webhook is stored once and answered 200 "
    "however often it arrives; it is applied after the response."
)
RAW_BODY = "What the provider sends, with the headers that sign it."
BECAUSE = "A provider sends no idempotency key: a webhook is stored once by the id that its provider gave it."
RESPONSES = {200: ResponseSpec(description="It is stored.", schema=ReceivedResponse)}


@raw_post(
    "/providers/{provider}/webhooks",
    operation_id="receiveWebhook",
    tag="Providers",
    summary="Receive a webhook of a provider without accounts",
    description=DESCRIPTION,
    raw_body=RAW_BODY,
    because=BECAUSE,
    responses=RESPONSES,
    errors=[MalformedBody, ProviderNotFound, InvalidSignature, BodyTooLarge],
)
async def receive_webhook(request: ApiRequest, body: bytes) -> Response:
    """Verify the signature, store the webhook, respond; it is applied afterwards."""
    provider = request.service.payment_providers.built_in(request.path_value)
    if provider is None:
        raise ProviderNotFound
    return await _receive(request, ProviderRoute(request.path_value), provider, body)


@raw_post(
    "/providers/{provider}/{account_id}/webhooks",
    operation_id="receiveAccountWebhook",
    tag="Providers",
    summary="Receive a webhook for a merchant's account",
    description=DESCRIPTION,
    raw_body=RAW_BODY,
    because=BECAUSE,
    responses=RESPONSES,
    errors=[MalformedBody, ProviderAccountNotFound, InvalidSignature, BodyTooLarge, ProviderUnavailable],
)
async def receive_account_webhook(request: ApiRequest, body: bytes) -> Response:
    """Do the same with the secret of the account, also of a disabled one: its payments may still be open."""
    name, account_id = request.http.path_params["provider"], request.path_value
    provider = await request.service.payment_providers.of_account(account_id)
    if provider is None or provider.name != name:
        raise ProviderAccountNotFound
    return await _receive(request, ProviderRoute(name, account_id), provider, body)


async def _receive(request: ApiRequest, route: ProviderRoute, provider: Provider, body: bytes) -> Response:
    notices = await provider.read_webhook(request.http.headers, body)
    if notices is None:
        raise InvalidSignature
    await request.service.provider_webhook_processor.receive(str(route), notices, body)
    return json_response(ReceivedResponse(notices[0].id))
