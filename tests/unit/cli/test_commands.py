"""The commands: what they print, and the exit status that a script can rely on."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from paidonce import __version__
from paidonce.cli.environment import BAD_SETTINGS_EXIT
from paidonce.database.schema import SCHEMA_VERSION
from paidonce.http.routes import OPERATIONS
from tests.support.in_process_service import open_in_process_service
from tests.support.service_process import processes

Run = Callable[..., Result]

USAGE_EXIT = 2
HEAVY = {
    "sqlalchemy",
    "msgspec",
    "granian",
    "starlette",
    "uvloop",
    "structlog",
    "alembic",
    "iso4217",
    "dotenv",
    "psycopg",
}
LIST_WHAT_IS_IMPORTED = """
import sys
from paidonce.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def test_the_version_is_told(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"paidonce, version {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["db", "--help"], ["completion", "bash"]])
def test_what_needs_no_service_imports_none_of_it(arguments: list[str]) -> None:
    program = [sys.executable, "-c", LIST_WHAT_IS_IMPORTED, *arguments]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout
    assert HEAVY & set(done.stderr.split()) == set()


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command(run: Run, option: str) -> None:
    result = run(option)
    assert result.exit_code == 0
    for command in ("dev", "serve", "worker", "db", "doctor", "openapi", "completion"):
        assert f"\n  {command} " in result.stdout


def test_help_shows_what_to_try_first(run: Run) -> None:
    shown = run("--help").stdout
    for step in ("paidonce dev", "paidonce db upgrade", "paidonce keys create m123", "paidonce doctor"):
        assert step in shown


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_an_option_wins_over_the_environment(run: Run, command: str, sqlite_url: str, tmp_path: Path) -> None:
    run("db", "upgrade", DATABASE_URL=sqlite_url)
    with socket.create_server(("127.0.0.1", 0)) as taken, processes(tmp_path) as start:
        # Neither of these could be served: the port is taken, and the address is refused while keys are off.
        refused = {"HOST": "0.0.0.0", "PORT": str(taken.getsockname()[1]), "DATABASE_URL": sqlite_url}
        server = start(command, "--host", "127.0.0.1", "--port", "0", **refused).wait_until_ready()
        assert httpx.get(f"{server.url}/health/live").status_code == 200


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_an_option_is_held_against_the_same_rules_as_a_setting(run: Run, command: str) -> None:
    # The second setting fits nothing, so that nothing starts whatever becomes of the option.
    result = run(command, "--host", "0.0.0.0", PAIDONCE_QUEUE_LIMIT="none")
    assert result.exit_code == BAD_SETTINGS_EXIT
    assert "HOST=0.0.0.0: without authentication the service listens on loopback only" in result.stderr


async def test_openapi_prints_the_document_that_is_served(run: Run, sqlite_url: str, tmp_path: Path) -> None:
    printed = run("openapi")
    async with open_in_process_service(sqlite_url, str(tmp_path)) as inside:
        served = await inside.http.get("/openapi.json")
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == served.json()
    assert served.json()["openapi"] == "3.1.0"


def test_completion_prints_a_script_that_bash_can_read(run: Run) -> None:
    script = run("completion", "bash").stdout
    assert "_PAIDONCE_COMPLETE=bash_complete" in script
    checked = subprocess.run(["bash", "-n"], check=False, input=script, capture_output=True, text=True, timeout=120)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_knows_other_shells(run: Run, shell: str) -> None:
    assert f"_PAIDONCE_COMPLETE={shell}_complete" in run("completion", shell).stdout


def test_completion_of_an_unknown_shell_is_refused(run: Run) -> None:
    assert run("completion", "cmd").exit_code == USAGE_EXIT


def test_completing_works_without_the_service() -> None:
    program = [sys.executable, "-c", "from paidonce.cli import main; main(prog_name='paidonce')"]
    asked = {"_PAIDONCE_COMPLETE": "bash_complete", "COMP_WORDS": "paidonce do", "COMP_CWORD": "1"}
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=120, env={**os.environ, **asked})
    assert done.stdout == "plain,doctor\n"


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_status_tells_of_a_database_without_a_schema_and_exits_with_1(run: Run, database_url: str) -> None:
    result = run("db", "status", DATABASE_URL=database_url)
    assert result.exit_code == 1
    assert f"has schema version none; this release needs {SCHEMA_VERSION}." in result.stdout
    assert "Run: paidonce db upgrade" in result.stdout


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_upgrade_brings_the_schema_and_a_second_one_finds_nothing_to_do(run: Run, database_url: str) -> None:
    first = run("db", "upgrade", DATABASE_URL=database_url)
    again = run("db", "upgrade", DATABASE_URL=database_url)
    status = run("db", "status", DATABASE_URL=database_url)
    assert (first.exit_code, again.exit_code, status.exit_code) == (0, 0, 0)
    assert f"was migrated to schema version {SCHEMA_VERSION}." in first.stdout
    assert f"already has schema version {SCHEMA_VERSION}." in again.stdout
    assert f"has schema version {SCHEMA_VERSION}, the version of this release." in status.stdout


