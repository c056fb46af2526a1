"""The doctor: findings for people and for machines, and an exit status that says whether one is a problem."""

import json
import socket
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from click.testing import Result
from psycopg import sql

from paidonce.database import postgresql_engine
from tests.support.service_process import processes

Run = Callable[..., Result]


def findings(result: Result) -> dict[str, dict[str, Any]]:
    listed = json.loads(result.stdout)
    assert [one for one in listed if one.keys() != {"check", "level", "found", "remedy"}] == []
    return {one["check"]: one for one in listed}


def problems(result: Result) -> set[str]:
    return {check for check, one in findings(result).items() if one["level"] == "problem"}


@pytest.fixture
def migrated_url(run: Run, database_url: str) -> str:
    assert run("db", "upgrade", DATABASE_URL=database_url).exit_code == 0
    return database_url


def test_a_healthy_database_gives_warnings_about_the_settings_only_and_exit_0(run: Run, migrated_url: str) -> None:
    result = run("doctor", "--json", DATABASE_URL=migrated_url, PORT="0")
    assert result.exit_code == 0
    warned = {check for check, one in findings(result).items() if one["level"] != "ok"}
    assert warned == {"authentication", "providers", "encryption"}
    assert [check for check, one in findings(result).items() if bool(one["remedy"]) == (one["level"] == "ok")] == []


def test_without_an_encryption_key_checkouts_have_no_page(run: Run, sqlite_url: str) -> None:
    found = findings(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT="0"))["encryption"]
    assert found["found"].endswith("and checkouts have no page")


def test_with_keys_authentication_is_as_it_should_be(run: Run, sqlite_url: str) -> None:
    run("db", "upgrade", DATABASE_URL=sqlite_url)
    found = findings(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT="0", PAIDONCE_AUTH="keys"))
    assert found["authentication"]["level"] == "ok"


def test_with_keys_links_that_begin_with_the_host_of_a_request_are_a_warning(run: Run, sqlite_url: str) -> None:
    def level(**settings: str) -> str:
        result = run("doctor", "--json", DATABASE_URL=sqlite_url, PORT="0", **settings)
        return str(findings(result)["public URL"]["level"])

    keys = {"PAIDONCE_AUTH": "keys"}
    assert level() == "ok"
    assert level(**keys) == "warning"
    assert level(**keys, PAIDONCE_PUBLIC_URL="https://pay.example.com") == "ok"


def test_urls_that_send_payments_elsewhere_than_to_the_provider_are_a_warning(run: Run, sqlite_url: str) -> None:
    double = {"PAIDONCE_STRIPE_URL": "http://127.0.0.1:4242"}
    found = findings(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT="0", **double))["provider URLs"]
    assert (found["level"], found["found"].split()[0]) == ("warning", "PAIDONCE_STRIPE_URL")


def test_how_long_old_rows_are_kept_is_told(run: Run, sqlite_url: str) -> None:
    def told(**settings: str) -> str:
        found = findings(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT="0", **settings))
        return str(found["retention"]["found"])

    assert told() == "kept are events for ever, deliveries as long as their events, the audit log for ever"
    days = {"PAIDONCE_EVENT_DAYS": "90", "PAIDONCE_DELIVERY_DAYS": "7.5", "PAIDONCE_AUDIT_DAYS": "365"}
    assert told(**days) == "kept are events for 90 days, deliveries for 7.5 days, the audit log for 365 days"


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_a_database_that_is_not_migrated_is_a_problem_and_exit_1(run: Run, database_url: str) -> None:
    result = run("doctor", "--json", DATABASE_URL=database_url, PORT="0")
    assert result.exit_code == 1
    assert problems(result) == {"schema"}
    assert findings(result)["schema"]["remedy"] == "run: paidonce db upgrade"


@pytest.mark.plain_postgresql(reason="it begins with a database without tables")
def test_people_read_aligned_lines_with_the_remedy_below(run: Run, database_url: str) -> None:
    result = run("doctor", DATABASE_URL=database_url, PORT="0")
    lines = result.stdout.splitlines()
    (schema,) = [index for index, line in enumerate(lines) if line.startswith("problem  schema ")]
    assert lines[schema + 1].strip() == "→ run: paidonce db upgrade"
    assert lines[-1] == "1 problem, 3 warnings"
    columns = {line.index(word) for line in lines for word in ("none; this release", "simulator, and") if word in line}
    assert len(columns) == 1
    assert lines[schema + 1].index("→") in columns


