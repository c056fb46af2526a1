"""The application: from a request to its handler, and from whatever that brings to an answer that bears the
request's id.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from paidonce import ids
from paidonce.web.reply import Answer, Channel, Reply
from paidonce.web.request import Request
from paidonce.web.routing import Route, Router

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


Check: TypeAlias = Callable[[bytes], None]
"""Is given a path as it was sent; raises where nothing may be looked for at it."""

Finish: TypeAlias = Callable[[Answer], None]
"""Is given every answer before it is sent; adds headers."""

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
    """Answers requests by a table of routes.

    Every handler is given ``context``. ``check_path`` and ``admit`` may refuse a request by raising; ``answer_error``
    answers whatever was raised, and ``finish`` sees every answer. An id of the client's own is taken where it is well
    formed, but for one that ``refuse_id`` refuses.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        context: object,
        *,
        answer_error: Callable[[Request, Exception], Reply],
        check_path: Check | None = None,
        admit: Admit | None = None,
        finish: Finish | None = None,
        gate: Gate | None = None,
        refuse_id: Callable[[str], bool] | None = None,
    ) -> None:
        self._routes = routes
        self._router = Router(routes)
        self._context = context
        self._answer_error = answer_error
        self._check_path = check_path
        self._admit = admit
        self._finish = finish
        self._gate = gate
        self._refuse_id = refuse_id

    async def answer(self, request: Request, channel: Channel) -> None:
        """Answer one request."""
        request.id = self._name(request)
        request.routes = self._routes
        try:
            if self._gate is not None:
                self._gate.enter(request)
            if self._check_path is not None:
                self._check_path(request.raw_path)
            answer: Answer
            if request.method == "OPTIONS":
                answer = Reply(b"", 204, {"Allow": ", ".join(self._router.allowed_methods(request.path))})
            else:
                route, values = self._router.find(request.method, request.path)
                if self._admit is not None:
                    await self._admit(request, route, values)
                answer = await route.handler(request, self._context, *values)
            await self._send(answer, channel, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            await self._send(self._answer_error(request, error), channel, request)
        finally:
            if self._gate is not None:
                self._gate.leave(request)

    def _name(self, request: Request) -> str:
        value = request.fields.get(b"x-request-id")
        if value is not None and REQUEST_ID.fullmatch(value):
            said = value.decode()
            if self._refuse_id is None or not self._refuse_id(said):
                return said
        return ids.new_id(ids.REQUEST)

    async def _send(self, answer: Answer, channel: Channel, request: Request) -> None:
        if self._gate is not None:
            await self._gate.before_answer(request, answer)
        if self._finish is not None:
            self._finish(answer)
        answer.headers.append(b"x-request-id: %b\r\n" % request.id.encode())
        await answer.send_to(channel)
