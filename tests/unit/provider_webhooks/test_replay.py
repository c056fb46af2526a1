"""What a person does with webhooks that could not be applied, by command and beside others who do the same."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from paidonce.cli import main
from paidonce.database.schema import audit_entry
from paidonce.database.transaction import Transaction
from paidonce.errors import ProviderWebhookChanged
from paidonce.payments.schedule import LookupSchedule
from paidonce.provider_webhooks.actions import Applied, ApplyWebhook, apply_webhooks, fail_webhooks
from paidonce.provider_webhooks.model import RETRY_SECONDS, WebhookResult
from paidonce.provider_webhooks.replay import (
    Dismissed,
    DismissWebhook,
    ReplayWebhook,
    dismiss_webhooks,
    replay_webhooks,
)
from paidonce.provider_webhooks.store import WebhookName
from tests.support.payments import Interrupted
from tests.unit.provider_webhooks.conftest import SUCCESS, Shop

Run = Callable[..., Result]


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command beside whoever has the database."""
    monkeypatch.chdir(tmp_path_factory.mktemp("operator"))
    return lambda *arguments: CliRunner().invoke(main, ["inbox", *arguments], env={"DATABASE_URL": shop.url})


def test_an_operator_sees_what_was_not_applied_and_applies_it(shop: Shop, run: Run) -> None:
    assert shop.apply(shop.receive(SUCCESS)) == ["ATTEMPT_NOT_FOUND"]
    listed = run("list")
    assert (listed.exit_code, "msg_1" in listed.output, "ATTEMPT_NOT_FOUND" in listed.output) == (0, True, True)
    refused = run("replay", "msg_1")
    assert (refused.exit_code, refused.output) == (1, "Not applied: no attempt matches it.\n")
    checkout_id = shop.pays("one", "att_1")
    replayed = run("replay", "msg_1")
    assert (replayed.exit_code, replayed.output) == (0, f"Applied: it settled an attempt of {checkout_id}.\n")
    assert (shop.status(checkout_id), run("list").output) == ("COMPLETED", "All webhooks are applied.\n")
    assert '"result":"CHANGED"' in run("list", "--all", "--json").output
    again = run("replay", "msg_1")
    assert (again.exit_code, again.output) == (0, f"Applied: the outcome for {checkout_id} was already known.\n")


def test_an_operator_is_told_what_there_is_not_or_what_is_not_plain(shop: Shop, run: Run) -> None:
    assert run("replay", "msg_9").exit_code == 1
    shop.receive(SUCCESS)
    shop.receive(SUCCESS, provider="elsewhere")
    assert (run("replay", "msg_1").exit_code, run("replay", "msg_1", "--provider", "simulator").exit_code) == (2, 1)


def test_an_operator_dismisses_what_was_given_up_and_it_is_listed_no_longer(shop: Shop, run: Run) -> None:
    name = shop.receive(SUCCESS)
    shop.do(fail_webhooks, name)
    pending = run("dismiss", "msg_1")
    assert (pending.exit_code, "will be tried again" in pending.output) == (1, True)
    assert (shop.row().result, shop.row().applied_at, shop.row().tries) == ("FAILED", None, 1)
    while shop.row().due_at is not None:
        shop.apply(name)
    tries = shop.row().tries
    dismissed = run("dismiss", "msg_1")
    assert (dismissed.exit_code, dismissed.output) == (0, "Dismissed: it was ATTEMPT_NOT_FOUND.\n")
    row = shop.row()
    assert (row.result, row.due_at, row.tries, row.applied_at is None) == ("KNOWN", None, tries + 1, False)
    assert run("list").output == "All webhooks are applied.\n"
    again = run("dismiss", "msg_1")
    assert (again.exit_code, again.output) == (0, "Not dismissed: it was applied already.\n")
    assert shop.row() == row
    checkout_id = shop.pays("one", "att_1")
    assert run("replay", "msg_1").exit_code == 0
    assert shop.status(checkout_id) == "COMPLETED"


def test_an_operator_dismisses_one_webhook_that_is_stored_and_not_those_of_two_providers(shop: Shop, run: Run) -> None:
    missing = run("dismiss", "msg_9")
    assert (missing.exit_code, missing.output) == (1, "paidonce: webhook msg_9 not found\n")
    for provider in ("simulator", "elsewhere"):
        name = shop.receive(SUCCESS, provider=provider)
        for _ in RETRY_SECONDS:
            shop.apply(name)
    assert run("dismiss", "msg_1").exit_code == 2
    assert run("dismiss", "msg_1", "--provider", "elsewhere").exit_code == 0
    listed = run("list").output
    assert ("simulator" in listed, "elsewhere" in listed) == (True, False)


def audited(shop: Shop) -> list[tuple[str, ...]]:
    """Return the type, the actor, the subject, the detail and the outcome of each entry in the audit log."""
    entries = select(*(audit_entry.c[name] for name in ("type", "actor", "subject", "detail", "outcome")))
    with shop.database.read() as transaction:
        return [tuple(row) for row in transaction.rows(entries.order_by(audit_entry.c.id))]


