"""The pages about operations: what they show, and that their forms do what the calls of the API do."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import delete, update
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paidonce.dashboard import events, settings
from paidonce.database.schema import attempt, dashboard_session, dashboard_user, delivery
from paidonce.merchants.actions import create_merchants
from paidonce.merchants.model import OPERATOR, Mode
from paidonce.users.model import Role
from paidonce.web import create_web_app
from tests.support.dashboard_client import DashboardClient, Fields, logged_in
from tests.support.fake_connector import CREDENTIALS, OTHER_KEY
from tests.support.in_process_service import ENDPOINT, NOW, InProcessService, open_in_process_service

DAY_MS: Final = 86_400_000


@pytest.fixture
async def inside(migrated_database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(migrated_database_url, str(tmp_path), migrating=False) as opened:
        yield opened


def text_of(page: httpx.Response) -> str:
    """Return the words of a page, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def base(inside: InProcessService, mode: str = "test") -> str:
    return f"/dashboard/m/{inside.merchant_id}/{mode}"


async def changed(inside: InProcessService, attempt_id: str, **values: object) -> None:
    with inside.service.database.write() as transaction:
        transaction.run(update(attempt).where(attempt.c.id == attempt_id).values(**values))


# What needs review


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


# Webhooks


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


# Events


async def test_events_are_shown_newest_first_by_pages_without_a_gap(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE_LENGTH", 3)
    for _ in range(7):
        await inside.checkout()
    viewer = await logged_in(inside)
    seen: list[int] = []
    parameters: dict[str, str] = {}
    for _ in range(3):
        page = await viewer.get(f"{base(inside)}/events", **parameters)
        seen += [int(one) for one in re.findall(r'<th scope="row" class="number">(\d+)</th>', page.text)]
        older = re.search(r'before=(\d+)" rel="next"', page.text)
        parameters = {"before": older[1]} if older else {}
    assert parameters == {}
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_only_the_newest_page_is_live(inside: InProcessService) -> None:
    await inside.checkout()
    viewer = await logged_in(inside)
    assert "data-live" in (await viewer.get(f"{base(inside)}/events")).text
    assert "data-live" not in (await viewer.get(f"{base(inside)}/events", before="1")).text


async def test_a_page_of_a_log_without_events_says_so(inside: InProcessService) -> None:
    assert "Nothing has happened yet." in text_of(await (await logged_in(inside)).get(f"{base(inside)}/events"))


async def test_an_event_shows_its_detail(inside: InProcessService) -> None:
    checkout_id = await inside.paid()
    found = (await inside.get("/events", checkoutId=checkout_id)).json()["data"][-1]
    shown = text_of(await (await logged_in(inside)).get(f"{base(inside)}/events/{found['id']}"))
    assert "providerReference ch_1" in shown
    assert checkout_id in shown


class Stream:
    """The event stream of a page, as a browser receives it."""

    def __init__(self, inside: InProcessService, person: DashboardClient) -> None:
        self.received = b""
        self._has_changed = asyncio.Event()
        cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        path = f"{base(inside)}/events/stream"
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"after=0",
            "headers": [(b"host", b"paidonce"), (b"cookie", cookies.encode())],
            "client": ("192.0.2.1", 1),
        }
        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            self.received += message.get("body", b"")
            self._has_changed.set()

        self._task = asyncio.create_task(self._run(create_web_app(inside.service), scope, receive, send))

    async def _run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    async def until(self, wanted: bytes) -> None:
        async with asyncio.timeout(60):
            while wanted not in self.received:
                self._has_changed.clear()
                await self._has_changed.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await self._task


