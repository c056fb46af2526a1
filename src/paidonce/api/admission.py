"""Admission: the one place where a request is asked who it is and whether it may. It runs before every handler.

A hook of the web layer and not one of its guards: for each guard and request Litestar copies the handler.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from paidonce.api.exchange import AnyRequest
from paidonce.api.openapi import Operation
from paidonce.errors import (
    CheckoutNotFound,
    InsufficientScope,
    KeyNotFound,
    PaidonceError,
    RefundNotFound,
    Unauthenticated,
)
from paidonce.merchants.keyring import Keyring
from paidonce.merchants.model import Caller
from paidonce.service import Service

BEARER: Final = b"bearer "

IDS_IN_PATHS: Final[dict[str, tuple[re.Pattern[str], type[PaidonceError]]]] = {
    "checkout_id": (re.compile(r"chk_[0-9a-v]{26}"), CheckoutNotFound),
    "refund_id": (re.compile(r"ref_[0-9a-v]{26}"), RefundNotFound),
    "key_id": (re.compile(r"key_[0-9a-v]{26}"), KeyNotFound),
}


def admit(service: Service | None) -> Callable[[AnyRequest], Awaitable[None]]:
    """Make the hook; while keys are off everybody is admitted to everything but an operator's calls."""
    keyring = service.keyring if service is not None and service.settings.auth == "keys" else None

    async def hook(request: AnyRequest) -> None:
        operation: Operation = request.scope["route_handler"].opt["operation"]
        if operation.scope is not None:
            state = request.scope["state"]
            if keyring is not None:
                state["caller"] = await _caller(keyring, request)
            if operation.scope not in state["caller"].scopes:
                raise InsufficientScope(operation.scope, key_given=keyring is not None)
        refuse_strange_ids(request)

    return hook


async def _caller(keyring: Keyring, request: AnyRequest) -> Caller:
    given = next((value for name, value in request.scope["headers"] if name == b"authorization"), b"")
    secret = given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else b""
    caller = await keyring.find(secret) if secret else None
    if caller is None:
        raise Unauthenticated(key_given=bool(secret))
    return caller


def refuse_strange_ids(request: AnyRequest) -> None:
    """Answer at once where an id in the path cannot be one; PostgreSQL would not even take a NUL."""
    for name, (pattern, not_found) in IDS_IN_PATHS.items():
        if name in request.path_params and not pattern.fullmatch(request.path_params[name]):
            raise not_found