def test_the_audit_log_names_each_webhook_that_was_replayed_or_dismissed_by_command(shop: Shop, run: Run) -> None:
    assert run("replay", "msg_9").exit_code == 1
    name = shop.receive(SUCCESS, provider="stripe/pac_1")
    assert run("dismiss", "msg_1").exit_code == 1
    assert audited(shop) == []
    while shop.row().due_at is not None:
        shop.apply(name)
    assert run("replay", "msg_1").exit_code == 1
    assert [run("dismiss", "msg_1").exit_code for _ in range(2)] == [0, 0]
    done = ("command line", "stripe/pac_1 msg_1", '{"result":"ATTEMPT_NOT_FOUND"}', "done")
    assert audited(shop) == [("replay_webhook", *done), ("dismiss_webhook", *done)]


def test_a_command_that_another_process_forestalls_says_so_and_records_nothing(
    shop: Shop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up(shop)
    monkeypatch.setattr("paidonce.provider_webhooks.replay.hold_webhooks", lambda *_: set())
    monkeypatch.setattr("paidonce.provider_webhooks.replay.mark_webhooks", lambda *_: set())
    for command in ("replay", "dismiss"):
        refused = run(command, "msg_1")
        assert (refused.exit_code, "by somebody else just now" in refused.output) == (1, True)
    assert audited(shop) == []


def given_up(shop: Shop) -> WebhookName:
    """Receive a webhook whose attempt comes too late for its tries."""
    name = shop.receive(SUCCESS)
    while shop.row().due_at is not None:
        shop.apply(name)
    return name


def replay(name: WebhookName) -> ReplayWebhook:
    return ReplayWebhook(name=name, schedule=LookupSchedule(), chance=0.5)


def interrupted(shop: Shop, theirs: Callable[[Transaction], object], action: Any, request: object) -> object:  # noqa: ANN401 - any action
    """Run an action, and what another process does in the middle of it; returns the outcome."""
    with shop.database.write() as transaction:
        (outcome,) = action(Interrupted(transaction, theirs), [request])
    return outcome


def test_a_replay_is_refused_and_changes_nothing_where_the_webhook_is_dismissed_in_the_same_moment(shop: Shop) -> None:
    name = given_up(shop)
    checkout_id = shop.pays("one", "att_1")
    outcome = interrupted(
        shop, lambda other: dismiss_webhooks(other, [DismissWebhook(name)]), replay_webhooks, replay(name)
    )
    assert isinstance(outcome, ProviderWebhookChanged)
    assert (shop.row().result, shop.row().tries) == ("KNOWN", len(RETRY_SECONDS) + 1)
    assert (shop.status(checkout_id), shop.attempts(checkout_id)) == ("PROCESSING", [("CHARGE", "SENT")])
    (later,) = shop.do(replay_webhooks, replay(name))
    assert later == Applied(WebhookResult.CHANGED, checkout_id)


@pytest.mark.parametrize("is_replay", [True, False], ids=["a replay", "a try of the service"])
def test_a_dismissal_is_refused_and_changes_nothing_where_the_webhook_is_applied_in_the_same_moment(
    shop: Shop, *, is_replay: bool
) -> None:
    name = given_up(shop)
    again = ApplyWebhook(name=name, schedule=LookupSchedule(), chance=0.5)

    def apply(other: Transaction) -> None:
        (applied,) = replay_webhooks(other, [replay(name)]) if is_replay else apply_webhooks(other, [again])
        assert applied == Applied(WebhookResult.ATTEMPT_NOT_FOUND)

    outcome = interrupted(shop, apply, dismiss_webhooks, DismissWebhook(name))
    assert isinstance(outcome, ProviderWebhookChanged)
    row = shop.row()
    assert (row.result, row.applied_at, row.tries) == ("ATTEMPT_NOT_FOUND", None, len(RETRY_SECONDS) + 1)
    (later,) = shop.do(dismiss_webhooks, DismissWebhook(name))
    assert later == Dismissed(name, WebhookResult.ATTEMPT_NOT_FOUND, is_new=True)


def test_of_two_dismissals_in_the_same_moment_one_is_refused(shop: Shop) -> None:
    name = given_up(shop)
    theirs: list[object] = []
    outcome = interrupted(
        shop,
        lambda other: theirs.extend(dismiss_webhooks(other, [DismissWebhook(name)])),
        dismiss_webhooks,
        DismissWebhook(name),
    )
    assert theirs == [Dismissed(name, WebhookResult.ATTEMPT_NOT_FOUND, is_new=True)]
    assert isinstance(outcome, ProviderWebhookChanged)
    assert (shop.row().result, shop.row().tries) == ("KNOWN", len(RETRY_SECONDS) + 1)


def test_of_two_dismissals_in_one_transaction_the_second_one_finds_it_dismissed(shop: Shop) -> None:
    name = given_up(shop)
    assert shop.do(dismiss_webhooks, DismissWebhook(name), DismissWebhook(name)) == [
        Dismissed(name, WebhookResult.ATTEMPT_NOT_FOUND, is_new=True),
        Dismissed(name, WebhookResult.KNOWN, is_new=False),
    ]