@pytest.mark.plain_postgresql(reason="its status has a cluster")
def test_status_for_machines_is_json(run: Run, database_url: str) -> None:
    before = run("db", "status", "--json", DATABASE_URL=database_url)
    run("db", "upgrade", DATABASE_URL=database_url)
    after = run("db", "status", "--json", DATABASE_URL=database_url)
    assert (before.exit_code, after.exit_code) == (1, 0)
    assert json.loads(before.stdout) | {"database": ""} == {"database": "", "schema": None, "wanted": SCHEMA_VERSION}
    assert json.loads(after.stdout)["schema"] == SCHEMA_VERSION


@pytest.mark.parametrize("command", [["db", "status"], ["db", "upgrade"], ["serve"], ["worker"]])
def test_a_database_that_is_not_there_is_one_line_and_exit_1(run: Run, command: list[str]) -> None:
    result = run(*command, DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/shop")
    assert result.exit_code == 1
    assert result.stderr.startswith("paidonce: cannot use PostgreSQL at 127.0.0.1:1/shop:")
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_serve_refuses_a_database_that_is_not_migrated(database_url: str, tmp_path: Path) -> None:
    with processes(tmp_path) as start:
        server = start("serve", DATABASE_URL=database_url)
        assert server.wait_for_end() == 1
    assert "does not have this release's schema. Run: paidonce db upgrade" in server.output


def test_a_port_that_is_taken_is_one_line_and_exit_1(sqlite_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, processes(tmp_path) as start:
        server = start("dev", DATABASE_URL=sqlite_url, PORT=str(taken.getsockname()[1]))
        assert server.wait_for_end() == 1
    assert "Cannot listen on" in server.lines[-1]
    assert "Traceback" not in server.output


@pytest.mark.parametrize("command", [["serve"], ["dev"], ["worker"], ["db", "status"], ["db", "upgrade"], ["doctor"]])
def test_every_bad_setting_is_named_before_anything_is_done_and_the_exit_is_2(run: Run, command: list[str]) -> None:
    result = run(*command, PORT="high", HOST="0.0.0.0", PAIDONCE_LEASES="1", DATABASE_URL="mysql://root:hunter2@db/x")
    assert result.exit_code == BAD_SETTINGS_EXIT == 2
    assert result.stdout == ""
    assert [line.split("=")[0].split(":")[0].strip() for line in result.stderr.splitlines()] == [
        "paidonce cannot start with these settings",
        "PAIDONCE_LEASES",
        "PORT",
        "DATABASE_URL",
        "HOST",
    ]
    assert "hunter2" not in result.stderr


def test_without_authentication_nobody_but_this_machine_is_served(run: Run) -> None:
    result = run("serve", HOST="0.0.0.0")
    assert result.exit_code == BAD_SETTINGS_EXIT
    assert "HOST=0.0.0.0: without authentication the service listens on loopback only" in result.stderr


def test_a_worker_of_its_own_on_sqlite_is_refused(run: Run, sqlite_url: str) -> None:
    result = run("worker", DATABASE_URL=sqlite_url)
    assert result.exit_code == USAGE_EXIT
    assert "A SQLite file can be used by one server only" in result.stderr


def test_the_table_of_calls_names_scopes_and_which_calls_honour_an_idempotency_key(run: Run) -> None:
    result = run("routes")
    assert result.exit_code == 0
    calls = {" ".join(line.split()[:2]): line.split()[2:] for line in result.stdout.splitlines()}
    assert calls.keys() == {f"{operation.method} {operation.path}" for operation in OPERATIONS}
    assert calls["POST /checkouts/{checkout_id}/pay"] == ["checkouts:write", "Idempotency-Key"]
    assert calls["GET /checkouts/{checkout_id}"] == ["checkouts:read"]
    assert calls["POST /providers/{provider}/webhooks"] == ["open"]


@pytest.mark.parametrize("arguments", [["pay"], ["db", "downgrade"], ["serve", "--port", "high"]])
def test_what_is_no_command_is_refused_with_exit_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == USAGE_EXIT
