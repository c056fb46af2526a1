"""The pages of webhook endpoints and their deliveries, whose forms do what the calls of the API do."""

import re
from typing import Any, Final

from sqlalchemy import update

from paidonce.database.schema import delivery
from paidonce.users.model import Role
from tests.support.dashboard_client import Fields, base, logged_in, text_of
from tests.support.in_process_service import ENDPOINT, NOW, InProcessService

DAY_MS: Final = 86_400_000


async def test_a_created_endpoint_shows_its_secret_once_and_the_same_form_again_shows_the_same(
    inside: InProcessService,
) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    fields: Fields = {"url": str(ENDPOINT["url"]), "eventTypes": ["checkout.completed", "checkout.failed"]}
    first, again = [await admin.post(f"{base(inside)}/webhooks", fields, key="once") for _ in range(2)]
    secrets = [re.findall(r"whsec_[\w+/=-]+", page.text) for page in (first, again)]
    assert (len(secrets[0]), secrets[0]) == (1, secrets[1])
    listed = (await inside.get("/webhook-endpoints")).json()["data"]
    assert [one["eventTypes"] for one in listed] == [["checkout.completed", "checkout.failed"]]
    for path in ("/webhooks", f"/webhooks/{listed[0]['id']}"):
        assert "whsec_" not in (await admin.get(base(inside) + path)).text


async def test_an_endpoint_is_changed_paused_resumed_rotated_and_deleted(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    endpoint = await inside.made("/webhook-endpoints", {**ENDPOINT, "eventTypes": ["checkout.failed"]})
    path = f"{base(inside)}/webhooks/{endpoint['id']}"

    async def now() -> dict[str, Any]:
        found: dict[str, Any] = (await inside.get(f"/webhook-endpoints/{endpoint['id']}")).json()
        return found

    await admin.post(f"{path}/change", {"url": f"{ENDPOINT['url']}/2", "description": "mine"})
    after = await now()
    assert (after["url"], after["description"], after["eventTypes"]) == (f"{ENDPOINT['url']}/2", "mine", None)
    for action, enabled in (("pause", False), ("resume", True)):
        await admin.post(f"{path}/{action}")
        assert (await now())["enabled"] is enabled
    rotated = await admin.post(f"{path}/rotate")
    assert re.search("whsec_", rotated.text)
    assert endpoint["secret"] not in rotated.text
    await admin.post(f"{path}/delete")
    assert (await inside.get(f"/webhook-endpoints/{endpoint['id']}")).status_code == 404
    assert (await admin.get(path)).status_code == 404


async def test_a_url_that_is_refused_is_shown_again_with_the_reason(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    refused = await admin.post(f"{base(inside)}/webhooks", {"url": "ftp://shop.example"})
    assert (refused.status_code, 'value="ftp://shop.example"' in refused.text) == (422, True)
    assert 'aria-invalid="true"' in refused.text


async def test_a_viewer_sees_endpoints_and_has_no_button(inside: InProcessService) -> None:
    endpoint_id, delivery_id = await inside.delivery()
    viewer = await logged_in(inside)
    for path in ("/webhooks", f"/webhooks/{endpoint_id}", f"/deliveries/{delivery_id}"):
        page = await viewer.get(base(inside) + path)
        assert page.status_code == 200
        assert re.findall(r'method="post" action="(?!/dashboard/logout)', page.text) == []


async def test_deliveries_are_filtered_by_status(inside: InProcessService) -> None:
    endpoint_id, failed_id = await inside.delivery()
    await inside.checkout()
    viewer = await logged_in(inside)
    path = f"{base(inside)}/webhooks/{endpoint_id}"
    counts = {
        status: (await viewer.get(path, status=status)).text.count("/deliveries/dlv_")
        for status in ("", "FAILED", "PENDING", "DELIVERED")
    }
    assert counts == {"": 2, "FAILED": 1, "PENDING": 1, "DELIVERED": 0}
    assert failed_id in (await viewer.get(path, status="FAILED")).text


async def test_a_delivery_shows_the_body_that_was_sent_and_is_sent_again(inside: InProcessService) -> None:
    _, delivery_id = await inside.delivery()
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/deliveries/{delivery_id}"
    shown = text_of(await admin.get(path))
    assert '"type": "checkout.created"' in shown
    assert f'"merchantId": "{inside.merchant_id}"' in shown
    assert (await admin.post(f"{path}/redeliver")).status_code == 303
    assert (await inside.get(f"/deliveries/{delivery_id}")).json()["status"] == "PENDING"


async def test_all_that_failed_since_a_day_is_sent_again_and_nothing_else(inside: InProcessService) -> None:
    endpoint_id, first = await inside.delivery()
    ids = [first]
    for _ in range(3):
        await inside.checkout()
    listed = (await inside.get(f"/webhook-endpoints/{endpoint_id}/deliveries")).json()["data"]
    ids += [one["id"] for one in listed[::-1] if one["id"] != first]
    states: list[dict[str, Any]] = [
        {"status": "FAILED", "due_at": None, "created_at": NOW - DAY_MS},
        {"status": "FAILED", "due_at": None},
        {"status": "FAILED", "due_at": None},
        {"status": "DELIVERED", "due_at": None, "delivered_at": NOW},
    ]
    with inside.service.database.write() as transaction:
        for one, values in zip(ids, states, strict=True):
            transaction.run(update(delivery).where(delivery.c.id == one).values(**values))
    admin = await logged_in(inside, Role.ADMIN)
    done = await admin.post(f"{base(inside)}/webhooks/{endpoint_id}/redeliver-failed", {"since": "2023-11-14"})
    assert (done.status_code, done.headers["set-cookie"].count("2%20failed%20deliveries")) == (303, 1)
    now = [(await inside.get(f"/deliveries/{one}")).json()["status"] for one in ids]
    assert now == ["FAILED", "PENDING", "PENDING", "DELIVERED"]


async def test_a_range_is_sent_again(inside: InProcessService) -> None:
    endpoint_id, delivery_id = await inside.delivery()
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/webhooks/{endpoint_id}"
    newest = (await inside.get("/events", limit="100")).json()["data"][-1]["sequence"]
    await admin.post(f"{path}/redeliver", {"fromSequence": "1", "toSequence": str(newest)})
    assert (await inside.get(f"/deliveries/{delivery_id}")).json()["status"] == "PENDING"
    refused = await admin.post(f"{path}/redeliver", {"fromSequence": "5", "toSequence": "1"})
    assert refused.status_code == 422
