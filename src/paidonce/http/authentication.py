"""Admission: the one place where a request is asked who it is and whether it may. It runs before every handler."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request

from paidonce.errors import (
    CheckoutNotFound,
    DeliveryNotFound,
    EventNotFound,
    InsufficientScope,
    KeyNotFound,
    PaidonceError,
    RefundNotFound,
    Unauthenticated,
    WebhookEndpointNotFound,
)
from paidonce.http.context import context_of
from paidonce.http.declarations import Call
from paidonce.http.headers import secret_of
from paidonce.http.openapi import shows_list
from paidonce.http.rate_limits import Limits
from paidonce.merchants.api_key_cache import ApiKeyCache
from paidonce.merchants.model import Caller
from paidonce.service import Service

IDS_IN_PATHS: Final[dict[str, tuple[re.Pattern[str], type[PaidonceError]]]] = {
    "checkout_id": (re.compile(r"chk_[0-9a-v]{26}"), CheckoutNotFound),
    "refund_id": (re.compile(r"ref_[0-9a-v]{26}"), RefundNotFound),
    "endpoint_id": (re.compile(r"whe_[0-9a-v]{26}"), WebhookEndpointNotFound),
    "delivery_id": (re.compile(r"dlv_[0-9a-v]{26}"), DeliveryNotFound),
    "event_id": (re.compile(r"evt_[0-9a-v]{26}"), EventNotFound),
    "key_id": (re.compile(r"key_[0-9a-v]{26}"), KeyNotFound),
}


Admit: TypeAlias = Callable[[Request, Call, str | None], Awaitable[None]]
"""Is given the request, its call, and what the path's variable part is; raises where it may not go on."""


def admit_to(service: Service, limits: Limits) -> Admit:
    """Make the hook; while keys are off everybody is admitted to everything but an operator's calls."""
    api_key_cache = service.api_key_cache if service.settings.auth == "keys" else None

    async def admit(request: Request, call: Call, value: str | None) -> None:
        operation = call.operation
        context = context_of(request)
        if operation.scope is not None:
            if api_key_cache is not None:
                context.caller = await _caller(api_key_cache, request)
            await limits.admit(context, is_list=shows_list(operation))
            if operation.scope not in context.caller.scopes:
                raise InsufficientScope(operation.scope, key_given=api_key_cache is not None)
        elif operation.tells_more_to is not None and api_key_cache is not None and "authorization" in request.headers:
            context.caller = await _caller(api_key_cache, request)
            await limits.admit(context, is_list=False)
        if value is not None:
            refuse_strange_id(call, value)

    return admit


async def _caller(api_key_cache: ApiKeyCache, request: Request) -> Caller:
    secret = secret_of(request)
    caller = await api_key_cache.find(secret) if secret else None
    if caller is None:
        raise Unauthenticated(key_given=bool(secret))
    return caller


def refuse_strange_id(call: Call, value: str) -> None:
    """Answer at once where an id in the path cannot be one; PostgreSQL would not even take a NUL."""
    known = IDS_IN_PATHS.get(call.variable or "")
    if known is not None and not known[0].fullmatch(value):
        raise known[1]
