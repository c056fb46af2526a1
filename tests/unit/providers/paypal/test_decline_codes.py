"""PayPal's issues and ours."""

import pytest

from paidonce.providers.decline_codes import DECLINE_CODES
from paidonce.providers.paypal import decline_codes
from paidonce.providers.paypal.decline_codes import decline_code


def test_every_code_leads_to_one_of_ours() -> None:
    assert set(decline_codes._CODES) <= DECLINE_CODES  # noqa: SLF001 - the table itself
    listed = [raw_code for raw_codes in decline_codes._CODES.values() for raw_code in raw_codes]  # noqa: SLF001
    assert len(listed) == len(set(listed)), "one code would lead to two"


@pytest.mark.parametrize(
    ("raw_code", "code"),
    [
        ("INSTRUMENT_DECLINED", "do_not_honor"),
        ("TRANSACTION_REFUSED", "suspected_fraud"),
        ("TRANSACTION_LIMIT_EXCEEDED", "limit_exceeded"),
        ("CARD_EXPIRED", "expired_card"),
        ("5120", "insufficient_funds"),
        ("INVALID_CURRENCY_CODE", "currency_not_supported"),
        ("DECIMALS_NOT_SUPPORTED", "amount_not_supported"),
        ("ORDER_EXPIRED", "session_expired"),
        ("AN_ISSUE_OF_NEXT_YEAR", "declined"),
        (None, "declined"),
    ],
)
def test_a_code_is_mapped_and_an_unknown_one_is_declined(raw_code: str | None, code: str) -> None:
    assert decline_code(raw_code) == code
