"""Provider accounts on both databases: each change is made once, to the account that was seen, with its event."""

from typing import Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, update
from sqlalchemy.exc import IntegrityError

from paidonce.database import statement
from paidonce.database.schema import provider_account
from paidonce.database.statement import execute_on_driver
from paidonce.errors import ProviderAccountDisabled, ProviderAccountNotFound, ProviderAccountWrongMode
from paidonce.events.model import Cause
from paidonce.merchants.model import Mode
from paidonce.provider_accounts.actions import (
    ChangeAccount,
    ChooseAccount,
    change_accounts,
    choose_accounts,
    create_accounts,
    list_accounts,
    load_accounts,
)
from paidonce.provider_accounts.model import AccountName, AccountStatus, ProviderAccount
from paidonce.provider_accounts.store import PREFERRED_MAX, AccountFilter
from tests.support.fake_connector import KEY, LIVE_KEY, OTHER_KEY, PIN
from tests.unit.provider_accounts.harness import NOW, AccountHarness

LIVE: Final[dict[str, Any]] = {"mode": Mode.LIVE, "credentials": {"apiKey": LIVE_KEY}}


def test_an_account_is_created_active_and_last_in_the_order_of_preference(harness: AccountHarness) -> None:
    first = harness.create()
    harness.now += 5
    second, third = harness.do(create_accounts, harness.new(), harness.new())
    others = harness.create("m2")
    assert [one.position for one in (first, second, third, others)] == [1, 2, 3, 1]
    assert harness.load(first) == first
    assert (first.status, first.version, first.created_at, first.disabled_at) == ("ACTIVE", 0, NOW, None)


def test_an_account_that_is_created_twice_because_the_first_result_was_lost_is_one(harness: AccountHarness) -> None:
    request = harness.new()
    assert harness.do(create_accounts, request) == harness.do(create_accounts, request)
    assert len(harness.events()) == 1


def test_the_stored_row_and_its_events_hold_no_credential(harness: AccountHarness) -> None:
    account = harness.create()
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY, "pin": PIN}))
    stored = f"{harness.load(account)} {harness.events()}"
    assert not any(secret in stored for secret in (KEY, OTHER_KEY, PIN))


def test_each_change_appends_its_event_and_counts_the_version(harness: AccountHarness) -> None:
    account = harness.create()
    harness.now += 7
    harness.change(account, **harness.rotated(account, {"apiKey": OTHER_KEY}))
    harness.change(account, position=9, cause=Cause.OPERATOR)
    disabled = harness.change(account, status=AccountStatus.DISABLED)
    assert (disabled.status, disabled.disabled_at, disabled.version) == ("DISABLED", NOW + 7, 3)
    enabled = harness.change(account, status=AccountStatus.ACTIVE)
    assert (enabled.status, enabled.disabled_at, enabled.version, enabled.position) == ("ACTIVE", None, 4, 9)
    assert enabled == harness.load(account)
    assert enabled.updated_at == NOW + 7
    detail = {"accountId": account.id, "provider": "fake", "mode": "test"}
    assert harness.events() == [
        ("provider_account.created", "request", detail),
        ("provider_account.rotated", "request", detail),
        ("provider_account.moved", "operator", detail),
        ("provider_account.disabled", "request", detail),
        ("provider_account.enabled", "request", detail),
    ]


def test_a_change_that_changes_nothing_appends_no_event(harness: AccountHarness) -> None:
    account = harness.create()
    assert harness.change(account, status=AccountStatus.ACTIVE) == account
    disabled = harness.change(account, status=AccountStatus.DISABLED)
    harness.now += 1
    assert harness.change(account, status=AccountStatus.DISABLED) == disabled
    rotated = harness.rotated(account, {"apiKey": OTHER_KEY})
    assert harness.change(account, **rotated) == harness.change(account, **rotated)
    assert [kind for kind, _, _ in harness.events()] == [
        "provider_account.created",
        "provider_account.disabled",
        "provider_account.rotated",
    ]


