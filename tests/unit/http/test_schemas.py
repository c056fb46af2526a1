"""The rules about single fields: what is accepted, and what is refused for good reason."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from paidonce.checkouts.schemas import CreateCheckoutBody, ListCheckoutsParameters, check_currency, check_url
from paidonce.errors import InvalidRequest
from paidonce.http.fields import Fields, read_body, read_parameters
from paidonce.http.formats import check_instant
from paidonce.payments.schemas import PayBody, RefundBody, check_token

GOOD: dict[str, Any] = {"merchantId": "m123", "amount": 1000, "currency": "USD"}


def accepts(kind: type[Fields], **fields: object) -> bool:
    try:
        read_body(kind, msgspec.json.encode(fields), "application/json")
    except InvalidRequest as error:
        assert {field.pointer.split("/")[1] for field in error.fields} <= fields.keys()  # noqa: PT017 - not always raised
        return False
    return True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merchantId", "m"),
        ("merchantId", "~" * 128),
        ("amount", 1),
        ("amount", 999_999_999_999),
        ("currency", "JPY"),
        ("idempotencyKey", "with spaces and ~"),
        ("description", "日本語 \N{PILE OF POO} 'quotes' \"and\"\nlines\n"),
        ("metadata", {"key": ""}),
        ("metadata", {}),
        ("metadata", None),
        ("expiresIn", 300),
        ("expiresIn", 2_592_000),
        ("captureMethod", "manual"),
        ("successUrl", "http://localhost:3000/thanks?order=1#top"),
        ("successUrl", "https://[::1]:8443/"),
        ("cancelUrl", None),
    ],
)
def test_a_checkout_may_say(name: str, value: object) -> None:
    assert accepts(CreateCheckoutBody, **GOOD | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merchantId", ""),
        ("merchantId", "~" * 129),
        ("merchantId", "two words"),
        ("merchantId", "zoë"),
        ("currency", "EURO"),
        ("currency", "XAU"),
        ("currency", "DEM"),
        ("idempotencyKey", ""),
        ("idempotencyKey", "x" * 256),
        ("idempotencyKey", "schlüssel"),
        ("description", ""),
        ("description", "x" * 1001),
        ("expiresIn", 299),
        ("expiresIn", 2_592_001),
        ("expiresIn", 300.0),
        ("captureMethod", "MANUAL"),
        ("successUrl", ""),
        ("successUrl", "ftp://host/"),
        ("successUrl", "javascript:alert(1)"),
        ("successUrl", "https://host/" + "x" * 2048),
        ("successUrl", "https://host/a b"),
        ("successUrl", "https:///path"),
        ("cancelUrl", "https://[::1/"),
    ],
)
def test_a_checkout_may_not_say(name: str, value: object) -> None:
    assert not accepts(CreateCheckoutBody, **GOOD | {name: value})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (CreateCheckoutBody, "merchantId", "m123"),
        (CreateCheckoutBody, "idempotencyKey", "abc123"),
        (CreateCheckoutBody, "currency", "USD"),
        (CreateCheckoutBody, "successUrl", "https://host/"),
        (PayBody, "paymentMethod", "tok_success"),
        (PayBody, "provider", "simulator"),
    ],
)
def test_a_line_break_behind_a_good_value_is_refused(kind: type[Fields], name: str, value: str) -> None:
    rest = GOOD if kind is CreateCheckoutBody else {}
    assert accepts(kind, **rest | {name: value})
    assert not accepts(kind, **rest | {name: value + "\n"})


@pytest.mark.parametrize("name", ["merchantId", "currency", "idempotencyKey", "description", "successUrl"])
def test_nul_is_refused_in_every_text(name: str) -> None:
    assert not accepts(CreateCheckoutBody, **GOOD | {name: "USD\x00"})


@pytest.mark.parametrize("metadata", [{"a\x00": "b"}, {"a": "b\x00"}])
def test_nul_is_refused_in_metadata(metadata: dict[str, str]) -> None:
    assert not accepts(CreateCheckoutBody, **GOOD, metadata=metadata)


# Numbers that card networks publish for tests.
CARD_NUMBERS = ["4242424242424242", "378282246310005", "6011111111111117", "5555555555554444", "4222222222222"]


@pytest.mark.parametrize("number", CARD_NUMBERS)
@pytest.mark.parametrize("written", ["{}", "tok_{}", "card-{}-x", "t{}"])
def test_a_card_number_is_refused_wherever_it_stands_in_a_token(number: str, written: str) -> None:
    assert check_token(written.format(number)) is not None
    assert not accepts(PayBody, paymentMethod=written.format(number))


def test_a_card_number_in_groups_is_refused() -> None:
    assert check_token("4242-4242-4242-4242") is not None
    assert check_token("tok_4242 4242 4242 4242") is not None


@pytest.mark.parametrize("token", ["tok_success", "tok_delay_2500", "pm_1NrQ3bLkdIwHu7ix", "tok_4242424242424241"])
def test_a_token_that_is_no_card_number_is_accepted(token: str) -> None:
    assert check_token(token) is None
    assert accepts(PayBody, paymentMethod=token)


@given(st.text(st.sampled_from("0123456789"), min_size=11, max_size=18))
def test_every_number_with_a_right_check_digit_is_refused_and_with_a_wrong_one_accepted(digits: str) -> None:
    refused = [check for check in "0123456789" if check_token(f"tok_{digits}{check}") is not None]
    assert len(refused) == 1  # Luhn: of ten check digits exactly one is right.


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (check_currency, "EUR", "EUX"),
        (check_url, "https://host:443/", "https://host:65536/"),
        (check_instant, "2024-02-29T23:59:59Z", "2026-02-29T23:59:59Z"),
    ],
)
def test_a_rule_says_what_is_wrong_or_nothing(check: Callable[[str], str | None], good: str, bad: str) -> None:
    assert check(good) is None
    assert (check(bad) or "").endswith(".")


@pytest.mark.parametrize(
    "text",
    ["2026-W01-1T00:00:00Z", "20260102T030405Z", "2026-01-02T03Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05"],
)
def test_a_time_that_is_iso_8601_but_not_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_parameters(ListCheckoutsParameters, [("createdAfter", text)])


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00", "0001-01-01T00:00:00-23:59"])
def test_a_time_that_is_rfc_3339_is_accepted(text: str) -> None:
    assert read_parameters(ListCheckoutsParameters, [("createdAfter", text)]).created_after == text


@pytest.mark.parametrize("text", ["paid with 4242424242424242", "4242 4242 4242 4242", "card:4242-4242-4242-4242."])
def test_a_card_number_is_refused_in_a_sentence(text: str) -> None:
    assert not accepts(CreateCheckoutBody, **GOOD, description=text)
    assert not accepts(RefundBody, reason=text)


@pytest.mark.parametrize(
    ("pair", "accepted"),
    [
        ({"note": "4242 4242 4242 4242"}, False),
        ({"cardNumber": "4242424242424242"}, False),
        ({"CC": "4242424242424242"}, False),
        ({"pan": "4242424242424242"}, False),
        # One in ten numbers of sixteen digits has a right check digit: an order's number must not be refused for it.
        ({"order": "4242424242424242"}, True),
        ({"company": "4242424242424242"}, True),
        ({"card": "the blue one"}, True),
    ],
)
def test_metadata_holds_no_card_number_and_any_other(pair: dict[str, str], accepted: bool) -> None:  # noqa: FBT001 - a case
    assert accepts(CreateCheckoutBody, **GOOD, metadata=pair) is accepted
