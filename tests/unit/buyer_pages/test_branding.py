"""What the page of a checkout shows of its merchant."""

import re
from base64 import b64encode
from hashlib import sha256

import httpx
import pytest

from paidonce.profiles.colors import contrast
from tests.support.buyer_pages import BuyerPagesShop
from tests.support.images import PNG


async def brand(shop: BuyerPagesShop, **profile: object) -> None:
    headers = {"Authorization": f"Bearer {shop.running.merchant_key}"}
    assert (await shop.http.patch("/profile", json=profile, headers=headers)).status_code == 200


def style_in(page: httpx.Response) -> str:
    """Return the style sheet of a page, which its policy must allow by its digest."""
    (sheet,) = re.findall(r"<style>(.*?)</style>", page.text, flags=re.DOTALL)
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["content-security-policy"]
    assert isinstance(sheet, str)
    return sheet


async def test_without_a_profile_the_page_shows_the_merchants_id_and_our_color(shop: BuyerPagesShop) -> None:
    page = await shop.http.get((await shop.checkout())["url"])
    assert f'<p class="shop">{shop.running.merchant_id}</p>' in page.text
    assert "--button:" not in style_in(page)
    assert "<img" not in page.text
    assert "<footer" not in page.text


async def test_the_page_shows_the_name_the_logo_and_where_to_ask(shop: BuyerPagesShop) -> None:
    checkout = await shop.checkout()
    await brand(
        shop,
        displayName='Café "Ö" <i>',
        logo=PNG,
        supportEmail="help@shop.example",
        supportUrl="https://shop.example/help?a=1&b=2",
    )
    page = await shop.http.get(checkout["url"], headers={"Accept-Language": "sv"})
    assert '<p class="shop">Café &#34;Ö&#34; &lt;i&gt;</p>' in page.text
    assert '<a href="mailto:help@shop.example">help@shop.example</a>' in page.text
    assert '<a href="https://shop.example/help?a=1&amp;b=2">Butikens hjälpsida</a>' in page.text
    logo = re.search(r'<img class="logo" src="(/logos/[0-9a-f]{32})" width="20" height="10" alt="">', page.text)
    assert logo is not None
    assert (await shop.http.get(logo[1])).headers["content-type"] == "image/png"


@pytest.mark.parametrize("color", ["#ffd400", "#0a5c36", "#ffffff"])
async def test_the_button_has_the_merchants_color_and_text_that_can_be_read_on_it(
    shop: BuyerPagesShop, color: str
) -> None:
    await brand(shop, color=color)
    sheet = style_in(await shop.http.get((await shop.checkout())["url"]))
    found = re.search(r":root\{--button:(#[0-9a-f]{6});--on-button:(#[0-9a-f]{6});--button-line:var\(--text\)\}", sheet)
    assert found is not None
    assert found[1] == color
    assert contrast(found[1], found[2]) >= 4.5


async def test_a_page_with_all_of_it_stays_small(shop: BuyerPagesShop) -> None:
    await brand(shop, color="#0a5c36", displayName="Ö" * 80, logo=PNG, supportEmail="help@shop.example")
    page = await shop.http.get((await shop.checkout(description="x" * 100))["url"], headers={"Accept-Language": "ja"})
    assert len(page.content) <= 15_000
