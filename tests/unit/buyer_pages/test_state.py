"""Where a checkout stands as its buyer sees it, and where its page may lead."""

from typing import Any, Final

import pytest

from paidonce.buyer_pages.state import BuyerState, is_unconfirmed, is_web_address, provider_url, shown_state, state_of
from paidonce.checkouts.model import ATTEMPTS_MAX, Checkout, LatestAttempt
from paidonce.providers.evidence import ClientSecret, Redirect, encode_action

NOW: Final = 1000
REDIRECT: Final = encode_action(Redirect("https://provider.example/pay"))
IN_SHOP: Final = encode_action(ClientSecret("secret", "https://shop.example/return"))


def attempt(kind: str = "CHARGE", **changes: Any) -> LatestAttempt:  # noqa: ANN401 - its fields
    values = {"status": "SENT", "action": None, "close_reason": None, "settled_at": None, **changes}
    return LatestAttempt(
        id="att_1",
        kind=kind,
        provider="simulator",
        payment_method="tok_success",
        amount=1,
        charge_reference=None,
        provider_reference=None,
        decline_code=None,
        created_at=0,
        lookup_count=0,
        account_id=None,
        **values,
    )


def checkout(status: str, newest: LatestAttempt | None = None, **changes: Any) -> Checkout:  # noqa: ANN401 - its fields
    return Checkout(
        id="chk_1",
        merchant_id="m1",
        mode="test",
        idempotency_key="k",
        amount=1,
        currency="USD",
        status=status,
        capture_method="automatic",
        amount_captured=0,
        amount_refunded=0,
        amount_refund_pending=0,
        amount_disputed=0,
        description=None,
        metadata=None,
        success_url=None,
        cancel_url=None,
        created_at=0,
        updated_at=0,
        attempt=newest,
        **{"attempt_count": 1, "expires_at": NOW + 1, **changes},
    )


@pytest.mark.parametrize(
    ("wanted", "one"),
    [
        (BuyerState.PAYABLE, checkout("PENDING", attempt_count=0)),
        (BuyerState.PAYABLE, checkout("FAILED", attempt(), attempt_count=ATTEMPTS_MAX - 1)),
        (BuyerState.EXHAUSTED, checkout("FAILED", attempt(), attempt_count=ATTEMPTS_MAX)),
        (BuyerState.EXPIRED, checkout("PENDING", expires_at=NOW)),
        (BuyerState.EXPIRED, checkout("FAILED", attempt(), attempt_count=ATTEMPTS_MAX, expires_at=NOW)),
        (BuyerState.EXPIRED, checkout("EXPIRED")),
        (BuyerState.WAITING, checkout("PROCESSING", attempt())),
        (BuyerState.WAITING, checkout("PROCESSING", attempt(), expires_at=NOW)),
        (BuyerState.WAITING, checkout("PROCESSING", attempt(action=REDIRECT, close_reason="replaced"))),
        (BuyerState.ACTION, checkout("PROCESSING", attempt(action=REDIRECT))),
        (BuyerState.IN_SHOP, checkout("PROCESSING", attempt(action=IN_SHOP))),
        (BuyerState.PAID, checkout("PROCESSING", attempt("CAPTURE"))),
        (BuyerState.PAID, checkout("AUTHORIZED", attempt())),
        (BuyerState.PAID, checkout("COMPLETED", attempt())),
        (BuyerState.CANCELED, checkout("CANCELED")),
    ],
)
def test_a_buyer_sees_what_they_can_still_do(wanted: BuyerState, one: Checkout) -> None:
    assert state_of(one, NOW) is wanted


def test_a_page_leads_to_the_providers_page_and_only_to_web_addresses() -> None:
    def url(action: str | None) -> str | None:
        return provider_url(checkout("PROCESSING", attempt(action=action)))

    assert url(REDIRECT) == "https://provider.example/pay"
    assert url(encode_action(Redirect("javascript:alert(1)"))) is None
    assert url(IN_SHOP) is None
    assert url(None) is None
    assert provider_url(checkout("PENDING")) is None
    for address in ("https://shop.example", "HTTP://shop.example"):
        assert is_web_address(address)
    for other in ("javascript:alert(1)", "//shop.example", "data:text/html,https://shop.example", "", None):
        assert not is_web_address(other)


def test_a_page_is_out_of_date_once_anything_that_it_shows_has_changed() -> None:
    shown = [
        checkout("PENDING", attempt_count=0),
        checkout("PROCESSING", attempt()),
        checkout("PROCESSING", attempt(status="UNKNOWN")),
        checkout("PROCESSING", attempt(action=REDIRECT)),
        checkout("FAILED", attempt()),
        checkout("FAILED", attempt(), attempt_count=2),
        checkout("COMPLETED", attempt()),
    ]
    assert len({shown_state(one, NOW) for one in shown}) == len(shown)
    assert shown_state(checkout("PENDING"), NOW) != shown_state(checkout("PENDING"), NOW + 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("SENT", False), ("UNKNOWN", True), ("ACCEPTED", True), ("NEEDS_REVIEW", True), ("SUCCEEDED", False)],
)
def test_an_outcome_is_unconfirmed_while_the_provider_cannot_tell_it(status: str, *, expected: bool) -> None:
    assert is_unconfirmed(checkout("PROCESSING", attempt(status=status))) == expected
    assert not is_unconfirmed(checkout("PENDING"))
