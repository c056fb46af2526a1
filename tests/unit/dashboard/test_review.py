"""What needs review, for a merchant's people and for operators."""

from typing import Final

from sqlalchemy import update

from paidonce.database.schema import attempt, provider_webhook
from paidonce.users.model import Role
from tests.support.dashboard_client import base, logged_in, text_of
from tests.support.in_process_service import NOW, InProcessService

DAY_MS: Final = 86_400_000


async def changed(inside: InProcessService, attempt_id: str, **values: object) -> None:
    with inside.service.database.write() as transaction:
        transaction.run(update(attempt).where(attempt.c.id == attempt_id).values(**values))


def audited(inside: InProcessService, kind: str) -> set[tuple[object, object]]:
    """Return the subject and the outcome of each entry of a type."""
    return {(row[4], row[6]) for row in inside.rows()["audit_entry"] if row[2] == kind}


async def test_a_merchant_sees_what_waits_and_an_operator_records_the_outcome(inside: InProcessService) -> None:
    paying = await inside.paying()
    attempt_id = paying["attempt"]["id"]
    await changed(inside, attempt_id, status="NEEDS_REVIEW", due_at=None)
    viewer, operator = await logged_in(inside, Role.VIEWER), await logged_in(inside, Role.OPERATOR)
    assert attempt_id in text_of(await viewer.get(f"{base(inside)}/review"))
    shown = await viewer.get(f"{base(inside)}/review/{attempt_id}")
    assert "An operator of this service records the outcome" in text_of(shown)
    assert "/resolve" not in shown.text
    assert attempt_id in text_of(await operator.get("/dashboard/operator/review"))
    path = f"/dashboard/operator/review/attempts/{attempt_id}"
    assert f"{path}/resolve" in (await operator.get(path)).text
    recorded = await operator.post(f"{path}/resolve", {"outcome": "SUCCEEDED", "reference": "ch_7"})
    assert (recorded.status_code, recorded.headers["location"]) == (303, path)
    assert (await inside.get(f"/checkouts/{paying['id']}")).json()["status"] == "COMPLETED"
    assert attempt_id not in text_of(await viewer.get(f"{base(inside)}/review"))
    assert "ch_7" in text_of(await viewer.get(f"{base(inside)}/review/{attempt_id}"))


async def test_an_attempt_is_shown_only_when_it_has_waited_for_long(inside: InProcessService) -> None:
    young, old, accepted, fresh = [(await inside.paying())["attempt"]["id"] for _ in range(4)]
    await changed(inside, young, status="UNKNOWN", created_at=NOW - 60_000)
    await changed(inside, old, status="UNKNOWN", created_at=NOW - 2 * 3_600_000)
    await changed(inside, accepted, status="ACCEPTED", created_at=NOW - 4 * DAY_MS)
    await changed(inside, fresh, status="ACCEPTED", created_at=NOW - DAY_MS)
    shown = text_of(await (await logged_in(inside)).get(f"{base(inside)}/review"))
    assert [one in shown for one in (young, old, accepted, fresh)] == [False, True, True, False]


async def test_a_resolution_without_a_reference_shows_the_form_again_and_changes_nothing(
    inside: InProcessService,
) -> None:
    paying = await inside.paying()
    operator = await logged_in(inside, Role.OPERATOR)
    path = f"/dashboard/operator/review/attempts/{paying['attempt']['id']}"
    refused = await operator.post(f"{path}/resolve", {"outcome": "SUCCEEDED"})
    assert (refused.status_code, "required with the outcome SUCCEEDED" in refused.text) == (422, True)
    assert (await inside.get(f"/checkouts/{paying['id']}")).json()["status"] == "PROCESSING"


async def test_an_operator_applies_a_webhook_again_and_reads_what_came_of_it(inside: InProcessService) -> None:
    webhook_id = await inside.provider_webhook()
    operator = await logged_in(inside, Role.OPERATOR)
    page = await operator.get("/dashboard/operator/review", result="ATTEMPT_NOT_FOUND")
    assert webhook_id in text_of(page)
    assert webhook_id not in text_of(await operator.get("/dashboard/operator/review"))
    fields = {"provider": "simulator", "id": webhook_id}
    done = await operator.post("/dashboard/operator/review/replay", fields)
    assert (done.status_code, "no%20attempt%20matches" in done.headers["set-cookie"]) == (303, True)
    assert (f"simulator {webhook_id}", "done") in audited(inside, "replay_webhook")
    refused = await operator.post("/dashboard/operator/review/replay", {**fields, "id": "msg_never"})
    assert refused.status_code == 404
    assert ("simulator msg_never", "provider_webhook_not_found") in audited(inside, "replay_webhook")


async def test_an_operator_dismisses_a_webhook_and_the_page_shows_it_no_longer(inside: InProcessService) -> None:
    webhook_id = await inside.provider_webhook()
    operator = await logged_in(inside, Role.OPERATOR)
    page = await operator.get("/dashboard/operator/review", result="ATTEMPT_NOT_FOUND")
    assert f'aria-label="Dismiss: {webhook_id}"' in page.text
    assert 'action="/dashboard/operator/review/dismiss"' in page.text
    fields = {"provider": "simulator", "id": webhook_id}
    done = await operator.post("/dashboard/operator/review/dismiss", fields)
    assert (done.status_code, "Dismissed" in done.headers["set-cookie"]) == (303, True)
    assert webhook_id not in text_of(await operator.get("/dashboard/operator/review", result="ATTEMPT_NOT_FOUND"))
    assert audited(inside, "dismiss_webhook") == {(f"simulator {webhook_id}", "done")}
    pending = {**fields, "id": await inside.provider_webhook()}
    with inside.service.database.write() as transaction:
        found = provider_webhook.c.id == pending["id"]
        transaction.run(update(provider_webhook).where(found).values(due_at=NOW + DAY_MS))
    refused = await operator.post("/dashboard/operator/review/dismiss", pending)
    assert (refused.status_code, "The webhook will be tried again." in refused.text) == (409, True)
