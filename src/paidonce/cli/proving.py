"""``paidonce prove``: tests the guarantees on this machine."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from paidonce.proving.behavior import read_shares
from paidonce.proving.kits import KITS
from paidonce.proving.outcome import Verdict
from paidonce.proving.plan import Plan
from paidonce.proving.report import render
from paidonce.proving.run import prove

EXITS = {Verdict.KEPT: 0, Verdict.BROKEN: 1, Verdict.NOT_PROVEN: 3}


def run_proof(
    *,
    provider: str,
    seconds: float,
    seed: int,
    database: str,
    workers: int,
    clients: int,
    shares: Sequence[str],
    as_json: bool,
    keep: Path | None,
) -> None:
    """Run a proof and print its report. Exits with 1 on a violation, and with 3 where too little was tested."""
    try:
        given_shares = read_shares(shares, KITS[provider])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--share") from None
    with _folder(keep) as folder:
        plan = Plan(
            seconds=seconds,
            seed=seed,
            database_url=database or f"file:{folder}/paidonce.db",
            workers=workers,
            clients=clients,
            folder=folder,
            kit=KITS[provider],
            given_shares=given_shares,
        )
        click.echo(plan.command, err=True)  # Also for a run that is interrupted.
        with click.progressbar(length=1000, label="Proving", file=sys.stderr, item_show_func=str) as bar:

            def progress(what: str, part: float) -> None:
                bar.update(max(0, round(part * 1000) - bar.pos), what)

            outcome = asyncio.run(prove(plan, progress))
    report = {"verdict": outcome.verdict, **msgspec.to_builtins(outcome)}
    click.echo(json.dumps(report, indent=2) if as_json else render(outcome))
    sys.exit(EXITS[outcome.verdict])


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="paidonce-prove-") as folder:
        yield Path(folder)
