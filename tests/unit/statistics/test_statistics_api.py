"""What ``GET /statistics`` responds with, on both databases."""

from typing import Any
from unittest.mock import patch

import pytest

from paidonce.clock import HOUR_MS, format_instant
from paidonce.merchants.model import Scope
from paidonce.payments.settle import record_evidence
from paidonce.providers.evidence import Declined, Unknown
from paidonce.statistics import reading
from tests.support.in_process_service import NOW, InProcessService
from tests.support.payments import evidence_about

Json = dict[str, Any]


async def decide(service: InProcessService, attempt_id: str, evidence: Any) -> None:  # noqa: ANN401 - any evidence
    await service.service.writer.submit(record_evidence, evidence_about(attempt_id, evidence))


async def pay(service: InProcessService) -> str:
    checkout_id = await service.checkout()
    paying = await service.made(f"/checkouts/{checkout_id}/pay")
    attempt_id: str = paying["attempt"]["id"]
    return attempt_id


async def statistics(service: InProcessService, **parameters: str) -> Json:
    response = await service.get("/statistics", **parameters)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def test_figures_are_shown_for_each_interval_and_in_total(service: InProcessService) -> None:
    await service.paid()
    await decide(service, await pay(service), Declined("expired_card"))
    service.clock.now += HOUR_MS
    await service.paid(amount=500)
    await service.paid(amount=700, currency="EUR")
    await service.service.rollup.catch_up()
    found = await statistics(service, interval="hour", **{"from": format_instant(NOW)})
    first, second = found["data"]
    assert [one["currency"] for one in first["currencies"]] == ["USD"]
    assert [one["currency"] for one in second["currencies"]] == ["EUR", "USD"]
    (usd,) = first["currencies"]
    assert (usd["checkoutsCreated"], usd["paymentsSucceeded"], usd["paymentsDeclined"]) == (2, 1, 1)
    assert usd["successRate"] == 0.5
    assert usd["declines"] == [{"code": "expired_card", "count": 1}]
    euro, dollar = found["totals"]
    assert (euro["amountCaptured"], dollar["amountCaptured"], dollar["paymentsSucceeded"]) == (700, 1500, 2)
    assert dollar["timeToSettle"] == {"count": 2, "p50Ms": 1, "p95Ms": 1}


async def test_without_anything_the_intervals_are_there_and_empty(service: InProcessService) -> None:
    found = await statistics(service)
    assert found["totals"] == []
    assert len(found["data"]) in (30, 31)
    assert all(one["currencies"] == [] for one in found["data"])
    assert found["data"][0]["from"] == found["from"]
    assert found["data"][-1]["to"] == found["to"]


async def test_what_is_complete_ends_with_the_first_event_that_is_not_counted(service: InProcessService) -> None:
    await service.checkout()
    service.clock.now += 1000
    assert (await statistics(service))["upTo"] == format_instant(NOW)
    await service.service.rollup.catch_up()
    assert (await statistics(service))["upTo"] == format_instant(NOW + 1000)
    await service.checkout()
    service.clock.now += 5000
    found = await statistics(service)
    assert found["upTo"] == format_instant(NOW + 1000)
    assert found["totals"][0]["checkoutsCreated"] == 1


async def test_one_currency_and_one_provider_can_be_asked_for(service: InProcessService) -> None:
    await service.paid()
    await service.paid(currency="EUR")
    await service.service.rollup.catch_up()
    (euro,) = (await statistics(service, currency="EUR"))["totals"]
    assert (euro["currency"], euro["checkoutsCreated"], euro["paymentsSucceeded"]) == ("EUR", 1, 1)
    at_simulator = (await statistics(service, provider="simulator"))["totals"]
    assert [(one["checkoutsCreated"], one["paymentsSucceeded"]) for one in at_simulator] == [(0, 1), (0, 1)]
    assert (await statistics(service, provider="stripe"))["totals"] == []


async def test_a_range_with_many_rows_is_read_in_several_parts_and_adds_up(service: InProcessService) -> None:
    for _ in range(5):
        await service.paid()
        await service.paid(currency="EUR")
        service.clock.now += HOUR_MS
    await service.service.rollup.catch_up()
    whole = await statistics(service, interval="hour")
    with patch.object(reading, "ROWS_MAX", 3):
        assert await statistics(service, interval="hour") == whole
    assert [one["amountCaptured"] for one in whole["totals"]] == [5000, 5000]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-02-02T00:00:00Z", "interval": "hour"}, "from"),
        ({"from": "2024-01-01T00:00:00Z", "to": "2026-02-02T00:00:00Z", "interval": "month"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "1969-12-31T00:00:00Z", "to": "1970-01-01T00:00:00Z"}, "from"),
        ({"to": "9999-12-31T23:59:59Z"}, "from"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"currency": "XXX"}, "currency"),
        ({"interval": "year"}, "interval"),
    ],
)
async def test_what_cannot_be_shown_is_refused_with_the_field(
    service: InProcessService, parameters: dict[str, str], field: str
) -> None:
    response = await service.get("/statistics", **parameters)
    assert response.status_code == 400
    assert field in [one["pointer"].removeprefix("/") for one in response.json()["errors"]]


async def test_what_needs_attention_now_is_counted_with_its_oldest(service: InProcessService) -> None:
    unknown = await pay(service)
    await decide(service, unknown, Unknown("no answer"))
    await service.made("/webhook-endpoints", {"url": "http://127.0.0.1:9/webhooks"})
    service.clock.now += 1000
    await decide(service, await pay(service), Unknown("no answer"))
    found = (await service.get("/statistics/current")).json()
    assert (found["outcomesUnknown"], found["attemptsInReview"]) == (2, 0)
    assert (found["oldestUnknownAt"], found["oldestInReviewAt"]) == (format_instant(NOW), None)
    assert (found["webhookEndpoints"], found["webhookEndpointsFailing"], found["webhookEndpointsPaused"]) == (1, 0, 0)
    assert found["deliveriesWaiting"] > 0
    assert found["oldestDeliveryAt"] == format_instant(NOW + 1000)


async def test_a_key_needs_the_scope_to_read_checkouts(service: InProcessService) -> None:
    key = await service.api_key(service.merchant_id, set(Scope) - {Scope.CHECKOUTS_READ, Scope.ADMIN})
    for path in ("/statistics", "/statistics/current"):
        assert (await service.get(path, as_who=key)).status_code == 403
