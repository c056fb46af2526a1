"""Commands that change something are in the audit log, as the dashboard's actions that do the same."""

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from paidonce.cli import main
from paidonce.cli.auditing import CommandType
from paidonce.clock import system_clock
from paidonce.dashboard.routes import DECLARATIONS
from paidonce.database.engine import open_database
from paidonce.database.schema import audit_entry
from paidonce.database_url import parse_database_url
from paidonce.encryption import write_key
from tests.support.fake_connector import KEY, OTHER_KEY, FakeConnector
from tests.unit.cli.conftest import Run

COLUMNS: Final = ("merchant_id", "type", "actor", "subject", "detail", "outcome")


class Office:
    """Runs commands, and reads the audit log."""

    def __init__(self, url: str) -> None:
        self.environment = {"DATABASE_URL": url, "PAIDONCE_ENCRYPTION_KEYS": write_key(bytes(32))}
        self.connectors = FakeConnector().connectors

    def run(self, *arguments: str, given: str = "", exit_code: int = 0) -> str:
        done = CliRunner().invoke(main, arguments, input=given, env=self.environment, obj=self.connectors)
        assert done.exit_code == exit_code, done.output
        output: str = done.stdout.strip()
        return output

    def entries(self) -> list[tuple[Any, ...]]:
        """Return the merchant, the type, the subject and the details of each entry, all of which are done."""
        database = open_database(parse_database_url(self.environment["DATABASE_URL"]), clock=system_clock)
        try:
            with database.read() as transaction:
                columns = [audit_entry.c[name] for name in COLUMNS]
                rows = transaction.rows(select(*columns).order_by(audit_entry.c.id))
                found = [tuple(row) for row in rows]
        finally:
            database.close()
        assert {(row[2], row[5]) for row in found} <= {("command line", "done")}
        return [(row[0], row[1], row[3], json.loads(row[4]) if row[4] else None) for row in found]


@pytest.fixture
def office(run: Run, migrated_database_url: str) -> Office:
    del run  # It prepares the folder and the environment.
    return Office(migrated_database_url)


def test_each_kind_of_a_command_is_the_name_of_an_action_of_the_dashboard() -> None:
    assert {one.value for one in CommandType} <= {one.name for one in DECLARATIONS if one.method == "POST"}


def test_merchants_and_api_keys_are_in_the_audit_log_without_a_secret(office: Office) -> None:
    office.run("merchants", "create", "m123")
    made = json.loads(office.run("keys", "create", "m123", "--live", "--scope", "checkouts:read", "--json"))
    rotated = json.loads(office.run("keys", "rotate", made["id"], "--overlap-seconds", "60", "--json"))
    office.run("keys", "revoke", made["id"])
    office.run("keys", "revoke", "key_1", exit_code=1)
    assert office.entries() == [
        ("m123", "create_merchant", "m123", None),
        ("m123", "create_key", made["id"], {"mode": "live", "scopes": ["checkouts:read"]}),
        ("m123", "rotate_key", made["id"], {"overlapSeconds": 60, "newKey": rotated["id"]}),
        ("m123", "revoke_key", made["id"], None),
    ]
    assert not any(secret in str(office.entries()) for secret in (made["secret"], rotated["secret"]))


def test_accounts_with_providers_are_in_the_audit_log_without_their_credentials(office: Office) -> None:
    office.run("merchants", "create", "m123")
    first = office.run("providers", "add", "fake", "--merchant", "m123", given=f"apiKey={KEY}")
    second = office.run("providers", "add", "fake", "--merchant", "m123", "--name", "New", given=f"apiKey={KEY}")
    office.run("providers", "rotate", first, given=f"apiKey={OTHER_KEY}")
    office.run("providers", "prefer", second)
    office.run("providers", "disable", first)
    office.run("providers", "enable", first)
    office.run("providers", "disable", f"pac_{'0' * 26}", exit_code=1)
    assert office.entries()[1:] == [
        ("m123", "add_account", first, {"mode": "test", "provider": "fake", "name": "The Fake"}),
        ("m123", "add_account", second, {"mode": "test", "provider": "fake", "name": "New"}),
        ("m123", "rotate_account", first, None),
        ("m123", "move_account", second, {"position": 1}),
        ("m123", "disable_account", first, None),
        ("m123", "enable_account", first, None),
    ]


def test_users_are_in_the_audit_log_with_what_was_changed(office: Office) -> None:
    office.run("merchants", "create", "m123")
    office.run("users", "create", "a@example.com", "--role", "viewer", "--merchant", "m123")
    [user] = json.loads(office.run("users", "list", "--json"))
    changes: Sequence[tuple[Sequence[str], dict[str, Any]]] = (
        (["disable"], {"change": "disable"}),
        (["enable"], {"change": "enable"}),
        (["role", "admin"], {"change": "role", "role": "admin"}),
        (["link", "--reset-second-factor"], {"change": "link", "secondFactorReset": True}),
        (["end-sessions"], {"change": "end_sessions", "count": 0}),
    )
    for (command, *options), _ in changes:
        office.run("users", command, "a@example.com", *options)
    person = {"email": "a@example.com"}
    assert office.entries()[1:] == [
        ("m123", "create_user", user["id"], person | {"role": "viewer"}),
        *(("m123", "change_user", user["id"], person | detail) for _, detail in changes),
    ]
