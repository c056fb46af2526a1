"""The simulated provider over HTTP: its calls, its books, and responses that are lost on purpose."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from paidonce import __version__
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.calls import LostResponse
from paidonce.providers.simulator.dashboard_books import ChangeInDashboard, CloseDispute
from paidonce.providers.simulator.faults import KINDS
from paidonce.providers.simulator.page import page_routes
from paidonce.providers.simulator.session_books import SessionState, SessionStep
from paidonce.providers.simulator.simulation import Refusal, Reply as SimulationReply, SessionResult, Simulation
from paidonce.providers.simulator.wire import (
    Announced,
    ChangeBody,
    ChargeBody,
    ChargeList,
    Operation,
    SessionBody,
    session_reply,
)

log = structlog.get_logger()

BODY_BYTES_MAX: Final = 64 * 1024
CHANGES: Final = {"capture": "CAPTURE", "void": "VOID", "refunds": "REFUND"}
DASHBOARD_CHANGES: Final = ("refund", "cancel", "expire", "dispute")

T = TypeVar("T")

Handler: TypeAlias = Callable[[Request, Simulation], Awaitable[ASGIApp]]


class LostReply:
    """A response that never arrives: nothing is sent until the client gives up, or the connection breaks midway."""

    def __init__(self, how: LostResponse) -> None:
        self._how = how

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Lose the response."""
        if self._how is LostResponse.SILENCE:
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        # An incomplete response makes the server close the connection.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def health(_request: Request, _simulation: Simulation) -> ASGIApp:
    """Report that the process is running."""
    return _reply({"status": "live", "version": __version__})


async def faults(_request: Request, simulation: Simulation) -> ASGIApp:
    """Return how often each fault occurred since the start, and the kinds of faults."""
    return _reply({"data": dict(sorted(simulation.counts.items())), "kinds": KINDS})


async def charge(request: Request, simulation: Simulation) -> ASGIApp:
    """Charge, or authorize."""
    return _operation_response(await simulation.charge(await _read(ChargeBody, request)))


async def charges(request: Request, simulation: Simulation) -> ASGIApp:
    """List charges, oldest first; all of them where there is no limit."""
    parameters = request.query_params
    limit = _read_limit(parameters["limit"]) if "limit" in parameters else None
    # One more than is returned shows whether there is a next page.
    found = await simulation.charges(ChargePage(parameters.get("after", ""), None if limit is None else limit + 1))
    page = found if limit is None else found[:limit]
    return _reply(ChargeList(page, has_more=len(found) > len(page)))


async def change(request: Request, simulation: Simulation) -> ASGIApp:
    """Capture, void or refund a charge."""
    reference, kind = request.path_params["reference"], request.path_params["kind"]
    if kind not in CHANGES:
        return _reply({"error": "there is no such call"}, 404)
    return _operation_response(await simulation.change(CHANGES[kind], reference, await _read(ChangeBody, request)))


async def succeed_late(request: Request, simulation: Simulation) -> ASGIApp:
    """Let a declined charge succeed after all, which happens in card networks, rarely. For tests."""
    found = await simulation.succeed_late(request.path_params["reference"])
    return _reply({"error": "there is no such declined charge"}, 404) if found is None else _reply(found)


async def operation(request: Request, simulation: Simulation) -> ASGIApp:
    """Look up the call with a key."""
    found = await simulation.look_up(request.path_params["key"])
    return (
        _reply({"error": "there is no such key"}, 404) if found is None else _operation_response(found, looked_up=True)
    )


async def open_session(request: Request, simulation: Simulation) -> ASGIApp:
    """Open a session."""
    return _session_response(await simulation.open_session(await _read(SessionBody, request)), request, simulation)


async def session(request: Request, simulation: Simulation) -> ASGIApp:
    """Look up a session."""
    found = await simulation.session(request.path_params["reference"])
    return (
        _reply({"error": "there is no such session"}, 404)
        if found is None
        else _session_response(found, request, simulation)
    )


async def step_session(request: Request, simulation: Simulation) -> ASGIApp:
    """Charge or close a session."""
    reference, step = request.path_params["reference"], request.path_params["step"]
    if step not in (SessionStep.CHARGE, SessionStep.CLOSE):
        return _reply({"error": "there is no such call"}, 404)
    return _session_response(await simulation.step_session(reference, SessionStep(step)), request, simulation)