def test_an_account_is_found_only_by_its_merchant_and_in_its_mode(harness: AccountHarness) -> None:
    account = harness.create()
    names = [
        AccountName(account.id, "m1"),
        AccountName(account.id, None),
        AccountName(account.id, "m1", Mode.TEST),
        AccountName(account.id, "m2"),
        AccountName(account.id, "m1", Mode.LIVE),
        AccountName(account.id, "m2", Mode.TEST),
    ]
    found = harness.do(load_accounts, *names)  # In one batch: what is found for one name is not given to another.
    assert found[:3] == [account] * 3
    assert all(isinstance(one, ProviderAccountNotFound) for one in found[3:])
    changes = [ChangeAccount(name=name, status=AccountStatus.DISABLED) for name in names[3:]]
    assert all(isinstance(one, ProviderAccountNotFound) for one in harness.do(change_accounts, *changes))
    assert harness.load(account) == account


def test_accounts_are_paged_newest_first_and_filtered_by_merchant_provider_and_mode(harness: AccountHarness) -> None:
    one, two, three = (harness.create() for _ in range(3))
    live = harness.create(**LIVE)
    other = harness.create(provider="other")
    foreign = harness.create("m2")

    def page(**wanted: Any) -> tuple[list[str], bool]:  # noqa: ANN401 - as AccountFilter takes them
        found, more = harness.do(list_accounts, AccountFilter(**{"limit": 10, **wanted}))[0]
        return [account.id for account in found], more

    assert page() == ([foreign.id, other.id, live.id, three.id, two.id, one.id], False)
    assert page(merchant_id="m2") == ([foreign.id], False)
    assert page(merchant_id="m1", provider="fake", mode=Mode.TEST, limit=2) == ([three.id, two.id], True)
    assert page(merchant_id="m1", provider="fake", mode=Mode.TEST, starting_after=two.id) == ([one.id], False)
    assert page(merchant_id="m1", mode=Mode.LIVE) == ([live.id], False)
    assert page(merchant_id="m1", ending_before=one.id, limit=2) == ([three.id, two.id], True)


def test_a_payment_may_use_the_active_accounts_of_its_merchant_and_mode_in_the_order_of_preference(
    harness: AccountHarness,
) -> None:
    assert isinstance(harness.choose(), ProviderAccountNotFound)
    live = harness.create(**LIVE)
    first, second, third = (harness.create() for _ in range(3))
    harness.create("m2")
    assert harness.choose() == [first, second, third]
    assert harness.choose(mode=Mode.LIVE) == [live]
    harness.change(first, status=AccountStatus.DISABLED)
    assert harness.choose() == [second, third]
    moved = harness.change(third, position=1)
    assert harness.choose() == [moved, second]
    other = harness.create(provider="other")
    assert harness.choose(provider="other") == [other]
    missing = harness.choose(provider="nobody")
    assert isinstance(missing, ProviderAccountNotFound)
    assert missing.detail == "The merchant has no active test account with the provider nobody."


def test_of_accounts_with_one_position_the_oldest_is_preferred(harness: AccountHarness) -> None:
    first, second = harness.create(), harness.create()
    moved = [harness.change(one, position=5) for one in (second, first)]
    assert harness.choose() == moved[::-1]


def test_of_very_many_accounts_only_the_most_preferred_are_read(harness: AccountHarness) -> None:
    accounts = harness.do(create_accounts, *(harness.new() for _ in range(PREFERRED_MAX + 1)))
    foreign = harness.create("m2")
    requests = [ChooseAccount(merchant_id=merchant_id, mode=Mode.TEST) for merchant_id in ("m1", "m2")]
    assert harness.do(choose_accounts, *requests) == [accounts[:-1], [foreign]]


def test_a_payment_that_names_accounts_uses_them_in_that_order_or_is_told_why_not(harness: AccountHarness) -> None:
    harness.create()
    named, second, live, foreign = harness.create(), harness.create(), harness.create(**LIVE), harness.create("m2")
    disabled = harness.change(harness.create(), status=AccountStatus.DISABLED)
    assert harness.choose(named) == [named]
    assert harness.choose(named, provider="fake") == [named]
    assert harness.choose(second, named) == [second, named]
    assert harness.choose(disabled, second) == [second]
    assert isinstance(harness.choose(named, provider="other"), ProviderAccountNotFound)
    assert isinstance(harness.choose(named, foreign), ProviderAccountNotFound)
    assert isinstance(harness.choose(named, live), ProviderAccountWrongMode)
    assert isinstance(harness.choose(named, mode=Mode.LIVE), ProviderAccountWrongMode)
    assert isinstance(harness.choose(disabled), ProviderAccountDisabled)


