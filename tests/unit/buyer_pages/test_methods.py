"""Which methods a buyer can choose from: those of the merchant's accounts, for the amount and the currency."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.support.buyer_pages import BuyerPagesShop, title_of
from tests.support.fake_connector import CREDENTIALS, FakeConnector
from tests.support.in_process_service import open_in_process_service


@pytest.fixture
def wallet() -> FakeConnector:
    """Return a provider whose page takes one wallet."""
    made = FakeConnector("wallet")
    made.connector = msgspec.structs.replace(made.connector, wallet="Purse & Co")
    return made


@pytest.fixture
def cards() -> FakeConnector:
    """Return a second provider that takes cards."""
    return FakeConnector("other")


@pytest.fixture
async def shop(
    migrated_sqlite_url: str, tmp_path: Path, wallet: FakeConnector, cards: FakeConnector
) -> AsyncIterator[BuyerPagesShop]:
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), others=[wallet, cards]) as running:
        yield BuyerPagesShop(running)


async def add_accounts(shop: BuyerPagesShop, *providers: str) -> list[str]:
    bodies = [{"provider": provider, "credentials": CREDENTIALS} for provider in providers]
    return [(await shop.running.made("/provider-accounts", body))["id"] for body in bodies]


async def test_a_buyer_chooses_between_cards_and_each_wallet(shop: BuyerPagesShop) -> None:
    accounts = await add_accounts(shop, "fake", "wallet", "other")
    checkout = await shop.checkout()
    page = await shop.page(checkout)
    assert page.count('name="method"') == 2
    assert "Card and other payment methods" in page
    assert "Purse &amp; Co" in page
    assert "tok_" not in page
    await shop.pay(checkout, method="Purse & Co")
    attempt = (await shop.now(checkout))["attempt"]
    assert (attempt["account"], attempt["provider"]) == (accounts[1], "wallet")
    cards = await shop.checkout()
    await shop.pay(cards)
    assert (await shop.now(cards))["attempt"]["account"] == accounts[0]


async def test_the_name_of_a_wallet_is_not_translated_even_if_it_is_a_word(
    migrated_sqlite_url: str, tmp_path: Path, wallet: FakeConnector
) -> None:
    wallet.connector = msgspec.structs.replace(wallet.connector, wallet="Payment")
    async with open_in_process_service(migrated_sqlite_url, str(tmp_path), others=[wallet]) as running:
        shop = BuyerPagesShop(running)
        await add_accounts(shop, "fake", "wallet")
        page = await shop.http.get((await shop.checkout())["url"], headers={"Accept-Language": "de"})
    assert "<span>Karte und weitere Zahlungsarten</span>" in page.text
    assert "<span>Payment</span>" in page.text


async def test_an_account_that_cannot_take_the_currency_is_not_offered(
    shop: BuyerPagesShop, wallet: FakeConnector
) -> None:
    await add_accounts(shop, "fake", "wallet")
    wallet.unsupported["USD"] = "currency_not_supported"
    checkout = await shop.checkout()
    assert "Purse" not in await shop.page(checkout)
    await shop.post(checkout, {"attempt": "0", "method": "Purse & Co"})
    assert (await shop.now(checkout))["status"] == "PENDING"


async def test_a_purchase_that_no_account_can_take_says_so(shop: BuyerPagesShop) -> None:
    await add_accounts(shop, "fake")
    shop.running.fake.unsupported["USD"] = "currency_not_supported"
    checkout = await shop.checkout(cancelUrl="https://shop.example/cart")
    page = await shop.page(checkout)
    assert title_of(page) == "This purchase cannot be paid here"
    assert 'href="https://shop.example/cart"' in page


@pytest.mark.parametrize("method", ["tok_success", "hosted2", "", "fake", "tok_refund_declined"])
async def test_a_method_that_was_not_offered_starts_nothing(shop: BuyerPagesShop, method: str) -> None:
    await add_accounts(shop, "fake")
    checkout = await shop.checkout()
    assert (await shop.post(checkout, {"attempt": "0", "method": method})).status_code == 303
    assert (await shop.now(checkout))["status"] == "PENDING"
