"""Stripe's decline codes and ours."""

import pytest

from paidonce.providers.decline_codes import DECLINE_CODES
from paidonce.providers.stripe import decline_codes
from paidonce.providers.stripe.decline_codes import decline_code


def test_every_code_leads_to_one_of_ours() -> None:
    assert set(decline_codes._CODES) <= DECLINE_CODES  # noqa: SLF001 - the table itself
    listed = [raw_code for raw_codes in decline_codes._CODES.values() for raw_code in raw_codes]  # noqa: SLF001
    assert len(listed) == len(set(listed)), "one code would lead to two"


@pytest.mark.parametrize(
    ("raw_code", "code"),
    [
        ("insufficient_funds", "insufficient_funds"),
        ("card_velocity_exceeded", "limit_exceeded"),
        ("call_issuer", "do_not_honor"),
        ("incorrect_zip", "incorrect_details"),
        ("authentication_required", "authentication_failed"),
        ("pickup_card", "lost_or_stolen_card"),
        ("transaction_not_allowed", "card_not_supported"),
        ("issuer_not_available", "try_again_later"),
        ("payment_method_customer_decline", "buyer_canceled"),
        ("generic_decline", "declined"),
        ("a_code_of_next_year", "declined"),
        (None, "declined"),
    ],
)
def test_a_code_is_mapped_and_an_unknown_one_is_declined(raw_code: str | None, code: str) -> None:
    assert decline_code(raw_code) == code
