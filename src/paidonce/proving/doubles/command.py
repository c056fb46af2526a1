"""The command that serves a double as a process of its own, on loopback."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import click
from granian.constants import Interfaces
from granian.server.embed import Server

from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.server import Double
from paidonce.proving.doubles.webhooks import WebhookTarget


class CreateDouble(Protocol):
    """Creates a double whose pages are at ``url``, inside the event loop that serves it."""

    def __call__(self, *, url: str, plan: FaultPlan, target: WebhookTarget | None) -> Double[Any]:
        """Create it."""


def double_command(name: str, create: CreateDouble, credential: str) -> click.Command:
    """Return the command that serves a double of the provider ``name``; ``credential`` is printed for people."""

    @click.command(help=f"Serve a double of {name} on loopback until it is stopped.")
    @click.option("--port", type=int, required=True)
    @click.option("--fault-rate", type=float, default=0.0, help="The share of calls and webhooks that fail, 0 to 1.")
    @click.option("--seed", type=int, default=0, help="Chooses which fail.")
    @click.option("--webhook-url", default="", help="URL for webhooks: …/providers/NAME/pac_…/webhooks. Default: none.")
    @click.option("--webhook-secret", default="", help="The account's credential with which webhooks are verified.")
    def command(port: int, fault_rate: float, seed: int, webhook_url: str, webhook_secret: str) -> None:
        plan = FaultPlan(rate=fault_rate, seed=seed)
        target = WebhookTarget(webhook_url, webhook_secret) if webhook_url else None
        asyncio.run(_serve(port, lambda url: create(url=url, plan=plan, target=target), f"{name} is at", credential))

    return command


async def _serve(port: int, create: Callable[[str], Double[Any]], what: str, credential: str) -> None:
    url = f"http://127.0.0.1:{port}"
    server = Server(create(url).app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    click.echo(f"the double of {what} {url}, with {credential}")
    await server.serve()
