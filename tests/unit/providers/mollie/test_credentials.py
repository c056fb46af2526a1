"""What a merchant may enter, and what does not fit."""

import re

import pytest

from paidonce.providers.mollie import CONNECTOR

KEY = "dHar4XY7LxsDOtmnkVtjNVWXLSlXsM"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("apiKey", f"test_{KEY}", True),
        ("apiKey", f"live_{KEY}", True),
        ("apiKey", f"access_{KEY}", False),
        ("apiKey", "test_short", False),
        ("apiKey", f"test_{KEY}\n", False),
        ("apiKey", f" test_{KEY}", False),
        ("webhookSecret", "a-long-secret", True),
        ("webhookSecret", "a-long-secret,another-long-secret", True),
        ("webhookSecret", "a-long-secret,another-long-secret,a-third-long-secret", False),
        ("webhookSecret", "a long secret", False),
        ("webhookSecret", "short", False),
    ],
)
def test_a_credential_matches_its_pattern(name: str, value: str, *, valid: bool) -> None:
    (field,) = [one for one in CONNECTOR.credential_fields if one.name == name]
    assert bool(re.fullmatch(field.pattern, value)) is valid


def test_a_key_of_the_other_mode_is_refused() -> None:
    live, test = {"apiKey": f"live_{KEY}"}, {"apiKey": f"test_{KEY}"}
    assert "live key" in CONNECTOR.refusal(live, "test")["apiKey"]
    assert "test key" in CONNECTOR.refusal(test, "live")["apiKey"]
    assert CONNECTOR.refusal(live, "live") == CONNECTOR.refusal(test, "test") == {}
