"""schemathesis reads the service's own document and tries everything in it, well-formed and not, with every check.

``FUZZ_EXAMPLES=300 make test ARGS="-k schemathesis"`` tries for minutes what ``make test`` tries for seconds.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from paidonce.encryption import write_key
from tests.support.service_process import processes

HERE: Final = Path(__file__).parent
EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES") or (5 if os.environ.get("PAIDONCE_PROOF") == "long" else 2))
# A fixed one, so that the suite finds the same each time; the long run is there to find something new.
SEED: Final = ["--seed", os.environ.get("FUZZ_SEED", "1")] if EXAMPLES <= 5 or "FUZZ_SEED" in os.environ else []
SAMPLE: Final = ("--phases", "examples,fuzzing", "--max-examples", "2")
CASES_MIN: Final = max(300, 5 * EXAMPLES)
SECONDS_MAX: Final = 600 + 4 * EXAMPLES  # Some 10 to 50 cases a second, and 4 to 8 for each example.


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.postgresql_in_prove
def test_schemathesis_finds_no_500_and_no_answer_that_the_document_does_not_know(
    database_url: str, tmp_path: Path
) -> None:
    with processes(tmp_path) as start:
        service = start("dev", DATABASE_URL=database_url, PAIDONCE_SIMULATOR_LATENCY_MS="20")
        tried = try_everything(f"{service.url}/openapi.json", tmp_path)
        errors = [line for line in service.lines if '"level": "error"' in line]
    assert tried.returncode == 0, tried.stdout
    assert errors == []
    generated = re.search(r"(\d+) generated", tried.stdout)
    assert generated is not None, tried.stdout
    assert int(generated[1]) >= CASES_MIN, tried.stdout


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.in_prove
def test_the_second_server_keeps_the_contract_too(sqlite_url: str, tmp_path: Path) -> None:
    with processes(tmp_path) as start:
        assert start("db", "upgrade", DATABASE_URL=sqlite_url).wait_for_end() == 0
        settings = {"DATABASE_URL": sqlite_url, "PAIDONCE_ENCRYPTION_KEYS": write_key(bytes(32))}
        service = start(program="tests.support.second_server", **settings)
        tried = try_everything(f"{service.url}/openapi.json", tmp_path, *SAMPLE)
        errors = [line for line in service.lines if '"level": "error"' in line]
    assert tried.returncode == 0, tried.stdout
    assert errors == []


def try_everything(document_url: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    options = ["--checks", "all", "--max-examples", str(EXAMPLES), "--continue-on-failure", *SEED, *more]
    program = Path(sys.executable).with_name("schemathesis")
    return subprocess.run(
        [program, "--config-file", HERE / "schemathesis.toml", "run", document_url, *options],
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(HERE.parent.parent),
            "SCHEMATHESIS_HOOKS": "tests.conformance.schemathesis_hooks",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
