"""What only Mollie has: webhooks without a signature, and payments that nobody can cancel."""

import pytest

from paidonce.providers.simulator.faults import Fault
from tests.scenarios.providers.address import always
from tests.scenarios.providers.kits import ProviderKit, SentWebhook, press
from tests.scenarios.providers.mollie_kit import MollieKit
from tests.scenarios.providers.shop import AMOUNT, Shop, page_in, wait_for
from tests.support.oracle import expire_checkout

pytestmark = pytest.mark.postgresql_in_prove

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def kit() -> ProviderKit:
    return MollieKit()


def classic(reference: str) -> SentWebhook:
    return SentWebhook(FORM, f"id={reference}".encode())


def reference_of(page: str) -> str:
    return page.rpartition("/")[2]


def test_a_webhook_that_is_not_signed_completes_a_payment_because_mollie_is_asked(shop: Shop) -> None:
    url = shop.webhook_url(shop.account.id)
    with shop.provider(webhooks=False):
        waiting, paid = shop.create(), shop.create()
        pages = [shop.page_of(one) for one in (waiting, paid)]
        shop.approve(pages[1])
        assert shop.address.send(url, [classic(reference_of(page)) for page in pages]) == [200, 200]
        shop.until(paid, "COMPLETED")
        assert shop.causes(paid)[-1][0] == "checkout.completed"
        assert shop.checkout(waiting)["status"] == "PROCESSING"
        assert (shop.money(paid).charged, shop.money(waiting).charged) == ([AMOUNT], [])


def test_whoever_sends_ids_of_payments_changes_nothing_and_learns_nothing(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        page = shop.page_of(shop.create())
        other = shop.add_account()
        sent = [classic(f"tr_nobody{number}") for number in range(3)]
        assert shop.address.send(shop.webhook_url(shop.account.id), sent) == [200] * 3
        # A payment of one account is none of another's.
        assert shop.address.send(shop.webhook_url(other.id), [classic(reference_of(page))]) == [200]
        wrong = [SentWebhook(FORM, body) for body in (b"id=", b"id=re_1234", b"id=tr_1234%2F..", b"\xff")]
        assert set(shop.address.send(shop.webhook_url(shop.account.id), wrong)) == {401}


def test_a_webhook_that_is_not_signed_is_not_acknowledged_while_mollie_cannot_be_asked(shop: Shop) -> None:
    url = shop.webhook_url(shop.account.id)
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.approve(page)
        shop.address.begin_trouble(always(500, b""))
        assert shop.address.send(url, [classic(reference_of(page))]) == [503]
        shop.address.end_trouble()
        assert shop.address.send(url, [classic(reference_of(page))]) == [200]
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


@pytest.mark.parametrize("act", ["pay", "expire"])
def test_a_payment_that_mollie_does_not_let_cancel_blocks_its_checkout_until_it_is_paid_or_expires(
    shop: Shop, act: str
) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id, paymentMethod="ideal")
        calls = len(shop.address.calls)
        expire_checkout(shop.service.database_url, checkout_id)
        wait_for(lambda: len(shop.address.calls) >= calls + 4, lambda: f"{shop.address.calls}")
        assert shop.checkout(checkout_id)["status"] == "PROCESSING"
        press(shop.browser, page, act=act)
        shop.until(checkout_id, "COMPLETED" if act == "pay" else "EXPIRED")
        assert shop.money(checkout_id).charged == ([AMOUNT] if act == "pay" else [])
        assert not any(call.startswith("DELETE") for call in shop.address.calls[calls:])


def test_the_end_of_a_payment_whose_opening_was_never_answered_leaves_the_one_that_the_buyer_sees(shop: Shop) -> None:
    with shop.provider() as mollie:
        shop.fail_next("open", Fault.DROPPED_AFTER)
        checkout_id = shop.create()
        shop.start_paying(checkout_id)
        page = page_in(shop.until(checkout_id, "REQUIRES_ACTION"))
        shown = reference_of(page)
        (unseen,) = (
            one.id
            for one in mollie.books
            if one.payment["metadata"]["paidonce_checkout"] == checkout_id and one.id != shown
        )
        press(shop.browser, page.replace(shown, unseen), act="expire")
        shop.come_back(shop.approve(page))
        shop.until(checkout_id, "COMPLETED")
        assert "checkout.failed" not in [kind for kind, _ in shop.causes(checkout_id)]
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_refund_and_a_chargeback_at_mollie_are_noticed_by_webhooks_that_are_not_signed(shop: Shop) -> None:
    url = shop.webhook_url(shop.account.id)
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.come_back(shop.approve(page))
        shop.until(checkout_id, "COMPLETED")
        changes = f"{shop.address.url}/double/payments/{reference_of(page)}"
        shop.browser.post(f"{changes}/refunds", data={"value": "4.00"})
        shop.browser.post(f"{changes}/chargebacks", data={"value": "5.00"})
        assert shop.address.send(url, [classic(reference_of(page))] * 2) == [200, 200]

        def amounts() -> tuple[int, int]:
            found = shop.checkout(checkout_id)
            return found["amountRefunded"], found["amountDisputed"]

        wait_for(lambda: amounts() == (400, 500), lambda: f"{amounts()}")
        assert shop.money(checkout_id).refunded == [400]
