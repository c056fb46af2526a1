"""What a merchant may enter."""

import re

import pytest

from paidonce.providers.paypal import CONNECTOR

CLIENT_ID = "AeA1QIZXiflr1_-r0U2UbWTziOWX1GRQer5jkUq4ZfWT5qwb6qQRPq7jDtv57TL4POEEezGLdutcxnkJ"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("clientId", CLIENT_ID, True),
        ("clientId", f"{CLIENT_ID}\n", False),
        ("clientId", f" {CLIENT_ID}", False),
        ("clientId", "short", False),
        ("clientSecret", CLIENT_ID, True),
        ("clientSecret", "a:secret:with:colons", False),
        ("webhookId", "8PT597110X687430LKGECATA", True),
        ("webhookId", "https://pay.example.com", False),
    ],
)
def test_a_credential_matches_its_pattern(name: str, value: str, *, valid: bool) -> None:
    (field,) = [one for one in CONNECTOR.credential_fields if one.name == name]
    assert bool(re.fullmatch(field.pattern, value)) is valid


def test_only_the_secret_is_secret_and_webhooks_are_optional() -> None:
    fields = {one.name: (one.is_secret, one.is_required) for one in CONNECTOR.credential_fields}
    assert fields == {"clientId": (False, True), "clientSecret": (True, True), "webhookId": (False, False)}
