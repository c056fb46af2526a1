"""Provider accounts over HTTP: who sees and changes which, and that no credential is ever shown again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from paidonce import ids
from paidonce.encryption import write_key
from paidonce.ids import secret_bytes
from paidonce.merchants.model import Mode, Scope
from tests.support.fake_connector import CREDENTIALS, KEY, LIVE_KEY, OTHER_KEY, PIN
from tests.support.in_process_service import ENDPOINT, InProcessService, Json, open_in_process_service

PATH: Final = "/provider-accounts"
ACCOUNT: Final[Json] = {"provider": "fake", "credentials": CREDENTIALS}
LIVE_ACCOUNT: Final[Json] = {"provider": "fake", "mode": "live", "credentials": {"apiKey": LIVE_KEY}}
UNKNOWN: Final = f"{ids.PROVIDER_ACCOUNT}_{'0' * 26}"


@pytest.fixture
async def inside(database_url: str, tmp_path: Path) -> AsyncIterator[InProcessService]:
    async with open_in_process_service(database_url, str(tmp_path)) as opened:
        yield opened


async def code_of(answer: Any) -> tuple[int, str]:  # noqa: ANN401 - a response, or one to come
    found = await answer
    return found.status_code, found.json().get("code", "")


async def test_an_account_is_added_listed_rotated_disabled_and_enabled(inside: InProcessService) -> None:
    added = await inside.post(PATH, {**ACCOUNT, "name": "Main account"})
    account = added.json()
    assert (added.status_code, added.headers["Location"]) == (201, f"{PATH}/{account['id']}")
    assert account | {"createdAt": "", "updatedAt": ""} == {
        "id": account["id"],
        "merchantId": inside.merchant_id,
        "provider": "fake",
        "mode": "test",
        "name": "Main account",
        "status": "ACTIVE",
        "position": 1,
        "credentialHints": {"apiKey": "…cdef", "pin": "…", "shopName": "The shop"},
        "createdAt": "",
        "updatedAt": "",
        "disabledAt": None,
    }
    assert (await inside.get(f"{PATH}/{account['id']}")).json() == account
    assert (await inside.get(PATH)).json() == {"data": [account], "hasMore": False}
    rotated = await inside.made(f"{PATH}/{account['id']}/rotate", {"credentials": {"apiKey": OTHER_KEY}})
    assert rotated["credentialHints"] == {"apiKey": "…3210"}
    moved = await inside.made(f"{PATH}/{account['id']}/position", {"position": 3})
    assert moved["position"] == 3
    disabled = await inside.made(f"{PATH}/{account['id']}/disable")
    assert (disabled["status"], disabled["disabledAt"] is None) == ("DISABLED", False)
    enabled = await inside.made(f"{PATH}/{account['id']}/enable")
    assert (enabled["status"], enabled["disabledAt"]) == ("ACTIVE", None)
    events = (await inside.get("/events")).json()["data"]
    assert [one["type"].partition(".")[2] for one in events] == ["created", "rotated", "moved", "disabled", "enabled"]
    assert all(one["checkoutId"] is None for one in events)


async def test_a_check_calls_the_provider_and_tells_what_is_wrong(inside: InProcessService) -> None:
    account = await inside.made(PATH, ACCOUNT)
    path = f"{PATH}/{account['id']}/check"
    before = inside.rows()
    assert await inside.made(path) == {"problems": []}
    inside.fake.problems = ["The key was revoked."]
    assert await inside.made(path) == {"problems": ["The key was revoked."]}
    assert inside.rows() == before
    await inside.made(f"{PATH}/{account['id']}/disable")
    assert await inside.made(path) == {"problems": ["The key was revoked."]}


async def test_no_credential_is_in_an_answer_a_log_line_a_row_or_a_problem(inside: InProcessService) -> None:
    with capture_logs() as logs:
        answers = [await inside.post(PATH, ACCOUNT, key=key) for key in ("k1", "k1", "k2")]
        account_id = answers[0].json()["id"]
        path = f"{PATH}/{account_id}"
        answers += [
            await inside.post(f"{path}/rotate", {"credentials": {"apiKey": OTHER_KEY, "pin": PIN}}, key="k3"),
            await inside.post(f"{path}/check"),
            await inside.post(PATH, {**ACCOUNT, "credentials": {"apiKey": LIVE_KEY}}),
            await inside.post(PATH, {**ACCOUNT, "credentials": {**CREDENTIALS, "pin": f"{PIN}0"}}),
            await inside.post(PATH, {**ACCOUNT, "credentials": {KEY: KEY[:-1]}, "apiKey": KEY}),
            await inside.post(PATH, {**ACCOUNT, "credentials": KEY}),
            await inside.get(path),
            await inside.get(PATH),
            await inside.get("/events"),
            await inside.get("/idempotency-keys/k1"),
        ]
    # A name that a client invents is told back: a secret is expected in values.
    answered = [one.text.replace(f"/credentials/{KEY}", "") for one in answers]
    everything = f"{answered} {[dict(one.headers) for one in answers]} {logs} {inside.rows()}"
    assert len(answers) == 13
    assert [
        secret for secret in (KEY, KEY[:-1], OTHER_KEY, LIVE_KEY, f'"{PIN}"', f"{PIN}0") if secret in everything
    ] == []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/provider", "/credentials"]),
        ({**ACCOUNT, "provider": "nobody"}, ["/provider"]),
        ({**ACCOUNT, "provider": "Fake"}, ["/provider"]),
        ({**ACCOUNT, "credentials": {}}, ["/credentials"]),
        ({**ACCOUNT, "credentials": {"pin": "1"}}, ["/credentials/apiKey", "/credentials/pin"]),
        ({**ACCOUNT, "credentials": {**CREDENTIALS, "more": "1"}}, ["/credentials/more"]),
        ({**ACCOUNT, "credentials": {"apiKey": 7}}, ["/credentials/apiKey"]),
        ({**ACCOUNT, "credentials": {"apiKey": None}}, ["/credentials/apiKey"]),
        ({**ACCOUNT, "credentials": {"apiKey": f"{KEY}\0"}}, ["/credentials/apiKey"]),
        ({**ACCOUNT, "credentials": {"apiKey": KEY, "shopName": "x" * 9000}}, ["/credentials/shopName"]),
        ({**ACCOUNT, "credentials": {f"k{number}": "v" for number in range(17)}}, ["/credentials"]),
        ({**ACCOUNT, "credentials": {"apiKey": LIVE_KEY}}, ["/credentials/apiKey"]),
        ({**ACCOUNT, "name": "a\0b"}, ["/name"]),
        ({**ACCOUNT, "name": "4242 4242 4242 4242"}, ["/name"]),
        ({**ACCOUNT, "mode": "demo"}, ["/mode"]),
    ],
)
async def test_a_body_that_does_not_fit_names_each_wrong_field_and_has_no_effect(
    inside: InProcessService, body: Json, pointers: list[str]
) -> None:
    before = inside.rows()
    refused = await inside.post(PATH, body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert [one["pointer"] for one in refused.json()["errors"]] == pointers
    assert inside.rows() == before


async def test_credentials_of_a_hundred_kilobytes_are_refused(inside: InProcessService) -> None:
    body = {**ACCOUNT, "credentials": {"apiKey": "x" * 100_000}}
    assert await code_of(inside.post(PATH, body)) == (413, "body_too_large")


async def test_credentials_of_a_rotation_are_checked_as_those_of_a_new_account(inside: InProcessService) -> None:
    path = f"{PATH}/{(await inside.made(PATH, ACCOUNT))['id']}/rotate"
    before = inside.rows()
    refused = await inside.post(path, {"credentials": {"apiKey": LIVE_KEY}})
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/credentials/apiKey"]
    assert await code_of(inside.post(path, {})) == (400, "invalid_request")
    assert inside.rows() == before


async def test_a_merchants_key_sees_and_changes_accounts_of_its_own_mode_only(inside: InProcessService) -> None:
    live_key = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    test_account = await inside.made(PATH, ACCOUNT)
    live_account = await inside.made(PATH, {**LIVE_ACCOUNT, "mode": None}, as_who=live_key)
    assert (test_account["mode"], live_account["mode"]) == ("test", "live")
    assert (await inside.get(PATH)).json()["data"] == [test_account]
    assert (await inside.get(PATH, as_who=live_key)).json()["data"] == [live_account]
    assert (await inside.get(PATH, as_who=live_key, mode="live")).json()["data"] == [live_account]
    before = inside.rows()
    wrong = (403, "provider_account_wrong_mode")
    assert await code_of(inside.post(PATH, LIVE_ACCOUNT)) == wrong
    assert await code_of(inside.post(PATH, {**ACCOUNT, "mode": "test"}, as_who=live_key)) == wrong
    assert await code_of(inside.get(PATH, mode="live")) == wrong
    for key, account in ((inside.merchant_key, live_account), (live_key, test_account)):
        path = f"{PATH}/{account['id']}"
        assert await code_of(inside.get(path, as_who=key)) == (404, "provider_account_not_found")
        for operation, body in (
            ("rotate", {"credentials": account_credentials(account)}),
            ("position", {"position": 5}),
            ("disable", {}),
            ("enable", {}),
            ("check", {}),
        ):
            answer = await code_of(inside.post(f"{path}/{operation}", body, as_who=key))
            assert answer == (404, "provider_account_not_found"), operation
    assert inside.rows() == before
    assert inside.fake.opened == []


def account_credentials(account: Json) -> Json:
    return CREDENTIALS if account["mode"] == "test" else {"apiKey": LIVE_KEY}


async def test_an_operator_sees_accounts_of_every_merchant_and_both_modes(inside: InProcessService) -> None:
    as_who = inside.operator_key
    mine = await inside.made(PATH, ACCOUNT)
    body = {**LIVE_ACCOUNT, "merchantId": inside.merchant_id}
    live = await inside.made(PATH, body, as_who=as_who)
    assert (live["mode"], live["position"]) == ("live", 2)
    listed = await inside.get(PATH, as_who=as_who, merchantId=inside.merchant_id)
    assert listed.json()["data"] == [live, mine]
    filtered = await inside.get(PATH, as_who=as_who, merchantId=inside.merchant_id, mode="test", provider="fake")
    assert filtered.json()["data"] == [mine]
    assert (await inside.made(f"{PATH}/{live['id']}/disable", as_who=as_who))["status"] == "DISABLED"
    unnamed = await inside.post(PATH, ACCOUNT, as_who=as_who)
    assert [one["pointer"] for one in unnamed.json()["errors"]] == ["/merchantId"]
    nobody = {**ACCOUNT, "merchantId": "nobody"}
    assert await code_of(inside.post(PATH, nobody, as_who=as_who)) == (404, "merchant_not_found")


async def test_an_account_of_another_merchant_is_answered_as_one_that_does_not_exist(inside: InProcessService) -> None:
    account = await inside.made(PATH, ACCOUNT)
    await inside.settle()
    before = inside.rows()
    for account_id in (account["id"], UNKNOWN):
        for operation, body in (("rotate", {"credentials": CREDENTIALS}), ("disable", {}), ("check", {})):
            answer = await code_of(inside.post(f"{PATH}/{account_id}/{operation}", body))
            assert answer == (404, "provider_account_not_found")
    assert inside.rows() == before
    assert inside.fake.opened == []


async def test_the_same_key_of_another_mode_is_told_nothing_of_the_account(inside: InProcessService) -> None:
    live_key = await inside.api_key(inside.merchant_id, mode=Mode.LIVE)
    body = {"provider": "fake", "credentials": {"apiKey": LIVE_KEY}}
    created = await inside.post(PATH, body, key="k", as_who=live_key)
    assert created.status_code == 201
    again = await inside.post(PATH, body, key="k")
    assert created.json()["id"] not in again.text
    assert again.status_code in (400, 404)


async def test_rotations_and_disablings_at_once_all_take_effect(inside: InProcessService) -> None:
    account = await inside.made(PATH, ACCOUNT)
    path = f"{PATH}/{account['id']}"
    calls = [inside.post(f"{path}/rotate", {"credentials": {"apiKey": OTHER_KEY}}) for _ in range(5)]
    calls += [inside.post(f"{path}/disable") for _ in range(5)]
    assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
    now = (await inside.get(path)).json()
    assert (now["status"], now["credentialHints"]) == ("DISABLED", {"apiKey": "…3210"})
    events = (await inside.get("/events", limit="100")).json()["data"]
    kinds = sorted(one["type"].partition(".")[2] for one in events)
    assert kinds == ["created", "disabled", *["rotated"] * 5]


async def test_a_webhook_endpoint_is_not_told_of_accounts_unless_it_asks(inside: InProcessService) -> None:
    default = await inside.made("/webhook-endpoints", ENDPOINT)
    asking = await inside.made("/webhook-endpoints", {**ENDPOINT, "eventTypes": ["provider_account.created"]})
    await inside.made(PATH, ACCOUNT)
    told = [
        (await inside.get(f"/webhook-endpoints/{one['id']}/deliveries")).json()["data"] for one in (default, asking)
    ]
    assert [[each["eventType"] for each in deliveries] for deliveries in told] == [[], ["provider_account.created"]]


async def test_without_an_encryption_key_an_account_cannot_be_added_and_nothing_is_stored(
    database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(database_url, str(tmp_path)) as first:
        await first.made(PATH, ACCOUNT)
    async with open_in_process_service(database_url, str(tmp_path), migrating=False, encryption_keys="") as inside:
        before = inside.rows()
        assert await code_of(inside.post(PATH, {**ACCOUNT, "credentials": {}})) == (400, "invalid_request")
        assert await code_of(inside.post(PATH, ACCOUNT)) == (501, "encryption_key_missing")
        assert inside.rows() == before


async def test_when_the_encryption_key_is_lost_accounts_are_shown_and_can_be_given_new_credentials(
    database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(database_url, str(tmp_path)) as first:
        account = await first.made(PATH, {**ACCOUNT, "merchantId": first.merchant_id}, as_who=first.operator_key)
    new_key = write_key(secret_bytes(32))
    async with open_in_process_service(database_url, str(tmp_path), encryption_keys=new_key) as inside:
        as_who, path = inside.operator_key, f"{PATH}/{account['id']}"
        assert (await inside.get(path, as_who=as_who)).json() == account
        assert await code_of(inside.post(f"{path}/check", as_who=as_who)) == (501, "encryption_key_missing")
        assert await inside.service.provider_accounts.provider_of(account["merchantId"], account["id"]) is None
        body = {"credentials": {"apiKey": OTHER_KEY}}
        assert (await inside.post(f"{path}/rotate", body, as_who=as_who)).status_code == 200
        assert await inside.made(f"{path}/check", as_who=as_who) == {"problems": []}
        assert await inside.service.provider_accounts.provider_of(account["merchantId"], account["id"]) is not None


async def test_a_slow_provider_does_not_keep_other_requests_from_their_places(
    database_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(database_url, str(tmp_path), requests_at_once=1) as inside:
        account = await inside.made(PATH, ACCOUNT)
        inside.fake.answers.clear()
        checking = asyncio.create_task(inside.made(f"{PATH}/{account['id']}/check"))
        while not (inside.fake.opened and inside.fake.opened[0].checks):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
        async with asyncio.timeout(90):
            assert (await inside.get(f"{PATH}/{account['id']}")).status_code == 200
        inside.fake.answers.set()
        assert await checking == {"problems": []}


@pytest.mark.parametrize(("scope", "status"), [(Scope.PROVIDERS_READ, 403), (Scope.PROVIDERS_WRITE, 201)])
async def test_reading_accounts_does_not_allow_to_change_them(
    inside: InProcessService, scope: Scope, status: int
) -> None:
    key = await inside.api_key(inside.merchant_id, {scope})
    assert (await inside.post(PATH, ACCOUNT, as_who=key)).status_code == status
    assert (await inside.get(PATH, as_who=key)).status_code == (200 if status == 403 else 403)
