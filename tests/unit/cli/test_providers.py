"""``paidonce providers``: secrets are read from a prompt or standard input, and never printed again."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from paidonce.cli import main
from paidonce.encryption import write_key
from paidonce.ids import secret_bytes
from tests.support.fake_connector import CREDENTIALS, KEY, LIVE_KEY, OTHER_KEY, PIN, FakeConnector
from tests.unit.cli.conftest import Run

ENCRYPTION_KEY: Final = write_key(bytes(32))
LINES: Final = f"apiKey={KEY}\n\npin = {PIN}\nshopName=The shop\n"
UNKNOWN: Final = f"pac_{'0' * 26}"
USAGE_EXIT: Final = 2
SECONDS_MAX: Final = 60.0

# The real command, with a provider that exists only in the test.
PROGRAM: Final = (
    "from paidonce.cli import main; from tests.support.fake_connector import *; main(obj=FakeConnector().connectors)"
)

Operate = Callable[..., Result]


@pytest.fixture
def fake() -> FakeConnector:
    return FakeConnector()


@pytest.fixture
def operate(run: Run, fake: FakeConnector, migrated_database_url: str) -> Operate:
    """Run a command with ``given`` on standard input, on a database with the merchant ``m123``."""
    environment = {"DATABASE_URL": migrated_database_url, "PAIDONCE_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    run("merchants", "create", "m123", **environment)

    def operate_on(*arguments: str, given: str | bytes = "", **changes: str) -> Result:
        result = CliRunner().invoke(main, arguments, input=given, env={**environment, **changes}, obj=fake.connectors)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert not any(secret in result.output for secret in (KEY, LIVE_KEY, OTHER_KEY, PIN))
        return result

    return operate_on


def added(operate: Operate, *options: str, given: str = LINES) -> str:
    done = operate("providers", "add", "fake", "--merchant", "m123", *options, given=given)
    assert done.exit_code == 0, done.output
    account_id: str = done.stdout.strip()
    return account_id


def listed(operate: Operate, *options: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(operate("providers", "list", "--json", *options).stdout)
    return rows


@pytest.mark.parametrize("given", [LINES, json.dumps(CREDENTIALS), f"\n {json.dumps(CREDENTIALS)}\n"])
def test_an_account_is_added_with_credentials_from_standard_input(
    operate: Operate, fake: FakeConnector, given: str
) -> None:
    account_id = added(operate, given=given)
    [row] = listed(operate)
    assert row["credentialHints"] == {"apiKey": "…cdef", "pin": "…", "shopName": "The shop"}
    assert [row[name] for name in ("id", "merchantId", "provider", "mode", "name", "status", "position")] == [
        account_id,
        "m123",
        "fake",
        "test",
        "The Fake",
        "ACTIVE",
        1,
    ]
    assert (
        operate("providers", "check", account_id).stdout == f"The provider accepts the credentials of {account_id}.\n"
    )
    assert fake.opened[0].connection.credentials == CREDENTIALS


def test_where_api_keys_are_off_the_first_account_makes_the_key_file_as_the_development_server_does(
    operate: Operate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = operate("providers", "add", "fake", "--merchant", "m123", given=LINES, PAIDONCE_ENCRYPTION_KEYS="")
    assert done.exit_code == 0, done.output
    again = operate("providers", "check", done.stdout.strip(), PAIDONCE_ENCRYPTION_KEYS="")
    assert again.exit_code == 0, again.output


def test_accounts_are_listed_for_people_and_for_one_merchant(operate: Operate) -> None:
    assert "There are no accounts." in operate("providers", "list").stdout
    account_id = added(operate, "--name", "Main account")
    live_id = added(operate, "--mode", "live", given=f"apiKey={LIVE_KEY}")
    first, second = operate("providers", "list").stdout.splitlines()
    assert first.split()[:5] == [live_id, "ACTIVE", "live", "fake", "m123"]
    assert second.split()[0] == account_id
    assert second.endswith("position 1  apiKey=…cdef pin=… shopName=The shop  Main account")
    assert listed(operate, "--merchant", "m124") == []
    assert [row["id"] for row in listed(operate, "--merchant", "m123")] == [live_id, account_id]


def test_an_account_is_rotated_disabled_and_enabled_with_events_of_the_operator(
    operate: Operate, fake: FakeConnector
) -> None:
    account_id = added(operate)
    rotated = operate("providers", "rotate", account_id, given=f"apiKey={OTHER_KEY}")
    assert "Running servers use them within 5 seconds." in rotated.stdout
    operate("providers", "check", account_id)
    assert fake.opened[-1].connection.credentials == {"apiKey": OTHER_KEY}
    assert operate("providers", "disable", account_id).exit_code == 0
    assert [(row["status"], row["disabledAt"] is None) for row in listed(operate)] == [("DISABLED", False)]
    assert operate("providers", "enable", account_id).exit_code == 0
    assert [(row["status"], row["disabledAt"]) for row in listed(operate)] == [("ACTIVE", None)]


def test_accounts_are_put_first_in_the_order_of_preference(operate: Operate) -> None:
    first, second, third = (added(operate) for _ in range(3))
    done = operate("providers", "prefer", third, second)
    assert done.stdout.splitlines() == [f"{third} has position 1.", f"{second} has position 2."]
    assert {one["id"]: one["position"] for one in listed(operate)} == {first: 3, second: 2, third: 1}
    refused = operate("providers", "prefer", third, UNKNOWN)
    assert refused.exit_code == 1
    assert "There is no provider account with this id" in refused.output


def test_a_check_prints_what_is_wrong_and_exits_with_1(operate: Operate, fake: FakeConnector) -> None:
    account_id = added(operate)
    fake.problems = ["The key was revoked.", f"It was {KEY}."]
    done = operate("providers", "check", account_id)
    assert (done.exit_code, done.stdout) == (1, "The key was revoked.\nIt was ….\n")
    assert not fake.opened[-1].is_connected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "apiKey: This field is required."),
        (f"apiKey={LIVE_KEY}", "apiKey: This key is not a test key."),
        (f"apiKey={KEY}0", "apiKey: This must be a string that matches"),
        (f"apiKey={KEY}\nmore=1", "more: The credentials of The Fake are: "),
        (f"apiKey={KEY}\napiKey={OTHER_KEY}", "Standard input has a name twice."),
        (KEY, "Every line of standard input must be NAME=VALUE"),
        (f"={KEY}", "Every line of standard input must be NAME=VALUE"),
        ('{"apiKey": 7}', "Standard input is not a JSON object of strings."),
        ('{"apiKey": ', "Standard input is not a JSON object of strings."),
        (f"apiKey={KEY}\0", "apiKey: This must be a string that matches"),
        (b"apiKey=\xff\xfe", "Standard input is not text in UTF-8."),
        (f"apiKey={'x' * 100_000}", "Standard input has more than 64 KiB."),
    ],
)
def test_credentials_that_do_not_fit_are_refused_and_nothing_is_stored(
    operate: Operate, given: str | bytes, why: str
) -> None:
    done = operate("providers", "add", "fake", "--merchant", "m123", given=given)
    assert done.exit_code == 1
    assert why in done.stderr
    assert listed(operate) == []


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["add", "fake", "--merchant", "nobody"], 1, "There is no merchant with this id."),
        (["add", "nobody", "--merchant", "m123"], USAGE_EXIT, "The providers are: fake."),
        (["add", "fake"], USAGE_EXIT, "Missing option '--merchant'"),
        (["add", "fake", "--merchant", "m123", "--mode", "demo"], USAGE_EXIT, "'demo' is not one of"),
        (["add", "fake", "--merchant", "m123", "--name", "x" * 101], USAGE_EXIT, "A name must have at most 100"),
        (["add", "fake", KEY[:5], "--merchant", "m123"], USAGE_EXIT, "unexpected extra argument"),
        (["rotate", UNKNOWN], 1, "There is no provider account with this id."),
        (["check", UNKNOWN], 1, "There is no provider account with this id."),
        (["disable", "x"], 1, "There is no provider account with this id."),
        (["enable", "a\0b"], 1, "There is no provider account with this id."),
    ],
)
def test_what_does_not_fit_is_refused_and_says_why(
    operate: Operate, arguments: list[str], status: int, why: str
) -> None:
    refused = operate("providers", *arguments, given=LINES)
    assert (refused.exit_code, why in refused.stderr) == (status, True), refused.output


def test_without_the_encryption_key_nothing_can_be_added_or_checked(operate: Operate) -> None:
    account_id = added(operate)
    arguments = ("providers", "add", "fake", "--merchant", "m123")
    refused = operate(*arguments, given=LINES, PAIDONCE_ENCRYPTION_KEYS="", PAIDONCE_AUTH="keys")
    assert (refused.exit_code, "PAIDONCE_ENCRYPTION_KEYS" in refused.stderr) == (1, True)
    other = operate("providers", "check", account_id, PAIDONCE_ENCRYPTION_KEYS=write_key(secret_bytes(32)))
    assert (other.exit_code, "PAIDONCE_ENCRYPTION_KEYS" in other.stderr) == (1, True)
    assert len(listed(operate)) == 1


def test_accounts_are_encrypted_anew_and_the_old_key_is_needed_no_more(operate: Operate, fake: FakeConnector) -> None:
    account_id = added(operate)
    new = write_key(secret_bytes(32))
    for count in (1, 0):
        done = operate("db", "reencrypt", PAIDONCE_ENCRYPTION_KEYS=f"{new},{ENCRYPTION_KEY}")
        assert f"{count} provider accounts" in done.stdout
    assert operate("providers", "check", account_id, PAIDONCE_ENCRYPTION_KEYS=new).exit_code == 0
    assert fake.opened[-1].connection.credentials == CREDENTIALS
    assert operate("providers", "check", account_id).exit_code == 1


class Terminal:
    """The command at a terminal, which a person types into. ``shown`` is what the terminal has shown so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdin=other, stdout=other, stderr=other, env=environment
        )
        os.close(other)
        self.shown = ""

    def answer(self, prompt: str, text: str) -> None:
        """Wait until the terminal shows a prompt that was not answered yet, and type."""
        before = len(self.shown)
        self.wait_for(prompt, before)
        os.write(self._own, f"{text}\n".encode())

    def wait_for(self, text: str, start: int = 0) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while text not in self.shown[start:]:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._own], [], [], 1.0)[0]:
                try:
                    self.shown += os.read(self._own, 4096).decode()
                except OSError:  # Linux says so at the end.
                    break

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)


@pytest.fixture
def terminal(sqlite_url: str, run: Run) -> Iterator[Terminal]:
    environment = {"DATABASE_URL": sqlite_url, "PAIDONCE_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    run("db", "upgrade", **environment)
    run("merchants", "create", "m123", **environment)
    root = str(Path(__file__).parents[3])
    arguments = ["providers", "add", "fake", "--merchant", "m123"]
    one = Terminal(arguments, {**os.environ, **environment, "PYTHONPATH": root})
    yield one
    one.close()


def test_at_a_terminal_each_credential_is_asked_for_and_a_secret_is_not_shown(terminal: Terminal) -> None:
    terminal.answer("apiKey (the secret key): ", KEY)
    terminal.answer("pin (a short secret; may be empty): ", "")
    terminal.answer("shopName (the name of the shop; may be empty): ", "Visible name")
    terminal.wait_for("Next: paidonce providers check pac_")
    terminal.wait_for("never shown, so that all is read until the end")
    assert terminal.process.wait(SECONDS_MAX) == 0
    assert KEY not in terminal.shown
    assert "Visible name" in terminal.shown
