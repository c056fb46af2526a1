"""A Citus cluster that somebody else runs, beside a database on its coordinator that is not distributed."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import click

from bench.results import Figure, Findings, Goal, find
from bench.session import Session
from bench.subjects import NOT_DISTRIBUTED, Subject, distributed, paidonce_running
from bench.throughput import CREATE, SETTLE, measure_creates, measure_settling
from tests.support.citus import VARIABLE, cluster_urls, execute, fresh_citus_database, migrate_and_distribute, url_of

SHARDS: Final = (32, 8, 4)
SHARE_WITH_4_SHARDS: Final = 50.0  # Per cent of what is not distributed.
# Four times what 905739a did, before statements were pruned.
PER_SECOND_WITH_32_SHARDS: Final = {CREATE: 4 * 253.0, SETTLE: 4 * 183.0}


def measure_distributed(session: Session) -> Findings:
    """Create checkouts and pay them, with many shards, with few, and without."""
    if not cluster_urls():
        message = f"{VARIABLE} names no Citus cluster"
        raise click.ClickException(message)
    with ExitStack() as stack:
        subjects = [stack.enter_context(_not_distributed(session))]
        subjects += [stack.enter_context(_distributed(session, shards)) for shards in SHARDS]
        creates = measure_creates(session, subjects)
        payments = measure_settling(session, subjects)
    figures = [*creates.figures, *payments.figures]
    goals = [*payments.goals, *_goals(figures, CREATE), *_goals(figures, SETTLE)]
    return Findings(figures, goals=goals, notes=payments.notes)


@contextmanager
def _not_distributed(session: Session) -> Iterator[Subject]:
    coordinator = cluster_urls()[0]
    name = f"bench_{secrets.token_hex(8)}"
    execute(coordinator, "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", name)
    try:
        url = url_of(coordinator, name)
        with paidonce_running(NOT_DISTRIBUTED, url, session.places.folder / "not-distributed") as subject:
            yield subject
    finally:
        execute(coordinator, "DROP DATABASE {} WITH (FORCE)", name)


@contextmanager
def _distributed(session: Session, shards: int) -> Iterator[Subject]:
    with fresh_citus_database(cluster_urls()) as url:
        migrate_and_distribute(url, shards=shards)
        with paidonce_running(distributed(shards), url, session.places.folder / f"shards-{shards}") as subject:
            yield subject


def _goals(figures: list[Figure], what: str) -> list[Goal]:
    most, fewest, plain = (
        find(figures, what, name) for name in (distributed(max(SHARDS)), distributed(min(SHARDS)), NOT_DISTRIBUTED)
    )
    assert most
    assert fewest
    assert plain
    return [
        Goal(
            what=f"{what}, distributed, per second",
            subject=most.subject,
            unit="",
            reached=most.median,
            bound=PER_SECOND_WITH_32_SHARDS[what],
            at_least=True,
        ),
        Goal(
            what=f"{what}, share of {NOT_DISTRIBUTED}",
            subject=fewest.subject,
            unit="%",
            reached=100 * fewest.median / plain.median,
            bound=SHARE_WITH_4_SHARDS,
            at_least=True,
        ),
    ]
