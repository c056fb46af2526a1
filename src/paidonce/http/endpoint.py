"""The endpoint of a path: finds the call for the method, admits the caller, and sends what the handler returns."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.errors import MethodNotAllowed
from paidonce.http.authentication import Admit
from paidonce.http.context import prefix_in
from paidonce.http.declarations import Call
from paidonce.service import Service

OPTIONS: Final = "OPTIONS"


class PathEndpoint:
    """Answers all requests to one path, as an ASGI application; raises what the caller is to be told as a problem."""

    def __init__(self, calls: Sequence[Call], service: Service, admit: Admit) -> None:
        self._calls: Final[Mapping[str, Call]] = _by_method(calls)
        self._allowed = sorted([*self._calls, OPTIONS])
        self._service = service
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        call = self._calls.get(request.method)
        if call is None:
            if request.method == OPTIONS:
                return Response(status_code=204, headers={"Allow": ", ".join(self._allowed)})
            raise MethodNotAllowed(request.method, self._allowed)
        value: str | None = request.path_params[call.variable] if call.variable else None
        await self._admit(request, call, value)
        response = await (
            call.handler(request, self._service) if value is None else call.handler(request, self._service, value)
        )
        prefix = prefix_in(request.scope)
        if prefix and isinstance(response, Response) and "location" in response.headers:
            response.headers["location"] = prefix + response.headers["location"]
        return response


def _by_method(calls: Sequence[Call]) -> dict[str, Call]:
    """HEAD is answered as GET: the server leaves the body out."""
    methods = {call.method: call for call in calls}
    return methods | ({"HEAD": methods["GET"]} if "GET" in methods else {})
