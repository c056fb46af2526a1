"""Outcomes that a provider tells by webhook only: they are waited for, and nothing is sent twice in a harmful way."""

import re
from typing import Final

import pytest

from tests.scenarios.providers.kits import Operation
from tests.scenarios.providers.shop import AMOUNT, Shop, required

pytestmark = pytest.mark.postgresql_in_prove

LOOKED_UP: Final = "look-ups tell every outcome"
CHANGES: Final[tuple[Operation, ...]] = ("capture", "void", "refund")


def test_a_payment_whose_outcome_only_a_webhook_tells_waits_until_it_comes(shop: Shop) -> None:
    required(shop.kit.needs_webhooks, LOOKED_UP)
    with shop.provider():
        shop.relay.is_holding = True
        checkout_id = shop.create()
        return_url = shop.approve(shop.page_of(checkout_id))
        assert shop.come_back(return_url).status_code == 200
        shop.until(checkout_id, "ACCEPTED")
        assert shop.checkout(checkout_id)["status"] == "PROCESSING"
        shop.release_webhooks()
        shop.until(checkout_id, "COMPLETED")
        assert shop.causes(checkout_id)[-1] == ("checkout.completed", "webhook")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_captures_voids_and_refunds_are_sent_once_and_wait_for_their_webhooks(shop: Shop) -> None:
    required(shop.kit.needs_webhooks, LOOKED_UP)
    with shop.provider():
        captured, voided, refunded = shop.paid(captureMethod="manual"), shop.paid(captureMethod="manual"), shop.paid()
        shop.relay.is_holding = True
        calls = len(shop.address.calls)
        shop.call("POST", f"/checkouts/{captured}/capture", {"amount": 700}, expected=202)
        shop.call("POST", f"/checkouts/{voided}/cancel", expected=202)
        refund = shop.call("POST", f"/checkouts/{refunded}/refunds", {"amount": 400}, expected=202)
        for checkout_id in (captured, voided):
            shop.until(checkout_id, "ACCEPTED")
        shop.release_webhooks()
        assert shop.until(captured, "COMPLETED")["amountCaptured"] == 700
        shop.until(voided, "CANCELED")
        shop.until_refunded(refund["id"])
        patterns = [shop.kit.calls[operation] for operation in CHANGES]
        sent = [sum(bool(re.fullmatch(one, call)) for call in shop.address.calls[calls:]) for one in patterns]
        assert sent == [1, 1, 1]
        assert (shop.money(captured).charged, shop.money(voided).held) == ([700], 0)
        assert shop.money(refunded).refunded == [400]


def test_a_capture_that_was_accepted_and_fails_leaves_the_amount_authorized(shop: Shop) -> None:
    required(shop.kit.needs_webhooks, LOOKED_UP)
    with shop.provider():
        checkout_id = shop.create(captureMethod="manual")
        shop.come_back(shop.kit.approve_with_failing_capture(shop.browser, shop.page_of(checkout_id)))
        shop.until(checkout_id, "AUTHORIZED")
        shop.call("POST", f"/checkouts/{checkout_id}/capture", {}, expected=202)
        failed = shop.until(checkout_id, "DECLINED")
        assert (failed["status"], failed["amountCaptured"]) == ("AUTHORIZED", 0)
        assert failed["attempt"]["kind"] == "CAPTURE"
        shop.cancel(checkout_id)
        assert (shop.money(checkout_id).charged, shop.money(checkout_id).held) == ([], 0)


def test_an_error_that_is_stored_for_the_key_is_outlived_by_the_webhook(shop: Shop) -> None:
    method = required(shop.kit.storing_error, "no error is stored that a look-up does not explain")
    with shop.provider():
        shop.relay.is_holding = True
        checkout_id = shop.create()
        shop.start_paying(checkout_id, method)
        shop.until(checkout_id, "UNKNOWN")
        shop.release_webhooks()
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_payment_that_was_begun_before_its_checkout_was_canceled_is_given_back(shop: Shop) -> None:
    required(shop.kit.needs_webhooks and shop.kit.authenticates_on_page, "a closed page takes no money at all")
    with shop.provider():
        checkout_id = shop.create()
        bank = shop.kit.begin_authentication(shop.browser, shop.page_of(checkout_id))
        shop.cancel(checkout_id)
        shop.kit.authenticate(shop.browser, bank, approving=True)
        shop.until_given_back(checkout_id)
        assert shop.checkout(checkout_id)["status"] == "CANCELED"
        money = shop.money(checkout_id)
        assert (money.charged, money.refunded) == ([AMOUNT], [AMOUNT])


def test_an_authorization_that_was_begun_before_its_checkout_was_canceled_is_released(shop: Shop) -> None:
    required(shop.kit.needs_webhooks and shop.kit.authenticates_on_page, "a closed page takes no money at all")
    with shop.provider():
        checkout_id = shop.create(captureMethod="manual")
        bank = shop.kit.begin_authentication(shop.browser, shop.page_of(checkout_id))
        shop.cancel(checkout_id)
        shop.kit.authenticate(shop.browser, bank, approving=True)
        shop.until_released(checkout_id)
        assert shop.checkout(checkout_id)["status"] == "CANCELED"
        assert shop.causes(checkout_id)[-1] == ("refund.succeeded", "webhook")
        money = shop.money(checkout_id)
        assert (money.charged, money.held, money.refunded) == ([], 0, [])
