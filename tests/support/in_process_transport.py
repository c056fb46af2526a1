"""An httpx transport that calls an ASGI application without a socket."""

import asyncio

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM = "/events/stream"


class InProcessTransport(httpx.ASGITransport):
    """Passes each request to an application.

    The client of an event stream disconnects after the first messages, because the response would never end.
    """

    def __init__(self, app: ASGIApp, address: str = "192.0.2.1", *, stream_messages: int = 1) -> None:
        super().__init__(disconnecting_from_streams(app, stream_messages), client=(address, 1))


def disconnecting_from_streams(app: ASGIApp, messages: int) -> ASGIApp:
    """Disconnect the client of an event stream once it has received so many messages."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(STREAM):
            await app(scope, receive, send)
            return
        heard = asyncio.Event()
        left = messages
        requests = iter([await receive()])

        async def receive_or_leave() -> Message:
            request = next(requests, None)
            if request is None:
                await heard.wait()
                return {"type": "http.disconnect"}
            return request

        async def send_and_listen(message: Message) -> None:
            nonlocal left
            await send(message)
            if message.get("body"):
                left -= 1
                if not left:
                    heard.set()

        await app(scope, receive_or_leave, send_and_listen)

    return answer
