"""An httpx transport that calls an ASGI application without a socket."""

import asyncio

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM = "/events/stream"


class InProcessTransport(httpx.ASGITransport):
    """Passes each request to an application.

    The client of an event stream disconnects after the first bytes, because the response would never end.
    """

    def __init__(self, app: ASGIApp, address: str = "192.0.2.1") -> None:
        super().__init__(disconnecting_from_streams(app), client=(address, 1))


def disconnecting_from_streams(app: ASGIApp) -> ASGIApp:
    """Disconnect the client of an event stream once it has received something."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(STREAM):
            await app(scope, receive, send)
            return
        heard = asyncio.Event()
        requests = iter([await receive()])

        async def receive_or_leave() -> Message:
            request = next(requests, None)
            if request is None:
                await heard.wait()
                return {"type": "http.disconnect"}
            return request

        async def send_and_listen(message: Message) -> None:
            await send(message)
            if message.get("body"):
                heard.set()

        await app(scope, receive_or_leave, send_and_listen)

    return answer
