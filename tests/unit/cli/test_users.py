"""``paidonce users``: who may log in, and what its output holds."""

import json
import re
from collections.abc import Callable

import pytest
from click.testing import Result

Run = Callable[..., Result]
USAGE_EXIT = 2
LINK = re.compile(r"http://127\.0\.0\.1:3000/dashboard/login/[0-9A-Za-z]{42}\n")


@pytest.fixture
def office(run: Run, migrated_database_url: str) -> Run:
    return lambda *arguments, **settings: run(*arguments, DATABASE_URL=migrated_database_url, **settings)


def test_a_link_alone_is_on_standard_output_when_a_user_is_created(office: Run) -> None:
    assert "There are no users." in office("users", "list").stdout
    made = office("users", "create", "Ann@Example.com", "--role", "operator")
    assert LINK.fullmatch(made.stdout)
    assert "15 minutes" in made.stderr
    listed = json.loads(office("users", "list", "--json").stdout)
    assert [(one["email"], one["role"], one["hasPassword"]) for one in listed] == [
        ("ann@example.com", "operator", False)
    ]
    assert office("users", "list").stdout.split()[1:] == ["ann@example.com", "operator", "operator", "enabled"]


def test_the_link_begins_with_the_public_url(office: Run) -> None:
    made = office("users", "create", "a@example.com", "--role", "operator", PAIDONCE_PUBLIC_URL="https://pay.example/")
    assert made.stdout.startswith("https://pay.example/dashboard/login/")


def test_a_user_is_disabled_enabled_gets_another_role_and_a_new_link(office: Run) -> None:
    office("merchants", "create", "m1")
    assert office("users", "create", "a@example.com", "--role", "viewer", "--merchant", "m1").exit_code == 0
    assert office("users", "disable", "a@example.com").exit_code == 0
    assert "disabled" in office("users", "list").stdout
    assert office("users", "enable", "A@example.com").exit_code == 0
    assert office("users", "role", "a@example.com", "admin").exit_code == 0
    assert office("users", "list").stdout.split()[1:] == ["a@example.com", "admin", "m1", "enabled"]
    assert LINK.fullmatch(office("users", "link", "a@example.com", "--reset-second-factor").stdout)
    assert office("users", "end-sessions", "a@example.com").stdout == "Ended 0 sessions of a@example.com.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("create", "nobody", "--role", "operator"), USAGE_EXIT, "not an e-mail address"),
        (("create", "b@example.com", "--role", "viewer"), USAGE_EXIT, "--merchant"),
        (("create", "b@example.com", "--role", "operator", "--merchant", "m1"), USAGE_EXIT, "--merchant"),
        (("create", "b@example.com", "--role", "viewer", "--merchant", "m_none"), 1, "no merchant"),
        (("create", "a@example.com", "--role", "operator"), 1, "Another user has this e-mail address."),
        (("disable", "a@example.com"), 1, "last operator"),
        (("role", "a@example.com", "admin"), 1, "an operator, whose role does not change"),
        (("link", "b@example.com"), 1, "There is no user b@example.com. Create one: paidonce users create"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    office: Run, arguments: tuple[str, ...], status: int, message: str
) -> None:
    office("users", "create", "a@example.com", "--role", "operator")
    refused = office("users", *arguments)
    assert (refused.exit_code, message in refused.stderr) == (status, True), refused.stderr
    assert office("users", "list").stdout.split()[1:] == ["a@example.com", "operator", "operator", "enabled"]
