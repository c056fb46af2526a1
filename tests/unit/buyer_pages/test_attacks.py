"""What somebody may try with the page of a checkout: each attempt is refused, or harmless."""

import re
from pathlib import Path

import httpx
import pytest

from paidonce import ids
from paidonce.buyer_pages.state import is_web_address
from paidonce.checkouts.page_tokens import PageTokens
from paidonce.encryption import KEY_BYTES, Keyring
from paidonce.ids import secret_bytes
from paidonce.merchants.model import Mode
from tests.support.buyer_pages import BuyerPagesShop
from tests.support.in_process_service import open_in_process_service

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='alert(1){{ 7*7 }}"
BYTES_MAX = 15_000
SCRIPT_BYTES_MAX = 2_000


def without_id(response: httpx.Response) -> tuple[int, dict[str, str], str]:
    headers = {name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")}
    return response.status_code, headers, response.text


async def test_every_token_that_is_none_is_answered_alike(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    token = checkout["url"].rpartition("/")[2]
    other_key = PageTokens(Keyring(lambda: [bytes([9]) * KEY_BYTES], draw=secret_bytes), is_on=True)
    missing = shop.running.service.page_tokens.token_of(ids.new_id(ids.CHECKOUT))
    tokens = [
        "x",
        "A" * 43,
        token[:-1],
        token[:-1] + ("A" if token[-1] != "A" else "E"),
        checkout["id"],
        str(other_key.token_of(checkout["id"])),
        str(missing),
    ]
    answers = [without_id(await shop.http.get(f"/pay/{one}")) for one in tokens]
    assert {answer[0] for answer in answers} == {404}
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][1]["referrer-policy"] == "no-referrer"
    for one in tokens:
        assert (await shop.http.post(f"/pay/{one}", data={"attempt": "0", "method": "tok_success"})).status_code == 404
        assert (await shop.http.get(f"/pay/{one}/events")).status_code == 404
    assert (await shop.now(checkout))["status"] == "PENDING"


async def test_a_token_gives_no_access_to_the_api(shop: BuyerPagesShop) -> None:
    token = (await shop.checkout())["url"].rpartition("/")[2]
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer sk_{token}"}):
        for path in (f"/checkouts/{token}", "/checkouts", f"/checkouts/{token}/pay"):
            assert (await shop.http.get(path, headers=headers)).status_code in (401, 405)
    assert (await shop.running.get(f"/checkouts/{token}")).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://paidonce.evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
)
async def test_a_form_of_another_site_starts_nothing(shop: BuyerPagesShop, headers: dict[str, str]) -> None:
    checkout = await shop.checkout()
    answer = await shop.post(checkout, await shop.form(checkout), **headers)
    assert answer.status_code == 403
    assert "Nothing was charged" in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await shop.now(checkout))["status"] == "PENDING"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},  # As browsers send it from a page without a referrer.
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://paidonce"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_the_page_is_taken_from_every_browser(shop: BuyerPagesShop, headers: dict[str, str]) -> None:
    checkout = await shop.checkout()
    assert (await shop.post(checkout, await shop.form(checkout), **headers)).status_code == 303
    assert (await shop.now(checkout))["status"] == "PROCESSING"


async def test_no_other_site_can_frame_the_page_and_nothing_in_it_leads_out(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(description="Two cups")
    response = await shop.http.get(checkout["url"])
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert re.findall(r'(?:src|href|action)="(?!/)[^"]*"', response.text) == []
    assert re.findall(r"\son[a-z]+=|style=|<script(?! src=)", response.text) == []


async def test_the_page_and_its_script_are_small(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout(description="d" * 1000)
    page = await shop.page(checkout)
    assert len(page.encode()) < BYTES_MAX
    (script,) = re.findall(r'<script src="([^"]*)"', page)
    assert len((await shop.http.get(script)).content) < SCRIPT_BYTES_MAX


@pytest.mark.parametrize("field", ["description", "merchantId", "metadata", "idempotencyKey"])
async def test_markup_in_a_field_is_shown_as_text_or_not_at_all(
    migrated_sqlite_url: str, tmp_path: Path, field: str
) -> None:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), auth="off") as running:
        shop = BuyerPagesShop(running)
        text = MARKUP.replace(" ", "\xa0" if field == "description" else "_")
        value = {"note": text} if field == "metadata" else text
        checkout = await shop.checkout(**{"merchantId": "m1"} | {field: value})
        page = await shop.page(checkout)
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "49" not in page.partition("<main")[2].partition("{{")[0]
        assert ("&lt;script&gt;alert(1)" in page) == (field in ("description", "merchantId"))


