"""Hearing that a client has gone."""

from starlette.types import Receive

from paidonce.errors import PaidonceError


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client of a request has gone; a body that nobody has read is thrown away."""
    try:
        while (await receive())["type"] != "http.disconnect":
            continue
    except PaidonceError:  # The body is too large, or ended too soon.
        return
