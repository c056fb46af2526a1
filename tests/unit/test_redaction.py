"""Card numbers, keys and secrets are recognized. The card numbers are test numbers of the card networks."""

import pytest

from paidonce.redaction import holds_card_number, holds_secret, redact

CARDS = ["4242424242424242", "378282246310005", "6011111111111117", "5555555555554444", "2223003122003222"]
KEY = "sk_" + "live_0123456789abcdef"
ENCRYPTION = "pek_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
SIGNING = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("written", ["{}", "tok{}x", "paid with {}.", "order={}&x=1", '"{}"'])
def test_a_card_number_is_seen_wherever_it_stands(number: str, written: str) -> None:
    assert holds_card_number(written.format(number))


@pytest.mark.parametrize(
    "number", ["4242 4242 4242 4242", "4242-4242-4242-4242", "3782 822463 10005", "4242_4242_4242_4242"]
)
def test_a_card_number_is_seen_in_groups(number: str) -> None:
    assert holds_card_number(f"the card {number} was declined")


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # another check digit
        "1700000000002",  # a time in milliseconds: no card begins with 1
        "42424242424242424242",  # longer than any
        "424242424242",  # shorter than any
        "550e8400-e29b-41d4-a716-446655440000",
        "chk_06h0bqtavtq3l67s4pmf96jeo0",
        "",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert not holds_secret(text)
    assert redact(text) == text


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        (f"key {KEY} used", "key sk_… used"),
        (f'{{"secret": "{SIGNING}"}}', '{"secret": "whsec_…"}'),
        (f"PAIDONCE_ENCRYPTION_KEYS={ENCRYPTION}", "PAIDONCE_ENCRYPTION_KEYS=pek_…"),
        (f"credentials live_{'x' * 30}, test_{'Y' * 30}", "credentials live_…, test_…"),
        ("the test_settings_of_some_merchants_and_others", "the test_settings_of_some_merchants_and_others"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer …"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic …'}"),
        ("postgresql://shop:hunter2@db/shop", "postgresql://shop:…@db/shop"),
        (f"GET /dashboard/login/{'-A_z' * 10}xyz", "GET /dashboard/login/…"),
        (f"GET /pay/{'-A_z' * 10}xyz/events?shown=waiting", "GET /pay/…/events?shown=waiting"),
        (f"path=https://pay.example/return/{'T' * 32}", "path=https://pay.example/return/…"),
        ("GET /simulator/pay/ses_06h0bqtavtq3l67s4pmf96jeo0", "GET /simulator/pay/ses_06h0bqtavtq3l67s4pmf96jeo0"),
        ("path=/checkouts/4242424242424242/pay", "path=/checkouts/…/pay"),
        ("DETAIL:  Failing row contains (chk_1, tok_(x), now).\\nnext", "DETAIL:  Failing row contains (…)\\nnext"),
        ("Key (merchant_id, id)=(m, a(b) c) already exists.", "Key (merchant_id, id)=(…) already exists."),
    ],
)
def test_a_line_of_the_log_is_masked(line: str, logged: str) -> None:
    assert redact(line) == logged