async def test_no_parameter_decides_where_a_buyer_is_led(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    evil = dict.fromkeys(("successUrl", "cancelUrl", "url", "next", "return_to"), "https://evil.example/")
    page = await shop.http.get(checkout["url"], params=evil)
    assert "evil.example" not in page.text
    answer = await shop.http.post(checkout["url"], params=evil, data=await shop.form(checkout) | evil)
    assert "evil.example" not in answer.headers["location"]
    assert "evil.example" not in await shop.page(checkout)


async def test_a_url_that_is_no_web_address_is_never_led_to(shop: BuyerPagesShop) -> None:
    for url in ("javascript:alert(1)", "data:text/html,x", "//evil.example", "/pay", "https+evil://x"):
        assert not is_web_address(url)
        body = {"amount": 1, "currency": "USD", "idempotencyKey": "k", "cancelUrl": url}
        assert (await shop.running.post("/checkouts", body)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"attempt=0&" * 5000,
        b"attempt=0&method=tok_success&" + b"a=1&" * 50,
        b"attempt=0",
        b"method=tok_success",
        b'{"attempt":0,"method":"tok_success"}',
        b"attempt=%00&method=%00",
        b"attempt=0&method=" + b"t" * 60_000,
    ],
)
async def test_a_body_that_is_no_form_of_the_page_starts_nothing(shop: BuyerPagesShop, body: bytes) -> None:
    checkout = await shop.checkout()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await shop.http.post(checkout["url"], content=body, headers=headers)).status_code == 303
    assert (await shop.now(checkout))["status"] == "PENDING"


async def test_where_pages_are_switched_off_there_is_no_url_and_no_page(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), auth="off") as running:
        checkout = await BuyerPagesShop(running).checkout(merchantId="m1")
    async with open_in_process_service(
        migrated_sqlite_url, str(tmp_path), auth="off", checkout_page="off", migrating=False
    ) as running:
        shop = BuyerPagesShop(running)
        assert (await shop.now(checkout))["url"] is None
        assert (await shop.http.get(checkout["url"])).status_code == 404
        assert (await shop.post(checkout, {"attempt": "0", "method": "tok_success"})).status_code == 404
        assert (await shop.now(checkout))["status"] == "PENDING"


async def test_a_merchant_may_switch_pages_off_in_one_mode(migrated_database_url: str, tmp_path: Path) -> None:
    async with open_in_process_service(migrated_database_url, str(tmp_path)) as running:
        shop = BuyerPagesShop(running)
        live_key = (await running.issued(running.merchant_id, mode=Mode.LIVE)).secret
        checkout = await shop.checkout()
        for is_on in (False, True):
            answer = await running.http.patch(
                "/profile",
                json={"checkoutPage": is_on},
                headers={"Authorization": f"Bearer {running.merchant_key}"},
            )
            assert answer.status_code == 200, answer.text
            assert ((await shop.now(checkout))["url"] is not None) == is_on
            assert (await shop.http.get(checkout["url"])).status_code == (200 if is_on else 404)
            form = {"attempt": "9", "method": "tok_success"}
            assert (await shop.post(checkout, form)).status_code == (303 if is_on else 404)
            live = await running.made(
                "/checkouts", {"amount": 1, "currency": "USD", "idempotencyKey": f"live {is_on}"}, as_who=live_key
            )
            assert live["url"] is not None
