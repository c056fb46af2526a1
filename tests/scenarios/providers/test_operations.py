"""What a shop's server asks of each provider: charges of payment methods, captures, voids and refunds."""

from typing import Final

import pytest

from paidonce.providers.simulator.faults import Fault
from tests.scenarios.providers.kits import Operation
from tests.scenarios.providers.shop import AMOUNT, Shop, page_in, required

pytestmark = pytest.mark.postgresql_in_prove

NO_METHOD: Final = "every buyer pays on the page"
NO_AUTHORIZATION: Final = "money is charged and never only authorized"
REPLAYED: Final = [Fault.ERROR_AFTER, Fault.DROPPED_AFTER, Fault.TIMEOUT_AFTER]


def test_a_payment_method_is_charged_at_once_or_declined_with_the_code_of_both_lists(shop: Shop) -> None:
    method = required(shop.kit.succeeding, NO_METHOD)
    declining = required(shop.kit.declining, NO_METHOD)
    with shop.provider(webhooks=False):
        checkout_id, other_id = shop.create(), shop.create()
        assert shop.pay(checkout_id, method)["status"] == "COMPLETED"
        declined = shop.pay(other_id, declining)
        assert (declined["status"], declined["attempt"]["declineCode"]) == ("FAILED", "insufficient_funds")
        assert shop.money(checkout_id).charged == [AMOUNT]
        assert shop.money(other_id).charged == []
        assert shop.pay(other_id, method)["status"] == "COMPLETED"
        assert shop.money(other_id).charged == [AMOUNT]


@pytest.mark.parametrize("approving", [True, False])
def test_three_d_secure_of_a_payment_method_is_approved_or_refused(shop: Shop, *, approving: bool) -> None:
    method = required(shop.kit.authenticating, "no payment method needs the approval of its bank")
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        bank = page_in(shop.pay(checkout_id, method))
        assert shop.money(checkout_id).charged == []
        shop.come_back(shop.kit.authenticate(shop.browser, bank, approving=approving))
        checkout = shop.until(checkout_id, "COMPLETED" if approving else "FAILED")
        assert checkout["attempt"]["declineCode"] == (None if approving else "authentication_failed")
        assert shop.money(checkout_id).charged == ([AMOUNT] if approving else [])


def test_an_authorization_is_captured_in_part_and_refunded_in_part(shop: Shop) -> None:
    required(shop.kit.manual_capture, NO_AUTHORIZATION)
    amount = 1500 if shop.kit.partial_capture else AMOUNT
    with shop.provider():
        checkout_id = shop.paid(captureMethod="manual")
        assert shop.money(checkout_id).held == AMOUNT
        assert shop.money(checkout_id).charged == []
        assert shop.capture(checkout_id, amount)["amountCaptured"] == amount
        assert shop.refund(checkout_id, 400)["status"] == "SUCCEEDED"
        assert shop.checkout(checkout_id)["amountRefunded"] == 400
        money = shop.money(checkout_id)
        assert (money.charged, money.held, money.refunded) == ([amount], 0, [400])


def test_an_authorization_is_captured_whole(shop: Shop) -> None:
    required(shop.kit.manual_capture, NO_AUTHORIZATION)
    with shop.provider(webhooks=False):
        checkout_id = shop.paid(captureMethod="manual")
        assert shop.capture(checkout_id)["amountCaptured"] == AMOUNT
        assert (shop.money(checkout_id).charged, shop.money(checkout_id).held) == ([AMOUNT], 0)


def test_an_authorization_is_voided(shop: Shop) -> None:
    required(shop.kit.manual_capture, NO_AUTHORIZATION)
    with shop.provider():
        checkout_id = shop.paid(captureMethod="manual")
        shop.cancel(checkout_id)
        assert (shop.money(checkout_id).charged, shop.money(checkout_id).held) == ([], 0)


def test_partial_refunds_are_never_more_than_was_paid(shop: Shop) -> None:
    with shop.provider():
        checkout_id = shop.paid()
        for amount in (500, 700):
            assert shop.refund(checkout_id, amount)["status"] == "SUCCEEDED"
        refused = shop.call("POST", f"/checkouts/{checkout_id}/refunds", {"amount": 800}, expected=422)
        assert refused["code"] == "amount_exceeds_refundable"
        assert shop.refund(checkout_id)["amount"] == 799
        assert shop.checkout(checkout_id)["amountRefunded"] == AMOUNT
        assert sorted(shop.money(checkout_id).refunded) == [500, 700, 799]


def test_a_refund_that_succeeded_and_fails_later_can_be_made_again(shop: Shop) -> None:
    required(shop.kit.fails_refunds_late, "no refund that succeeded fails later")
    with shop.provider() as double:
        checkout_id = shop.paid()
        refund = shop.refund(checkout_id)
        assert refund["status"] == "SUCCEEDED"
        (made,) = [one for one in double.books.ledger if one.checkout_id == checkout_id and one.kind == "refund"]
        shop.browser.post(f"{shop.address.url}/double/refunds/{made.id}/failed")
        shop.until_refund_failed(refund["id"])
        assert shop.checkout(checkout_id)["amountRefunded"] == 0
        assert shop.refund(checkout_id)["status"] == "SUCCEEDED"
        assert shop.checkout(checkout_id)["amountRefunded"] == AMOUNT


@pytest.mark.parametrize("fault", REPLAYED, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("operation", ["open", "charge", "capture", "void", "refund"])
def test_an_answer_that_is_lost_or_an_error_that_is_repeated_moves_money_once(
    shop: Shop, operation: Operation, fault: Fault
) -> None:
    required(operation in shop.kit.calls, f"there is no call to {operation}")
    if operation in ("capture", "void"):
        required(shop.kit.manual_capture, NO_AUTHORIZATION)
    with shop.provider() as double:
        is_before_payment = operation in ("open", "charge")
        if is_before_payment:
            shop.fail_next(operation, fault)
            checkout_id = shop.create()
            method = shop.kit.succeeding if operation == "charge" else None
            shop.start_paying(checkout_id, method)
            if method is None:
                shop.approve(page_in(shop.until(checkout_id, "REQUIRES_ACTION")))
            shop.until(checkout_id, "COMPLETED")
        else:
            checkout_id = shop.paid(captureMethod="automatic" if operation == "refund" else "manual")
            shop.fail_next(operation, fault)
            if operation == "capture":
                shop.capture(checkout_id)
            elif operation == "void":
                shop.cancel(checkout_id)
            else:
                assert shop.refund(checkout_id, 400)["status"] == "SUCCEEDED"
        money = shop.money(checkout_id)
        assert (money.charged, money.held) == ([] if operation == "void" else [AMOUNT], 0)
        assert money.refunded == ([400] if operation == "refund" else [])
        assert double.faults[fault.name.lower()] == 1