def test_accounts_that_are_preferred_come_first_in_that_order_and_the_others_keep_theirs(
    harness: AccountHarness,
) -> None:
    live, foreign = harness.create(**LIVE), harness.create("m2")
    live, foreign = (harness.change(account, position=9) for account in (live, foreign))
    one, two, three, four = (harness.create() for _ in range(4))
    harness.change(two, position=1)
    harness.change(two, status=AccountStatus.DISABLED)
    before = len(harness.events())
    moved = harness.prefer(four, three)
    assert isinstance(moved, list)
    assert [(one.id, one.position) for one in moved] == [(four.id, 1), (three.id, 2)]
    order = [(one, 4), (two, 3), (three, 2), (four, 1), (live, 9), (foreign, 9)]
    assert [harness.load(account).position for account, _ in order] == [position for _, position in order]
    events = harness.events()[before:]
    assert {(kind, cause) for kind, cause, _ in events} == {("provider_account.moved", "operator")}
    assert len(events) == 4
    harness.prefer(four)
    assert len(harness.events()) == before + 4  # Nothing has changed.


def test_accounts_of_two_merchants_or_of_two_modes_have_no_order(harness: AccountHarness) -> None:
    test, live, foreign = harness.create(), harness.create(**LIVE), harness.create("m2")
    assert isinstance(harness.prefer(test, live), ProviderAccountWrongMode)
    assert isinstance(harness.prefer(test, foreign), ProviderAccountNotFound)
    assert [harness.load(one) for one in (test, live, foreign)] == [test, live, foreign]


def test_payments_of_one_batch_get_each_their_own_accounts(harness: AccountHarness) -> None:
    mine, live, foreign = harness.create(), harness.create(**LIVE), harness.create("m2")
    payers = [("m1", Mode.TEST), ("m2", Mode.TEST), ("m1", Mode.LIVE)]
    requests = [ChooseAccount(merchant_id=merchant_id, mode=mode) for merchant_id, mode in payers]
    nobodys = ChooseAccount(merchant_id="m3", mode=Mode.TEST)
    found = harness.do(choose_accounts, *requests, nobodys, *requests)
    assert found[:3] == found[4:] == [[mine], [foreign], [live]]
    assert isinstance(found[3], ProviderAccountNotFound)


def test_a_rotation_and_a_disabling_at_the_same_time_both_take_effect(
    postgres_url: str,
) -> None:
    """On PostgreSQL another process commits between our read and our write. SQLite has one writer at a time."""
    one = AccountHarness(postgres_url)
    account = one.create()
    other = one.connect(postgres_url)
    rotated = one.rotated(account, {"apiKey": OTHER_KEY})
    disable = ChangeAccount(name=AccountName(account.id, "m1"), status=AccountStatus.DISABLED)
    has_disabled: list[bool] = []

    def disable_before_the_first_write(connection: Connection, sql: str, values: object = ()) -> Any:  # noqa: ANN401 - as it is
        if sql.startswith("UPDATE provider_account") and not has_disabled:
            has_disabled.append(True)
            with other.write() as transaction:
                change_accounts(transaction, [disable])
        return execute_on_driver(connection, sql, values)

    with patch.object(statement, "execute_on_driver", disable_before_the_first_write):
        changed = one.change(account, **rotated)
    other.close()
    assert has_disabled
    assert (changed.status, changed.credentials, changed.version) == ("DISABLED", rotated["credentials"], 2)
    assert one.load(account) == changed
    assert [kind.partition(".")[2] for kind, _, _ in one.events()] == ["created", "disabled", "rotated"]
    one.database.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "DISABLED"},
        {"disabled_at": 1},
        {"status": "GONE"},
        {"mode": "demo"},
        {"position": 0},
        {"credentials": '{"apiKey":"secret"}'},
    ],
)
def test_the_database_refuses_a_row_that_cannot_be(harness: AccountHarness, wrong: dict[str, object]) -> None:
    account: ProviderAccount = harness.create()
    with pytest.raises(IntegrityError), harness.database.write() as transaction:
        transaction.run(update(provider_account).where(provider_account.c.id == account.id).values(**wrong))