class DashboardBody(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /dashboard/charges/{reference}/{kind}``: ``amount`` is in minor units, the whole where there is none."""

    amount: int | None = None
    reason: str = "fraudulent"


async def change_in_dashboard(request: Request, simulation: Simulation) -> ASGIApp:
    """Refund, cancel, expire or dispute a charge without a call of the merchant's. For tests."""
    reference, kind = request.path_params["reference"], request.path_params["kind"]
    if kind not in DASHBOARD_CHANGES:
        return _reply({"error": "there is no such call"}, 404)
    body = await _read(DashboardBody, request)
    wanted = ChangeInDashboard(kind=kind, charge_reference=reference, amount=body.amount, reason=body.reason)
    return _changed(await simulation.change_in_dashboard(wanted))


async def close_dispute(request: Request, simulation: Simulation) -> ASGIApp:
    """Decide a dispute. For tests."""
    outcome = request.path_params["outcome"]
    if outcome not in ("won", "lost"):
        return _reply({"error": "there is no such call"}, 404)
    return _changed(await simulation.close_dispute(CloseDispute(request.path_params["reference"], outcome)))


async def fail_refund(request: Request, simulation: Simulation) -> ASGIApp:
    """Let a refund fail that succeeded. For tests."""
    return _changed(await simulation.fail_refund(request.path_params["reference"]))


def _changed(announced: Announced | None) -> Response:
    return _reply({"error": "the books do not allow it"}, 409) if announced is None else _reply(announced)


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("POST", "/charges", charge),
    ("GET", "/operations/{key}", operation),
    ("POST", "/sessions", open_session),
    ("GET", "/sessions/{reference}", session),
    ("POST", "/sessions/{reference}/{step}", step_session),
    ("POST", "/charges/{reference}/late-success", succeed_late),
    ("POST", "/charges/{reference}/{kind}", change),
    ("POST", "/dashboard/charges/{reference}/{kind}", change_in_dashboard),
    ("POST", "/dashboard/disputes/{reference}/{outcome}", close_dispute),
    ("POST", "/dashboard/refunds/{reference}/fail", fail_refund),
    ("GET", "/charges", charges),
    ("GET", "/health", health),
    ("GET", "/faults", faults),
)


def create_simulator_app(simulation: Simulation) -> ASGIApp:
    """Create the ASGI application of the provider."""
    routes = [Route(path, _Endpoint(handler, simulation), methods=[method]) for method, path, handler in ROUTES]
    return Starlette(routes=[*routes, Mount("/pay", routes=page_routes(simulation))], max_body_size=BODY_BYTES_MAX)


class _Endpoint:
    """Answers an invalid request with 400, and a defect or unavailable books with 500."""

    def __init__(self, handler: Handler, simulation: Simulation) -> None:
        self._handler = handler
        self._simulation = simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        try:
            response = await self._handler(Request(scope, receive), self._simulation)
        except _BadRequest as error:
            response = _reply({"error": str(error)}, 400)
        except Exception as error:  # noqa: BLE001 - the client gets a response to every error
            response = _reply({"error": str(error) or type(error).__name__}, 500)
        await response(scope, receive, send)


class _BadRequest(Exception):
    """A request that cannot be read. Nothing was booked: to the connector, a 400 is proof of that."""


async def _read(kind: type[T], request: Request) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _BadRequest(str(error)) from error


def _read_limit(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        message = "limit must be a number"
        raise _BadRequest(message)
    return max(1, int(text))


def _reply(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _operation_response(reply: SimulationReply, *, looked_up: bool = False) -> ASGIApp:
    if isinstance(reply, Operation):
        declined = reply.outcome == "declined" and not looked_up
        return _reply(reply, 402 if declined else 200)
    return _without_result(reply)


def _session_response(reply: SessionResult, request: Request, simulation: Simulation) -> ASGIApp:
    if not isinstance(reply, SessionState):
        return _without_result(reply)
    page = f"{request.base_url}pay/{reply.session.reference}"
    return _reply(session_reply(reply, url=page, now=simulation.now()))


def _without_result(reply: LostResponse | Refusal) -> ASGIApp:
    if isinstance(reply, Refusal):
        return _reply({"error": reply.value}, 400)
    if reply not in (LostResponse.ERROR, LostResponse.STORED_ERROR):
        return LostReply(reply)
    response = _reply({"error": "the provider is in trouble"}, 500)
    if reply is LostResponse.STORED_ERROR:
        response.headers["Idempotent-Replayed"] = "true"
    return response
