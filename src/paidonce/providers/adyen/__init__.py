"""Adyen: Pay by Link, payments with stored payment methods, captures, voids, refunds, and signed webhooks."""

from typing import Final

from paidonce.providers.adyen.connector import NAME, Adyen, unsupported
from paidonce.providers.adyen.credentials import FIELDS, refusal
from paidonce.providers.base import Connector

CONNECTOR: Final = Connector(
    name=NAME,
    display_name="Adyen",
    credential_fields=FIELDS,
    open=Adyen,
    refusal=refusal,
    unsupported=unsupported,
)
