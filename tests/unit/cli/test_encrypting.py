"""Replacing the encryption key while the service is running."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from paidonce.clock import system_clock
from paidonce.database.engine import Database, open_database
from paidonce.database.migrate import migrate
from paidonce.database.schema import webhook_endpoint
from paidonce.database_url import parse_database_url
from paidonce.encryption import Keyring, read_keys
from paidonce.idempotency.model import Claim, ScopedKey
from paidonce.idempotency.secrets import StoredSecret, open_stored_secret, seal_stored_secret
from paidonce.idempotency.store import claim_keys, read_secrets
from paidonce.ids import new_id, secret_bytes
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.actions import CreateAccount, create_accounts
from paidonce.provider_accounts.credentials import open_credentials, seal_credentials
from paidonce.provider_accounts.store import read_all as read_all_accounts
from paidonce.users.model import User
from paidonce.users.store import UserFilter, insert_users, read_user_page
from paidonce.users.totp import open_totp_secret, seal_totp_secret
from paidonce.webhook_endpoints import actions
from paidonce.webhook_endpoints.actions import CreateEndpoint
from paidonce.webhook_endpoints.outbox import write_events_and_deliveries
from paidonce.webhook_endpoints.secrets import seal_secret
from tests.unit.cli.conftest import Run

WHISPER = StoredSecret("m", "whisper")
COUNT = 205  # More than one transaction takes.


def test_every_secret_is_sealed_anew_once_and_the_old_key_is_needed_no_more(run: Run, database_url: str) -> None:
    old, new = (run("encryption-key").stdout.strip() for _ in range(2))
    database = open_database(
        parse_database_url(database_url), clock=system_clock, before_commit=write_events_and_deliveries
    )
    migrate(database)
    fill(database, read_keys(old))
    add_accounts(database, read_keys(old))
    keep_secrets(database, read_keys(old))
    add_users(database, read_keys(old))
    both = f"{new},{old}"
    for changed in (COUNT, 0):
        done = run("db", "reencrypt", DATABASE_URL=database_url, PAIDONCE_ENCRYPTION_KEYS=both)
        assert done.exit_code == 0
        assert (
            f"secrets of {changed} webhook endpoints, {changed} provider accounts, {changed} users and "
            f"{changed} stored responses."
        ) in done.output
    refused = run("db", "reencrypt", DATABASE_URL=database_url, PAIDONCE_ENCRYPTION_KEYS=old)
    assert refused.exit_code == 1
    assert "is not configured" in refused.output
    ring = Keyring(lambda: read_keys(new), draw=secret_bytes)
    with database.read() as transaction:
        rows = transaction.rows(select(webhook_endpoint.c.id, webhook_endpoint.c.secret))
        kept = read_secrets(transaction, after=ScopedKey("", "", ""), limit=COUNT + 1)
        accounts = read_all_accounts(transaction, after="", limit=COUNT + 1)
        users, _ = read_user_page(transaction, UserFilter(limit=COUNT + 1))
    assert {ring.open(row.secret, "webhook_endpoint.secret", row.id[:4], row.id) for row in rows} == {b"whisper"}
    assert [open_stored_secret(ring, sealed, name) for name, sealed in kept.items()] == [WHISPER] * COUNT
    assert [open_credentials(ring, account) for account in accounts] == [{"apiKey": "whisper"}] * COUNT
    assert [open_totp_secret(ring, str(one.totp_secret), one.id) for one in users] == [b"whisper"] * COUNT
    database.close()


def add_users(database: Database, keys: Sequence[bytes]) -> None:
    """Create users with a second factor."""
    ring = Keyring(lambda: keys, draw=secret_bytes)
    users = [
        User(
            id=user_id,
            merchant_id="",
            email=f"{user_id}@example.com",
            role="operator",
            totp_secret=seal_totp_secret(ring, b"whisper", user_id),
            created_at=0,
            updated_at=0,
        )
        for user_id in (f"usr_{number:04d}" for number in range(COUNT))
    ]
    with database.write() as transaction:
        insert_users(transaction, users)


def fill(database: Database, keys: Sequence[bytes]) -> None:
    """Create endpoints of several merchants."""
    ring = Keyring(lambda: keys, draw=secret_bytes)
    commands = [
        CreateEndpoint(
            id=endpoint_id,
            merchant_id=endpoint_id[:4],
            url="https://shop.example/",
            event_types=None,
            description=None,
            secret=seal_secret(ring, b"whisper", merchant_id=endpoint_id[:4], endpoint_id=endpoint_id),
        )
        for endpoint_id in (f"{number // 10:04d}-{number}" for number in range(COUNT))
    ]
    with database.write() as transaction:
        actions.create_endpoints(transaction, commands)


def add_accounts(database: Database, keys: Sequence[bytes]) -> None:
    """Add provider accounts of several merchants."""
    ring = Keyring(lambda: keys, draw=secret_bytes)
    commands = [
        CreateAccount(
            id=account_id,
            merchant_id=account_id[:4],
            provider="fake",
            mode=Mode.TEST,
            name="The Fake",
            credentials=seal_credentials(
                ring, {"apiKey": "whisper"}, merchant_id=account_id[:4], account_id=account_id
            ),
            hints="{}",
        )
        for account_id in (f"{number // 10:04d}-{number}" for number in range(COUNT))
    ]
    with database.write() as transaction:
        create_accounts(transaction, commands)


def keep_secrets(database: Database, keys: Sequence[bytes]) -> None:
    """Store secrets with idempotency keys of several merchants."""
    ring = Keyring(lambda: keys, draw=secret_bytes)
    names = [
        ScopedKey(f"m{number // 10}", "live" if number % 2 else "test", f"k{number % 10}") for number in range(COUNT)
    ]
    claims = [
        Claim(
            id=new_id("clm"),
            name=name,
            path="/",
            fields={},
            retention_ms=1,
            secret=seal_stored_secret(ring, WHISPER, name),
        )
        for name in names
    ]
    with database.write() as transaction:
        claim_keys(transaction, claims)


@pytest.mark.parametrize("wrong", ["hunter2", "pek_hunter2"])
def test_a_key_that_is_none_is_named_and_not_repeated(run: Run, tmp_path: Path, wrong: str) -> None:
    refused = run("db", "status", DATABASE_URL=f"file:{tmp_path}/a.db", PAIDONCE_ENCRYPTION_KEYS=wrong)
    assert refused.exit_code == 2
    assert "PAIDONCE_ENCRYPTION_KEYS: a key is pek_" in refused.output
    assert "hunter2" not in refused.output