def test_an_examination_leaves_nothing_behind(run: Run, sqlite_url: str, tmp_path: Path) -> None:
    run("doctor", DATABASE_URL=sqlite_url, PORT="0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.plain_postgresql(reason="a cluster names the node, too")
def test_commits_that_a_crash_takes_back_are_a_problem(run: Run, postgres_url: str) -> None:
    run("db", "upgrade", DATABASE_URL=postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    result = run("doctor", "--json", DATABASE_URL=postgres_url, PORT="0")
    assert (result.exit_code, problems(result)) == (1, {"synchronous_commit"})


def test_a_server_that_is_not_there_is_a_problem_and_no_crash(run: Run) -> None:
    result = run("doctor", "--json", DATABASE_URL="postgresql://user:hunter2@127.0.0.1:1/shop", PORT="0")
    assert (result.exit_code, problems(result)) == (1, {"server"})
    assert "hunter2" not in result.output


def test_a_pooler_that_drops_the_settings_of_connections_is_a_problem_and_no_command_works_through_it(
    run: Run, postgres_url: str
) -> None:
    with patch.dict(postgresql_engine.POSTGRESQL_CONNECT, options=""):
        result = run("doctor", "--json", DATABASE_URL=postgres_url, PORT="0")
        assert (result.exit_code, problems(result)) == (1, {"server"})
        assert "a pooler drops them" in findings(result)["server"]["found"]
        for command in (["db", "status"], ["db", "upgrade"], ["keys", "list"]):
            refused = run(*command, DATABASE_URL=postgres_url)
            assert refused.exit_code == 1
            assert len(refused.stderr.splitlines()) == 1
            assert "a pooler drops them" in refused.stderr


@pytest.mark.parametrize(("mode", "found"), [(0o644, {".env"}), (0o640, {".env"}), (0o600, set()), (0o400, set())])
def test_a_dotenv_that_others_can_read_is_a_problem(run: Run, tmp_path: Path, mode: int, found: set[str]) -> None:
    (tmp_path / ".env").write_text("PORT=0\nDATABASE_URL=file:./paid.db\n")
    (tmp_path / ".env").chmod(mode)
    run("db", "upgrade")
    result = run("doctor", "--json")
    assert problems(result) == found
    assert result.exit_code == (1 if found else 0)


def test_a_port_that_another_program_has_is_a_problem_until_it_ends(
    run: Run, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = import_module("paidonce.cli.doctor")  # By name, for the package calls its command the same.
    monkeypatch.setattr(doctor, "ANSWER_SECONDS_MAX", 0.05)  # The other program will not answer.
    run("db", "upgrade", DATABASE_URL=sqlite_url)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert problems(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT=port)) == {"port"}
    assert problems(run("doctor", "--json", DATABASE_URL=sqlite_url, PORT=port)) == set()


def test_a_port_on_which_paidonce_answers_is_as_it_should_be(run: Run, sqlite_url: str, tmp_path: Path) -> None:
    with processes(tmp_path) as start:
        server = start("dev", DATABASE_URL=sqlite_url)
        result = run("doctor", "--json", DATABASE_URL=sqlite_url, PORT=server.url.rpartition(":")[2])
    assert findings(result)["port"]["found"].endswith("is used by paidonce")
    assert problems(result) == set()


def test_keys_of_ones_own_and_doors_that_are_shut_are_as_they_should_be(run: Run, migrated_url: str) -> None:
    key = run("encryption-key").stdout.strip()
    safe = run("doctor", "--json", DATABASE_URL=migrated_url, PORT="0", PAIDONCE_ENCRYPTION_KEYS=key)
    assert (findings(safe)["encryption"]["level"], findings(safe)["webhooks"]["level"]) == ("ok", "ok")
    assert key not in safe.output
    daring = run("doctor", "--json", DATABASE_URL=migrated_url, PORT="0", PAIDONCE_WEBHOOK_ALLOW_PRIVATE="true")
    assert findings(daring)["webhooks"]["remedy"] == "unset PAIDONCE_WEBHOOK_ALLOW_PRIVATE"
