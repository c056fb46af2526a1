"""The endpoint of a path: finds the operation for the method, admits the caller, and sends the response."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.errors import MethodNotAllowed
from paidonce.http.authentication import Authenticate
from paidonce.http.context import prefix_in
from paidonce.http.operation import Operation
from paidonce.http.path_ids import PATH_IDS
from paidonce.http.request import ApiRequest
from paidonce.service import Service

OPTIONS: Final = "OPTIONS"


class PathEndpoint:
    """Answers all requests to one path, as an ASGI application; raises the errors that become problems."""

    def __init__(self, operations: Sequence[Operation], service: Service, authenticate: Authenticate) -> None:
        self._operations: Final[Mapping[str, Operation]] = _by_method(operations)
        self._allowed = sorted([*self._operations, OPTIONS])
        self._variables = operations[0].variables
        self._service = service
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        operation = self._operations.get(request.method)
        if operation is None:
            if request.method == OPTIONS:
                return Response(status_code=204, headers={"Allow": ", ".join(self._allowed)})
            raise MethodNotAllowed(request.method, self._allowed)
        await self._authenticate(request, operation)
        path_value = ""
        for name in self._variables:
            path_value = request.path_params[name]
            PATH_IDS[name].check(path_value)
        response = await operation.handle(ApiRequest(request, self._service, path_value))
        prefix = prefix_in(request.scope)
        if prefix and isinstance(response, Response) and response.headers.get("location", "").startswith("/"):
            response.headers["location"] = prefix + response.headers["location"]
        return response


def _by_method(operations: Sequence[Operation]) -> dict[str, Operation]:
    """HEAD is answered as GET: the server leaves the body out."""
    methods = {operation.method: operation for operation in operations}
    return methods | ({"HEAD": methods["GET"]} if "GET" in methods else {})
