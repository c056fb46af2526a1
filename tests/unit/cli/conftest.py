"""Commands, run in this process as in a shell: in a folder of the test, with its settings."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paidonce.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command: ``run("db", "status", DATABASE_URL=database_url)``."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name in ("DATABASE_URL", "HOST", "PORT") or name.startswith("PAIDONCE_"):
            monkeypatch.delenv(name)

    def run_command(*arguments: str, **environment: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_command
