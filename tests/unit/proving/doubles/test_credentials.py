"""What a double prints at its start is what its connector takes as credentials."""

import re

import pytest

from paidonce.providers.registry import CONNECTORS
from paidonce.proving.doubles.adyen import server as adyen
from paidonce.proving.doubles.mollie import server as mollie
from paidonce.proving.doubles.paypal import server as paypal
from paidonce.proving.doubles.stripe import server as stripe

PRINTED = {
    "adyen": {"apiKey": adyen.API_KEY, "merchantAccount": adyen.MERCHANT_ACCOUNT},
    "mollie": {"apiKey": mollie.API_KEY},
    "paypal": {"clientId": paypal.CLIENT_ID, "clientSecret": paypal.CLIENT_SECRET},
    "stripe": {"secretKey": stripe.SECRET_KEY},
}


@pytest.mark.parametrize("provider", sorted(CONNECTORS))
def test_an_account_can_be_added_with_what_a_double_prints(provider: str) -> None:
    fields = {field.name: field for field in CONNECTORS[provider].credential_fields}
    for name, value in PRINTED[provider].items():
        assert re.match(fields[name].pattern, value), name
