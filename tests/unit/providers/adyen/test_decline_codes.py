"""Adyen's refusal reasons and our decline codes."""

import pytest

from paidonce.providers.adyen import decline_codes
from paidonce.providers.adyen.decline_codes import decline_code, raw_code_of
from paidonce.providers.decline_codes import DECLINE_CODES


def test_every_reason_leads_to_one_of_our_codes() -> None:
    table = decline_codes._CODES  # noqa: SLF001 - the table itself
    assert set(table) <= DECLINE_CODES
    numbers = [number for reasons in table.values() for number in reasons]
    texts = [text.lower() for reasons in table.values() for text in reasons.values()]
    assert len(numbers) == len(set(numbers)), "one number would lead to two codes"
    assert len(texts) == len(set(texts)), "one text would lead to two numbers"


@pytest.mark.parametrize(
    ("number", "text", "code"),
    [
        ("2", "Refused", "do_not_honor"),
        ("5", "Blocked Card", "lost_or_stolen_card"),
        ("6", "Expired Card", "expired_card"),
        ("7", "Invalid Amount", "amount_not_supported"),
        ("9", "Issuer Unavailable", "try_again_later"),
        ("12", "Not enough balance", "insufficient_funds"),
        ("16", "Shopper Cancelled", "buyer_canceled"),
        ("20", "FRAUD", "suspected_fraud"),
        ("23", "Transaction Not Permitted", "card_not_supported"),
        ("24", "CVC Declined", "incorrect_details"),
        ("28", "Withdrawal amount exceeded", "limit_exceeded"),
        ("38", "Authentication required", "authentication_failed"),
    ],
)
def test_a_reason_is_the_same_by_its_number_and_by_its_text(number: str, text: str, code: str) -> None:
    assert raw_code_of(number, text) == raw_code_of(None, text) == raw_code_of(None, text.upper()) == number
    assert decline_code(number) == code


def test_a_reason_that_is_not_listed_is_declined_and_its_text_is_kept() -> None:
    assert raw_code_of(None, "A reason of next year ") == "A reason of next year"
    assert decline_code("A reason of next year") == decline_code("99") == decline_code(None) == "declined"
    assert raw_code_of(None, None) is raw_code_of(None, " ") is None
    assert len(raw_code_of(None, "x" * 1000) or "") == 100
