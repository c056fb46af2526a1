"""Admission: the one place where a request is asked who it is and whether it may. It runs before every handler."""

import re
from collections.abc import Sequence
from typing import Final

from paidonce.api.limits import Limits
from paidonce.api.openapi import Operation, shows_list
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
from paidonce.merchants.keyring import Keyring
from paidonce.merchants.model import ANYBODY, Caller
from paidonce.service import Service
from paidonce.web.application import Admit
from paidonce.web.request import Request
from paidonce.web.routing import Route

BEARER: Final = b"bearer "

IDS_IN_PATHS: Final[dict[str, tuple[re.Pattern[str], type[PaidonceError]]]] = {
    "checkout_id": (re.compile(r"chk_[0-9a-v]{26}"), CheckoutNotFound),
    "refund_id": (re.compile(r"ref_[0-9a-v]{26}"), RefundNotFound),
    "endpoint_id": (re.compile(r"whe_[0-9a-v]{26}"), WebhookEndpointNotFound),
    "delivery_id": (re.compile(r"dlv_[0-9a-v]{26}"), DeliveryNotFound),
    "event_id": (re.compile(r"evt_[0-9a-v]{26}"), EventNotFound),
    "key_id": (re.compile(r"key_[0-9a-v]{26}"), KeyNotFound),
}


def admit_to(service: Service, limits: Limits) -> Admit:
    """Make the hook; while keys are off everybody is admitted to everything but an operator's calls."""
    keyring = service.keyring if service.settings.auth == "keys" else None

    async def admit(request: Request, route: Route, values: Sequence[str]) -> None:
        operation: Operation = route.operation
        request.caller = ANYBODY
        if operation.scope is not None:
            if keyring is not None:
                request.caller = await _caller(keyring, request)
            await limits.admit(request, is_list=shows_list(operation))
            if operation.scope not in request.caller.scopes:
                raise InsufficientScope(operation.scope, key_given=keyring is not None)
        elif operation.tells_more_to is not None and keyring is not None and b"authorization" in request.fields:
            request.caller = await _caller(keyring, request)
            await limits.admit(request, is_list=False)
        if values:
            refuse_strange_ids(route, values)

    return admit


def secret_of(request: Request) -> bytes:
    """Read the key that a request bears; empty where it bears none."""
    given = request.fields.get(b"authorization", b"")
    return given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else b""


async def _caller(keyring: Keyring, request: Request) -> Caller:
    secret = secret_of(request)
    caller = await keyring.find(secret) if secret else None
    if caller is None:
        raise Unauthenticated(key_given=bool(secret))
    return caller


def refuse_strange_ids(route: Route, values: Sequence[str]) -> None:
    """Answer at once where an id in the path cannot be one; PostgreSQL would not even take a NUL."""
    for name, value in zip(route.names, values, strict=True):
        known = IDS_IN_PATHS.get(name)
        if known is not None and not known[0].fullmatch(value):
            raise known[1]
