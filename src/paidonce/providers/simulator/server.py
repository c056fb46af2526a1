"""The simulated provider over HTTP: its calls, its books for everybody to see, and answers that get lost on purpose."""

from typing import Final, TypeVar

import msgspec

from paidonce import __version__
from paidonce.errors import PaidonceError
from paidonce.providers.simulator.books import ChargePage
from paidonce.providers.simulator.faults import KINDS
from paidonce.providers.simulator.simulation import Lost, Reply as SimulationReply, Simulation
from paidonce.providers.simulator.wire import ChangeBody, ChargeBody, ChargeList, Operation
from paidonce.web.application import Application
from paidonce.web.reply import Answer, Channel, Reply, reply
from paidonce.web.request import Request
from paidonce.web.routing import Route

CHANGES: Final = {"capture": "CAPTURE", "void": "VOID", "refunds": "REFUND"}
STATUSES: Final = {"route_not_found": 404, "method_not_allowed": 405, "body_too_large": 413}

T = TypeVar("T")


class LostReply:
    """An answer that never arrives: nothing is sent until the client gives up, or the connection breaks half-way."""

    def __init__(self, how: Lost) -> None:
        self.status = 200
        self.headers: list[bytes] = []
        self._how = how

    async def send_to(self, channel: Channel) -> None:
        """Lose it."""
        if self._how is Lost.SILENCE:
            await channel.gone()
            return
        # What was begun and not ended makes the server close the connection.
        channel.begin(self.status, self.headers)


async def health(_request: Request, _simulation: Simulation) -> Answer:
    """Say that the process lives."""
    return reply({"status": "live", "version": __version__})


async def faults(_request: Request, simulation: Simulation) -> Answer:
    """Say how often each fault was dealt since the start, and which there are."""
    return reply({"data": dict(sorted(simulation.counts.items())), "kinds": KINDS})


async def charge(request: Request, simulation: Simulation) -> Answer:
    """Charge, or hold the money."""
    return _shown(await simulation.charge(_read(ChargeBody, request)))


async def charges(request: Request, simulation: Simulation) -> Answer:
    """Show the books' charges, oldest first; all of them where there is no limit."""
    said = dict(request.parameters)
    limit = max(1, int(said["limit"])) if "limit" in said else None
    # One more than is shown tells whether more lies beyond.
    found = await simulation.charges(ChargePage(said.get("after", ""), None if limit is None else limit + 1))
    shown = found if limit is None else found[:limit]
    return reply(ChargeList(shown, has_more=len(found) > len(shown)))


async def change(request: Request, simulation: Simulation, reference: str, kind: str) -> Answer:
    """Capture, void or refund a charge."""
    if kind not in CHANGES:
        return reply({"error": "there is no such call"}, 404)
    return _shown(await simulation.change(CHANGES[kind], reference, _read(ChangeBody, request)))


async def succeed_late(_request: Request, simulation: Simulation, reference: str) -> Answer:
    """Let a declined charge succeed after all, as card networks rarely but really do; for tests."""
    found = await simulation.succeed_late(reference)
    return reply({"error": "there is no such declined charge"}, 404) if found is None else reply(found)


async def operation(_request: Request, simulation: Simulation, key: str) -> Answer:
    """Tell what became of the call with a key."""
    found = await simulation.look_up(key)
    return reply({"error": "there is no such key"}, 404) if found is None else _shown(found, looked_up=True)


ROUTES: Final = (
    Route("GET", "/health", health),
    Route("GET", "/faults", faults),
    Route("POST", "/charges", charge),
    Route("GET", "/charges", charges),
    Route("POST", "/charges/{reference}/{kind}", change),
    Route("POST", "/charges/{reference}/late-success", succeed_late),
    Route("GET", "/operations/{key}", operation),
)


def create_simulator_app(simulation: Simulation) -> Application:
    """Make the application of the provider."""
    return Application(ROUTES, simulation, answer_error=_answer_error)


def _read(kind: type[T], request: Request) -> T:
    return msgspec.json.decode(request.body, type=kind)


def _shown(said: SimulationReply, *, looked_up: bool = False) -> Answer:
    if isinstance(said, Operation):
        declined = said.outcome == "declined" and not looked_up
        return reply(said, 402 if declined else 200)
    if said is Lost.ERROR:
        return reply({"error": "the provider is in trouble"}, 500)
    return LostReply(said)


def _answer_error(_request: Request, error: Exception) -> Reply:
    """Answer what does not fit with 400, 404 and the like, and a defect or books that cannot be written with 500."""
    if isinstance(error, msgspec.DecodeError | ValueError):
        return reply({"error": str(error)}, 400)
    code = error.code if isinstance(error, PaidonceError) else ""
    return reply({"error": str(error) or type(error).__name__}, STATUSES.get(code, 500))
