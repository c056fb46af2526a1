"""The application: from a request to its handler, and from whatever that brings to an answer that bears the
request's id.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from paidonce import ids
from paidonce.web.asgi import Receive, Scope, Send
from paidonce.web.reply import Answer, Reply
from paidonce.web.request import ClientDisconnected, Request
from paidonce.web.routing import Route, Router

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


Admit: TypeAlias = Callable[[Request, Route, Sequence[str]], Awaitable[None]]
"""Is given the request, its route, and the values of its path's variable parts; raises where it may not go on."""


class Gate(Protocol):
    """What every request passes on its way in and out, whatever becomes of it between."""

    def enter(self, request: Request) -> None:
        """Let it in, or raise."""
        ...

    async def before_answer(self, request: Request, answer: Answer) -> None:
        """See its answer before it is sent; add headers, or hold it back."""
        ...

    def leave(self, request: Request) -> None:
        """Let it out: its answer is sent."""
        ...


class Application:
    """An ASGI application over a table of routes.

    Every handler is given ``context``. ``admit`` may refuse a request by raising; ``answer_error`` answers whatever
    was raised. An id of the client's own is taken where it is well formed, but for one that ``refuse_id`` refuses.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        context: object,
        *,
        answer_error: Callable[[Request, Exception], Reply],
        admit: Admit | None = None,
        gate: Gate | None = None,
        refuse_id: Callable[[str], bool] | None = None,
    ) -> None:
        self._routes = routes
        self._router = Router(routes)
        self._context = context
        self._answer_error = answer_error
        self._admit = admit
        self._gate = gate
        self._refuse_id = refuse_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, request_id=self._name(scope), routes=self._routes)
        try:
            if self._gate is not None:
                self._gate.enter(request)
            await self._send(await self._answer(request), send, request)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            await self._send(self._answer_error(request, error), send, request)
        finally:
            if self._gate is not None:
                self._gate.leave(request)

    def _name(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                said: str = value.decode()
                if self._refuse_id is None or not self._refuse_id(said):
                    return said
        return ids.new_id(ids.REQUEST)

    async def _send(self, answer: Answer, send: Send, request: Request) -> None:
        if self._gate is not None:
            await self._gate.before_answer(request, answer)
        answer.headers.append((b"x-request-id", request.id.encode()))
        await answer.send_to(send, request)

    async def _answer(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Reply(b"", 204, {"Allow": ", ".join(self._router.allowed_methods(request.path))})
        route, values = self._router.find(request.method, request.path)
        if self._admit is not None:
            await self._admit(request, route, values)
        return await route.handler(request, self._context, *values)
