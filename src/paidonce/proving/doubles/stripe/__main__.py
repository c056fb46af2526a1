"""Serves the double on loopback: ``python -m paidonce.proving.doubles.stripe --port 4242``."""

import asyncio

import click
from granian.constants import Interfaces
from granian.server.embed import Server

from paidonce.clock import system_clock
from paidonce.providers.simulator.faults import FaultPlan
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from paidonce.proving.doubles.stripe.webhooks import WebhookTarget


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--fault-rate", type=float, default=0.0, help="The share of calls and webhooks that fail, from 0 to 1.")
@click.option("--seed", type=int, default=0, help="Chooses which fail.")
@click.option("--webhook-url", default="")
@click.option("--webhook-secret", default="")
def main(port: int, fault_rate: float, seed: int, webhook_url: str, webhook_secret: str) -> None:
    """Serve a double of Stripe until it is stopped."""
    asyncio.run(_serve(port, FaultPlan(rate=fault_rate, seed=seed), WebhookTarget(webhook_url, webhook_secret)))


async def _serve(port: int, plan: FaultPlan, target: WebhookTarget) -> None:
    url = f"http://127.0.0.1:{port}"
    double = StripeDouble(url=url, clock=system_clock, plan=plan, target=target if target.url else None)
    server = Server(double.app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
    click.echo(f"the double of Stripe is at {url}, with the secret key {SECRET_KEY}")
    await server.serve()


if __name__ == "__main__":
    main()
