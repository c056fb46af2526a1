"""``paidonce prove`` finds nothing where all is well, and finds each safeguard that is taken out.

A short run is in ``make test``; the others are in ``make prove``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import pytest

from paidonce.proving.kits import KITS
from tests.proof.mutants import Edit, Mutant, build
from tests.proof.part import Part
from tests.support.citus import kill_node, require_cluster, require_killing, start_node

SECONDS: Final = {Part.QUICK: 3, Part.LONG: 20}
# With these, the first purchases, which begin at once, are of all kinds.
CLIENTS: Final = 64
SEED: Final = 4
NODE_KILLS: Final = 4
NODE_UPTIME_SECONDS: Final = 5.0
IN_QUICK: Final = "stripe"

NO_KEYS: Final = Edit(
    "proving/doubles/server.py", "IdempotencyKeys(api, clock)", "IdempotencyKeys(api, clock, enabled=False)"
)
MUTANTS: Final = (
    Mutant(
        "sessions that are paid at most once, and idempotency keys at the double",
        "charged_twice",
        (
            Edit("payments/provider_calls.py", "if attempt.session_reference is None:", "if not attempt.action:"),
            NO_KEYS,
        ),
    ),
    Mutant(
        "the call that closes a session",
        "wrong",
        (
            Edit(
                "providers/stripe/connector.py",
                "            return found\n        return await self._close(request, reference)\n",
                '            return found\n        return Declined("session_expired")\n',
            ),
        ),
    ),
    Mutant(
        "the look-up of a session whose buyer is away",
        "stuck",
        (
            Edit(
                "payments/reducer.py",
                "    if attempt.session_expires_at is not None:\n",
                "    due_at += 10**9\n    if attempt.id is None:\n",
            ),
        ),
    ),
    Mutant("idempotency keys at a provider without look-ups", "charged_twice", (NO_KEYS,), ("adyen",)),
)


def prove(
    folder: Path,
    provider: str,
    *,
    seconds: int,
    seed: int,
    database: str = "",
    clients: int = 16,
    source: Path | None = None,
) -> dict[str, Any]:
    """Run a proof as an operator does; returns its report."""
    options = ["--provider", provider, "--seconds", str(seconds), "--seed", str(seed), "--clients", str(clients)]
    options += ["--database", database] if database.startswith("postgresql") else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAIDONCE_")}
    environment |= {"PYTHONPATH": str(source)} if source else {}
    command = [sys.executable, "-m", "paidonce", "prove", "--json", "--keep", str(folder), *options]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr + (folder / "upgrade.log").read_text()
    report: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == {"kept": 0, "broken": 1, "not proven": 3}[report["verdict"]]
    return report


@pytest.mark.postgresql_in_prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("provider", [name for name in KITS if name != "simulator"])
def test_nothing_is_charged_twice_lost_or_stuck_with_any_provider(
    provider: str, database_url: str, memory: Path, seed: int, part: Part
) -> None:
    if part is Part.QUICK and provider != IN_QUICK:
        pytest.skip("the proofs with all providers are in make prove")
    found = prove(memory, provider, seconds=SECONDS[part], seed=seed, database=database_url)
    assert (found["violations"], found["unexpected"]) == (
        {"charged_twice": [], "lost": [], "stuck": [], "wrong": []},
        [],
    )
    assert min(found["payments"], found["kills"], sum(found["faults"].values())) > 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"without {mutant.without}")
def test_a_safeguard_of_sessions_that_is_taken_out_is_missed(
    mutant: Mutant, memory: Path, part: Part, report: Callable[[str], None]
) -> None:
    if part is Part.QUICK:
        pytest.skip("the negative controls of paidonce prove are in make prove")
    provider = mutant.where[0] if mutant.where else "stripe"
    found = prove(
        memory, provider, seconds=SECONDS[part], seed=SEED, clients=CLIENTS, source=build(mutant, memory / "source")
    )
    report(f"paidonce prove without {mutant.without}: {found['violations'][mutant.layer][:1]}")
    assert found["violations"][mutant.layer] != []


@pytest.mark.in_prove
@pytest.mark.timeout(900)
def test_nothing_is_charged_twice_lost_or_stuck_while_a_node_of_a_cluster_is_killed_again_and_again(
    postgres_url: str, memory: Path, seed: int, report: Callable[[str], None]
) -> None:
    nodes = require_cluster()
    require_killing()
    ended, kills = Event(), list[int]()

    def logged(event: bytes) -> int:
        return sum(one.read_bytes().count(event) for one in memory.glob("*.log"))

    def kill_again_and_again() -> None:
        while not ended.wait(NODE_UPTIME_SECONDS if kills else 0.1) and len(kills) < NODE_KILLS:
            if logged(b'"serving"'):
                lost = logged(b'"nodes_lost"')
                kill_node(len(nodes) - 1)
                while logged(b'"nodes_lost"') == lost and not ended.wait(0.1):
                    pass
                start_node(len(nodes) - 1)
                kills.append(lost)

    killing = Thread(target=kill_again_and_again)
    killing.start()
    try:
        found = prove(memory, "simulator", seconds=NODE_KILLS * 20, seed=seed, database=postgres_url)
    finally:
        ended.set()
        killing.join()
    report(f"a node killed {NODE_KILLS} times: {found['payments']} payments, {found['kills']} kills of processes")
    assert found["violations"] == {"charged_twice": [], "lost": [], "stuck": [], "wrong": []}
    assert len(kills) == NODE_KILLS
