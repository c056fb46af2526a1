"""``paidonce merchants`` and ``paidonce keys``: their standard output for scripts, and every refusal."""

import json
from collections.abc import Callable
from typing import get_args

import pytest
from click.testing import Result

from paidonce.cli import key_commands
from paidonce.merchants import model
from paidonce.merchants.schemas import MerchantScope
from paidonce.merchants.secret import is_well_formed

Run = Callable[..., Result]
USAGE_EXIT = 2


@pytest.fixture
def office(run: Run, database_url: str) -> Run:
    assert run("db", "upgrade", DATABASE_URL=database_url).exit_code == 0
    return lambda *arguments: run(*arguments, DATABASE_URL=database_url)


def test_merchants_are_created_and_listed(office: Run) -> None:
    assert "There are no merchants" in office("merchants", "list").stdout
    assert office("merchants", "create", "m123").stdout == "Created merchant m123.\nNext: paidonce keys create m123\n"
    assert office("merchants", "create", "m123").stdout.startswith("Merchant m123 already exists.")
    assert office("merchants", "list").stdout.split()[1:] == ["m123"]
    assert [one["id"] for one in json.loads(office("merchants", "list", "--json").stdout)] == ["m123"]


def test_a_key_alone_is_on_standard_output_and_never_again(office: Run) -> None:
    office("merchants", "create", "m123")
    secret = office("keys", "create", "m123", "--scope", "checkouts:read", "--live").stdout.strip()
    assert is_well_formed(secret)
    assert secret.startswith("sk_live_")
    listed = office("keys", "list", "m123").stdout
    assert secret not in listed
    assert listed.split()[1:] == [f"{secret[:12]}…", "ACTIVE", "m123", "checkouts:read"]


def test_a_key_is_rotated_and_revoked(office: Run) -> None:
    office("merchants", "create", "m123")
    old = json.loads(office("keys", "create", "m123", "--json").stdout)
    rotated = office("keys", "rotate", old["id"], "--overlap-seconds", "60")
    assert is_well_formed(rotated.stdout.strip())
    assert f"{old['id']} stays valid for 60 seconds." in rotated.stderr
    new, before = json.loads(office("keys", "list", "--json").stdout)
    assert (before["replacedBy"], before["status"], new["status"]) == (new["id"], "ACTIVE", "ACTIVE")
    assert office("keys", "revoke", new["id"]).exit_code == 0
    assert json.loads(office("keys", "list", "m123", "--json").stdout)[0]["status"] == "REVOKED"


def test_an_operators_key_may_do_everything_and_belongs_to_nobody(office: Run) -> None:
    made = json.loads(office("keys", "create", "--admin", "--json").stdout)
    assert made["merchantId"] == ""
    assert made["scopes"] == sorted(model.Scope)
    assert " operator " in office("keys", "list").stdout
    assert office("keys", "revoke", made["id"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["keys", "create"], USAGE_EXIT, "Give either the ID of a merchant or --admin."),
        (["keys", "create", "m123", "--admin"], USAGE_EXIT, "Give either the ID of a merchant or --admin."),
        (["keys", "create", "--admin", "--scope", "checkouts:read"], USAGE_EXIT, "An operator's key may do everything"),
        (["keys", "create", "m123", "--scope", "admin"], USAGE_EXIT, "'admin' is not one of 'checkouts:read'"),
        (["merchants", "create", "m 123"], USAGE_EXIT, "1 to 128 printable ASCII characters without spaces"),
        (["keys", "rotate", "key_1", "--overlap-seconds", "-1"], USAGE_EXIT, "-1 is not in the range"),
        (["keys", "create", "nobody"], 1, "There is no merchant with this id"),
        (["keys", "revoke", "key_1"], 1, "There is no API key with this id"),
        (["keys", "rotate", "key_1"], 1, "There is no API key with this id"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_why(
    run: Run, sqlite_url: str, arguments: list[str], status: int, why: str
) -> None:
    run("db", "upgrade", DATABASE_URL=sqlite_url)
    refused = run(*arguments, DATABASE_URL=sqlite_url)
    assert (refused.exit_code, refused.stdout) == (status, "")
    assert why in refused.stderr


def test_the_commands_and_the_calls_know_the_scopes_that_the_model_does() -> None:
    """Both repeat them: the commands so that they start quickly, the calls so that the document lists them."""
    assert set(key_commands.SCOPES) == set(get_args(MerchantScope)) == {str(one) for one in model.MERCHANT_SCOPES}
    assert key_commands.OVERLAP_SECONDS_DEFAULT == model.OVERLAP_SECONDS_DEFAULT
    assert key_commands.OVERLAP_SECONDS_MAX == model.OVERLAP_SECONDS_MAX
