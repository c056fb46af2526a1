"""What lasts longer than a key may be believed ends with the key: a stream, and a client that waits."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from starlette.requests import Request

from paidonce.errors import Unauthenticated
from paidonce.events.feed import Follower
from paidonce.http.context import context_of
from paidonce.http.headers import secret_of
from paidonce.service import Service

T = TypeVar("T")


@contextmanager
def follow_while_key_lives(
    request: Request, service: Service, follow: Callable[[], AbstractContextManager[Follower]]
) -> Iterator[Follower]:
    """Follow until the key of a request ends: then the follower is given nothing more, and its stream ends in order."""
    with follow() as follower:
        if _bears_key(request):
            with service.api_key_cache.watch(secret_of(request), follower.end):
                yield follower
        else:
            yield follower


async def wait_while_key_lives(request: Request, service: Service, waiting: Coroutine[Any, Any, T]) -> T:
    """Wait for what only waits; raises Unauthenticated as soon as the request's key has ended."""
    if not _bears_key(request):
        return await waiting
    now = asyncio.get_running_loop().time
    scope = asyncio.timeout(None)  # Until the key's end makes it now.
    try:
        async with scope:
            with service.api_key_cache.watch(secret_of(request), lambda: scope.reschedule(now())):
                return await waiting
    except TimeoutError:
        if not scope.expired():
            raise
        raise Unauthenticated(key_given=True) from None


def _bears_key(request: Request) -> bool:
    """Tell whether a request was admitted by a key; while keys are off none is asked for."""
    return context_of(request).caller.key_id is not None
