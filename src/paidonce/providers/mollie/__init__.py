"""Mollie: payments on its hosted page, captures, releases, refunds, and webhooks of both generations."""

from typing import Final

from paidonce.providers.base import Connector
from paidonce.providers.mollie.connector import NAME, Mollie
from paidonce.providers.mollie.credentials import FIELDS, refusal
from paidonce.providers.mollie.methods import unsupported

CONNECTOR: Final = Connector(
    name=NAME,
    display_name="Mollie",
    credential_fields=FIELDS,
    open=Mollie,
    refusal=refusal,
    unsupported=unsupported,
)
