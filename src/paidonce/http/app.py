"""The ASGI application: all operations, behind the middleware, for a service that is open."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce.errors import RouteNotFound
from paidonce.http.authentication import Authenticate, authenticate_for
from paidonce.http.endpoint import PathEndpoint
from paidonce.http.meta import render_pages
from paidonce.http.middleware.canonical_paths import CanonicalPaths
from paidonce.http.middleware.problem_responses import ProblemResponses
from paidonce.http.middleware.proxies import TrustedProxies
from paidonce.http.middleware.rate_limits import RateLimits
from paidonce.http.middleware.request_context import RequestContexts
from paidonce.http.middleware.request_limits import RequestLimits
from paidonce.http.operation import Operation
from paidonce.http.problems import ErrorResponse, problem_response
from paidonce.http.rate_limits import make_rate_limiter
from paidonce.http.routes import OPERATIONS
from paidonce.service import Service


def create_api(
    service: Service, pages: Sequence[BaseRoute], error_response: ErrorResponse = problem_response
) -> ASGIApp:
    """Make the application for a service that is open: all operations, and the routes of pages beside them.

    ``error_response`` writes errors, which are pages where people read them.
    """
    render_pages(OPERATIONS)
    limits = make_rate_limiter(service.settings)
    router = Router(
        [*routes_of(OPERATIONS, service, authenticate_for(service, limits)), *pages],
        redirect_slashes=False,
        default=_refuse_unknown_path,
    )
    app: ASGIApp = RequestLimits(CanonicalPaths(router), body_seconds=service.settings.body_seconds)
    app = RequestContexts(RateLimits(ProblemResponses(app, error_response), limits, error_response), OPERATIONS)
    if service.settings.trusted_proxies:
        app = TrustedProxies(app, service.settings.trusted_proxies)
    return only_http(app)


def routes_of(operations: Sequence[Operation], service: Service, authenticate: Authenticate) -> list[Route]:
    """Make Starlette's routes, one for each path, in the order of the table: the first that matches is taken."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return [Route(_pattern(of_path[0]), PathEndpoint(of_path, service, authenticate)) for of_path in by_path.values()]


def only_http(app: ASGIApp) -> ASGIApp:
    """Hand HTTP requests to ``app``; close WebSockets, and have nothing to do at a server's start and end."""
    others = Router()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["type"] == "http" else others)(scope, receive, send)

    return answer


def _pattern(operation: Operation) -> str:
    if not operation.takes_slashes:
        return operation.path
    (variable,) = operation.variables
    return operation.path.replace(f"{{{variable}}}", f"{{{variable}:path}}")


async def _refuse_unknown_path(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RouteNotFound("This path does not exist.")
