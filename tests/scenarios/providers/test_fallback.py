"""A buyer pays with the merchant's next account where a payment is proven not to have begun with the first."""

import secrets

import pytest

from tests.scenarios.providers.kits import ProviderKit
from tests.scenarios.providers.mollie_kit import MollieKit
from tests.scenarios.providers.shop import AMOUNT, Shop
from tests.scenarios.providers.stripe_kit import StripeKit

pytestmark = pytest.mark.postgresql_in_prove


def add_gone_account(shop: Shop) -> str:
    """Add the account that is preferred: with another provider, where nobody listens."""
    kit: ProviderKit = MollieKit() if shop.kit.name == StripeKit.name else StripeKit()
    body = {
        "merchantId": shop.merchant_id,
        "provider": kit.name,
        "credentials": kit.credentials(secrets.token_hex(8)),
    }
    account_id = str(shop.call("POST", "/provider-accounts", body, expected=201)["id"])
    shop.change_account("position", position=2)
    shop.call("POST", f"/provider-accounts/{account_id}/position", {"position": 1})
    return account_id


def attempts(shop: Shop, checkout_id: str) -> list[tuple[str, str | None]]:
    """Return what was told about attempts before the checkout was completed."""
    timeline = shop.call("GET", f"/checkouts/{checkout_id}/timeline")["data"]
    return [(one["type"], one["declineCode"]) for one in timeline if one["type"] in FALLBACK]


FALLBACK = ("checkout.processing", "attempt.declined", "attempt.started", "checkout.completed", "checkout.failed")


def test_where_the_first_provider_is_gone_the_buyer_pays_once_at_the_second(shop: Shop) -> None:
    add_gone_account(shop)
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.come_back(shop.approve(page))
        paid = shop.until(checkout_id, "COMPLETED")
        assert (paid["attempt"]["provider"], paid["attempt"]["account"]) == (shop.kit.name, shop.account.id)
        assert shop.money(checkout_id).charged == [AMOUNT]
        assert attempts(shop, checkout_id) == [
            ("checkout.processing", None),
            ("attempt.declined", "provider_refused"),
            ("attempt.started", None),
            ("checkout.completed", None),
        ]
        assert shop.refund(checkout_id, 400)["status"] == "SUCCEEDED"
        assert shop.money(checkout_id).refunded == [400]


def test_where_the_first_account_is_revoked_the_buyer_pays_once_with_the_one_that_is_named_next(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        named = [shop.add_account(known=False).id, shop.account.id]
        checkout_id = shop.create()
        path, body = f"/checkouts/{checkout_id}/pay", {"accounts": named}
        paying = shop.call("POST", path, body, expected=202, wait=30)
        again = shop.call("POST", path, body, expected=202, wait=30)
        assert again["attempt"]["id"] == paying["attempt"]["id"]
        shop.come_back(shop.approve(paying["attempt"]["action"]["url"]))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]
        assert [kind for kind, _ in attempts(shop, checkout_id)][1:3] == ["attempt.declined", "attempt.started"]


def test_a_decline_of_the_buyer_s_bank_is_the_end_whatever_other_accounts_there_are(shop: Shop) -> None:
    if shop.kit.declining is None:
        pytest.skip("with this provider, nothing is declined without a page")
    with shop.provider(webhooks=False):
        shop.add_account()
        checkout_id = shop.create()
        declined = shop.pay(checkout_id, shop.kit.declining)
        assert (declined["status"], declined["attempt"]["declineCode"]) == ("FAILED", "insufficient_funds")
        assert shop.money(checkout_id).charged == []
        assert [kind for kind, _ in attempts(shop, checkout_id)] == ["checkout.processing", "checkout.failed"]
