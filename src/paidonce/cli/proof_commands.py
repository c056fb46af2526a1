"""The commands that prove the guarantees on a machine; each imports its implementation only when it runs."""

from pathlib import Path

import click

from paidonce.cli.environment import read_settings


@click.command()
@click.option("--port", required=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 selects a free port.")
@click.option("--database", required=True, metavar="FILE", help="SQLite file for the records of the simulator.")
@click.option("--latency-ms", default=0, show_default=True, type=click.IntRange(0), help="Latency of a call.")
@click.option(
    "--deduplicate/--no-deduplicate", default=True, help="Whether a repeated idempotency key is deduplicated."
)
@click.option(
    "--key-lifetime-seconds",
    default=31_536_000,
    show_default=True,
    type=click.IntRange(1),
    help="How long an idempotency key is remembered.",
)
@click.option(
    "--lookup-delay-ms",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Delay until a look-up finds a charge.",
)
@click.option("--webhook-url", default="", metavar="URL", help="URL for signed webhooks. Default: none are sent.")
@click.option(
    "--webhook-secret",
    default="",
    envvar="PAIDONCE_SIMULATOR_WEBHOOK_SECRET",
    help="Signing secret: whsec_ and base64.",
)
@click.option(
    "--fault-rate",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of calls and webhooks that fail.",
)
@click.option(
    "--faulty-calls",
    default=3,
    show_default=True,
    type=click.IntRange(0),
    help="How many calls with the same key can fail.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the faults; the same seed repeats them.")
def simulator(
    *,
    port: int,
    database: str,
    latency_ms: int,
    deduplicate: bool,
    key_lifetime_seconds: int,
    lookup_delay_ms: int,
    webhook_url: str,
    webhook_secret: str,
    fault_rate: float,
    faulty_calls: int,
    seed: int,
) -> None:
    """Run the simulated provider as a separate process, for tests and proofs."""
    from paidonce.cli.simulating import SimulatorOptions, run_simulator
    from paidonce.providers.simulator.calls import Rules
    from paidonce.providers.simulator.faults import FaultPlan

    rules = Rules(
        latency_ms=latency_ms,
        deduplicates=deduplicate,
        key_lifetime_seconds=key_lifetime_seconds,
        lookup_delay_ms=lookup_delay_ms,
        faults=FaultPlan(rate=fault_rate, seed=seed, faulty_calls_max=faulty_calls),
    )
    books = Path(database.removeprefix("file:"))
    options = SimulatorOptions(
        port=port, books=books, rules=rules, webhook_url=webhook_url, webhook_secret=webhook_secret
    )
    run_simulator(read_settings(), options)


@click.command()
@click.option(
    "--provider",
    default="simulator",
    show_default=True,
    type=click.Choice(["simulator", "stripe", "mollie", "paypal", "adyen"]),
    help="The provider. Of a real one, a double is started.",
)
@click.option("--seconds", default=60.0, show_default=True, help="How long clients buy while processes are killed.")
@click.option("--seed", type=int, help="Seed of a run; the same seed repeats its choices. Default: random.")
@click.option("--database", default="", help="URL of an empty PostgreSQL database. Default: a new SQLite file.")
@click.option("--workers", default=2, show_default=True, help="Number of worker processes (PostgreSQL).")
@click.option("--clients", default=64, show_default=True, help="Number of concurrent buyers.")
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="NAME=NUMBER",
    help="How often buyers or shops do something, from 0 to 1, such as hold=0.7. Can be repeated; "
    "an unknown name lists all names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Folder in which to keep databases and logs."
)
def prove(
    *,
    provider: str,
    seconds: float,
    seed: int | None,
    database: str,
    workers: int,
    clients: int,
    shares: tuple[str, ...],
    as_json: bool,
    keep: Path | None,
) -> None:
    """Test the guarantees on this machine: kill real processes, inject faults, compare with the provider's records."""
    from paidonce.cli.proving import run_proof
    from paidonce.ids import new_seed

    run_proof(
        provider=provider,
        seconds=seconds,
        seed=new_seed() if seed is None else seed,
        database=database,
        workers=workers,
        clients=clients,
        shares=shares,
        as_json=as_json,
        keep=keep,
    )
