"""A stream, and a client that waits, last longer than a key is cached: they end as soon as their key does."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from paidonce.errors import Unauthenticated
from paidonce.events.feed import Follower
from paidonce.http.headers import secret_of
from paidonce.http.request import ApiRequest

T = TypeVar("T")


@contextmanager
def follow_while_key_is_valid(
    request: ApiRequest, follow: Callable[[], AbstractContextManager[Follower]]
) -> Iterator[Follower]:
    """Follow until the key of a request ends: then the follower is given nothing more, and its stream ends in order."""
    with follow() as follower:
        if _bears_key(request):
            with request.service.api_key_cache.watch(secret_of(request.http), follower.end):
                yield follower
        else:
            yield follower


async def wait_while_key_is_valid(request: ApiRequest, waiting: Coroutine[Any, Any, T]) -> T:
    """Wait for what only waits; raises Unauthenticated as soon as the request's key has ended."""
    if not _bears_key(request):
        return await waiting
    now = asyncio.get_running_loop().time
    scope = asyncio.timeout(None)  # Until the key's end makes it now.
    try:
        async with scope:
            with request.service.api_key_cache.watch(secret_of(request.http), lambda: scope.reschedule(now())):
                return await waiting
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unauthenticated(key_given=True) from None


def _bears_key(request: ApiRequest) -> bool:
    """Tell whether a request was admitted by a key; while keys are off none is asked for."""
    return request.caller.key_id is not None
