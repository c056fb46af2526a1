"""An application without a socket: httpx hands it each request."""

import asyncio

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM = "/events/stream"


class InProcessTransport(httpx.ASGITransport):
    """Hands each request to an application.

    At a stream of events the client hangs up when it has heard its beginning: else its answer would have no end.
    """

    def __init__(self, app: ASGIApp, address: str = "192.0.2.1") -> None:
        super().__init__(disconnecting_from_streams(app), client=(address, 1))


def disconnecting_from_streams(app: ASGIApp) -> ASGIApp:
    """Let the client of a stream go as soon as it has heard something."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != STREAM:
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
