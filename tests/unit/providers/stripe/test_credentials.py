"""What a merchant may enter, and what does not fit."""

import re

import pytest

from paidonce.providers.stripe import CONNECTOR


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("secretKey", "sk_test_abcdefgh", True),
        ("secretKey", "rk_live_abcdefgh", True),
        ("secretKey", "pk_test_abcdefgh", False),
        ("secretKey", "sk_test_", False),
        ("secretKey", "sk_test_abcdefgh\n", False),
        ("secretKey", " sk_test_abcdefgh", False),
        ("webhookSecret", "whsec_abcdefgh", True),
        ("webhookSecret", "sk_test_abcdefgh", False),
    ],
)
def test_a_credential_matches_its_pattern(name: str, value: str, *, valid: bool) -> None:
    (field,) = [one for one in CONNECTOR.credential_fields if one.name == name]
    assert bool(re.fullmatch(field.pattern, value)) is valid


@pytest.mark.parametrize("kind", ["sk", "rk"])
def test_a_key_of_the_other_mode_is_refused(kind: str) -> None:
    live, test = {"secretKey": f"{kind}_live_abcdefgh"}, {"secretKey": f"{kind}_test_abcdefgh"}
    assert "live key" in CONNECTOR.refusal(live, "test")["secretKey"]
    assert "test key" in CONNECTOR.refusal(test, "live")["secretKey"]
    assert CONNECTOR.refusal(live, "live") == CONNECTOR.refusal(test, "test") == {}
