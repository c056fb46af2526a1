"""PayPal: orders that a buyer approves and we capture or authorize, captures, voids, refunds, and signed webhooks."""

from typing import Final

from paidonce.providers.base import Connector
from paidonce.providers.paypal.amounts import unsupported
from paidonce.providers.paypal.connector import NAME, PayPal
from paidonce.providers.paypal.credentials import FIELDS

CONNECTOR: Final = Connector(
    name=NAME,
    display_name="PayPal",
    credential_fields=FIELDS,
    open=PayPal,
    unsupported=unsupported,
    wallet="PayPal",
)
