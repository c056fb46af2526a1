"""What waits for a proof, as the calls of the API list it, and what a person found out about it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from paidonce.clock import Instant
from paidonce.database.schema import attempt, provider_webhook
from paidonce.doctor.waiting import measure_waiting
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import Mode
from paidonce.providers.evidence import Declined, Succeeded, Unknown
from tests.support.in_process_service import NOW, InProcessService, Json, open_in_process_service

HOUR_MS: Final = 3_600_000


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def stuck(inside: InProcessService, status: str = "NEEDS_REVIEW", since: Instant = NOW) -> Json:
    """A payment in progress whose attempt has this status since an instant; returns its checkout."""
    checkout = await inside.paying()
    due_at = None if status == "NEEDS_REVIEW" else since + HOUR_MS
    with inside.service.database.write() as transaction:
        wanted = attempt.c.id == checkout["attempt"]["id"]
        transaction.run(update(attempt).where(wanted).values(status=status, due_at=due_at, created_at=since))
    return checkout


async def resolve(inside: InProcessService, checkout: Json, **body: str) -> tuple[int, Json]:
    answer = await inside.post(f"/attempts/{checkout['attempt']['id']}/resolve", body, as_who=inside.operator_key)
    return answer.status_code, answer.json()


async def status_of(inside: InProcessService, checkout: Json) -> str:
    found: str = (await inside.get(f"/checkouts/{checkout['id']}")).json()["status"]
    return found


async def test_attempts_that_need_review_are_listed_oldest_first_by_pages(inside: InProcessService) -> None:
    ids = [(await stuck(inside, since=NOW - hours * HOUR_MS))["attempt"]["id"] for hours in (1, 3, 2, 2)]
    oldest_first = [ids[1], *sorted(ids[2:]), ids[0]]
    await stuck(inside, "UNKNOWN")
    for reader in (inside.merchant_key, inside.operator_key):
        first = (await inside.get("/attempts", as_who=reader, limit="3", merchantId=inside.merchant_id)).json()
        assert ([one["id"] for one in first["data"]], first["hasMore"]) == (oldest_first[:3], True)
        after = first["data"][-1]["id"]
        rest = (await inside.get("/attempts", as_who=reader, limit="3", startingAfter=after)).json()
        assert ([one["id"] for one in rest["data"]], rest["hasMore"]) == (oldest_first[3:], False)


@pytest.mark.parametrize("status", ["NEEDS_REVIEW", "UNKNOWN", "ACCEPTED"])
async def test_a_list_holds_attempts_of_its_status_and_its_tenant_only(inside: InProcessService, status: str) -> None:
    mine = await stuck(inside, status)
    for other in {"NEEDS_REVIEW", "UNKNOWN", "ACCEPTED"} - {status}:
        await stuck(inside, other)
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    strangers = [await inside.api_key(another), await inside.api_key(inside.merchant_id, mode=Mode.LIVE)]
    seen = {key: (await inside.get("/attempts", as_who=key, status=status)).json()["data"] for key in strangers}
    assert list(seen.values()) == [[], []]
    for key in (inside.merchant_key, inside.operator_key):
        listed = (await inside.get("/attempts", as_who=key, status=status)).json()["data"]
        assert [one["id"] for one in listed] == [mine["attempt"]["id"]]


async def test_a_page_after_an_attempt_of_another_merchant_is_empty(inside: InProcessService) -> None:
    theirs = await stuck(inside)
    another = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, another)
    key = await inside.api_key(another)
    mine = await inside.made("/checkouts", {"amount": 1, "currency": "USD", "idempotencyKey": "1"}, as_who=key)
    paying = await inside.made(f"/checkouts/{mine['id']}/pay", as_who=key)
    with inside.service.database.write() as transaction:
        wanted = attempt.c.id == paying["attempt"]["id"]
        transaction.run(update(attempt).where(wanted).values(status="NEEDS_REVIEW", due_at=None, created_at=NOW + 1))
    assert len((await inside.get("/attempts", as_who=key)).json()["data"]) == 1
    page = await inside.get("/attempts", as_who=key, startingAfter=theirs["attempt"]["id"])
    assert page.json() == {"data": [], "hasMore": False}


@pytest.mark.parametrize(
    ("body", "attempt_status", "checkout_status"),
    [
        ({"outcome": "SUCCEEDED", "reference": "ch_7"}, "SUCCEEDED", "COMPLETED"),
        ({"outcome": "DECLINED", "declineCode": "declined"}, "DECLINED", "FAILED"),
    ],
)
async def test_an_outcome_that_a_person_reports_ends_the_attempt_and_its_payment(
    inside: InProcessService, body: Json, attempt_status: str, checkout_status: str
) -> None:
    checkout = await stuck(inside)
    status, resolved = await resolve(inside, checkout, **body)
    assert (status, resolved["status"]) == (200, attempt_status)
    assert (resolved["providerReference"], resolved["declineCode"]) == (body.get("reference"), body.get("declineCode"))
    assert await status_of(inside, checkout) == checkout_status
    events = (await inside.get("/events", checkoutId=checkout["id"])).json()["data"]
    assert events[-1]["cause"] == "operator"


async def test_an_outcome_that_is_known_is_not_changed_by_a_report_that_contradicts_it(
    inside: InProcessService,
) -> None:
    checkout = await stuck(inside)
    await resolve(inside, checkout, outcome="SUCCEEDED", reference="ch_7")
    status, problem = await resolve(inside, checkout, outcome="DECLINED", declineCode="declined")
    assert (status, problem["code"]) == (409, "attempt_outcome_known")
    assert await status_of(inside, checkout) == "COMPLETED"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"outcome": "SUCCEEDED"}, [("/reference", "missing")]),
        ({"outcome": "DECLINED"}, [("/declineCode", "missing")]),
        (
            {"outcome": "SUCCEEDED", "reference": "ch_1", "declineCode": "declined"},
            [("/declineCode", "contradiction")],
        ),
        ({"outcome": "DECLINED", "reference": "ch_1", "declineCode": "declined"}, [("/reference", "contradiction")]),
        (
            {"outcome": "DECLINED", "reference": "ch_1"},
            [("/declineCode", "missing"), ("/reference", "contradiction")],
        ),
    ],
)
async def test_a_report_without_what_belongs_to_its_outcome_has_no_effect_and_is_told_each_fault(
    inside: InProcessService, body: Json, errors: list[tuple[str, str]]
) -> None:
    checkout = await stuck(inside)
    status, problem = await resolve(inside, checkout, **body)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == errors
    assert await status_of(inside, checkout) == "PROCESSING"


async def test_an_outcome_that_is_recorded_again_with_the_same_key_is_answered_with_the_attempt(
    inside: InProcessService,
) -> None:
    paying = await inside.paying()
    attempt_id = paying["attempt"]["id"]
    await inside.record(attempt_id, Unknown("no answer"))
    body = {"outcome": "SUCCEEDED", "reference": "ch_7"}
    first, again = [
        await inside.post(f"/attempts/{attempt_id}/resolve", body, key="k", as_who=inside.operator_key)
        for _ in range(2)
    ]
    assert (first.status_code, first.json()["id"], first.json()["status"]) == (200, attempt_id, "SUCCEEDED")
    assert (again.status_code, again.json()) == (200, first.json())


async def test_an_attempt_that_does_not_exist_cannot_be_resolved(inside: InProcessService) -> None:
    status, problem = await resolve(
        inside, {"attempt": {"id": f"att_{'0' * 26}"}}, outcome="SUCCEEDED", reference="ch_1"
    )
    assert (status, problem["code"]) == (404, "attempt_not_found")


async def test_webhooks_that_were_given_up_are_listed_by_result_oldest_first(
    inside: InProcessService,
) -> None:
    names = []
    for _ in range(3):
        inside.clock.now += 1000
        names.append(await inside.provider_webhook())
    applied, other = [await inside.provider_webhook() for _ in range(2)]
    with inside.service.database.write() as transaction:
        found = provider_webhook.c.id == applied
        transaction.run(update(provider_webhook).where(found).values(applied_at=NOW, result="KNOWN"))
        found = provider_webhook.c.id == other
        transaction.run(update(provider_webhook).where(found).values(result="NEEDS_REVIEW"))
    first = (
        await inside.get("/provider-webhooks", as_who=inside.operator_key, limit="2", result="ATTEMPT_NOT_FOUND")
    ).json()
    assert ([one["id"] for one in first["data"]], first["hasMore"]) == (names[:2], True)
    last = first["data"][-1]
    after = {"afterProvider": last["provider"], "startingAfter": last["id"], "result": "ATTEMPT_NOT_FOUND"}
    rest = (await inside.get("/provider-webhooks", as_who=inside.operator_key, **after)).json()
    assert ([one["id"] for one in rest["data"]], rest["hasMore"]) == (names[2:], False)


@pytest.mark.parametrize(
    ("evidence", "result", "checkout_status"),
    [(Succeeded("ch_7"), "CHANGED", "COMPLETED"), (Declined("expired_card"), "CHANGED", "FAILED")],
)
async def test_a_webhook_that_is_applied_again_settles_the_attempt_that_it_names(
    inside: InProcessService, evidence: Succeeded | Declined, result: str, checkout_status: str
) -> None:
    checkout = await stuck(inside)
    webhook_id = await inside.provider_webhook(evidence=evidence, key=checkout["attempt"]["id"])
    body = {"provider": "simulator", "id": webhook_id}
    replayed = await inside.made("/provider-webhooks/replay", body, as_who=inside.operator_key)
    assert (replayed["result"], replayed["isApplied"], replayed["checkoutId"]) == (result, True, checkout["id"])
    assert await status_of(inside, checkout) == checkout_status
    for given_up in ("NEEDS_REVIEW", "ATTEMPT_NOT_FOUND"):
        listed = await inside.get("/provider-webhooks", as_who=inside.operator_key, result=given_up)
        assert listed.json()["data"] == []


async def test_a_webhook_that_was_applied_can_be_applied_again_and_the_log_tells_who_did_it(
    inside: InProcessService,
) -> None:
    checkout = await stuck(inside)
    body = {"provider": "simulator", "id": await inside.provider_webhook(key=checkout["attempt"]["id"])}
    with capture_logs() as logs:
        replayed = [await inside.made("/provider-webhooks/replay", body, as_who=inside.operator_key) for _ in range(2)]
    assert [one["result"] for one in replayed] == ["CHANGED", "KNOWN"]
    told = [one for one in logs if one["event"] == "webhook_replayed"]
    assert [(one["provider"], one["webhook_id"], one["result"]) for one in told] == [
        ("simulator", body["id"], "CHANGED"),
        ("simulator", body["id"], "KNOWN"),
    ]
    assert all(one["by_key_id"].startswith("key_") for one in told)


async def test_a_webhook_without_its_attempt_stays_in_the_list_and_says_why(inside: InProcessService) -> None:
    body = {"provider": "simulator", "id": await inside.provider_webhook()}
    replayed = await inside.made("/provider-webhooks/replay", body, as_who=inside.operator_key)
    assert (replayed["result"], replayed["isApplied"]) == ("ATTEMPT_NOT_FOUND", False)
    assert replayed["detail"] == "Not applied: no attempt matches it."


async def test_a_webhook_that_is_not_stored_cannot_be_applied(inside: InProcessService) -> None:
    body = {"provider": "simulator", "id": "msg_never"}
    answer = await inside.post("/provider-webhooks/replay", body, as_who=inside.operator_key)
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_webhook_not_found")


async def test_a_webhook_that_is_dismissed_is_listed_no_longer_and_the_log_tells_who_did_it(
    inside: InProcessService,
) -> None:
    webhook_id = await inside.provider_webhook()
    body = {"provider": "simulator", "id": webhook_id}
    with capture_logs() as logs:
        dismissed = [
            await inside.made("/provider-webhooks/dismiss", body, as_who=inside.operator_key) for _ in range(2)
        ]
    assert dismissed == [
        {"result": "ATTEMPT_NOT_FOUND", "isDismissed": True, "detail": "Dismissed: it was ATTEMPT_NOT_FOUND."},
        {"result": "KNOWN", "isDismissed": False, "detail": "Not dismissed: it was applied already."},
    ]
    [told] = [one for one in logs if one["event"] == "webhook_dismissed"]
    assert (told["provider"], told["webhook_id"], told["result"]) == ("simulator", webhook_id, "ATTEMPT_NOT_FOUND")
    assert told["by_key_id"].startswith("key_")
    listed = await inside.get("/provider-webhooks", as_who=inside.operator_key, result="ATTEMPT_NOT_FOUND")
    assert listed.json()["data"] == []
    with inside.service.database.read() as transaction:
        assert measure_waiting(transaction, [None])[0].given_up == {}


async def test_a_webhook_that_is_not_stored_or_will_be_tried_again_cannot_be_dismissed(
    inside: InProcessService,
) -> None:
    pending = await inside.provider_webhook()
    with inside.service.database.write() as transaction:
        found = provider_webhook.c.id == pending
        transaction.run(update(provider_webhook).where(found).values(due_at=NOW + 1000))
    answers = [
        await inside.post(
            "/provider-webhooks/dismiss", {"provider": "simulator", "id": one}, as_who=inside.operator_key
        )
        for one in ("msg_never", pending)
    ]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (404, "provider_webhook_not_found"),
        (409, "provider_webhook_pending"),
    ]
    with inside.service.database.read() as transaction:
        [row] = transaction.rows(select(provider_webhook).where(found))
    assert (row.result, row.due_at, row.applied_at) == ("ATTEMPT_NOT_FOUND", NOW + 1000, None)