async def test_a_stream_tells_what_happens_and_ends_with_the_session(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SESSION_CHECK_SECONDS", 0.01)
    viewer = await logged_in(inside)
    checkout_id = await inside.checkout()
    stream = Stream(inside, viewer)
    await stream.until(checkout_id.encode())
    another = await inside.checkout()
    await stream.until(another.encode())
    with inside.service.database.write() as transaction:
        transaction.run(delete(dashboard_session))
    await stream.ended()


async def test_a_stream_ends_when_its_person_is_disabled(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SESSION_CHECK_SECONDS", 0.01)
    viewer = await logged_in(inside)
    stream = Stream(inside, viewer)
    await stream.until(b"retry:")
    with inside.service.database.write() as transaction:
        transaction.run(update(dashboard_user).where(dashboard_user.c.id == viewer.user.id).values(disabled_at=NOW))
    await stream.ended()


# API keys


async def test_an_admin_creates_a_key_that_works_and_sees_its_secret_once(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/keys"
    first, again = [await admin.post(path, {"scopes": ["events:read"]}, key="once") for _ in range(2)]
    secrets = [re.findall(r"sk_test_\w+", page.text) for page in (first, again)]
    assert (len(secrets[0]), secrets[0]) == (1, secrets[1])
    assert (await inside.get("/events", as_who=secrets[0][0])).status_code == 200
    assert (await inside.get("/checkouts", as_who=secrets[0][0])).status_code == 403
    assert secrets[0][0] not in (await admin.get(path)).text


async def test_a_key_of_a_page_belongs_to_the_merchant_and_the_mode_of_its_path(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    made = await admin.post(f"{base(inside, 'live')}/keys")
    [secret] = re.findall(r"sk_live_\w+", made.text)
    created = await inside.made("/checkouts", {"amount": 1, "currency": "USD", "idempotencyKey": "1"}, as_who=secret)
    assert (created["merchantId"], created["mode"]) == (inside.merchant_id, "live")
    assert secret[:12] not in (await admin.get(f"{base(inside)}/keys")).text


async def test_an_admin_rotates_and_revokes_keys_of_the_merchant_only(inside: InProcessService) -> None:
    other = inside.new_name("m")
    await inside.service.writer.submit(create_merchants, other)
    admin = await logged_in(inside, Role.ADMIN)
    mine, theirs, live, operators = [
        await inside.issued(merchant_id, mode=mode)
        for merchant_id, mode in (
            (inside.merchant_id, Mode.TEST),
            (other, Mode.TEST),
            (inside.merchant_id, Mode.LIVE),
            (OPERATOR, Mode.TEST),
        )
    ]
    for issued in (theirs, live, operators):
        for what, fields in (("rotate", {"overlapSeconds": "0"}), ("revoke", {})):
            assert (await admin.post(f"{base(inside)}/keys/{issued.key.id}/{what}", fields)).status_code == 404
        assert (await inside.get("/checkouts", as_who=issued.secret)).status_code == 200
    rotated = await admin.post(f"{base(inside)}/keys/{mine.key.id}/rotate", {"overlapSeconds": "3600"})
    [secret] = re.findall(r"sk_test_\w+", rotated.text)
    assert (await inside.get("/checkouts", as_who=secret)).status_code == 200
    assert (await admin.post(f"{base(inside)}/keys/{mine.key.id}/revoke")).status_code == 303
    assert (await inside.get("/checkouts", as_who=mine.secret)).status_code == 401


async def test_an_operator_revokes_an_operators_key_and_cannot_make_one_in_a_browser(inside: InProcessService) -> None:
    issued = await inside.issued(OPERATOR)
    operator = await logged_in(inside, Role.OPERATOR)
    page = await operator.get("/dashboard/operator/keys")
    assert issued.key.id in page.text
    assert 'action="/dashboard/operator/keys"' not in page.text
    assert (await operator.post(f"/dashboard/operator/keys/{issued.key.id}/revoke")).status_code == 303
    assert (await inside.get("/merchants", as_who=issued.secret)).status_code == 401


# Provider accounts


async def test_an_account_is_added_with_credentials_that_are_never_shown_again(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    path = f"{base(inside)}/accounts"
    form = await admin.get(path, provider="fake")
    assert re.search(r'name="credentials\.apiKey" type="password"', form.text)
    fields = {"provider": "fake", "name": "Main"} | {f"credentials.{name}": one for name, one in CREDENTIALS.items()}
    added = await admin.post(path, fields)
    assert added.status_code == 303
    pages = [await admin.get(added.headers["location"]), await admin.get(path)]
    assert [page.text.count(CREDENTIALS["apiKey"]) for page in pages] == [0, 0]
    assert "Main" in text_of(pages[1])


async def test_refused_credentials_are_not_sent_back_to_the_browser(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    fields = {"provider": "fake", "name": "Main", "credentials.apiKey": "no key at all"}
    refused = await admin.post(f"{base(inside)}/accounts", fields)
    assert (refused.status_code, 'value="Main"' in refused.text) == (422, True)
    assert "no key at all" not in refused.text
    assert re.search(r'id="add_account-credentials.apiKey-error"', refused.text)


async def test_accounts_stand_in_the_order_of_preference_and_an_account_can_be_moved(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    body = {"provider": "fake", "credentials": CREDENTIALS}
    one, two, three = [(await inside.made("/provider-accounts", body))["id"] for _ in range(3)]
    await admin.post(f"{base(inside)}/accounts/{two}/position", {"position": "9"})
    await admin.post(f"{base(inside)}/accounts/{one}/disable")
    page = (await admin.get(f"{base(inside)}/accounts")).text
    assert sorted((one, two, three), key=page.index) == [three, two, one]
    await admin.post(f"{base(inside)}/accounts/{one}/enable")
    assert (await inside.get(f"/provider-accounts/{one}")).json()["status"] == "ACTIVE"


async def test_the_credentials_of_an_account_are_checked_and_replaced(inside: InProcessService) -> None:
    admin = await logged_in(inside, Role.ADMIN)
    made = await inside.made("/provider-accounts", {"provider": "fake", "credentials": CREDENTIALS})
    path = f"{base(inside)}/accounts/{made['id']}"
    checked = await admin.post(f"{path}/check")
    assert "accepts%20the%20credentials" in checked.headers["set-cookie"]
    assert (await admin.post(f"{path}/rotate", {"credentials.apiKey": OTHER_KEY})).status_code == 303
    hints = (await inside.get(f"/provider-accounts/{made['id']}")).json()["credentialHints"]
    assert hints["apiKey"].endswith(OTHER_KEY[-4:])


# Operators


async def test_merchants_are_found_by_how_their_ids_begin_and_created(inside: InProcessService) -> None:
    operator = await logged_in(inside, Role.OPERATOR)
    for name in ("shop-a", "shop-b", "shoq", "Shop-c"):
        await operator.post("/dashboard/operator/merchants", {"id": name})
    page = await operator.get("/dashboard/operator/merchants", prefix="shop")
    assert re.findall(r'<th scope="row">([^<]*)</th>', page.text) == ["shop-a", "shop-b"]
    by_api = (await inside.get("/merchants", as_who=inside.operator_key, prefix="shop")).json()["data"]
    assert [one["id"] for one in by_api] == ["shop-a", "shop-b"]
    refused = await operator.post("/dashboard/operator/merchants", {"id": "with space"})
    assert refused.status_code == 422


async def test_settings_are_shown_without_a_secret_with_what_the_doctor_says(
    migrated_database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(
        migrated_database_url, str(tmp_path), migrating=False, simulator_webhook_secret="whsec_" + "c2VjcmV0" * 4
    ) as inside:
        await inside.provider_webhook()
        operator = await logged_in(inside, Role.OPERATOR)
        page = await operator.get("/dashboard/operator/settings")
        shown = text_of(page)
        for secret in (inside.service.settings.encryption_keys, "c2VjcmV0"):
            assert secret not in page.text
        assert shown.count("set, and not shown") == 2
        for check in ("schema", "proof", "provider webhooks", "outcomes owed", "webhook endpoints", "authentication"):
            assert check in shown
        assert "1 webhook ATTEMPT_NOT_FOUND" in shown


async def test_checks_that_take_too_long_do_not_keep_the_settings(
    inside: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(settings, "CHECK_SECONDS_MAX", 0.01)
    monkeypatch.setattr(settings, "examine_surroundings", lambda _settings: let_go.wait())
    operator = await logged_in(inside, Role.OPERATOR)
    try:
        shown = text_of(await operator.get("/dashboard/operator/settings"))
    finally:
        let_go.set()
    assert "were left" in shown
