"""The calls about webhook endpoints: what is refused by its name, and what a repeated call is answered with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paidonce.clock import format_instant
from paidonce.webhook_endpoints.delivery_actions import ClaimDeliveries, RecordTry, claim_deliveries, record_tries
from paidonce.webhook_endpoints.due_delivery_store import Share
from paidonce.webhook_endpoints.model import Schedule
from paidonce.webhook_endpoints.redelivery import REDELIVERED_MAX
from tests.support.in_process_service import NOW, InProcessService, open_in_process_service

URL = "http://127.0.0.1:9/webhooks"


@pytest.fixture
async def inside(migrated_sqlite_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), migrating=False) as opened:
        yield opened


async def test_a_test_event_that_is_asked_for_again_with_its_key_is_sent_once(inside: InProcessService) -> None:
    endpoint = await inside.made("/webhook-endpoints", {"url": URL})
    sent = [await inside.post(f"/webhook-endpoints/{endpoint['id']}/test", key="try") for _ in range(2)]
    assert [(one.status_code, one.headers.get("idempotent-replayed")) for one in sent] == [(202, None), (202, "true")]
    assert sent[0].json()["id"] == sent[1].json()["id"]
    listed = (await inside.get(f"/webhook-endpoints/{endpoint['id']}/deliveries")).json()["data"]
    assert [one["id"] for one in listed] == [sent[0].json()["id"]]


async def test_an_event_that_is_sent_as_a_test_tells_which_request_asked_for_it(inside: InProcessService) -> None:
    endpoint = await inside.made("/webhook-endpoints", {"url": URL})
    asked = await inside.post(f"/webhook-endpoints/{endpoint['id']}/test")
    (event,) = (await inside.get("/events", types="endpoint.test")).json()["data"]
    assert event["requestId"] == asked.headers["x-request-id"]


async def test_a_secret_that_is_replaced_again_with_the_same_idempotency_key_is_shown_as_the_first_time(
    inside: InProcessService,
) -> None:
    endpoint = await inside.made("/webhook-endpoints", {"url": URL})
    path = f"/webhook-endpoints/{endpoint['id']}/rotate-secret"
    first, again = [await inside.post(path, {"overlapSeconds": 60}, key="k") for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (200, first.json())
    assert first.json()["secret"] != endpoint["secret"]


@pytest.mark.parametrize(("last", "status"), [(REDELIVERED_MAX, 202), (REDELIVERED_MAX + 1, 400), (1, 202), (0, 400)])
async def test_a_range_is_sent_again_from_one_event_up_to_so_many_and_no_more(
    inside: InProcessService, last: int, status: int
) -> None:
    endpoint = await inside.made("/webhook-endpoints", {"url": URL})
    answer = await inside.post(
        f"/webhook-endpoints/{endpoint['id']}/redeliver", {"fromSequence": 1, "toSequence": last}
    )
    assert answer.status_code == status
    assert [one["pointer"] for one in answer.json().get("errors", [])] == ["/toSequence"] * (status == 400)


async def test_an_operator_who_names_no_merchant_for_an_endpoint_is_told_which_field_is_missing(
    inside: InProcessService,
) -> None:
    refused = await inside.post("/webhook-endpoints", {"url": URL}, as_who=inside.operator_key)
    assert (refused.status_code, [one["pointer"] for one in refused.json()["errors"]]) == (400, ["/merchantId"])


async def test_a_delivery_says_when_it_is_tried_next_and_then_what_was_answered_and_when_it_was_delivered(
    inside: InProcessService,
) -> None:
    endpoint = await inside.made("/webhook-endpoints", {"url": URL})
    await inside.checkout()
    (pending,) = (await inside.get(f"/webhook-endpoints/{endpoint['id']}/deliveries")).json()["data"]
    assert (pending["status"], pending["nextTryAt"], pending["tries"]) == ("PENDING", format_instant(NOW), [])

    share = Share(endpoint["id"], inside.merchant_id, 1)
    (claimed,) = await inside.service.writer.submit(claim_deliveries, ClaimDeliveries([share], 45_000))
    sending = (await inside.get(f"/deliveries/{pending['id']}")).json()
    assert (sending["status"], sending["nextTryAt"], sending["deliveredAt"]) == ("SENDING", None, None)

    tried = RecordTry(
        delivery=claimed.delivery,
        started_at=NOW + 1,
        duration_ms=7,
        schedule=Schedule(),
        chance=0.5,
        status_code=204,
        answer="hello",
    )
    inside.clock.now += 10
    await inside.service.writer.submit(record_tries, tried)
    delivered = (await inside.get(f"/deliveries/{pending['id']}")).json()
    assert (delivered["status"], delivered["nextTryAt"]) == ("DELIVERED", None)
    assert delivered["deliveredAt"] == format_instant(NOW + 10)
    assert delivered["tries"] == [
        {
            "number": 1,
            "startedAt": format_instant(NOW + 1),
            "durationMs": 7,
            "statusCode": 204,
            "error": None,
            "answer": "hello",
        }
    ]
