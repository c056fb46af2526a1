"""The simulated provider over HTTP: its calls, its books for everybody to see, and answers that get lost on purpose."""

from typing import Any, Final

import msgspec
from litestar import Controller, Litestar, Request, Response, get, post
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from paidonce import __version__
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.faults import KINDS
from paidonce.providers.simulator.simulation import Lost, Reply, Simulation
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, ChargeList, Operation

LOST: Final = b"x-simulator-lost"  # Tells the gateway what becomes of an answer; no client ever sees it.
CHANGES: Final = {"capture": "CAPTURE", "void": "VOID", "refunds": "REFUND"}


class SimulatorController(Controller):
    """The provider's calls."""

    @get("/health")
    async def health(self) -> Response[bytes]:
        """Say that the process lives."""
        return _json({"status": "live", "version": __version__})

    @get("/faults")
    async def faults(self, simulation: Simulation) -> Response[bytes]:
        """Say how often each fault was dealt since the start, and which there are."""
        return _json({"data": dict(sorted(simulation.counts.items())), "kinds": KINDS})

    @post("/charges")
    async def charge(self, simulation: Simulation, data: ChargeBody) -> Response[bytes]:
        """Charge, or hold the money."""
        return _reply(await simulation.charge(data))

    @get("/charges")
    async def charges(self, simulation: Simulation, after: str = "", limit: int | None = None) -> Response[bytes]:
        """Show the books' charges, oldest first; all of them where there is no limit."""
        # One more than is shown tells whether more lies beyond.
        found = await simulation.charges(ChargePage(after, None if limit is None else max(1, limit) + 1))
        shown = found if limit is None else found[: max(1, limit)]
        return _json(ChargeList(shown, has_more=len(found) > len(shown)))

    @post("/charges/{reference:str}/{change:str}")
    async def change(self, simulation: Simulation, reference: str, change: str, data: ChangeBody) -> Response[bytes]:
        """Capture, void or refund a charge."""
        if change not in CHANGES:
            return _json({"error": "there is no such call"}, 404)
        return _reply(await simulation.change(CHANGES[change], reference, data))

    @post("/charges/{reference:str}/late-success")
    async def succeed_late(self, simulation: Simulation, reference: str) -> Response[bytes]:
        """Let a declined charge succeed after all, as card networks rarely but really do; for tests."""
        found = await simulation.succeed_late(reference)
        return _json({"error": "there is no such declined charge"}, 404) if found is None else _json(found)

    @get("/operations/{key:str}")
    async def operation(self, simulation: Simulation, key: str) -> Response[bytes]:
        """Tell what became of the call with a key."""
        found = await simulation.look_up(key)
        if found is None:
            return _json({"error": "there is no such key"}, 404)
        return _reply(found, looked_up=True)


def create_simulator_app(simulation: Simulation) -> ASGIApp:
    """Make the ASGI application of the provider."""
    app = Litestar(
        route_handlers=[SimulatorController],
        dependencies={"simulation": Provide(lambda: simulation, sync_to_thread=False)},
        signature_namespace={"Simulation": Simulation},
        exception_handlers={Exception: _answer_error},
        openapi_config=None,
        logging_config=None,
    )
    return lose_answers(app)


def lose_answers(app: ASGIApp) -> ASGIApp:
    """Lose the answers that are marked: never send them, or break the connection half-way."""

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        lost = None

        async def send_or_lose(message: Message) -> None:
            nonlocal lost
            if message["type"] == "http.response.start":
                lost = dict(message["headers"]).get(LOST)
                if lost is None or lost == Lost.DROPPED.name.encode():
                    await send(message)
            elif lost is None:
                await send(message)

        await app(scope, receive, send_or_lose)
        if lost == Lost.SILENCE.name.encode():
            await _until_the_client_gives_up(receive)
        # What was begun and not completed makes the server close the connection.

    return gateway


async def _until_the_client_gives_up(receive: Receive) -> None:
    said: str = (await receive())["type"]
    while said != "http.disconnect":
        said = (await receive())["type"]


def _reply(reply: Reply, *, looked_up: bool = False) -> Response[bytes]:
    if isinstance(reply, Operation):
        declined = reply.outcome == "declined" and not looked_up
        return _json(reply, 402 if declined else 200)
    if reply is Lost.ERROR:
        return _json({"error": "the provider is in trouble"}, 500)
    return Response(
        b'{"error": "lost"}', status_code=200, media_type="application/json", headers={LOST.decode(): reply.name}
    )


def _json(said: object, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(said), status_code=status, media_type="application/json")


def _answer_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what does not fit with 400, 404 and the like, and a defect or books that cannot be written with 500."""
    status = getattr(error, "status_code", 500)
    return _json({"error": str(getattr(error, "detail", "")) or type(error).__name__}, status)
