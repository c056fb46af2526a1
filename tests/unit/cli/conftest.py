"""Commands, run in this process as in a shell: in a folder of the test, with its settings."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from paidonce.cli import main

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Undo what a command configures: it logs to the output of its test, where no other test would find its lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configuration = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


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
