"""Fixtures for all tests: a database on SQLite or a real PostgreSQL, empty or migrated."""

import gc
import importlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import settings
from sqlalchemy.engine import make_url

from tests.support import citus
from tests.support.databases import (
    empty_tables,
    fresh_database,
    migrate_database,
    server_url,
    session_directory,
    turn_autovacuum_off,
)

SESSION_DIRECTORY = pytest.StashKey[Path]()


# No example fails because the machine was busy.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Create the directory that all processes of the session share, or read its path from the main process."""
    # By default, structlog draws tracebacks with all variables, which takes seconds on a busy machine.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ]
    )
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[SESSION_DIRECTORY] = Path(worker_input["session_directory"])
        return
    stack = ExitStack()
    if citus.cluster_urls():
        citus.name_template()
        stack.callback(citus.drop_template)
    config.stash[SESSION_DIRECTORY] = stack.enter_context(session_directory())
    config.add_cleanup(stack.close)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Collect without garbage collection, which would look at all that was collected again and again."""
    gc.disable()
    worker_input: dict[str, str] | None = getattr(session.config, "workerinput", None)
    if worker_input is not None and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        import_in_own_order(int(worker_input["workerid"].removeprefix("gw")), int(worker_input["workercount"]))


def import_in_own_order(worker: int, workers: int) -> None:
    """Import the test files, beginning in each worker with others: in a fresh clone, each is compiled by one of them.

    Byte code is kept in files. To compile all tests takes as long as to import them twice.
    """
    root = Path(__file__).parent
    files = [one for one in sorted(root.rglob("test_*.py")) if not one.is_relative_to(root / "browser")]
    first = len(files) * worker // workers
    for one in files[first:] + files[:first]:
        with suppress(Exception):  # Collection imports it again, and reports the error.
            importlib.import_module(".".join(one.relative_to(root.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Collect garbage again, but never look at what stays until the end."""
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests in a browser to `make browser`, which names their folder and has what they need."""
    is_named = any("tests/browser" in argument for argument in config.args)
    return True if collection_path == Path(__file__).parent / "browser" and not is_named else None


@pytest.hookimpl(tryfirst=True)  # Before tests are distributed to processes.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out of `make test` what runs in `make prove`, and what no Citus cluster can do: see the markers."""
    for one in items:
        if is_on_postgresql(one) or "postgres_server_url" in getattr(one, "fixturenames", ()):
            one.add_marker("postgresql")
        marker = one.get_closest_marker("plain_postgresql")
        if marker and citus.cluster_urls() and not is_on_sqlite(one):
            one.add_marker(pytest.mark.skip(reason=f"not on a Citus cluster: {marker.kwargs['reason']}"))
    if os.environ.get("PAIDONCE_PROOF") == "long":
        return
    left_out = [
        one
        for one in items
        if one.get_closest_marker("in_prove")
        or (one.get_closest_marker("postgresql_in_prove") and is_on_postgresql(one))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [one for one in items if one not in left_out]


def is_on_postgresql(item: pytest.Item) -> bool:
    """Tell whether a test is the one for PostgreSQL of those that run once for each database."""
    return hasattr(item, "callspec") and "postgresql" in item.callspec.params.values()


def is_on_sqlite(item: pytest.Item) -> bool:
    """Tell whether a test is the one for SQLite of those that run once for each database."""
    return hasattr(item, "callspec") and "sqlite" in item.callspec.params.values()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - pytest-xdist has no types
    """Pass the shared directory to a worker of pytest-xdist."""
    node.workerinput["session_directory"] = str(node.config.stash[SESSION_DIRECTORY])


@pytest.fixture(scope="session")
def postgres_server_url(pytestconfig: pytest.Config) -> str:
    """The administrator's database on a running PostgreSQL: the coordinator of ``TEST_CITUS_URLS``,
    ``TEST_DATABASE_URL``, or the session's own server.
    """
    cluster = citus.cluster_urls()
    if cluster:
        return cluster[0]
    return os.environ.get("TEST_DATABASE_URL") or server_url(pytestconfig.stash[SESSION_DIRECTORY])


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """Yield an empty PostgreSQL database for one test. On a Citus cluster it has all tables, without rows."""
    with fresh_database(postgres_server_url) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a new SQLite file."""
    return f"file:{tmp_path}/paidonce.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Yield an empty database of each kind in turn, so that the test runs on both."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate one SQLite file for all tests of this process, which copy it."""
    path = tmp_path_factory.mktemp("migrated") / "paidonce.db"
    migrate_database(f"file:{path}")
    return path


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite_file: Path, tmp_path: Path) -> str:
    """Return the URL of a new SQLite file that is migrated and has no rows."""
    path = tmp_path / "paidonce.db"
    shutil.copy(migrated_sqlite_file, path)
    return f"file:{path}"


@pytest.fixture(scope="session")
def migrated_postgres_template(postgres_server_url: str) -> Iterator[str]:
    """Migrate one PostgreSQL database for all tests of this process; yields its name. Others are copies of it."""
    cluster = citus.cluster_urls()
    if cluster:
        yield citus.template(cluster)
        return
    with fresh_database(postgres_server_url) as url:
        migrate_database(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def reused_postgres_url(postgres_server_url: str, migrated_postgres_template: str) -> Iterator[str]:
    """Create one migrated PostgreSQL database that the tests of this process use one after the other.

    To create and to drop a database takes several times as long as most tests do.
    """
    with fresh_database(postgres_server_url, template=migrated_postgres_template) as url:
        if not citus.cluster_urls():
            turn_autovacuum_off(url)
        yield url


@pytest.fixture
def migrated_postgres_url(reused_postgres_url: str) -> str:
    """Return the URL of a PostgreSQL database that is migrated and has no rows and no connections.

    A test must leave its tables as they are, except for their rows.
    """
    empty_tables(reused_postgres_url)
    return reused_postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_database_url(request: pytest.FixtureRequest) -> str:
    """Yield a migrated database without rows of each kind in turn, so that the test runs on both."""
    fixture = "migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield one migrated database of each kind for all tests of a module, which share a service."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("shared") / "paidonce.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite_file"), path)
        yield f"file:{path}"
        return
    template = request.getfixturevalue("migrated_postgres_template")
    with fresh_database(request.getfixturevalue("postgres_server_url"), template=template) as url:
        yield url


@pytest.fixture
def chance() -> Random:
    """Return a random number generator. Its seed is shown for a failed test; ``TEST_SEED=… make test`` repeats it."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"TEST_SEED={seed}\n")
    return Random(seed)
