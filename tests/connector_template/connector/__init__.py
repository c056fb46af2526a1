"""A template of a connector, for a provider that does not exist: Example Pay.

Copy this folder to ``src/paidonce/providers/<name>/``. See docs/providers/writing-a-connector.md.
"""

from typing import Final

from paidonce.providers.base import Connector
from tests.connector_template.connector.connector import NAME, ExamplePay
from tests.connector_template.connector.credentials import FIELDS, refusal
from tests.connector_template.connector.requests import unsupported

CONNECTOR: Final = Connector(
    name=NAME,
    display_name="Example Pay",
    credential_fields=FIELDS,
    open=ExamplePay,
    refusal=refusal,
    unsupported=unsupported,
)
