"""Authentication and authorization: who makes a request, and whether they may. It runs before every handler."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request

from paidonce.errors import InsufficientScope, Unauthenticated
from paidonce.http.context import context_of
from paidonce.http.headers import secret_of
from paidonce.http.operation import Operation
from paidonce.http.rate_limits import RateLimiter
from paidonce.merchants.api_key_cache import ApiKeyCache
from paidonce.merchants.model import Caller
from paidonce.service import Service

Authenticate: TypeAlias = Callable[[Request, Operation], Awaitable[None]]
"""Notes in the request's context who makes it; raises where they may not call the operation, or not so often."""


def authenticate_for(service: Service, limits: RateLimiter) -> Authenticate:
    """Make the check. While keys are off everybody may call everything but an operator's operations."""
    api_key_cache = service.api_key_cache if service.settings.auth == "keys" else None

    async def authenticate(request: Request, operation: Operation) -> None:
        context = context_of(request)
        if operation.scope is not None:
            if api_key_cache is not None:
                context.caller = await _caller(api_key_cache, request)
            await limits.admit(context, is_list=operation.returns_list)
            if operation.scope not in context.caller.scopes:
                raise InsufficientScope(operation.scope, key_given=api_key_cache is not None)
        elif operation.details_scope is not None and api_key_cache is not None and "authorization" in request.headers:
            context.caller = await _caller(api_key_cache, request)
            await limits.admit(context, is_list=False)

    return authenticate


async def _caller(api_key_cache: ApiKeyCache, request: Request) -> Caller:
    secret = secret_of(request)
    caller = await api_key_cache.find(secret) if secret else None
    if caller is None:
        raise Unauthenticated(key_given=bool(secret))
    return caller
