"""A buyer on the page of each provider: pays, is declined, goes back, comes back, or never does."""

from typing import Final

import pytest

from tests.scenarios.providers.shop import AMOUNT, URLS, Shop, required
from tests.support.oracle import expire_checkout

pytestmark = pytest.mark.postgresql_in_prove

NO_WAY_BACK: Final = "the page has no way back to the shop without a payment"
NO_AUTHENTICATION: Final = "no bank asks for the approval of a payment on the page"


def test_a_buyer_pays_on_the_provider_s_page_and_comes_back_to_the_shop(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create(**URLS)
        return_url = shop.approve(shop.page_of(checkout_id))
        answers = [shop.come_back(return_url) for _ in range(2)]
        shop.until(checkout_id, "COMPLETED")
        answers.append(shop.come_back(return_url))
        checkout = shop.checkout(checkout_id)
        assert (checkout["status"], checkout["amountCaptured"], checkout["attempt"]["action"]) == (
            "COMPLETED",
            AMOUNT,
            None,
        )
        assert (answers[-1].status_code, answers[-1].headers["location"]) == (303, URLS["successUrl"])
        assert {answer.status_code for answer in answers} <= {200, 303}
        assert shop.money(checkout_id).charged == [AMOUNT]
        # On a slow machine a call to the provider may take too long, and its outcome be unknown for a while.
        known = [kind for kind, _ in shop.causes(checkout_id) if kind not in ("attempt.unknown", "attempt.accepted")]
        assert known == [
            "checkout.created",
            "checkout.processing",
            "attempt.requires_action",
            "checkout.completed",
        ]


@pytest.mark.parametrize("webhooks", [True, False])
def test_a_buyer_who_pays_and_never_comes_back_has_paid(shop: Shop, *, webhooks: bool) -> None:
    with shop.provider(webhooks=webhooks):
        checkout_id = shop.create()
        shop.approve(shop.page_of(checkout_id))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_buyer_whose_bank_declines_pays_with_another_card_or_in_another_attempt(shop: Shop) -> None:
    required(shop.kit.can_decline, "no bank declines on the page")
    with shop.provider():
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.kit.decline(shop.browser, page)
        if shop.kit.open_after_decline:
            assert shop.checkout(checkout_id)["status"] == "PROCESSING"
        else:
            failed = shop.until(checkout_id, "FAILED")
            assert failed["attempt"]["declineCode"]
            page = shop.page_of(checkout_id)
        assert shop.money(checkout_id).charged == []
        shop.come_back(shop.approve(page))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


@pytest.mark.parametrize("approving", [True, False])
def test_three_d_secure_on_the_page_is_approved_or_refused(shop: Shop, *, approving: bool) -> None:
    required(shop.kit.authenticates_on_page, NO_AUTHENTICATION)
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        bank = shop.kit.begin_authentication(shop.browser, page)
        assert shop.money(checkout_id).charged == []
        shop.browser.get(shop.kit.authenticate(shop.browser, bank, approving=approving))
        if not approving:
            assert shop.money(checkout_id).charged == []
            if not shop.kit.open_after_decline:
                shop.until(checkout_id, "FAILED")
                page = shop.page_of(checkout_id)
            shop.come_back(shop.approve(page))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_buyer_who_comes_back_without_paying_can_continue_or_the_shop_cancels(shop: Shop) -> None:
    required(shop.kit.can_go_back, NO_WAY_BACK)
    required(shop.kit.open_after_going_back, "a buyer who goes back has declined")
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        answer = shop.come_back(shop.kit.go_back(shop.browser, page))
        assert answer.status_code == 200
        assert page in answer.text.replace("&amp;", "&")
        assert shop.page_of(checkout_id) == page  # The same pay again leads to the same page.
        assert shop.cancel(checkout_id)["attempt"]["status"] == "DECLINED"
        assert shop.kit.is_closed(shop.browser, page)
        assert shop.money(checkout_id).charged == []


def test_a_buyer_who_goes_back_and_thereby_declines_can_pay_in_another_attempt(shop: Shop) -> None:
    required(shop.kit.can_go_back, NO_WAY_BACK)
    required(not shop.kit.open_after_going_back, "a buyer who goes back can still pay on the page")
    with shop.provider():
        checkout_id = shop.create(**URLS)
        shop.come_back(shop.kit.go_back(shop.browser, shop.page_of(checkout_id)))
        assert shop.until(checkout_id, "FAILED")["attempt"]["declineCode"]
        shop.come_back(shop.approve(shop.page_of(checkout_id)))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_whoever_comes_back_with_a_forged_query_has_not_paid(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create(**URLS)
        page = shop.page_of(checkout_id)
        return_url = shop.approve(shop.page_of(shop.create()))  # Where another buyer is sent, who has paid.
        forged = return_url.partition("?")[2] or "redirect_status=succeeded&status=paid&resultCode=Authorised"
        own_url = f"{shop.service.url}/return/{'0' * 32}"
        assert shop.come_back(f"{own_url}?{forged}").status_code == 404
        if shop.kit.can_go_back and shop.kit.open_after_going_back:
            mine = shop.kit.go_back(shop.browser, page).partition("?")[0]
            assert shop.come_back(f"{mine}?{forged}").status_code == 200
        assert shop.checkout(checkout_id)["status"] == "PROCESSING"
        assert shop.money(checkout_id).charged == []


def test_a_buyer_who_never_comes_back_leaves_a_checkout_that_can_be_paid_in_another_attempt(shop: Shop) -> None:
    with shop.provider():
        checkout_id = shop.create()
        abandoned = shop.page_of(checkout_id)
        other = shop.add_account().id
        problem = shop.call("POST", f"/checkouts/{checkout_id}/pay", {"account": other}, expected=409)
        assert problem["code"] == "payment_in_progress"
        shop.until(checkout_id, "FAILED")
        page = shop.page_of(checkout_id, account=other)
        assert shop.kit.is_closed(shop.browser, abandoned)
        shop.come_back(shop.approve(page))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_a_checkout_that_expires_while_its_buyer_is_away_takes_no_money(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        expire_checkout(shop.service.database_url, checkout_id)
        shop.until(checkout_id, "EXPIRED")
        assert shop.kit.is_closed(shop.browser, page)
        assert shop.money(checkout_id).charged == []


def test_a_service_that_is_killed_while_the_buyer_pays_finds_the_payment(shop: Shop) -> None:
    with shop.provider(webhooks=False):
        checkout_id = shop.create()
        page = shop.page_of(checkout_id)
        shop.service.kill()
        return_url = shop.approve(page)
        shop.host.restart()
        assert shop.come_back(return_url).status_code == 200
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]
