"""What goes wrong with each provider and its accounts: nothing is lost, and nobody else waits."""

from typing import Final

import pytest
from starlette.types import ASGIApp

from paidonce.providers.simulator.faults import FaultPlan
from tests.scenarios.providers.address import Silence, always
from tests.scenarios.providers.kits import ProviderKit
from tests.scenarios.providers.shop import AMOUNT, Shop, page_in, wait_for

pytestmark = pytest.mark.postgresql_in_prove

HTML: Final = b"<!doctype html><title>502 Bad Gateway</title>"
ROUNDS_MAX: Final = 5


def unknowns(shop: Shop, checkout_id: str) -> int:
    """Count how often the outcome was unknown."""
    return [kind for kind, _ in shop.causes(checkout_id)].count("attempt.unknown")


def troubles(kit: ProviderKit) -> dict[str, ASGIApp]:
    return {
        "garbage": always(200, b"\x00\xff{{{"),
        "HTML": always(200, HTML, content_type="text/html"),
        "an HTML error": always(502, HTML, content_type="text/html"),
        "a redirect": always(302, b"", location="https://elsewhere.example/"),
        "an error in 200": always(200, kit.error_in_200(), content_type="application/json"),
        "no answer": Silence(),
    }


@pytest.mark.parametrize("trouble", ["garbage", "HTML", "an HTML error", "a redirect", "an error in 200", "no answer"])
def test_a_payment_waits_while_the_provider_answers_nonsense_and_is_paid_afterwards(shop: Shop, trouble: str) -> None:
    with shop.provider():
        authorized = shop.paid(captureMethod="manual") if shop.kit.manual_capture else None
        shop.address.begin_trouble(troubles(shop.kit)[trouble])
        checkout_id = shop.create()
        shop.start_paying(checkout_id)
        shop.until(checkout_id, "UNKNOWN")
        if authorized:
            shop.call("POST", f"/checkouts/{authorized}/capture", {}, expected=202)
            shop.until(authorized, "UNKNOWN")
        shop.address.end_trouble()
        shop.come_back(shop.approve(page_in(shop.until(checkout_id, "REQUIRES_ACTION"))))
        for paid in filter(None, (checkout_id, authorized)):
            shop.until(paid, "COMPLETED")
            assert shop.money(paid).charged == [AMOUNT]


def test_a_payment_waits_while_the_provider_is_down_and_completes_when_it_is_back(shop: Shop) -> None:
    checkout_id = shop.create()
    shop.start_paying(checkout_id, shop.kit.succeeding)
    # An hour of absence: with the service's own settings the fourth try comes after 12 minutes, the fifth after 72.
    wait_for(lambda: unknowns(shop, checkout_id) >= 4, lambda: f"{shop.causes(checkout_id)}")
    with shop.provider():
        if shop.kit.succeeding is None:
            shop.approve(page_in(shop.until(checkout_id, "REQUIRES_ACTION")))
        shop.until(checkout_id, "COMPLETED")
        assert shop.money(checkout_id).charged == [AMOUNT]


def test_captures_voids_and_refunds_wait_while_the_provider_is_down_and_are_made_once(shop: Shop) -> None:
    with shop.provider():
        refunded = shop.paid()
        held = [shop.paid(captureMethod="manual") for _ in range(2)] if shop.kit.manual_capture else []
        shop.address.begin_trouble(always(503, b""))
        refund = shop.call("POST", f"/checkouts/{refunded}/refunds", {"amount": 400}, expected=202)
        for checkout_id, change in zip(held, ("capture", "cancel"), strict=False):
            shop.call("POST", f"/checkouts/{checkout_id}/{change}", {}, expected=202)
            shop.until(checkout_id, "UNKNOWN")
        wait_for(lambda: ("attempt.unknown", "provider_answer") in shop.causes(refunded), lambda: "the refund is known")
        shop.address.end_trouble()
        assert shop.until_refunded(refund["id"])["status"] == "SUCCEEDED"
        assert shop.money(refunded).refunded == [400]
        for checkout_id, status in zip(held, ("COMPLETED", "CANCELED"), strict=False):
            shop.until(checkout_id, status)
        assert [shop.money(one).charged for one in held] == [[AMOUNT], []][: len(held)]
        assert [shop.money(one).held for one in held] == [0] * len(held)


def test_whatever_the_provider_loses_every_buyer_is_charged_once(shop: Shop) -> None:
    with shop.provider(plan=FaultPlan(rate=0.3, seed=7)) as double:
        # Which calls fail depends on their keys, which are new each time: for once none may fail.
        for _ in range(ROUNDS_MAX):
            everybody_buys(shop)
            if double.faults:
                break
        assert sum(double.faults.values()) > 0


def everybody_buys(shop: Shop) -> None:
    """Let eight buyers pay, and see that each was charged once."""
    checkout_ids = [shop.create() for _ in range(8)]
    for checkout_id in checkout_ids:
        shop.start_paying(checkout_id, shop.kit.succeeding)
    if shop.kit.succeeding is None:
        for checkout_id in checkout_ids:
            shop.approve(page_in(shop.until(checkout_id, "REQUIRES_ACTION")))
    for checkout_id in checkout_ids:
        shop.until(checkout_id, "COMPLETED")
    assert [shop.money(checkout_id).charged for checkout_id in checkout_ids] == [[AMOUNT]] * 8
