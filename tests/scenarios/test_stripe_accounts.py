"""An account with Stripe, added, checked and rotated by the real commands, against a double of Stripe on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from paidonce.cli import main
from paidonce.proving.doubles.stripe.server import SECRET_KEY, StripeDouble
from tests.support.in_process_service import ENCRYPTION_KEY
from tests.support.stripe import WEBHOOK_SECRET, stripe_double

LIVE_KEY: Final = SECRET_KEY.replace("_test_", "_live_")
REVOKED_KEY: Final = f"{SECRET_KEY}0"


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with stripe_double() as one:
        yield one


class Shell:
    """Runs commands that know where the double is."""

    def __init__(self, database_url: str, stripe_url: str) -> None:
        self.environment = {
            "DATABASE_URL": database_url,
            "PAIDONCE_ENCRYPTION_KEYS": ENCRYPTION_KEY,
            "PAIDONCE_STRIPE_URL": stripe_url,
        }
        self("db", "upgrade")
        self("merchants", "create", "m123")

    def __call__(self, *arguments: str, **credentials: str) -> Result:
        result = CliRunner().invoke(main, arguments, input=json.dumps(credentials), env=self.environment)
        assert not any(key in result.output for key in (SECRET_KEY, LIVE_KEY, WEBHOOK_SECRET)), result.output
        return result


@pytest.fixture
def shell(sqlite_url: str, double: StripeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(sqlite_url, double.books.url)


ADD: Final = ("providers", "add", "stripe", "--merchant", "m123")


def test_an_account_with_stripe_is_added_checked_and_rotated(shell: Shell) -> None:
    added = shell(*ADD, secretKey=SECRET_KEY, webhookSecret=WEBHOOK_SECRET)
    assert added.exit_code == 0, added.output
    account_id = added.stdout.strip()
    checked = shell("providers", "check", account_id)
    assert (checked.exit_code, checked.stdout) == (0, f"The provider accepts the credentials of {account_id}.\n")
    assert shell("providers", "rotate", account_id, secretKey=REVOKED_KEY, webhookSecret=WEBHOOK_SECRET).exit_code == 0
    refused = shell("providers", "check", account_id)
    assert refused.exit_code == 1
    assert refused.stdout == "Stripe does not accept the secret key: it is wrong, or it was revoked.\n"


def test_a_live_key_of_stripe_is_no_key_for_a_test_account(shell: Shell) -> None:
    refused = shell(*ADD, secretKey=LIVE_KEY)
    assert refused.exit_code == 1
    assert "secretKey: This is a live key of Stripe's, and this is a test account." in refused.stderr


def test_without_stripe_a_check_says_that_it_could_not_be_reached(shell: Shell) -> None:
    account_id = shell(*ADD, secretKey=SECRET_KEY, webhookSecret=WEBHOOK_SECRET).stdout.strip()
    shell.environment["PAIDONCE_STRIPE_URL"] = "http://127.0.0.1:9"  # Nobody listens there.
    unreached = shell("providers", "check", account_id)
    assert (unreached.exit_code, unreached.stdout.startswith("Stripe could not be reached")) == (1, True)
