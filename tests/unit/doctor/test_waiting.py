"""What the doctor says of attempts, webhooks and endpoints that wait for somebody."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import update

from paidonce.clock import Instant
from paidonce.database.health import Finding, Level
from paidonce.database.schema import attempt, provider_webhook, webhook_endpoint
from paidonce.doctor.waiting import check_waiting, measure_waiting
from paidonce.provider_webhooks.actions import ReceivedWebhook, store_webhooks
from paidonce.providers.evidence import Notice
from tests.support.fake_connector import CREDENTIALS
from tests.support.in_process_service import ENDPOINT, NOW, InProcessService, open_in_process_service

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def findings(inside: InProcessService) -> dict[str, Finding]:
    found = await inside.service.reader.submit(measure_waiting, None)
    return {one.check: one for one in check_waiting(found, inside.clock.now)}


async def accepted(inside: InProcessService, account_id: str | None, since: Instant) -> None:
    """An attempt that the provider accepted at an instant, at an account of the merchant."""
    paying = await inside.paying()
    of_account = {} if account_id is None else {"provider": "fake", "account_id": account_id}
    with inside.service.database.write() as transaction:
        found = attempt.c.id == paying["attempt"]["id"]
        changes = {"status": "ACCEPTED", "due_at": NOW + DAY_MS, "created_at": since, **of_account}
        transaction.run(update(attempt).where(found).values(**changes))


async def account(inside: InProcessService) -> str:
    made = await inside.made("/provider-accounts", {"provider": "fake", "credentials": CREDENTIALS})
    account_id: str = made["id"]
    return account_id


async def failing(inside: InProcessService, since: Sequence[Instant]) -> list[str]:
    """Webhook endpoints whose receivers have taken nothing since these instants."""
    made = [(await inside.made("/webhook-endpoints", ENDPOINT))["id"] for _ in since]
    with inside.service.database.write() as transaction:
        for endpoint_id, instant in zip(made, since, strict=True):
            found = webhook_endpoint.c.id == endpoint_id
            transaction.run(update(webhook_endpoint).where(found).values(failing_since=instant))
    return made


async def test_where_nothing_waits_all_is_well(inside: InProcessService) -> None:
    await accepted(inside, await account(inside), NOW - HOUR_MS)
    await failing(inside, [NOW - HOUR_MS // 2])
    found = await findings(inside)
    assert {one.level for one in found.values()} == {Level.OK}
    assert {one.remedy for one in found.values()} == {""}


async def test_attempts_that_no_worker_takes_are_a_warning(inside: InProcessService) -> None:
    for minutes in (5, 7):
        paying = await inside.paying()
        with inside.service.database.write() as transaction:
            found = attempt.c.id == paying["attempt"]["id"]
            transaction.run(update(attempt).where(found).values(due_at=NOW - minutes * MINUTE_MS))
    found = (await findings(inside))["due operations"]
    assert (found.level, found.found) == (
        Level.WARNING,
        "1 attempt due for up to 7 min: no worker runs, or calls of the provider are paused",
    )


@pytest.mark.parametrize("result", ["NEEDS_REVIEW", "FAILED", "POSTPONED"])
async def test_a_webhook_that_no_rule_covers_is_a_problem(inside: InProcessService, result: str) -> None:
    webhook_id = await inside.provider_webhook()
    with inside.service.database.write() as transaction:
        named = provider_webhook.c.id == webhook_id
        transaction.run(update(provider_webhook).where(named).values(result=result))
    inside.clock.now += 5 * HOUR_MS
    found = (await findings(inside))["provider webhooks"]
    assert (found.level, found.found) == (
        Level.PROBLEM,
        f"1 webhook {result}, not applied and not tried again, the oldest for 5 h",
    )
    assert "paidonce inbox" in found.remedy


async def test_webhooks_without_an_attempt_are_a_warning_for_they_may_be_of_another_system(
    inside: InProcessService,
) -> None:
    for _ in range(2):
        await inside.provider_webhook()
    found = (await findings(inside))["provider webhooks"]
    assert (found.level, found.found[:28]) == (Level.WARNING, "2 webhooks ATTEMPT_NOT_FOUND")


async def test_a_webhook_that_will_be_tried_again_is_no_finding(inside: InProcessService) -> None:
    received = ReceivedWebhook("simulator", Notice("msg_1", "att_1", None, None), b"{}")
    await inside.service.writer.submit(store_webhooks, received)
    with inside.service.database.write() as transaction:
        transaction.run(update(provider_webhook).values(result="ATTEMPT_NOT_FOUND"))
    assert (await findings(inside))["provider webhooks"].level is Level.OK


async def test_an_account_whose_webhooks_never_arrive_is_a_problem_after_a_day(inside: InProcessService) -> None:
    account_id = await account(inside)
    await accepted(inside, account_id, NOW - DAY_MS - 1)
    found = (await findings(inside))["accepted operations"]
    assert found.level is Level.PROBLEM
    assert found.found == (
        f"no webhook has ever arrived for fake/{account_id} of {inside.merchant_id}, and 1 attempt waiting for its"
        " outcome for up to 1 d"
    )
    received = ReceivedWebhook(f"fake/{account_id}", Notice("msg_1", "att_1", None, None), b"{}")
    await inside.service.writer.submit(store_webhooks, received)
    assert (await findings(inside))["accepted operations"].level is Level.OK


async def test_attempts_that_a_provider_only_accepted_days_ago_are_a_warning(inside: InProcessService) -> None:
    await accepted(inside, None, NOW - 5 * DAY_MS)
    account_id = await account(inside)
    received = ReceivedWebhook(f"fake/{account_id}", Notice("msg_1", "att_1", None, None), b"{}")
    await inside.service.writer.submit(store_webhooks, received)
    for days in (3, 4, 2):
        await accepted(inside, account_id, NOW - days * DAY_MS - 1)
    found = (await findings(inside))["accepted operations"]
    assert found.level is Level.WARNING
    assert found.found == (
        f"4 attempts waiting for their outcome for up to 5 d: simulator of {inside.merchant_id},"
        f" fake/{account_id} of {inside.merchant_id}"
    )


async def test_receivers_that_take_no_webhooks_are_a_warning_with_the_longest_first(inside: InProcessService) -> None:
    made = await failing(inside, [NOW - hours * HOUR_MS for hours in (2, 50, 3, 4)])
    found = (await findings(inside))["webhook endpoints"]
    named = ", ".join(f"{made[place]} of {inside.merchant_id}" for place in (1, 3, 2))
    assert (found.level, found.found) == (
        Level.WARNING,
        f"4 endpoints failing for up to 50 h: {named} and 1 other",
    )


async def test_an_endpoint_that_is_deleted_or_resumed_is_no_finding(inside: InProcessService) -> None:
    deleted, resumed = await failing(inside, [NOW - DAY_MS] * 2)
    headers = {"Authorization": f"Bearer {inside.merchant_key}"}
    await inside.http.delete(f"/webhook-endpoints/{deleted}", headers=headers)
    for enabled in (False, True):
        await inside.http.patch(f"/webhook-endpoints/{resumed}", json={"enabled": enabled}, headers=headers)
    assert (await findings(inside))["webhook endpoints"].level is Level.OK
