"""Stripe: hosted Checkout Sessions and PaymentIntents, captures, voids, refunds, and signed webhooks."""

from typing import Final

from paidonce.providers.base import Connector
from paidonce.providers.stripe.amounts import unsupported
from paidonce.providers.stripe.connector import NAME, Stripe
from paidonce.providers.stripe.credentials import FIELDS, refusal

CONNECTOR: Final = Connector(
    name=NAME,
    display_name="Stripe",
    credential_fields=FIELDS,
    open=Stripe,
    refusal=refusal,
    unsupported=unsupported,
)
