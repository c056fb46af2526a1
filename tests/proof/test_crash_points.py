"""A process dies before and after every commit and every call to a provider, in every operation, on both databases."""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

import pytest

from tests.proof.crashes import Crashes, choose, places_of
from tests.proof.fork_client import ForkServer
from tests.proof.part import Part
from tests.proof.points import commit_points, provider_points
from tests.proof.stories import STORIES
from tests.support.citus import cluster_urls
from tests.support.databases import fresh_database

PAIRS_SAMPLED = 4
SECONDS = int(os.environ.get("PAIDONCE_PROOF_SECONDS") or 1200)  # For one database; then no further pair is tried.
LONG_SECONDS_MAX = 3600 + SECONDS  # Every point is tried before the first pair, however long that takes.

# A process on PostgreSQL is never alone, so it never gives back the leases of others.
ONLY_ON_SQLITE = {
    f"{action}:{side}_commit"
    for action in ("release_all_attempts", "release_all_deliveries")
    for side in ("before", "after")
}
# They read what the nodes of a cluster say, and write nothing: there is none in `make test`.
ONLY_ON_CITUS = {
    f"{function}:{side}_commit"
    for function in ("_require_durable_nodes", "examine_postgresql", "show_schema_status")
    for side in ("before", "after")
}
# The databases of a cluster are copies of one that is migrated.
ONLY_WITHOUT_TABLES = {"migrate:before_commit", "migrate:after_commit"}
# It follows a defect of ours alone, which no story has; a crash around it leaves the order where it was, or put off.
# tests/unit/webhook_endpoints/test_poisonous_rows.py holds what it does.
ONLY_AFTER_A_DEFECT = {"put_off_upkeep:before_commit", "put_off_upkeep:after_commit"}


@pytest.fixture(params=["sqlite", "postgresql"])
def postgres_or_memory(request: pytest.FixtureRequest, memory: Path) -> str:
    """Name an empty database of each kind in turn; SQLite's is in a folder that is quick to write."""
    if request.param == "sqlite":
        return f"file:{memory}/paidonce.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def crashes(postgres_or_memory: str, warm: ForkServer, memory: Path, request: pytest.FixtureRequest) -> Crashes:
    """Crash on one kind of database, then on the other."""
    fresh: Callable[[], AbstractContextManager[str]]
    if postgres_or_memory.startswith("file:"):
        fresh = lambda: nullcontext(f"file:{memory}/{secrets.token_hex(4)}.db")  # noqa: E731 - one of two
    else:
        server = request.getfixturevalue("postgres_server_url")
        fresh = lambda: fresh_database(server)  # noqa: E731 - one of two
    warm.rehearse("tests.proof.child:rehearse", url=postgres_or_memory, folder=str(memory))
    return Crashes(warm, postgres_or_memory, memory, fresh)


@pytest.mark.timeout(LONG_SECONDS_MAX)  # The short part, too, is a hundred tests in one.
def test_a_process_that_dies_at_any_point_and_again_in_its_recovery_breaks_nothing(
    crashes: Crashes, chance: Random, seed: int, part: Part, report: Callable[[str], None]
) -> None:
    began = time.monotonic()
    traces = {story: crashes.trace(story) for story in STORIES}
    total = (commit_points() | provider_points()) - ONLY_AFTER_A_DEFECT
    reached = {point for points in traces.values() for point in points}
    assert reached - total == set(), "the counting from the code misses these points"
    total -= ONLY_ON_CITUS - reached
    if cluster_urls():
        total -= ONLY_WITHOUT_TABLES - reached
    if not crashes.url.startswith("file:"):
        total -= ONLY_ON_SQLITE
    wanted = total if part is Part.LONG else sample(total, seed, even=crashes.url.startswith("file:"))
    chosen = choose(traces, chance, points=wanted, all_of_them=part is Part.LONG)
    recoveries = {place: crashes.crash(*place) for place in chosen}
    pairs = [(*place, point) for place, reached in recoveries.items() for point in reached]
    chance.shuffle(pairs)
    tried = 0
    for pair in pairs if part is Part.LONG else pairs[:PAIRS_SAMPLED]:
        if time.monotonic() - began > SECONDS:
            break
        crashes.crash(*pair)
        tried += 1
    # What depends on who is quicker need not come about the first time.
    for place in places_of(wanted - crashes.died, traces):
        crashes.crash(*place)
    report(
        f"crash points {len(wanted & crashes.died)}/{len(total)}, {crashes.count} crashes in {len(traces)} stories, "
        f"pairs {tried}/{len(pairs)}, {time.monotonic() - began:.1f} s, TEST_SEED={seed}"
    )
    assert not crashes.broken, "\n".join(crashes.broken[:20])
    assert wanted - crashes.died == set(), "no story reaches these points: write one"


def sample(points: set[str], seed: int, *, even: bool) -> set[str]:
    """Take every fourth point, in an order that the seed draws: no point is tried on both databases.

    Each run has another seed, so that every point has its turn soon. ``make prove`` tries all of them on both.
    """
    order = sorted(points | ONLY_ON_SQLITE)
    Random(seed).shuffle(order)
    return points & {*order[0 if even else 1 :: 4]}
