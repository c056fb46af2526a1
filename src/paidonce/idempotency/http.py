"""The call that tells what became of an idempotency key."""

from typing import Final
from urllib.parse import unquote

from starlette.responses import Response

from paidonce.checkouts.actions import load_checkouts_by_key
from paidonce.checkouts.store import CheckoutKey
from paidonce.errors import IdempotencyKeyNotFound, WrongMerchant, WrongMode
from paidonce.http.context import raw_path_in
from paidonce.http.headers import IDEMPOTENCY_KEY
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.idempotency.actions import load_idempotency_records
from paidonce.idempotency.model import ScopedKey, operator_key_space
from paidonce.idempotency.schemas import (
    IdempotencyKeyParameters,
    IdempotencyKeyResponse,
    KeyUse,
    creation_use,
    record_use,
)
from paidonce.merchants.model import Scope, Tenant

PREFIX: Final = "/idempotency-keys/"


@get(
    "/idempotency-keys/{key}",
    IdempotencyKeyParameters,
    takes_slashes=True,
    operation_id="getIdempotencyKey",
    scope=Scope.CHECKOUTS_READ,
    summary="Get what became of an idempotency key",
    description="For a client that got no response. What is shown took effect, once. A key that is not found had no "
    "effect, and may be sent again. No secret is shown. An operator who leaves out `merchantId` asks for a key that "
    "its own API key sent with a call about no merchant, such as `POST /keys`; one who names a merchant and no mode "
    "asks for `test`.",
    responses={200: ResponseSpec(description="What it was used for.", schema=IdempotencyKeyResponse)},
    errors=[IdempotencyKeyNotFound, WrongMerchant, WrongMode],
)
async def get_idempotency_key(request: ApiRequest, parameters: IdempotencyKeyParameters) -> Response:
    """Return what a key was used for."""
    caller, reader = request.caller, request.service.reader
    key = _key(request)
    if caller.merchant_id is None and caller.key_id is not None and parameters.merchant_id is None:
        space = operator_key_space(caller.key_id)
        record = await reader.submit(load_idempotency_records, ScopedKey(space.merchant_id, space.mode, key))
        return _respond(key, None, [record_use(record)] if record else [])
    tenant = request.tenant(parameters)
    created = await reader.submit(load_checkouts_by_key, CheckoutKey(tenant.merchant_id, tenant.mode, key))
    record = await reader.submit(load_idempotency_records, ScopedKey(tenant.merchant_id, tenant.mode, key))
    uses = [creation_use(created)] if created else []
    return _respond(key, tenant, [*uses, record_use(record)] if record else uses)


def _respond(key: str, tenant: Tenant | None, uses: list[KeyUse]) -> Response:
    if not uses:
        raise IdempotencyKeyNotFound
    merchant_id, mode = (tenant.merchant_id, tenant.mode) if tenant else (None, None)
    return json_response(IdempotencyKeyResponse(key, merchant_id, mode, uses))


def _key(request: ApiRequest) -> str:
    """Read the key from the path as it was sent: it may hold slashes, which the router would split at."""
    key = unquote(raw_path_in(request.http.scope).decode("latin-1").partition(PREFIX)[2])
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyNotFound
    return key
